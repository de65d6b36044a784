"""Gate messages in: bytes -> requests the flows understand, or `Refused` with our code.

Acceptance (synchronous, the order of E-5) and processing (E-8: wrong data becomes a payment `error`, sound but refused data a
declined sale) are told apart here, so that no flow needs to know a code.
"""

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

from wongate.domain import codes, members
from wongate.domain.members import TEXT_MAX, Flaw, is_currency_code, read_moment
from wongate.domain.money import is_amount
from wongate.domain.payment import Project
from wongate.domain.refusal import Refused

BODY_MAX = 256 * 1024
"""Bytes of the largest body that is read; the largest honest one (receipt data included) is under 20 KB."""

DEPTH_MAX = 32


class SaleRequest(NamedTuple):
    """An accepted sale. `flaws` make it a payment `error`, otherwise `refused_with` a decline; neither: it goes to the payer.

    `amount` is 0 and texts are empty where the request's value could not be read. `kept` is everything worth keeping.
    """

    payment_id: str
    amount: int
    currency: str
    customer_id: str
    description: str
    best_before: datetime | None
    callback_delay_s: int
    kept: Mapping[str, Any]
    flaws: tuple[Flaw, ...] = ()
    refused_with: int | None = None


@dataclass(frozen=True, slots=True)
class RefundRequest:
    """An accepted refund; `amount` None asks for all that is left (E-41)."""

    payment_id: str
    amount: int | None
    currency: str | None
    description: str
    merchant_refund_id: str | None
    callback_delay_s: int
    kept: Mapping[str, Any] = field(repr=False)


def parse(raw: bytes) -> dict[str, Any]:
    """A JSON object. Duplicate members, NaN, infinity, NUL, lone surrogates and deep nesting are refused: 2003 (HTTP 422)."""
    try:
        text = raw.decode("utf-8")
        body = _DECODER.decode(text)
        if "\\u" in text:
            _check_escapes(body)
    except (ValueError, RecursionError):
        raise Refused(codes.INVALID_JSON, 422) from None
    may_be_deep = text.count("{") + text.count("[") > DEPTH_MAX  # fewer brackets than levels: no need to look
    if not isinstance(body, dict) or (may_be_deep and _too_deep(body, DEPTH_MAX)):
        raise Refused(codes.INVALID_JSON, 422)
    return body


def _check_escapes(body: Any) -> None:
    """Half a surrogate pair cannot be signed, a NUL cannot be stored; both reach us only as \\u escapes. Raises ValueError."""
    json.dumps(body, ensure_ascii=False).encode("utf-8")
    if _holds_nul(body):
        raise ValueError("NUL")


def _holds_nul(value: Any) -> bool:
    if isinstance(value, str):
        return "\0" in value
    if isinstance(value, dict):
        return any(_holds_nul(item) for pair in value.items() for item in pair)
    return isinstance(value, list) and any(_holds_nul(item) for item in value)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("duplicate member")
    return found


def _no_constant(name: str) -> Any:
    raise ValueError(name)


def _finite(text: str) -> float:
    """JSON's grammar knows 1e999; read as infinity it could be signed, but not kept as JSON again."""
    number = float(text)
    if math.isinf(number):
        raise ValueError(text)
    return number


_DECODER = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_no_constant, parse_float=_finite)


def _too_deep(value: Any, depth: int) -> bool:
    if not isinstance(value, dict | list):
        return False
    if depth == 0:
        return True
    return any(_too_deep(item, depth - 1) for item in (value.values() if isinstance(value, dict) else value))


def member(body: Mapping[str, Any], path: str) -> Any:
    """The value at `name` or `group.name`, None where any part of the way is missing."""
    group, _, name = path.partition(".")
    value = body.get(group)
    if not name:
        return value
    return value.get(name) if type(value) is dict else None


def require(body: Mapping[str, Any], *paths: str) -> None:
    """Raises 2004 for the first path that is absent or null (E-5 steps 2 and 9)."""
    for path in paths:
        if member(body, path) is None:
            raise Refused(codes.FIELD_MISSING, field=path, constraint="required")


def project_id_of(value: Any) -> int:
    """An integer or a string of digits; anything else is a project nobody knows (E-5 step 3)."""
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 10:
        value = int(value)
    if type(value) is not int or not 1 <= value <= 4_294_967_295:
        raise Refused(codes.PROJECT_NOT_FOUND, 404)
    return int(value)


_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def check_payment_id(value: Any, path: str = "general.payment_id") -> str:
    """Raises 3024 for an id that is empty, too long, padded, or holds control characters (E-5 step 8)."""
    if (
        not isinstance(value, str)
        or not 1 <= len(value) <= TEXT_MAX
        or value != value.strip(" \t\0\x0b\n\r")
        or _CONTROL.search(value)
    ):
        raise Refused(codes.INVALID_PAYMENT_ID, field=path, constraint="format")
    return value


def sale(body: Mapping[str, Any], project: Project, method: str, now: datetime) -> SaleRequest:
    """Steps 8 to 10 of E-5, then E-8. The signature has been verified before."""
    payment_id = check_payment_id(member(body, "general.payment_id"))
    require(body, "customer.ip_address", "payment.amount", "payment.currency")
    settings = project.settings
    if settings.customer_id_required and member(body, "customer.id") is None:
        raise Refused(codes.CUSTOMER_ID_REQUIRED, field="customer.id", constraint="required")
    flaws = members.flaws(body, members.SALE)
    best_before = read_moment(member(body, "payment.best_before"))
    if best_before is not None and best_before <= now:
        flaws.append(Flaw(codes.VALIDATION_ERROR, "payment.best_before", "date-time in the future"))
    amount = member(body, "payment.amount")
    currency = member(body, "payment.currency")
    return SaleRequest(
        payment_id=payment_id,
        amount=amount if is_amount(amount) else 0,
        currency=currency if is_currency_code(currency) else "KRW",
        customer_id=_text(member(body, "customer.id")),
        description=_text(member(body, "payment.description")),
        best_before=None if flaws else best_before,
        callback_delay_s=0 if flaws else member(body, "callback.delay") or 0,
        kept=_kept(body),
        flaws=tuple(flaws),
        refused_with=None if flaws else refusal_of(project, method, amount, currency),
    )


def refusal_of(project: Project, method: str, amount: int, currency: str) -> int | None:
    """Sound, but refused: the sale is declined with this code (second half of E-8)."""
    settings = project.settings
    if settings.blocked:
        return codes.MERCHANT_BLOCKED
    if method not in settings.methods:
        return codes.NOT_ALLOWED_IN_PROJECT
    if currency not in settings.currencies:
        return codes.CURRENCY_DISABLED
    if currency != "KRW":
        return codes.CHANNEL_CURRENCY
    if amount < settings.amount_min:
        return codes.AMOUNT_BELOW_LIMIT
    return codes.AMOUNT_ABOVE_LIMIT if amount > settings.amount_max else None


def refund(body: Mapping[str, Any]) -> RefundRequest:
    """Steps 8, 9 and 11 of E-5: everything about a refund that depends on the request alone is answered at once (E-40)."""
    payment_id = check_payment_id(member(body, "general.payment_id"))
    require(body, "payment.description")
    amount, currency = member(body, "payment.amount"), member(body, "payment.currency")
    if amount is None and currency is not None:
        raise Refused(codes.AMOUNT_REQUIRED, field="payment.amount", constraint="required")
    if currency is None and amount is not None:
        raise Refused(codes.CURRENCY_REQUIRED, field="payment.currency", constraint="required")
    for flaw in members.flaws(body, members.REFUND):
        raise Refused(flaw.code, field=flaw.field, constraint=flaw.constraint)
    return RefundRequest(
        payment_id=payment_id,
        amount=amount,
        currency=currency,
        description=member(body, "payment.description"),
        merchant_refund_id=member(body, "payment.merchant_refund_id"),
        callback_delay_s=member(body, "callback.delay") or 0,
        kept=_kept(body),
    )


def _kept(body: Mapping[str, Any]) -> dict[str, Any]:
    """The request without its signature: all data objects are kept with the payment (E-10)."""
    general = body.get("general")
    kept = {name: value for name, value in body.items() if name not in ("general", "signature")}
    if isinstance(general, Mapping):
        kept["general"] = {name: value for name, value in general.items() if name != "signature"}
    return kept


def _text(value: Any) -> str:
    return value[:TEXT_MAX] if isinstance(value, str) else ""
