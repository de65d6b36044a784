"""Payments and operations for people and programs: filters, pages by key, sums, exact search.

SELECT only. Every query names its projects; pages go on from a key, so that the millionth row is as near as the first.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from wongate.connections.database import Tx
from wongate.domain import codes
from wongate.domain.payment import FINISHED, PaymentStatus, payment_key
from wongate.reports.declines import Order, along_declines
from wongate.reports.ends import ENDED, ENDS, payments_near, windows
from wongate.reports.spans import closed_until, split

PAGE = 50

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Filter:
    """What to show; empty conditions let everything through. The period, half open, is about the payment's creation, or about
    an end that `about` names (`ENDS`); `weekday` (1 is Monday) and `hour` narrow it down in the zone `zone`."""

    project_ids: tuple[int, ...]
    since: datetime | None = None
    until: datetime | None = None
    statuses: tuple[str, ...] = ()
    methods: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    codes: tuple[int, ...] = ()
    customer_id: str = ""
    amount_min: int | None = None
    amount_max: int | None = None
    flagged: bool = False
    failing: bool = False  # a callback of it fails, or has failed for good
    unfinished: bool = False
    refunds: bool = False  # something has gone back, or is on its way back
    payment_nos: tuple[int, ...] = ()
    about: str = ""
    weekday: int | None = None
    hour: int | None = None
    zone: str = ""

    @property
    def is_summed(self) -> bool:
        """Whether hours already added up can answer for it."""
        narrow = self.customer_id, self.flagged, self.failing, self.is_at_work, self.payment_nos, self.about
        within = self.amount_min, self.amount_max, self.weekday, self.hour
        return not any(narrow) and within == (None, None, None, None)

    @property
    def is_at_work(self) -> bool:
        """Whether it lets through nothing but payments under way."""
        return self.unfinished or bool(self.statuses and not FINISHED.intersection(self.statuses))


@dataclass(frozen=True, slots=True)
class Key:
    """A row at the edge of a page: the next page goes on from it."""

    created_at: datetime
    payment_no: int


_COLUMNS = (
    "p.project_id, p.payment_no, p.payment_id, p.status, p.method, p.source, p.amount, p.currency, p.captured, p.refunded, "
    "p.reserved, p.captured - p.refunded - p.reserved AS refundable, p.description, p.customer_id, p.flag, p.created_at, "
    "p.changed_at, p.sale_id, o.code, o.reference, o.order_number, o.request_id"
)
_SALE = "JOIN operation o ON o.project_id = p.project_id AND o.operation_id = p.sale_id"

_FAILING = (
    "p.payment_no IN (SELECT c.payment_no FROM callback c WHERE c.project_id = p.project_id AND c.failures > 0 "
    "AND c.state IN ('waiting', 'failed'))"
)
_AT_WORK = "p.payment_no IN (SELECT w.payment_no FROM operation w WHERE w.project_id = p.project_id AND w.wake_at IS NOT NULL)"
"""A payment under way has an operation that will be woken: the few are found by that index, not among the many."""

_SENT_BACK = frozenset({PaymentStatus.REFUNDED, PaymentStatus.PARTIALLY_REFUNDED})
_UNDER_WAY = frozenset({codes.AWAITING, codes.AWAITING_PROVIDER})
"""Codes of sales that have no end yet."""

_PAID = (PaymentStatus.SUCCESS, *_SENT_BACK)
_DECLINED = (PaymentStatus.DECLINE, PaymentStatus.ERROR, PaymentStatus.AWAITING_CUSTOMER)
"""What payments can be whose latest sale was paid, or declined. Only of these the code is looked at: of 46,000 others that lie
newest it took 245 ms."""


def _ended_with(wanted: Sequence[int]) -> tuple[PaymentStatus, ...]:
    """What a payment can be whose latest sale has one of these codes; nothing where it can be anything."""
    if not wanted or _UNDER_WAY.intersection(wanted):
        return ()
    return (*(_PAID if codes.SUCCESS in wanted else ()), *(_DECLINED if {*wanted} - {codes.SUCCESS} else ()))


class Conditions:
    """Conditions with numbered parameters; $1 is the project. `summed`: about rows of `payment_sum`, the same parameters.
    `whole`: every row is wanted, not some of the newest. `edges` are those about where in time to begin and to end."""

    def __init__(self, wanted: Filter, *, summed: bool = False, whole: bool = False) -> None:
        self.values: list[Any] = []
        self.edges: list[str] = []
        self.texts: list[str] = []
        if wanted.about:
            self._add_end(wanted, whole)
        else:
            self.edges += self._period("p.created_at", wanted)
            self.texts += self._hours("p.created_at", wanted)
        for text, value in (
            ("p.status = ANY({})", wanted.statuses or None),
            ("p.status = ANY({})", _ended_with(() if wanted.about == "declined" else wanted.codes) or None),
            ("p.method = ANY({})", wanted.methods or None),
            ("p.source = ANY({})", wanted.sources or None),
            (
                "p.code = ANY({})" if summed else "o.code = ANY({})",
                None if wanted.about == "declined" else wanted.codes or None,
            ),
            ("p.customer_id = {}", wanted.customer_id or None),
            ("p.amount >= {}", wanted.amount_min),
            ("p.amount <= {}", wanted.amount_max),
            ("p.payment_no = ANY({})", wanted.payment_nos or None),
        ):
            if value is not None:
                self.add(text, value)
        if wanted.flagged:
            self.texts.append("p.flag <> ''")
        if wanted.failing:
            self.texts.append(_FAILING)
        if wanted.refunds:
            self.texts.append("p.with_refunds" if summed else "p.refunded + p.reserved > 0")
        if wanted.unfinished:
            self.add("p.status <> ALL({})", tuple(sorted(FINISHED)))
        self.listed = [_AT_WORK] if wanted.is_at_work and not wanted.payment_nos else []

    def _period(self, moment: str, wanted: Filter) -> Iterator[str]:
        if wanted.since is not None:
            yield f"{moment} >= {self.place(wanted.since)}"
        if wanted.until is not None:
            yield f"{moment} < {self.place(wanted.until)}"

    def _hours(self, moment: str, wanted: Filter) -> Iterator[str]:
        """The weekday and the hour without an equals sign: PostgreSQL takes that for one row in 40,000 where it is one in 168,
        and sorts a whole table for a page (4.8 s at a million payments, in place of 0.4 on the same busy machine)."""
        for unit, value in (("isodow", wanted.weekday), ("hour", wanted.hour)):
            if value is not None:
                part = f"extract({unit} FROM {moment} AT TIME ZONE {self.place(wanted.zone)})::int"
                yield f"abs({part} - {self.place(value)}) < 1"

    def _add_end(self, wanted: Filter, whole: bool) -> None:
        """Looked up for one payment after the other, as OFFSET says, or for all of them at once: by a list that names nothing of
        the payment, or PostgreSQL before 17 would make it anew for each (20,000 payments in 15 ms, or not in 15 s)."""
        texts = [ENDS[wanted.about], *self._period("t.at", wanted), *self._hours("t.at", wanted)]
        if wanted.codes and wanted.about == "declined":
            texts.append(f"t.code = ANY({self.place(wanted.codes)})")
        ended = f"{ENDED} AND {' AND '.join(texts)}"
        listed = f"SELECT t.project_id, e.payment_no {ended} AND t.project_id = ANY($1)"
        of_one = f"SELECT {ended} AND t.project_id = p.project_id AND e.payment_no = p.payment_no OFFSET 0"
        self.texts.append(f"(p.project_id, p.payment_no) IN ({listed})" if whole else f"EXISTS ({of_one})")
        if wanted.until is not None:
            self.add("p.created_at < {}", wanted.until)  # nothing ends before it begins

    def go_on(self, sign: str, key: Key) -> None:
        """From the key's row, which is left out."""
        self.edges.append(
            f"(p.created_at, p.payment_no) {sign} ({self.place(key.created_at)}, {self.place(key.payment_no)})"
        )

    def add(self, text: str, *values: Any) -> None:
        """`text` with one pair of braces per value."""
        self.texts.append(text.format(*(self.place(value) for value in values)))

    def place(self, value: Any) -> str:
        self.values.append(list(value) if isinstance(value, tuple) else value)
        return f"${len(self.values) + 1}"

    def __str__(self) -> str:
        return _and(*self.edges, *self.texts, *self.listed)


def _and(*texts: str) -> str:
    return "".join(f" AND {text}" for text in texts)


async def page(
    tx: Tx,
    wanted: Filter,
    *,
    after: Key | None = None,
    before: Key | None = None,
    limit: int = PAGE,
    in_order: bool = True,
) -> list[Row]:
    """The newest payments first, at most `limit`, beyond `after` or above `before`; one read per project, merged, so that each
    uses its own index.

    `in_order`: payments have been numbered and dated by one clock. The sandbox's dates by one that can be set back.
    """
    wanted = await _named(tx, _from_key(wanted, after, before))
    by_time = not in_order or wanted.payment_nos or wanted.about or not _is_about_declines(wanted)
    declined = () if by_time else wanted.codes
    conditions = Conditions(replace(wanted, codes=()) if declined else wanted)
    if after is not None:
        conditions.go_on("<", after)
    if before is not None:
        conditions.go_on(">", before)
    order = Order(newest_first=before is None, limit=int(limit))
    of_one = (
        along_declines(conditions.place(declined), _and(*conditions.edges), str(conditions), order)
        if declined
        else _along_time(wanted, conditions, order)
    )
    rows = await tx.fetch(
        "SELECT p.* FROM unnest($1::bigint[]) AS own(project_id) CROSS JOIN LATERAL ("
        f"SELECT {_COLUMNS} FROM ({of_one}) p {_SALE}) p {order.by_time}",
        list(wanted.project_ids),
        *conditions.values,
    )
    found: list[Row] = [dict(row) for row in rows]
    return found[::-1] if before is not None else found


def _from_key(wanted: Filter, after: Key | None, before: Key | None) -> Filter:
    """Without the end of the period that the key lies within: PostgreSQL reads the index from there (118 ms for four months)."""
    if after is not None and not wanted.about and wanted.until and after.created_at < wanted.until:
        wanted = replace(wanted, until=None)
    if before is not None and not wanted.about and wanted.since and before.created_at >= wanted.since:
        wanted = replace(wanted, since=None)
    return wanted


NEAREST = 50_000
"""Payments among which a page of those under way is looked for first, in 30 ms: they are mostly new, and listing 35,000 of them,
as what is left does, takes 230."""


def _along_time(wanted: Filter, conditions: Conditions, order: Order) -> str:
    """The payments of one project themselves: their sales are looked up for the page alone."""
    rows, place = f"SELECT p.* FROM {{}} p {_sale_for(wanted)}WHERE ", "p.project_id = own.project_id"
    every = f"{rows.format('payment')}{place}{conditions}"
    if not conditions.listed:
        return f"{every} {order.by_time}"
    nearest = f"(SELECT p.* FROM payment p WHERE {place}{_and(*conditions.edges)} {replace(order, limit=NEAREST).by_time})"
    number = "(SELECT count(*) FROM near)"
    return (
        f"WITH near AS MATERIALIZED ({rows.format(nearest)}true{_and(*conditions.texts)} {order.by_time}) "
        f"SELECT * FROM near WHERE {number} = {order.limit} "
        f"UNION ALL ({every} AND {number} < {order.limit} {order.by_time})"
    )


RARE = 2000
"""Payments that are fetched one by one and sorted in 10 ms; a page of what is more frequent than that is soon found by time."""

_RARE_ONES = {
    "declined": "operation WHERE project_id = ANY($1) AND kind = 'sale' AND status = 'decline' AND code = ANY($2)",
    "refunded": "operation WHERE project_id = ANY($1) AND kind = 'refund'",
    "under way": "operation WHERE project_id = ANY($1) AND wake_at IS NOT NULL",
    "invalid": "transition JOIN operation USING (project_id, operation_id) "
    "WHERE project_id = ANY($1) AND transition.payment_status = 'error'",
}


async def _named(tx: Tx, wanted: Filter) -> Filter:
    """The filter with the payments named that it can let through at most, where these are few or none: a page would otherwise
    look for them among all others (1.8 s at a million for a code that nobody got)."""
    if wanted.payment_nos:
        return wanted
    parts = windows(wanted.since, wanted.until, wanted.zone, wanted.weekday, wanted.hour)
    if wanted.about and parts is not None:
        found = await payments_near(tx, wanted.project_ids, wanted.about, parts)
        return wanted if found is None else replace(wanted, payment_nos=tuple(found) or (0,))
    for name in _rare_ones(wanted):
        codes_wanted = [list(wanted.codes)] if name == "declined" else []
        rows = await tx.fetch(
            f"SELECT payment_no FROM {_RARE_ONES[name]} LIMIT {RARE}", list(wanted.project_ids), *codes_wanted
        )
        if len(rows) < RARE:
            return replace(wanted, payment_nos=tuple(row["payment_no"] for row in rows) or (0,))
    return wanted


def _is_about_declines(wanted: Filter) -> bool:
    return _ended_with(wanted.codes) == _DECLINED


def _rare_ones(wanted: Filter) -> Iterator[str]:
    if _is_about_declines(wanted):
        yield "declined"
    if wanted.refunds or (wanted.statuses and _SENT_BACK.issuperset(wanted.statuses)):
        yield "refunded"
    if wanted.statuses == (PaymentStatus.ERROR,):
        yield "invalid"
    if wanted.is_at_work:
        yield "under way"


async def totals(tx: Tx, wanted: Filter) -> list[Row]:
    """Per status and currency: how many payments, their amounts, what was captured and what went back.

    Closed hours come added up where the filter allows; a refund of an older payment shows there within seconds.
    """
    if not wanted.is_summed:
        return await _totals_counted(tx, wanted)
    spans = split(wanted.since, wanted.until, await closed_until(tx, wanted.project_ids))
    timeless = replace(wanted, since=None, until=None)
    summed, counted = Conditions(timeless, summed=True), Conditions(timeless)
    hours = f"p.hour >= '{spans.since}' AND p.hour < '{spans.until}'"
    edges = (f"p.created_at >= '{since}' AND p.created_at < '{until}'" for since, until in spans.edges)
    parts = [
        "SELECT p.status, p.currency, p.payments, p.amount, p.captured, p.refunded FROM payment_sum p "
        f"WHERE p.project_id = ANY($1) AND {hours}{summed}",
        *(
            f"SELECT p.status, p.currency, 1, p.amount, p.captured, p.refunded FROM payment p {_sale_for(wanted)}"
            f"WHERE p.project_id = ANY($1) AND {edge}{counted}"
            for edge in edges
        ),
    ]
    rows = await tx.fetch(
        f"{_SUMS} FROM ({' UNION ALL '.join(parts)}) found GROUP BY 1, 2 ORDER BY 1, 2",
        list(wanted.project_ids),
        *counted.values,
    )
    return [dict(row) for row in rows]


_SUMS = (
    "SELECT status, currency, sum(payments)::bigint AS payments, sum(amount)::bigint AS amount, "
    "sum(captured)::bigint AS captured, sum(refunded)::bigint AS refunded"
)


async def _totals_counted(tx: Tx, wanted: Filter) -> list[Row]:
    conditions = Conditions(await _named(tx, wanted), whole=True)
    rows = await tx.fetch(
        f"{_SUMS} FROM (SELECT p.status, p.currency, 1 AS payments, p.amount, p.captured, p.refunded "
        f"FROM payment p {_sale_for(wanted)}WHERE p.project_id = ANY($1){conditions}) found GROUP BY 1, 2 ORDER BY 1, 2",
        list(wanted.project_ids),
        *conditions.values,
    )
    return [dict(row) for row in rows]


def _sale_for(wanted: Filter) -> str:
    """Sums need the sale only when its code is asked for."""
    return f"{_SALE} " if wanted.codes else ""


@dataclass(frozen=True, slots=True)
class Hit:
    """A payment that a text names exactly; `by` is `id` or `customer`."""

    project_id: int
    payment_no: int
    by: str


async def find(tx: Tx, project_ids: Sequence[int], text: str, operation_id: int | None = None) -> list[Hit]:
    """Payments that `text` names exactly: payment id, our number, operation id, request id, provider's id (TID), order number
    (Moid) or customer; at most 51, newest first. `operation_id` is the number that the text carries, if it does."""
    numbers = {
        number
        for number in (operation_id, int(text) if text.isdecimal() and len(text) < 17 else None)
        if number
    }
    rows = await tx.fetch(
        "SELECT project_id, payment_no, 'id' AS by FROM payment WHERE project_id = ANY($1) AND payment_key = $2 "
        "UNION SELECT project_id, payment_no, 'id' FROM payment WHERE project_id = ANY($1) AND payment_no = ANY($3) "
        "UNION SELECT project_id, payment_no, 'id' FROM operation WHERE project_id = ANY($1) AND operation_id = ANY($3) "
        "UNION SELECT project_id, payment_no, 'id' FROM operation WHERE project_id = ANY($1) AND kind = 'sale' "
        "AND reference = $4 AND reference <> '' "
        "UNION (SELECT project_id, payment_no, 'customer' FROM payment WHERE project_id = ANY($1) AND customer_id = $4 "
        "ORDER BY payment_no DESC LIMIT 50) ORDER BY 2 DESC LIMIT 51",
        list(project_ids),
        payment_key(text),
        sorted(numbers),
        text,
    )
    return [Hit(**row) for row in rows]
