"""The Payment Page's part of a sale: registered when the payer presses Pay, taken up again, repeated, given up.

A page that is only open leaves nothing behind; from Pay on everything stands on the sale's return token.
"""

import hashlib
from collections.abc import Mapping, Sequence
from urllib.parse import urlsplit

from wongate.connections.batch import Batch
from wongate.domain import codes
from wongate.domain.lifecycle import Event, Stage
from wongate.domain.members import read_moment
from wongate.domain.methods import Method
from wongate.domain.outcome import Bridge, Form
from wongate.domain.page_requests import PageRequest, sale_request
from wongate.domain.payment import Operation, Payment, PaymentStatus, Project, payment_key
from wongate.domain.refusal import Refused
from wongate.domain.requests import SaleRequest
from wongate.domain.retry import retry_until
from wongate.flows import sale
from wongate.flows.platform import Platform
from wongate.flows.sale import Accepted, Intake, Wanted, begin_sale, return_token, windows_opened
from wongate.flows.settle import Case, Door
from wongate.store import payments
from wongate.store.written import Key

WINDOWS_MAX = 20
"""Windows that one sale may open: a payer who goes back and forth needs a few, a script that presses the button gets no more."""


async def find(platform: Platform, project: Project, page: PageRequest) -> str | None:
    """The token of the sale that this page had begun before (E-29); None for a new payment, and for one in `error`.

    Raises Refused 3041 when the id belongs to a payment of another amount, currency or customer.
    """
    async with platform.database.read() as tx:
        payment = await payments.by_key(tx, project.project_id, payment_key(page.payment_id))
        if payment is None or payment.status is PaymentStatus.ERROR:
            return None
        asked = (page.amount, page.currency, page.customer_id)
        if asked != (payment.amount, payment.currency, payment.customer_id):
            raise Refused(codes.PAYMENT_ID_EXISTS, field="payment_id", constraint="unique")
        operation = await payments.operation(tx, project.project_id, payment.sale_id)
    assert operation is not None  # noqa: S101 - a payment has its sale
    return return_token(operation)


async def pay(
    platform: Platform,
    intake: Intake,
    project: Project,
    page: PageRequest,
    method: Method,
    *,
    ip_address: str,
    language: str,
) -> Accepted:
    """The payer pressed Pay: the sale is registered, and its form is the way to the window. Pressed again, or in another tab,
    it is the same sale without a form. Raises Refused 3041 like `find`."""
    request = sale_request(page, ip_address, language)
    try:
        return await begin_sale(platform, intake, Wanted(project, method, request, "page", _hash(page)))
    except Refused as refused:
        token = await find(platform, project, page) if refused.code == codes.PAYMENT_ID_EXISTS else None
        if token is None:
            raise
        return Accepted(request_id="", payment_no=0, operation_id=0, token=token)


def _hash(page: PageRequest) -> str:
    """What makes a press on Pay a repetition: the payment and what is paid."""
    text = "\n".join((payment_key(page.payment_id), str(page.amount), page.currency, page.customer_id))
    return hashlib.sha256(f"/payment\n{text}".encode()).hexdigest()


async def open_window(platform: Platform, door: Door, project: Project, operation: Operation) -> Form | None:
    """A further window for a sale whose payer left the first one; None when the sale waits for no payer any more."""

    def decide(case: Case) -> Form | None:
        current = case.operations[operation.operation_id]
        opened = windows_opened(current) + 1
        if current.stage is not Stage.WAITING or opened > WINDOWS_MAX:
            return None
        current = case.change(current, details={**current.details, "windows": opened})
        return sale.window(platform, project, case.payment, current, case.now)

    return await door.settle(project, operation.payment_no, decide)


async def try_again(
    platform: Platform, door: Door, project: Project, operation: Operation
) -> Accepted | None:
    """E-43: a further sale of the same payment; None when there is nothing to try again, or no time left."""

    def decide(case: Case) -> Accepted | None:
        failed = case.sale
        until = retry_until(project, case.payment, list(case.operations.values()), case.now)
        if failed.stage is not Stage.OFFERED or until is None:
            return None
        case.move(failed, Event.RETRIED)
        attempt = sale.new_operation(
            platform,
            project,
            _request_of(case.payment),
            case.payment.payment_no,
            failed.request_hash,
            codes.AWAITING,
            case.now,
        )
        form = sale.window(platform, project, case.payment, attempt._replace(stage=Stage.WAITING), case.now)
        return sale.accepted(case.open(attempt, Event.OPENED, form=form), form)

    return await door.settle(project, operation.payment_no, decide)


def _request_of(payment: Payment) -> SaleRequest:
    return SaleRequest(
        payment_id=payment.payment_id,
        amount=payment.amount,
        currency=payment.currency,
        customer_id=payment.customer_id,
        description=payment.description,
        best_before=read_moment(payment.request.get("payment", {}).get("best_before")),
        callback_delay_s=0,
        kept=payment.request,
    )


async def give_up(platform: Platform, door: Door, project: Project, operation: Operation) -> None:
    """The payer cancels on our page. A sale that may already have been charged goes on as if nothing had been said."""

    def decide(case: Case) -> None:
        current = case.operations[operation.operation_id]
        if current.stage is Stage.WAITING:
            case.move(current, Event.DECLINED, code=codes.CANCELLED_BY_PAYER, note="cancelled on our page")
        elif current.stage is Stage.OFFERED:
            case.move(current, Event.LAPSED, note="given up on our page")

    await door.settle(project, operation.payment_no, decide)


def window_origin(platform: Platform, project: Project) -> str:
    """Scheme and host that the payer's form will be posted to: the page's policy has to name it beforehand."""
    form = platform.provider(project).window(
        project.account,
        order_number="1",
        amount=1,
        description="",
        return_url="",
        bridge_url=platform.page_url,
        at=platform.clock.now(),
    )
    parts = urlsplit(form.url)
    return f"{parts.scheme}://{parts.netloc}"


def bridge(
    platform: Platform, project: Project, operation: Operation, form: Mapping[str, str]
) -> Bridge | None:
    """How to hand a posted form on to the provider (N-1); None unless it is one that we made for this sale."""
    provider = platform.provider(project)
    own = operation.stage is Stage.WAITING and any(
        provider.is_own_window(project.account, form, order_number=number, amount=operation.amount)
        for number in sale.order_numbers(platform, project, operation)
    )
    return provider.bridge(project.account) if own else None


class Watch:
    """What waiting pages want to know, read for all of them together. One per process."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._batch: Batch[Key, str] = Batch(self._read, size_max=500, side_by_side=1)

    async def version(self, project_id: int, payment_no: int) -> str:
        """Changes whenever the payment's sale does. Raises Overloaded or Unavailable."""
        return await self._batch.submit((project_id, payment_no), project_id)

    async def _read(self, keys: Sequence[Key]) -> list[str]:
        async with self._platform.database.read() as tx:
            found = await payments.versions(tx, sorted(set(keys)))
        return [found.get(key, "") for key in keys]
