"""What browsers report of pages that tried what their policy forbids (ASVS 3.4.7): to the log, and to a page of the Dashboard.

Anybody may post here, so a report costs little: its size is capped, and each kind is written once an hour, few an hour.
"""

import json
import logging
from contextlib import suppress

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from wongate.connections.database import Unavailable
from wongate.domain.refusal import Refused
from wongate.domain.violation import Kind, kind_of
from wongate.flows import violations
from wongate.flows.platform import Platform
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


class Violations:
    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._written: set[Kind] = set()
        self._since_s = platform.monotonic()

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
            await self._write(kind_of(report))
        return Response(status_code=204)

    async def _write(self, kind: Kind) -> None:
        if self._platform.monotonic() - self._since_s >= FORGET_S:
            self._written, self._since_s = set(), self._platform.monotonic()
        if kind in self._written or len(self._written) >= KINDS_MAX:
            return
        self._written.add(kind)
        log.warning("a page broke its policy", extra=kind._asdict())
        with suppress(Unavailable):
            await violations.note(self._platform, kind)
