"""Adding up hours for analytics and totals. Any number of workers may try: one at a time has a project's row."""

from datetime import datetime, timedelta

from wongate.connections.database import Tx
from wongate.flows.platform import Platform
from wongate.reports.spans import HOUR, closed_days, hour_of, month_of
from wongate.store import projects, roll_ups
from wongate.store.roll_ups import Progress

EVERY_S = 15.0
"""Seconds between looks; a refund of an old payment shows in the totals after that long."""

LATE = timedelta(minutes=10)
"""A row may be committed this long after the moment that it bears: an hour is not closed before."""

AT_ONCE = timedelta(days=7)
"""What one transaction adds up of a long past: 21,000 payments at 3,000 a day, some 0.2 s."""


class RollUp:
    """The duty of the worker."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._next = 0.0

    async def tick(self) -> int:
        """Answers whether there is more to add up at once."""
        if self._platform.monotonic() < self._next:
            return 0
        behind = await add_up(self._platform)
        if not behind:
            self._next = self._platform.monotonic() + EVERY_S
        return int(behind)


async def add_up(platform: Platform) -> bool:
    """One step for every project; True while some project's past is not all added up."""
    async with platform.database.read() as tx:
        project_ids = [row.project_id for row in await projects.every(tx)]
    behind = False
    for project_id in project_ids:
        behind = await _add_up_project(platform, project_id) or behind
    return behind


async def _add_up_project(platform: Platform, project_id: int) -> bool:
    async def story(tx: Tx) -> bool:
        now = platform.clock.now()
        first = await roll_ups.first_opening(tx, project_id)
        progress = await roll_ups.lock(tx, project_id, hour_of(first)) if first else None
        if progress is None:
            return False
        closed = hour_of(now - LATE)
        until = max(progress.until, min(closed, progress.until + AT_ONCE))
        looked_at = progress.looked_at or now
        if until > progress.until:
            await _add_up_closed(tx, project_id, progress.until, until)
        if until == closed:
            for hour in await roll_ups.moved_hours(tx, project_id, looked_at - LATE, until):
                await roll_ups.add_up_payments(tx, project_id, hour, hour + HOUR)
            looked_at = now
        await roll_ups.save(tx, project_id, Progress(until, looked_at))
        return until < closed

    return await platform.database.run(story)


async def _add_up_closed(tx: Tx, project_id: int, since: datetime, until: datetime) -> None:
    """The hour before `since` once more: something may have come in very late."""
    await roll_ups.add_up_ends(tx, project_id, since - HOUR, until)
    await roll_ups.add_up_payments(tx, project_id, since - HOUR, until)
    days_since, days_until = closed_days(since), closed_days(until)
    if days_since < days_until:
        await roll_ups.add_up_customer_days(tx, project_id, days_since, days_until)
        months_since, months_until = month_of(days_since), month_of(days_until)
        await roll_ups.add_up_customer_months(tx, project_id, months_since, months_until)
