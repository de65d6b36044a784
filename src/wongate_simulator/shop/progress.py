"""Where a payment stands, worked out anew from what the platform has signed. Pure: no IO, no clock.

Only verified callbacks and verified status answers count. Neither an accept answer nor the payer's return
says how a payment ended, and callbacks may arrive twice or in another order than they were made.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from wongate_simulator.shop.gate_client import Answer
from wongate_simulator.shop.orders import Order, ReceivedCallback, SentRequest

REFUNDABLE = {"success", "partially refunded"}
OPEN = {
    "awaiting answer",
    "on the page",
    "processing",
    "awaiting redirect result",
    "awaiting customer",
    "awaiting customer action",
    "awaiting clarification",
}


@dataclass(frozen=True)
class Redirect:
    """A form that the payer's browser must send to reach Payco."""

    method: str
    url: str
    body: dict[str, str]


@dataclass(frozen=True)
class News:
    """One signed message of the platform about a payment."""

    status: str
    date: str
    amount_left: int
    operations: tuple[dict[str, Any], ...]
    redirect: Redirect | None

    @property
    def order(self) -> tuple[str, bool, int]:
        """Dates have whole seconds; within one, a finished payment comes later and money only goes back."""
        return self.date, self.status not in OPEN, -self.amount_left


@dataclass(frozen=True)
class Progress:
    """`status` is the platform's word or one of ours: `awaiting answer`, `refused`, `on the page`."""

    status: str
    amount: int
    amount_left: int
    in_work: int  # won whose refund was asked for and not reported yet
    code: str
    message: str
    redirect: Redirect | None

    @property
    def open(self) -> bool:
        return self.status in OPEN

    @property
    def refunded(self) -> int:
        return self.amount - self.amount_left if self.status in REFUNDABLE | {"refunded"} else 0

    @property
    def available(self) -> int:
        """Won that can still be refunded."""
        return max(0, self.amount_left - self.in_work) if self.status in REFUNDABLE else 0


def progress(order: Order, requests: list[SentRequest], callbacks: list[ReceivedCallback]) -> Progress:
    news = sorted(_news(requests, callbacks), key=lambda piece: piece.order)
    if not news:
        return _before_any_news(order, requests)
    newest = news[-1]
    sales = [operation for piece in news for operation in piece.operations if operation.get("type") == "sale"]
    sale = sales[-1] if sales else {}
    return Progress(
        status=newest.status,
        amount=order.amount,
        amount_left=newest.amount_left,
        in_work=_refunds_in_work(requests, news, newest.amount_left),
        code=str(sale.get("code", "")),
        message=str(sale.get("message", "")),
        redirect=_redirect_of(news),
    )


def _before_any_news(order: Order, requests: list[SentRequest]) -> Progress:
    sales = [request for request in requests if request.kind == "sale"]
    answer = Answer(sales[-1].http_status, sales[-1].answer) if sales else Answer(None, "")
    code, message = str(answer.members.get("code", "")), str(answer.members.get("message", ""))
    if order.way in ("page", "widget"):
        status = "on the page"
    elif answer.accepted or order.way == "elsewhere":
        status = "processing"
    else:
        status = "awaiting answer" if answer.resendable else "refused"
    return Progress(status, order.amount, order.amount, 0, code, message, None)


def _news(requests: list[SentRequest], callbacks: list[ReceivedCallback]) -> Iterable[News]:
    for callback in callbacks:
        if callback.verified:
            yield from _news_of(json.loads(callback.body))
    for request in requests:
        if request.kind == "status" and request.verified:
            yield from _news_of(json.loads(request.answer))


def _news_of(members: dict[str, Any]) -> Iterable[News]:
    payment = members.get("payment", {})
    operations = members.get("operations") or [members.get("operation")]
    if "sum" not in payment or not all(operations):
        return  # "transaction not found" is an answer about the question, not about the payment
    yield News(
        status=str(payment["status"]),
        date=str(payment.get("date", "")),
        amount_left=_won(payment["sum"].get("amount")),
        operations=tuple(operations),
        redirect=_redirect(members.get("redirect_data")),
    )


def _redirect_of(news: list[News]) -> Redirect | None:
    """A status answer tells that the payer is awaited, but not where: only the callback holds the form."""
    if news[-1].status != "awaiting redirect result":
        return None
    return next((piece.redirect for piece in reversed(news) if piece.redirect), None)


def _won(amount: Any) -> int:
    """The callback of a request in error repeats the amount as it was asked for, whatever that was."""
    return amount if isinstance(amount, int) else 0


def _redirect(data: dict[str, Any] | None) -> Redirect | None:
    """An empty body travels as a list, `[]`."""
    if not data or urlsplit(data["url"]).scheme not in ("http", "https"):
        return None
    body = {name: str(value) for name, value in dict(data.get("body") or {}).items()}
    return Redirect(str(data.get("method", "POST")), data["url"], body)


def _refunds_in_work(requests: list[SentRequest], news: list[News], amount_left: int) -> int:
    reported = {
        operation.get("request_id")
        for piece in news
        for operation in piece.operations
        if operation.get("type") == "refund" and operation.get("status") in ("success", "decline")
    }
    in_work = 0
    for request in requests:
        answer = Answer(request.http_status, request.answer)
        may_be_taken = answer.accepted or answer.resendable
        if request.kind == "refund" and may_be_taken and answer.members.get("request_id") not in reported:
            in_work += json.loads(request.body)["payment"].get("amount", amount_left)
    return in_work
