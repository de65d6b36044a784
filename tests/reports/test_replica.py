"""Where questions are answered when a replica is named: here a second database with other rows, so that each tells its source."""

import asyncio
import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from tests import books
from tests.dashboard import SHOP, open_office
from tests.flows.test_export import READERS, desk
from tests.web.test_dashboard_payments import TABLE, ids_on, shop
from tests.web.test_data_api import client
from tests.world import OpenWorld, World

from wongate.app import opened
from wongate.connections.database import Tx
from wongate.connections.replica import AWAY_S, Away, Replica
from wongate.domain.rights import Right
from wongate.settings import Settings
from wongate.store.migrate import migrate

NOBODY = "postgresql://wongate@127.0.0.1:1/wongate"


@pytest.fixture
def second(empty_database: str) -> str:
    asyncio.run(migrate(empty_database))
    return empty_database


@asynccontextmanager
async def replica(url: str, monotonic: "Seconds | None" = None) -> AsyncIterator[Replica]:
    opened = Replica(url, size=2, monotonic=monotonic or Seconds())
    try:
        yield opened
    finally:
        await opened.close()


class Seconds:
    """A clock that stands."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


@asynccontextmanager
async def world_with_other_rows_beside(
    open_world: OpenWorld, second: str
) -> AsyncIterator[tuple[World, str]]:
    """A world without payments, whose replica knows one; that payment's id."""
    async with open_world(url=second) as other, open_world() as world, replica(second) as beside:
        sale = await other.paid_sale()
        world.platform.replica = beside
        yield world, sale.payment_id


async def test_the_data_api_answers_from_the_replica_and_knows_its_callers_from_the_main_database(
    open_world: OpenWorld, second: str
):
    async with world_with_other_rows_beside(open_world, second) as (world, payment_id):
        program = await client(world, rights_added=frozenset({Right.BALANCES}))
        (operation,) = await program.operations(date_from="2020-01-01", date_to="2030-01-01")
        assert payment_id == operation["payment_id"]
        shown = await program.post("/v1/payment/get", payment_id=payment_id)
        assert (200, payment_id) == (shown.status, shown.body["payment"]["payment_id"])
        assert 200 == (await program.post("/v1/balance/get")).status


@pytest.mark.parametrize("format_", READERS)
async def test_an_export_has_the_rows_of_the_replica_and_is_kept_in_the_main_database(
    open_world: OpenWorld, second: str, format_: str
):
    async with world_with_other_rows_beside(open_world, second) as (world, payment_id):
        export, content = await (await desk(world)).make(format_)
        assert ("ready", [payment_id]) == (export.state, [row[0] for row in READERS[format_](content)[1:]])


async def test_payments_go_to_the_main_database_and_are_seen_there_at_once(
    open_world: OpenWorld, second: str
):
    async with world_with_other_rows_beside(open_world, second) as (world, _):
        sale = await world.paid_sale()
        await sale.refund()
        await world.work()
        assert "refunded" == (await sale.row())["status"]
        assert sale.accepted == (await world.post("/v2/payment/wallet/payco/sale", sale.body)).body
        assert 1 == await world.platform.look_up(lambda tx: tx.fetchval("SELECT count(*) FROM payment"))


async def test_lists_sums_and_search_of_the_dashboard_come_from_the_replica_and_a_payments_own_page_never(
    database: str, second: str
):
    async with shop(database, number=5) as (office, browser, past):
        own = past.payments[0]
        async with open_office(second) as other, replica(second) as beside:
            elsewhere = books.draw(SHOP, other.clock.now(), days=3, number=4, seed=7)
            await books.write(other.platform, elsewhere)
            office.platform.replica = beside
            listed = {row["payment_id"] for row in elsewhere.payments}
            assert listed == set(ids_on((await browser.get(TABLE)).text))
            found = await browser.get(f"{TABLE}?q={min(listed)}")
            assert found.location.startswith(f"{TABLE}/{SHOP}/")
            assert 404 == (await browser.get(found.location)).status
            assert 200 == (await browser.get(f"{TABLE}/{SHOP}/{own['payment_no']}")).status
            assert 200 == (await browser.get("/dashboard/analytics")).status


async def where(tx: Tx) -> str:
    return str(await tx.fetchval("SELECT current_database()"))


def name_of(url: str) -> str:
    return url.partition("@/")[2].partition("?")[0]


async def test_the_main_database_answers_while_the_replica_is_away(open_world: OpenWorld):
    async with open_world() as world, replica(NOBODY) as beside:
        world.platform.replica = beside
        assert name_of(world.database_url) == await world.platform.look_up(where)


async def test_a_replica_that_came_back_is_asked_again_after_a_while(
    open_world: OpenWorld, empty_database: str
):
    name, seconds = name_of(empty_database), Seconds()
    later = f"{name}_later"
    async with open_world() as world:
        async with replica(empty_database.replace(name, later), seconds) as beside:
            world.platform.replica = beside
            assert name_of(world.database_url) == await world.platform.look_up(where)
            await world.rows(f"ALTER DATABASE {name} RENAME TO {later}")
            assert name_of(world.database_url) == await world.platform.look_up(where)
            seconds.now += AWAY_S
            assert later == await world.platform.look_up(where)
        await world.rows(f"ALTER DATABASE {later} RENAME TO {name}")


@pytest.mark.parametrize(
    "breaking",
    ["SELECT pg_terminate_backend(pg_backend_pid())", "SELECT nothing FROM nowhere", "SELECT 1 / 0"],
)
async def test_an_answer_that_broke_off_begins_anew_on_the_main_database(
    open_world: OpenWorld, second: str, breaking: str
):
    async def story(tx: Tx) -> str:
        place = await where(tx)
        if place == name_of(second):
            await tx.fetchval(breaking)
        return place

    async with open_world() as world, replica(second) as beside:
        world.platform.replica = beside
        assert name_of(world.database_url) == await world.platform.look_up(story)


async def test_a_replica_takes_no_writes_even_where_it_could(second: str):
    async with replica(second) as beside:
        with pytest.raises(Away):
            await beside.read(
                lambda tx: tx.execute("INSERT INTO lane (project_id, lane) VALUES (1, 'http://x')")
            )
        beside._away_until = 0.0
        assert 0 == await beside.read(lambda tx: tx.fetchval("SELECT count(*) FROM lane"))


async def test_the_setting_names_the_replica(database: str, second: str):
    key = base64.b64encode(b"k" * 32).decode()
    async with opened(Settings(database, key, database_read_url=second)) as platform:
        assert name_of(second) == await platform.look_up(where)
    async with opened(Settings(database, key)) as platform:
        assert name_of(database) == await platform.look_up(where)
