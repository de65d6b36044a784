"""Which part of a period is added up in hours already, and which rows have to be counted one by one."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from wongate.connections.database import Tx

LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)
FAR_AHEAD = datetime(9000, 1, 1, tzinfo=UTC)
_HOUR = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Spans:
    """Whole hours from `since` to `until`, half open, empty where they are equal; `edges` are the rest of the period."""

    since: datetime
    until: datetime
    edges: Sequence[tuple[datetime, datetime]]

    @property
    def arguments(self) -> tuple[Any, ...]:
        """For a statement: the hours' two bounds, then the lower and the upper bounds of the edges."""
        return self.since, self.until, [since for since, _ in self.edges], [until for _, until in self.edges]


def split(since: datetime | None, until: datetime | None, closed: datetime) -> Spans:
    """`closed`: hours before it are added up. None is an open end."""
    begin, end = since or LONG_AGO, until or FAR_AHEAD
    whole_since = _up_to_hour(begin)
    whole_until = min(_down_to_hour(end), closed)
    if whole_since >= whole_until:
        return Spans(begin, begin, [(begin, end)] if begin < end else [])
    edges = [(begin, whole_since), (whole_until, end)]
    return Spans(whole_since, whole_until, [edge for edge in edges if edge[0] < edge[1]])


def _down_to_hour(at: datetime) -> datetime:
    return at.astimezone(UTC).replace(minute=0, second=0, microsecond=0)


def _up_to_hour(at: datetime) -> datetime:
    down = _down_to_hour(at)
    return down if down == at else down + _HOUR


async def closed_until(tx: Tx, project_ids: Sequence[int]) -> datetime:
    """Up to where the hours of all these projects are added up; a project without payments does not hold the others back."""
    closed: datetime = await tx.fetchval(
        "SELECT coalesce(min(coalesce(r.until, $2)), $2) FROM unnest($1::bigint[]) AS own(project_id) "
        "LEFT JOIN rolled_up r USING (project_id) "
        "WHERE r.until IS NOT NULL OR EXISTS (SELECT 1 FROM payment p WHERE p.project_id = own.project_id)",
        list(project_ids),
        LONG_AGO,
    )
    return closed
