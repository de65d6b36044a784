"""Which part of a period is added up already - hours, days, months - and which rows have to be counted one by one."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from wongate.connections.database import Tx

LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)
FAR_AHEAD = datetime(9000, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)

Period = tuple[datetime, datetime]
"""Half open."""


def hour_of(at: datetime) -> datetime:
    return at.astimezone(UTC).replace(minute=0, second=0, microsecond=0)


def day_of(at: datetime) -> datetime:
    return hour_of(at).replace(hour=0)


def month_of(at: datetime) -> datetime:
    return day_of(at).replace(day=1)


@dataclass(frozen=True, slots=True)
class Unit:
    """Pieces of UTC time that are added up: `begin_of` a moment's piece, `stride` later lies in the next."""

    begin_of: Callable[[datetime], datetime]
    stride: timedelta


HOURS = Unit(hour_of, HOUR)
DAYS = Unit(day_of, timedelta(days=1))
MONTHS = Unit(month_of, timedelta(days=32))


@dataclass(frozen=True, slots=True)
class Spans:
    """Whole pieces from `since` to `until`, half open, empty where they are equal; `edges` are the rest of the period."""

    since: datetime
    until: datetime
    edges: Sequence[Period]

    @property
    def arguments(self) -> tuple[Any, ...]:
        """For a statement: the pieces' two bounds, then the lower and the upper bounds of the edges."""
        return self.since, self.until, [since for since, _ in self.edges], [until for _, until in self.edges]


def split(since: datetime | None, until: datetime | None, closed: datetime, unit: Unit = HOURS) -> Spans:
    """`closed`: pieces before it are added up. None is an open end."""
    begin, end = since or LONG_AGO, until or FAR_AHEAD
    whole_since = unit.begin_of(begin)
    if whole_since < begin:
        whole_since = unit.begin_of(whole_since + unit.stride)
    whole_until = min(unit.begin_of(end), closed)
    if whole_since >= whole_until:
        return Spans(begin, begin, [(begin, end)] if begin < end else [])
    edges = [(begin, whole_since), (whole_until, end)]
    return Spans(whole_since, whole_until, [edge for edge in edges if edge[0] < edge[1]])


@dataclass(frozen=True, slots=True)
class Calendar:
    """A period in whole months, whole days, and the rest."""

    months: Sequence[Period]
    days: Sequence[Period]
    edges: Sequence[Period]


def calendar(since: datetime, until: datetime, closed: datetime) -> Calendar:
    """`closed` as for hours: days are added up an hour later (see `closed_days`)."""
    days_until = closed_days(closed)
    months = split(since, until, month_of(days_until), MONTHS)
    days = [split(*edge, days_until, DAYS) for edge in months.edges]
    whole = [(part.since, part.until) for part in (months, *days)]
    return Calendar(
        months=[period for period in whole[:1] if period[0] < period[1]],
        days=[period for period in whole[1:] if period[0] < period[1]],
        edges=[edge for part in days for edge in part.edges],
    )


def closed_days(closed: datetime) -> datetime:
    """Days before it are added up once hours are up to `closed`: the last hour is added up once more with the next one."""
    return day_of(closed - HOUR)


async def closed_until(tx: Tx, project_ids: Sequence[int]) -> datetime:
    """Up to where the hours of all these projects are added up; a project without payments does not hold the others back."""
    closed: datetime = await tx.fetchval(
        "SELECT coalesce(min(coalesce(r.until, $2)), $2) FROM unnest($1::bigint[]) AS own(project_id) "
        "LEFT JOIN added_up r USING (project_id) "
        "WHERE r.until IS NOT NULL OR EXISTS (SELECT 1 FROM payment p WHERE p.project_id = own.project_id)",
        list(project_ids),
        LONG_AGO,
    )
    return closed
