"""Finding out the truth: the limit time, the ladder for an unknown approval (N-10), refunds at the provider (N-12).

Everything here is driven by `wake_at`: the worker claims an operation whose time has come and asks for the next step of its
stage. Each step is intent, call, settle; a process that dies in between leaves an operation that wakes again.
"""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import datetime, timedelta

from wongate.domain import codes
from wongate.domain.lifecycle import Event, Kind, Stage
from wongate.domain.outcome import (
    Approved,
    Authenticated,
    Declined,
    Exchange,
    NotSent,
    Outcome,
    Standing,
    Unanswered,
    Undone,
)
from wongate.domain.payment import Operation, Project
from wongate.flows.platform import Platform
from wongate.flows.settle import UNRESOLVED, Case, Door
from wongate.store import payments

LEASE = timedelta(seconds=120)
"""Longer than one rung at its worst: net cancel, inquiry and ordinary cancel at 35 s each."""

SEND_WITHIN_S = 20.0
"""Seconds after an intent in which its call must leave. With the call itself (35 s) that is within the intent's lease: a process
that slept in between sends nothing behind the back of whoever took over (F19)."""

RUNGS_S = (5, 15, 60)
RUNG_S = 300
UNCLEAR_FOR = timedelta(hours=24)
SLOW_RUNG_S = 3600
"""N-10: again after 5 s, 15 s, 60 s, then every 5 minutes for 24 hours, then flagged and hourly."""

SECOND_LOOK_S = 60
"""N-10: after "nothing to cancel" one more inquiry, because the approval may have been overtaken by its own net cancel."""

REPEATS_MAX = 10
REPEAT_S = 60
"""N-12: an unknown *full* cancel is sent again at most ten times, each a minute after the one before."""

LATER_S = 60
"""Until a refund that had to wait looks again; the one it waits for wakes it when it ends."""

Step = Callable[[Platform, Door, Project, Operation], Awaitable[None]]


async def wake(platform: Platform, door: Door, project: Project, operation: Operation) -> None:
    """Does what the stage of a claimed operation asks for; `operation.attempt` is the claim's fencing number."""
    step = _STEPS.get((operation.kind, operation.stage))
    if step is not None:
        await step(platform, door, project, operation)


# --- the limit time, and intents whose maker died -------------------------------------------------------------------------


async def _expire(platform: Platform, door: Door, project: Project, operation: Operation) -> None:
    """E-37. The same lock as the payer's return: whoever comes second finds the stage changed."""

    def decide(case: Case) -> None:
        sale = case.operations[operation.operation_id]
        if sale.stage is Stage.WAITING and sale.limit_at is not None:
            if case.now >= sale.limit_at:
                case.move(sale, Event.EXPIRED, code=case.project.settings.limit_code, note="limit time")
            else:
                case.change(sale, wake_at=sale.limit_at)

    await door.settle(project, operation.payment_no, decide)


async def _lapse(platform: Platform, door: Door, project: Project, operation: Operation) -> None:
    """E-43: the payer has not tried again in time."""

    def decide(case: Case) -> None:
        sale = _still_ours(case, operation)
        if sale is not None:
            case.move(sale, Event.LAPSED, note="not tried again")

    await door.settle(project, operation.payment_no, decide)


async def _approval_abandoned(platform: Platform, door: Door, project: Project, operation: Operation) -> None:
    """The intent outlived its lease: nobody knows whether the approval left (F2, F3)."""

    def decide(case: Case) -> bool:
        sale = _still_ours(case, operation)
        if sale is None:
            return False
        case.move(
            sale,
            Event.UNANSWERED,
            code=codes.AWAITING_PROVIDER,
            wake_at=case.now + LEASE,
            note="approval was under way when its process ended",
        )
        return True

    if await door.settle(project, operation.payment_no, decide):
        await undo(platform, door, project, operation.payment_no, operation.operation_id)


# --- an approval that must not stand -----------------------------------------------------------------------------------------


async def _undo_again(platform: Platform, door: Door, project: Project, operation: Operation) -> None:
    await undo(platform, door, project, operation.payment_no, operation.operation_id)


async def undo(platform: Platform, door: Door, project: Project, payment_no: int, operation_id: int) -> None:
    """One rung of N-10: net cancel, inquiry, ordinary cancel, until something is certain; else the next rung's time is set."""
    async with platform.database.read() as tx:
        operation = await payments.operation(tx, project.project_id, operation_id)
    if operation is None or operation.stage not in (Stage.UNDOING, Stage.RETURNING):
        return
    event, exchanges = await _bring_back(platform, project, operation)

    def decide(case: Case) -> None:
        sale = case.operations[operation_id]
        for exchange in exchanges:
            case.note(sale, exchange)
        if sale.stage in (Stage.UNDOING, Stage.RETURNING):
            _book_undo(case, sale, event)

    await door.settle(project, payment_no, decide)


async def _bring_back(
    platform: Platform, project: Project, operation: Operation
) -> tuple[Event | None, list[Exchange]]:
    """UNDONE, NOTHING_TO_UNDO, or None while it is not certain."""
    exchanges: list[Exchange] = []
    provider, account = platform.provider(project), project.account
    undone = Undone.WINDOW_OVER
    if operation.authentication.get("token"):
        authenticated = Authenticated(
            operation.reference,
            operation.authentication["token"],
            operation.authentication["approve_url"],
            operation.authentication["net_cancel_url"],
        )
        undone, exchange = await provider.net_cancel(account, authenticated, amount=operation.amount)
        exchanges.append(exchange)
    if undone is Undone.CANCELLED:
        return Event.UNDONE, exchanges
    if undone is Undone.NOTHING:
        return Event.NOTHING_TO_UNDO, exchanges
    if undone is Undone.WINDOW_OVER and await _cancelled_whole(platform, project, operation, exchanges):
        return Event.UNDONE, exchanges
    standing, exchange = await provider.inquire(account, operation.reference)
    exchanges.append(exchange)
    if standing is Standing.CANCELLED:
        return Event.UNDONE, exchanges
    return (Event.NOTHING_TO_UNDO if standing is Standing.ABSENT else None), exchanges


async def _cancelled_whole(
    platform: Platform, project: Project, operation: Operation, exchanges: list[Exchange]
) -> bool:
    """The ordinary cancel of the whole amount. Repeating it is harmless: a second one finds nothing left (2013)."""
    outcome, exchange = await platform.provider(project).cancel(
        project.account,
        operation.reference,
        order_number=operation.order_number,
        cancel_number=operation.operation_id,
        amount=operation.amount,
        whole=True,
        reason="refund",
    )
    exchanges.append(exchange)
    return isinstance(outcome, Approved)


def _book_undo(case: Case, sale: Operation, event: Event | None) -> None:
    late = sale.stage is Stage.RETURNING
    code = sale.code if late else sale.details.get("undo_code", codes.TIMED_OUT)
    if event is Event.UNDONE:
        case.move(sale, event, code=code)
        if late:
            case.flag("late success, returned")
    elif event is Event.NOTHING_TO_UNDO:
        case.move(sale, event, code=code, wake_at=case.now + timedelta(seconds=SECOND_LOOK_S))
    else:
        _next_rung(case, sale)


def _next_rung(case: Case, operation: Operation) -> None:
    """Sets the time of the next look; at the limit time the decline is published and the money worked back behind it (E-39)."""
    rungs = int(operation.details.get("rungs", 0))
    unclear_since = operation.details.get("unclear_since") or case.now.isoformat()
    details = {**operation.details, "rungs": rungs + 1, "unclear_since": unclear_since}
    long_unclear = case.now >= datetime.fromisoformat(unclear_since) + UNCLEAR_FOR
    pause_s = RUNGS_S[rungs] if rungs < len(RUNGS_S) else SLOW_RUNG_S if long_unclear else RUNG_S
    wake_at = case.now + timedelta(seconds=pause_s)
    if operation.stage is Stage.UNDOING and operation.limit_at is not None and case.now < operation.limit_at:
        wake_at = min(wake_at, operation.limit_at)  # the decline is due then (E-39), however long the rung
    operation = case.change(operation, details=details, wake_at=wake_at)
    if long_unclear and case.payment.flag == "":
        case.alarm(operation, UNRESOLVED)
    if operation.stage is Stage.UNDOING and operation.limit_at is not None and case.now >= operation.limit_at:
        code = operation.details.get("undo_code", case.project.settings.limit_code)
        case.move(
            operation, Event.EXPIRED, code=code, note="limit time while the provider's truth is unknown"
        )
        case.alarm(operation, UNRESOLVED)


async def _second_look(platform: Platform, door: Door, project: Project, operation: Operation) -> None:
    standing, exchange = await platform.provider(project).inquire(project.account, operation.reference)

    def decide(case: Case) -> bool:
        sale = _still_ours(case, operation)
        if sale is None:
            return False
        case.note(sale, exchange)
        if standing is Standing.APPROVED:
            case.move(sale, Event.FOUND_APPROVED, wake_at=case.now + LEASE, note="approved after all")
            case.alarm(sale, "late success")
            return True
        if standing is Standing.UNCLEAR:
            _next_rung(case, sale)
        else:
            case.move(sale, Event.NOTHING_TO_UNDO)
        return False

    if await door.settle(project, operation.payment_no, decide):
        await undo(platform, door, project, operation.payment_no, operation.operation_id)


# --- refunds at the provider ---------------------------------------------------------------------------------------------------


async def _send_refund(platform: Platform, door: Door, project: Project, operation: Operation) -> None:
    """Intent, then the cancel: one at a time per payment (N-12)."""

    def intend(case: Case) -> tuple[Operation, bool] | None:
        refund = _still_ours(case, operation)
        if refund is None:
            return None
        if any(_goes_first(other, refund) for other in case.operations.values()):
            case.change(refund, wake_at=case.now + timedelta(seconds=LATER_S))
            return None
        whole = refund.amount == case.payment.captured and case.payment.refunded == 0
        return case.move(refund, Event.SENT, wake_at=case.now + LEASE), whole

    began_s = platform.monotonic()
    intended = await door.settle(project, operation.payment_no, intend)
    if intended is not None:
        await _cancel(platform, door, project, *intended, began_s)


def _goes_first(other: Operation, refund: Operation) -> bool:
    """Is another refund of this payment at the provider, or older and still to be sent?"""
    older = other.stage is Stage.RESERVED and other.operation_id < refund.operation_id
    return older or other.stage in (Stage.CANCELLING, Stage.ASKING, Stage.REPEATING)


async def _cancel(
    platform: Platform, door: Door, project: Project, refund: Operation, whole: bool, began_s: float
) -> None:
    """The call that gives money back; `began_s` is the monotonic time at which its intent was begun."""
    sale = await _sale_of(platform, project, refund)
    outcome: Outcome = NotSent("this process slept between intent and call")
    exchange = None
    if platform.monotonic() - began_s < SEND_WITHIN_S:
        outcome, exchange = await platform.provider(project).cancel(
            project.account,
            sale.reference,
            order_number=refund.order_number,
            cancel_number=refund.operation_id,
            amount=refund.amount,
            whole=whole,
            reason=refund.description,
        )

    def decide(case: Case) -> bool:
        """True when the provider should be asked at once."""
        current = case.operations[refund.operation_id]
        if exchange is not None:
            case.note(current, exchange)
        if current.stage in (Stage.CANCELLING, Stage.REPEATING) and _repeats(current) == _repeats(refund):
            return book_refund(case, current, outcome)
        if current.stage in (Stage.CANCELLING, Stage.REPEATING, Stage.ASKING):
            _book_late_answer(case, current, outcome, latest=_repeats(current) == _repeats(refund))
        return False

    if await door.book(project, refund.payment_no, decide):
        await _ask(platform, door, project, replace(refund, stage=Stage.ASKING))


async def _sale_of(platform: Platform, project: Project, refund: Operation) -> Operation:
    async with platform.database.read() as tx:
        return next(
            found
            for found in await payments.operations(tx, project.project_id, refund.payment_no)
            if found.order_number == refund.order_number and found.kind is Kind.SALE
        )


def _repeats(refund: Operation) -> int:
    """How many cancels have been intended beyond the first: it tells the answer of one from that of another."""
    return int(refund.details.get("repeats", 0))


def book_refund(case: Case, refund: Operation, outcome: Outcome) -> bool:
    """One cancel, one answer; an unclear one keeps the reservation (F12). True when only asking can help."""
    repeated = _repeats(refund) > 0
    if isinstance(outcome, Approved) and outcome.amount == refund.amount:
        details = {**refund.details, **outcome.details}
        case.move(refund, Event.APPROVED, code=codes.SUCCESS, reference=outcome.reference, details=details)
        wake_next(case)
        return False
    if isinstance(outcome, Declined) and not (outcome.already_done and repeated):
        if outcome.already_done:
            case.alarm(refund, "refunded outside the platform")
        elif outcome.alarm:
            case.alarm(refund, f"provider refused: {outcome.provider_code}")
        case.move(refund, Event.DECLINED, code=outcome.code, note=outcome.provider_text[:200])
        wake_next(case)
        return False
    if isinstance(outcome, NotSent):
        case.move(
            refund,
            Event.NOT_SENT,
            details={**refund.details, "may_repeat": refund.stage is Stage.REPEATING},
            wake_at=case.now + timedelta(seconds=5),
            note=outcome.reason[:200],
        )
        return False
    case.move(
        refund,
        Event.UNANSWERED,
        code=codes.AWAITING_PROVIDER,
        details={**refund.details, "may_repeat": _may_repeat(refund, outcome)},
        wake_at=case.now + LEASE,
        note=getattr(outcome, "reason", "answer does not fit")[:200],
    )
    return True


def _may_repeat(refund: Operation, outcome: Outcome) -> bool:
    """Whether a partial cancel may be sent once more: the provider asks for it (2056), or it never left."""
    if isinstance(outcome, NotSent):
        return True
    return isinstance(outcome, Unanswered) and outcome.may_repeat and _repeats(refund) == 0


def _book_late_answer(case: Case, refund: Operation, outcome: Outcome, *, latest: bool) -> None:
    """Its process slept past its lease and others have gone on; still it is the provider's word on this very refund.

    A yes is true whatever was sent since. A no, or a call that never left, counts while no further cancel was sent.
    """
    if isinstance(outcome, Approved):
        if outcome.amount == refund.amount:
            book_refund(case, refund, outcome)
    elif latest and isinstance(outcome, Declined) and not outcome.already_done:
        book_refund(case, refund, outcome)
    elif latest and _may_repeat(refund, outcome):
        case.change(refund, details={**refund.details, "may_repeat": True}, wake_at=case.now)


def wake_next(case: Case) -> None:
    """The oldest refund that waits for its turn gets it now."""
    waiting = [operation for operation in case.operations.values() if operation.stage is Stage.RESERVED]
    if waiting:
        case.change(min(waiting, key=lambda operation: operation.operation_id), wake_at=case.now)


async def _refund_abandoned(platform: Platform, door: Door, project: Project, operation: Operation) -> None:
    """The cancel's intent outlived its lease: it may have been done."""

    def decide(case: Case) -> bool:
        refund = _still_ours(case, operation)
        if refund is None:
            return False
        case.move(
            refund,
            Event.UNANSWERED,
            code=codes.AWAITING_PROVIDER,
            wake_at=case.now + LEASE,
            note="cancel was under way when its process ended",
        )
        return True

    if await door.settle(project, operation.payment_no, decide):
        await _ask(platform, door, project, replace(operation, stage=Stage.ASKING))


async def _ask(platform: Platform, door: Door, project: Project, operation: Operation) -> None:
    """N-12: what an inquiry can tell about a refund of unknown outcome, and whether the cancel may be sent again."""
    sale = await _sale_of(platform, project, operation)
    standing, exchange = await platform.provider(project).inquire(project.account, sale.reference)
    began_s = platform.monotonic()

    def decide(case: Case) -> tuple[Operation, bool] | None:
        refund = _still_ours(case, operation)
        if refund is None:
            return None
        case.note(refund, exchange)
        empties = refund.amount == case.payment.captured - case.payment.refunded
        if standing is Standing.CANCELLED and empties:
            case.move(refund, Event.APPROVED, code=codes.SUCCESS, note="inquiry: cancelled")
            wake_next(case)
            return None
        return _repeat_or_wait(case, refund, standing)

    repeated = await door.settle(project, operation.payment_no, decide)
    if repeated is not None:
        await _cancel(platform, door, project, *repeated, began_s)


def _repeat_or_wait(case: Case, refund: Operation, standing: Standing) -> tuple[Operation, bool] | None:
    """A cancel of all that is left and did not happen is sent again a minute later: done twice it takes nothing more.

    Any other only when the provider asked for it, once, or when it never left.
    """
    whole = refund.amount == case.payment.captured and case.payment.refunded == 0
    empties = refund.amount == case.payment.captured - case.payment.refunded
    may = standing is Standing.APPROVED and (
        (empties and _repeats(refund) < REPEATS_MAX) or refund.details.get("may_repeat")
    )
    if not may:
        _next_rung(case, refund)
        return None
    a_minute_on = case.now + timedelta(seconds=REPEAT_S)
    repeat_at = datetime.fromisoformat(refund.details.get("repeat_at") or a_minute_on.isoformat())
    if case.now < repeat_at:
        case.change(refund, details={**refund.details, "repeat_at": repeat_at.isoformat()}, wake_at=repeat_at)
        return None
    details = {
        **refund.details,
        "repeats": _repeats(refund) + 1,
        "may_repeat": False,
        "repeat_at": a_minute_on.isoformat(),
    }
    return case.move(refund, Event.SENT, details=details, wake_at=case.now + LEASE), whole


def _still_ours(case: Case, claimed: Operation) -> Operation | None:
    """The operation, if nobody has claimed or moved it since: a worker that slept past its lease changes nothing (F19)."""
    operation = case.operations[claimed.operation_id]
    same = operation.attempt == claimed.attempt and operation.stage is claimed.stage
    return operation if same else None


_STEPS: dict[tuple[Kind, Stage], Step] = {
    (Kind.SALE, Stage.WAITING): _expire,
    (Kind.SALE, Stage.OFFERED): _lapse,
    (Kind.SALE, Stage.APPROVING): _approval_abandoned,
    (Kind.SALE, Stage.UNDOING): _undo_again,
    (Kind.SALE, Stage.RETURNING): _undo_again,
    (Kind.SALE, Stage.CHECKING): _second_look,
    (Kind.REFUND, Stage.RESERVED): _send_refund,
    (Kind.REFUND, Stage.CANCELLING): _refund_abandoned,
    (Kind.REFUND, Stage.REPEATING): _refund_abandoned,
    (Kind.REFUND, Stage.ASKING): _ask,
}
