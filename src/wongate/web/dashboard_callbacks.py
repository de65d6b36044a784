"""A project's callback rules (section 4.5): payment type, result and method lead to a URL, on or off."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from starlette.responses import Response

from wongate.domain.methods import METHODS
from wongate.domain.payment import CallbackRule, ProjectSettings
from wongate.domain.refusal import Unfit
from wongate.domain.rights import Right
from wongate.flows import projects
from wongate.flows.projects import Change, Stale
from wongate.web.dashboard_access import Entry, NotFound, Visit
from wongate.web.dashboard_projects import HOME, project_id_of, tabs
from wongate.web.dashboard_shell import MESSAGES, N_

if TYPE_CHECKING:
    from wongate.web.dashboard import Dashboard

RULES = f"{HOME}/{{project_id:int}}/callbacks"
ONE = f"{RULES}/{{number:int}}"

MESSAGES |= {"rule-deleted": N_("The rule is deleted."), "rule-saved": N_("The rule is saved.")}

TYPES = (("", N_("every type")), ("purchase", N_("purchase")))
RESULTS = (("", N_("every result")), ("success", N_("success")), ("decline", N_("decline")))


def routes(dashboard: "Dashboard") -> list[Entry]:
    pages = CallbackRules(dashboard)
    see, settle = Right.VIEW_PROJECTS, Right.PROJECT_SETTINGS
    return [
        Entry(RULES, "GET", see, pages.show),
        Entry(RULES, "POST", settle, pages.add, confirm=True),
        Entry(f"{RULES}/default", "POST", settle, pages.save_default, confirm=True),
        Entry(ONE, "GET", settle, pages.show_one),
        Entry(ONE, "POST", settle, pages.save, confirm=True),
        Entry(f"{ONE}/switch", "POST", settle, pages.switch, confirm=True),
        Entry(f"{ONE}/delete", "POST", settle, pages.delete, confirm=True),
    ]


class CallbackRules:
    """Rules are numbered by their place, from 0; the form's version makes sure that the place still holds what was seen."""

    def __init__(self, dashboard: "Dashboard") -> None:
        self._platform = dashboard.platform
        self._page = dashboard.shell.page

    async def show(self, visit: Visit) -> Response:
        return await self._list(visit)

    async def _list(self, visit: Visit, status: int = 200, unfit: Unfit | None = None) -> Response:
        return await self._draw(visit, "project_callbacks.html", status, unfit=unfit, rule=_rule(visit))

    async def show_one(self, visit: Visit) -> Response:
        return await self._edit(visit)

    async def _edit(self, visit: Visit, status: int = 200, unfit: Unfit | None = None) -> Response:
        project = await projects.find(self._platform, project_id_of(visit))
        kept = _at(project.settings.callback_rules, visit)
        rule = _rule(visit) if visit.form else kept
        return await self._draw(visit, "project_callback.html", status, unfit=unfit, rule=rule)

    async def _draw(self, visit: Visit, template: str, status: int, **values: Any) -> Response:
        project = await projects.find(self._platform, project_id_of(visit))
        return self._page(
            visit,
            template,
            status,
            project=project,
            tabs=tabs(visit, project),
            settable=visit.may(Right.PROJECT_SETTINGS),
            types=TYPES,
            results=RESULTS,
            methods=[("", N_("every method")), *((m.code, m.label) for m in METHODS.values())],
            home=_home(visit),
            **values,
        )

    async def add(self, visit: Visit) -> Response:
        new = _rule(visit)

        def with_new(settings: ProjectSettings) -> Mapping[str, Any]:
            return _rules([*settings.callback_rules, new])

        try:
            return await self._change(visit, "callback rule added", with_new, "rule-saved")
        except Unfit as unfit:
            return await self._list(visit, 400, unfit)

    async def save(self, visit: Visit) -> Response:
        def with_changed(settings: ProjectSettings) -> Mapping[str, Any]:
            kept = _at(settings.callback_rules, visit)
            return _replaced(settings, visit, [replace(_rule(visit), enabled=kept.enabled)])

        try:
            return await self._change(visit, "callback rule changed", with_changed, "rule-saved")
        except Unfit as unfit:
            return await self._edit(visit, 400, unfit)

    async def switch(self, visit: Visit) -> Response:
        on = visit.form.get("enabled") == "1"

        def with_switched(settings: ProjectSettings) -> Mapping[str, Any]:
            return _replaced(settings, visit, [replace(_at(settings.callback_rules, visit), enabled=on)])

        deed = "callback rule switched on" if on else "callback rule switched off"
        return await self._change(visit, deed, with_switched, "rule-saved")

    async def delete(self, visit: Visit) -> Response:
        def without(settings: ProjectSettings) -> Mapping[str, Any]:
            return _replaced(settings, visit, [])

        return await self._change(visit, "callback rule deleted", without, "rule-deleted")

    async def save_default(self, visit: Visit) -> Response:
        changed = {
            "callback_url": visit.form.get("callback_url", "").strip(),
            "redirect_callback_on_page": visit.form.get("redirect_callback_on_page") == "1",
        }
        try:
            return await self._change(visit, "callback URL changed", lambda settings: changed, "saved")
        except Unfit as unfit:
            return await self._list(visit, 400, unfit)

    async def _change(self, visit: Visit, what: str, change: Change, said: str) -> Response:
        version = visit.form.get("version", "")
        try:
            changed = await projects.change(
                self._platform, visit.actor, project_id_of(visit), what, change, version=version
            )
        except Stale:
            said, changed = "stale", True
        return visit.go(_home(visit), said if changed else "nothing")


def _home(visit: Visit) -> str:
    return f"{HOME}/{project_id_of(visit)}/callbacks"


def _rule(visit: Visit) -> CallbackRule:
    form = visit.form
    return CallbackRule(
        url=form.get("url", "").strip(),
        payment_type=form.get("payment_type", ""),
        result=form.get("result", ""),
        method=form.get("method", ""),
    )


def _at(rules: Sequence[CallbackRule], visit: Visit) -> CallbackRule:
    """The rule at the path's place. Raises NotFound."""
    place = int(visit.request.path_params["number"])
    if place >= len(rules):
        raise NotFound
    return rules[place]


def _replaced(settings: ProjectSettings, visit: Visit, by: Sequence[CallbackRule]) -> dict[str, Any]:
    """The rules with others in place of the one that the path names."""
    rules = list(settings.callback_rules)
    place = rules.index(_at(rules, visit))
    return _rules([*rules[:place], *by, *rules[place + 1 :]])


def _rules(rules: Sequence[CallbackRule]) -> dict[str, Any]:
    return {"callback_rules": [asdict(rule) for rule in rules]}
