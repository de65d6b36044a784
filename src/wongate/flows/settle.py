"""THE DOOR: every change of a payment, whoever brings it - return, notice, inquiry, timer, refund, person - goes through here.

A change is a plain function of the payment as it stands; it moves operations along the table and leaves rows behind. Changes
that wait at the same moment share one transaction: lock all, read all, decide one by one, write all.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, NamedTuple, TypeVar, cast

from wongate.connections.batch import Batch
from wongate.connections.database import Tx, Unavailable
from wongate.connections.shares import Overloaded
from wongate.domain import ledger
from wongate.domain.lifecycle import FINAL, Event, Stage, advance
from wongate.domain.members import Flaw
from wongate.domain.outcome import Exchange, Form
from wongate.domain.payment import Operation, Payment, Project, payment_after
from wongate.domain.retry import retry_until
from wongate.flows.platform import Platform
from wongate.flows.tell import callback_rows, delay_s, new_lanes, open_lanes
from wongate.store import payments
from wongate.store.seen import Seen, write_if_unchanged
from wongate.store.written import Key, Written, write

log = logging.getLogger(__name__)

T = TypeVar("T")

UNRESOLVED = "reconciliation needed"
"""The flag of a payment whose truth at the provider is not known (N-10, N-12); it goes when the truth is found."""


BOOK_WITHIN_S = 15.0
"""Seconds for which a provider's answer waits to be written. With the call itself (35 s) that is within the intent's lease of
60 s, after which the worker finds out by asking."""

BOOK_AGAIN_S = 0.5


class Case:
    """One payment under its lock. What is decided here is written when the transaction ends, or not at all."""

    def __init__(
        self,
        platform: Platform,
        project: Project,
        payment: Payment,
        operations: Sequence[Operation],
        now: datetime,
    ) -> None:
        self.project = project
        self.payment = payment
        self.operations = {operation.operation_id: operation for operation in operations}
        self.now = now
        self.written = Written()
        self.alarms: list[dict[str, Any]] = []
        self._platform = platform

    @property
    def sale(self) -> Operation:
        return self.operations[self.payment.sale_id]

    def open(
        self, operation: Operation, event: Event, *, form: Form | None = None, flaws: Sequence[Flaw] = ()
    ) -> Operation:
        """Adds a new operation to the payment and takes it through its first event."""
        self.written.new_operations[operation.project_id, operation.operation_id] = operation
        return self.move(operation, event, form=form, flaws=flaws)

    def move(
        self,
        operation: Operation,
        event: Event,
        *,
        note: str = "",
        form: Form | None = None,
        flaws: Sequence[Flaw] = (),
        **changes: Any,
    ) -> Operation:
        """Takes the operation through an event, with further `changes` of its fields. Raises IllegalMove."""
        status, stage = advance(operation.kind, operation.status, operation.stage, event)
        final = status in FINAL and operation.status not in FINAL
        if status is not operation.status or operation.seq == 0:
            changes["changed_at"] = self.now
        if stage is Stage.DONE:
            changes["wake_at"] = None
        moved = operation._replace(status=status, stage=stage, seq=operation.seq + 1, **changes)
        payment = self.payment
        if final or operation.status not in FINAL or event is Event.LAPSED:
            self.payment = payment_after(self.payment, moved, event, self.now)
        if stage is Stage.DONE and self.payment.flag == UNRESOLVED:
            self.payment = self.payment._replace(flag="")
        if self.payment != payment:
            self.written.payments[self._key] = self.payment
        self._keep(moved)
        self._record(operation, moved, event, final, note)
        if final or form is not None or event is Event.LAPSED:
            delay = delay_s(self.payment, moved)
            self.written.callbacks += callback_rows(
                self._platform, self.project, self.payment, moved, delay_s=delay, form=form, flaws=flaws
            )
        return moved

    def decline(self, sale: Operation, **changes: Any) -> Operation:
        """The provider said no: for good, or for now where the payer may try again (E-43)."""
        until = retry_until(self.project, self.payment, list(self.operations.values()), self.now)
        if until is None:
            return self.move(sale, Event.DECLINED, **changes)
        return self.move(sale, Event.DECLINED_FOR_NOW, wake_at=until, **changes)

    def change(self, operation: Operation, **changes: Any) -> Operation:
        """Changes fields that are not part of the lifecycle: next look, counters, flags."""
        changed = operation._replace(**changes)
        self._keep(changed)
        return changed

    def flag(self, text: str) -> None:
        """Marks an odd state of the payment for people."""
        self.payment = self.payment._replace(flag=text)
        self.written.payments[self._key] = self.payment

    def alarm(self, operation: Operation, text: str) -> None:
        """A flag, and once this is committed a line in the log that a pager can be tied to."""
        self.flag(text)
        self.alarms.append({"alarm": text, "operation_id": operation.operation_id, **self._names})

    @property
    def _names(self) -> dict[str, Any]:
        return {"project_id": self.payment.project_id, "payment_id": self.payment.payment_id}

    def note(self, operation: Operation, exchange: Exchange) -> None:
        """Keeps an exchange with the provider for the time line."""
        self.written.exchanges.append(
            {
                "project_id": operation.project_id,
                "operation_id": operation.operation_id,
                "exchange_no": self._platform.ids.next(),
                "kind": exchange.kind,
                "at": exchange.at,
                "duration_ms": exchange.duration_ms,
                "request": dict(exchange.request),
                "response": dict(exchange.response),
                "verdict": exchange.verdict,
            }
        )

    @property
    def _key(self) -> Key:
        return self.payment.project_id, self.payment.payment_no

    def _keep(self, operation: Operation) -> None:
        key = (operation.project_id, operation.operation_id)
        self.operations[operation.operation_id] = operation
        if key in self.written.new_operations:
            self.written.new_operations[key] = operation
        else:
            self.written.operations[key] = operation

    def _record(self, before: Operation, after: Operation, event: Event, final: bool, note: str) -> None:
        self.written.transitions.append(transition_row(self.payment, after, event, final, note, self.now))
        entry = ledger.entry(before.kind, before.stage, event, after.amount)
        if entry is not None:
            self.written.entries.append(
                {
                    "project_id": after.project_id,
                    "operation_id": after.operation_id,
                    "seq": after.seq,
                    "debit": entry.debit,
                    "credit": entry.credit,
                    "amount": entry.amount,
                    "at": self.now,
                }
            )


def transition_row(
    payment: Payment, operation: Operation, event: Event, final: bool, note: str, at: datetime
) -> dict[str, Any]:
    return {
        "project_id": operation.project_id,
        "operation_id": operation.operation_id,
        "seq": operation.seq,
        "event": event,
        "status": operation.status,
        "stage": operation.stage,
        "payment_status": payment.status,
        "code": operation.code,
        "final": final,
        "note": note,
        "at": at,
    }


@dataclass(frozen=True, slots=True)
class Change(Generic[T]):
    """A change that somebody wants: `decide` gets the case and answers what the caller is told. It must be repeatable: after
    a connection lost during COMMIT it runs again and may find its own work done."""

    project: Project
    payment_no: int
    decide: Callable[[Case], T]


class Door:
    """Where changes wait for their turn. One per process.

    A change is decided under the payment's lock, in five round trips; or on the payment as it was `seen`, in one, which writes
    only if nobody has changed it since. What it has not written is decided anew under the lock.
    """

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._locked: Batch[Change[Any], Any] = Batch(self._settle, size_max=64)
        self._unlocked: Batch[tuple[Change[Any], Seen], Any] = Batch(self._settle_seen, size_max=64)

    async def settle(
        self, project: Project, payment_no: int, decide: Callable[[Case], T], seen: Seen | None = None
    ) -> T:
        """Runs `decide` and commits what it moved; what it raises changes nothing. `seen` is brought up to date."""
        change = Change(project, payment_no, decide)
        if seen is not None and not seen.stale and not self._platform.database.spread:
            result = await self._unlocked.submit((change, seen), project.project_id)
            if result is not STALE:
                return cast("T", result)
            seen.stale = True
        result = await self._locked.submit(change, project.project_id)
        return cast("T", result)

    async def book(
        self, project: Project, payment_no: int, decide: Callable[[Case], T], seen: Seen | None = None
    ) -> T:
        """`settle` for what a provider has answered about money: nobody else knows it, so the database is waited for."""
        deadline_s = self._platform.monotonic() + BOOK_WITHIN_S
        while True:
            try:
                return await self.settle(project, payment_no, decide, seen)
            except (Overloaded, Unavailable):
                if self._platform.monotonic() > deadline_s:
                    raise
                await asyncio.sleep(BOOK_AGAIN_S)

    async def _settle(self, changes: Sequence[Change[Any]]) -> Sequence[Any]:
        async def story(tx: Tx) -> tuple[list[Any], Written, dict[Key, Case]]:
            cases = await self._cases(tx, changes)
            written = Written()
            results = [_decide(change, cases, written) for change in changes]
            await open_lanes(self._platform, tx, written.callbacks)
            await write(tx, written)
            return results, written, cases

        results, written, cases = await self._platform.database.run(story)
        self._platform.lanes.update((row["project_id"], row["lane"]) for row in written.callbacks)
        _sound(cases.values())
        return results

    async def _settle_seen(self, changes: Sequence[tuple[Change[Any], Seen]]) -> Sequence[Any]:
        """All of them or none. What raises, makes no new version or needs a new lane, and the second change of one payment, is
        left to the lock."""
        now = self._platform.clock.now()
        decided: dict[Key, Decided] = {}
        results = [self._decide_seen(change, seen, now, decided) for change, seen in changes]
        written = Written()
        for one in decided.values():
            written.add(one.case.written)
        unchanged = [one.seen for one in decided.values()]
        if not decided or new_lanes(self._platform, written.callbacks):
            return [STALE] * len(changes)
        version = await self._platform.database.run(
            lambda tx: write_if_unchanged(tx, unchanged, written), one_statement=True
        )
        if version is None:
            return [STALE] * len(changes)
        for one in decided.values():
            one.seen.left(one.case.payment, one.case.operations.values(), one.case.written, version)
        _sound(one.case for one in decided.values())
        return results

    def _decide_seen(
        self, change: Change[Any], seen: Seen, now: datetime, decided: dict[Key, "Decided"]
    ) -> Any:
        key = (change.project.project_id, change.payment_no)
        if key in decided:
            return STALE
        case = Case(self._platform, change.project, seen.payment, seen.operations, now)
        try:
            result = change.decide(case)
        except Exception:
            return STALE
        if not case.written.payments and not case.written.operations:
            return STALE  # a note alone makes no new version: repeated after a lost COMMIT, it would be written twice
        decided[key] = Decided(case, seen)
        return result

    async def _cases(self, tx: Tx, changes: Sequence[Change[Any]]) -> dict[Key, Case]:
        projects = {(change.project.project_id, change.payment_no): change.project for change in changes}
        keys = sorted(projects)
        locked = await payments.lock(tx, keys)
        operations = await payments.operations_locked(tx, keys)
        now = self._platform.clock.now()
        return {
            key: Case(self._platform, projects[key], payment, operations[key], now)
            for key, payment in locked.items()
        }


class Decided(NamedTuple):
    case: Case
    seen: Seen


STALE = object()
"""Instead of a result: what was seen is not how it stands."""


def _sound(cases: Iterable[Case]) -> None:
    for case in cases:
        for alarm in case.alarms:
            log.error("alarm", extra=alarm)


def _decide(change: Change[Any], cases: dict[Key, Case], written: Written) -> Any:
    """A change that raises leaves its case as it was, for the next change of the same payment in this transaction."""
    key = (change.project.project_id, change.payment_no)
    case = cases[key]
    payment, operations = case.payment, dict(case.operations)
    case.written = Written()
    try:
        result = change.decide(case)
    except Exception as error:
        case.payment, case.operations = payment, operations
        return error
    written.add(case.written)
    return result
