"""The worker keeps months of history coming and going."""

from dataclasses import replace
from datetime import UTC, date, datetime

import asyncpg
from tests.world import OpenWorld, World

from wongate.connections.ids import Ids
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
