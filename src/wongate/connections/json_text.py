"""JSON out: rows for the database, answers, callback bodies. orjson does in a microsecond what the standard library does in ten.

JSON in stays with the standard library, which can refuse duplicate members.
"""

import json
from datetime import datetime
from typing import Any

import orjson


def dumps(value: Any) -> str:
    """Compact JSON text. Datetimes become ISO 8601, members of enums their values."""
    return octets(value).decode()


def octets(value: Any) -> bytes:
    """The same as UTF-8, for what goes over the wire as it is."""
    try:
        return orjson.dumps(value)
    except TypeError:  # integers beyond 64 bits, which a merchant's own data may hold
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=_plain).encode()


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    return str(value)
