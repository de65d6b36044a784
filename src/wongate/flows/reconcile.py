"""Finding out the truth: the limit time, the ladder for an unknown approval (N-10).

Everything here is driven by `wake_at`: the worker claims an operation whose time has come and asks for the next step of its
stage. Each step is intent, call, settle; a process that dies in between leaves an operation that wakes again.
"""

from collections.abc import Awaitable, Callable
from datetime import timedelta

from wongate.domain import codes
from wongate.domain.lifecycle import Event, Kind, Stage
from wongate.domain.outcome import (
    Approved,
    Authenticated,
    Exchange,
    Standing,
    Undone,
)
from wongate.domain.payment import Operation, Project
from wongate.flows.give_back import ask, refund_abandoned, send_refund
from wongate.flows.platform import Platform
from wongate.flows.rungs import LEASE, next_rung, outlived, still_ours
from wongate.flows.settle import Case, Door
from wongate.store import payments

SECOND_LOOK_S = 60
LOOKS = 2
"""N-10: after "nothing to cancel" one more inquiry, because the approval may have been overtaken by its own net cancel. Two of
them, a minute apart: when somebody sets the clock forward, the first may come seconds after the net cancel."""

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
        sale = still_ours(case, operation)
        if sale is not None:
            case.move(sale, Event.LAPSED, note="not tried again")

    await door.settle(project, operation.payment_no, decide)


async def _approval_abandoned(platform: Platform, door: Door, project: Project, operation: Operation) -> None:
    """The intent outlived its lease: nobody knows whether the approval left (F2, F3)."""
    if await outlived(door, project, operation, "approval"):
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
        next_rung(case, sale)


async def _second_look(platform: Platform, door: Door, project: Project, operation: Operation) -> None:
    standing, exchange = await platform.provider(project).inquire(project.account, operation.reference)

    def decide(case: Case) -> bool:
        sale = still_ours(case, operation)
        if sale is None:
            return False
        case.note(sale, exchange)
        if standing is Standing.APPROVED:
            case.move(sale, Event.FOUND_APPROVED, wake_at=case.now + LEASE, note="approved after all")
            case.alarm(sale, "late success")
            return True
        looks = int(sale.details.get("looks", 0)) + 1
        if standing is Standing.UNCLEAR:
            next_rung(case, sale)
        elif looks < LOOKS:
            again_at = case.now + timedelta(seconds=SECOND_LOOK_S)
            case.change(sale, details={**sale.details, "looks": looks}, wake_at=again_at)
        else:
            case.move(sale, Event.NOTHING_TO_UNDO)
        return False

    if await door.settle(project, operation.payment_no, decide):
        await undo(platform, door, project, operation.payment_no, operation.operation_id)


_STEPS: dict[tuple[Kind, Stage], Step] = {
    (Kind.SALE, Stage.WAITING): _expire,
    (Kind.SALE, Stage.OFFERED): _lapse,
    (Kind.SALE, Stage.APPROVING): _approval_abandoned,
    (Kind.SALE, Stage.UNDOING): _undo_again,
    (Kind.SALE, Stage.RETURNING): _undo_again,
    (Kind.SALE, Stage.CHECKING): _second_look,
    (Kind.REFUND, Stage.RESERVED): send_refund,
    (Kind.REFUND, Stage.CANCELLING): refund_abandoned,
    (Kind.REFUND, Stage.REPEATING): refund_abandoned,
    (Kind.REFUND, Stage.ASKING): ask,
}
