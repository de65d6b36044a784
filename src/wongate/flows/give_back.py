"""Refunds at the provider (N-12): one cancel at a time per payment, an unclear one keeps its reservation and is asked about."""

from collections.abc import Iterable
from datetime import datetime, timedelta

from wongate.domain import codes
from wongate.domain.comparison import carried_out
from wongate.domain.lifecycle import Event, Kind, Stage
from wongate.domain.outcome import Approved, Declined, NotSent, Outcome, Standing, Unanswered
from wongate.domain.payment import Operation, Project
from wongate.flows import rungs
from wongate.flows.platform import Platform
from wongate.flows.rungs import LEASE, next_rung, outlived, still_ours
from wongate.flows.settle import Case, Door
from wongate.store import payments

REPEATS_MAX = 10
REPEAT_S = 60
"""N-12: an unknown *full* cancel is sent again at most ten times, each a minute after the one before."""

REFUSAL_HOLDS_AFTER = timedelta(hours=1)
"""A repeated cancel that is refused says nothing of the one before it, which may still be in progress (2002): declined is what
an inquiry finds undone that long after the refusal."""

QUIET_AFTER = timedelta(hours=1)
QUIET_LOOKS = 8
"""After so long and so many looks no cancel of unknown outcome is on its way or in progress any more. Looks are counted as well
because a clock that is set forward skips an hour, but no looks."""

LATER_S = 60
"""Until a refund that had to wait looks again; the one it waits for wakes it when it ends."""


async def send_refund(platform: Platform, door: Door, project: Project, operation: Operation) -> None:
    """Intent, then the cancel: one at a time per payment (N-12)."""

    def intend(case: Case) -> tuple[Operation, bool] | None:
        refund = still_ours(case, operation)
        if refund is None:
            return _own_intent(case, operation, Stage.CANCELLING)
        if not _may_go(case, refund):
            case.change(refund, wake_at=case.now + timedelta(seconds=LATER_S))
            return None
        return case.move(refund, Event.SENT, wake_at=case.now + LEASE), _is_whole(case, refund)

    sale = await _sale_of(platform, project, operation)  # before the intent: only the call comes after it
    began_s = platform.monotonic()
    intended = await door.book(project, operation.payment_no, intend)
    if intended is not None:
        await _cancel(platform, door, project, sale, *intended, began_s)


def _own_intent(case: Case, claimed: Operation, stage: Stage) -> tuple[Operation, bool] | None:
    """The intent to send, when it is this claim's own: committed before, and only the answer to the commit was lost. Left alone,
    it would be taken for one that may have been sent, and of a partial cancel nobody could ever tell (N-11)."""
    refund = case.operations[claimed.operation_id]
    expected = (stage, claimed.attempt, _repeats(claimed) + (stage is Stage.REPEATING))
    found = (refund.stage, refund.attempt, _repeats(refund))
    return (refund, _is_whole(case, refund)) if found == expected else None


def _is_whole(case: Case, refund: Operation) -> bool:
    return refund.amount == case.payment.captured and case.payment.refunded == 0


def _empties(case: Case, refund: Operation) -> bool:
    """Does it take all that is left? Then an inquiry tells of it, and a second cancel of it takes nothing more."""
    return refund.amount == case.payment.captured - case.payment.refunded


def _may_go(case: Case, refund: Operation) -> bool:
    """One cancel at a time, the oldest first. Behind a single one of unknown outcome that is quiet the next one goes: what it
    leaves over tells of both (N-12)."""
    others = [other for other in case.operations.values() if other is not refund]
    if any(_is_older(other, refund) for other in others) or _is_calling(others):
        return False
    unknown = [other for other in others if other.stage is Stage.ASKING]
    return not unknown or (len(unknown) == 1 and is_quiet(unknown[0], case.now))


def _is_older(other: Operation, refund: Operation) -> bool:
    return other.stage is Stage.RESERVED and other.operation_id < refund.operation_id


def _is_calling(others: Iterable[Operation]) -> bool:
    """Is a cancel at the provider at this moment?"""
    return any(other.stage in (Stage.CANCELLING, Stage.REPEATING) for other in others)


def is_quiet(unknown: Operation, at: datetime) -> bool:
    """Whatever was sent for it has been done at that moment, or never will be; and nothing more will be sent by itself."""
    details = unknown.details
    if details.get("may_repeat") or int(details.get("rungs", 0)) < QUIET_LOOKS:
        return False
    sent_at = details.get("repeat_at") or details["unclear_since"]
    return at >= datetime.fromisoformat(sent_at) + QUIET_AFTER


async def _cancel(
    platform: Platform,
    door: Door,
    project: Project,
    sale: Operation,
    refund: Operation,
    whole: bool,
    began_s: float,
) -> None:
    """The call that gives money back; `began_s` is the monotonic time at which its intent was begun."""
    outcome: Outcome = NotSent("this process slept between intent and call")
    exchange = None
    if platform.monotonic() - began_s < rungs.SEND_WITHIN_S:
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
            asks = book_refund(case, current, outcome)
            if isinstance(outcome, Approved) and outcome.amount == current.amount:
                _learn_from_remainder(case, outcome.left)
            return asks
        if current.stage in (Stage.CANCELLING, Stage.REPEATING, Stage.ASKING):
            _book_late_answer(case, current, outcome, latest=_repeats(current) == _repeats(refund))
        return False

    if await door.book(project, refund.payment_no, decide):
        await ask(platform, door, project, refund._replace(stage=Stage.ASKING))


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
    if isinstance(outcome, Declined) and (not repeated or refund.details.get("undone")):
        decline(case, refund, outcome)
        return False
    if isinstance(outcome, Declined) and not outcome.already_done:
        _hold_refusal(case, refund, outcome)
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


def decline(case: Case, refund: Operation, refusal: Declined) -> None:
    """Certainly not done, by the provider's only answer or by what a person has seen there."""
    if refusal.already_done:
        case.alarm(refund, "refunded outside the platform")
    elif refusal.alarm:
        case.alarm(refund, f"provider refused: {refusal.provider_code}")
    case.move(refund, Event.DECLINED, code=refusal.code, note=refusal.provider_text[:200])
    wake_next(case)


def _learn_from_remainder(case: Case, left: int | None) -> None:
    """What a cancel has left over tells whether the one of unknown outcome before it was done (N-12). Any other remainder means
    that somebody has cancelled elsewhere: then it stays open."""
    unknown = [operation for operation in case.operations.values() if operation.stage is Stage.ASKING]
    if left is None or len(unknown) != 1:
        return
    (refund,) = unknown
    done = carried_out(
        {refund.operation_id: refund.amount}, case.payment.captured - case.payment.refunded - left
    )
    if done is not None:
        settle_unknown(case, refund, done=bool(done), word="the remainder after a later cancel")


def settle_unknown(case: Case, refund: Operation, *, done: bool, word: str) -> Operation:
    """Books an unknown refund as what is left at the provider says, `word` being where that stands. One that was not done is
    sent again, which is no blind repetition (N-12); where a repetition has been refused before, that refusal holds."""
    if done:
        refund = case.move(refund, Event.APPROVED, code=codes.SUCCESS, note=word)
    elif "refused" in refund.details:
        code = refund.details["refused"]
        refund = case.move(refund, Event.DECLINED, code=code, note="refused, and not done before")
    else:
        undone = {"may_repeat": True, "undone": True}
        return case.change(refund, details={**refund.details, **undone}, wake_at=case.now)
    wake_next(case)
    return refund


def decline_for_equal(case: Case, refund: Operation, equal: int, word: str) -> Operation:
    """Of this refund and the `equal` one, which counts as done, one was done, and `word` does not tell which.

    It is not sent again: a late answer to its first cancel, or a notice of it, could not be told from one of the second.
    """
    details = {**refund.details, "equal_done": equal}
    code = refund.details.get("refused", codes.GENERAL_DECLINE)
    refund = case.move(refund, Event.DECLINED, code=code, details=details, note=word)
    wake_next(case)
    return refund


def _hold_refusal(case: Case, refund: Operation, refusal: Declined) -> None:
    """Kept until the truth about the cancels before it is certain; none is sent any more."""
    details = {
        **refund.details,
        "may_repeat": False,
        "refused": refusal.code,
        "refused_at": case.now.isoformat(),
    }
    note = refusal.provider_text[:200]
    if refund.stage is Stage.REPEATING:
        refund = case.move(refund, Event.UNANSWERED, code=codes.AWAITING_PROVIDER, details=details, note=note)
    next_rung(case, refund._replace(details=details))


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


async def refund_abandoned(platform: Platform, door: Door, project: Project, operation: Operation) -> None:
    """The cancel's intent outlived its lease: it may have been done."""
    if await outlived(door, project, operation, "cancel"):
        await ask(platform, door, project, operation._replace(stage=Stage.ASKING))


async def ask(platform: Platform, door: Door, project: Project, operation: Operation) -> None:
    """N-12: what an inquiry can tell about a refund of unknown outcome, and whether the cancel may be sent again."""
    sale = await _sale_of(platform, project, operation)
    standing, exchange = await platform.provider(project).inquire(project.account, sale.reference)
    began_s = platform.monotonic()

    def decide(case: Case) -> tuple[Operation, bool] | None:
        refund = still_ours(case, operation)
        if refund is None:
            return _own_intent(case, operation, Stage.REPEATING)
        case.note(refund, exchange)
        if standing is Standing.CANCELLED and _empties(case, refund):
            case.move(refund, Event.APPROVED, code=codes.SUCCESS, note="inquiry: cancelled")
            wake_next(case)
            return None
        return _repeat_or_wait(case, refund, standing)

    repeated = await door.book(project, operation.payment_no, decide)
    if repeated is not None:
        await _cancel(platform, door, project, sale, *repeated, began_s)


def _repeat_or_wait(case: Case, refund: Operation, standing: Standing) -> tuple[Operation, bool] | None:
    """A cancel of all that is left and did not happen is sent again a minute later: done twice it takes nothing more.

    Any other only when the provider asked for it, once, or when it never left.
    """
    if "refused" in refund.details:
        _book_held_refusal(case, refund, standing)
        return None
    if standing is Standing.CANCELLED:
        # All of it, elsewhere: nothing is left to repeat, and the next refund need not wait for that.
        refund = case.change(refund, details={**refund.details, "may_repeat": False})
    may = standing is Standing.APPROVED and (
        (_empties(case, refund) and _repeats(refund) < REPEATS_MAX) or refund.details.get("may_repeat")
    )
    if not may or _is_calling(case.operations.values()):
        next_rung(case, refund)
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
        "undone": bool(refund.details.get("undone") and refund.details.get("may_repeat")),
        "repeat_at": a_minute_on.isoformat(),
        "rungs": 0,
    }
    return case.move(refund, Event.SENT, details=details, wake_at=case.now + LEASE), _is_whole(case, refund)


def _book_held_refusal(case: Case, refund: Operation, standing: Standing) -> None:
    """Of a part the inquiry does not tell (N-11): its first cancel may have been done, and the repetition refused for that."""
    holds_at = datetime.fromisoformat(refund.details["refused_at"]) + REFUSAL_HOLDS_AFTER
    if standing is Standing.APPROVED and _empties(case, refund) and case.now >= holds_at:
        case.move(refund, Event.DECLINED, code=refund.details["refused"], note="refused, and not done since")
        wake_next(case)
    else:
        next_rung(case, refund)
