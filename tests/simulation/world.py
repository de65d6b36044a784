"""The simulated world of one seed: processes, wires, a provider, a shop with its payers, and the auditor who watches them."""

import asyncio
import hashlib
import logging
import random as global_random
import secrets
from collections import Counter, deque
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random
from typing import Any
from unittest.mock import patch

from starlette import _exception_handler
from tests.simulation import books, liveness, virtual_time
from tests.simulation.auditor import Auditor
from tests.simulation.bookkeeper import Bookkeeper, Timer
from tests.simulation.forger import forged
from tests.simulation.merchant import Merchant, Order
from tests.simulation.network import NOTICE_IP, Network
from tests.simulation.operators import Operators
from tests.simulation.page_payer import PagePayer
from tests.simulation.payer import FORM, Payer
from tests.simulation.postgres import Postgres
from tests.simulation.process import Parcel, Process
from tests.simulation.provider import NOTICE_PATH, Provider
from tests.simulation.setting import EPOCH, VAULT, prepare
from tests.simulation.swarm import Swarm
from tests.simulation.virtual_time import VirtualLoop

from wongate.worker import IDLE_S

SETTLING_S = 6 * 3600.0
"""Liveness: that long after the last fault everything must have come to its end. A retry gap is four hours at most."""

TIMER_S, TIMER_RUNS = 3600.0, 3
"""How often the operator's timer comes then, and how many times; what the first finds undone is sent again, and ends."""

FROZEN_S = 200.0
"""Longer than every lease."""

LOOK_S = 60.0
TAIL = 60  # lines of history that a failing run shows


@dataclass(slots=True)
class Plan:
    """What is done in a world; the default is drawn from the seed. `crash_at` and `freeze_at` number the seams at which a process
    dies, or sleeps past every lease.

    `payer` is a choice in the window and a manner of coming back, `refunds` what the shop gives back, `refusals` how many
    callbacks it refuses at first, `timer` how the operator lets lists settle.
    """

    story: "Callable[[World], Coroutine[Any, Any, None]] | None" = None
    swarm: Callable[[Random], Swarm] = Swarm.drawn
    servers: int | None = None
    workers: int | None = None
    crash_at: tuple[int, ...] = ()
    freeze_at: tuple[int, ...] = ()
    naps_s: tuple[float, ...] = (1, 20, 70, 130, 400)
    traced: bool = False
    payer: tuple[str, str] = ("", "")
    refunds: str = ""
    refusals: int = 0
    timer: Timer | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Report:
    """How one run ended."""

    seed: int
    history: str
    violations: list[str]
    counted: Counter[str]
    struck: Counter[str]
    seams: list[str]
    lines: list[str]


class World:
    def __init__(self, seed: int, postgres: Postgres, plan: Plan, loop: VirtualLoop) -> None:
        self.seed = seed
        self.plan = plan
        self.loop = loop
        self.postgres = postgres
        self.vault = VAULT
        self.jump_s = 0.0
        self.counted: Counter[str] = Counter()
        self.seams: list[str] = []
        self.returns: list[tuple[int, list[tuple[str, str]]]] = []
        self.processes: list[Process] = []
        self._nodes = 0
        self._hash = hashlib.sha256()
        self.lines: deque[str] = deque(maxlen=None if plan.traced else TAIL)
        self._due: dict[str, datetime | None] | None = None
        self._idle: list[asyncio.Future[None]] = []
        self._looking = False
        self._scheduling = self.random("scheduling")
        self._forging = self.random("forging")
        self.swarm = plan.swarm(self.random("swarm"))
        self.auditor = Auditor(self)
        self.network = Network(self)
        self.provider = Provider(self)
        self.merchant = Merchant(self)
        self.operators = Operators(self)
        self.bookkeeper = Bookkeeper(self)

    # --- time, chance, history ----------------------------------------------------------------------------------------------

    def random(self, *names: str) -> Random:
        """A stream of its own for each name: a draw more in one place changes nothing in another."""
        return Random("/".join((str(self.seed), *names)))

    def chance(self, name: str) -> Callable[[int], bytes]:
        """What a process has in place of the system's randomness."""
        return self.random("chance", name).randbytes

    def moment(self, skew_s: float) -> datetime:
        return EPOCH + timedelta(seconds=self.loop.time() + self.jump_s + skew_s)

    def moment_at(self, at_s: float) -> datetime:
        return EPOCH + timedelta(seconds=at_s)

    def moment_s(self) -> float:
        """How long a step takes: mostly a millisecond, sometimes long enough for everybody else to go first."""
        draw = self._scheduling.random()
        return draw * 0.002 if draw < 0.97 else self._scheduling.random() * 0.8

    def tell(self, who: str, what: str) -> None:
        line = f"{self.loop.time():.6f} {who} {what}"
        self._hash.update(line.encode())
        self.lines.append(line)

    def count(self, what: str, number: int = 1) -> None:
        self.counted[what] += number

    def spawn(self, story: Coroutine[Any, Any, None]) -> None:
        self.loop.create_task(story).add_done_callback(self._ended)

    def _ended(self, task: "asyncio.Task[None]") -> None:
        """An actor that breaks would otherwise only be missing."""
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self.auditor.violated("the simulation itself", repr(error))

    # --- processes -----------------------------------------------------------------------------------------------------------

    def start(self, kind: str) -> Process:
        self._nodes += 1
        skew_s = self._scheduling.choice((-3600, -90, -3, 3, 90, 3600)) if self.swarm.strikes("skew") else 0.0
        process = Process(self, kind, f"{kind}-{self._nodes}", self._nodes % 64, skew_s)
        self.processes.append(process)
        self.tell(process.name, "starts")
        return process

    def crash(self, process: Process) -> None:
        """Dies now and is started again after a while, as a supervisor does."""
        self.tell(process.name, "CRASHES")
        self.count("crashes")
        process.die()
        self.processes.remove(process)
        pause_s = self._scheduling.choice((0.5, 5, 60, 400)) if not self.plan.crash_at else 1.0
        self.loop.call_later(pause_s, self.start, process.kind)

    def at_seam(self, process: Process, point: str) -> None:
        self.seams.append(f"{process.kind}: {point}")
        self.count("seams")
        if len(self.seams) in self.plan.crash_at or self.swarm.strikes("crash"):
            self.crash(process)
        elif len(self.seams) in self.plan.freeze_at:
            self.freeze(process, FROZEN_S)
        elif self.swarm.strikes("freeze"):
            self.freeze(process, self._scheduling.choice(self.plan.naps_s))

    def freeze(self, process: Process, seconds: float) -> None:
        self.tell(process.name, f"FREEZES for {seconds} s")
        self.count("freezes")
        process.freeze(seconds)

    def a_server(self) -> Process | None:
        """Whom the balancer picks; None when nobody listens."""
        listening = [process for process in self.processes if process.kind == "server" and process.alive]
        return self._scheduling.choice(listening) if listening else None

    # --- when there is something to do for a worker ---------------------------------------------------------------------------

    def changed(self) -> None:
        """Somebody has committed; workers look a moment later, as they do between two idle looks."""
        self._due = None
        if not self._looking:
            self._looking = True
            self.loop.call_later(self._scheduling.random() * IDLE_S, self._look)

    def _look(self) -> None:
        self._looking = False
        idle, self._idle = self._idle, []
        for future in idle:
            if not future.done():
                future.set_result(None)

    def _due_of(self, duty: str) -> datetime | None:
        if self._due is None:
            self._due = self.postgres.next_due()
        return self._due[duty]

    def is_due(self, duty: str, process: Process) -> bool:
        due = self._due_of(duty)
        return due is not None and due <= process.clock.now()

    async def until_due(self, duty: str, process: Process) -> None:
        while not self.is_due(duty, process):
            due = self._due_of(duty)
            timeout = None if due is None else max(0.001, (due - process.clock.now()).total_seconds())
            changed: asyncio.Future[None] = self.loop.create_future()
            self._idle.append(changed)
            await asyncio.wait([changed], timeout=timeout)

    # --- the people ------------------------------------------------------------------------------------------------------------

    async def payer_comes(self, order: Order, redirect: Mapping[str, Any]) -> None:
        await Payer(self, order).pay(redirect, *self.plan.payer)

    async def post_notice(self, body: bytes) -> str:
        answer = await self.network.to_platform(
            "notice", NOTICE_PATH, body, content_type=FORM, caller_ip=NOTICE_IP, wait_s=30
        )
        return answer.body.decode() if answer is not None and answer.status == 200 else "no OK"

    async def forge_notice(self, real: bytes) -> None:
        body, caller_ip = forged(self, self._forging, real, NOTICE_IP)
        server = self.a_server()
        parcel = Parcel(
            "POST", NOTICE_PATH, body, {"content-type": FORM, "host": "pay.wongate.test"}, caller_ip
        )
        answer = await server.answer(parcel) if server else None
        if answer is not None and caller_ip != NOTICE_IP and answer.body == b"OK":
            self.auditor.violated("N-16", f"a notice from {caller_ip} was taken")

    async def _orders(self) -> None:
        draw = self.random("orders")
        amounts = [draw.choice((1000, 10_000, 12_345)) for _ in range(draw.randint(1, 6))]
        for amount in amounts:
            by_page = draw.random() < 0.3
            self.spawn(self._page_order(amount) if by_page else self._order(amount, draw.random() < 0.08))
            await asyncio.sleep(draw.choice((0.0, 0.1, 60.0, 600.0)) * draw.random())

    async def _order(self, amount: int, broken_first: bool) -> None:
        await self.merchant.sell(amount, broken_first=broken_first)

    async def _page_order(self, amount: int) -> None:
        order, parameters = self.merchant.page_order(amount)
        await PagePayer(self, order).visit(parameters)

    # --- the run ---------------------------------------------------------------------------------------------------------------

    async def play(self) -> None:
        draw = self.random("course")
        self.postgres.changed = self.changed
        prepare(self)
        for kind, number in (("server", self.plan.servers), ("worker", self.plan.workers)):
            for _ in range(draw.randint(1, 2) if number is None else number):
                self.start(kind)
        self.spawn(self.provider.send_notices())
        if self.plan.story is not None:
            await self.plan.story(self)
        else:
            self.spawn(self._orders())
            self.spawn(self.operators.work())
            self.spawn(self.bookkeeper.work())
            await self._watched(draw.choice((1200, 3600, 7200)) * draw.uniform(0.5, 1))
        if self.plan.story is not None or draw.random() < 0.75:
            await self._settle()
        self.count("payments", self.postgres.fetch("SELECT count(*) FROM payment")[0][0])
        self.count(
            "refunds", self.postgres.fetch("SELECT count(*) FROM operation WHERE kind = 'refund'")[0][0]
        )

    async def _watched(self, seconds: float) -> None:
        """Time passes, and the auditor looks in: every minute at the callbacks, now and then at everything."""
        end_s = self.loop.time() + seconds
        thorough_s = self.loop.time() + seconds / 6
        while self.loop.time() < end_s and not self.auditor.violations:
            await asyncio.sleep(min(LOOK_S, end_s - self.loop.time()))
            books.nothing_delivered_is_sent_again(self)
            if self.loop.time() >= thorough_s:
                thorough_s += seconds / 6
                books.check(self, at_the_end=False)

    async def _settle(self) -> None:
        """Liveness mode: the faults stop, and within bounded time all is well; what only the provider's books tell of ends by the
        operator's timer."""
        self.swarm.stop()
        self.tell("world", "the faults stop")
        for process in self.processes:
            process.skew_s = 0.0
        await self._come_to_rest(SETTLING_S)
        for _ in range(TIMER_RUNS):
            if not self.auditor.violations and liveness.open_refunds(self):
                await self.bookkeeper.settle()
                await self._come_to_rest(TIMER_S)
        if self.auditor.violations:
            return
        for rule, text in (*liveness.settled(self), *liveness.told_by_books(self)):
            self.auditor.violated(rule, text)
        books.nothing_delivered_is_sent_again(self)
        books.check(self, at_the_end=True)

    async def _come_to_rest(self, seconds: float) -> None:
        """Until nothing is left that this time could change, or it is over."""
        end_s = self.loop.time() + seconds
        while self.loop.time() < end_s and not self.auditor.violations:
            await asyncio.sleep(300)
            if not self._next_due(end_s) and not list(liveness.settled(self)):
                break

    def _next_due(self, end_s: float) -> bool:
        """Is anything to be done before the end of the run?"""
        dues = [due for due in self.postgres.next_due().values() if due is not None]
        return any((due - self.moment(0.0)).total_seconds() < end_s - self.loop.time() for due in dues)


class _Listening(logging.Handler):
    def __init__(self, auditor: Auditor) -> None:
        super().__init__(logging.ERROR)
        self._auditor = auditor

    def emit(self, record: logging.LogRecord) -> None:
        self._auditor.logged(record)


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """What code reaches for by itself: the simulator's tokens, the jitter of a repeated transaction, Starlette's threads."""
    draw = Random(f"{seed}/global")
    global_random.seed(seed)
    with (
        patch.object(secrets, "token_hex", lambda size=32: draw.randbytes(size).hex()),
        patch.object(secrets, "randbelow", draw.randrange),
        patch.object(_exception_handler, "run_in_threadpool", _without_thread),
    ):
        yield


async def _without_thread(function: Callable[..., Any], *arguments: Any) -> Any:
    """Threads run in real time, which the world does not have."""
    return function(*arguments)


def play(seed: int, postgres: Postgres, plan: Plan | None = None) -> Report:
    """One world from its beginning to its end."""
    plan = plan or Plan()
    postgres.emptied()
    log = logging.getLogger("wongate")
    worlds: list[World] = []

    async def main() -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        world = World(seed, postgres, plan, loop)
        worlds.append(world)
        listening = _Listening(world.auditor)
        log.addHandler(listening)
        try:
            await world.play()
        finally:
            log.removeHandler(listening)

    propagate, level = log.propagate, log.level
    log.propagate = False
    log.setLevel(logging.ERROR)
    try:
        with _seeded(seed):
            virtual_time.run(main())
    finally:
        log.propagate = propagate
        log.setLevel(level)
        for session in list(postgres.open_transactions):
            session.end("ROLLBACK")
        for world in worlds:
            world.provider.close()
    world = worlds[0]
    return Report(
        seed=seed,
        history=world._hash.hexdigest()[:16],
        violations=world.auditor.violations,
        counted=world.counted,
        struck=world.swarm.struck,
        seams=world.seams,
        lines=list(world.lines),
    )
