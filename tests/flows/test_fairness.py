"""One project in trouble, with more to do than a worker can carry, and another beside it that has just a little."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

from aiohttp import web
from tests.world import PROJECT_ID, SECRET, VAULT, OpenWorld, World, free_port

from wongate.commands import create_project
from wongate.flows.deliver import IN_FLIGHT_MAX
from wongate.flows.lane import START
from wongate.flows.settle import Door
from wongate.worker import AT_ONCE, Waking

QUIET_ID = PROJECT_ID + 1
REFUSED = {"payment__amount": 50}
"""Below the minimum: a sale that ends at once with a single final callback."""


async def add_quiet_project(world: World, project_id: int = QUIET_ID) -> None:
    settings = {"callback_url": f"{world.merchant.url}/quiet"}
    async with world.platform.database.transaction() as tx:
        await create_project(tx, VAULT, project_id, "Quiet shop", SECRET, 1, settings)


async def sell(world: World, project_id: int, number: int, **changes: object) -> None:
    await asyncio.gather(*(world.sale(general__project_id=project_id, **changes) for _ in range(number)))


async def sell_to(world: World, urls: Iterable[str]) -> None:
    """One callback of the loud project for each of these addresses."""
    await asyncio.gather(*(world.sale(**REFUSED, general__merchant_callback_url=url) for url in urls))


async def tried(world: World, project_id: int) -> int:
    counted: int = await world.value("SELECT count(*) FROM attempt WHERE project_id = $1", project_id)
    return counted


async def claimed(world: World, table: str, project_id: int) -> int:
    counted: int = await world.value(
        f"SELECT count(*) FROM {table} WHERE project_id = $1 AND attempt > 0", project_id
    )
    return counted


@asynccontextmanager
async def tarpit(hosts: list[str], port: int) -> AsyncIterator[None]:
    """Takes what comes and never answers; hangs up at the end."""
    held: list[asyncio.StreamWriter] = []
    server = await asyncio.start_server(lambda _, writer: held.append(writer), hosts, port, backlog=1024)
    try:
        yield
    finally:
        server.close()
        for writer in held:
            writer.transport.abort()


async def test_a_project_with_dead_endpoints_everywhere_leaves_places_for_anothers_callbacks(
    open_world: OpenWorld,
):
    port = free_port()
    hosts = [f"127.0.1.{number + 1}" for number in range(IN_FLIGHT_MAX // START + 1)]
    async with open_world() as world:
        await add_quiet_project(world)
        await sell_to(world, [f"http://{host}:{port}/" for host in hosts * START])
        async with tarpit(hosts, port):
            while await world.delivery.tick():
                pass
            await sell(world, QUIET_ID, 10, **REFUSED)
            await world.delivery.tick()
            assert 10 == await claimed(world, "callback", QUIET_ID)
            await world.merchant.receives(10)
            assert IN_FLIGHT_MAX * 0.7 < await claimed(world, "callback", PROJECT_ID) < IN_FLIGHT_MAX


async def test_a_hundred_addresses_of_one_project_do_not_stand_before_anothers(open_world: OpenWorld):
    """Each is a claim of its own: a look takes a few of them, and the other project's at once."""
    async with open_world() as world:
        await add_quiet_project(world)
        port = free_port()
        await sell_to(world, [f"http://127.0.1.{number + 1}:{port}/" for number in range(100)])
        await sell(world, QUIET_ID, 10, **REFUSED)
        await world.delivery.tick()
        assert 10 == await claimed(world, "callback", QUIET_ID)
        assert await claimed(world, "callback", PROJECT_ID) < 10
        for _ in range(20):
            await world.delivery.tick()
        assert 100 == await claimed(world, "callback", PROJECT_ID)


async def pass_by(world: World, seconds: float) -> None:
    """As a worker passes the time: a look every 50 ms."""
    for _ in range(round(seconds / 0.05)):
        world.clock.advance(0.05)
        await world.delivery.tick()
        await world.delivery.drain()


async def test_a_dead_endpoint_is_probed_and_found_alive_again(open_world: OpenWorld):
    """It refuses every connection: asked without a pause it would cost a worker and its database most of their time."""
    port = free_port()
    async with open_world() as world:
        await sell_to(world, [f"http://127.0.0.1:{port}/"] * 200)
        await pass_by(world, 4)
        assert START < await tried(world, PROJECT_ID) <= START + 4 * 10

        async def takes(request: web.BaseRequest) -> web.StreamResponse:
            return web.Response()

        runner = web.ServerRunner(web.Server(takes), shutdown_timeout=0)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", port).start()
        world.clock.advance(10)
        await pass_by(world, 1)
        await runner.cleanup()
        assert 0 == await world.value("SELECT count(*) FROM callback WHERE state <> 'delivered'")


async def test_operations_that_hang_leave_places_for_another_projects(open_world: OpenWorld):
    """More of one project's operations than a worker carries stand still behind a lock; another's time comes then."""
    async with open_world() as world:
        await add_quiet_project(world)
        await sell(world, PROJECT_ID, AT_ONCE + 6)
        world.clock.advance(900)
        await sell(world, QUIET_ID, 3)
        world.clock.advance(900)
        async with world.platform.database.transaction() as tx:
            await tx.execute("SELECT 1 FROM payment WHERE project_id = $1 FOR UPDATE", PROJECT_ID)
            await world.waking.tick()
            assert AT_ONCE * 0.7 < await claimed(world, "operation", PROJECT_ID) < AT_ONCE
            world.clock.advance(900)
            await world.waking.tick()
            assert 3 == await claimed(world, "operation", QUIET_ID)
        await world.work()


async def test_places_that_are_few_go_round_among_the_projects(open_world: OpenWorld):
    """With a single place for all, a look goes on behind the project that had it last."""
    projects = (PROJECT_ID, QUIET_ID, QUIET_ID + 1)
    async with open_world() as world:
        for project_id in projects[1:]:
            await add_quiet_project(world, project_id)
        for project_id in projects:
            await sell(world, project_id, 3)
        world.clock.advance(1800)
        waking = Waking(world.platform, Door(world.platform), at_once=2)
        async with world.platform.database.transaction() as tx:
            await tx.execute("SELECT 1 FROM payment WHERE project_id = ANY($1) FOR UPDATE", list(projects))
            assert 1 == await waking.tick()
            assert 0 == await waking.tick()
        for _ in projects[1:]:
            await waking.drain()
            assert 1 == await waking.tick()
        assert [1, 1, 1] == [await claimed(world, "operation", project_id) for project_id in projects]
        await waking.drain()
        await world.work()
