"""The Dashboard: its page modules, put together behind one guard. Every route stands in `Dashboard.entries` with its right."""

from collections.abc import Awaitable, Callable, Sequence
from mimetypes import guess_type
from pathlib import Path

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Route

from wongate.domain.rights import Open, Right
from wongate.flows.platform import Platform
from wongate.web import (
    dashboard_analytics,
    dashboard_audit,
    dashboard_callbacks,
    dashboard_design,
    dashboard_mailbox,
    dashboard_payment,
    dashboard_payments,
    dashboard_profile,
    dashboard_projects,
    dashboard_reports,
    dashboard_sign_in,
    dashboard_team,
    dashboard_violations,
    security,
)
from wongate.web.dashboard_access import Entry, Guard, Visit
from wongate.web.dashboard_shell import ASSET_PATH, STATIC, Shell, asset, sections_of
from wongate.web.words import choose_language

MODULES = (
    dashboard_sign_in,
    dashboard_payments,
    dashboard_payment,
    dashboard_analytics,
    dashboard_reports,
    dashboard_mailbox,
    dashboard_projects,
    dashboard_callbacks,
    dashboard_design,
    dashboard_team,
    dashboard_profile,
    dashboard_audit,
    dashboard_violations,
)
"""Page modules; each offers `routes(dashboard) -> list[Entry]`."""

ASSET_KEPT = "public, max-age=31536000, immutable"


class Dashboard:
    """What page modules are given: the platform and the shell. Their `routes(dashboard)` return entries."""

    def __init__(
        self, platform: Platform, *, sandbox: bool, can_mail: bool = False, mailbox: Path | None = None
    ) -> None:
        self.platform = platform
        self.can_mail = can_mail
        self.mailbox = mailbox
        self.shell = Shell(sandbox=sandbox)

        self.entries = [
            Entry("/dashboard", "GET", Open.SIGNED_IN, self.start),
            *(entry for module in MODULES for entry in module.routes(self)),
        ]

    def offered_rights(self) -> frozenset[Right]:
        """Those that some page or the Data API asks for: the others of section 8.4 would give nothing yet."""
        return frozenset({Right.BALANCES}).union(*(entry.rights for entry in self.entries))

    async def start(self, visit: Visit) -> Response:
        """The first page that the visitor may see."""
        return visit.go(sections_of(visit)[0].path)


def dashboard(
    platform: Platform,
    *,
    sandbox: bool = False,
    trusted_proxies: Sequence[str] = (),
    can_mail: bool = False,
    mailbox: Path | None = None,
) -> Starlette:
    """`can_mail`: whether the worker sends mail; `mailbox`: the folder in which a sandbox keeps it."""
    board = Dashboard(platform, sandbox=sandbox, can_mail=can_mail, mailbox=mailbox)
    guard = Guard(
        platform,
        secure=platform.page_url.startswith("https://"),
        trusted_proxies=trusted_proxies,
        refuse=board.shell.refuse,
        choose_language=_language_of,
    )
    routes = [Route(entry.path, guard.endpoint(entry), methods=[entry.method]) for entry in board.entries]
    return Starlette(
        routes=[Route(f"{ASSET_PATH}/{{version}}/{{name}}", static, methods=["GET"]), *routes],
        exception_handlers={status: _refusing(guard, status) for status in (404, 405)},
    )


def _refusing(guard: Guard, status: int) -> Callable[[Request, Exception], Awaitable[Response]]:
    """For what no entry takes: the page that says so, inside the guard like every other."""

    async def refuse(visit: Visit) -> Response:
        raise HTTPException(status)

    endpoint = guard.endpoint(Entry("", "", Open.ANYBODY, refuse))

    async def handler(request: Request, _: Exception) -> Response:
        return await endpoint(request)

    return handler


async def static(request: Request) -> Response:
    """Stylesheets, scripts and pictures: only files that lie in the folder, only at their present address."""
    name = request.path_params["name"]
    if name not in {path.name for path in STATIC.iterdir()} or asset(name).url != request.url.path:
        raise HTTPException(404)
    kind = guess_type(name)[0] or "application/octet-stream"
    headers = {**security.headers("none", secure=False), "Cache-Control": ASSET_KEPT}
    return FileResponse(STATIC / name, headers=headers, media_type=kind)


def _language_of(request: Request) -> str:
    return choose_language(request.query_params.get("lang", ""), request.headers.get("accept-language", ""))
