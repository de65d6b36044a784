"""Production code with one safeguard taken away each; `mutations.py` says which, and what has to show it."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

from wongate.connections.http import NoAnswer
from wongate.domain import codes, ledger
from wongate.domain import payment as nouns
from wongate.domain.lifecycle import Event, Kind, Stage, Status
from wongate.domain.outcome import Approved, Declined, NotSent, Standing, Unanswered
from wongate.flows import approve, deliver, give_back, notice, refund, sale, settle, settle_by_list, tell
from wongate.providers.nicepay import client
from wongate.store import callbacks, payments, seen
from wongate.store.written import Written, write

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


async def read_without_lock(tx: Any, keys: Any) -> Any:
    return await _lock(_Rewritten(tx, " FOR UPDATE"), keys)


async def stale_cases(self: settle.Door, tx: Any, changes: Any) -> Any:
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


async def settle_in_two(self: settle.Door, changes: Any) -> Any:
    """The callbacks follow in a transaction of their own."""

    async def story(tx: Any) -> tuple[list[Any], list[Any]]:
        cases = await self._cases(tx, changes)
        written = Written()
        results = [settle._decide(change, cases, written) for change in changes]
        await tell.open_lanes(self._platform, tx, written.callbacks)
        late, written.callbacks = written.callbacks, []
        await write(tx, written)
        return results, late

    results, late = await self._platform.database.run(story)
    if late:
        await self._platform.database.run(lambda tx: write(tx, Written(callbacks=late)))
    return results


_write_if_unchanged = seen.write_if_unchanged


async def write_in_any_case(tx: Any, before: Any, written: Any) -> int | None:
    """The versions of the rows are not compared."""
    return await _write_if_unchanged(
        _Rewritten(tx, "WHERE p.xmin = s.version ", "o.xmin = s.version AND "), before, written
    )


async def answered_at_once(self: sale.Intake, wanted: sale.Wanted) -> tuple[sale.NewSale, bool]:
    new = sale._new_sale(self._platform, wanted)
    asyncio.get_running_loop().create_task(self._insert([new]))
    return new, True


_move = settle.Case.move


def confirmed_without_alarm_clock(self: settle.Case, operation: Any, event: Event, **changes: Any) -> Any:
    if event is Event.CONFIRMED:
        changes["wake_at"] = None
    return _move(self, operation, event, **changes)


async def recorded_by_anybody(tx: Any, sent: Any) -> None:
    await _record(_Rewritten(tx, "AND c.attempt = r.attempt AND c.state = 'waiting'"), sent)


# --- approvals ----------------------------------------------------------------------------------------------------------------

_approve, _net_cancel, _book_approval = (
    client.Nicepay.approve,
    client.Nicepay.net_cancel,
    approve.book_approval,
)


async def approve_twice(self: client.Nicepay, *arguments: Any, **named: Any) -> Any:
    outcome, exchange = await _approve(self, *arguments, **named)
    return (
        (outcome, exchange)
        if not isinstance(outcome, Unanswered)
        else await _approve(self, *arguments, **named)
    )


def silence_declines(case: settle.Case, operation: Any, outcome: Any) -> bool:
    if isinstance(outcome, Unanswered):
        outcome = Declined(codes.GENERAL_DECLINE)
    return _book_approval(case, operation, outcome)


def any_amount_pays(case: settle.Case, operation: Any, outcome: Any) -> bool:
    if isinstance(outcome, Approved):
        outcome = replace(outcome, amount=operation.amount)
    return _book_approval(case, operation, outcome)


_read = client._read


def silence_was_never_sent(answered: Any) -> Any:
    return ({}, NotSent(answered.reason)) if isinstance(answered, NoAnswer) else _read(answered)


async def undone_by_itself(platform: Any, project: Any, operation: Any) -> Any:
    return Event.UNDONE, []


async def never_undone(*arguments: Any) -> None:
    return None


_door_settle = settle.Door.settle


async def late_returns_count(
    self: settle.Door, project: Any, payment_no: int, decide: Callable[[Any], Any], seen: Any = None
) -> Any:
    def earlier(case: settle.Case) -> Any:
        limit_at = case.sale.limit_at
        if decide.__name__ == "confirm" and limit_at is not None:
            case.now = min(case.now, limit_at - timedelta(seconds=1))
        return decide(case)

    return await _door_settle(self, project, payment_no, earlier, seen)


async def expire_late(platform: Any, door: Any, project: Any, operation: Any) -> None:
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


def nothing_reserved(payment: Any, operation: Any, event: Event, at: Any) -> Any:
    if operation.kind is Kind.SALE or event is Event.UNANSWERED:
        return _payment_after(payment, operation, event, at)
    held = payment._replace(reserved=payment.reserved + operation.amount)
    after = _payment_after(held, operation, event, at)
    return after._replace(reserved=0) if event in (Event.APPROVED, Event.DECLINED) else payment


def without_limit(self: Any, case: settle.Case) -> int | None:
    found = _refusal(self, case)
    return None if found in (codes.REFUND_ABOVE_REMAINDER, codes.LOCKED) else found


def no_resends(self: Any, case: settle.Case) -> None:
    return None


def silence_releases(case: settle.Case, operation: Any, outcome: Any) -> bool:
    if isinstance(outcome, Unanswered):
        outcome = Declined(codes.GENERAL_DECLINE)
    return _book_refund(case, operation, outcome)


def always_again(operation: Any, outcome: Any) -> bool:
    return True


def refunds_unentered(kind: Kind, stage: Stage, event: Event, amount: int) -> Any:
    return None if kind is Kind.REFUND and event is Event.APPROVED else _entry(kind, stage, event, amount)


def believe_any_inquiry(case: settle.Case, operation: Any, standing: Standing) -> None:
    """An inquiry that says `approved` is taken for `the cancel was not done`."""
    give_back.book_refund(case, operation, Declined(codes.GENERAL_DECLINE))


def believe_any_remainder(case: settle.Case, left: int | None) -> None:
    for operation in [found for found in case.operations.values() if found.stage is Stage.ASKING]:
        case.move(operation, Event.APPROVED, code=codes.SUCCESS)


_is_listed, _settle_open_refunds = settle_by_list._is_listed, settle_by_list.settle_open_refunds


def any_age_will_do(operation: Any, at: Any) -> bool:
    return True


def listed_while_under_way(operation: Any, listed: Any) -> bool:
    """A cancel that is at the provider at this moment is taken for one that did nothing."""
    return operation.stage in (Stage.CANCELLING, Stage.REPEATING) or _is_listed(operation, listed)


async def an_equal_refund_behind_a_lost_one(world: Any) -> None:
    """The first never arrives. The second goes past it an hour later; it is done, and its answer takes half a minute."""
    for fault in ({"kind": "reset"}, {"kind": "hang_after", "seconds": 25.0}):
        world.provider.sim.faults.arm({"on": "cancel", **fault})
    world.spawn(world.bookkeeper.work())
    await world.merchant.sell(10_000)
    await asyncio.sleep(6000)


async def as_of_now(platform: Any, door: Any, actor: Any, listed: Any, since: Any = None) -> Any:
    """A list that was made a while ago is taken for today's."""
    fresh = replace(listed, complete_until=platform.clock.now())
    return await _settle_open_refunds(platform, door, actor, fresh, since)


def not_done_if_in_doubt(amounts: Any, gone: int) -> frozenset[int]:
    return frozenset(number for number, amount in amounts.items() if amount == gone)


def equal_ones_sent_again(case: settle.Case, operation: Any, equal: int, word: str) -> Any:
    return give_back.settle_unknown(case, operation, done=False, word=word)


async def an_equal_refund_done_behind_a_lost_one(world: Any) -> None:
    """The first never arrives. The second goes past it an hour later; it is done, and its answer is lost."""
    for fault in ({"kind": "reset"}, {"kind": "reset", "committed": True}):
        world.provider.sim.faults.arm({"on": "cancel", **fault})
    await world.merchant.sell(10_000)
    await asyncio.sleep(9000)
    await world.bookkeeper.settle()
    await asyncio.sleep(600)


# --- callbacks and notices ----------------------------------------------------------------------------------------------------

_callback_rows, _judge, _send, _inquire = (
    tell.callback_rows,
    deliver.judge,
    deliver.Delivery._send,
    client.Nicepay.inquire,
)


def declined_refunds_untold(platform: Any, project: Any, payment: Any, operation: Any, **options: Any) -> Any:
    if operation.kind is Kind.REFUND and operation.status is Status.DECLINE:
        return []
    return _callback_rows(platform, project, payment, operation, **options)


async def body_counts_attempts(self: deliver.Delivery, due: Any, *others: Any) -> None:
    await _send(self, replace(due, body=due.body + " " * (due.attempt - 1)), *others)


def any_2xx_will_do(answer: Any, failures: int, now: Any) -> Any:
    if getattr(answer, "status", 0) in (201, 204):
        answer = replace(answer, status=200)
    return _judge(answer, failures, now)


def known_too_soon(case: settle.Case, operation: Any) -> str | None:
    return "known" if operation.stage is not Stage.ASKING else _settled_by_notice(case, operation)


_settled_by_notice = notice._settled_by_notice
