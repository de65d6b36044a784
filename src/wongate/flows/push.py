"""Answers of the Data API on their way to a `destination_url`: delivered and repeated by the rules of callbacks (E-23)."""

import asyncio
import logging
from datetime import datetime, timedelta

from wongate.flows.deliver import HEADERS, LEASE, judge
from wongate.flows.lane import Lane
from wongate.flows.platform import Platform
from wongate.store import pushes
from wongate.store.pushes import DuePush

log = logging.getLogger(__name__)

IN_FLIGHT_MAX = 64
KEPT = timedelta(days=4)
"""For this long it can be seen how a push ended."""


class Pushing:
    """One per process. Lanes keep a slow destination's trouble to itself, as with callbacks."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._lanes: dict[str, Lane] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def tick(self) -> int:
        """Starts the sends that are due, as far as lanes have room, and answers how many."""
        now = self._platform.clock.now()
        async with self._platform.database.read() as tx:
            names = await pushes.lanes_due(tx, now)
        started = 0
        for name in names:
            lane = self._lanes.setdefault(name, Lane())
            room = min(lane.room(now), IN_FLIGHT_MAX - len(self._tasks))
            if room > 0:
                started += await self._claim(name, lane, room, now)
        return started

    async def _claim(self, name: str, lane: Lane, room: int, now: datetime) -> int:
        claimed = await self._platform.database.run(lambda tx: pushes.claim(tx, name, now, now + LEASE, room))
        for due in claimed:
            task = asyncio.create_task(self._send(due, lane))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return len(claimed)

    async def _send(self, due: DuePush, lane: Lane) -> None:
        """A broken step leaves the lease to run out: the push is sent again."""
        lane.in_flight += 1
        try:
            started = self._platform.monotonic()
            answer = await self._platform.http.post_json(
                due.url, due.body.encode(), HEADERS, total_s=self._platform.callback_timeout_s
            )
            duration_ms = round((self._platform.monotonic() - started) * 1000)
            now = self._platform.clock.now()
            judged = judge(answer, due.failures, now)
            lane.learn(delivered=judged.state == "delivered", duration_ms=duration_ms, now=now)
            await self._platform.database.run(
                lambda tx: pushes.record(
                    tx,
                    due,
                    state=judged.state,
                    due_at=judged.due_at,
                    http_status=judged.http_status,
                    error=judged.error,
                    now=now,
                )
            )
        except Exception:
            log.exception("push broke", extra={"push_id": due.push_id})
        finally:
            lane.in_flight -= 1

    async def drain(self) -> None:
        """Waits for the sends that are under way, so that a stopping worker repeats none of them."""
        if self._tasks:
            await asyncio.wait(set(self._tasks), timeout=self._platform.callback_timeout_s + 5)


async def forget_old(platform: Platform) -> None:
    before = platform.clock.now() - KEPT
    await platform.database.run(lambda tx: pushes.remove_finished(tx, before), one_statement=True)
