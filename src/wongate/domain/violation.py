"""What a browser reports of a page that tried what its policy forbids (ASVS 3.4.7), without anything that could be a secret.

Anybody may send such a report, so nothing of it is believed: each part is short, of plain letters, or `unreadable`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple
from urllib.parse import urlsplit

UNREADABLE = "unreadable"
HOST_MAX = 80
_WORD = re.compile(r"[a-z][a-z-]{0,39}")
_HOST = re.compile(rf"[a-z0-9.:\[\]_-]{{1,{HOST_MAX}}}")


class Kind(NamedTuple):
    """What makes two reports the same."""

    directive: str
    blocked: str  # `https://evil.example`, or what stands for no address: `inline`, `eval`, `data`
    page: str  # `/result`, `/dashboard/payments`: addresses of pages go on with tokens and numbers


@dataclass(frozen=True, slots=True)
class Violation:
    """A kind with the moments of its first and of its latest report."""

    directive: str
    blocked: str
    page: str
    first_at: datetime
    last_at: datetime


def kind_of(report: Mapping[str, Any]) -> Kind:
    """Of the `csp-report` member that browsers send (CSP level 2)."""
    directive = report.get("effective-directive") or report.get("violated-directive")
    return Kind(
        _word(str(directive or "").partition(" ")[0]),
        _origin(str(report.get("blocked-uri") or "")),
        _page(str(report.get("document-uri") or "")),
    )


def _word(text: str) -> str:
    return text if _WORD.fullmatch(text) else UNREADABLE


def _origin(text: str) -> str:
    """Without a user's name and password, which an address may carry."""
    try:
        parts = urlsplit(text)
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return UNREADABLE
    if not parts.hostname:
        return _word(parts.scheme or parts.path)
    fits = _WORD.fullmatch(parts.scheme) and _HOST.fullmatch(parts.hostname)
    return f"{parts.scheme}://{parts.hostname}{port}" if fits else UNREADABLE


def _page(text: str) -> str:
    try:
        first, *rest = urlsplit(text).path.strip("/").split("/")
    except ValueError:
        return UNREADABLE
    named = [first, *rest[:1]] if first == "dashboard" else [first]
    return "/" + "/".join(map(_word, filter(None, named)))
