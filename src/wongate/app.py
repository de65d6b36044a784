"""The composition root: the only place that knows all parts, opens them, and closes them again."""

import asyncio
import gc
import logging
import os
import signal
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any, TypeVar

from wongate.connections.clock import Clock, MovableClock, SystemClock
from wongate.connections.database import Database, Unavailable
from wongate.connections.http import Outbound
from wongate.connections.ids import NODES, Ids
from wongate.connections.logs import to_stderr
from wongate.connections.mail import mail_folder
from wongate.connections.replica import Replica
from wongate.connections.vault import Vault
from wongate.domain.data_requests import DataError
from wongate.domain.refusal import Refused
from wongate.flows.platform import Platform
from wongate.flows.sale import Intake
from wongate.flows.settle import Door
from wongate.providers.nicepay.client import Nicepay
from wongate.settings import Settings, load
from wongate.store import nodes
from wongate.web import data_api, gate
from wongate.web.back_pressure import App, BackPressure, Busy
from wongate.web.checkout import checkout
from wongate.web.dashboard import dashboard
from wongate.web.http import Receive, Scope, Send, answer_json
from wongate.web.security import over_tls

log = logging.getLogger(__name__)

RENEW_S = 20
"""Seconds between renewals of the node number: six tries fit into one lease."""

PAGE_PATHS = frozenset({"/v1/params/check"})
"""Belongs to the Payment Page (E-30), although the Data API has the prefix."""

MB = 1024 * 1024
GATE_MEMORY, DATA_MEMORY, DASHBOARD_MEMORY = 48 * MB, 16 * MB, 16 * MB
PAGES_MEMORY, STREAMS_MEMORY = 32 * MB, 32 * MB
"""Bytes that the requests of each front may hold in one process, so that none crowds out another: 2,200 sales at the same
moment, 100 of them with bodies of 256 KB. Waiting pages hold their streams for many seconds: apart from payers' returns."""

STREAMS = "/events"

COME_BACK = [(b"retry-after", b"1")]

T = TypeVar("T")

SUPERVISOR_VARIABLE = "WONGATE_SERVE_PID"

PATIENCE_S = 30.0
"""Seconds that a starting server or worker waits for its database: a restart of it with recovery takes less."""

LEASE_MARGIN_S = 10
"""Numbers stop this long before the lease ends, for clocks that differ."""

FREE_NODE_WAIT_S, FREE_NODE_LOOK_S = nodes.LEASE.total_seconds() + LEASE_MARGIN_S, 1.0
"""By then the lease of every process that was killed before has ended."""


@asynccontextmanager
async def opened(
    settings: Settings, *, seam: Callable[[str], None] | None = None, patience_s: float = 0.0
) -> AsyncIterator[Platform]:
    """A platform ready for work. Raises Unavailable or VaultError with a reason in plain words.

    `patience_s`: for how long a database that is away is waited for. Servers and workers have some: one that restarts at the
    wrong moment would otherwise end for good, and a server's processes all with it.
    """
    clock = the_clock(settings)
    vault = Vault.from_text(settings.master_key)
    database = await _connected(settings, seam, patience_s)
    holder = f"{socket.gethostname()}/{os.getpid()}/{time.time_ns()}"
    http = Outbound(allow=settings.callback_allow, allow_http=settings.callback_http)
    replica = (
        Replica(settings.database_read_url, size=settings.pool_size) if settings.database_read_url else None
    )
    try:
        node, ids = await _leased_ids(database, holder)
        platform = Platform(
            database=database,
            clock=clock,
            ids=ids,
            http=http,
            vault=vault,
            providers={"nicepay": Nicepay(http, clock, settings.response_codes)},
            page_url=settings.page_url.rstrip("/"),
            callback_timeout_s=settings.callback_timeout_s,
            replica=replica,
        )
        renewing = asyncio.create_task(_keep_lease(database, node, holder, ids))
        try:
            yield platform
        finally:
            renewing.cancel()
            with suppress(asyncio.CancelledError):
                await renewing
            with suppress(Exception):
                await database.run(lambda tx: nodes.release(tx, node, holder, SystemClock().now()))
    finally:
        await http.close()
        if replica is not None:
            await replica.close()
        await database.close()


def with_platform(story: Callable[[Platform], Awaitable[T]]) -> T:
    """What a command does, on a platform that the environment's settings open."""

    async def run() -> T:
        async with opened(load()) as platform:
            return await story(platform)

    return asyncio.run(run())


async def _connected(settings: Settings, seam: Callable[[str], None] | None, patience_s: float) -> Database:
    deadline_s = time.monotonic() + patience_s
    said = ""
    while True:
        try:
            return await Database.connect(settings.database_url, size=settings.pool_size, seam=seam)
        except Unavailable as error:
            if time.monotonic() >= deadline_s:
                raise
            if said != str(error):
                said = str(error)
                log.warning("waiting for the database", extra={"reason": said})
            await asyncio.sleep(0.5)


def the_clock(settings: Settings) -> Clock:
    return MovableClock(settings.clock_file) if settings.clock_file else SystemClock()


async def _leased_ids(database: Database, holder: str) -> tuple[int, Ids]:
    """Leases are kept on the machines' own clock: moving the sandbox's clock must not hand a number to two processes.

    Killed processes keep theirs until the lease ends, so that a crash loop may have them all: then one is waited for. Raises
    Unavailable when none comes free.
    """
    deadline_s = time.monotonic() + FREE_NODE_WAIT_S
    while True:
        began = time.monotonic()
        node = await database.run(lambda tx: nodes.lease(tx, holder, SystemClock().now()))
        if node is not None:
            return node, Ids(node, valid_until=began + nodes.LEASE.total_seconds() - LEASE_MARGIN_S)
        if began >= deadline_s:
            raise Unavailable(f"all {NODES} node numbers are leased by running processes: stop some of them")
        await asyncio.sleep(FREE_NODE_LOOK_S)


async def _keep_lease(database: Database, node: int, holder: str, ids: Ids) -> None:
    while True:
        await asyncio.sleep(RENEW_S)
        began = time.monotonic()
        try:
            if await database.run(lambda tx: nodes.renew(tx, node, holder, SystemClock().now())):
                ids.valid_until = began + nodes.LEASE.total_seconds() - LEASE_MARGIN_S
            else:
                log.critical("node number lost", extra={"node": node})
                ids.valid_until = 0.0
        except Exception:
            log.warning("node number not renewed", exc_info=True)


async def _end_with_supervisor() -> None:
    """Server processes of `serve --processes N` must not outlive it, also when it was killed: nobody would stop them."""
    supervisor = int(os.environ.get(SUPERVISOR_VARIABLE, "0"))
    while supervisor in (0, os.getpid(), os.getppid()):  # noqa: ASYNC110 - a parent's death cannot be awaited
        await asyncio.sleep(1)
    log.warning("the supervising process has gone")
    os.kill(os.getpid(), signal.SIGTERM)


def _spare_the_collector() -> None:
    """What is there now stays for good: looking through it again for every 700 new objects cost a tenth of a server's time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


class Application:
    """The ASGI application: machine interfaces by path prefix, everything else is a page."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._gate: Any = None
        self._data_api: Any = None
        self._pages: Any = None
        self._streams: Any = None
        self._dashboard: Any = None
        self._platform: Platform | None = None
        self._over_tls: Callable[[Send], Send] = _as_it_is

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif scope["type"] == "http":
            path: str = scope["path"]
            if path.startswith("/v2/"):
                await self._gate(scope, receive, self._over_tls(send))
            elif path.startswith("/v1/") and path not in PAGE_PATHS:
                await self._data_api(scope, receive, self._over_tls(send))
            elif path == "/dashboard" or path.startswith("/dashboard/"):
                await self._dashboard(scope, receive, send)
            elif path in ("/healthz", "/readyz"):
                await self._health(path, send)
            elif path.endswith(STREAMS):
                await self._streams(scope, receive, send)
            else:
                await self._pages(scope, receive, send)

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        try:
            async with opened(self._settings, patience_s=PATIENCE_S) as platform:
                self.compose(platform)
                _spare_the_collector()
                watching = asyncio.create_task(_end_with_supervisor())
                await send({"type": "lifespan.startup.complete"})
                await receive()
                watching.cancel()
        except Exception as error:
            await send({"type": "lifespan.startup.failed", "message": str(error)})
            return
        await send({"type": "lifespan.shutdown.complete"})

    def compose(self, platform: Platform) -> None:
        """Puts the fronts on an open platform; tests bring one of their own."""
        door, intake, proxies = Door(platform), Intake(platform), self._settings.trusted_proxies
        self._platform = platform
        self._over_tls = over_tls if platform.page_url.startswith("https://") else _as_it_is
        merchants = gate.Gate(platform, intake, door, trusted_proxies=proxies)
        questions = data_api.DataApi(platform, may_push=self._settings.data_push)
        people = dashboard(
            platform,
            sandbox=self._settings.clock_file is not None,
            trusted_proxies=proxies,
            can_mail=bool(self._settings.mail_url),
            mailbox=mail_folder(self._settings.mail_url) if self._settings.clock_file else None,
        )
        self._gate = self._bounded(merchants, _gate_is_busy, GATE_MEMORY)
        self._data_api = self._bounded(questions, _data_api_is_busy, DATA_MEMORY)
        pages = checkout(platform, intake, door, proxies)
        self._pages = self._bounded(pages, _pages_are_busy, PAGES_MEMORY)
        self._streams = self._bounded(pages, _pages_are_busy, STREAMS_MEMORY)
        self._dashboard = self._bounded(people, _pages_are_busy, DASHBOARD_MEMORY)

    def _bounded(self, app: App, busy: Busy, memory_max: int) -> BackPressure:
        return BackPressure(app, busy, memory_max=memory_max, trusted_proxies=self._settings.trusted_proxies)

    async def _health(self, path: str, send: Send) -> None:
        """`/healthz`: this process lives. `/readyz`: it can work, that is, the database answers."""
        status, text = 200, b"ok"
        if path == "/readyz" and self._platform is not None:
            try:
                async with self._platform.database.read() as tx:
                    await tx.fetchval("SELECT 1")
            except Unavailable:
                status, text = 503, b"database unavailable"
        await _answer_plainly(send, status, text)


def _as_it_is(send: Send) -> Send:
    return send


async def _gate_is_busy(send: Send) -> None:
    await answer_json(send, gate.error_body(Refused(601)), 503, COME_BACK)


async def _data_api_is_busy(send: Send) -> None:
    await data_api.refuse(send, DataError(503, "Please try again in a moment", retry_after_s=1))


async def _pages_are_busy(send: Send) -> None:
    """In the languages of our pages. To reload sends a form once more, so that a payer's return is not lost."""
    text = "잠시 후 새로 고침해 주세요.\nPlease reload in a moment.\nОбновите страницу чуть позже.\n"
    await _answer_plainly(send, 503, text.encode(), COME_BACK)


async def _answer_plainly(
    send: Send, status: int, text: bytes, headers: Sequence[tuple[bytes, bytes]] = ()
) -> None:
    plain = [(b"content-type", b"text/plain; charset=utf-8"), (b"cache-control", b"no-store")]
    plain.append((b"x-content-type-options", b"nosniff"))
    await send({"type": "http.response.start", "status": status, "headers": [*plain, *headers]})
    await send({"type": "http.response.body", "body": text})


def create() -> Application:
    """What uvicorn's processes call."""
    settings = load()
    to_stderr(settings.log_level)
    return Application(settings)
