"""The audit log: who did what, when, from where; filtered, exported, its chain of hashes verified."""

import json
from collections.abc import AsyncIterator, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from starlette.responses import Response, StreamingResponse

from wongate.domain.audit import Entry as Row
from wongate.domain.rights import Right
from wongate.flows import audit, people
from wongate.reports import audit_trail
from wongate.reports.audit_trail import Trail
from wongate.reports.sheets import csv_lines
from wongate.web.dashboard_access import Entry, Visit
from wongate.web.dashboard_filters import moment_of
from wongate.web.dashboard_shell import N_

if TYPE_CHECKING:
    from wongate.web.dashboard import Dashboard

HOME = "/dashboard/audit"
HEADINGS = ("seq", "at", "actor", "address", "action", "object", "before", "after", "confirmed", "hash")

ACTIONS = (
    N_("password accepted"),
    N_("sign-in failed"),
    N_("confirmed with one-time code"),
    N_("confirmed with recovery code"),
    N_("confirmed with password"),
    N_("second factor failed"),
    N_("signed out"),
    N_("password changed"),
    N_("second factor turned on"),
    N_("recovery codes renewed"),
    N_("sessions ended"),
    N_("preferences changed"),
    N_("API token made"),
    N_("API token ended"),
    N_("user created"),
    N_("user's rights changed"),
    N_("user activated"),
    N_("user deactivated"),
    N_("user's password reset"),
    N_("user's second factor reset"),
    N_("user's sessions ended"),
    N_("project renamed"),
    N_("project settings changed"),
    N_("project secret shown"),
    N_("project secret rotated"),
    N_("previous project secret ended"),
    N_("secrets sealed anew"),
    N_("callback rule added"),
    N_("callback rule changed"),
    N_("callback rule switched on"),
    N_("callback rule switched off"),
    N_("callback rule deleted"),
    N_("callback URL changed"),
    N_("Payment Page changed"),
    N_("audit log exported"),
    N_("audit log verified"),
)
"""Every deed that this part of the Dashboard writes down, in words that the catalogues know."""


def routes(dashboard: "Dashboard") -> list[Entry]:
    pages = AuditLog(dashboard)
    return [
        Entry(HOME, "GET", Right.USERS, pages.show),
        Entry(f"{HOME}/export", "POST", Right.USERS, pages.export),
        Entry(f"{HOME}/verify", "POST", Right.USERS, pages.verify),
    ]


class AuditLog:
    def __init__(self, dashboard: "Dashboard") -> None:
        self._platform = dashboard.platform
        self._page = dashboard.shell.page

    async def show(self, visit: Visit) -> Response:
        return await self._log(visit, visit.request.query_params)

    async def _log(
        self, visit: Visit, asked: Mapping[str, str], verdict: audit.Verdict | None = None
    ) -> Response:
        trail = _trail(visit, asked)
        before = asked.get("before", "")
        rows = await audit_trail.page(
            self._platform.database, trail, int(before) if before.isdecimal() and len(before) < 19 else None
        )
        shown = rows[: audit_trail.PAGE]
        later = {**_query(asked), "before": str(shown[-1].seq)} if len(rows) > len(shown) else None
        return self._page(
            visit,
            "audit.html",
            entries=[(row, _may_read(visit, row)) for row in shown],
            actions=await audit_trail.actions(self._platform.database, visit.project_ids),
            asked=_query(asked),
            first=f"{HOME}?{urlencode(_query(asked))}" if before else "",
            later=f"{HOME}?{urlencode(later)}" if later else "",
            names=await self._names(visit),
            plain=_plain,
            verdict=verdict,
            home=HOME,
        )

    async def _names(self, visit: Visit) -> dict[str, str]:
        """Logins in place of people's numbers, where the visitor knows them."""
        members = await people.team(self._platform, visit.project_ids)
        return {f"person/{member.person_id}": member.login for member in members}

    async def export(self, visit: Visit) -> Response:
        """What the filters show, as CSV, streamed; that it was taken is written down first."""
        trail = _trail(visit, visit.form)
        await audit.note(self._platform, visit.actor, "audit log exported", after=_query(visit.form))
        name = f"audit-{visit.platform.clock.now():%Y%m%d-%H%M%S}.csv"
        return StreamingResponse(
            self._lines(visit, trail),
            media_type="text/csv; charset=utf-8",
            headers={"Content-Disposition": f'attachment; filename="{name}"'},
        )

    async def _lines(self, visit: Visit, trail: Trail) -> AsyncIterator[str]:
        yield "\ufeff" + csv_lines([[*HEADINGS[:1], f"at ({visit.zone})", *HEADINGS[2:]]])
        zone = ZoneInfo(visit.zone)
        async for row in audit_trail.stream(self._platform.database, trail):
            yield csv_lines([_cells(row, zone, _may_read(visit, row))])

    async def verify(self, visit: Visit) -> Response:
        verdict = await audit.verify(self._platform.database)
        result = {"bad_row": verdict.bad_seq} if verdict.bad_seq is not None else {"rows": verdict.entries}
        await audit.note(self._platform, visit.actor, "audit log verified", after=result)
        return await self._log(visit, {}, verdict)


def _trail(visit: Visit, asked: Mapping[str, str]) -> Trail:
    """Unreadable members of the query match everything, as if they were not there."""
    return Trail(
        project_ids=visit.project_ids,
        since=moment_of(asked.get("since", ""), visit.zone),
        until=moment_of(asked.get("until", ""), visit.zone),
        actor=asked.get("actor", "").strip(),
        action=asked.get("action", ""),
        object=asked.get("object", "").strip(),
    )


def _query(asked: Mapping[str, str]) -> dict[str, str]:
    names = ("since", "until", "actor", "action", "object")
    return {name: asked[name] for name in names if asked.get(name)}


def _may_read(visit: Visit, row: Row) -> bool:
    """Whether all of it is the visitor's; what also concerns others' projects shows that it happened, not what changed."""
    return set(row.project_ids) <= set(visit.project_ids)


def _cells(row: Row, zone: ZoneInfo, whole: bool) -> list[Any]:
    return [
        row.seq,
        row.at.astimezone(zone).isoformat(sep=" ", timespec="seconds"),
        row.actor,
        row.address,
        row.action,
        row.object,
        _json(row.before) if whole else "",
        _json(row.after) if whole else "",
        row.confirmed,
        row.hash,
    ]


def _plain(value: Any) -> str:
    """Texts as they are, lists without their brackets, the rest as JSON has it."""
    if isinstance(value, list):
        return ", ".join(map(_plain, value)) or "–"
    return value or "–" if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _json(members: Mapping[str, Any] | None) -> str:
    return json.dumps(members, ensure_ascii=False) if members else ""
