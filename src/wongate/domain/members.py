"""What is right for each member of a request, as data: the sale's table of section 2.1, the refund's, and how they are applied.

Only members that are there are looked at, so that a request costs what it carries and not what it could carry.
"""

import ipaddress
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

from wongate.domain import codes
from wongate.domain.money import EXPONENTS, is_amount

TEXT_MAX = 255
URL_MAX = 2048
HOST_MAX = 253
"""Characters of a DNS name; a callback's lane is indexed by its host, and an index row ends at 2,704 bytes."""

EMAIL = re.compile(r"[^@\s]{1,64}@[^@\s.]+(\.[^@\s.]+)+")
_PHONE = re.compile("[0-9]{4,24}")
_COUNTRY = re.compile("[A-Z]{2}")
_CURRENCY = re.compile("[A-Z]{3}")
_BIRTHDAY = re.compile(r"\d\d-\d\d-\d{4}")
_OCTET = "(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
_IPV4 = re.compile(rf"{_OCTET}(?:\.{_OCTET}){{3}}")
"""Nearly every address, in a tenth of the time that `ipaddress` takes; it judges the others."""

_NOT_IN_URLS = re.compile(r"[\x00-\x20\x7f]")


@dataclass(frozen=True, slots=True)
class Flaw:
    """One member of a request that is wrong; `code` with the member's path (E-7, E-16)."""

    code: int
    field: str = ""
    constraint: str = ""


@dataclass(frozen=True, slots=True)
class Rule:
    """When a member is right, and what a client is told when it is not."""

    is_right: Callable[[Any], bool]
    constraint: str
    code: int = codes.VALIDATION_ERROR


Rules = Mapping[str, Mapping[str, Rule]]
"""Group (`customer`, `payment`, ...) -> member -> rule."""


def flaws(body: Mapping[str, Any], rules: Rules) -> list[Flaw]:
    """What is wrong, group by group; an absent or null member is no flaw."""
    found = []
    for group_name, members in rules.items():
        group = body.get(group_name)
        if group is None:
            continue
        if type(group) is not dict:
            found.append(Flaw(codes.VALIDATION_ERROR, group_name, "object"))
            continue
        for name, value in group.items():
            rule = members.get(name)
            if rule is not None and value is not None and not rule.is_right(value):
                found.append(Flaw(rule.code, f"{group_name}.{name}", rule.constraint))
    return found


def is_text(value: Any) -> bool:
    return type(value) is str and len(value) <= TEXT_MAX


def is_web_url(value: Any) -> bool:
    """An absolute http or https URL with a host (E-9); whether it may be *called* is judged at connect time (E-19)."""
    return type(value) is str and 1 <= len(value) <= URL_MAX and _reads_as_web_url(value)


@lru_cache(maxsize=1024)  # a shop gives the same return URLs with each sale
def _reads_as_web_url(text: str) -> bool:
    if _NOT_IN_URLS.search(text):
        return False
    try:
        parts = urlsplit(text)
        host = parts.hostname or ""
        return parts.scheme in ("http", "https") and 1 <= len(host) <= HOST_MAX and parts.port != 0
    except ValueError:
        return False


def is_currency_code(value: Any) -> bool:
    return type(value) is str and _CURRENCY.fullmatch(value) is not None


def read_moment(value: Any) -> datetime | None:
    """`YYYY-MM-DDThh:mm:ss` with `+hh`, `+hhmm` or `+hh:mm` (section 6.1), in UTC: databases know fewer offsets than clients."""
    if type(value) is not str:
        return None
    try:
        moment = datetime.fromisoformat(value)
        return moment.astimezone(UTC) if moment.tzinfo is not None else None
    except (ValueError, OverflowError):  # the last: an offset leads out of the years 1 to 9999
        return None


def _is_ip(value: Any) -> bool:
    try:
        if type(value) is not str:
            return False
        return _IPV4.fullmatch(value) is not None or bool(ipaddress.ip_address(value))
    except ValueError:
        return False


def _is_birthday(value: Any) -> bool:
    try:
        return _matches(_BIRTHDAY, value) and bool(datetime.strptime(value, "%d-%m-%Y"))
    except ValueError:
        return False


def _matches(pattern: re.Pattern[str], value: Any) -> bool:
    return type(value) is str and pattern.fullmatch(value) is not None


_TEXT = Rule(is_text, "string up to 255")
_URL = Rule(is_web_url, "http or https URL")
_CALLBACK = {
    "delay": Rule(lambda value: type(value) is int and 0 <= value <= 600, "integer 0..600"),
    "force_disable": Rule(lambda value: value in (0, 1, "0", "1"), "boolean or 0, 1"),
}
_CALLBACK_URLS = {
    "merchant_callback_url": _URL,
    "merchant_success_callback_url": _URL,
    "merchant_decline_callback_url": _URL,
}
_SHORT_TEXTS = ("first_name", "middle_name", "last_name", "state", "zip", "street", "address", "language")
_AMOUNT = Rule(is_amount, "integer 1..10000000000000")

SALE: Rules = {
    "customer": {
        "id": Rule(lambda value: is_text(value) and value != "", "string 1..255", codes.INVALID_CUSTOMER_ID),
        "ip_address": Rule(_is_ip, "IPv4 or IPv6 address"),
        "email": Rule(
            lambda value: is_text(value) and _matches(EMAIL, value), "e-mail address", codes.INVALID_EMAIL
        ),
        "phone": Rule(lambda value: _matches(_PHONE, value), "4 to 24 digits"),
        "country": Rule(lambda value: _matches(_COUNTRY, value), "ISO 3166-1 alpha-2", codes.INVALID_COUNTRY),
        "city": Rule(
            lambda value: type(value) is str and len(value) <= 256, "string up to 256", codes.INVALID_CITY
        ),
        "day_of_birth": Rule(_is_birthday, "DD-MM-YYYY", codes.INVALID_BIRTHDAY),
        **dict.fromkeys(_SHORT_TEXTS, _TEXT),
    },
    "payment": {
        "amount": _AMOUNT,
        "currency": Rule(
            lambda value: type(value) is str and value in EXPONENTS, "ISO 4217", codes.INVALID_CURRENCY
        ),
        "description": _TEXT,
        "extra_param": _TEXT,
        "best_before": Rule(lambda value: read_moment(value) is not None, "date-time"),
    },
    "general": _CALLBACK_URLS,
    "return_url": {"success": _URL, "decline": _URL, "return": _URL},
    "callback": _CALLBACK,
}

REFUND: Rules = {
    "payment": {
        "amount": _AMOUNT,
        "currency": Rule(is_currency_code, "ISO 4217"),
        "description": _TEXT,
        "merchant_refund_id": _TEXT,
    },
    "general": _CALLBACK_URLS,
    "callback": _CALLBACK,
}
