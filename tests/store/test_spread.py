"""Servers that spread tables know no statement with several writes: what is written one by one there must be the same."""

from collections.abc import Mapping
from typing import Any

import pytest
from tests.world import OpenWorld, World

from wongate.connections.database import Database

TABLES = ("payment", "operation", "transition", "ledger_entry", "exchange", "callback", "attempt")


async def a_day(world: World) -> Mapping[str, Any]:
    """A payment and its refund, a resend, an id that is taken, and a decline; answers how many rows of each kind they left."""
    sale = await world.paid_sale()
    await sale.refund(payment__amount=400, payment__currency="KRW")
    path = "/v2/payment/wallet/payco/sale"
    assert sale.accepted == (await world.post(path, sale.body)).body
    other = {**sale.body, "payment": {"amount": 2000, "currency": "KRW"}}
    assert 400 == (await world.post(path, other)).status
    declined = await world.sale()
    await declined.pay("cancel")
    await world.work()
    counts = {table: await world.value(f"SELECT count(*) FROM {table}") for table in TABLES}
    moves = await world.rows("SELECT event, status, count(*) FROM transition GROUP BY 1, 2 ORDER BY 1, 2")
    return {**counts, "moves": [tuple(row) for row in moves]}


@pytest.mark.parametrize("spread", [False, True])
async def test_the_same_rows_are_written_together_and_one_by_one(open_world: OpenWorld, spread: bool):
    async with open_world() as world:
        own = world.platform.database
        world.platform.database = await Database.connect(world.database_url, spread=spread)
        try:
            left = await a_day(world)
        finally:
            await world.platform.database.close()
            world.platform.database = own
    assert 2 == left["payment"]
    assert {"operation": 3, "ledger_entry": 4} == {name: left[name] for name in ("operation", "ledger_entry")}
    assert [
        ("approved", "success", 2),
        ("confirmed", "awaiting redirect result", 1),
        ("declined", "decline", 1),
        ("opened", "awaiting redirect result", 2),
        ("opened", "processing", 1),
        ("sent", "processing", 1),
    ] == left["moves"]
    assert 5 == left["callback"]
