"""Why a signature is wrong: makes again, one by one, the mistakes that merchants make, until one of them
fits.

For `wongate sign` and the Dashboard, not for the way of a payment: one explanation may cost thousands of
hashes.
"""

import hashlib
import hmac
import html
import json
import re
import unicodedata
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from math import isfinite
from typing import Any
from urllib.parse import quote, quote_plus, unquote

from wongate.domain.signature import Order, canonical, digest, lines_of, readings, sign, verify

REASONS = {
    "matches": "the signature is right",
    "other_order": "accepted, though it was made in {detail} instead of PHP's natural order",
    "missing": "there is no signature to compare with",
    # the signature as text
    "surrounded": "the signature has spaces or line breaks around it",
    "url_encoded": "the signature was URL-encoded once too often",
    "plus_lost": "a + in the signature became a space: it must be URL-encoded where it goes into a URL",
    "quoted": "the signature stands in quotation marks",
    "url_safe": "the signature is in the URL-safe Base64 alphabet; + and / are needed",
    "unpadded": "the = at the end of the Base64 text are missing",
    # the hash
    "hexadecimal": "the hash was written in hexadecimal instead of Base64",
    "hexadecimal_in_base64": "the hexadecimal text of the hash was Base64-encoded; the raw bytes are needed",
    "algorithm": "the hash is {detail} instead of HMAC-SHA-512",
    # the secret
    "secret_surrounded": "the secret was used with spaces or a line break around it, or without those it has",
    "secret_quoted": "the secret was used with quotation marks around it, or without those it has",
    "secret_decoded": "the secret was decoded from {detail} first; it is used as the text it is",
    # the string to sign
    "unsorted": "the lines were not sorted",
    "semicolon_at_end": "there was a ; behind the last line",
    "newline_at_end": "there was a line break behind the last line",
    "json_signed": "the JSON text was signed instead of the sorted lines",
    "lost_boolean_keys": "booleans were signed as a bare 1, without their keys (WooCommerce plugin 5.0.0)",
    "frame_mode_signed": "the member frame_mode was signed; it belongs to no signature",
    "depth": "members deeper than three levels were signed without their values",
    # values; {detail} is the member, or "all of them"
    "boolean_words": "a boolean was signed as the word true or false instead of 1 or 0: {detail}",
    "null_words": "a null was signed as a word instead of nothing: {detail}",
    "decimals": "a whole number was signed with decimals: {detail}",
    "number_format": "a number was printed otherwise than PHP prints it; send it as a text: {detail}",
    "minor_units": "an amount was signed in hundredths: won have none: {detail}",
    "trimmed": "a text was signed without the spaces around it: {detail}",
    "html_escaped": "a text was signed with HTML escapes (&amp;): {detail}",
    "json_escaped": "a text was signed with JSON escapes (\\/ or \\uXXXX): {detail}",
    "value_url_encoded": "a text was signed URL-encoded: {detail}",
    "value_url_decoded": "a text was signed URL-decoded: {detail}",
    "normalised": "a text was signed in another Unicode form (NFC, NFD): {detail}",
    "line_breaks": "a text was signed with other line breaks (LF, CRLF): {detail}",
    "lower_case": "a text was signed in lower case: {detail}",
    "emptied": "a member was signed without its value: {detail}",
    "not_signed": "a member was not signed: {detail}",
    # nothing fits
    "length": "a signature has 88 characters, this one has {detail}",
    "unknown": "no usual mistake fits: another secret was used, or another message was signed",
}
"""The sentence of each reason, for people who read English; the keys are what other languages translate."""

ALL_OF_THEM = "all of them"
_MOST_MEMBERS = 200  # beyond it single members are no longer tried: the number of attempts grows with each


@dataclass(frozen=True, slots=True)
class Explanation:
    """What is signed in a message, the signature that belongs to it, and why `given` is another.

    `reason` is a key of REASONS, `detail` what fills its {detail}. No secret is in it.
    """

    canonical: str
    signature: str
    given: str
    reason: str
    detail: str = ""

    @property
    def accepted(self) -> bool:
        return self.reason in ("matches", "other_order")

    @property
    def sentence(self) -> str:
        return REASONS[self.reason].format(detail=self.detail)

    def __str__(self) -> str:
        lines = [f"string to sign  {self.canonical}", f"signature       {self.signature}"]
        if self.given:
            lines += [f"given           {self.given}", f"verdict         {self.sentence}"]
        return "\n".join(lines)


Finding = tuple[str, str]
Change = Callable[[Any], Any]


def explain(data: Mapping[str, Any], secret: str, given: str | None = None) -> Explanation:
    """The first usual mistake that turns the message and the secret into the given signature."""
    reason, detail = _first_finding(data, secret, given) if given else ("missing", "")
    return Explanation(canonical(data), sign(data, secret), given or "", reason, detail)


def _first_finding(data: Mapping[str, Any], secret: str, given: str) -> Finding:
    if verify(data, given, [secret]):
        return _order(data, secret, given)
    right = {digest(text, secret).decode() for text in readings(data)}
    for reason, respelled in _respellings(given):
        if respelled in right:
            return reason, ""
    wrong = given.strip()
    for text in readings(data):
        for reason, detail, hashed in _other_hashes(text, secret):
            if hashed == wrong:
                return reason, detail
    for reason, detail, text in _other_texts(data):
        if digest(text, secret).decode() == wrong:
            return reason, detail
    return ("length", str(len(given))) if len(given) != len(sign(data, secret)) else ("unknown", "")


def _order(data: Mapping[str, Any], secret: str, given: str) -> Finding:
    orders = [order for order in Order if digest(canonical(data, order=order), secret).decode() == given]
    if not orders:
        return "other_order", "another treatment of the colon in a key"
    return ("matches", "") if orders[0] is Order.NATURAL else ("other_order", orders[0].value)


def _respellings(given: str) -> Iterator[tuple[str, str]]:
    bare = given.strip()
    yield "surrounded", bare
    yield "url_encoded", unquote(bare)
    yield "url_encoded", unquote(unquote(bare))
    yield "plus_lost", bare.replace(" ", "+")
    yield "quoted", bare.strip("\"'")
    yield "url_safe", bare.replace("-", "+").replace("_", "/")
    yield "unpadded", bare.rstrip("=") + "=="


def _other_hashes(text: str, secret: str) -> Iterator[tuple[str, str, str]]:
    """(reason, detail, signature) for every other way from the right text to a hash."""
    octets, key = (value.encode("utf-8", "surrogatepass") for value in (text, secret))
    mac = hmac.digest(key, octets, "sha512")
    yield "hexadecimal", "", mac.hex()
    yield "hexadecimal", "", mac.hex().upper()
    yield "hexadecimal_in_base64", "", _base64(mac.hex().encode())
    for name in ("sha256", "sha384", "sha1", "md5"):
        other = hmac.digest(key, octets, name)
        yield "algorithm", f"HMAC-{name.upper()}", _base64(other)
        yield "algorithm", f"HMAC-{name.upper()}", other.hex()
    for joined in (octets + key, key + octets, octets):
        plain = hashlib.sha512(joined)
        yield "algorithm", "a plain SHA-512", _base64(plain.digest())
        yield "algorithm", "a plain SHA-512", plain.hexdigest()
    for reason, detail, other_key in _other_keys(secret):
        yield reason, detail, _base64(hmac.digest(other_key, octets, "sha512"))


def _other_keys(secret: str) -> Iterator[tuple[str, str, bytes]]:
    for variant in (secret.strip(), f"{secret}\n", f"{secret}\r\n", f"{secret} ", f" {secret}"):
        yield "secret_surrounded", "", variant.encode("utf-8", "surrogatepass")
    for variant in (f'"{secret}"', f"'{secret}'", secret.strip("\"'")):
        yield "secret_quoted", "", variant.encode("utf-8", "surrogatepass")
    decodings: dict[str, Callable[[str], bytes]] = {"Base64": b64decode, "hexadecimal": bytes.fromhex}
    for name, decode in decodings.items():
        try:
            yield "secret_decoded", name, decode(secret)
        except ValueError:
            continue


def _other_texts(data: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """(reason, detail, string to sign) for every other way from the message to a text."""
    text = canonical(data)
    yield "semicolon_at_end", "", f"{text};"
    yield "newline_at_end", "", f"{text}\n"
    yield "newline_at_end", "", f"{text}\r\n"
    yield "unsorted", "", ";".join(f"{path}:{value}" for path, value in lines_of(data))
    for message in (data, _without(_without(data, "general.signature"), "signature")):
        for separators, ascii_only in product(((",", ":"), None), (True, False)):
            yield "json_signed", "", json.dumps(message, ensure_ascii=ascii_only, separators=separators)
    yield "lost_boolean_keys", "", _with_lost_boolean_keys(data)
    yield "frame_mode_signed", "", _with_frame_mode(data)
    for reason, message in _changed_as_a_whole(data):
        for reading in readings(message):
            yield reason, ALL_OF_THEM, reading
    for reason, detail, message in _changed_in_one_place(data):
        yield reason, detail, canonical(message)


def _changed_as_a_whole(data: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    yield "depth", _cut_off(data, 3)
    for reason, change in _CHANGES:
        yield reason, _mapped(data, _everywhere(change))


def _changed_in_one_place(data: Mapping[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    members = list(_members_below(data))
    if len(members) > _MOST_MEMBERS:
        return
    for path, _ in members:
        yield "not_signed", path, _without(data, path)
    for (path, value), (reason, change) in product(members, (*_CHANGES, _EMPTIED)):
        if not isinstance(value, Mapping | list) and change(value) != value:
            yield reason, path, _mapped(data, _only_at(path, change))


def _everywhere(change: Change) -> Callable[[str, Any], Any]:
    return lambda _, value: change(value)


def _only_at(path: str, change: Change) -> Callable[[str, Any], Any]:
    return lambda here, value: change(value) if here == path else value


def _if(kind: type, change: Change) -> Change:
    """The change for values of exactly this type; all others stay."""
    return lambda value: change(value) if type(value) is kind else value


_CHANGES: tuple[tuple[str, Change], ...] = (
    ("boolean_words", _if(bool, lambda value: str(value).lower())),
    ("boolean_words", _if(bool, str)),
    ("null_words", _if(type(None), lambda _: "null")),
    ("null_words", _if(type(None), str)),
    ("decimals", _if(int, lambda value: f"{value}.00")),
    ("decimals", _if(int, lambda value: f"{value}.0")),
    ("minor_units", _if(int, lambda value: f"{value // 100}.{value % 100:02}")),
    ("minor_units", _if(int, lambda value: value * 100)),
    ("number_format", _if(float, repr)),
    ("number_format", _if(float, lambda value: str(int(value)) if isfinite(value) else value)),
    ("number_format", _if(float, lambda value: f"{value:.20f}"[:-8].rstrip("0"))),
    ("number_format", _if(int, str)),
    ("number_format", _if(int, lambda value: str(int(float(value))) if abs(value) < 2**1000 else value)),
    ("trimmed", _if(str, str.strip)),
    ("html_escaped", _if(str, html.escape)),
    ("html_escaped", _if(str, html.unescape)),
    ("json_escaped", _if(str, lambda value: value.replace("/", "\\/"))),
    ("json_escaped", _if(str, lambda value: json.dumps(value)[1:-1])),
    ("json_escaped", _if(str, lambda value: json.dumps(value)[1:-1].replace("/", "\\/"))),
    ("value_url_encoded", _if(str, lambda value: quote_plus(value, errors="replace"))),
    ("value_url_encoded", _if(str, lambda value: quote(value, safe="", errors="replace"))),
    ("value_url_decoded", _if(str, unquote)),
    ("normalised", _if(str, lambda value: unicodedata.normalize("NFC", value))),
    ("normalised", _if(str, lambda value: unicodedata.normalize("NFD", value))),
    ("line_breaks", _if(str, lambda value: value.replace("\r\n", "\n"))),
    ("line_breaks", _if(str, lambda value: value.replace("\n", "\r\n"))),
    ("lower_case", _if(str, str.lower)),
)


_EMPTIED: tuple[str, Change] = ("emptied", lambda _: "")


def _members_below(node: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Every member with its path, objects and lists too: `payment.description`, `positions.0`."""
    for key, value in _members(node):
        yield f"{prefix}{key}", value
        yield from _members_below(value, f"{prefix}{key}.")


def _members(node: Any) -> list[tuple[str, Any]]:
    if isinstance(node, Mapping):
        return list(node.items())
    return [(str(index), item) for index, item in enumerate(node)] if isinstance(node, list) else []


def _mapped(node: Any, change: Callable[[str, Any], Any], prefix: str = "") -> Any:
    """The message with every scalar changed; `change` gets its path and its value."""
    if not isinstance(node, Mapping | list):
        return change(prefix.removesuffix("."), node)
    changed = {key: _mapped(value, change, f"{prefix}{key}.") for key, value in _members(node)}
    return changed if isinstance(node, Mapping) else list(changed.values())


def _without(node: Any, path: str, prefix: str = "") -> Any:
    """The message without the member at a path."""
    if not isinstance(node, Mapping | list):
        return node
    kept = {
        key: _without(value, path, f"{prefix}{key}.")
        for key, value in _members(node)
        if f"{prefix}{key}" != path
    }
    return kept if isinstance(node, Mapping) else list(kept.values())


def _cut_off(node: Any, levels: int) -> Any:
    if not isinstance(node, Mapping | list):
        return node
    return {key: _cut_off(value, levels - 1) for key, value in _members(node)} if levels else ""


def _with_lost_boolean_keys(data: Mapping[str, Any]) -> str:
    marked = _mapped(data, lambda _, value: "\x01" if isinstance(value, bool) else value)
    return re.sub("[^;]*:\x01", "1", canonical(marked))


def _with_frame_mode(data: Mapping[str, Any]) -> str:
    disguised = json.loads(json.dumps(data).replace('"frame_mode":', '"frame_mode\\u0001":'))
    return canonical(disguised).replace("\x01", "")


def _base64(octets: bytes) -> str:
    return b64encode(octets).decode()
