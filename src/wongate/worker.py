"""The worker: a few duties, each a loop of claim, run, sleep. Any number of workers may run; they share by claims."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress

from wongate.app import PATIENCE_S, opened
from wongate.connections.mail import mailer_of
from wongate.connections.shares import Shares
from wongate.domain.lifecycle import IllegalMove
from wongate.domain.payment import Operation
from wongate.flows import notice, reconcile, retention, rungs, schedules
from wongate.flows.deliver import Delivery
from wongate.flows.export import Exporting
from wongate.flows.mailing import Mailing
from wongate.flows.platform import Platform
from wongate.flows.push import Pushing
from wongate.flows.resend import Resending
from wongate.flows.retention import Retention
from wongate.flows.roll_up import RollUp
from wongate.flows.settle import Door
from wongate.settings import Settings
from wongate.store import payments
from wongate.web.report_mail import composer

log = logging.getLogger(__name__)

BUSY_S = 0.002
"""Seconds between looks that find something. Each that finds nothing doubles the pause, from a 25th of the longest on: what
comes every few milliseconds waits no longer, and a quiet platform is left in peace."""

IDLE_S = 0.05
"""The longest pause: three cheap reads, 20 times a second."""

UNHURRIED_S = 0.5
"""The same for what nobody waits for at a checkout."""

TROUBLE_S = 1.0
AT_ONCE = 64
"""Operations that one worker carries at the same time, of which each project has its share: a provider that hangs may hold all
of one project's for half a minute."""


async def work(settings: Settings, stop: asyncio.Event) -> None:
    """Runs all duties until `stop` is set; sends that are under way are waited for."""
    async with opened(settings, patience_s=PATIENCE_S) as platform:
        await run_duties(platform, stop, _mailing(platform, settings), _keep_days(settings))


def _mailing(platform: Platform, settings: Settings) -> Mailing:
    mailer = mailer_of(settings.mail_url) if settings.mail_url else None
    return Mailing(platform, mailer, composer(platform.clock, settings.mail_from, platform.page_url))


def _keep_days(settings: Settings) -> Mapping[str, int]:
    return {
        "exchange": settings.keep_exchanges_days,
        "callback": settings.keep_callbacks_days,
        "attempt": settings.keep_attempts_days,
    }


async def run_duties(
    platform: Platform,
    stop: asyncio.Event,
    mailing: Mailing | None = None,
    keep_days: Mapping[str, int] | None = None,
) -> None:
    """Without `mailing` mails wait for another worker; history that `keep_days` does not name is kept for ever."""
    door = Door(platform)
    delivery = Delivery(platform)
    resending = Resending(platform)
    waking = Waking(platform, door)
    pushing, exporting = Pushing(platform), Exporting(platform)
    duties: dict[str, Callable[[], Awaitable[int]]] = {
        "deliver": delivery.tick,
        "reconcile": waking.tick,
        "roll up": RollUp(platform).tick,
    }
    unhurried: dict[str, Callable[[], Awaitable[int]]] = {
        "resend": resending.tick,
        "notices": lambda: notice.tick(platform, door),
        "push": pushing.tick,
        "schedules": lambda: schedules.tick(platform),
        "export": exporting.tick,
    }
    if mailing is not None:
        unhurried["mail"] = mailing.tick
    await asyncio.gather(
        *(_repeat(name, duty, stop) for name, duty in duties.items()),
        *(_repeat(name, duty, stop, idle_s=UNHURRIED_S) for name, duty in unhurried.items()),
        _repeat("retention", Retention(platform, keep_days or {}).tick, stop, idle_s=retention.EVERY_S),
    )
    await waking.drain()
    await delivery.drain()
    await resending.drain()
    await pushing.drain()
    await exporting.drain()
    if mailing is not None:
        await mailing.drain()


async def _repeat(
    name: str, duty: Callable[[], Awaitable[int]], stop: asyncio.Event, *, idle_s: float = IDLE_S
) -> None:
    pause_s = BUSY_S
    while not stop.is_set():
        try:
            pause_s = BUSY_S if await duty() else min(max(pause_s * 2, idle_s / 25), idle_s)
        except Exception:
            log.warning("duty failed, trying again", exc_info=True, extra={"duty": name})
            pause_s = TROUBLE_S
        await _sleep(pause_s, stop)


async def _sleep(seconds: float, stop: asyncio.Event) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await stop.wait()


class Waking:
    """Claims operations whose time has come, project by project, and carries them side by side."""

    def __init__(self, platform: Platform, door: Door, *, at_once: int = AT_ONCE) -> None:
        self._platform = platform
        self._door = door
        self._places: Shares[int] = Shares(at_once)
        self._tasks: set[asyncio.Task[None]] = set()
        self._last = 0

    async def tick(self) -> int:
        now = self._platform.clock.now()
        async with self._platform.database.read() as tx:
            projects = await payments.projects_to_wake(tx, now)
        claimed = 0
        for project_id in sorted(projects, key=lambda number: (number <= self._last, number)):
            room = min(self._places.room(project_id), max(1, self._places.free // len(projects)))
            if room > 0:
                self._last = project_id  # the next look begins behind it: places that are few go round
                claimed += await self._claim(project_id, room)
        return claimed

    async def _claim(self, project_id: int, limit: int) -> int:
        now = self._platform.clock.now()
        operations = await self._platform.database.run(
            lambda tx: payments.claim_to_wake(tx, project_id, now, now + rungs.LEASE, limit),
            one_statement=True,
        )
        for operation in operations:
            self._start(operation)
        return len(operations)

    def _start(self, operation: Operation) -> None:
        task = asyncio.create_task(self._carry(operation))
        self._tasks.add(task)
        self._places.take(operation.project_id)

        def finished(done: asyncio.Task[None]) -> None:
            self._tasks.discard(done)
            self._places.give_back(operation.project_id)

        task.add_done_callback(finished)

    async def _carry(self, operation: Operation) -> None:
        """A broken step leaves the lease to run out: the operation wakes again, the queue goes on (F23)."""
        try:
            project = await self._platform.project(operation.project_id)
            if project is not None:
                await reconcile.wake(self._platform, self._door, project, operation)
        except IllegalMove:
            log.info("operation moved on meanwhile", extra={"operation_id": operation.operation_id})
        except Exception:
            log.exception("operation step broke", extra={"operation_id": operation.operation_id})

    async def drain(self) -> None:
        if self._tasks:
            await asyncio.wait(set(self._tasks), timeout=60)
