"""Numbers of the analytics tiles. Closed hours come added up (`hourly`), the rest of a period is counted row by row.

SELECT only. An operation counts where it ended; `error` (an invalid request) is a status of its own, so that conversion is
success / (success + decline) and nothing else (E-33).
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

from wongate.connections.database import Tx
from wongate.reports.spans import (
    DAYS,
    HOUR,
    LONG_AGO,
    MONTHS,
    Calendar,
    Period,
    Unit,
    calendar,
    closed_until,
    hour_of,
    split,
)

TOP = 10
DEPTHS = (64, 1024)
"""Places of each customers' list that are looked at, and at the second try."""

HOURLY_UP_TO = timedelta(days=2)
DAILY_UP_TO = timedelta(days=93)
"""Longer periods are drawn month by month."""


@dataclass(frozen=True, slots=True)
class Ask:
    """What a tile is about: a period, half open; `zone` says where days begin. No `sources` means all."""

    project_ids: tuple[int, ...]
    since: datetime
    until: datetime
    zone: str
    sources: tuple[str, ...] = ()

    @property
    def before(self) -> "Ask":
        """The period of the same length that ended where this one begins."""
        return replace(self, since=self.since - (self.until - self.since), until=self.since)

    @property
    def unit(self) -> str:
        length = self.until - self.since
        return "hour" if length <= HOURLY_UP_TO else "day" if length <= DAILY_UP_TO else "month"


@dataclass(frozen=True, slots=True)
class Sum:
    """What ended: how many operations, their won, the seconds from opening to end, all together."""

    operations: int = 0
    amount: int = 0
    seconds: int = 0

    def __add__(self, other: "Sum") -> "Sum":
        return Sum(
            self.operations + other.operations, self.amount + other.amount, self.seconds + other.seconds
        )


@dataclass(frozen=True, slots=True)
class Bucket:
    """An hour, a day or a month. `sums` by kind and status: `sums["sale", "success"]`."""

    since: datetime
    until: datetime
    sums: dict[tuple[str, str], Sum]

    def of(self, kind: str, status: str) -> Sum:
        return self.sums.get((kind, status), Sum())


_ENDED = (
    "FROM transition t CROSS JOIN LATERAL (SELECT payment_no, kind, amount, created_at FROM operation "
    "WHERE project_id = t.project_id AND operation_id = t.operation_id LIMIT 1) o "
    "CROSS JOIN LATERAL (SELECT source, customer_id FROM payment "
    "WHERE project_id = t.project_id AND payment_no = o.payment_no LIMIT 1) p "
    "WHERE t.project_id = ANY($1) AND t.final AND t.at >= '{since}' AND t.at < '{until}' "
    "AND (cardinality($2::text[]) = 0 OR p.source = ANY($2))"
)
_CLOSED = (
    "SELECT hour AS at, kind, status, code, operations, amount, seconds FROM hourly WHERE project_id = ANY($1) "
    "AND hour >= $3 AND hour < $4 AND hour <> ALL($5) AND (cardinality($2::text[]) = 0 OR source = ANY($2))"
)
_OPEN = (
    " UNION ALL SELECT t.at, o.kind, CASE WHEN t.payment_status = 'error' THEN 'error' ELSE t.status END, t.code, 1, o.amount, "
    "extract(epoch FROM date_trunc('second', t.at) - date_trunc('second', o.created_at))::bigint " + _ENDED
)
"""The edges of a period are written out: as parameters they look to the planner like a ninth of all rows, and it reads whole
tables for the few minutes that they are (1.8 s in place of some milliseconds at 500,000 payments)."""


async def _ends(
    tx: Tx, ask: Ask, cuts: Sequence[datetime] = (), *, added_up: bool = True
) -> tuple[str, tuple[object, ...]]:
    """A statement for everything that ended in the period, and its five arguments. It comes added up as far as it is, but for
    hours that one of the `cuts` divides: where a day begins at 18:30 UTC, what ended from 18:00 to 19:00 lies in two days."""
    closed = await closed_until(tx, ask.project_ids) if added_up else LONG_AGO
    spans = split(ask.since, ask.until, closed)
    divided = [
        hour_of(cut) for cut in cuts if cut > hour_of(cut) and spans.since <= hour_of(cut) < spans.until
    ]
    counted = (*spans.edges, *((hour, hour + HOUR) for hour in divided))
    edges = (_OPEN.format(since=since.isoformat(), until=until.isoformat()) for since, until in counted)
    arguments = (list(ask.project_ids), list(ask.sources), spans.since, spans.until, divided)
    return "".join((_CLOSED, *edges)), arguments


async def series(tx: Tx, ask: Ask) -> list[Bucket]:
    """Every bucket of the period in order, also the empty ones."""
    edges = bucket_edges(ask)
    ends, arguments = await _ends(tx, ask, edges, added_up=ask.unit != "hour" or _in_whole_hours(ask))
    rows = await tx.fetch(
        "SELECT width_bucket(at, $6::timestamptz[]) AS place, kind, status, sum(operations)::bigint AS operations, "
        f"sum(amount)::bigint AS amount, sum(seconds)::bigint AS seconds FROM ({ends}) ends GROUP BY 1, 2, 3",
        *arguments,
        edges,
    )
    found: defaultdict[int, dict[tuple[str, str], Sum]] = defaultdict(dict)
    for row in rows:
        found[row["place"]][row["kind"], row["status"]] = Sum(
            row["operations"], row["amount"], row["seconds"]
        )
    return [Bucket(*bounds, found[place]) for place, bounds in enumerate(pairwise(edges), start=1)]


def _in_whole_hours(ask: Ask) -> bool:
    """Whether the zone is whole hours away from UTC all the time. It is not in one of 25, India's and Newfoundland's among them,
    where each hour of the day takes halves of two hours that are added up."""
    zone, at = ZoneInfo(ask.zone), max(ask.since, LONG_AGO)
    while at < ask.until + DAYS.stride:
        offset = at.astimezone(zone).utcoffset() or timedelta()
        if offset % HOUR:
            return False
        at += DAYS.stride
    return True


def bucket_edges(ask: Ask) -> list[datetime]:
    """Where buckets begin, in UTC, and where the last one ends. Days have 23 or 25 hours where clocks change."""
    zone = ZoneInfo(ask.zone)
    at = ask.since.astimezone(zone).replace(minute=0, second=0, microsecond=0)
    if ask.unit != "hour":
        at = at.replace(hour=0)
    if ask.unit == "month":
        at = at.replace(day=1)
    edges = [at.astimezone(UTC)]
    while edges[-1] < ask.until:
        if ask.unit == "hour":
            edges.append(edges[-1] + timedelta(hours=1))
        else:
            at = at + timedelta(days=1) if ask.unit == "day" else (at + timedelta(days=32)).replace(day=1)
            edges.append(at.astimezone(UTC))
    return edges


async def totals(tx: Tx, ask: Ask) -> dict[tuple[str, str], Sum]:
    """The whole period by kind and status."""
    ends, arguments = await _ends(tx, ask)
    rows = await tx.fetch(
        "SELECT kind, status, sum(operations)::bigint AS operations, sum(amount)::bigint AS amount, "
        f"sum(seconds)::bigint AS seconds FROM ({ends}) ends GROUP BY 1, 2",
        *arguments,
    )
    return {
        (row["kind"], row["status"]): Sum(row["operations"], row["amount"], row["seconds"]) for row in rows
    }


async def declines(tx: Tx, ask: Ask, limit: int = 100) -> list[tuple[int, Sum]]:
    """Declined sales by code, the most frequent first."""
    ends, arguments = await _ends(tx, ask)
    rows = await tx.fetch(
        "SELECT code, sum(operations)::bigint AS operations, sum(amount)::bigint AS amount "
        f"FROM ({ends}) ends WHERE kind = 'sale' AND status = 'decline' GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT {int(limit)}",
        *arguments,
    )
    return [(row["code"], Sum(row["operations"], row["amount"])) for row in rows]


async def by_hour(tx: Tx, ask: Ask) -> dict[tuple[int, int], Sum]:
    """Successful sales by weekday (1 is Monday) and hour of the day in the zone."""
    ends, arguments = await _ends(tx, ask, added_up=_in_whole_hours(ask))
    rows = await tx.fetch(
        "SELECT extract(isodow FROM at AT TIME ZONE $6)::int AS weekday, extract(hour FROM at AT TIME ZONE $6)::int AS hour, "
        f"sum(operations)::bigint AS operations, sum(amount)::bigint AS amount FROM ({ends}) ends "
        "WHERE kind = 'sale' AND status = 'success' GROUP BY 1, 2",
        *arguments,
        ask.zone,
    )
    return {(row["weekday"], row["hour"]): Sum(row["operations"], row["amount"]) for row in rows}


async def customers(tx: Tx, ask: Ask, depths: Sequence[int] = DEPTHS) -> Sequence[tuple[str, Sum]]:
    """Who paid most: successful sales, their number and won.

    Each day and each month has a list of its customers, the best first. Whoever is on the first `depth` places of none of them
    has paid at most what stands on these last places, all together: the Top 10 is found once its last one has paid more. Exact
    sums are made of those alone who could be among them. Where no customer stands out the last resort adds up everybody.
    """
    spans = calendar(ask.since, ask.until, await closed_until(tx, ask.project_ids))
    if not tx.spread:  # servers of a cluster know no lists of all of them
        for depth in depths:
            best = await _best(tx, ask, spans, depth)
            if best is not None:
                return best
    return await _best_of_all(tx, ask, spans)


async def _best(tx: Tx, ask: Ask, spans: Calendar, depth: int) -> Sequence[tuple[str, Sum]] | None:
    """None when somebody further down could have paid as much."""
    rows = await tx.fetch(
        _BEST.format(counted=" UNION ALL ".join(_counted(spans)) or _NOTHING, depth=int(depth), top=TOP),
        list(ask.project_ids),
        list(ask.sources),
        list(_pieces(spans.months, MONTHS)),
        list(_pieces(spans.days, DAYS)),
    )
    unseen = rows[0]["unseen"] if rows else 0
    if unseen and (len(rows) < TOP or rows[-1]["amount"] <= unseen):
        return None
    return [(row["customer_id"], Sum(row["operations"], row["amount"])) for row in rows]


async def _best_of_all(tx: Tx, ask: Ask, spans: Calendar) -> Sequence[tuple[str, Sum]]:
    summed = [
        *(_SUMMED.format("customer_month", *period) for period in spans.months),
        *(_SUMMED.format("customer_day", *period) for period in spans.days),
    ]
    rows = await tx.fetch(
        "SELECT customer_id, sum(sales)::bigint AS operations, sum(amount)::bigint AS amount "
        f"FROM ({' UNION ALL '.join([*summed, *_counted(spans)]) or _NOTHING}) paid GROUP BY 1 ORDER BY 3 DESC, 1 LIMIT {TOP}",
        list(ask.project_ids),
        list(ask.sources),
    )
    return [(row["customer_id"], Sum(row["operations"], row["amount"])) for row in rows]


def _counted(spans: Calendar) -> list[str]:
    return [_COUNTED.format(since=since, until=until) for since, until in spans.edges]


def _pieces(periods: Sequence[Period], unit: Unit) -> Iterator[datetime]:
    """Where each whole day or month of the periods begins."""
    for since, until in periods:
        while since < until:
            yield since
            since = unit.begin_of(since + unit.stride)


_SUMMED = (
    "SELECT customer_id, sales, amount FROM {} WHERE project_id = ANY($1) "
    "AND since >= '{}' AND since < '{}' AND (cardinality($2::text[]) = 0 OR source = ANY($2))"
)
_COUNTED = (
    f"SELECT p.customer_id, 1 AS sales, o.amount {_ENDED} "
    "AND o.kind = 'sale' AND t.status = 'success' AND p.customer_id <> ''"
)
_NOTHING = "SELECT '' AS customer_id, 0 AS sales, 0::bigint AS amount WHERE $1::bigint[] IS NULL AND $2::text[] IS NULL"

_HEADS = (
    "SELECT '{0}' AS list, project_id, source, since, head.customer_id, head.amount "
    "FROM unnest($1::bigint[]) project_id, sources, unnest({1}::timestamptz[]) since CROSS JOIN LATERAL "
    "(SELECT customer_id, amount FROM {0} c WHERE c.project_id = project_id.project_id AND c.source = sources.source "
    "AND c.since = since.since ORDER BY amount DESC LIMIT {{depth}}) head"
)
_OF_CANDIDATES = (
    "SELECT customer_id, sales, amount FROM {0} WHERE project_id = ANY($1) AND since = ANY({1}) "
    "AND source = ANY(ARRAY(SELECT source FROM sources)) AND customer_id = ANY(ARRAY(SELECT customer_id FROM candidates))"
)
_BEST = (
    "WITH sources AS (SELECT source FROM unnest('{{gate,page}}'::text[]) source "
    "WHERE cardinality($2::text[]) = 0 OR source = ANY($2)), "
    "counted AS MATERIALIZED (SELECT customer_id, sum(sales) AS sales, sum(amount)::bigint AS amount "
    "FROM ({counted}) c GROUP BY 1), "
    "heads AS MATERIALIZED ("
    + _HEADS.format("customer_month", "$3")
    + " UNION ALL "
    + _HEADS.format("customer_day", "$4")
    + " UNION ALL (SELECT 'counted', 0, '', '-infinity', customer_id, amount FROM counted ORDER BY amount DESC LIMIT {depth})), "
    "last_places AS MATERIALIZED (SELECT list, project_id, source, since, "
    "CASE WHEN count(*) = {depth} THEN min(amount) ELSE 0 END AS last FROM heads GROUP BY 1, 2, 3, 4), "
    "unseen AS (SELECT coalesce(sum(last), 0)::bigint AS amount FROM last_places), "
    "seen AS MATERIALIZED (SELECT customer_id, sum(amount) AS least, sum(amount - last) + (SELECT amount FROM unseen) AS most "
    "FROM heads JOIN last_places USING (list, project_id, source, since) GROUP BY 1), "
    "candidates AS MATERIALIZED (SELECT customer_id FROM seen "
    "WHERE most >= coalesce((SELECT least FROM seen ORDER BY least DESC OFFSET {top} - 1 LIMIT 1), 0)) "
    "SELECT customer_id, sum(sales)::bigint AS operations, sum(amount)::bigint AS amount, "
    "(SELECT amount FROM unseen) AS unseen FROM ("
    + _OF_CANDIDATES.format("customer_month", "$3")
    + " UNION ALL "
    + _OF_CANDIDATES.format("customer_day", "$4")
    + " UNION ALL SELECT customer_id, sales, amount FROM counted WHERE customer_id IN (SELECT customer_id FROM candidates)"
    ") paid GROUP BY 1 ORDER BY 3 DESC, 1 LIMIT {top}"
)
