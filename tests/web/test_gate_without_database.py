"""The database goes away and comes back: nothing is accepted that is not kept, and nobody has to restart us."""

import os
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.processes import eventually, until
from tests.world import Answer, OpenWorld, ask

from wongate.connections import embedded
from wongate.store.migrate import migrate

SALE = "/v2/payment/wallet/payco/sale"


@pytest.fixture
def own_server() -> Iterator[embedded.Server]:
    with (
        tempfile.TemporaryDirectory(prefix="wongate-away-") as directory,
        embedded.start(Path(directory)) as server,  # durable, unlike the other tests' server
    ):
        yield server


async def test_without_its_database_gate_asks_clients_to_come_back(
    open_world: OpenWorld, own_server: embedded.Server
):
    await migrate(own_server.url)
    async with open_world(url=own_server.url) as world:
        sale = await world.sale()
        own_server.stop(5)
        for path, body in (
            (SALE, world.sale_body()),
            (SALE, sale.body),
            ("/v2/payment/refund", world.refund_body(sale.payment_id)),
            ("/v2/payment/status", {"general": sale.body["general"]}),
        ):
            answer = await world.post(path, body)
            assert (503, "1", "601") == (answer.status, answer.headers["retry-after"], answer.body["code"])
        assert 503 == (await ask(world.app, "GET", "/readyz")).status
        assert 200 == (await ask(world.app, "GET", "/healthz")).status
        own_server.start()
        assert 200 == (await ask(world.app, "GET", "/readyz")).status
        assert sale.accepted == (await world.post(SALE, sale.body)).body
        await world.sale()


async def test_a_database_that_crashes_costs_no_accepted_sale(
    open_world: OpenWorld, own_server: embedded.Server
):
    """kill -9 of the server between two requests: a client that comes back as it is told finds everything as it was."""
    await migrate(own_server.url)
    async with open_world(url=own_server.url) as world:
        sale = await world.sale()
        os.kill(own_server.pid, signal.SIGKILL)
        eventually(own_server.ending)
        own_server.start()

        async def answered() -> Answer | None:
            answer = await world.post(SALE, sale.body)
            return None if answer.status == 503 else answer  # until no connection of the pool is a dead one

        assert sale.accepted == (await until(answered)).body
        await sale.pay()
        await world.work()
        assert "success" == (await sale.status())["payment"]["status"]
