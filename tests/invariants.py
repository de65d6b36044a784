"""What must never break (I1 to I8), recomputed from the rows, the simulator's own books and what the merchant received.

Shares no code with what it checks, except the table of the lifecycle itself.
"""

import hashlib
import json
from collections import defaultdict
from typing import TYPE_CHECKING, Any

from wongate.domain.lifecycle import FINAL, UNRESOLVED, Event, Kind, Stage, Status, advance

if TYPE_CHECKING:
    from tests.world import World

IN_FLIGHT = UNRESOLVED | {Stage.APPROVING, Stage.CANCELLING}
"""Stages in which our books and the provider's may differ for a while."""

AT_PROVIDER = {Stage.APPROVING, Stage.UNDOING, Stage.CHECKING, Stage.RETURNING}
"""Stages of a sale in which the provider may hold the payer's money."""


async def check(world: "World") -> None:
    """Raises AssertionError that names the invariant."""
    payments = await world.rows("SELECT * FROM payment")
    operations = defaultdict(list)
    for operation in await world.rows("SELECT * FROM operation ORDER BY operation_id"):
        operations[operation["payment_no"]].append(operation)
    await _histories(world)
    await _callbacks(world)
    await _ledger(world, payments, operations)
    for payment in payments:
        _sums(payment, operations[payment["payment_no"]])
        await _books(world, payment, operations[payment["payment_no"]])


def _sums(payment: Any, operations: list[Any]) -> None:
    """I1, and the payment's columns against its operations."""
    refunds = [operation for operation in operations if operation["kind"] == Kind.REFUND]
    refunded = sum(refund["amount"] for refund in refunds if refund["status"] == Status.SUCCESS)
    reserved = sum(refund["amount"] for refund in refunds if refund["status"] == Status.PROCESSING)
    sale = next(operation for operation in operations if operation["operation_id"] == payment["sale_id"])
    captured = sale["amount"] if sale["status"] == Status.SUCCESS else 0
    assert (captured, refunded, reserved) == (payment["captured"], payment["refunded"], payment["reserved"])
    assert refunded + reserved <= captured, "I1: more goes back than was taken"
    if captured:
        expected = "success" if not refunded else "refunded" if refunded == captured else "partially refunded"
        assert expected == payment["status"], "I5: the payment's status does not follow from its operations"
    else:
        shown = "awaiting customer" if sale["stage"] == Stage.OFFERED else sale["status"]
        assert payment["status"] in (shown, "error"), "I5: an unpaid payment shows another status"


async def _histories(world: "World") -> None:
    """I5: each history is a walk through the table, its last step is the operation's present, one step made it final."""
    histories = defaultdict(list)
    for row in await world.rows("SELECT * FROM transition ORDER BY project_id, operation_id, seq"):
        histories[row["project_id"], row["operation_id"]].append(row)
    for operation in await world.rows("SELECT * FROM operation"):
        history = histories[operation["project_id"], operation["operation_id"]]
        status, stage = Status.PROCESSING, Stage.NEW
        for number, row in enumerate(history, 1):
            before = status
            status, stage = advance(Kind(operation["kind"]), status, stage, Event(row["event"]))
            assert (number, status, stage) == (row["seq"], row["status"], row["stage"]), (
                "I5: not in the table"
            )
            assert row["final"] == (status in FINAL and before not in FINAL), "I5: marked final wrongly"
        present = (operation["status"], operation["stage"], operation["seq"])
        assert present == (status, stage, len(history)), "I5: the operation is not where its history ends"


async def _callbacks(world: "World") -> None:
    """I4 and I8: every final status has its callback, no address gets it twice, what arrived is what was enqueued."""
    rows = await world.rows("SELECT * FROM callback")
    told = defaultdict(list)
    for row in rows:
        told[row["operation_id"], row["seq"]].append(row["url"])
    assert all(len(urls) == len(set(urls)) for urls in told.values()), "I4: one address is told twice"
    silent = await world.rows(
        "SELECT t.operation_id, t.seq, o.request || p.request AS request, r.settings FROM transition t "
        "JOIN operation o USING (project_id, operation_id) JOIN payment p USING (project_id, payment_no) "
        "JOIN project r USING (project_id) WHERE t.final"
    )
    for row in silent:
        wanted = row["settings"].get("callback_url") and "force_disable" not in str(row["request"])
        assert not wanted or told[row["operation_id"], row["seq"]], "I4: a final status without a callback"
    bodies = {hashlib.sha256(row["body"].encode()).digest() for row in rows}
    arrived = {hashlib.sha256(item.raw).digest() for item in world.merchant.received}
    assert arrived <= bodies, "I8: the merchant received a body that was never enqueued"


async def _ledger(world: "World", payments: list[Any], operations: dict[int, list[Any]]) -> None:
    """I6: what the four accounts hold follows from the payment; together they hold nothing."""
    holds: dict[int, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for entry in await world.rows(
        "SELECT e.*, o.payment_no FROM ledger_entry e JOIN operation o USING (project_id, operation_id)"
    ):
        holds[entry["payment_no"]][entry["debit"]] -= entry["amount"]
        holds[entry["payment_no"]][entry["credit"]] += entry["amount"]
    for payment in payments:
        held = holds[payment["payment_no"]]
        at_provider = sum(
            operation["amount"]
            for operation in operations[payment["payment_no"]]
            if operation["kind"] == Kind.SALE and operation["stage"] in AT_PROVIDER
        )
        merchant = payment["captured"] - payment["refunded"] - payment["reserved"]
        expected = (merchant, payment["reserved"], at_provider)
        assert expected == (held["merchant"], held["refund reserve"], held["provider"]), (
            "I6: the ledger is off"
        )
        assert 0 == sum(held.values()), "I6: the ledger does not sum to zero"


async def _books(world: "World", payment: Any, operations: list[Any]) -> None:
    """I2 and I3: one approval at most, and the provider holds what we think it holds, or we know that we do not know."""
    if any(operation["stage"] in IN_FLIGHT for operation in operations) or payment["flag"]:
        return
    for sale in operations:
        if sale["kind"] != Kind.SALE:
            continue
        books = await world.simulator.books(sale["order_number"])
        assert books.get("approvals", 0) <= 1, "I2: approved twice"
        ours = payment["captured"] - payment["refunded"] if sale["status"] == Status.SUCCESS else 0
        theirs = books["amount"] - books["cancelled"] if books.get("approvals") else 0
        assert ours == theirs, f"I3: we hold {ours}, the provider {theirs}: {json.dumps(books)}"
