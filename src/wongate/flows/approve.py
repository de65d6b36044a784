"""The payer is back from the window: the return is read, and if the payer agreed, the money is taken, once."""

import asyncio
from collections.abc import Mapping
from datetime import timedelta

import asyncpg

from wongate.domain import codes
from wongate.domain.lifecycle import Event, Stage, Status
from wongate.domain.outcome import (
    Approved,
    Authenticated,
    Declined,
    Exchange,
    NotSent,
    Outcome,
    ReturnResult,
    Tampered,
)
from wongate.domain.payment import Operation, Payment, Project
from wongate.flows import reconcile, rungs
from wongate.flows.platform import Platform
from wongate.flows.sale import Found, order_numbers
from wongate.flows.settle import Case, Door

CALL_LEASE = timedelta(seconds=60)
"""Longer than the longest call to a provider (5 s to connect + 30 s to read, N-22): who finds an intent older than this knows
that its maker died or froze."""


async def customer_returned(
    platform: Platform, door: Door, found: Found, form: Mapping[str, str]
) -> Payment | None:
    """What the payer's browser brought back from the window: checked, and if the payer agreed, the money is taken (N-26).

    A repeated return changes nothing (F7), a tampered one neither (F8). Answers with the payment as this left it, which saves the
    payer's answer a read; None where it has to be read.
    """
    project, operation, seen = found
    order_number, result = _read_return(platform, project, operation, form)
    received = Exchange("return", platform.clock.now(), 0, {}, _shown(form), _verdict(result))
    if isinstance(result, Authenticated):
        named = operation._replace(order_number=order_number)
        return await _confirm_and_approve(platform, door, Found(project, named, seen), result, received)

    def decide(case: Case) -> Payment:
        sale = case.operations[operation.operation_id]
        case.note(sale, received)
        if isinstance(result, Declined) and sale.stage is Stage.WAITING:
            if result.alarm:
                case.alarm(sale, f"provider refused: {result.provider_code or result.provider_text}")
            case.decline(sale, code=result.code, note=result.provider_text[:200])
        return case.payment

    return await door.settle(project, operation.payment_no, decide, seen)


def _read_return(
    platform: Platform, project: Project, operation: Operation, form: Mapping[str, str]
) -> tuple[str, ReturnResult]:
    """The order number of the window that the payer comes from, and its result: any of the sale's windows will do."""
    result: ReturnResult = Tampered("no window of this sale")
    for order_number in order_numbers(platform, project, operation):
        result = platform.provider(project).read_return(
            project.account, form, order_number=order_number, amount=operation.amount
        )
        if not isinstance(result, Tampered):
            return order_number, result
    return operation.order_number, result


async def _confirm_and_approve(
    platform: Platform,
    door: Door,
    found: Found,
    authenticated: Authenticated,
    received: Exchange,
) -> Payment | None:
    project, operation, seen = found
    intent = platform.chance(16).hex()
    began_s = platform.monotonic()

    def confirm(case: Case) -> tuple[bool, Payment]:
        """The intent, committed before the call: only one return ever gets True, also when this runs again."""
        sale = case.operations[operation.operation_id]
        if sale.stage is not Stage.WAITING:
            own = sale.stage is Stage.APPROVING and sale.authentication.get("intent") == intent
            return own, case.payment
        case.note(sale, received)
        if sale.limit_at is not None and case.now >= sale.limit_at:
            case.move(
                sale, Event.EXPIRED, code=project.settings.limit_code, note="returned after the limit time"
            )
            return False, case.payment
        case.move(
            sale,
            Event.CONFIRMED,
            order_number=operation.order_number,
            reference=authenticated.reference,
            authentication={
                "intent": intent,
                "token": authenticated.token,
                "approve_url": authenticated.approve_url,
                "net_cancel_url": authenticated.net_cancel_url,
            },
            wake_at=case.now + CALL_LEASE,
        )
        return True, case.payment

    try:
        confirmed, payment = await door.settle(project, operation.payment_no, confirm, seen)
    except asyncpg.UniqueViolationError:
        return None  # this authentication has paid for another sale (N-6): a swapped return is a tampered one
    if not confirmed or platform.monotonic() - began_s >= rungs.SEND_WITHIN_S:
        return payment
    # The payer may close the tab now; the approval is carried to its end all the same.
    approving = asyncio.create_task(_approve(platform, door, found, authenticated))
    return await asyncio.shield(approving)


async def _approve(
    platform: Platform, door: Door, found: Found, authenticated: Authenticated
) -> Payment | None:
    project, operation, seen = found
    outcome, exchange = await platform.provider(project).approve(
        project.account, authenticated, order_number=operation.order_number, amount=operation.amount
    )

    def decide(case: Case) -> tuple[bool, Payment]:
        """True when the money has to be brought back at once."""
        sale = case.operations[operation.operation_id]
        case.note(sale, exchange)
        if sale.stage is Stage.APPROVING:
            return book_approval(case, sale, outcome), case.payment
        if _came_too_late(sale, outcome):
            case.move(sale, Event.UNANSWERED, wake_at=case.now, note="approved after it was given up")
        return False, case.payment  # the worker has taken over: what we know now, it finds out by asking

    doubtful, payment = await door.book(project, operation.payment_no, decide, seen)
    if not doubtful:
        return payment
    await reconcile.undo(platform, door, project, operation.payment_no, operation.operation_id)
    return None


def _came_too_late(sale: Operation, outcome: Outcome) -> bool:
    """The worker has finished with the sale, but this process, which slept past its lease, may have paid for it since."""
    given_up = sale.stage is Stage.DONE and sale.status is Status.DECLINE
    return given_up and not isinstance(outcome, Declined | NotSent)


def book_approval(case: Case, sale: Operation, outcome: Outcome) -> bool:
    """One approval, one answer: success, decline, or the ladder of N-10 (then True)."""
    if isinstance(outcome, Approved) and outcome.amount == sale.amount:
        case.move(sale, Event.APPROVED, code=codes.SUCCESS, details={**sale.details, **outcome.details})
        return False
    if isinstance(outcome, Declined):
        if outcome.alarm:
            case.alarm(sale, f"provider refused: {outcome.provider_code}")
        case.decline(sale, code=outcome.code, note=outcome.provider_text[:200])
        return False
    if isinstance(outcome, NotSent):
        case.decline(sale, code=20202, note=outcome.reason[:200])
        return False
    details = dict(sale.details)
    if isinstance(outcome, Approved):
        details["undo_code"] = codes.WRONG_AMOUNT_PAID  # E-13
        case.alarm(sale, "amount mismatch")
        note = f"approved {outcome.amount} instead of {sale.amount}"
    else:
        note = outcome.reason[:200]
        if outcome.alarm:
            case.alarm(sale, "answer without a valid signature")
    case.move(
        sale,
        Event.UNANSWERED,
        code=codes.AWAITING_PROVIDER,
        details=details,
        wake_at=case.now + CALL_LEASE,
        note=note,
    )
    return True


def _verdict(result: Authenticated | Declined | Tampered) -> str:
    match result:
        case Authenticated():
            return "authenticated"
        case Declined():
            return f"declined {result.provider_code}"
        case Tampered():
            return f"refused: {result.reason}"


_SECRET_FIELDS = {"AuthToken", "Signature", "SignData"}


def _shown(form: Mapping[str, str]) -> dict[str, str]:
    """A returned form as the time line may show it."""
    return {
        name[:64]: f"{value[:6]}..." if name in _SECRET_FIELDS else value[:255]
        for name, value in list(form.items())[:64]
    }
