"""A simulated process: production code composed as `app.py` does, on a clock, a database and a network that can fail it."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar

from tests.simulation.postgres import IDLE_IN_TRANSACTION_S, Pool

from wongate.connections.database import Database
from wongate.connections.http import Answer
from wongate.connections.ids import Ids
from wongate.flows import notice
from wongate.flows.deliver import Delivery
from wongate.flows.platform import Platform
from wongate.flows.resend import Resending
from wongate.flows.sale import Intake
from wongate.flows.settle import Door
from wongate.providers.nicepay.client import Nicepay
from wongate.web.checkout import checkout
from wongate.web.gate import Gate
from wongate.worker import IDLE_S, TROUBLE_S, Waking

if TYPE_CHECKING:
    from tests.simulation.world import World

log = logging.getLogger(__name__)
T = TypeVar("T")

PAGE_URL = "https://pay.wongate.test"


@dataclass(frozen=True, slots=True)
class Response:
    status: int
    body: bytes
    headers: Mapping[str, str]


@dataclass(slots=True)
class Parcel:
    """An HTTP request as it arrives. `broken_off`: the connection ends before the body does."""

    method: str
    path: str
    body: bytes
    headers: Mapping[str, str]
    caller_ip: str
    broken_off: bool = False
    query: str = ""

    def scope(self) -> dict[str, Any]:
        headers = {**self.headers, "content-length": str(len(self.body) + self.broken_off)}
        return {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": self.method,
            "path": self.path,
            "raw_path": self.path.encode(),
            "query_string": self.query.encode(),
            "root_path": "",
            "scheme": "https",
            "server": ("pay.wongate.test", 443),
            "client": (self.caller_ip, 40000),
            "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
        }

    def received(self) -> Callable[[], Awaitable[Mapping[str, Any]]]:
        messages = [{"type": "http.request", "body": self.body, "more_body": self.broken_off}]

        async def receive() -> Mapping[str, Any]:
            return messages.pop() if messages else {"type": "http.disconnect"}

        return receive


@dataclass(frozen=True)
class ProcessClock:
    """The world's time as this machine's clock shows it."""

    process: "Process"

    def now(self) -> datetime:
        return self.process.world.moment(self.process.skew_s)


@dataclass(eq=False)
class Process:
    """`kind` is server or worker; `name` tells incarnations apart. A dead process never takes another step."""

    world: "World"
    kind: str
    name: str
    node: int
    skew_s: float = 0.0
    alive: bool = True
    frozen_until_s: float = 0.0
    platform: Platform = field(init=False)
    _callers: list[asyncio.Future[Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.clock = ProcessClock(self)
        http: Any = SimulatedHttp(self)
        loop = self.world.loop
        self.platform = Platform(
            database=Database(Pool(self.world.postgres, self)),
            clock=self.clock,
            ids=Ids(self.node, time_ms=lambda: int(self.clock.now().timestamp() * 1000), monotonic=loop.time),
            http=http,
            vault=self.world.vault,
            providers={"nicepay": Nicepay(http, self.clock)},
            page_url=PAGE_URL,
            chance=self.world.chance(self.name),
            monotonic=loop.time,
        )
        self._door = Door(self.platform)
        if self.kind == "server":
            intake = Intake(self.platform)
            self._gate = Gate(self.platform, intake, self._door)
            self._pages = checkout(self.platform, intake, self._door, ())
        else:
            self._start_duties()

    # --- seams: the only places where anything outside of this process changes ---------------------------------------------

    async def step(self, point: str) -> None:
        """Takes a moment of virtual time; the others move meanwhile."""
        await self._stand()
        await asyncio.sleep(self.world.moment_s())
        await self._stand()
        self.world.tell(self.name, point)
        self.world.count("steps")

    async def seam(self, point: str) -> None:
        """A step at which state may be lost: the process may die or freeze here."""
        await self.step(point)
        self.world.at_seam(self, point)
        await self._stand()

    async def _stand(self) -> None:
        while self.alive and self.world.loop.time() < self.frozen_until_s:  # noqa: ASYNC110 - it may be frozen again
            await asyncio.sleep(self.frozen_until_s - self.world.loop.time())
        if not self.alive:
            await asyncio.Future()  # what a dead process was about to do never happens

    def fate(self, kind: str) -> bool:
        """Does this fault of the database strike now?"""
        return self.world.swarm.strikes(kind)

    def die(self) -> None:
        """As by SIGKILL: no code of the process runs any more, its transactions are rolled back, its callers cut off."""
        self.alive = False
        self._end_sessions("the process was killed")
        for caller in self._callers:
            if not caller.done():
                caller.set_result(None)

    def freeze(self, seconds: float) -> None:
        """As by SIGSTOP: every task stands at its next seam; the server ends a session that idles in a transaction."""
        self.frozen_until_s = self.world.loop.time() + seconds
        if seconds > IDLE_IN_TRANSACTION_S:
            self.world.loop.call_later(IDLE_IN_TRANSACTION_S, self._end_sessions, "idle in transaction")

    def _end_sessions(self, why: str) -> None:
        for session in list(self.world.postgres.open_transactions):
            if session._process is self:
                session.kill(why)

    # --- a server ------------------------------------------------------------------------------------------------------------

    async def answer(self, parcel: "Parcel") -> Response | None:
        """One HTTP request; None when the process dies before its answer has left."""
        answered: asyncio.Future[Response | None] = asyncio.get_running_loop().create_future()
        if not self.alive:
            return None
        self._callers.append(answered)
        self.world.spawn(self._serve(parcel, answered))
        response = await answered
        self._callers.remove(answered)
        return response

    async def _serve(self, parcel: "Parcel", answered: "asyncio.Future[Response | None]") -> None:
        started: dict[str, Any] = {}

        async def send(message: Mapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                started.update(message)
                return
            await self.seam("answer")
            content = message.get("body", b"")
            self.world.auditor.answered(self, parcel.path, parcel.body, started["status"], content)
            if not answered.done():
                sent = {name.decode(): value.decode() for name, value in started["headers"]}
                answered.set_result(Response(started["status"], content, sent))
            await self.seam("answered")

        app: Any = self._gate if parcel.path.startswith("/v2/") else self._pages
        try:
            await app(parcel.scope(), parcel.received(), send)
        except Exception as error:
            self.world.auditor.broke(self, parcel.path, error)
            if not answered.done():
                answered.set_result(Response(500, b"", {}))
        if not answered.done():
            answered.set_result(None)  # the caller hung up before its request was complete

    async def operate(self, story: Callable[[Platform, Door], Awaitable[T]]) -> T | None:
        """A button pressed in the Dashboard; None when the process dies, or cannot reach its database, before it answers."""
        answered: asyncio.Future[T | None] = asyncio.get_running_loop().create_future()
        self._callers.append(answered)
        self.world.spawn(self._operated(story, answered))
        result = await answered
        self._callers.remove(answered)
        return result

    async def _operated(
        self, story: Callable[[Platform, Door], Awaitable[T]], answered: "asyncio.Future[T | None]"
    ) -> None:
        result: T | None = None
        try:
            result = await story(self.platform, self._door)
        except Exception as error:
            self.world.auditor.broke(self, "/dashboard", error)
        await self.seam("answer")
        if not answered.done():
            answered.set_result(result)
        await self.seam("answered")

    # --- a worker ------------------------------------------------------------------------------------------------------------

    def _start_duties(self) -> None:
        delivery = Delivery(self.platform)
        waking = Waking(self.platform, self._door)
        duties: dict[str, Callable[[], Awaitable[int]]] = {
            "callback": delivery.tick,
            "resend": Resending(self.platform).tick,
            "wake": waking.tick,
            "notice": lambda: notice.tick(self.platform, self._door),
        }
        for due, duty in duties.items():
            self.world.spawn(self._repeat(due, duty))

    async def _repeat(self, due: str, duty: Callable[[], Awaitable[int]]) -> None:
        """`worker._repeat` without its idle looks: between them nothing can have come due that the world does not know of."""
        pause_s = IDLE_S
        while True:
            try:
                if await duty():
                    pause_s = IDLE_S
                    await asyncio.sleep(0.002)
                    continue
            except Exception as error:
                self.world.auditor.duty_failed(self, due, error)
                await asyncio.sleep(TROUBLE_S)
                continue
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * 2, 2.0) if self.world.is_due(due, self) else IDLE_S
            await self.world.until_due(due, self)


@dataclass(frozen=True, slots=True)
class SimulatedHttp:
    """`connections.http.Outbound` as far as flows and providers use it."""

    process: Process

    async def post_form(
        self, url: str, fields: Mapping[str, str | bytes], *, connect_s: float, total_s: float
    ) -> Answer:
        await self.process.seam("call provider")
        answer = await self.process.world.network.to_provider(self.process, url, fields, connect_s, total_s)
        await self.process.seam("provider answered")
        return answer

    async def post_json(
        self, url: str, body: bytes, headers: Mapping[str, str] | None = None, *, total_s: float
    ) -> Answer:
        await self.process.seam("call merchant")
        answer = await self.process.world.network.to_merchant(self.process, url, body, total_s)
        await self.process.seam("merchant answered")
        return answer
