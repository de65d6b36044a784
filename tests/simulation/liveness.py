"""Liveness: what must have come to its end some time after the last fault, and what may still be open."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from tests.simulation.books import LISTED_SALE, Found, Row, Snapshot
from tests.simulation.merchant import CALLBACK_URL, COPY_URL

if TYPE_CHECKING:
    from tests.simulation.world import World


def settled(world: "World") -> Found:
    """Liveness: some time after the last fault everything is final, and the truth at the provider is known."""
    snapshot = Snapshot(world)
    for operation in snapshot.operations:
        if operation["stage"] == "done" or _may_wait(world, snapshot, operation):
            continue
        what = f"{operation['kind']} {operation['operation_id']} is still {operation['stage']}"
        yield "liveness", what
    dead = world.merchant.is_dead(CALLBACK_URL)
    for callback in snapshot.callbacks:
        if callback["state"] == "waiting" and not (dead and callback["url"] != COPY_URL):
            yield "liveness", f"a callback of {callback['operation_id']} still waits"
        if callback["by_hand_at"] is not None:
            yield "liveness", f"callback {callback['callback_id']} was asked for once more and still waits"
        if callback["state"] == "dropped" and not callback["intermediate"]:
            yield "liveness", f"a final callback of {callback['operation_id']} was dropped"
    waiting = world.postgres.fetch("SELECT reference FROM notice WHERE wake_at IS NOT NULL")
    for notice in waiting:
        yield "liveness", f"the notice about {notice['reference']} still waits"


def _may_wait(world: "World", snapshot: Snapshot, operation: Row) -> bool:
    """Only a notice, a later refund's remainder, a list or a person settles a *partial* cancel of unknown outcome, and a whole
    one that stayed unknown through all of its ten repetitions (N-12); later refunds wait behind two of them, never behind one. A
    sale of which somebody has given back a part at the provider cannot be undone as a whole any more."""
    payment = next(p for p in snapshot.payments if p["payment_no"] == operation["payment_no"])
    cancels = snapshot.cancels.get(operation["order_number"], [])
    by_hand = any(cancel.kind == "admin" for cancel in cancels)
    if operation["kind"] == "sale":
        return by_hand and operation["stage"] in LISTED_SALE
    unknown = [refund for refund in snapshot.refunds(payment) if refund["stage"] == "asking"]
    if operation["stage"] == "reserved":
        return len(unknown) > 1 and all(_may_wait(world, snapshot, refund) for refund in unknown)
    name = f"{operation['order_number']}R{operation['operation_id']}"
    whole = operation["amount"] == payment["captured"] and not payment["refunded"]
    told = (snapshot.theirs[operation["order_number"]].tid, name) in world.auditor.notices_taken
    tried_enough = world.auditor.cancels_sent[name] > 10
    return operation["stage"] == "asking" and not told and (not whole or by_hand or tried_enough)


def open_refunds(world: "World") -> list[Row]:
    """Those of unknown outcome."""
    return world.postgres.fetch("SELECT * FROM operation WHERE kind = 'refund' AND stage = 'asking'")


def told_by_books(world: "World") -> Found:
    """Refunds that are open although what the provider has left of the payment tells of them: a timer of the operator's leaves
    none. One that takes all that was left an inquiry tells of, and of two of one amount it does not matter which was done."""
    snapshot = Snapshot(world)
    for payment in snapshot.payments:
        unknown = [refund for refund in snapshot.refunds(payment) if refund["stage"] == "asking"]
        sale = next((sale for sale in snapshot.sales(payment) if sale["status"] == "success"), None)
        if not unknown or sale is None:
            continue
        done = sum(refund["amount"] for refund in snapshot.refunds(payment) if refund["status"] == "success")
        kept = sale["amount"] - done
        gone = kept - snapshot.theirs[sale["order_number"]].remain
        ways = set(_ways(sorted(refund["amount"] for refund in unknown), gone))
        if len(ways) == 1 and all(refund["amount"] != kept for refund in unknown):
            names = [refund["operation_id"] for refund in unknown]
            yield "liveness", f"refunds {names} are open, the provider's books tell of them"


def _ways(amounts: Sequence[int], gone: int) -> Iterator[tuple[int, ...]]:
    """Which of these amounts add up to what has gone."""
    if not amounts:
        yield from [()] if gone == 0 else []
        return
    yield from _ways(amounts[1:], gone)
    yield from ((amounts[0], *others) for others in _ways(amounts[1:], gone - amounts[0]))
