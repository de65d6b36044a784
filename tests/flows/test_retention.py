"""The worker keeps months of history coming and going."""

import asyncio
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

import asyncpg
import pytest
from tests.world import PROJECT_ID, OpenWorld, World

from wongate.connections.ids import Ids, first_made_at
from wongate.flows.retention import Retention
from wongate.store import partitions

IN_JUNE_2028 = datetime(2028, 6, 20, tzinfo=UTC)


def in_june_2028(world: World, keep_days: dict[str, int]) -> Retention:
    ids = Ids(1, time_ms=lambda: int(IN_JUNE_2028.timestamp() * 1000))
    return Retention(replace(world.platform, ids=ids), keep_days)


async def months(world: World, table: str) -> list[str]:
    async with world.platform.database.read() as tx:
        return [one.name for one in await partitions.every(tx, table)]


async def test_months_come_and_go_for_each_kind_by_itself(open_world: OpenWorld, database: str):
    async with open_world(audited=False, url=database) as world:
        await in_june_2028(world, {"attempt": 40, "callback": 365}).tick()
        assert "attempt_2028_05" == (await months(world, "attempt"))[0], "11 May is kept, and so is its month"
        assert "callback_2027_06" == (await months(world, "callback"))[0]
        assert "exchange_first" == (await months(world, "exchange"))[0], "what is not named is kept for ever"
        assert {"2028_09"} == {(await months(world, table))[-1][-7:] for table in partitions.TABLES}


async def test_a_table_that_is_busy_is_left_for_later(open_world: OpenWorld, database: str):
    async with open_world(audited=False, url=database) as world:
        retention = in_june_2028(world, {"attempt": 40})
        holder = await asyncpg.connect(database)
        try:
            transaction = holder.transaction()
            await transaction.start()
            await holder.execute("LOCK TABLE attempt IN SHARE UPDATE EXCLUSIVE MODE")
            before = await months(world, "attempt")
            await retention.tick()
            assert before == await months(world, "attempt")
            assert "callback_2028_09" in await months(world, "callback"), "the next table is looked after"
            await transaction.rollback()
        finally:
            await holder.close()
        await retention.tick()
        assert "attempt_2028_05" == (await months(world, "attempt"))[0]


async def test_the_first_partition_stays_while_a_day_of_it_is_kept(open_world: OpenWorld, database: str):
    async with open_world(audited=False, url=database) as world:
        ids = Ids(1, time_ms=lambda: int(datetime(2027, 2, 9, tzinfo=UTC).timestamp() * 1000))
        retention = Retention(replace(world.platform, ids=ids), {"attempt": 40})
        await retention.tick()
        assert "attempt_first" == (await months(world, "attempt"))[0]
        ids = Ids(1, time_ms=lambda: int(datetime(2027, 2, 10, tzinfo=UTC).timestamp() * 1000))
        await Retention(replace(world.platform, ids=ids), {"attempt": 40}).tick()
        assert "attempt_2027_01" == (await months(world, "attempt"))[0]
        assert partitions.FIRST_UNTIL == date(2027, 1, 1)


async def fill_january(connection: Any) -> None:
    """Copies of what is there, under numbers of January 2027."""
    first = first_made_at(datetime(2027, 1, 5, tzinfo=UTC))
    for table in ("operation", "transition", "callback"):
        columns = await connection.fetchval(
            "SELECT array_agg(attname) FROM pg_attribute WHERE attrelid = $1::text::regclass AND attnum > 0",
            table,
        )
        values = ", ".join({"operation_id": f"{first} + k"}.get(name, name) for name in columns)
        await connection.execute(
            f"INSERT INTO {table} ({', '.join(columns)}) SELECT {values} "
            f"FROM {table}, generate_series(1, 500) k WHERE project_id = $1",
            PROJECT_ID,
        )


async def test_sales_go_on_while_a_month_is_dropped_and_while_its_drop_waits(
    open_world: OpenWorld, database: str
):
    """A month of callbacks refers to transitions, which every sale writes: its drop wants them to itself for a moment."""
    slow, dropper = await asyncpg.connect(database), await asyncpg.connect(database)
    async with open_world(audited=False, url=database) as world:
        await world.sale()
        await fill_january(dropper)
        sold, closing = 0, asyncio.Event()

        async def sell() -> None:
            nonlocal sold
            while not closing.is_set():
                await world.sale()
                sold += 1

        async def until_more_are_sold() -> None:
            before = sold
            while sold < before + 5:
                assert not selling.done()
                await asyncio.sleep(0.005)

        selling = asyncio.create_task(sell())
        await until_more_are_sold()
        january = (await partitions.every(dropper, "callback"))[1]
        assert ("callback_2027_01", 500) == (
            january.name,
            await dropper.fetchval("SELECT count(*) FROM callback_2027_01"),
        )
        transaction = slow.transaction()
        await transaction.start()
        await slow.fetch("SELECT FROM transition LIMIT 1")
        async with asyncio.timeout(60):
            with pytest.raises(asyncpg.LockNotAvailableError):
                await partitions.drop(dropper, january)
        await until_more_are_sold()
        await transaction.rollback()
        taken_off = next(
            one for one in await partitions.every(dropper, "callback") if one.name == january.name
        )
        assert not taken_off.attached
        await drop_patiently(dropper, taken_off)
        await until_more_are_sold()
        closing.set()
        await selling
        assert january.name not in await months(world, "callback")
        assert sold + 1 == await world.value("SELECT count(*) FROM payment")
    await slow.close()
    await dropper.close()


async def drop_patiently(connection: Any, partition: partitions.Partition) -> None:
    """As the worker does, only sooner: a sale may hold the lock just then."""
    while await connection.fetchval("SELECT to_regclass($1)", partition.name):
        with suppress(asyncpg.LockNotAvailableError):
            await partitions.drop(connection, partition)
