"""Payments by when something about them ended: a purchase was paid or declined, money went back (`Filter.about`)."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

from wongate.connections.database import Tx
from wongate.reports.spans import FAR_AHEAD, LONG_AGO, Period

ENDS: Mapping[str, str] = {
    "paid": "e.kind = 'sale' AND t.status = 'success'",
    "declined": "e.kind = 'sale' AND t.status = 'decline' AND t.payment_status <> 'error'",
    "finished": "e.kind = 'sale' AND t.payment_status <> 'error'",
    "refunded": "e.kind = 'refund' AND t.status = 'success'",
    "not_refunded": "e.kind = 'refund' AND t.status = 'decline'",
    "ended": "true",
}
"""What may have ended, as conditions on operation `e` and its final transition `t`."""

ENDED = "FROM transition t JOIN operation e ON e.project_id = t.project_id AND e.operation_id = t.operation_id WHERE t.final"

NEAR = 5000
"""Ends that are looked at one by one, a busy day's; where a period holds more, its payments are found among all others."""

YEARS = timedelta(days=3660)
"""A longer period has no list of its hours."""

_WITHIN = (
    "(SELECT part.* FROM unnest($1::bigint[]) AS own(project_id) "
    "CROSS JOIN unnest($2::timestamptz[], $3::timestamptz[]) AS w(since, until) CROSS JOIN LATERAL "
    "(SELECT * FROM transition WHERE project_id = own.project_id AND final AND at >= w.since AND at < w.until "
    "ORDER BY at LIMIT {limit}) part LIMIT {limit})"
)
"""In the order of time, which the index has: without it PostgreSQL reads the whole table for a single part."""


async def payments_near(
    tx: Tx, project_ids: Sequence[int], about: str, parts: Sequence[Period]
) -> Sequence[int] | None:
    """Numbers of the payments with such an end within these parts of time; None where the parts hold more ends than `NEAR`."""
    rows = await tx.fetch(
        f"SELECT e.payment_no, {ENDS[about]} AS fits FROM {_WITHIN.format(limit=NEAR + 1)} t "
        "CROSS JOIN LATERAL (SELECT payment_no, kind FROM operation "
        "WHERE project_id = t.project_id AND operation_id = t.operation_id LIMIT 1) e",
        list(project_ids),
        [since for since, _ in parts],
        [until for _, until in parts],
    )
    if len(rows) > NEAR:
        return None
    return [row["payment_no"] for row in rows if row["fits"]]


def windows(
    since: datetime | None, until: datetime | None, zone: str, weekday: int | None, hour: int | None
) -> Sequence[Period] | None:
    """Parts of the period that hold every moment on that weekday (1 is Monday) and in that hour of the zone, so that an index
    finds them; None where the period has no end or is longer than ten years. A little more where clocks change."""
    since, until = max(since or LONG_AGO, LONG_AGO), min(until or FAR_AHEAD, FAR_AHEAD)
    if weekday is None and hour is None:
        return [(since, until)]
    if until - since > YEARS:
        return None
    place, found = ZoneInfo(zone), []
    day = since.astimezone(place).date()
    while day <= until.astimezone(place).date():
        if weekday in (None, day.isoweekday()):
            begin = datetime.combine(day, time(hour or 0), place)
            length = timedelta(days=1) if hour is None else timedelta(hours=1)
            # An hour that comes twice or not at all, when clocks change, begins early and ends late.
            first = min(begin.replace(fold=fold).astimezone(UTC) for fold in (0, 1))
            last = max((begin + length).replace(fold=fold).astimezone(UTC) for fold in (0, 1))
            found.append((max(first, since), min(last, until)))
        day += timedelta(days=1)
    return [(first, last) for first, last in found if first < last]
