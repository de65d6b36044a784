"""The audit: I1 to I8 from the rows themselves, from the provider's books, and from what went over the wires."""

import json
from collections import Counter, defaultdict
from collections.abc import Iterator
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from tests.simulation.merchant import CALLBACK_URL, REFUND_PATH
from tests.simulation.swarm import DATABASE, PROCESS

if TYPE_CHECKING:
    from tests.simulation.world import World

Row = Any
Found = Iterator[tuple[str, str]]

LISTED_SALE = {"undoing", "checking", "returning"}
LISTED_REFUND = {"asking", "repeating"}
AT_PROVIDER = {"approving", *LISTED_SALE}

STATUS_WALKS = {
    "sale": {
        ("", "awaiting redirect result"),
        ("", "decline"),
        ("awaiting redirect result", "success"),
        ("awaiting redirect result", "decline"),
    },
    "refund": {("", "processing"), ("", "decline"), ("processing", "success"), ("processing", "decline")},
}
PAYMENT_WALKS = {
    ("", "awaiting redirect result"),
    ("", "decline"),
    ("", "error"),
    ("error", "error"),
    ("error", "awaiting redirect result"),
    ("error", "decline"),
    ("awaiting redirect result", "success"),
    ("awaiting redirect result", "decline"),
    ("awaiting redirect result", "awaiting customer"),
    ("awaiting customer", "awaiting redirect result"),
    ("awaiting customer", "decline"),
    ("success", "partially refunded"),
    ("success", "refunded"),
    ("partially refunded", "refunded"),
}
STATUSES = (
    "error",
    "awaiting redirect result",
    "awaiting customer",
    "decline",
    "success",
    "partially refunded",
    "refunded",
)
SLACK_S = 60.0
"""How late a retry may begin when nothing goes wrong with processes and clocks: its lane may be narrow (F14)."""


def gap_after(failures: int) -> float:
    """Section 4.6, from its own words: six of 10 s, 62 growing ones, then 4 h each."""
    if failures <= 6:
        return 10.0
    return 70 + 10 * 1.12 ** (failures - 4) if failures <= 68 else 14_400.0


class Snapshot:
    """All rows of the payment family at one moment, and the provider's books."""

    def __init__(self, world: "World") -> None:
        fetch = world.postgres.fetch
        self.payments: list[Row] = fetch("SELECT * FROM payment ORDER BY payment_no")
        self.operations: list[Row] = fetch("SELECT * FROM operation ORDER BY operation_id")
        self.transitions: list[Row] = fetch("SELECT * FROM transition ORDER BY operation_id, seq")
        self.entries: list[Row] = fetch("SELECT * FROM ledger_entry ORDER BY operation_id, seq")
        self.callbacks: list[Row] = fetch("SELECT * FROM callback ORDER BY callback_id")
        self.of_payment = defaultdict(list)
        for operation in self.operations:
            self.of_payment[operation["payment_no"]].append(operation)
        self.history = defaultdict(list)
        for transition in self.transitions:
            self.history[transition["operation_id"]].append(transition)
        self.told = defaultdict(list)
        for callback in self.callbacks:
            self.told[callback["operation_id"], callback["seq"]].append(callback)
        pages = {payment["payment_no"] for payment in self.payments if payment["source"] == "page"}
        self.by_page = {op["operation_id"] for op in self.operations if op["payment_no"] in pages}
        books = world.provider.sim.books
        self.theirs = {payment.moid: payment for payment in books.latest("", 10_000)}
        self.cancels = {moid: books.cancellations(payment) for moid, payment in self.theirs.items()}

    def retried(self, sale: Row) -> bool:
        """Has its payer gone on to another attempt (E-43)?"""
        return any(row["event"] == "retried" for row in self.history[sale["operation_id"]])

    def refunds(self, payment: Row) -> list[Row]:
        return [
            operation for operation in self.of_payment[payment["payment_no"]] if operation["kind"] == "refund"
        ]

    def sales(self, payment: Row) -> list[Row]:
        return [
            operation for operation in self.of_payment[payment["payment_no"]] if operation["kind"] == "sale"
        ]


def check(world: "World", *, at_the_end: bool) -> None:
    """Any moment will do for what rows say of themselves; the two sets of books are compared at the end, when no message is on
    its way any more."""
    snapshot = Snapshot(world)
    found = [
        *sums(snapshot),
        *histories(world, snapshot),
        *finals_are_told(snapshot),
        *ledger(snapshot),
        *successes(world, snapshot),
    ]
    if at_the_end:
        found += [
            *both_books(snapshot),
            *acknowledged(world, snapshot),
            *limits(world, snapshot),
            *delivery(world, snapshot),
        ]
    for rule, text in found:
        world.auditor.violated(rule, text)


def nothing_delivered_is_sent_again(world: "World") -> None:
    """A callback that has come to its end stays there: who slept past the lease must not open it anew (F19)."""
    for row in world.postgres.fetch(
        "SELECT callback_id, attempt, state FROM callback WHERE state <> 'waiting'"
    ):
        if row["callback_id"] in world.auditor.resent:
            continue
        ended = world.auditor.ended.setdefault(row["callback_id"], (row["state"], row["attempt"]))
        if ended != (row["state"], row["attempt"]):
            now = f"{row['state']} at attempt {row['attempt']}"
            world.auditor.violated(
                "F19", f"callback {row['callback_id']} was {ended[0]} at attempt {ended[1]}, now {now}"
            )


def sums(snapshot: Snapshot) -> Found:
    for payment in snapshot.payments:
        name, refunds = payment["payment_id"], snapshot.refunds(payment)
        refunded = sum(refund["amount"] for refund in refunds if refund["status"] == "success")
        reserved = sum(refund["amount"] for refund in refunds if refund["status"] == "processing")
        sold = sum(sale["amount"] for sale in snapshot.sales(payment) if sale["status"] == "success")
        if refunded + reserved > sold:
            yield "I1", f"{name}: {refunded} + {reserved} go back of {sold}"
        if (sold, refunded, reserved) != (payment["captured"], payment["refunded"], payment["reserved"]):
            yield "I1", f"{name}: the payment's sums are not those of its operations"
        if any(refund["amount"] <= 0 and refund["status"] != "decline" for refund in refunds):
            yield "I1", f"{name}: a refund is not positive"
        if sum(sale["status"] == "success" for sale in snapshot.sales(payment)) > 1:
            yield "I2", f"{name}: paid twice"


def histories(world: "World", snapshot: Snapshot) -> Found:
    """I5: every walk is one that the state table allows, and nothing final changes."""
    for operation in snapshot.operations:
        rows = snapshot.history[operation["operation_id"]]
        statuses = ["", *(row["status"] for row in rows)]
        steps = {step for step in pairwise(statuses) if step[0] != step[1]}
        for step in steps - STATUS_WALKS[operation["kind"]]:
            yield "I5", f"{operation['kind']} {operation['operation_id']} went {step[0]} -> {step[1]}"
        present = (operation["seq"], operation["status"], operation["stage"])
        if not rows or (rows[-1]["seq"], rows[-1]["status"], rows[-1]["stage"]) != present:
            yield "I5", f"{operation['kind']} {operation['operation_id']} is not where its history ends"
        if sum(row["final"] for row in rows) > 1:
            yield "I5", f"{operation['operation_id']} became final twice"
        if sum(row["stage"] == "approving" for row in rows) > 1:
            yield "I2", f"{operation['operation_id']} was approved twice"
    yield from _payment_histories(world, snapshot)


def _payment_histories(world: "World", snapshot: Snapshot) -> Found:
    clocks_differ = bool(world.swarm.on.keys() & {"skew", "clock jump"})
    for payment in snapshot.payments:
        tried_again = any(snapshot.retried(sale) for sale in snapshot.sales(payment))
        if tried_again and clocks_differ:
            continue  # nothing tells in which order the attempts came
        rows = [
            row
            for op in snapshot.of_payment[payment["payment_no"]]
            for row in snapshot.history[op["operation_id"]]
        ]
        walked = [
            "",
            *(row["payment_status"] for row in sorted(rows, key=_by_clock if tried_again else _in_time)),
        ]
        for step in {step for step in pairwise(walked) if step[0] != step[1]} - PAYMENT_WALKS:
            yield "I5", f"payment {payment['payment_id']} went {step[0]} -> {step[1]}"
        if payment["status"] != walked[-1]:
            yield (
                "I5",
                f"payment {payment['payment_id']} is {payment['status']}, its history ends {walked[-1]}",
            )


def _in_time(row: Row) -> tuple[Any, ...]:
    """Refunds only begin when the sale has ended, and sums only grow: clocks that differ do not matter."""
    return STATUSES.index(row["payment_status"]), row["operation_id"], row["seq"]


def _by_clock(row: Row) -> tuple[Any, ...]:
    return row["at"], row["operation_id"], row["seq"]


def finals_are_told(snapshot: Snapshot) -> Found:
    """I4: a row for each address, made with the status."""
    for row in snapshot.transitions:
        opened = row["status"] == "awaiting redirect result" and row["seq"] == 1
        lapsed = row["event"] == "lapsed"  # E-43: nobody has tried again, now the payment is declined
        wanted = row["final"] or lapsed or (opened and row["operation_id"] not in snapshot.by_page)
        urls = [callback["url"] for callback in snapshot.told[row["operation_id"], row["seq"]]]
        if wanted and CALLBACK_URL not in urls:
            yield "I4", f"{row['operation_id']} became {row['status']} and nobody is told"
        if len(urls) != len(set(urls)):
            yield "I4", f"{row['operation_id']}: one address is told twice"
        if urls and not wanted:
            yield (
                "I4",
                f"{row['operation_id']}: a callback for a step that is none of the merchant's business",
            )
    for callback in snapshot.callbacks:
        operation = json.loads(callback["body"])["operation"]
        row = next(r for r in snapshot.history[callback["operation_id"]] if r["seq"] == callback["seq"])
        if operation["status"] != row["status"]:
            yield "I4", f"{callback['operation_id']}: the callback says {operation['status']}"


def ledger(snapshot: Snapshot) -> Found:
    """I6: what the four accounts hold follows from the operations; together they hold nothing."""
    holds: dict[int, Counter[str]] = defaultdict(Counter)
    payment_of = {operation["operation_id"]: operation["payment_no"] for operation in snapshot.operations}
    for entry in snapshot.entries:
        held = holds[payment_of[entry["operation_id"]]]
        held[entry["debit"]] -= entry["amount"]
        held[entry["credit"]] += entry["amount"]
    for payment in snapshot.payments:
        held = holds[payment["payment_no"]]
        away = sum(sale["amount"] for sale in snapshot.sales(payment) if sale["stage"] in AT_PROVIDER)
        merchant = payment["captured"] - payment["refunded"] - payment["reserved"]
        expected = {"merchant": merchant, "refund reserve": payment["reserved"], "provider": away}
        if any(held[book] != amount for book, amount in expected.items()) or 0 != sum(held.values()):
            yield "I6", f"{payment['payment_id']}: the ledger holds {dict(held)}, expected {expected}"


def successes(world: "World", snapshot: Snapshot) -> Found:
    """A success at any moment: the provider approved it, rightly signed, and the whole of it (E-13, N-9)."""
    for sale in snapshot.operations:
        if sale["kind"] == "sale" and sale["status"] == "success":
            theirs = snapshot.theirs.get(sale["order_number"])
            if theirs is None or theirs.approvals != 1 or theirs.amount != sale["amount"]:
                yield "I3", f"{sale['operation_id']} is a success that the provider does not know"
            if world.auditor.approved.get(sale["reference"]) != sale["amount"]:
                yield "I3", f"{sale['operation_id']} is a success without an approval of its amount"


def both_books(snapshot: Snapshot) -> Found:
    """I2, I3: the provider's truth is ours, or the operation is listed as unresolved."""
    yield from _nobodys_money(snapshot)
    for payment in snapshot.payments:
        for sale in snapshot.sales(payment):
            theirs = snapshot.theirs.get(sale["order_number"])
            approved = theirs is not None and theirs.approvals > 0
            if approved and theirs is not None and theirs.approvals > 1:
                yield "I2", f"{payment['payment_id']}: {theirs.approvals} approvals at the provider"
            if sale["status"] == "decline" and sale["stage"] == "done" and theirs and theirs.remain:
                yield "I3", f"{payment['payment_id']} is declined, the provider holds {theirs.remain}"
            if sale["stage"] == "approving" and sale["status"] == "success":
                yield "I3", f"{payment['payment_id']} succeeded before its approval ended"
            if sale["status"] == "success":
                yield from _refunds_in_both(snapshot, payment, sale)


def _nobodys_money(snapshot: Snapshot) -> Found:
    ours = {operation["order_number"] for operation in snapshot.operations}
    for moid, theirs in snapshot.theirs.items():
        if theirs.approvals and theirs.remain and moid not in ours:
            yield "I3", f"the provider holds {theirs.remain} for {moid}, which no sale of ours names"


def _refunds_in_both(snapshot: Snapshot, payment: Row, sale: Row) -> Found:
    done = [cancel for cancel in snapshot.cancels.get(sale["order_number"], []) if cancel.state == "done"]
    by_hand = sum(cancel.amount for cancel in done if cancel.kind == "admin")
    named = defaultdict(list)
    for cancel in done:
        named[cancel.cancel_moid].append(cancel.amount)
    _reckon_equals(snapshot, payment, sale, named)
    for refund in snapshot.refunds(payment):
        amounts = named.pop(f"{sale['order_number']}R{refund['operation_id']}", [])
        what = f"{payment['payment_id']}: refund {refund['operation_id']} ({refund['amount']}, {refund['stage']})"
        if len(amounts) > 1:
            yield "I1", f"{what} was cancelled {len(amounts)} times at the provider"
        if refund["status"] == "success" and amounts != [refund["amount"]] and not by_hand:
            yield "I3", f"{what} succeeded, the provider cancelled {amounts}"
        if refund["status"] == "decline" and amounts:
            yield "I3", f"{what} is declined, the provider cancelled {amounts}"
        if refund["stage"] in ("reserved", "new") and amounts:
            yield "I3", f"{what} was never sent, the provider cancelled {amounts}"
    for name, amounts in named.items():
        if name:
            yield (
                "I3",
                f"{payment['payment_id']}: the provider cancelled {amounts} as {name}, which we do not know",
            )


def _reckon_equals(snapshot: Snapshot, payment: Row, sale: Row, named: dict[str, list[int]]) -> None:
    """Of equal refunds the provider's list tells how many were done: the cancel of one that was declined in favour of another,
    and that one has none of its own, is the other's."""
    refunds = {refund["operation_id"]: refund for refund in snapshot.refunds(payment)}
    for number, refund in refunds.items():
        equal = refunds.get(refund["details"].get("equal_done"))
        name = f"{sale['order_number']}R{number}"
        if equal is None or refund["status"] != "decline" or name not in named:
            continue
        theirs = f"{sale['order_number']}R{equal['operation_id']}"
        if equal["amount"] == refund["amount"] and equal["status"] == "success" and theirs not in named:
            named[theirs] = named.pop(name)


def acknowledged(world: "World", snapshot: Snapshot) -> Found:
    """I7, and E-6: identical bytes meet the first answer."""
    known = {operation["request_id"]: operation for operation in snapshot.operations}
    first: dict[bytes, str] = {}
    for accepted in world.auditor.accepted:
        if accepted.request_id not in known:
            yield "I7", f"{accepted.path} was accepted as {accepted.request_id[:14]} and is gone"
        again = first.setdefault(accepted.body, accepted.request_id)
        if accepted.path != REFUND_PATH and again != accepted.request_id:
            yield "E-6", f"one request at {accepted.path} was accepted as two"
    opened = defaultdict(list)
    for operation in snapshot.operations:
        opened[operation["kind"], operation["request_hash"]].append(operation)
    skewed = world.swarm.on.keys() & {"skew", "clock jump"}
    for (kind, _), operations in opened.items():
        for one, other in pairwise(operations):
            soon = (other["created_at"] - one["created_at"]).total_seconds() < 590
            anew = kind == "sale" and not any(snapshot.retried(sale) for sale in (one, other))
            if anew or (kind == "refund" and soon and not skewed):
                yield "E-6", f"the same {kind} request was carried out twice"


def limits(world: "World", snapshot: Snapshot) -> Found:
    """E-37, N-13: no approval is asked for after the limit time; but a process that is frozen after its last look at the clock
    asks when it wakes up, and what comes of it is undone."""
    if world.swarm.on.keys() & {"skew", "clock jump", "freeze"} or world.plan.freeze_at:
        return
    for sale in snapshot.operations:
        for at_s in world.auditor.approvals_sent.get(sale["reference"], []) if sale["kind"] == "sale" else []:
            late_s = (world.moment_at(at_s) - sale["limit_at"]).total_seconds()
            if late_s > 5:
                yield "E-37", f"{sale['operation_id']} was approved {late_s:.0f} s after its limit time"


def delivery(world: "World", snapshot: Snapshot) -> Found:
    """E-19, section 4.6, I8."""
    bodies = {(callback["url"], callback["body"].encode()): callback for callback in snapshot.callbacks}
    disturbed = world.swarm.on.keys() & {*DATABASE, *PROCESS}
    for (url, name), sends in world.auditor.sends.items():
        callback = bodies.get((url, sends.body))
        if callback is None:
            yield "I8", f"{name} was sent with a body that is in no row"
            continue
        if callback["state"] == "delivered" and 200 not in sends.statuses:
            yield "E-19", f"{name} counts as delivered, the endpoint answered {sends.statuses}"
        by_hand = callback["callback_id"] in world.auditor.resent
        if not by_hand and not disturbed and not world.counted["crashes"] and not world.counted["freezes"]:
            yield from _instants(name, sends, callback)


def _instants(name: str, sends: Any, callback: Row) -> Found:
    """When nothing disturbs processes and clocks, attempts come exactly when the schedule says."""
    if 200 in sends.statuses[:-1]:
        yield "E-19", f"{name} was sent again after it had been delivered"
    for number, (ended_s, began_s) in enumerate(zip(sends.ended_s, sends.began_s[1:], strict=False), 1):
        late_s = began_s - ended_s - gap_after(number)
        if not -0.01 <= late_s <= SLACK_S:
            yield "4.6", f"retry {number} of {name} began {late_s:+.1f} s off the schedule"
    if callback["state"] == "failed" and len(sends.began_s) != 121:
        yield "4.6", f"{name} was given up after {len(sends.began_s)} sends"
