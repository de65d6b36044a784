"""Callbacks sent again because somebody asks for it (E-35): the recorded body with its signature, byte for byte.

What is asked for is committed together with its line in the audit log; the worker sends it, so that a large range holds up no
page and survives a stop.
"""

import asyncio
import logging
from collections.abc import Collection
from datetime import timedelta

from wongate.connections.database import Tx
from wongate.connections.http import Answered
from wongate.domain.refusal import Unfit
from wongate.flows import audit
from wongate.flows.audit import Actor
from wongate.flows.deliver import HEADERS, kept_text
from wongate.flows.platform import Platform
from wongate.reports import callback_range
from wongate.reports.register import Filter
from wongate.store import callbacks, resends
from wongate.store.callbacks import Due, Sent

log = logging.getLogger(__name__)

LEASE = timedelta(seconds=60)
IN_FLIGHT_MAX = 32
"""Sends by hand at the same time: they must not crowd out the scheduled ones."""

STATES = ("failed", "failing", "delivered")


async def ask_for_one(
    platform: Platform, actor: Actor, project_id: int, payment_no: int, operation_id: int, callback_id: int
) -> bool:
    """False for a callback that is not this payment's."""

    async def story(tx: Tx) -> bool:
        now = platform.clock.now()
        own = await tx.fetchval(
            "SELECT true FROM callback WHERE project_id = $1 AND operation_id = $2 AND callback_id = $3 AND payment_no = $4",
            project_id,
            operation_id,
            callback_id,
            payment_no,
        )
        if not own or not await resends.ask(tx, [(project_id, operation_id, callback_id)], now):
            return False
        object_ = f"payment/{project_id}/{payment_no}"
        after = {"callback_id": callback_id}
        await audit.record(tx, actor, "callback resent", object_, now, project_ids=(project_id,), after=after)
        return True

    return await platform.database.run(story)


async def ask_for_range(platform: Platform, actor: Actor, wanted: Filter, states: Collection[str]) -> int:
    """The callbacks in these states of the payments that the filter lets through, 10,000 at most; answers how many.

    Raises Unfit when no state is chosen.
    """
    if not states:
        raise Unfit("Please choose which callbacks are sent again.", "state")

    async def story(tx: Tx) -> int:
        now = platform.clock.now()
        found = await callback_range.callbacks_in(tx, wanted, sorted(states))
        number = await resends.ask(tx, found, now)
        if number:
            concerned = sorted({project_id for project_id, _, _ in found})
            after = {"callbacks": number, "states": sorted(states)}
            await audit.record(
                tx, actor, "callbacks resent", "payments", now, project_ids=concerned, after=after
            )
        return number

    return await platform.database.run(story)


class Resending:
    """The duty of the worker."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._tasks: set[asyncio.Task[None]] = set()

    async def tick(self) -> int:
        """Claims what is asked for as far as there is room, starts the sends, and answers how many."""
        now = self._platform.clock.now()
        async with self._platform.database.read() as tx:
            project_ids = await resends.projects_asked(tx, now)
        started = 0
        for project_id in project_ids:
            started += await self._claim(project_id)
        return started

    async def _claim(self, project_id: int) -> int:
        room = IN_FLIGHT_MAX - len(self._tasks)
        if room <= 0:
            return 0
        now = self._platform.clock.now()
        claimed = await self._platform.database.run(
            lambda tx: resends.claim(tx, project_id, now, now + LEASE, room)
        )
        for due in claimed:
            task = asyncio.create_task(self._send(due))
            self._tasks.add(task)
            task.add_done_callback(self._finished)
        return len(claimed)

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            log.error("resend broke", exc_info=task.exception())

    async def _send(self, due: Due) -> None:
        platform = self._platform
        at, started = platform.clock.now(), platform.monotonic()
        answer = await platform.http.post_json(
            due.url, due.body.encode(), HEADERS, total_s=platform.callback_timeout_s
        )
        status = answer.status if isinstance(answer, Answered) else None
        sent = Sent(
            due=due,
            at=at,
            duration_ms=round((platform.monotonic() - started) * 1000),
            http_status=status,
            error="" if isinstance(answer, Answered) else answer.reason,
            response=kept_text(answer),
            state="delivered" if status == 200 else "waiting",
            due_at=at,
        )
        await platform.database.run(lambda tx: self._record(tx, sent))

    async def _record(self, tx: Tx, sent: Sent) -> None:
        await resends.record(tx, sent)
        if sent.state == "delivered" and not sent.due.intermediate:
            pair = (sent.due.project_id, sent.due.operation_id)
            await callbacks.drop_intermediate(tx, [pair], self._platform.clock.now())

    async def drain(self) -> None:
        if self._tasks:
            await asyncio.wait(set(self._tasks), timeout=self._platform.callback_timeout_s + 5)
