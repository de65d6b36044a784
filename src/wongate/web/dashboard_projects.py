"""Projects: what a merchant's shop is called, its secret, its limits and times, where browsers and callbacks go."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from starlette.responses import Response

from wongate.domain.methods import METHODS
from wongate.domain.refusal import Unfit
from wongate.domain.rights import Right
from wongate.flows import projects
from wongate.flows.projects import Stale, Standing
from wongate.web.dashboard_access import Entry, Visit
from wongate.web.dashboard_shell import MESSAGES, N_

if TYPE_CHECKING:
    from wongate.web.dashboard import Dashboard

HOME = "/dashboard/projects"
ONE = f"{HOME}/{{project_id:int}}"

MESSAGES |= {
    "overlap-ended": N_("The previous secret works no more."),
    "rotated-before": N_("The secret had been renewed before. Nothing was changed."),
}

OVERLAPS_H = (0, 1, 24, 72, 168)

# Form field -> setting, and how many seconds or parts one of the form's unit has.
_TEXTS = ("success_url", "decline_url", "return_url", "page_name", "page_color")
_NUMBERS = {
    "amount_min": ("amount_min", 1),
    "amount_max": ("amount_max", 1),
    "limit_time": ("limit_time_s", 60),
    "base_time": ("base_time_s", 1),
    "refund_resend_window": ("refund_resend_window_s", 1),
    "try_again_attempts": ("try_again_attempts", 1),
    "try_again_window": ("try_again_window_s", 60),
}
_LISTS = ("allowed_ips", "frame_origins")
_CHOICES = ("methods", "currencies")
FORMS: Mapping[str, tuple[str, ...]] = {
    "general": (
        "customer_id_required",
        "allowed_ips",
        "refund_resend_window",
        "dashboard_refunds",
        "original_description",
        "auth_code",
        "blocked",
    ),
    "methods": ("methods", "currencies", "amount_min", "amount_max", "limit_time", "base_time"),
    "redirects": ("success_url", "decline_url", "return_url"),
}
"""Which fields each page's form has: an unticked box is not sent, and must not be mistaken for one that is not there."""


def routes(dashboard: "Dashboard") -> list[Entry]:
    pages = Projects(dashboard)
    see, settle = Right.VIEW_PROJECTS, Right.PROJECT_SETTINGS
    return [
        Entry(HOME, "GET", see, pages.show),
        Entry(ONE, "GET", see, pages.show_general),
        Entry(ONE, "POST", settle, pages.save_general),
        Entry(f"{ONE}/name", "POST", settle, pages.rename),
        Entry(f"{ONE}/secret", "POST", settle, pages.reveal_secret, confirm=True),
        Entry(f"{ONE}/secret/rotate", "POST", settle, pages.rotate_secret, confirm=True),
        Entry(f"{ONE}/secret/end-overlap", "POST", settle, pages.end_overlap, confirm=True),
        Entry(f"{ONE}/methods", "GET", see, pages.show_methods),
        Entry(f"{ONE}/methods", "POST", settle, pages.save_methods),
        Entry(f"{ONE}/redirects", "GET", see, pages.show_redirects),
        Entry(f"{ONE}/redirects", "POST", settle, pages.save_redirects),
    ]


class Projects:
    def __init__(self, dashboard: "Dashboard") -> None:
        self._platform = dashboard.platform
        self._page = dashboard.shell.page

    async def show(self, visit: Visit) -> Response:
        found = await projects.of(self._platform, visit.project_ids)
        return self._page(visit, "projects.html", projects=found)

    async def show_general(self, visit: Visit) -> Response:
        return await self._tab(visit, "general")

    async def show_methods(self, visit: Visit) -> Response:
        return await self._tab(visit, "methods")

    async def show_redirects(self, visit: Visit) -> Response:
        return await self._tab(visit, "redirects")

    async def save_general(self, visit: Visit) -> Response:
        return await self._save(visit, "general")

    async def save_methods(self, visit: Visit) -> Response:
        return await self._save(visit, "methods")

    async def save_redirects(self, visit: Visit) -> Response:
        return await self._save(visit, "redirects")

    async def _tab(self, visit: Visit, tab: str, status: int = 200, **values: Any) -> Response:
        project = await projects.find(self._platform, project_id_of(visit))
        return self._page(
            visit,
            f"project_{tab}.html",
            status,
            project=project,
            tabs=tabs(visit, project),
            settable=visit.may(Right.PROJECT_SETTINGS),
            methods=METHODS,
            overlaps_h=OVERLAPS_H,
            **{"unfit": None, "secret": "", **values},
        )

    async def _save(self, visit: Visit, tab: str) -> Response:
        return await save(visit, FORMS[tab], refused=lambda unfit: self._tab(visit, tab, 400, unfit=unfit))

    async def rename(self, visit: Visit) -> Response:
        project_id = project_id_of(visit)
        try:
            changed = await projects.rename(
                self._platform, visit.actor, project_id, visit.form.get("name", "")
            )
        except Unfit as unfit:
            return await self._tab(visit, "general", 400, unfit=unfit)
        return visit.go(f"{HOME}/{project_id}", "saved" if changed else "nothing")

    async def reveal_secret(self, visit: Visit) -> Response:
        secret = await projects.reveal_secret(self._platform, visit.actor, project_id_of(visit))
        return await self._tab(visit, "general", secret=secret)

    async def rotate_secret(self, visit: Visit) -> Response:
        project_id = project_id_of(visit)
        overlap = timedelta(hours=number(visit, "overlap"))
        try:
            secret = await projects.rotate_secret(
                self._platform, visit.actor, project_id, overlap, visit.form.get("secret_version", "")
            )
        except Stale:
            return visit.go(f"{HOME}/{project_id}", "rotated-before")
        return await self._tab(visit, "general", secret=secret)

    async def end_overlap(self, visit: Visit) -> Response:
        project_id = project_id_of(visit)
        await projects.end_overlap(self._platform, visit.actor, project_id)
        return visit.go(f"{HOME}/{project_id}", "overlap-ended")


async def save(
    visit: Visit,
    names: Sequence[str],
    refused: Callable[[Unfit], Awaitable[Response]],
    back: str = "",
) -> Response:
    """Saves a form's fields and goes `back`, to its own page; `refused` draws the page with what was wrong."""
    back = back or visit.request.url.path
    try:
        changes = members(visit, names)
        changed = await projects.change(
            visit.platform,
            visit.actor,
            project_id_of(visit),
            "project settings changed",
            lambda settings: changes,
            version=visit.form.get("version", ""),
        )
    except Unfit as unfit:
        return await refused(unfit)
    except Stale:
        return visit.go(back, "stale")
    return visit.go(back, "saved" if changed else "nothing")


def members(visit: Visit, names: Sequence[str]) -> dict[str, Any]:
    """The settings that these fields of the form stand for. Raises Unfit for a number that is none."""
    found: dict[str, Any] = {}
    for name in names:
        if name in _NUMBERS:
            setting, unit = _NUMBERS[name]
            found[setting] = number(visit, name) * unit
        elif name in _TEXTS:
            found[name] = visit.form.get(name, "").strip()
        elif name in _LISTS:
            found[name] = list(dict.fromkeys(visit.form.get(name, "").split()))
        elif name in _CHOICES:
            found[name] = visit.several(name)
        else:
            found[name] = visit.form.get(name) == "1"
    return found


def number(visit: Visit, name: str) -> int:
    """A whole number as people write one, with or without separators. Raises Unfit."""
    digits = visit.form.get(name, "").replace(",", "").replace(" ", "").replace("\u00a0", "")
    if not digits.isdecimal() or len(digits) > 15:
        raise Unfit("Please write a whole number.", name)
    return int(digits)


def project_id_of(visit: Visit) -> int:
    """From the path; the guard has seen that it is one of the visitor's."""
    return int(visit.request.path_params["project_id"])


def tabs(visit: Visit, project: Standing) -> list[tuple[str, str]]:
    """Those that the visitor may open."""
    here = f"{HOME}/{project.project_id}"
    found = []
    if visit.may(Right.VIEW_PROJECTS):
        found = [
            (here, N_("General")),
            (f"{here}/methods", N_("Payment methods")),
            (f"{here}/redirects", N_("Redirect URLs")),
            (f"{here}/callbacks", N_("Callbacks")),
        ]
    if visit.may(Right.PAGE_DESIGN):
        found.append((f"/dashboard/page-design/{project.project_id}", N_("Payment Page")))
    return found
