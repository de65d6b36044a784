"""When a repeated report runs, and which days it is about. Pure: zones and moments in, moments out."""

import calendar
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo

LOOK_BACK = 7
"""Appointments that are made up for after an outage; older ones are left out."""


class Every(StrEnum):
    DAY = "day"
    WEEK = "week"
    MONTH = "month"


@dataclass(frozen=True, slots=True)
class Timetable:
    """`day`: 1 (Monday) to 7 of a week, 1 to 31 of a month, where shorter months mean their last day; unused for every day."""

    every: Every
    day: int
    hour: int
    zone: str


def next_after(table: Timetable, moment: datetime) -> datetime:
    """The first appointment after the moment, in UTC.

    Each day that the table names has exactly one: an hour that the clocks skip runs when they have jumped, an hour that they
    show twice runs the first time (F17).
    """
    zone = ZoneInfo(table.zone)
    for day in _days(table, moment.astimezone(zone).date() - timedelta(days=1)):
        at = datetime.combine(day, time(table.hour), zone).astimezone(UTC)
        if at > moment:
            return at
    raise AssertionError("unreachable: days do not end")


def due(table: Timetable, appointment: datetime, now: datetime) -> tuple[list[datetime], datetime]:
    """Appointments from the given one up to now, at most the last LOOK_BACK, and the first one that is still to come."""
    found: list[datetime] = []
    while appointment <= now:
        found = [*found[-LOOK_BACK + 1 :], appointment]
        appointment = next_after(table, appointment)
    return found, appointment


def period(table: Timetable, appointment: datetime) -> tuple[datetime, datetime]:
    """What the run reports, half open, in UTC: whole days of the zone that had ended by then - the day before, the seven days
    before, or the calendar month before."""
    zone = ZoneInfo(table.zone)
    last = appointment.astimezone(zone).date()
    if table.every is Every.MONTH:
        last = last.replace(day=1)
    until = datetime.combine(last, time(), zone).astimezone(UTC)
    first = (until - timedelta(seconds=1)).astimezone(zone).date()  # Samoa once had no 30 December
    if table.every is Every.MONTH:
        first = first.replace(day=1)
    elif table.every is Every.WEEK:
        first = last - timedelta(days=7)
    return datetime.combine(first, time(), zone).astimezone(UTC), until


def _days(table: Timetable, day: date) -> Iterator[date]:
    """The table's days from the given one on."""
    while True:
        month_end = calendar.monthrange(day.year, day.month)[1]
        if (
            table.every is Every.DAY
            or (table.every is Every.WEEK and day.isoweekday() == table.day)
            or (table.every is Every.MONTH and day.day == min(table.day, month_end))
        ):
            yield day
        day += timedelta(days=1)
