"""Bugs that other payment systems have in public, as tests of ours: four of an open payment switch and their relatives."""

import asyncio
import json
import os
from typing import Any
from urllib.parse import urlencode

import asyncpg
import pytest
from tests.world import MID, PROJECT_ID, OpenWorld, Sale, World, ask

from wongate.domain.refusal import Unfit
from wongate.flows import by_hand
from wongate.flows.audit import OPERATOR
from wongate.store import payments

ROUNDS = int(os.environ.get("WONGATE_FAULT_ROUNDS", "3"))
"""How often a race is run; `make test-faults` runs it 200 times."""

SENDER = "121.133.126.10"
LISTED = {"notice_ips": [SENDER]}
QUICK = {"connect_s": 0.5, "read_s": 0.3}


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


async def ends(sale: Sale) -> list[tuple[str, str]]:
    """Status and code of every refund, sorted."""
    return sorted(
        (operation["status"], operation["code"])
        for operation in (await sale.status())["operations"]
        if operation["type"] == "refund"
    )


async def statuses(sale: Sale) -> list[str]:
    """Payment statuses that the merchant was told, in order."""
    return [body["payment"]["status"] for body in await sale.callbacks()]


async def notify(world: World, books: dict[str, Any], **changes: str) -> tuple[int, bytes]:
    """A provider's notice about a transaction as its books have it."""
    fields = {
        "PayMethod": "CARD",
        "MID": MID,
        "TID": books["tid"],
        "MOID": books["moid"],
        "Amt": str(books["amount"]),
        "StateCd": "0",
        "ResultCode": "3001",
        "CancelMOID": "",
        **changes,
    }
    answer = await ask(world.app, "POST", "/notice/nicepay", urlencode(fields).encode(), client=(SENDER, 1))
    return answer.status, answer.raw


def cancel_notice(cancel: dict[str, Any]) -> dict[str, str]:
    return {"StateCd": "1", "CancelMOID": cancel["CancelMOID"], "Amt": str(cancel["amount"])}


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


# --- relatives ---


async def test_return_and_notice_make_one_callback(open_world: OpenWorld):
    """hyperswitch PR#1850: the provider's notice and the API's answer both emitted a callback."""
    async with open_world(account=LISTED) as world:
        sale = await world.sale()
        result = await sale.choose()
        books = await sale.books()
        await asyncio.gather(
            sale.come_back(result), notify(world, books), sale.come_back(result), notify(world, books)
        )
        await notify(world, await sale.books())
        await world.work()
        assert ["awaiting redirect result", "success"] == await statuses(sale)
        assert 2 == len(world.merchant.received)


async def test_a_notice_before_our_row_is_known_is_kept(open_world: OpenWorld):
    """lago-api PR#1373: it is kept and looked at again, not dropped, while we have not written the approval's intent."""
    async with open_world(account={**LISTED, **QUICK}) as world:
        sale = await world.sale()
        await sale.fault("approve", "reset", committed=True)
        await sale.fault("netcancel", "code", code="2012")
        await sale.fault("inquiry", "override", fields={"Status": "9"})
        result = await sale.choose()
        assert (200, b"OK") == await notify(world, await sale.books())
        await world.work()
        (row,) = await world.rows("SELECT verdict, wake_at FROM notice")
        assert ("", True) == (row["verdict"], row["wake_at"] is not None)
        await sale.come_back(
            result
        )  # approved, answer lost, and the provider says wrongly that there was nothing
        await world.pass_time(300, 30)
        assert ("decline", "late success, returned") == (
            (row := await sale.row())["status"],
            row["flag"],
        )
        assert 0 == (await sale.books())["remain"]


async def test_a_notice_of_an_order_that_nobody_knows_is_kept_raw(open_world: OpenWorld):
    async with open_world(account=LISTED) as world:
        known = await world.paid_sale()
        unknown = {
            **await known.books(),
            "moid": f"{PROJECT_ID}W99999999",
            "tid": f"{MID}01012611230000009999",
        }
        status, _ = await notify(world, unknown)
        await world.work()
        assert 200 == status
        (row,) = await world.rows("SELECT raw, verdict FROM notice")
        assert (unknown["tid"], "matches no sale of ours") == (row["raw"]["TID"], row["verdict"])


async def test_a_refund_made_here_and_told_again_by_a_notice_counts_once(open_world: OpenWorld):
    """woocommerce-paypal-payments#522: created by the plugin, and once more by its webhook."""
    async with open_world(account=LISTED) as world:
        sale = await world.paid_sale()
        await sale.refund(payment__amount=400, payment__currency="KRW")
        await world.work()
        books = await sale.books()
        for _ in range(3):
            await notify(world, books, **cancel_notice(books["cancels"][0]))
            await world.work()
        row = await sale.row()
        assert (400, 0, "") == (row["refunded"], row["reserved"], row["flag"])
        assert [("success", "0")] == await ends(sale)
        assert ["awaiting redirect result", "success", "partially refunded"] == await statuses(sale)


async def test_a_notice_while_our_refund_is_under_way_counts_once(open_world: OpenWorld):
    async with open_world(account=LISTED) as world:
        sale = await world.paid_sale()
        await sale.fault("cancel", "hang_after", seconds=1.5)
        await sale.refund(payment__amount=400, payment__currency="KRW")
        working = asyncio.create_task(world.work())
        await asyncio.sleep(0.25)
        books = await sale.books()
        await notify(world, books, **cancel_notice(books["cancels"][0]))
        await working
        await world.pass_time(300, 60)
        assert (400, 0, "") == ((row := await sale.row())["refunded"], row["reserved"], row["flag"])
        assert [("success", "0")] == await ends(sale)


async def test_nothing_late_moves_refunded_back(open_world: OpenWorld):
    """mollie/magento2#1047, bitpay-for-woocommerce#75: a late word about the payment overwrote `refunded`."""
    async with open_world(account=LISTED) as world:
        sale = await world.sale()
        result = await sale.choose()
        await sale.come_back(result)
        await sale.refund()
        await world.work()
        assert "refunded" == (await sale.row())["status"]
        told = await statuses(sale)
        await sale.come_back(result)
        await sale.come_back({**result, "AuthResultCode": "9999"})
        await notify(world, await sale.books())
        await notify(world, await sale.books(), ResultCode="9999")
        await world.post("/v2/payment/wallet/payco/sale", sale.body)
        await world.pass_time(3600, 600)
        assert ("refunded", told) == ((await sale.row())["status"], await statuses(sale))


async def test_an_identical_request_after_the_end_is_answered_and_moves_nothing(open_world: OpenWorld):
    async with open_world() as world:
        sale = await world.paid_sale()
        again = await world.post("/v2/payment/wallet/payco/sale", sale.body)
        assert (200, sale.accepted) == (again.status, again.body)
        assert ["awaiting redirect result", "success"] == await statuses(sale)


@pytest.mark.parametrize(
    "amounts, fault",
    [([None], None), ([400], None), ([400, None], None), ([400], "2026"), ([None], "2026"), ([5000], None)],
    ids=["whole", "part", "part and rest", "part declined", "whole declined", "too much"],
)
async def test_refund_callbacks_always_carry_the_amount(
    open_world: OpenWorld, amounts: list[int | None], fault: str | None
):
    """saleor#14108: a webhook of a partial refund without the amount."""
    async with open_world() as world:
        sale = await world.paid_sale()
        left = 1000
        for amount in amounts:
            if fault:
                await sale.fault("cancel", "code", code=fault)
            changes = {} if amount is None else {"payment__amount": amount, "payment__currency": "KRW"}
            await sale.refund(**changes)
            await world.work()
            body = world.merchant.received[-1].body
            asked = left if amount is None else amount
            left -= 0 if fault or asked > left else asked
            assert ("refund", asked, "KRW", left) == (
                body["operation"]["type"],
                body["operation"]["sum_initial"]["amount"],
                body["operation"]["sum_initial"]["currency"],
                body["payment"]["sum"]["amount"],
            )


async def test_an_approval_without_an_answer_is_found_by_our_own_reference(open_world: OpenWorld):
    """hyperswitch #2905, PR#11448: after a time-out there is no provider's id, so nothing could be asked for. Ours is known
    before the call."""
    async with open_world(account=QUICK) as world:
        sale = await world.sale()
        await sale.fault("approve", "hang_after", seconds=2)
        await sale.fault("netcancel", "code", code="2020")
        await sale.pay()
        (operation,) = await sale.operations()
        assert operation["reference"] == (await sale.books())["tid"]
        await world.pass_time(120, 20)
        assert ("decline", 0) == ((await sale.row())["status"], (await sale.books())["remain"])
