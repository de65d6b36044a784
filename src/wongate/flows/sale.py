"""A sale: accepted, registered together with others, and sent to the window."""

import hmac
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from wongate.connections.batch import Batch
from wongate.connections.database import Tx
from wongate.domain import codes
from wongate.domain.lifecycle import Event, Kind, Stage, Status, advance
from wongate.domain.methods import Method
from wongate.domain.outcome import Form
from wongate.domain.payment import Operation, Payment, PaymentStatus, Project, payment_key, status_of_new
from wongate.domain.refusal import Refused
from wongate.domain.requests import SaleRequest
from wongate.flows.platform import Platform
from wongate.flows.settle import transition_row
from wongate.flows.tell import callback_rows, new_lanes, open_lanes
from wongate.store import payments
from wongate.store.seen import Seen
from wongate.store.seen import read as read_seen
from wongate.store.written import Opening, write, written_of


class Accepted(NamedTuple):
    """What Gate answers, and what the Payment Page goes on with; `form` is the payer's way to the window of a new sale."""

    request_id: str
    payment_no: int
    operation_id: int
    token: str = ""
    form: Form | None = None


class NewSale(NamedTuple):
    """A sale ready to be inserted: all decided, nothing written."""

    opening: Opening
    form: Form | None

    @property
    def accepted(self) -> Accepted:
        return accepted(self.opening.operation, self.form)


class Wanted(NamedTuple):
    """A sale that somebody asks for: of `source` `gate` or `page`, told from others by its `request_hash` (E-6)."""

    project: Project
    method: Method
    request: SaleRequest
    source: str
    request_hash: str


class Intake:
    """Where new sales wait for their turn: those that wait at the same moment are decided together and share one commit.
    One per process.

    Decided together, because the same code for one sale after the other finds the processor's caches warm: a sale costs
    the servers 165 us of a machine under load, and 192 where each is decided on its own.
    """

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._batch: Batch[Wanted, tuple[NewSale, bool]] = Batch(self._open, size_max=256)

    async def open(self, wanted: Wanted) -> tuple[NewSale, bool]:
        """The sale, and whether it is new; False when its payment id is taken. Raises Overloaded."""
        return await self._batch.submit(wanted, wanted.project.project_id)

    async def _open(self, wanted: Sequence[Wanted]) -> Sequence[tuple[NewSale, bool]]:
        sales = [_new_sale(self._platform, one) for one in wanted]
        new = await self._insert(sales)
        return [(sale, sale.opening.payment.payment_no in new) for sale in sales]

    async def _insert(self, sales: Sequence[NewSale]) -> set[int]:
        """The payment numbers that are new. Sorted by key, so that two gathered commits of two processes cannot deadlock
        on one id."""
        openings = sorted((sale.opening for sale in sales), key=_place)
        told = [row for opening in openings for row in opening.callbacks]

        async def story(tx: Tx) -> set[int]:
            await open_lanes(self._platform, tx, told)
            return await payments.register(tx, openings)

        lanes = new_lanes(self._platform, told)
        new = await self._platform.database.run(story, one_statement=not lanes)
        self._platform.lanes |= lanes
        return new


def _place(opening: Opening) -> tuple[int, str]:
    return opening.payment.project_id, payment_key(opening.payment.payment_id)


async def begin_sale(platform: Platform, intake: Intake, wanted: Wanted) -> Accepted:
    """Registers the sale with everything that follows from it: the payer's form, or the `error`, or the decline.

    A byte-identical resend is answered as the first was (E-6). Raises Refused 3041 when the id is taken otherwise.
    """
    sale, new = await intake.open(wanted)
    return sale.accepted if new else await _taken(platform, sale)


async def _taken(platform: Platform, sale: NewSale) -> Accepted:
    project_id, key = _place(sale.opening)
    request_hash = sale.opening.operation.request_hash

    async def story(tx: Tx) -> Accepted:
        found = await payments.by_key(tx, project_id, key)
        if found is None:
            raise Refused(codes.PAYMENT_ID_EXISTS, field="general.payment_id", constraint="unique")
        place = (project_id, found.payment_no)
        payment = (await payments.lock(tx, [place]))[place]
        for operation in reversed((await payments.operations_locked(tx, [place]))[place]):
            if operation.kind is Kind.SALE and operation.request_hash == request_hash:
                return accepted(operation)
        if payment.status is not PaymentStatus.ERROR:
            raise Refused(codes.PAYMENT_ID_EXISTS, field="general.payment_id", constraint="unique")
        again = _moved_to(sale.opening, payment)
        await payments.reopen(tx, again.payment)
        await open_lanes(platform, tx, again.callbacks)
        await write(tx, written_of([again]))
        return accepted(again.operation, sale.form)

    return await platform.database.run(story)


def accepted(operation: Operation, form: Form | None = None) -> Accepted:
    return Accepted(
        operation.request_id, operation.payment_no, operation.operation_id, return_token(operation), form
    )


def _moved_to(opening: Opening, payment: Payment) -> Opening:
    """The same sale as a further attempt of a payment that is there."""
    return Opening(
        opening.payment._replace(payment_no=payment.payment_no, created_at=payment.created_at),
        opening.operation._replace(payment_no=payment.payment_no),
        opening.transition,
        [{**row, "payment_no": payment.payment_no} for row in opening.callbacks],
    )


def _new_sale(platform: Platform, wanted: Wanted) -> NewSale:
    project, method, request, source, request_hash = wanted
    now = platform.clock.now()
    event, code = _first_event(request)
    status, stage = advance(Kind.SALE, Status.PROCESSING, Stage.NEW, event)
    operation = new_operation(
        platform,
        project,
        request,
        platform.ids.next(),
        request_hash,
        code,
        now,
        status=status,
        stage=stage,
        seq=1,
    )
    payment = _new_payment(project, method, request, source, operation, status_of_new(event, status), now)
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
    return NewSale(Opening(payment, operation, transition, rows), form)


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
    status: PaymentStatus,
    now: datetime,
) -> Payment:
    return Payment(
        project_id=project.project_id,
        payment_no=operation.payment_no,
        payment_id=request.payment_id,
        status=status,
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
    *,
    status: Status = Status.PROCESSING,
    stage: Stage = Stage.NEW,
    seq: int = 0,
) -> Operation:
    """A sale before its first event, or after it where `status`, `stage` and `seq` say so."""
    operation_id, chance = platform.ids.next(), platform.chance(16 + REQUEST_CHANCE)
    limit_at = now + timedelta(seconds=project.settings.limit_time_s)
    if request.best_before is not None:
        limit_at = min(limit_at, request.best_before)  # E-37: shortens it, never lengthens it
    return Operation(
        project_id=project.project_id,
        operation_id=operation_id,
        payment_no=payment_no,
        kind=Kind.SALE,
        status=status,
        stage=stage,
        amount=request.amount,
        currency=request.currency,
        code=code,
        request_id=request_id(operation_id, chance[16:]),
        request_hash=request_hash,
        description="",
        merchant_refund_id=None,
        account_id=project.account.account_id,
        order_number=platform.provider(project).order_number(
            project.account, project.project_id, operation_id
        ),
        return_key=chance[:16].hex(),
        authentication={},
        reference="",
        details={},
        request={},
        created_at=now,
        changed_at=now,
        limit_at=limit_at,
        wake_at=None if status is Status.DECLINE else limit_at,
        seq=seq,
    )


REQUEST_CHANCE = 33
"""Bytes of chance in a request id."""


def request_id(operation_id: int, chance: bytes) -> str:
    """`<40 hex>-<40 hex>-00000001`; the first 14 digits are the operation's number, so that it is found by its key."""
    digits = chance.hex()
    return f"{operation_id:014x}{digits[:26]}-{digits[26:]}-00000001"


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


class Found(NamedTuple):
    """The sale that a return URL belongs to, and its payment as it was read."""

    project: Project
    operation: Operation
    seen: Seen


async def find_by_token(platform: Platform, token: str) -> Found | None:
    """None for a token that is not ours, in constant time for the secret part."""
    parts = token.split(".")
    if len(parts) != 3 or not all(part.isascii() and part.isdigit() and len(part) < 17 for part in parts[:2]):
        return None
    project = await platform.project(int(parts[0]))
    if project is None:
        return None
    operation_id = int(parts[1])
    async with platform.database.read() as tx:
        seen = await read_seen(tx, project.project_id, operation_id)
    if seen is None:
        return None
    operation = next(one for one in seen.operations if one.operation_id == operation_id)
    if not hmac.compare_digest(operation.return_key.encode(), parts[2].encode("utf-8", "replace")):
        return None
    return Found(project, operation, seen)
