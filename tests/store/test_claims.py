"""Claims: many workers take what is due, nobody takes anything twice, and nothing waits behind a row that another one holds."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

import asyncpg
from tests.processes import HANG_GUARD_S
from tests.world import PROJECT_ID, OpenWorld, World

from wongate.connections.database import Database, Tx
from wongate.store import callbacks, notices, payments, resends

LEASE = timedelta(seconds=60)


Claim = Callable[[Tx], Awaitable[list[int]]]


def operations_of(world: World) -> Claim:
    async def claim(tx: Tx) -> list[int]:
        now = world.clock.now()
        claimed = await payments.claim_to_wake(tx, PROJECT_ID, now, now + LEASE, 7)
        return [operation.operation_id for operation in claimed]

    return claim


def callbacks_of(world: World) -> Claim:
    async def claim(tx: Tx) -> list[int]:
        now = world.clock.now()
        claimed = await callbacks.claim(tx, PROJECT_ID, world.merchant.url, now, now + LEASE, 7)
        return [due.callback_id for due in claimed]

    return claim


async def take_all(pool: Database, claim: Claim, together: asyncio.Barrier | None = None) -> list[int]:
    """Claim after claim until nothing is left. The first one is kept open until all who work `together` have theirs."""
    taken: list[int] = []

    async def story(tx: Tx) -> list[int]:
        claimed = await claim(tx)
        if together and not taken:
            await together.wait()
        return claimed

    while claimed := await pool.run(story):
        taken += claimed
    return taken


async def by_ten_workers(world: World, claim: Claim) -> Counter[int]:
    pools = [await Database.connect(world.database_url, size=1) for _ in range(10)]
    together = asyncio.Barrier(len(pools))
    try:
        async with asyncio.timeout(HANG_GUARD_S):
            shares = await asyncio.gather(*(take_all(pool, claim, together) for pool in pools))
    finally:
        for pool in pools:
            await pool.close()
    return Counter(number for share in shares for number in share)


async def test_ten_workers_take_each_operation_once(open_world: OpenWorld):
    async with open_world() as world:
        await asyncio.gather(*(world.sale() for _ in range(200)))
        world.clock.advance(1800)
        taken = await by_ten_workers(world, operations_of(world))
        assert (200, {1}) == (len(taken), set(taken.values()))
        assert {1} == {row["attempt"] for row in await world.rows("SELECT attempt FROM operation")}


async def test_ten_workers_take_each_callback_once(open_world: OpenWorld):
    async with open_world() as world:
        await asyncio.gather(*(world.sale() for _ in range(200)))
        taken = await by_ten_workers(world, callbacks_of(world))
        assert (200, {1}) == (len(taken), set(taken.values()))


async def test_a_claim_passes_over_what_another_transaction_holds(open_world: OpenWorld):
    async with open_world() as world:
        held = await world.sale()
        await world.sale()
        world.clock.advance(1800)
        async with world.platform.database.transaction() as tx:
            await tx.execute(
                "SELECT 1 FROM operation WHERE project_id = $1 AND request_id = $2 FOR UPDATE",
                PROJECT_ID,
                held.accepted["request_id"],
            )
            async with asyncio.timeout(HANG_GUARD_S):
                assert 1 == len(await take_all(world.platform.database, operations_of(world)))


async def test_a_claim_returns_after_its_lease_with_a_higher_attempt(open_world: OpenWorld):
    async with open_world() as world:
        await world.sale()
        world.clock.advance(1800)
        assert 1 == len(await take_all(world.platform.database, operations_of(world)))
        world.clock.advance(59)
        assert 0 == len(await take_all(world.platform.database, operations_of(world)))
        world.clock.advance(1)
        assert 1 == len(await take_all(world.platform.database, operations_of(world)))
        assert 2 == await world.value("SELECT attempt FROM operation")


async def test_claims_stay_inside_one_project(open_world: OpenWorld):
    async with open_world() as world:
        await world.sale()
        world.clock.advance(1800)
        now = world.clock.now()
        async with world.platform.database.read() as tx:
            assert [PROJECT_ID] == await payments.projects_to_wake(tx, now)
            assert [] == await payments.claim_to_wake(tx, PROJECT_ID + 1, now, now + LEASE, 10)
            assert [] == await callbacks.claim(tx, PROJECT_ID + 1, world.merchant.url, now, now + LEASE, 10)
            assert [] == await notices.claim(tx, PROJECT_ID + 1, now, now + LEASE)


async def test_a_worker_that_slept_past_its_lease_moves_nothing(open_world: OpenWorld):
    """Another one has the operation by now: the sleeper's step finds a higher attempt and leaves it alone (F19)."""
    from wongate.flows import reconcile

    async with open_world() as world:
        sale = await world.paid_sale()
        await sale.fault("cancel", "in_progress", after_s=1000)
        await sale.refund()
        now = world.clock.now()
        async with world.platform.database.transaction() as tx:
            sleeper = (await payments.claim_to_wake(tx, PROJECT_ID, now, now + LEASE, 10))[0]
        world.clock.advance(60)
        await world.work()
        before = await world.fingerprint()
        project = await world.platform.project(PROJECT_ID)
        assert project is not None
        await reconcile.wake(world.platform, world.door, project, sleeper)
        assert before == await world.fingerprint()


Look = Callable[[Tx, datetime], Awaitable[object]]

COPIES = 5_000
LANES = 300


async def let_wait(url: str) -> None:
    """Copies of what is there, all of it waiting, beside many lanes in which nothing does."""
    connection = await asyncpg.connect(url)
    try:
        for table, number, due in (
            ("operation", "operation_id", "wake_at"),
            ("callback", "callback_id", "due_at"),
        ):
            columns = await connection.fetchval(
                "SELECT array_agg(attname) FROM pg_attribute WHERE attrelid = $1::text::regclass AND attnum > 0",
                table,
            )
            values = ", ".join({number: f"{number} - k"}.get(name, name) for name in columns)
            await connection.execute(
                f"INSERT INTO {table} ({', '.join(columns)}) SELECT {values} "
                f"FROM {table}, generate_series(1, $2::int) k WHERE project_id = $1 AND {due} IS NOT NULL",
                PROJECT_ID,
                COPIES,
            )
        await connection.execute(
            "INSERT INTO lane (project_id, lane) SELECT $1, 'https://shop.example/' || k FROM generate_series(1, $2::int) k",
            PROJECT_ID,
            LANES,
        )
        await connection.execute("ANALYZE operation, callback, lane")
    finally:
        await connection.close()


async def rows_touched(tx: Tx, look: Look, now: datetime) -> int:
    """Index entries and rows that PostgreSQL went through in the tables that wait."""
    statement = (
        "SELECT sum(pg_stat_get_xact_tuples_returned(oid)) FROM pg_class "
        "WHERE relname ~ '^(operation|callback|notice)' AND relkind IN ('r', 'i')"
    )
    before = await tx.fetchval(statement)
    await look(tx, now)
    return int(await tx.fetchval(statement) - before)


async def test_looking_for_what_is_due_costs_the_same_however_much_waits(
    open_world: OpenWorld, database: str
):
    async with open_world(audited=False, url=database) as world:
        await world.sale()
        await let_wait(database)
        now = world.clock.now() + timedelta(days=1)
        async with world.platform.database.transaction() as tx:
            for _ in range(8):  # PostgreSQL plans the first five for their parameters, later ones for any
                assert 1 == len(await callbacks.lanes_due(tx, now))
                looks: tuple[Look, ...] = (
                    callbacks.lanes_due,
                    payments.projects_to_wake,
                    notices.projects_to_wake,
                    resends.projects_asked,
                )
                for look in looks:
                    touched = await rows_touched(tx, look, now)
                    assert touched <= 4, f"{look} went through {touched} rows"
