"""History by months: rows lie where their number says, months to come are there in time, months that are over go without holding
anybody up."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime, timedelta
from typing import Any

import asyncpg
import pytest
from tests.world import SECRET, OpenWorld

from wongate.connections.ids import EPOCH_MS, Ids, first_made_at
from wongate.reports import invariants
from wongate.store import partitions
from wongate.store.migrate import FILES, migrate
from wongate.store.partitions import TABLES

IN_2028 = date(2028, 2, 29)


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[Any]:
    connection = await asyncpg.connect(url)
    try:
        yield connection
    finally:
        await connection.close()


def number_at(moment: datetime) -> int:
    """A number as some process makes it at this moment."""
    return Ids(5, time_ms=lambda: int(moment.timestamp() * 1000)).next()


async def an_attempt(connection: Any, moment: datetime) -> int:
    number = number_at(moment)
    await connection.execute(
        "INSERT INTO attempt (project_id, operation_id, callback_id, attempt, at, duration_ms) VALUES (1, $1, 1, 1, $2, 5)",
        number,
        moment,
    )
    return number


async def names(connection: Any, table: str = "attempt") -> list[str]:
    return [one.name for one in await partitions.every(connection, table)]


async def before_partitions(connection: Any) -> None:
    """The tables as the files before this one leave them."""
    await connection.execute(
        "CREATE TABLE schema_migration (name text PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT now())"
    )
    for path in sorted(path for path in FILES.glob("*.sql") if path.stem < "0008"):
        await connection.execute(path.read_text())
        await connection.execute("INSERT INTO schema_migration (name) VALUES ($1)", path.stem)


async def place_of(connection: Any, number: int) -> str | None:
    place: str | None = await connection.fetchval(
        "SELECT tableoid::regclass::text FROM attempt WHERE operation_id = $1", number
    )
    return place


async def test_a_migrated_database_has_the_months_to_come(database: str):
    ahead = datetime.now(UTC) - timedelta(days=1) + partitions.AHEAD  # it was migrated when the run began
    async with connected(database) as connection:
        for table in TABLES:
            until = max(one.until for one in await partitions.every(connection, table))
            assert until > ahead.date()


async def test_a_row_lies_in_the_month_of_its_number(database: str):
    new_year = datetime(2028, 1, 1, tzinfo=UTC)
    async with connected(database) as connection:
        await partitions.make_ahead(connection, "attempt", IN_2028)
        before = await an_attempt(connection, new_year - timedelta(milliseconds=1))
        after = await an_attempt(connection, new_year)
        old = await an_attempt(connection, datetime(2024, 5, 1, tzinfo=UTC))
        assert "attempt_2027_12" == await place_of(connection, before)
        assert "attempt_2028_01" == await place_of(connection, after)
        assert "attempt_first" == await place_of(connection, old)


def test_the_first_number_of_a_moment_is_made_in_it():
    moment = datetime(2027, 1, 1, tzinfo=UTC)
    assert first_made_at(moment) == Ids(0, time_ms=lambda: int(moment.timestamp() * 1000)).next()
    assert 387868262400000 == first_made_at(datetime(*partitions.FIRST_UNTIL.timetuple()[:3], tzinfo=UTC))
    assert 0 == first_made_at(datetime.fromtimestamp(EPOCH_MS / 1000, UTC))


async def test_five_starters_make_each_month_once_and_without_gaps(database: str):
    async def start() -> list[str]:
        async with connected(database) as connection:
            return await partitions.make_ahead(connection, "callback", IN_2028)

    made = [name for names in await asyncio.gather(*(start() for _ in range(5))) for name in names]
    assert len(set(made)) == len(made)
    async with connected(database) as connection:
        await partitions.make_ahead(connection, "callback", IN_2028)  # whoever met a lock has left the rest
        found = await partitions.every(connection, "callback")
    assert "callback_2028_05" == found[-1].name
    assert 18 == len(found), "the first one, 12 of 2027 and 5 of 2028"


async def test_a_month_that_is_over_goes_as_a_whole(database: str):
    async with connected(database) as connection:
        await partitions.make_ahead(connection, "attempt", IN_2028)
        gone = await an_attempt(connection, datetime(2027, 1, 31, 23, 59, tzinfo=UTC))
        kept = await an_attempt(connection, datetime(2027, 2, 1, tzinfo=UTC))
        found = await partitions.every(connection, "attempt")
        for partition in found:
            if partition.until <= date(2027, 2, 1):
                await partitions.drop(connection, partition)
        assert (None, "attempt_2027_02") == (
            await place_of(connection, gone),
            await place_of(connection, kept),
        )
        assert [one.name for one in found[2:]] == await names(connection)


async def test_a_month_goes_beside_a_transaction_that_writes_and_holds_nobody_up(
    database: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(partitions, "DETACH_TIMEOUT", "60s")
    moment = datetime(2027, 3, 5, tzinfo=UTC)
    async with (
        connected(database) as slow,
        connected(database) as dropper,
        connected(database) as other,
    ):
        await partitions.make_ahead(slow, "attempt", IN_2028)
        transaction = slow.transaction()
        await transaction.start()
        await an_attempt(slow, moment)
        month = next(
            one for one in await partitions.every(dropper, "attempt") if one.name.endswith("2027_01")
        )
        dropping = asyncio.create_task(partitions.drop(dropper, month))
        while not await other.fetchval(
            "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() AND query LIKE '%DETACH%' "
            "AND wait_event_type = 'Lock')"
        ):
            assert not dropping.done()
            await asyncio.sleep(0.005)
        await other.execute("SET lock_timeout = '5s'")
        await an_attempt(
            other, moment + timedelta(seconds=1)
        )  # a write that waited for the dropper would wait for the slow one
        assert not dropping.done()
        await transaction.commit()
        await dropping
        assert "attempt_2027_01" not in await names(other)


async def test_what_somebody_began_to_take_off_is_finished_by_the_next(
    database: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(partitions, "DETACH_TIMEOUT", "100ms")
    async with connected(database) as slow, connected(database) as dropper:
        await partitions.make_ahead(slow, "attempt", IN_2028)
        transaction = slow.transaction()
        await transaction.start()
        await an_attempt(slow, datetime(2027, 3, 5, tzinfo=UTC))
        month = (await partitions.every(dropper, "attempt"))[1]
        with pytest.raises(asyncpg.LockNotAvailableError):
            await partitions.drop(dropper, month)
        await transaction.commit()
        begun = (await partitions.every(dropper, "attempt"))[1]
        assert (month.name, True) == (begun.name, begun.leaving)
        await partitions.drop(dropper, begun)
        assert month.name not in await names(dropper)


async def test_what_was_taken_off_and_not_dropped_is_dropped(database: str):
    async with connected(database) as connection:
        await partitions.make_ahead(connection, "attempt", IN_2028)
        await connection.execute("ALTER TABLE attempt DETACH PARTITION attempt_2027_01")
        alone = next(
            one for one in await partitions.every(connection, "attempt") if one.name == "attempt_2027_01"
        )
        assert not alone.attached
        await partitions.drop(connection, alone)
        assert "attempt_2027_01" not in await names(connection)


async def test_rows_from_before_become_the_first_partition_without_being_copied(empty_database: str):
    async with connected(empty_database) as connection:
        await before_partitions(connection)
        await connection.execute(
            "ALTER TABLE attempt DROP CONSTRAINT attempt_project_id_operation_id_callback_id_fkey"
        )
        number = await an_attempt(connection, datetime(2026, 11, 23, tzinfo=UTC))
        await connection.execute(
            "ALTER TABLE attempt ADD CONSTRAINT attempt_project_id_operation_id_callback_id_fkey FOREIGN KEY "
            "(project_id, operation_id, callback_id) REFERENCES callback NOT VALID"
        )
        file = await connection.fetchval("SELECT pg_relation_filenode('attempt')")
        await migrate(empty_database)
        assert "attempt_first" == await place_of(connection, number)
        assert file == await connection.fetchval("SELECT pg_relation_filenode('attempt_first')")


async def test_the_audit_asks_for_no_callback_of_a_month_that_is_kept_no_longer(
    open_world: OpenWorld, database: str
):
    async with open_world(audited=False, url=database) as world:
        world.clock.advance(60)  # settings younger than a payment might not have been in force when it ended
        await world.paid_sale()
        async with connected(database) as connection:
            await connection.execute("DELETE FROM callback WHERE NOT intermediate")
            assert ["I4"] == [one.invariant for one in await audit(connection)]
            for table in TABLES:
                first = (await partitions.every(connection, table))[0]
                await partitions.drop(connection, first)
            assert [] == await audit(connection)


async def audit(connection: Any) -> list[invariants.Finding]:
    async def secrets(project_id: int) -> list[str]:
        return [SECRET]

    async with connection.transaction():
        return [finding async for finding in invariants.findings(connection, secrets)]
