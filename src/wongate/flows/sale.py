"""A sale: accepted, sent to the window, back from it, approved."""

import asyncio
import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import asyncpg

from wongate.connections.batch import Batch
from wongate.connections.database import Tx
from wongate.domain import codes
from wongate.domain.lifecycle import Event, Kind, Stage, Status, advance
from wongate.domain.methods import Method
from wongate.domain.outcome import (
    Approved,
    Authenticated,
    Declined,
    Exchange,
    Form,
    NotSent,
    Outcome,
    ReturnResult,
    Tampered,
)
from wongate.domain.payment import Operation, Payment, PaymentStatus, Project, payment_after, payment_key
from wongate.domain.refusal import Refused
from wongate.domain.requests import SaleRequest
from wongate.flows import reconcile
from wongate.flows.platform import Platform
from wongate.flows.settle import Case, Door, callback_rows, new_lanes, open_lanes, transition_row
from wongate.store import payments
from wongate.store.payments import Written

CALL_LEASE = timedelta(seconds=60)
"""Longer than the longest call to a provider (5 s to connect + 30 s to read, N-22): who finds an intent older than this knows
that its maker died or froze."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """What Gate answers, and what the Payment Page goes on with; `form` is the payer's way to the window of a new sale."""

    request_id: str
    payment_no: int
    operation_id: int
    token: str = ""
    form: Form | None = None


@dataclass(frozen=True, slots=True)
class NewSale:
    """A sale ready to be inserted: all decided, nothing written."""

    payment: Payment
    operation: Operation
    transition: Mapping[str, Any]
    callbacks: Sequence[Mapping[str, Any]]
    form: Form | None

    @property
    def accepted(self) -> Accepted:
        return accepted(self.operation, self.form)


class Intake:
    """Where new sales wait for their turn: those that wait at the same moment share one commit. One per process."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._batch: Batch[NewSale, bool] = Batch(self._insert, size_max=256)

    async def insert(self, sale: NewSale) -> bool:
        """False when the payment id is taken. Raises Overloaded."""
        return await self._batch.submit(sale)

    async def _insert(self, sales: Sequence[NewSale]) -> Sequence[bool]:
        """Sorted by key, so that two gathered commits of two processes cannot deadlock on one id."""
        ordered = sorted(
            sales, key=lambda sale: (sale.payment.project_id, payment_key(sale.payment.payment_id))
        )

        written = _written(ordered)
        rows = [(sale.payment, payment_key(sale.payment.payment_id)) for sale in ordered]

        async def story(tx: Tx) -> set[int]:
            await open_lanes(self._platform, tx, written.callbacks)
            return await payments.register(tx, rows, written)

        lanes = new_lanes(self._platform, written.callbacks)
        new = await self._platform.database.run(story, one_statement=not lanes)
        self._platform.lanes |= lanes
        return [sale.payment.payment_no in new for sale in sales]


def _written(sales: Sequence[NewSale]) -> Written:
    written = Written()
    for sale in sales:
        written.new_operations[sale.operation.project_id, sale.operation.operation_id] = sale.operation
        written.transitions.append(sale.transition)
        written.callbacks += sale.callbacks
    return written


async def begin_sale(
    platform: Platform,
    intake: Intake,
    project: Project,
    method: Method,
    request: SaleRequest,
    *,
    source: str,
    request_hash: str,
) -> Accepted:
    """Registers the sale with everything that follows from it: the payer's form, or the `error`, or the decline.

    A byte-identical resend is answered as the first was (E-6). Raises Refused 3041 when the id is taken otherwise.
    """
    sale = _new_sale(platform, project, method, request, source, request_hash)
    if await intake.insert(sale):
        return sale.accepted
    return await _taken(platform, sale)


async def _taken(platform: Platform, sale: NewSale) -> Accepted:
    project_id, key = sale.payment.project_id, payment_key(sale.payment.payment_id)

    async def story(tx: Tx) -> Accepted:
        found = await payments.by_key(tx, project_id, key)
        if found is None:
            raise Refused(codes.PAYMENT_ID_EXISTS, field="general.payment_id", constraint="unique")
        place = (project_id, found.payment_no)
        payment = (await payments.lock(tx, [place]))[place]
        for operation in reversed((await payments.operations_locked(tx, [place]))[place]):
            if operation.kind is Kind.SALE and operation.request_hash == sale.operation.request_hash:
                return accepted(operation)
        if payment.status is not PaymentStatus.ERROR:
            raise Refused(codes.PAYMENT_ID_EXISTS, field="general.payment_id", constraint="unique")
        again = _moved_to(sale, payment)
        await payments.reopen(tx, again.payment)
        await open_lanes(platform, tx, again.callbacks)
        await payments.write(tx, _written([again]))
        return again.accepted

    return await platform.database.run(story)


def accepted(operation: Operation, form: Form | None = None) -> Accepted:
    return Accepted(
        operation.request_id, operation.payment_no, operation.operation_id, return_token(operation), form
    )


def _moved_to(sale: NewSale, payment: Payment) -> NewSale:
    """The same sale as a further attempt of a payment that is there."""
    return NewSale(
        replace(sale.payment, payment_no=payment.payment_no, created_at=payment.created_at),
        replace(sale.operation, payment_no=payment.payment_no),
        sale.transition,
        [{**row, "payment_no": payment.payment_no} for row in sale.callbacks],
        sale.form,
    )


def _new_sale(
    platform: Platform,
    project: Project,
    method: Method,
    request: SaleRequest,
    source: str,
    request_hash: str,
) -> NewSale:
    now = platform.clock.now()
    payment_no = platform.ids.next()
    event, code = _first_event(request)
    operation = new_operation(platform, project, request, payment_no, request_hash, code, now)
    status, stage = advance(Kind.SALE, operation.status, operation.stage, event)
    wake_at = None if status is Status.DECLINE else operation.wake_at
    operation = replace(operation, status=status, stage=stage, seq=1, wake_at=wake_at)
    payment = _new_payment(project, method, request, source, operation, now)
    payment = payment_after(payment, operation, event, now)
    form = window(platform, project, payment, operation, now) if status is Status.AWAITING else None
    rows = callback_rows(
        platform,
        project,
        payment,
        operation,
        delay_s=request.callback_delay_s,
        form=form,
        flaws=request.flaws,
    )
    transition = transition_row(payment, operation, event, status is Status.DECLINE, "", now)
    return NewSale(payment, operation, transition, rows, form)


def _first_event(request: SaleRequest) -> tuple[Event, int]:
    if request.flaws:
        return Event.INVALID, request.flaws[0].code
    if request.refused_with is not None:
        return Event.REFUSED, request.refused_with
    return Event.OPENED, codes.AWAITING


def _new_payment(
    project: Project,
    method: Method,
    request: SaleRequest,
    source: str,
    operation: Operation,
    now: datetime,
) -> Payment:
    return Payment(
        project_id=project.project_id,
        payment_no=operation.payment_no,
        payment_id=request.payment_id,
        status=PaymentStatus.PROCESSING,
        method=method.code,
        source=source,
        amount=request.amount,
        currency=request.currency,
        captured=0,
        refunded=0,
        reserved=0,
        description=request.description,
        customer_id=request.customer_id,
        sale_id=operation.operation_id,
        flag="",
        created_at=now,
        changed_at=now,
        request=request.kept,
    )


def new_operation(
    platform: Platform,
    project: Project,
    request: SaleRequest,
    payment_no: int,
    request_hash: str,
    code: int,
    now: datetime,
) -> Operation:
    """A sale before its first event."""
    operation_id = platform.ids.next()
    limit_at = now + timedelta(seconds=project.settings.limit_time_s)
    if request.best_before is not None:
        limit_at = min(limit_at, request.best_before)  # E-37: shortens it, never lengthens it
    return Operation(
        project_id=project.project_id,
        operation_id=operation_id,
        payment_no=payment_no,
        kind=Kind.SALE,
        status=Status.PROCESSING,
        stage=Stage.NEW,
        amount=request.amount,
        currency=request.currency,
        code=code,
        request_id=request_id(platform, operation_id),
        request_hash=request_hash,
        description="",
        merchant_refund_id=None,
        account_id=project.account.account_id,
        order_number=platform.provider(project).order_number(
            project.account, project.project_id, operation_id
        ),
        return_key=platform.chance(16).hex(),
        authentication={},
        reference="",
        details={},
        request={},
        created_at=now,
        changed_at=now,
        limit_at=limit_at,
        wake_at=limit_at,
    )


def request_id(platform: Platform, operation_id: int) -> str:
    """`<40 hex>-<40 hex>-00000001`; the first 14 digits are the operation's number, so that it is found by its key."""
    chance = platform.chance(33).hex()
    return f"{operation_id:014x}{chance[:26]}-{chance[26:66]}-00000001"


def operation_in(request_id_text: str) -> int | None:
    """The operation's number in a request id of ours."""
    try:
        return int(request_id_text[:14], 16) if len(request_id_text) == 90 else None
    except ValueError:
        return None


def return_token(operation: Operation) -> str:
    """What the return URL carries: the operation and 128 unguessable bits of its own (N-6)."""
    return f"{operation.project_id}.{operation.operation_id}.{operation.return_key}"


def window(
    platform: Platform, project: Project, payment: Payment, operation: Operation, now: datetime
) -> Form:
    """The form that takes the payer to the provider, dated now and under the newest of the sale's order numbers."""
    token = return_token(operation)
    provider = project.account.provider
    return platform.provider(project).window(
        project.account,
        order_number=order_numbers(platform, project, operation)[-1],
        amount=operation.amount,
        description=payment.description,
        return_url=f"{platform.page_url}/return/{provider}/{token}",
        bridge_url=f"{platform.page_url}/bridge/{provider}/{token}",
        at=now,
    )


def order_numbers(platform: Platform, project: Project, operation: Operation) -> list[str]:
    """The names under which the sale's windows were opened, oldest first: a payer who comes back to the page opens a further
    one, since the provider opens no second window under a name that it knows (W005)."""
    further = range(2, windows_opened(operation) + 1) if operation.stage is Stage.WAITING else ()
    provider, place = platform.provider(project), (operation.project_id, operation.operation_id)
    return [operation.order_number] + [
        provider.order_number(project.account, *place, window_no) for window_no in further
    ]


def windows_opened(operation: Operation) -> int:
    return int(operation.details.get("windows", 1))


async def find_by_token(platform: Platform, token: str) -> tuple[Project, Operation] | None:
    """The sale that a return URL belongs to; None for a token that is not ours, in constant time for the secret part."""
    parts = token.split(".")
    if len(parts) != 3 or not all(part.isascii() and part.isdigit() and len(part) < 17 for part in parts[:2]):
        return None
    project = await platform.project(int(parts[0]))
    if project is None:
        return None
    async with platform.database.read() as tx:
        operation = await payments.operation(tx, project.project_id, int(parts[1]))
    if operation is None or not hmac.compare_digest(
        operation.return_key.encode(), parts[2].encode("utf-8", "replace")
    ):
        return None
    return project, operation


async def customer_returned(
    platform: Platform, door: Door, project: Project, operation: Operation, form: Mapping[str, str]
) -> None:
    """What the payer's browser brought back from the window: checked, and if the payer agreed, the money is taken (N-26).

    A repeated return changes nothing (F7), a tampered one neither (F8).
    """
    order_number, result = _read_return(platform, project, operation, form)
    received = Exchange("return", platform.clock.now(), 0, {}, _shown(form), _verdict(result))
    if isinstance(result, Authenticated):
        named = replace(operation, order_number=order_number)
        await _confirm_and_approve(platform, door, project, named, result, received)
        return

    def decide(case: Case) -> None:
        sale = case.operations[operation.operation_id]
        case.note(sale, received)
        if isinstance(result, Declined) and sale.stage is Stage.WAITING:
            if result.alarm:
                case.alarm(sale, f"provider refused: {result.provider_code or result.provider_text}")
            case.decline(sale, code=result.code, note=result.provider_text[:200])

    await door.settle(project, operation.payment_no, decide)


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
    project: Project,
    operation: Operation,
    authenticated: Authenticated,
    received: Exchange,
) -> None:
    intent = platform.chance(16).hex()
    began_s = platform.monotonic()

    def confirm(case: Case) -> bool:
        """The intent, committed before the call: only one return ever gets True, also when this runs again."""
        sale = case.operations[operation.operation_id]
        if sale.stage is not Stage.WAITING:
            return sale.stage is Stage.APPROVING and sale.authentication.get("intent") == intent
        case.note(sale, received)
        if sale.limit_at is not None and case.now >= sale.limit_at:
            case.move(
                sale, Event.EXPIRED, code=project.settings.limit_code, note="returned after the limit time"
            )
            return False
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
        return True

    try:
        confirmed = await door.settle(project, operation.payment_no, confirm)
    except asyncpg.UniqueViolationError:
        return  # this authentication has paid for another sale (N-6): a swapped return is a tampered one
    if confirmed and platform.monotonic() - began_s < reconcile.SEND_WITHIN_S:
        # The payer may close the tab now; the approval is carried to its end all the same.
        await asyncio.shield(asyncio.create_task(_approve(platform, door, project, operation, authenticated)))


async def _approve(
    platform: Platform, door: Door, project: Project, operation: Operation, authenticated: Authenticated
) -> None:
    outcome, exchange = await platform.provider(project).approve(
        project.account, authenticated, order_number=operation.order_number, amount=operation.amount
    )

    def decide(case: Case) -> bool:
        """True when the money has to be brought back at once."""
        sale = case.operations[operation.operation_id]
        case.note(sale, exchange)
        if sale.stage is Stage.APPROVING:
            return book_approval(case, sale, outcome)
        if _came_too_late(sale, outcome):
            case.move(sale, Event.UNANSWERED, wake_at=case.now, note="approved after it was given up")
        return False  # the worker has taken over: what we know now, it finds out by asking

    if await door.book(project, operation.payment_no, decide):
        await reconcile.undo(platform, door, project, operation.payment_no, operation.operation_id)


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
