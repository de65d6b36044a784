"""The Payments table: filters, sets of them, columns, search over every id, totals, pages by key, live rows."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from starlette.responses import Response

from wongate.connections.clock import SystemClock
from wongate.domain.refusal import Unfit
from wongate.domain.rights import RESENDING, Right
from wongate.flows import resend, saved
from wongate.flows.sale import operation_in
from wongate.reports import callback_range, register
from wongate.reports.register import PAGE, Filter, Row
from wongate.web import dashboard_filters as filters
from wongate.web import words as catalogue
from wongate.web.dashboard_access import Entry, Visit
from wongate.web.dashboard_filters import Asked
from wongate.web.dashboard_shell import MESSAGES, N_

if TYPE_CHECKING:
    from wongate.web.dashboard import Dashboard

HOME = "/dashboard/payments"
PLACE = "payments"
COLUMNS_PLACE = "payments.columns"

COLUMNS: Mapping[str, str] = {
    "payment_id": N_("Payment id"),
    "type": N_("Type"),
    "status": N_("Status"),
    "amount": N_("Amount"),
    "currency": N_("Currency"),
    "refunded": N_("Refunded"),
    "refundable": N_("Available for refund"),
    "customer_id": N_("Customer"),
    "created_at": N_("Opened"),
    "changed_at": N_("Last change"),
    "project_id": N_("Project"),
    "method": N_("Method"),
    "source": N_("Came by"),
    "code": N_("Code"),
    "flag": N_("Flag"),
    "description": N_("Description"),
    "reference": N_("TID"),
    "order_number": N_("Moid"),
    "sale_id": N_("Operation id"),
    "request_id": N_("Request id"),
}
DEFAULT_COLUMNS = (
    "payment_id",
    "type",
    "status",
    "amount",
    "currency",
    "refunded",
    "refundable",
    "customer_id",
    "created_at",
)
"""In the documented order: id, type, status, amount, currency first (section 8.2)."""

NUMBERS = frozenset({"amount", "refunded", "refundable"})

MESSAGES |= {
    "filter-saved": N_("The filter set is saved."),
    "filter-dropped": N_("The filter set is deleted."),
    "columns-saved": N_("The columns are kept for you."),
    "resend-begun": N_("The callbacks are on their way again."),
    "resend-none": N_("None of these payments has a callback that is done with: nothing is sent again."),
}


@dataclass(frozen=True, slots=True)
class Sight:
    """What one request wants to see."""

    asked: Asked
    wanted: Filter
    columns: list[str]
    after: str
    before: str
    searched: str


def routes(dashboard: "Dashboard") -> list[Entry]:
    pages = Payments(dashboard)
    see = Right.PAYMENTS
    return [
        Entry(HOME, "GET", see, pages.show),
        Entry(f"{HOME}/rows", "GET", see, pages.rows, passive=True),
        Entry(f"{HOME}/totals", "GET", see, pages.totals, passive=True),
        Entry(f"{HOME}/columns", "POST", see, pages.arrange_columns),
        Entry(f"{HOME}/filters", "POST", see, pages.save_filter),
        Entry(f"{HOME}/filters/delete", "POST", see, pages.drop_filter),
        Entry(f"{HOME}/resend", "GET", RESENDING, pages.ask_resend),
        Entry(f"{HOME}/resend", "POST", RESENDING, pages.resend, confirm=True),
    ]


class Payments:
    def __init__(self, dashboard: "Dashboard") -> None:
        self._platform = dashboard.platform
        self._page = dashboard.shell.page

    async def show(self, visit: Visit) -> Response:
        sight = await self._sight(visit)
        if sight.searched:
            hits = await self._search(visit, sight.searched)
            if len(hits) == 1:
                return visit.go(f"{HOME}/{hits[0].project_id}/{hits[0].payment_no}")
            if hits and {hit.by for hit in hits} == {"customer"}:
                return visit.go(f"{HOME}?customer_id={quote(sight.searched)}")
            sight = replace(
                sight, wanted=replace(sight.wanted, payment_nos=tuple(h.payment_no for h in hits) or (0,))
            )
        return await self._draw(visit, sight)

    async def _draw(
        self, visit: Visit, sight: Sight, status: int = 200, unfit: Unfit | None = None
    ) -> Response:
        person_id = visit.who.person.person_id
        translate = catalogue.words("dashboard", visit.language).gettext
        asked = sight.asked
        totals = await self._totals(sight.wanted) if visit.request.query_params.get("totals") else None
        return self._page(
            visit,
            "payments.html",
            status,
            **await self._table(visit, sight),
            chips=filters.chips(asked, HOME, translate, lambda amount: catalogue.won(amount, visit.language)),
            quick=[(text, Asked.of(c.items()).url(HOME), asked.is_exactly(c)) for text, c in filters.QUICK],
            sets=await saved.filters(self._platform, person_id, PLACE),
            all_columns=[*sight.columns, *(name for name in COLUMNS if name not in sight.columns)],
            searched=sight.searched,
            period=filters.PERIODS,
            about=filters.ABOUT,
            weekdays=filters.WEEKDAYS,
            hours=filters.HOURS,
            ticks=filters.TICKS,
            totals=totals,
            with_totals=asked.url(HOME, columns=_chosen(visit), totals="1"),
            rows_url=asked.url(
                f"{HOME}/rows", columns=",".join(sight.columns), after=sight.after, before=sight.before
            ),
            totals_url=asked.url(f"{HOME}/totals"),
            **self._doors(visit, sight),
            live=not (sight.after or sight.before or sight.searched),
            unfit=unfit,
            home=HOME,
        )

    def _doors(self, visit: Visit, sight: Sight) -> Mapping[str, str]:
        """Export and resend take a filter along; what a search has found is none, and they would take all payments."""
        columns = ",".join(sight.columns)
        return {
            "export_url": ""
            if sight.searched or not visit.may(Right.REPORTS)
            else sight.asked.url("/dashboard/exports", columns=columns),
            "resend_url": ""
            if sight.searched or not visit.may(*RESENDING)
            else sight.asked.url(f"{HOME}/resend"),
        }

    async def rows(self, visit: Visit) -> Response:
        """The table alone, for the live page."""
        return self._page(visit, "payments_table.html", **await self._table(visit, await self._sight(visit)))

    async def _table(self, visit: Visit, sight: Sight) -> Mapping[str, Any]:
        after, before = filters.edge(sight.after), filters.edge(sight.before)
        in_order = isinstance(self._platform.clock, SystemClock)
        found = await self._platform.look_up(
            lambda tx: register.page(
                tx, sight.wanted, after=after, before=before, limit=PAGE + 1, in_order=in_order
            )
        )
        more = len(found) > PAGE
        shown = found[1:] if more and before else found[:PAGE]
        newer = bool(shown) and (more if before else after is not None)
        older = bool(shown) and (before is not None or more)
        kept = {"columns": _chosen(visit), "q": sight.searched}
        return {
            "rows": shown,
            "columns": sight.columns,
            "column_names": COLUMNS,
            "numbers": NUMBERS,
            "status_names": filters.STATUS_NAMES,
            "status_kinds": filters.STATUS_KINDS,
            "source_names": filters.SOURCE_NAMES,
            "newer": sight.asked.url(HOME, **kept, before=_key(shown[0])) if newer else "",
            "older": sight.asked.url(HOME, **kept, after=_key(shown[-1])) if older else "",
            "first": sight.asked.url(HOME, **kept) if newer else "",
            "asked": sight.asked,
        }

    async def totals(self, visit: Visit) -> Response:
        sight = await self._sight(visit)
        return self._page(
            visit,
            "payments_totals.html",
            asked=sight.asked,
            totals=await self._totals(sight.wanted),
            status_names=filters.STATUS_NAMES,
            status_kinds=filters.STATUS_KINDS,
        )

    async def _totals(self, wanted: Filter) -> list[Row]:
        return await self._platform.look_up(lambda tx: register.totals(tx, wanted))

    async def _search(self, visit: Visit, text: str) -> list[register.Hit]:
        operation_id = operation_in(text)
        for project_id in visit.project_ids:
            project = await self._platform.project(project_id)
            provider = project and self._platform.providers.get(project.account.provider)
            owner = provider.owner_of(project.account, text) if project and provider else None
            operation_id = owner[1] if owner and owner[0] in visit.project_ids else operation_id
        return await self._platform.look_up(
            lambda tx: register.find(tx, visit.project_ids, text, operation_id)
        )

    async def _sight(self, visit: Visit) -> Sight:
        query = visit.request.query_params
        asked = Asked.of(query.multi_items())
        kept = "" if query.get("columns") else await self._kept_columns(visit)
        return Sight(
            asked=asked,
            wanted=filters.own_filter(visit, asked),
            columns=filters.columns_of(query.get("columns") or kept, COLUMNS, DEFAULT_COLUMNS),
            after=query.get("after", ""),
            before=query.get("before", ""),
            searched=query.get("q", "").replace("\x00", "").strip()[:255],
        )

    async def _kept_columns(self, visit: Visit) -> str:
        kept = await saved.filters(self._platform, visit.who.person.person_id, COLUMNS_PLACE)
        return kept[0].query if kept else ""

    async def arrange_columns(self, visit: Visit) -> Response:
        """Ticked columns in the form's order, one of them moved by a button; kept for the visitor and put into the URL."""
        columns = filters.columns_of(",".join(visit.several("column")), COLUMNS, DEFAULT_COLUMNS)
        if visit.form.get("reset"):
            columns = list(DEFAULT_COLUMNS)
        direction, _, moved = visit.form.get("move", "").partition(":")
        if moved in columns:
            place = columns.index(moved)
            columns.insert(max(0, place + (-1 if direction == "up" else 1)), columns.pop(place))
        text = ",".join(columns)
        await saved.save_filter(self._platform, visit.who.person.person_id, COLUMNS_PLACE, "columns", text)
        asked = Asked.of_query(visit.form.get("query", ""))
        return visit.go(
            asked.url(HOME, columns=text, arrange="1" if moved else ""), "" if moved else "columns-saved"
        )

    async def save_filter(self, visit: Visit) -> Response:
        asked = Asked.of_query(visit.form.get("query", ""))
        name, person_id = visit.form.get("name", ""), visit.who.person.person_id
        try:
            await saved.save_filter(self._platform, person_id, PLACE, name, asked.query)
        except Unfit as unfit:
            sight = await self._sight(visit)
            shown = replace(sight, asked=asked, wanted=filters.own_filter(visit, asked))
            return await self._draw(visit, shown, 400, unfit)
        return visit.go(asked.url(HOME), "filter-saved")

    async def drop_filter(self, visit: Visit) -> Response:
        person_id = visit.who.person.person_id
        await saved.drop_filter(self._platform, person_id, PLACE, visit.form.get("name", ""))
        return visit.go(HOME, "filter-dropped")

    async def ask_resend(self, visit: Visit) -> Response:
        return await self._resend_page(visit, Asked.of(visit.request.query_params.multi_items()))

    async def _resend_page(
        self, visit: Visit, asked: Asked, code: int = 200, unfit: Unfit | None = None
    ) -> Response:
        """How many callbacks it would be, before anything is sent."""
        wanted = filters.own_filter(visit, asked)
        async with self._platform.database.read() as tx:
            counted = await callback_range.callbacks_by_state(tx, wanted)
        return self._page(
            visit,
            "payments_resend.html",
            code,
            asked=asked,
            counted=counted,
            unfit=unfit,
            home=HOME,
            back=asked.url(HOME),
        )

    async def resend(self, visit: Visit) -> Response:
        asked = Asked.of_query(visit.form.get("query", ""))
        states = [state for state in visit.several("state") if state in resend.STATES]
        wanted = filters.own_filter(visit, asked)
        try:
            number = await resend.ask_for_range(self._platform, visit.actor, wanted, states)
        except Unfit as unfit:
            return await self._resend_page(visit, asked, 400, unfit)
        return visit.go(asked.url(HOME), "resend-begun" if number else "resend-none")


def _key(row: Row) -> str:
    return filters.key_text(row["created_at"], row["payment_no"])


def _chosen(visit: Visit) -> str:
    """Columns travel in the URL only where it named them: others follow what the visitor keeps."""
    return visit.request.query_params.get("columns", "")
