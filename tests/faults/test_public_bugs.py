"""Bugs that an open payment switch has in public, as tests of ours; what other systems have stands in test_relatives.py."""

import asyncio
import json
import os
from typing import Any

import asyncpg
import pytest
from tests.faults.tidings import LISTED, QUICK, cancel_notice, ends, notify, statuses
from tests.world import PROJECT_ID, OpenWorld, Sale, World

from wongate.domain.refusal import Unfit
from wongate.flows import by_hand
from wongate.flows.audit import OPERATOR
from wongate.store import payments

ROUNDS = int(os.environ.get("WONGATE_FAULT_ROUNDS", "3"))
"""How often a race is run; `make test-faults` runs it 200 times."""


async def refund(world: World, sale: Sale, amount: int, number: int = 0) -> int:
    """A refund request of its own through one process; the HTTP status."""
    body = world.refund_body(
        sale.payment_id,
        payment__amount=amount,
        payment__currency="KRW",
        payment__description=f"refund {number}",
    )
    return (await world.post("/v2/payment/wallet/payco/refund", body)).status


async def by_dashboard(world: World, sale: Sale, amount: int, form_key: str) -> bool:
    """The Dashboard's refund button; False when it saw that nothing was left."""
    project = await world.platform.project(PROJECT_ID)
    async with world.platform.database.read() as tx:
        payment, _ = await payments.with_operations(
            tx, PROJECT_ID, payment_no=(await sale.row())["payment_no"]
        ) or (None, [])
    assert project is not None
    assert payment is not None
    try:
        await by_hand.refund(
            world.platform,
            world.door,
            OPERATOR,
            project,
            payment,
            amount=amount,
            reason="by hand",
            form_key=form_key,
        )
    except Unfit:
        return False
    return True


# --- juspay/hyperswitch#13182: two refunds of 60 of one payment of 100, at the same time, both succeed ---


@pytest.mark.parametrize("clients", [2, 20])
@pytest.mark.parametrize("processes", [1, 2])
async def test_two_simultaneous_refunds_never_exceed_the_payment(
    open_world: OpenWorld, clients: int, processes: int
):
    """Exactly one is accepted; each other one is a declined operation with 3283 and its callback, also at the provider."""
    async with open_world() as world, open_world() as other:
        doors = [world, other][:processes]
        for _ in range(ROUNDS):
            sale = await world.paid_sale(payment__amount=100)
            answers = await asyncio.gather(
                *(refund(doors[number % processes], sale, 60, number) for number in range(clients))
            )
            await asyncio.gather(*(each.work() for each in doors))
            assert {200} == set(answers)
            assert [("decline", "3283")] * (clients - 1) + [("success", "0")] == await ends(sale)
            assert (60, 40) == ((books := await sale.books())["cancelled"], books["remain"])
            assert 1 + clients == len(await statuses(sale)) - 1  # redirect, success, then one for each refund


async def test_refunds_from_dashboard_and_gate_at_once_never_exceed_the_payment(open_world: OpenWorld):
    async with open_world() as world:
        for round_no in range(ROUNDS):
            sale = await world.paid_sale(payment__amount=100)
            await asyncio.gather(
                *(refund(world, sale, 60, number) for number in range(3)),
                *(by_dashboard(world, sale, 60, f"{round_no}.{number}") for number in range(3)),
            )
            await world.work()
            assert 1 == (await ends(sale)).count(("success", "0"))
            assert 60 == (await sale.books())["cancelled"]


# --- juspay/hyperswitch PR#11491: only "amount <= remainder" was asked, so a negative amount passed ---


@pytest.mark.parametrize(
    "amount", [0, -1, -100, -(2**63), 2**63, 0.5, 1.0, -0.0, "1", "-1", True, [1], {"a": 1}]
)
async def test_refund_amount_must_be_positive(open_world: OpenWorld, amount: Any):
    """Refused at Gate and in the Dashboard, nothing changes, and the schema would refuse it a third time."""
    async with open_world() as world:
        sale = await world.paid_sale()
        before = await world.fingerprint()
        answer = await sale.refund(payment__amount=amount, payment__currency="KRW")
        assert (400, "502", "payment.amount") == (
            answer.status,
            answer.body["code"],
            answer.body["errors"][0]["field"],
        )
        if type(amount) is int:
            assert not await by_dashboard(world, sale, amount, "form")
        assert before == await world.fingerprint()
        if type(amount) is int and -(2**63) <= amount <= 0:
            assert await refused_by_the_schema(world, amount)


async def refused_by_the_schema(world: World, amount: int) -> bool:
    connection = await asyncpg.connect(world.database_url)
    copied = "project_id, payment_no, currency, code, request_id, request_hash, description, account_id, order_number, return_key"
    try:
        await connection.execute(
            f"INSERT INTO operation ({copied}, operation_id, kind, status, stage, amount, created_at, changed_at) "
            f"SELECT {copied}, operation_id + 1, 'refund', 'processing', 'reserved', $1, created_at, changed_at FROM operation",
            amount,
        )
    except asyncpg.CheckViolationError as error:
        return bool(error.constraint_name == "operation_amount_positive")
    finally:
        await connection.close()
    return False


# --- juspay/hyperswitch#13180: a provider's 5xx comes back as "processing", its HTML in the message, and nobody asks on ---

SILENCES: dict[str, dict[str, Any]] = {
    "500": {"kind": "http_500", "status": 500},
    "502": {"kind": "http_500", "status": 502},
    "an HTML page": {"kind": "garbage", "style": "html"},
    "an empty body": {"kind": "garbage", "style": "empty"},
    "half a JSON": {"kind": "garbage", "style": "half"},
    "bytes": {"kind": "garbage", "style": "bytes"},
}


@pytest.mark.parametrize("committed", [True, False], ids=["done", "not done"])
@pytest.mark.parametrize("silence", list(SILENCES))
@pytest.mark.parametrize("call", ["approve", "cancel"])
async def test_provider_5xx_is_asked_about_and_resolved(
    open_world: OpenWorld, call: str, silence: str, committed: bool
):
    """Final within five minutes, by asking and never by guessing; no word of the provider's page reaches the merchant."""
    async with open_world(account=QUICK) as world:
        sale = await (world.sale() if call == "approve" else world.paid_sale())
        await sale.fault(call, committed=committed, **SILENCES[silence])
        if call == "approve":
            await sale.pay()
        else:
            await sale.refund()
        await world.pass_time(300, 20)
        expected = {"approve": "decline", "cancel": "refunded"}[call]
        books = await sale.books()
        assert (expected, 0, 1 if call == "cancel" or committed else 0) == (
            (await sale.status())["payment"]["status"],
            books["remain"],
            books["approvals"],
        )
        asked = {row["kind"] for row in await world.rows("SELECT DISTINCT kind FROM exchange")}
        assert asked & ({"netcancel", "net_cancel"} if call == "approve" else {"inquiry"}), asked
        told = json.dumps([await sale.callbacks(), await sale.status()])
        assert not [word for word in ("html", "<", "Internal Server", "502 Bad") if word in told]


@pytest.mark.parametrize("call", ["approve", "cancel"])
async def test_a_provider_that_stays_silent_leaves_the_payment_listed_as_unresolved(
    open_world: OpenWorld, call: str
):
    """Nothing is made up: the sale is declined at its limit, the refund stays in work, and both are flagged for people."""
    async with open_world(account=QUICK, limit_time_s=600) as world:
        sale = await (world.sale() if call == "approve" else world.paid_sale())
        for silent in ("approve", "netcancel", "cancel", "inquiry"):
            await sale.fault(silent, "http_500", times="always", committed=silent == call)
        if call == "approve":
            await sale.pay()
        else:
            await sale.refund()
        await world.pass_time(26 * 3600, 1800)
        expected = {"approve": ("decline", "returning"), "cancel": ("success", "asking")}[call]
        last = (await sale.operations())[-1]
        assert (*expected, "reconciliation needed") == (
            (await sale.row())["status"],
            last["stage"],
            (await sale.row())["flag"],
        )
        await world.simulator.control("DELETE", "faults")
        await world.pass_time(2 * 3600, 600)
        assert ("done", 0) == ((await sale.operations())[-1]["stage"], (await sale.books())["remain"])


# --- juspay/hyperswitch#14003: the same notice twice at the same instant, check-then-insert, the loser gets 500 ---


@pytest.mark.parametrize("deliveries", [2, 50])
@pytest.mark.parametrize("processes", [1, 2])
async def test_same_notice_twice_at_the_same_instant(open_world: OpenWorld, deliveries: int, processes: int):
    """All answered OK, kept once, handled once: one transition, no second callback."""
    async with open_world(account=LISTED) as world, open_world() as other:
        doors = [world, other][:processes]
        sale = await world.paid_sale()
        await sale.fault("cancel", "reset", committed=True)
        await sale.refund(payment__amount=300, payment__currency="KRW")
        await world.work()
        assert "asking" == (await sale.operations())[-1]["stage"]
        books = await sale.books()
        changes = cancel_notice(books["cancels"][0])
        answers = await asyncio.gather(
            *(notify(doors[number % processes], books, **changes) for number in range(deliveries))
        )
        await asyncio.gather(*(each.work() for each in doors))
        assert {(200, b"OK")} == set(answers)
        kept = await world.rows("SELECT times, verdict FROM notice")
        assert [(deliveries, "settled")] == [tuple(row) for row in kept]
        assert ["awaiting redirect result", "success", "partially refunded"] == await statuses(sale)
