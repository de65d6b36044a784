"""Callbacks on their way: prepare, call, record. Lanes (one per merchant endpoint) keep a slow endpoint's trouble to itself."""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import zip_longest

from wongate.connections.batch import Batch
from wongate.connections.http import Answer, Answered
from wongate.connections.shares import Shares
from wongate.domain.callback import delay_after
from wongate.flows.lane import Lane
from wongate.flows.platform import Platform
from wongate.store import callbacks
from wongate.store.callbacks import Due, Sent

log = logging.getLogger(__name__)

LEASE = timedelta(seconds=60)
"""Longer than a send (15 s, E-19) and its place in the queue behind others of the same payment."""

IN_FLIGHT_MAX = 512
"""Sends at the same time, of which each project has its share."""

LANES_AT_ONCE = 8
"""Of one project in one look: a claim takes milliseconds, and a project may have told us a thousand addresses."""

RESPONSE_KEPT = 2000
"""Bytes."""

HEADERS = {"Content-Type": "application/json; charset=utf-8", "User-Agent": "Wongate"}


class Delivery:
    """The sending half of the worker. One per process."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._lanes: defaultdict[tuple[int, str], Lane] = defaultdict(Lane)
        self._places: Shares[int] = Shares(IN_FLIGHT_MAX)
        self._looks = 0
        # One commit at a time: nobody waits for a record, and the longer one takes, the more share the next.
        self._records: Batch[Sent, None] = Batch(self._record, size_max=256, side_by_side=1)
        self._tasks: set[asyncio.Task[None]] = set()
        self._last: dict[tuple[int, int], asyncio.Task[None]] = {}

    async def tick(self) -> int:
        """Claims what is due as far as lanes have room, starts the sends, and answers how many."""
        now = self._platform.clock.now()
        async with self._platform.database.read() as tx:
            due_lanes = await callbacks.lanes_due(tx, now)
        self._looks += 1
        started = 0
        for key in self._in_turn(due_lanes, now):
            lane = self._lanes[key]
            room = min(lane.room(now), self._places.room(key[0]))
            if room > 0:
                lane.looked_at = self._looks
                started += await self._claim(key, lane, room, now)
        return started

    def _in_turn(self, keys: Sequence[tuple[int, str]], now: datetime) -> list[tuple[int, str]]:
        """Lanes with room, the first of each project before the second of any; those that waited longest for a look first."""
        lanes_of: defaultdict[int, list[tuple[int, str]]] = defaultdict(list)
        for key in sorted(keys, key=lambda key: self._lanes[key].looked_at):
            if self._lanes[key].room(now) and len(lanes_of[key[0]]) < LANES_AT_ONCE:
                lanes_of[key[0]].append(key)
        return [key for row in zip_longest(*lanes_of.values()) for key in row if key is not None]

    async def _claim(self, key: tuple[int, str], lane: Lane, room: int, now: datetime) -> int:
        claimed = await self._platform.database.run(
            lambda tx: callbacks.claim(tx, *key, now, now + LEASE, room), one_statement=True
        )
        for due in claimed:
            self._start(due, lane)
        return len(claimed)

    def _start(self, due: Due, lane: Lane) -> None:
        """One payment's callbacks go out in their order: each waits for the send before it, not for its success (E-20)."""
        payment = (due.project_id, due.payment_no)
        task = asyncio.create_task(self._send(due, lane, self._last.get(payment)))
        self._last[payment] = task
        self._tasks.add(task)
        self._places.take(due.project_id)
        lane.in_flight += 1

        def finished(done: asyncio.Task[None]) -> None:
            self._tasks.discard(done)
            self._places.give_back(due.project_id)
            lane.in_flight -= 1
            if self._last.get(payment) is done:
                del self._last[payment]
            if not done.cancelled() and done.exception() is not None:
                log.error("delivery broke", exc_info=done.exception(), extra={"callback_id": due.callback_id})

        task.add_done_callback(finished)

    async def _send(self, due: Due, lane: Lane, before: asyncio.Task[None] | None) -> None:
        if before is not None:
            await asyncio.wait([before])
        at = self._platform.clock.now()
        started = self._platform.monotonic()
        answer = await self._platform.http.post_json(
            due.url, due.body.encode(), HEADERS, total_s=self._platform.callback_timeout_s
        )
        duration_ms = round((self._platform.monotonic() - started) * 1000)
        sent = self._judge(due, answer, at, duration_ms)
        lane.learn(
            delivered=sent.state == "delivered", duration_ms=duration_ms, now=self._platform.clock.now()
        )
        await self._records.submit(sent, sent.due.project_id)

    def _judge(self, due: Due, answer: Answer, at: datetime, duration_ms: int) -> Sent:
        judged = judge(answer, due.failures, self._platform.clock.now())
        return Sent(
            due=due,
            at=at,
            duration_ms=duration_ms,
            http_status=judged.http_status,
            error=judged.error,
            response=kept_text(answer),
            state=judged.state,
            due_at=judged.due_at,
        )

    async def _record(self, sent: Sequence[Sent]) -> Sequence[None]:
        await self._platform.database.run(lambda tx: callbacks.record(tx, sent), one_statement=True)
        return [None] * len(sent)

    async def drain(self) -> None:
        """Waits for the sends that are under way, so that a stopping worker repeats none of them."""
        if self._tasks:
            await asyncio.wait(set(self._tasks), timeout=self._platform.callback_timeout_s + 5)


def kept_text(answer: Answer) -> str:
    """The beginning of what an endpoint said, as PostgreSQL takes it."""
    if not isinstance(answer, Answered):
        return ""
    return answer.body[:RESPONSE_KEPT].decode("utf-8", "replace").replace("\0", "")


@dataclass(frozen=True, slots=True)
class Judged:
    """What one answer means for what was sent."""

    state: str
    due_at: datetime
    http_status: int | None
    error: str


def judge(answer: Answer, failures: int, now: datetime) -> Judged:
    """HTTP 200 and nothing else is delivered (E-19); after `failures` earlier ones the next try follows section 4.6."""
    status = answer.status if isinstance(answer, Answered) else None
    error = "" if isinstance(answer, Answered) else answer.reason
    delay_s = delay_after(failures + 1)
    if status == 200:
        return Judged("delivered", now, status, error)
    if delay_s is None:
        return Judged("failed", now, status, error)
    return Judged("waiting", now + timedelta(seconds=delay_s), status, error)
