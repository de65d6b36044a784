"""Gate messages in: bytes -> requests the flows understand, or `Refused` with our code.

Acceptance (synchronous, the order of E-5) and processing (E-8: wrong data becomes a payment `error`, sound but refused data a
declined sale) are told apart here, so that no flow needs to know a code.
"""

import ipaddress
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from wongate.domain import codes
from wongate.domain.money import EXPONENTS, is_amount
from wongate.domain.payment import Project
from wongate.domain.refusal import Refused

BODY_MAX = 256 * 1024
"""Bytes of the largest body that is read; the largest honest one (receipt data included) is under 20 KB."""

TEXT_MAX = 255
URL_MAX = 2048
DEPTH_MAX = 32


@dataclass(frozen=True, slots=True)
class Flaw:
    """One member of a request that is wrong; `code` with the member's path (E-7, E-16)."""

    code: int
    field: str = ""
    constraint: str = ""


@dataclass(frozen=True, slots=True)
class SaleRequest:
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
    kept: Mapping[str, Any] = field(repr=False)
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
    """A JSON object. Duplicate members, NaN, NUL characters, lone surrogates and deep nesting are refused as 2003 (HTTP 422)."""
    try:
        text = raw.decode("utf-8")
        body = json.loads(text, object_pairs_hook=_unique, parse_constant=_no_constant)
        if "\\u" in text:
            _check_escapes(body)
    except (ValueError, RecursionError):
        raise Refused(codes.INVALID_JSON, 422) from None
    if not isinstance(body, dict) or _too_deep(body, DEPTH_MAX):
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
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("duplicate member")
    return members


def _no_constant(name: str) -> Any:
    raise ValueError(name)


def _too_deep(value: Any, depth: int) -> bool:
    if not isinstance(value, dict | list):
        return False
    if depth == 0:
        return True
    return any(_too_deep(item, depth - 1) for item in (value.values() if isinstance(value, dict) else value))


def member(body: Mapping[str, Any], path: str) -> Any:
    """The value at a dotted path, None where any part of the way is missing."""
    value: Any = body
    for name in path.split("."):
        if not isinstance(value, Mapping):
            return None
        value = value.get(name)
    return value


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


def check_payment_id(value: Any, path: str = "general.payment_id") -> str:
    """Raises 3024 for an id that is empty, too long, padded, or holds control characters (E-5 step 8)."""
    if (
        not isinstance(value, str)
        or not 1 <= len(value) <= TEXT_MAX
        or value != value.strip(" \t\0\x0b\n\r")
        or any(ord(char) < 32 or ord(char) == 127 for char in value)
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
    flaws = _sale_flaws(body, now)
    amount = member(body, "payment.amount")
    currency = member(body, "payment.currency")
    return SaleRequest(
        payment_id=payment_id,
        amount=amount if is_amount(amount) else 0,
        currency=currency if isinstance(currency, str) and re.fullmatch("[A-Z]{3}", currency) else "KRW",
        customer_id=_text(member(body, "customer.id")),
        description=_text(member(body, "payment.description")),
        best_before=None if flaws else _moment(member(body, "payment.best_before")),
        callback_delay_s=0 if flaws else member(body, "callback.delay") or 0,
        kept=_kept(body),
        flaws=tuple(flaws),
        refused_with=None if flaws else _refusal(project, method, amount, currency),
    )


def _refusal(project: Project, method: str, amount: int, currency: str) -> int | None:
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


_EMAIL = re.compile(r"[^@\s]{1,64}@[^@\s.]+(\.[^@\s.]+)+")
_SHORT_TEXTS = (
    "payment.description",
    "payment.extra_param",
    *(
        f"customer.{name}"
        for name in (
            "first_name",
            "middle_name",
            "last_name",
            "state",
            "zip",
            "street",
            "address",
            "language",
        )
    ),
)
_CALLBACK_URLS = (
    "general.merchant_callback_url",
    "general.merchant_success_callback_url",
    "general.merchant_decline_callback_url",
)
_URLS = (*_CALLBACK_URLS, "return_url.success", "return_url.decline", "return_url.return")


def _sale_flaws(body: Mapping[str, Any], now: datetime) -> list[Flaw]:
    checks = [
        (codes.INVALID_CUSTOMER_ID, "customer.id", lambda v: _is_text(v) and v != "", "string 1..255"),
        (codes.VALIDATION_ERROR, "customer.ip_address", _is_ip, "IPv4 or IPv6 address"),
        (codes.VALIDATION_ERROR, "payment.amount", is_amount, "integer 1..10000000000000"),
        (
            codes.INVALID_CURRENCY,
            "payment.currency",
            lambda v: isinstance(v, str) and v in EXPONENTS,
            "ISO 4217",
        ),
        (
            codes.INVALID_EMAIL,
            "customer.email",
            lambda v: _is_text(v) and _EMAIL.fullmatch(v),
            "e-mail address",
        ),
        (codes.VALIDATION_ERROR, "customer.phone", lambda v: _matches("[0-9]{4,24}", v), "4 to 24 digits"),
        (codes.INVALID_COUNTRY, "customer.country", lambda v: _matches("[A-Z]{2}", v), "ISO 3166-1 alpha-2"),
        (codes.INVALID_CITY, "customer.city", lambda v: _is_text(v, 256), "string up to 256"),
        (codes.INVALID_BIRTHDAY, "customer.day_of_birth", _is_birthday, "DD-MM-YYYY"),
        (
            codes.VALIDATION_ERROR,
            "payment.best_before",
            lambda v: _is_later(v, now),
            "date-time in the future",
        ),
        (codes.VALIDATION_ERROR, "callback.delay", _is_delay, "integer 0..600"),
        (codes.VALIDATION_ERROR, "callback.force_disable", _is_switch, "boolean or 0, 1"),
        *((codes.VALIDATION_ERROR, path, _is_text, "string up to 255") for path in _SHORT_TEXTS),
        *((codes.VALIDATION_ERROR, path, is_web_url, "http or https URL") for path in _URLS),
    ]
    return [*_shape_flaws(body), *_value_flaws(body, checks)]


def _shape_flaws(body: Mapping[str, Any]) -> list[Flaw]:
    return [
        Flaw(codes.VALIDATION_ERROR, name, "object")
        for name in ("customer", "payment", "return_url", "callback")
        if body.get(name) is not None and not isinstance(body[name], Mapping)
    ]


def _value_flaws(body: Mapping[str, Any], checks: list[Any]) -> list[Flaw]:
    """Flaws of the members that are there; an absent or null member is no flaw."""
    flaws = []
    for code, path, is_right, constraint in checks:
        value = member(body, path)
        if value is not None and not is_right(value):
            flaws.append(Flaw(code, path, constraint))
    return flaws


def refund(body: Mapping[str, Any]) -> RefundRequest:
    """Steps 8, 9 and 11 of E-5: everything about a refund that depends on the request alone is answered at once (E-40)."""
    payment_id = check_payment_id(member(body, "general.payment_id"))
    require(body, "payment.description")
    amount, currency = member(body, "payment.amount"), member(body, "payment.currency")
    if amount is None and currency is not None:
        raise Refused(codes.AMOUNT_REQUIRED, field="payment.amount", constraint="required")
    if currency is None and amount is not None:
        raise Refused(codes.CURRENCY_REQUIRED, field="payment.currency", constraint="required")
    checks = [
        (codes.VALIDATION_ERROR, "payment.amount", is_amount, "integer 1..10000000000000"),
        (codes.VALIDATION_ERROR, "payment.currency", lambda v: _matches("[A-Z]{3}", v), "ISO 4217"),
        (codes.VALIDATION_ERROR, "payment.description", _is_text, "string up to 255"),
        (codes.VALIDATION_ERROR, "payment.merchant_refund_id", _is_text, "string up to 255"),
        (codes.VALIDATION_ERROR, "callback.delay", _is_delay, "integer 0..600"),
        (codes.VALIDATION_ERROR, "callback.force_disable", _is_switch, "boolean or 0, 1"),
        *((codes.VALIDATION_ERROR, path, is_web_url, "http or https URL") for path in _CALLBACK_URLS),
    ]
    for flaw in [*_shape_flaws(body), *_value_flaws(body, checks)]:
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


def _is_text(value: Any, limit: int = TEXT_MAX) -> bool:
    return isinstance(value, str) and len(value) <= limit


def _matches(pattern: str, value: Any) -> bool:
    return isinstance(value, str) and re.fullmatch(pattern, value) is not None


def _is_ip(value: Any) -> bool:
    try:
        return isinstance(value, str) and bool(ipaddress.ip_address(value))
    except ValueError:
        return False


def is_web_url(value: Any) -> bool:
    """An absolute http or https URL with a host (E-9); whether it may be *called* is judged at connect time (E-19)."""
    if not isinstance(value, str) or not 1 <= len(value) <= URL_MAX or any(ord(char) <= 32 for char in value):
        return False
    try:
        parts = urlsplit(value)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        return False


def _is_birthday(value: Any) -> bool:
    try:
        return _matches(r"\d\d-\d\d-\d{4}", value) and bool(datetime.strptime(value, "%d-%m-%Y"))
    except ValueError:
        return False


def _is_delay(value: Any) -> bool:
    return type(value) is int and 0 <= value <= 600


def _is_switch(value: Any) -> bool:
    return value in (0, 1, "0", "1") and isinstance(value, bool | int | str)


def _is_later(value: Any, now: datetime) -> bool:
    moment = _moment(value)
    return moment is not None and moment > now


def _moment(value: Any) -> datetime | None:
    """`YYYY-MM-DDThh:mm:ss` with `+hh`, `+hhmm` or `+hh:mm` (section 6.1)."""
    try:
        moment = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        return None
    return moment if moment.tzinfo is not None else None
