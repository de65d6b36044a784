"""Deliberate breakages: each takes one safeguard away, in the test only, and the simulation has to notice.

A safeguard whose loss nobody notices is either not needed or not tested.
"""

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any
from unittest.mock import patch

from tests.simulation.swarm import Swarm
from tests.simulation.world import FROZEN_S, Plan, World

from wongate.connections.http import NoAnswer
from wongate.domain import codes, ledger, lifecycle
from wongate.domain import payment as nouns
from wongate.domain.lifecycle import Event, Kind, Stage, Status
from wongate.domain.outcome import Approved, Declined, NotSent, Standing, Unanswered
from wongate.flows import approve, deliver, give_back, notice, reconcile, refund, rungs, sale, settle
from wongate.providers.nicepay import answers, client
from wongate.store import callbacks, payments

Patch = tuple[Any, str, Any]


@dataclass(frozen=True, slots=True)
class Mutation:
    """`patches` replace attributes, `entries` items of mappings.

    Its seeds lean towards what makes the loss visible: `faults` are on at these rates, `course` is part of the plan. `seed` has
    noticed it before: a good one to begin with, no promise.
    """

    name: str
    patches: Sequence[Patch] = ()
    entries: Sequence[tuple[dict[Any, Any], Any, Any]] = ()
    faults: Mapping[str, float] = field(default_factory=dict)
    course: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 1

    @contextmanager
    def applied(self) -> Iterator[None]:
        with ExitStack() as stack:
            for target, name, replacement in self.patches:
                stack.enter_context(patch.object(target, name, replacement))
            for mapping, key, value in self.entries:
                stack.enter_context(patch.dict(mapping, {key: value}))
            yield

    def plan(self) -> Plan:
        return Plan(swarm=Swarm.leaning(self.faults), **self.course)


# --- locks and transactions -------------------------------------------------------------------------------------------------


class _Rewritten:
    """A transaction whose statements lose a part of their text."""

    def __init__(self, tx: Any, *parts: str) -> None:
        self._tx = tx
        self._parts = parts

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._tx, name)

        def call(statement: str, *arguments: Any) -> Any:
            for part in self._parts:
                statement = statement.replace(part, "")
            return method(statement, *arguments)

        return call


_lock, _operations_locked, _record = payments.lock, payments.operations_locked, callbacks.record


async def _read_without_lock(tx: Any, keys: Any) -> Any:
    return await _lock(_Rewritten(tx, " FOR UPDATE"), keys)


async def _stale_cases(self: settle.Door, tx: Any, changes: Any) -> Any:
    """The operations are read before the payment's lock is held."""
    projects = {(change.project.project_id, change.payment_no): change.project for change in changes}
    keys = sorted(projects)
    operations = await _operations_locked(_Rewritten(tx, " FOR UPDATE"), keys)
    await asyncio.sleep(0.02)
    locked = await payments.lock(tx, keys)
    now = self._platform.clock.now()
    return {
        key: settle.Case(self._platform, projects[key], locked[key], operations[key], now) for key in locked
    }


async def _settle_in_two(self: settle.Door, changes: Any) -> Any:
    """The callbacks follow in a transaction of their own."""

    async def story(tx: Any) -> tuple[list[Any], list[Any]]:
        cases = await self._cases(tx, changes)
        written = payments.Written()
        results = [settle._decide(change, cases, written) for change in changes]
        await settle.open_lanes(self._platform, tx, written.callbacks)
        late, written.callbacks = written.callbacks, []
        await payments.write(tx, written)
        return results, late

    results, late = await self._platform.database.run(story)
    if late:
        await self._platform.database.run(lambda tx: payments.write(tx, payments.Written(callbacks=late)))
    return results


async def _answered_at_once(self: sale.Intake, new: sale.NewSale) -> bool:
    asyncio.get_running_loop().create_task(self._batch.submit(new))
    return True


_move = settle.Case.move


def _confirmed_without_alarm_clock(self: settle.Case, operation: Any, event: Event, **changes: Any) -> Any:
    if event is Event.CONFIRMED:
        changes["wake_at"] = None
    return _move(self, operation, event, **changes)


async def _recorded_by_anybody(tx: Any, sent: Any) -> None:
    await _record(_Rewritten(tx, "AND c.attempt = r.attempt AND c.state = 'waiting'"), sent)


# --- approvals ----------------------------------------------------------------------------------------------------------------

_approve, _net_cancel, _book_approval = (
    client.Nicepay.approve,
    client.Nicepay.net_cancel,
    approve.book_approval,
)


async def _approve_twice(self: client.Nicepay, *arguments: Any, **named: Any) -> Any:
    outcome, exchange = await _approve(self, *arguments, **named)
    return (
        (outcome, exchange)
        if not isinstance(outcome, Unanswered)
        else await _approve(self, *arguments, **named)
    )


def _silence_declines(case: settle.Case, operation: Any, outcome: Any) -> bool:
    if isinstance(outcome, Unanswered):
        outcome = Declined(codes.GENERAL_DECLINE)
    return _book_approval(case, operation, outcome)


def _any_amount_pays(case: settle.Case, operation: Any, outcome: Any) -> bool:
    if isinstance(outcome, Approved):
        outcome = replace(outcome, amount=operation.amount)
    return _book_approval(case, operation, outcome)


_read = client._read


def _silence_was_never_sent(answered: Any) -> Any:
    return ({}, NotSent(answered.reason)) if isinstance(answered, NoAnswer) else _read(answered)


async def _undone_by_itself(platform: Any, project: Any, operation: Any) -> Any:
    return Event.UNDONE, []


async def _never_undone(*arguments: Any) -> None:
    return None


_door_settle = settle.Door.settle


async def _late_returns_count(
    self: settle.Door, project: Any, payment_no: int, decide: Callable[[Any], Any]
) -> Any:
    def earlier(case: settle.Case) -> Any:
        limit_at = case.sale.limit_at
        if decide.__name__ == "confirm" and limit_at is not None:
            case.now = min(case.now, limit_at - timedelta(seconds=1))
        return decide(case)

    return await _door_settle(self, project, payment_no, earlier)


async def _expire_late(platform: Any, door: Any, project: Any, operation: Any) -> None:
    def decide(case: settle.Case) -> None:
        waiting: Any = case.operations[operation.operation_id]
        if waiting.stage is Stage.WAITING and case.now >= waiting.limit_at + timedelta(seconds=900):
            case.move(waiting, Event.EXPIRED, code=20602)
        else:
            case.change(waiting, wake_at=case.now + timedelta(seconds=60))

    await door.settle(project, operation.payment_no, decide)


# --- refunds ------------------------------------------------------------------------------------------------------------------

_payment_after, _refusal, _book_refund, _entry = (
    nouns.payment_after,
    refund._Opening._refusal,
    give_back.book_refund,
    ledger.entry,
)


def _nothing_reserved(payment: Any, operation: Any, event: Event, at: Any) -> Any:
    if operation.kind is Kind.SALE or event is Event.UNANSWERED:
        return _payment_after(payment, operation, event, at)
    held = replace(payment, reserved=payment.reserved + operation.amount)
    after = _payment_after(held, operation, event, at)
    return replace(after, reserved=0) if event in (Event.APPROVED, Event.DECLINED) else payment


def _without_limit(self: Any, case: settle.Case) -> int | None:
    found = _refusal(self, case)
    return None if found in (codes.REFUND_ABOVE_REMAINDER, codes.LOCKED) else found


def _no_resends(self: Any, case: settle.Case) -> None:
    return None


def _silence_releases(case: settle.Case, operation: Any, outcome: Any) -> bool:
    if isinstance(outcome, Unanswered):
        outcome = Declined(codes.GENERAL_DECLINE)
    return _book_refund(case, operation, outcome)


def _always_again(operation: Any, outcome: Any) -> bool:
    return True


def _refunds_unentered(kind: Kind, stage: Stage, event: Event, amount: int) -> Any:
    return None if kind is Kind.REFUND and event is Event.APPROVED else _entry(kind, stage, event, amount)


def _believe_any_inquiry(case: settle.Case, operation: Any, standing: Standing) -> None:
    """An inquiry that says `approved` is taken for `the cancel was not done`."""
    give_back.book_refund(case, operation, Declined(codes.GENERAL_DECLINE))


def _believe_any_remainder(case: settle.Case, left: int | None) -> None:
    for operation in [found for found in case.operations.values() if found.stage is Stage.ASKING]:
        case.move(operation, Event.APPROVED, code=codes.SUCCESS)


# --- callbacks and notices ----------------------------------------------------------------------------------------------------

_callback_rows, _judge, _send, _inquire = (
    settle.callback_rows,
    deliver.judge,
    deliver.Delivery._send,
    client.Nicepay.inquire,
)


def _declined_refunds_untold(
    platform: Any, project: Any, payment: Any, operation: Any, **options: Any
) -> Any:
    if operation.kind is Kind.REFUND and operation.status is Status.DECLINE:
        return []
    return _callback_rows(platform, project, payment, operation, **options)


async def _body_counts_attempts(self: deliver.Delivery, due: Any, *others: Any) -> None:
    await _send(self, replace(due, body=due.body + " " * (due.attempt - 1)), *others)


def _any_2xx_will_do(answer: Any, failures: int, now: Any) -> Any:
    if getattr(answer, "status", 0) in (201, 204):
        answer = replace(answer, status=200)
    return _judge(answer, failures, now)


def _known_too_soon(case: settle.Case, operation: Any) -> str | None:
    return "known" if operation.stage is not Stage.ASKING else _settled_by_notice(case, operation)


_settled_by_notice = notice._settled_by_notice


_UNDOING_FOUND_NOTHING = (Kind.SALE, Stage.UNDOING, Event.NOTHING_TO_UNDO)
_LOST_ANSWERS = {"provider: drop answer": 0.4}
_CRASHES = {"crash": 0.03}
_NAPS = {"freeze": 0.03, "nicepay: tokens outlive net cancels": 1.0}
_LATE_APPROVALS = {
    "provider: delay": 0.6,
    "nicepay: tokens outlive net cancels": 1.0,
    "nicepay: hang before": 0.5,
}

MUTATIONS = (
    Mutation(
        "the payment is read without its lock",
        [(payments, "lock", _read_without_lock)],
        course={"servers": 2, "refunds": "at once"},
        seed=23,
    ),
    Mutation(
        "operations are read before the lock is held",
        [(settle.Door, "_cases", _stale_cases)],
        course={"servers": 2, "refunds": "twice the same"},
        seed=5,
    ),
    Mutation(
        "callbacks are written after the commit", [(settle.Door, "_settle", _settle_in_two)], faults=_CRASHES
    ),
    Mutation(
        "a sale is answered before it is committed",
        [(sale.Intake, "insert", _answered_at_once)],
        faults=_CRASHES,
        seed=4,
    ),
    Mutation(
        "nobody wakes an intent whose maker died",
        [(settle.Case, "move", _confirmed_without_alarm_clock)],
        faults=_CRASHES,
        seed=25,
    ),
    Mutation(
        "a send is recorded whoever has the lease",
        [(callbacks, "record", _recorded_by_anybody)],
        faults={"freeze": 0.02, "merchant: error": 0.3},
        course={"workers": 2},
        seed=2,
    ),
    Mutation(
        "two returns share one intent",
        [(World, "chance", lambda self, name: bytes)],
        course={"payer": ("card", "twice")},
        seed=3,
    ),
    Mutation(
        "an approval is sent again after silence",
        [(client.Nicepay, "approve", _approve_twice)],
        faults=_LOST_ANSWERS,
        seed=4,
    ),
    Mutation(
        "silence declines a sale",
        [(approve, "book_approval", _silence_declines)],
        faults=_LOST_ANSWERS,
        seed=4,
    ),
    Mutation(
        "silence counts as never sent",
        [(client, "_read", _silence_was_never_sent)],
        faults=_LOST_ANSWERS,
        seed=4,
    ),
    Mutation(
        "an approval of any amount pays",
        [(approve, "book_approval", _any_amount_pays)],
        faults={"nicepay: other amount": 0.5},
        seed=5,
    ),
    Mutation(
        "answers are believed without signature",
        [(answers, "_is_signed", lambda *given: True)],
        faults={"nicepay: wrong signature": 0.5},
        seed=5,
    ),
    Mutation(
        "the net cancel is skipped, the sale declined",
        [(reconcile, "_bring_back", _undone_by_itself)],
        faults=_LOST_ANSWERS,
        seed=4,
    ),
    Mutation("nothing is ever undone", [(reconcile, "undo", _never_undone)], faults=_LOST_ANSWERS, seed=4),
    Mutation(
        "nothing to cancel is believed at once",
        entries=[
            (lifecycle.TABLE, _UNDOING_FOUND_NOTHING, (Status.DECLINE, Stage.DONE)),
            (ledger._MOVES, _UNDOING_FOUND_NOTHING, (ledger.Book.PROVIDER, ledger.Book.PAYER)),
        ],
        faults=_LATE_APPROVALS,
        seed=10,
    ),
    Mutation(
        "a return counts after the limit time",
        [(settle.Door, "settle", _late_returns_count)],
        [(reconcile._STEPS, (Kind.SALE, Stage.WAITING), _expire_late)],
        faults={"shop: short limit": 1.0},
        seed=20,
    ),
    Mutation(
        "a sleeper pays behind the back of its successor",
        [(rungs, "SEND_WITHIN_S", 10**9), (approve, "_came_too_late", lambda *given: False)],
        faults=_NAPS,
        course={"workers": 2, "payer": ("card", "once"), "naps_s": (FROZEN_S,)},
        seed=67,
    ),
    Mutation(
        "a refund reserves nothing",
        [(settle, "payment_after", _nothing_reserved)],
        course={"refunds": "at once"},
        seed=4,
    ),
    Mutation(
        "a refund may exceed the remainder",
        [(refund._Opening, "_refusal", _without_limit)],
        course={"refunds": "too much"},
        seed=2,
    ),
    Mutation(
        "an identical refund is carried out again",
        [(refund._Opening, "_first_of_resends", _no_resends)],
        course={"refunds": "twice the same"},
        seed=3,
    ),
    Mutation(
        "silence releases a refund's reservation",
        [(give_back, "book_refund", _silence_releases)],
        faults=_LOST_ANSWERS,
        course={"refunds": "full"},
        seed=12,
    ),
    Mutation(
        "a partial cancel is repeated blindly",
        [(give_back, "_may_repeat", _always_again)],
        faults=_LOST_ANSWERS,
        course={"refunds": "one partial"},
        seed=12,
    ),
    Mutation(
        "a remainder of any size settles an unknown refund",
        [(give_back, "_learn_from_remainder", _believe_any_remainder)],
        faults={"provider: drop request": 0.4},
        course={"refunds": "two partials"},
        seed=4,
    ),
    Mutation(
        "an inquiry declines an unknown refund",
        [(give_back, "_repeat_or_wait", _believe_any_inquiry)],
        faults=_LOST_ANSWERS,
        course={"refunds": "one partial"},
        seed=12,
    ),
    Mutation(
        "a ledger entry is forgotten",
        [(ledger, "entry", _refunds_unentered)],
        course={"refunds": "full"},
        seed=2,
    ),
    Mutation(
        "a declined refund is told to nobody",
        [(settle, "callback_rows", _declined_refunds_untold)],
        course={"refunds": "too much"},
        seed=2,
    ),
    Mutation(
        "a callback's body counts its attempts",
        [(deliver.Delivery, "_send", _body_counts_attempts)],
        faults={"merchant: error": 0.4},
    ),
    Mutation(
        "HTTP 201 counts as delivered",
        [(deliver, "judge", _any_2xx_will_do)],
        faults={"merchant: almost right": 0.5},
        seed=3,
    ),
    Mutation(
        "retries come every 10 s for ever",
        [(deliver, "delay_after", lambda failures: 10.0)],
        faults={"merchant: error": 0.9},
        seed=6,
    ),
    Mutation(
        "a notice is put away while a call is under way",
        [(notice, "_settled_by_notice", _known_too_soon)],
        faults={"nicepay: notices": 1.0, "nicepay: hang after": 0.5, "provider: drop answer": 0.25},
        course={"refunds": "one partial"},
        seed=27,
    ),
)


def named(name: str) -> Mutation:
    """Raises KeyError."""
    return {mutation.name: mutation for mutation in MUTATIONS}[name]
