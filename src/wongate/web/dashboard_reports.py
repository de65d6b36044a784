"""Reports: files of the Payments table as filtered, and schedules that make and mail them (E-32)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo, available_timezones

from starlette.responses import Response, StreamingResponse

from wongate.domain.refusal import Unfit
from wongate.domain.report import Export, Schedule
from wongate.domain.rights import Right
from wongate.domain.timetable import Every
from wongate.flows import export as exporting
from wongate.flows import schedules
from wongate.flows.export import KEPT, Order
from wongate.flows.schedules import Wish
from wongate.reports.export_rows import COLUMNS as EXPORTED
from wongate.reports.sheets import FORMATS
from wongate.web import dashboard_filters as filters
from wongate.web import words as catalogue
from wongate.web.dashboard_access import Entry, NotFound, Visit
from wongate.web.dashboard_filters import Asked
from wongate.web.dashboard_mailbox import HOME as MAILBOX
from wongate.web.dashboard_payments import COLUMNS, DEFAULT_COLUMNS
from wongate.web.dashboard_payments import HOME as PAYMENTS
from wongate.web.dashboard_profile import zones
from wongate.web.dashboard_shell import MESSAGES, N_

if TYPE_CHECKING:
    from wongate.web.dashboard import Dashboard

HOME = "/dashboard/exports"
SCHEDULES = f"{HOME}/schedules"
PAGE = 30
ID_DIGITS_MAX = 18

MESSAGES |= {
    "schedule-saved": N_("The schedule is saved."),
    "schedule-dropped": N_("The schedule is deleted. Files that it has made stay for their four days."),
    "mail-begun": N_("The mail is on its way."),
    "too-many-exports": N_("Twenty of your exports are waiting already. Please let them finish first."),
}
STATES = {
    "waiting": (N_("being made"), "wait"),
    "ready": (N_("ready"), "good"),
    "failed": (N_("failed"), "bad"),
    "removed": (N_("removed after four days"), ""),
}
MAIL_STATES = {
    "waiting": (N_("on its way"), "wait"),
    "sent": (N_("sent"), "good"),
    "failed": (N_("not sent"), "bad"),
}
EVERY = {
    Every.DAY: N_("every day"),
    Every.WEEK: N_("every week"),
    Every.MONTH: N_("every month"),
}
ERRORS = (
    N_("You may not make reports any more."),
    N_("You have no access to these projects any more."),
    N_("An XLS holds at most 2 GB. Please choose XLSX or CSV, or a shorter period."),
    N_("Something broke on our side."),
)
"""Reasons that stand with failed exports, for the catalogues."""

ACTIONS = (
    N_("export asked for"),
    N_("export downloaded"),
    N_("export sent again"),
    N_("schedule made"),
    N_("schedule changed"),
    N_("schedule deleted"),
    N_("schedule run by hand"),
)
"""What is written down here, in words that the catalogues know."""


@dataclass(frozen=True, slots=True)
class Sheet:
    """What one form or address wants in a file."""

    asked: Asked
    columns: Sequence[str]


def routes(dashboard: "Dashboard") -> list[Entry]:
    pages = Reports(dashboard)
    see = Right.REPORTS
    return [
        Entry(HOME, "GET", see, pages.show),
        Entry(HOME, "POST", see, pages.make),
        Entry(f"{SCHEDULES}/new", "GET", see, pages.new_schedule),
        Entry(SCHEDULES, "POST", see, pages.save_schedule, confirm=True),
        Entry(f"{SCHEDULES}/{{schedule_id}}", "GET", see, pages.show_schedule),
        Entry(f"{SCHEDULES}/{{schedule_id}}", "POST", see, pages.save_schedule, confirm=True),
        Entry(f"{SCHEDULES}/{{schedule_id}}/run", "POST", see, pages.run_schedule),
        Entry(f"{SCHEDULES}/{{schedule_id}}/delete", "POST", see, pages.drop_schedule),
        Entry(f"{HOME}/{{export_id}}", "GET", see, pages.show_export),
        Entry(f"{HOME}/{{export_id}}/state", "GET", see, pages.state_of_export, passive=True),
        Entry(f"{HOME}/{{export_id}}/file", "GET", see, pages.download),
        Entry(f"{HOME}/{{export_id}}/resend", "POST", see, pages.resend, confirm=True),
    ]


class Reports:
    def __init__(self, dashboard: "Dashboard") -> None:
        self._platform = dashboard.platform
        self._page = dashboard.shell.page
        self._can_mail = dashboard.can_mail
        self._mailbox = MAILBOX if dashboard.mailbox else ""

    # --- files ---

    async def show(self, visit: Visit) -> Response:
        """`before` pages; the rest of the query is the Payments table's own, with `columns`."""
        query = visit.request.query_params
        before = query.get("before", "")
        found = await exporting.latest(
            self._platform, _person_id(visit), int(before) if _is_number(before) else None, PAGE + 1
        )
        shown = found[:PAGE]
        sheet = _sheet(query.multi_items(), query.get("columns", ""))
        return self._page(
            visit,
            "reports.html",
            exports=shown,
            schedules=[] if before else await schedules.of_person(self._platform, _person_id(visit)),
            first=HOME if before else "",
            later=f"{HOME}?before={shown[-1].export_id}" if len(found) > PAGE else "",
            new_schedule=sheet.asked.url(f"{SCHEDULES}/new", columns=",".join(sheet.columns)),
            **self._sheet_values(visit, sheet),
            **_names(),
        )

    async def make(self, visit: Visit) -> Response:
        sheet = _sheet(Asked.of_query(visit.form.get("query", "")).pairs, visit.form.get("columns", ""))
        name = catalogue.words("dashboard", visit.language).gettext(N_("Payments"))
        order = _order(visit, sheet, name, visit.form.get("format", ""))
        export_id = await exporting.ask(self._platform, visit.actor, _person_id(visit), order)
        return visit.go(f"{HOME}/{export_id}") if export_id else visit.go(HOME, "too-many-exports")

    async def show_export(self, visit: Visit) -> Response:
        return self._page(visit, "reports_export.html", **await self._export_values(visit))

    async def state_of_export(self, visit: Visit) -> Response:
        """What changes while the file is made, for the live page."""
        return self._page(visit, "reports_export_state.html", **await self._export_values(visit))

    async def _export_values(self, visit: Visit, unfit: Unfit | None = None) -> Mapping[str, Any]:
        export = await self._own_export(visit)
        return {
            "export": export,
            "mails": await exporting.mails(self._platform, [export.export_id]),
            "gone_at": export.finished_at + KEPT if export.finished_at else None,
            "period": _period(export),
            "moment_in": lambda at, zone: catalogue.moment(at, visit.language, zone),
            "unfit": unfit,
            **self._sheet_values(visit, Sheet(Asked.of_query(export.query), export.columns)),
            **_names(),
        }

    async def download(self, visit: Visit) -> Response:
        export = await self._own_export(visit)
        if export.state != "ready":
            raise NotFound
        return StreamingResponse(
            await exporting.download(self._platform, visit.actor, export),
            media_type=FORMATS[export.format][1],
            headers={
                "Content-Disposition": f'attachment; filename="{export.file_name}"',
                "Content-Length": str(export.file_size),
            },
        )

    async def resend(self, visit: Visit) -> Response:
        export = await self._own_export(visit)
        if export.state != "ready":
            raise NotFound
        try:
            recipients = schedules.addresses(visit.form.get("recipients", ""))
        except Unfit as unfit:
            return self._page(visit, "reports_export.html", 400, **await self._export_values(visit, unfit))
        await schedules.resend(self._platform, visit.actor, export, recipients)
        return visit.go(f"{HOME}/{export.export_id}", "mail-begun")

    # --- schedules ---

    async def new_schedule(self, visit: Visit) -> Response:
        query = visit.request.query_params
        sheet = _sheet(query.multi_items(), query.get("columns", ""))
        wish = Wish("", Every.DAY, 1, 9, visit.zone, _login_address(visit))
        return self._schedule_form(visit, sheet, wish, "xlsx")

    async def show_schedule(self, visit: Visit) -> Response:
        schedule = await self._own_schedule(visit)
        wish = Wish(
            schedule.name,
            schedule.every,
            schedule.day,
            schedule.hour,
            schedule.time_zone,
            "\n".join(schedule.recipients),
            schedule.active,
        )
        sheet = Sheet(Asked.of_query(schedule.query), schedule.columns)
        runs = await schedules.runs(self._platform, schedule)
        mails = await exporting.mails(self._platform, [run.export_id for run in runs])
        return self._schedule_form(
            visit, sheet, wish, schedule.format, schedule=schedule, runs=runs, mails=mails
        )

    def _schedule_form(
        self, visit: Visit, sheet: Sheet, wish: Wish, format_: str, status: int = 200, **values: Any
    ) -> Response:
        found: dict[str, Any] = {"schedule": None, "runs": [], "mails": [], "unfit": None, **values}
        return self._page(
            visit,
            "reports_schedule.html",
            status,
            wish=wish,
            format=format_,
            zones=zones(),
            hours=[(hour, f"{hour:02}:00") for hour in range(24)],
            **found,
            **self._sheet_values(visit, replace(sheet, asked=_without_period(sheet.asked))),
            **_names(),
        )

    async def save_schedule(self, visit: Visit) -> Response:
        schedule_id = None
        if "schedule_id" in visit.request.path_params:
            schedule_id = (await self._own_schedule(visit)).schedule_id
        form = visit.form
        asked = _without_period(Asked.of_query(form.get("query", "")))
        sheet = _sheet(asked.pairs, form.get("columns", ""))
        wish = _wish(form)
        format_ = form.get("format", "")
        try:
            order = _order(visit, sheet, wish.name, format_)
            await schedules.save(self._platform, visit.actor, _person_id(visit), wish, order, schedule_id)
        except Unfit as unfit:
            return self._schedule_form(visit, sheet, wish, format_, 400, unfit=unfit)
        return visit.go(HOME, "schedule-saved")

    async def run_schedule(self, visit: Visit) -> Response:
        schedule = await self._own_schedule(visit)
        export_id = await schedules.run_now(self._platform, visit.actor, schedule)
        return visit.go(f"{HOME}/{export_id}") if export_id else visit.go(HOME, "too-many-exports")

    async def drop_schedule(self, visit: Visit) -> Response:
        await schedules.drop(self._platform, visit.actor, await self._own_schedule(visit))
        return visit.go(HOME, "schedule-dropped")

    # --- what the pages share ---

    def _sheet_values(self, visit: Visit, sheet: Sheet) -> Mapping[str, Any]:
        translate = catalogue.words("dashboard", visit.language).gettext
        return {
            "asked": sheet.asked,
            "chips": filters.chips(
                sheet.asked, HOME, translate, lambda amount: catalogue.won(amount, visit.language)
            ),
            "columns": sheet.columns,
            "column_names": COLUMNS,
            "payments": sheet.asked.url(PAYMENTS, columns=",".join(sheet.columns)),
            "can_mail": self._can_mail,
            "mailbox": self._mailbox,
            "home": HOME,
            "schedules_home": SCHEDULES,
        }

    async def _own_export(self, visit: Visit) -> Export:
        number = visit.request.path_params["export_id"]
        export = (
            await exporting.own(self._platform, _person_id(visit), int(number))
            if _is_number(number)
            else None
        )
        if export is None:
            raise NotFound
        return export

    async def _own_schedule(self, visit: Visit) -> Schedule:
        number = visit.request.path_params["schedule_id"]
        schedule = (
            await schedules.own(self._platform, _person_id(visit), int(number))
            if _is_number(number)
            else None
        )
        if schedule is None:
            raise NotFound
        return schedule


def _person_id(visit: Visit) -> int:
    return visit.who.person.person_id


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) <= ID_DIGITS_MAX


def _sheet(pairs: Any, columns: str) -> Sheet:
    return Sheet(Asked.of(pairs), filters.columns_of(columns, EXPORTED, DEFAULT_COLUMNS))


def _without_period(asked: Asked) -> Asked:
    """A schedule's runs bring their own."""
    return Asked(tuple(pair for pair in asked.pairs if pair[0] not in ("period", "since", "until")))


def _order(visit: Visit, sheet: Sheet, name: str, format_: str) -> Order:
    """Raises Unfit for a format that nobody writes, and for a zone that nobody lives in."""
    if format_ not in FORMATS:
        raise Unfit(N_("A report is CSV, XLSX or XLS."), "format")
    zone = visit.form.get("time_zone", visit.zone)
    if zone not in available_timezones():
        raise Unfit(N_("This time zone is not known."), "time_zone")
    return Order(
        name=name,
        format=format_,
        query=sheet.asked.query,
        wanted=filters.own_filter(visit, sheet.asked),
        columns=sheet.columns,
        headings=_headings(sheet.columns, visit.language, zone),
        language=visit.language,
        time_zone=zone,
    )


def _headings(columns: Sequence[str], language: str, zone: str) -> list[str]:
    """In the reader's language; over moments the zone is written out."""
    translate = catalogue.words("dashboard", language).gettext
    return [
        f"{translate(COLUMNS[name])} ({zone})"
        if EXPORTED[name].kind == "moment"
        else translate(COLUMNS[name])
        for name in columns
    ]


def _wish(form: Mapping[str, str]) -> Wish:
    every = form.get("every", "")
    day = form.get("weekday" if every == Every.WEEK else "monthday", "1")
    hour = form.get("hour", "")
    return Wish(
        name=form.get("name", ""),
        every=every,
        day=int(day) if _is_number(day) else 0,
        hour=int(hour) if _is_number(hour) else -1,
        time_zone=form.get("time_zone", ""),
        recipients=form.get("recipients", ""),
        active=form.get("active") == "1",
    )


def _login_address(visit: Visit) -> str:
    """Most people's login is their address."""
    login = visit.who.person.login
    return login if "." in login.rpartition("@")[2] else ""


def _period(export: Export) -> tuple[datetime, datetime] | None:
    """First and last second of what the file is about, where both are set."""
    wanted = exporting.filter_of(export.filter)
    if wanted.since is None or wanted.until is None:
        return None
    zone = ZoneInfo(export.time_zone)
    last = datetime.fromtimestamp(wanted.until.timestamp() - 1, UTC)
    return wanted.since.astimezone(zone), last.astimezone(zone)


def _names() -> Mapping[str, Any]:
    return {
        "states": STATES,
        "mail_states": MAIL_STATES,
        "every_names": EVERY,
        "weekdays": filters.WEEKDAYS,
        "month_days": [(day, str(day)) for day in range(1, 32)],
        "formats": [(name, name.upper()) for name in FORMATS],
    }
