"""What browsers report of pages that tried what their policy forbids (ASVS 3.4.7). Written to the log and nowhere else.

Anybody may post here, so a report costs little: its size is capped, each kind is written once an hour, few a minute. Addresses
of our pages hold signatures and tokens: of each no more than its first part is kept.
"""

import json
import logging
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from wongate.domain.refusal import Refused
from wongate.web.http import ClientGone, read_body

log = logging.getLogger(__name__)

PATH = "/csp-report"
DIRECTIVES = {"report-uri": [PATH]}
"""The older way alone: every browser knows it, and where `report-to` stands beside it Chromium follows that instead, over TLS
only and a minute late."""

REPORT_MAX = 16 * 1024
FORGET_S = 3600.0
KINDS_MAX = 200
"""Kinds that an hour may bring, of all processes each: a flood of invented ones ends here."""

Kind = tuple[str, str, str]
"""Directive, origin or keyword of what was blocked, first part of the page's path."""


class Violations:
    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._written: set[Kind] = set()
        self._since_s = monotonic()

    def routes(self) -> list[Route]:
        return [Route(PATH, self.report, methods=["POST"])]

    async def report(self, request: Request) -> Response:
        """204 whatever comes: who reports has no use for an answer, and who attacks gets none."""
        try:
            told = json.loads(await read_body(request.scope, request.receive, REPORT_MAX))
        except (ValueError, RecursionError, Refused, ClientGone):
            told = None
        report = told.get("csp-report") if isinstance(told, dict) else None
        if isinstance(report, dict):
            self._write(_kind(report))
        return Response(status_code=204)

    def _write(self, kind: Kind) -> None:
        if self._monotonic() - self._since_s >= FORGET_S:
            self._written, self._since_s = set(), self._monotonic()
        if kind in self._written or len(self._written) >= KINDS_MAX:
            return
        self._written.add(kind)
        directive, blocked, page = kind
        log.warning(
            "a page broke its policy", extra={"directive": directive, "blocked": blocked, "page": page}
        )


def _kind(report: Mapping[str, Any]) -> Kind:
    directive = report.get("effective-directive") or report.get("violated-directive")
    return _word(directive), _origin(report.get("blocked-uri")), _first_part(report.get("document-uri"))


def _word(value: Any) -> str:
    return str(value or "").split(" ")[0][:60]


def _origin(value: Any) -> str:
    """`https://evil.example`, or what stands for no address: `inline`, `eval`, `data`."""
    try:
        parts = urlsplit(str(value or ""))
    except ValueError:
        return "unreadable"
    return f"{parts.scheme}://{parts.netloc}"[:100] if parts.netloc else _word(parts.scheme or parts.path)


def _first_part(value: Any) -> str:
    try:
        return "/" + urlsplit(str(value or "")).path.strip("/").split("/")[0][:30]
    except ValueError:
        return "unreadable"
