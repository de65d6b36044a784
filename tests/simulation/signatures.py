"""Signatures as the documents describe them, written a second time: the auditor trusts no line of the platform."""

import base64
import hashlib
import hmac
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

_PIECES = re.compile(r"\d+|\D+")


def of_message(message: Mapping[str, Any], secret: str) -> str:
    """ECommPay's: `path:value` lines in natural order joined by semicolons, HMAC-SHA-512, Base64."""
    lines = sorted(_lines(message, ""), key=lambda line: _natural(line[0]))
    text = ";".join(f"{path}:{value}" for path, value in lines)
    return base64.b64encode(hmac.new(secret.encode(), text.encode(), hashlib.sha512).digest()).decode()


def _lines(value: Any, path: str) -> Iterator[tuple[str, str]]:
    pairs = value.items() if isinstance(value, Mapping) else enumerate(value)
    for name, member in pairs:
        below = f"{path}:{name}" if path else str(name)
        if name == "signature":
            continue
        if isinstance(member, Mapping | list):
            yield from _lines(member, below)
        else:
            yield below, _printed(member)


def _printed(value: Any) -> str:
    if value is None:
        return ""
    return {True: "1", False: "0"}[value] if isinstance(value, bool) else str(value)


def _natural(path: str) -> list[tuple[int, int, str]]:
    return [(0, int(piece), "") if piece.isdigit() else (1, 0, piece) for piece in _PIECES.findall(path)]


def signed(message: Mapping[str, Any], secret: str) -> bytes:
    """A Gate request: the signature goes under `general`."""
    whole = json.loads(json.dumps(message))
    whole["general"]["signature"] = of_message(message, secret)
    return json.dumps(whole, ensure_ascii=False).encode()


_REQUESTS = {
    "approve": ("AuthToken", "MID", "Amt", "EdiDate"),
    "netcancel": ("AuthToken", "MID", "Amt", "EdiDate"),
    "cancel": ("MID", "CancelAmt", "EdiDate"),
    "inquiry": ("TID", "MID", "EdiDate"),
}
_ANSWERS = {
    "approve": ("TID", "MID", "Amt"),
    "netcancel": ("TID", "MID", "CancelAmt"),
    "cancel": ("TID", "MID", "CancelAmt"),
}


def of_request(kind: str, fields: Mapping[str, str], key: str) -> str:
    """NICEPAY's SignData of one of the four calls."""
    return _hash(_REQUESTS[kind], fields, key)


def of_answer(kind: str, fields: Mapping[str, str], key: str) -> str:
    """NICEPAY's Signature of an answer."""
    return _hash(_ANSWERS[kind], fields, key)


def _hash(names: tuple[str, ...], fields: Mapping[str, str], key: str) -> str:
    return hashlib.sha256("".join([*(fields.get(name, "") for name in names), key]).encode()).hexdigest()
