"""The one signature of the merchant side: page, Gate, callbacks, Data API (sections 1.1-1.5).

A message becomes lines `path:value`, sorted and joined by `;`; the signature is their HMAC-SHA-512 under the
project's secret, in Base64. Wongate signs in PHP's natural order (E-4) and accepts whatever order a known
client uses (E-2).
"""

import hmac
import re
from binascii import b2a_base64
from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import StrEnum
from functools import lru_cache
from typing import Any

from wongate.domain.natural_order import Line, natural_sorted

UNSIGNED = frozenset({"signature", "frame_mode"})
"""Members that no signature covers, at any depth; merchant.js adds `frame_mode` after the merchant signed."""

BROWSER_SIDE = frozenset(
    {"baseUrl", "target_element", "redirect", "redirect_on_mobile", "close_on_missclick", "css_modal_wrap"}
)
"""Page parameters that some merchants add only in the browser, behind their own signature (E-2)."""

_SMALL = 2**53  # integers below it print alike everywhere
_LENGTH = 88  # 64 bytes in Base64
_PHP_INTEGERS = range(-(2**63), 2**63)
_SPELLED_BOOLEANS = {"true": "1", "True": "1", "false": "0", "False": "0"}
_ARRAY_INDEX = re.compile(r"0|[1-9][0-9]{0,9}")


class Order(StrEnum):
    """How a client sorts the lines, in the order in which verification tries them (E-2)."""

    NATURAL = "natural order of keys"  # PHP, the reference
    TEXT = "text order of keys"  # Python
    LINES = "text order of whole lines"  # Go, Java
    LEVELS = "text order level by level"  # JavaScript


def canonical(data: Mapping[str, Any], *, order: Order = Order.NATURAL, doubled_colons: bool = True) -> str:
    """The string to sign of a decoded JSON message.

    Numbers are printed as PHP prints them: 14 significant digits for floats and for integers beyond 64 bits.
    `doubled_colons`: newer clients double a colon inside a key, older ones do not.
    """
    lines = lines_of(data, by_level=order is Order.LEVELS, doubled_colons=doubled_colons)
    if order is Order.NATURAL:
        lines = natural_sorted(lines)
    elif order is Order.TEXT:
        lines.sort()
    texts = [f"{path}:{value}" for path, value in lines]
    return ";".join(sorted(texts) if order is Order.LINES else texts)


def lines_of(data: Mapping[str, Any], *, by_level: bool = False, doubled_colons: bool = True) -> list[Line]:
    """The (path, value) pairs that are signed: in the order of the message, or each level sorted."""
    lines: list[Line] = []
    _flatten(data.items(), "", "::" if doubled_colons else ":", by_level, lines)
    return lines


def sign(data: Mapping[str, Any], secret: str) -> str:
    """The signature of an outgoing message: 88 characters of Base64."""
    return digest(canonical(data), secret).decode()


def digest(text: str, secret: str) -> bytes:
    """HMAC-SHA-512 of a string to sign, in Base64; the secret is used as the text it is."""
    mac = _keyed(secret).copy()
    mac.update(_octets(text))
    return b2a_base64(mac.digest(), newline=False)


@lru_cache(maxsize=256)  # the key's own two blocks of SHA-512 are a quarter of a callback's signature
def _keyed(secret: str) -> hmac.HMAC:
    return hmac.new(_octets(secret), digestmod="sha512")


def verify(data: Mapping[str, Any], signature: object, secrets: Sequence[str]) -> bool:
    """Whether somebody who knows one of `secrets` signed this message, in any order that a client uses (E-2).

    Never raises, whatever JSON brought in. An empty secret verifies nothing.
    """
    return _matches(readings(data), signature, secrets)


def verify_page(params: Mapping[str, str], signature: object, secrets: Sequence[str]) -> bool:
    """The same for Payment Page parameters: flat strings exactly as decoded from the URL or form.

    Tolerates what arrives beside the merchant's own parameters: names with a leading underscore, browser-side
    keys, and booleans spelled as the client's language spells them (E-2).
    """
    return _matches(_page_readings(params), signature, secrets)


def _matches(texts: Iterator[str], signature: object, secrets: Sequence[str]) -> bool:
    if not isinstance(signature, str) or len(signature) != _LENGTH or not signature.isascii():
        return False
    given = signature.encode()
    try:
        for text in texts:
            for secret in secrets:
                if secret and hmac.compare_digest(digest(text, secret), given):
                    return True
    except RecursionError:  # nested deeper than the interpreter's stack: nobody's payment
        return False
    return False


def readings(data: Mapping[str, Any]) -> Iterator[str]:
    """Every distinct string to sign that a known client could have made of this message, PHP's first."""
    first = canonical(data)
    yield first  # nearly always the right one
    seen = {first}
    for doubled_colons in (True, False):
        if not doubled_colons and canonical(data, doubled_colons=False) in seen:
            return  # no key holds a colon
        for order in Order:
            text = canonical(data, order=order, doubled_colons=doubled_colons)
            if text not in seen:
                seen.add(text)
                yield text


def _page_readings(params: Mapping[str, str]) -> Iterator[str]:
    own = {name: value for name, value in params.items() if not name.startswith("_")}
    without_browser_side = {name: value for name, value in own.items() if name not in BROWSER_SIDE}
    for variant in (own, params, without_browser_side):
        yield from readings(variant)
        yield from readings({name: _SPELLED_BOOLEANS.get(value, value) for name, value in variant.items()})


def _flatten(
    members: Iterable[tuple[str, Any]], prefix: str, colon: str, by_level: bool, lines: list[Line]
) -> None:
    """Appends a line per scalar; an empty list or object leaves none."""
    for key, value in sorted(members, key=_level_key) if by_level else members:
        if key in UNSIGNED:
            continue
        path = prefix + (key.replace(":", colon) if ":" in key else key)
        if type(value) is str:  # the exact type, which is what a JSON decoder makes: most values end here
            lines.append((path, value))
        elif type(value) is int and -_SMALL < value < _SMALL:
            lines.append((path, str(value)))
        elif isinstance(value, dict):
            _flatten(value.items(), path + ":", colon, by_level, lines)
        elif isinstance(value, list | tuple):
            items = [(str(index), item) for index, item in enumerate(value)]
            _flatten(items, path + ":", colon, by_level, lines)
        else:
            lines.append((path, _printed(value)))


def _level_key(member: tuple[str, Any]) -> tuple[int, str]:
    """JavaScript lists the keys that look like array indexes first, by value, then the others as sorted."""
    key = member[0]
    return (int(key), "") if _ARRAY_INDEX.fullmatch(key) else (2**63, key)


def _printed(value: object) -> str:
    """A scalar as PHP's string cast prints it, with booleans as 1 and 0."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "1" if value else "0"
    if isinstance(value, int):
        return str(value) if value in _PHP_INTEGERS else _printed_float(_as_float(value))
    return _printed_float(value) if isinstance(value, float) else str(value)


def _as_float(number: int) -> float:
    try:
        return float(number)
    except OverflowError:
        return float("inf") if number > 0 else float("-inf")


def _printed_float(number: float) -> str:
    """14 significant digits; where C writes `1E-05` PHP writes `1.0E-5`."""
    mantissa, exponential, exponent = f"{number:.14G}".partition("E")
    if not exponential:
        return mantissa
    return f"{mantissa if '.' in mantissa else mantissa + '.0'}E{int(exponent):+d}"


def _octets(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")  # JSON may carry half a surrogate pair; it must not raise
