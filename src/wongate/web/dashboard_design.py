"""How a project's Payment Page looks, for designers; who may frame it and whether payers may try again, for administrators."""

import base64
from typing import TYPE_CHECKING

from starlette.responses import Response

from wongate.domain.refusal import Unfit
from wongate.domain.rights import Right
from wongate.flows import projects
from wongate.flows.projects import Stale
from wongate.web.dashboard_access import Entry, Visit
from wongate.web.dashboard_projects import members, project_id_of, save, tabs

if TYPE_CHECKING:
    from wongate.web.dashboard import Dashboard

HOME = "/dashboard/page-design"
ONE = f"{HOME}/{{project_id:int}}"
LOGO_MAX = 30_000
"""Bytes: the page carries the logo within itself, so that it asks nobody else for anything."""

LOOK = ("page_name", "page_color")
CONDUCT = (
    "frame_origins",
    "window_in_frame",
    "language_menu",
    "try_again",
    "try_again_attempts",
    "try_again_window",
)
_KINDS = ((b"\x89PNG\r\n\x1a\n", "png"), (b"\xff\xd8\xff", "jpeg"))


def routes(dashboard: "Dashboard") -> list[Entry]:
    pages = Design(dashboard)
    return [
        Entry(HOME, "GET", Right.PAGE_DESIGN, pages.show),
        Entry(ONE, "GET", Right.PAGE_DESIGN, pages.show_one),
        Entry(ONE, "POST", Right.PAGE_DESIGN, pages.save_look),
        Entry(f"{ONE}/conduct", "POST", Right.PROJECT_SETTINGS, pages.save_conduct),
    ]


class Design:
    def __init__(self, dashboard: "Dashboard") -> None:
        self._platform = dashboard.platform
        self._page = dashboard.shell.page

    async def show(self, visit: Visit) -> Response:
        found = await projects.of(self._platform, visit.project_ids)
        return self._page(visit, "designs.html", projects=found)

    async def show_one(self, visit: Visit) -> Response:
        return await self._design(visit)

    async def _design(self, visit: Visit, unfit: Unfit | None = None) -> Response:
        project = await projects.find(self._platform, project_id_of(visit))
        return self._page(
            visit,
            "project_design.html",
            400 if unfit else 200,
            project=project,
            tabs=tabs(visit, project),
            settable=visit.may(Right.PROJECT_SETTINGS),
            unfit=unfit,
        )

    async def save_look(self, visit: Visit) -> Response:
        """A logo that is not sent stays as it is; the box beside it takes it away."""
        here = f"{HOME}/{project_id_of(visit)}"
        try:
            look = members(visit, LOOK)
            upload = visit.files.get("page_logo")
            if upload or visit.form.get("without_logo") == "1":
                look["page_logo_url"] = _picture(upload.content) if upload else ""
            changed = await projects.change(
                self._platform,
                visit.actor,
                project_id_of(visit),
                "Payment Page changed",
                lambda settings: look,
                version=visit.form.get("version", ""),
            )
        except Unfit as unfit:
            return await self._design(visit, unfit)
        except Stale:
            return visit.go(here, "stale")
        return visit.go(here, "saved" if changed else "nothing")

    async def save_conduct(self, visit: Visit) -> Response:
        return await save(
            visit,
            CONDUCT,
            refused=lambda unfit: self._design(visit, unfit),
            back=f"{HOME}/{project_id_of(visit)}",
        )


def _picture(content: bytes) -> str:
    """As the page carries it. The kind is what the content is, whatever the file was called. Raises Unfit."""
    kind = next((kind for mark, kind in _KINDS if content.startswith(mark)), "")
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        kind = "webp"
    if not kind or len(content) > LOGO_MAX:
        raise Unfit("A logo is a PNG, JPEG or WebP picture of at most 30 kB.", "page_logo")
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"
