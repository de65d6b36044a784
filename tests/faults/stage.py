"""The platform as real processes, to be killed, frozen and starved: a durable PostgreSQL, the simulator, one `serve` of four
processes, two workers. The test plays merchant and payers over HTTP, resending what was not answered as merchants are told to.

Time is the processes' own, moved ahead by a file that they share, so that waiting for a retry or a limit time costs nothing.
"""

import asyncio
import base64
import json
import os
import random
import signal
import struct
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import (
    AbstractAsyncContextManager,
    AbstractContextManager,
    asynccontextmanager,
    closing,
    contextmanager,
    suppress,
)
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any, Protocol, TypeVar

import aiohttp
import asyncpg
from aiohttp import web
from tests.world import MERCHANT_KEY, MID, PROJECT_ID, SECRET, VAULT, free_port, signed_bytes

from wongate.commands import create_project, save_account
from wongate.connections import embedded
from wongate.connections.children import wait_until_answers
from wongate.connections.database import Database
from wongate.connections.processes import LogFile, end_session, spawn
from wongate.providers.nicepay.accounts import account_settings_for_simulator
from wongate.store.migrate import migrate

SALE = "/v2/payment/wallet/payco/sale"
REFUND = "/v2/payment/wallet/payco/refund"
LIMIT_TIME_S = 300
PROCESSES = 4
STEP_S, STEPS_MAX = 60, 60
HANG_GUARD_S = 300
"""Ends a test that hangs; nothing that is asserted depends on it, however slow the machine."""

PAYER_PATIENCE_S = 20
"""A payer who sees no window for so long leaves, and the payment is declined at its limit time."""

_runs = count(1)


class Program:
    """One of our programs with whatever it starts."""

    def __init__(self, name: str, argv: Sequence[str], env: dict[str, str], log: Path) -> None:
        self.name = name
        self._argv, self._env, self._log = argv, env, log
        self._begin = 0
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with closing(LogFile(self._log)) as log:
            self._begin = log.file.tell()
            self._process = spawn(self._argv, env={**os.environ, **self._env}, output=log.file)

    def said(self) -> str:
        """What it has printed since its start."""
        return self._log.read_bytes()[self._begin :].decode(errors="replace")

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def runs(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def children(self) -> list[int]:
        """Server processes of a `serve`."""
        with suppress(FileNotFoundError):
            text = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text()
            return [int(pid) for pid in text.split() if b"spawn_main" in _command_line(int(pid))]
        return []

    def kill(self) -> None:
        """kill -9, its children too."""
        if self._process is not None:
            end_session(self._process)

    def freeze(self) -> None:
        os.kill(self.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        os.kill(self.pid, signal.SIGCONT)


def _command_line(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


class DatabaseServer(Protocol):
    """What a stage stands on: an embedded server, or a cluster of several."""

    url: str

    @property
    def pid(self) -> int:
        """Of the server that takes writes."""

    def start(self) -> None: ...

    def ending(self) -> str | None:
        """How it ended; None while it runs."""


StartDatabase = Callable[[Path], AbstractContextManager[DatabaseServer]]


@dataclass(slots=True)
class Stage:
    directory: Path
    server: DatabaseServer
    gate_url: str
    simulator_url: str
    shop_port: int
    programs: dict[str, Program]
    measured: Callable[[str, str], None] = lambda name, text: None

    @property
    def environment(self) -> dict[str, str]:
        return {
            "WONGATE_DATABASE_URL": self.server.url,
            "WONGATE_MASTER_KEY": base64.b64encode(b"k" * 32).decode(),
            "WONGATE_PAGE_URL": self.gate_url,
            "WONGATE_HOST": "127.0.0.1",
            "WONGATE_PORT": self.gate_url.rpartition(":")[2],
            "WONGATE_PROCESSES": str(PROCESSES),
            "WONGATE_POOL_SIZE": "4",
            "WONGATE_CLOCK_FILE": str(self.directory / "clock"),
            "WONGATE_CALLBACK_ALLOW": "127.0.0.0/8",
            "WONGATE_CALLBACK_HTTP": "1",
            "WONGATE_CALLBACK_TIMEOUT_S": "5",
        }

    def restart(self, name: str) -> None:
        """Whatever is left of it goes first, as under our supervisor."""
        program = self.programs[name]
        program.kill()
        program.start()

    def heal(self) -> None:
        """Everything runs again and answers."""
        if self.server.ending() is not None:
            self.server.start()
        for name, program in self.programs.items():
            if not program.runs:
                self.restart(name)
        self.wait_until_ready()

    def wait_until_ready(self) -> None:
        """All four processes serve; the first of them answers long before the last."""
        for url in (f"{self.simulator_url}/healthz", f"{self.gate_url}/readyz"):
            wait_until_answers(url, HANG_GUARD_S)
        deadline = time.monotonic() + HANG_GUARD_S
        while self.programs["serve"].said().count("startup complete") < PROCESSES:
            assert time.monotonic() < deadline, self.programs["serve"].said()[-6000:]
            time.sleep(0.05)

    def advance(self, seconds: float) -> None:
        with (self.directory / "clock").open("r+b") as file:
            (offset_s,) = struct.unpack("<d", file.read(8))
            file.seek(0)
            file.write(struct.pack("<d", offset_s + seconds))

    async def rows(self, statement: str, *arguments: Any) -> list[Any]:
        connection = await asyncpg.connect(self.server.url)
        try:
            return list(await connection.fetch(statement, *arguments))
        finally:
            await connection.close()

    async def command(self, *arguments: str) -> tuple[int, str]:
        """`wongate ...` as an operator runs it: exit code, and everything printed."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "wongate",
            *arguments,
            env={**os.environ, **self.environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        printed, _ = await process.communicate()
        return process.returncode or 0, printed.decode()

    def now(self) -> datetime:
        """By the clock that the processes share."""
        (offset_s,) = struct.unpack("<d", (self.directory / "clock").read_bytes())
        return datetime.now(UTC) + timedelta(seconds=offset_s)

    async def settle(self) -> int:
        """Lets time go by until nothing is left to do that time can do; the number of steps. Payers who never came are declined
        meanwhile. Time stands while something is due, so that a slow machine loses none of it."""
        steps, deadline = 0, time.monotonic() + HANG_GUARD_S
        while steps < STEPS_MAX and time.monotonic() < deadline:
            (row,) = await self.rows(
                "WITH waiting AS (SELECT wake_at AS at FROM operation WHERE stage <> 'done' UNION ALL "
                "SELECT due_at FROM callback WHERE state = 'waiting' UNION ALL "
                "SELECT wake_at FROM notice WHERE wake_at IS NOT NULL) "
                "SELECT count(*) AS left, count(*) FILTER (WHERE at <= $1) AS due FROM waiting",
                self.now(),
            )
            if not row["left"]:
                break
            if not row["due"]:
                self.advance(STEP_S)
                steps += 1
            await asyncio.sleep(0.5)
        return steps

    async def left_over(self) -> list[Any]:
        """Operations that time alone does not end."""
        return await self.rows(
            "SELECT o.*, p.payment_id, p.captured, p.refunded FROM operation o JOIN payment p USING (project_id, payment_no) "
            "WHERE o.stage <> 'done' ORDER BY o.operation_id"
        )

    async def books_hold(self) -> None:
        """The operator's two commands find nothing but what is listed as unresolved."""
        unresolved = len(await self.left_over())
        (audit, audited), (compare, compared) = await asyncio.gather(
            self.command("audit"), self.command("reconcile", "--simulator", self.simulator_url)
        )
        assert (0, True) == (audit, f"unresolved: {unresolved}\n" in audited), audited
        assert (0, "only ours: 0, only theirs: 0, different: 0, unresolved: 0") == (
            compare,
            compared.splitlines()[-1],
        ), compared


@contextmanager
def opened(directory: Path, start: StartDatabase = embedded.start) -> Iterator[Stage]:
    """For the main thread: its processes end with it."""
    (directory / "clock").write_bytes(struct.pack("<d", 0.0))
    gate_port, simulator_port, shop_port = free_port(), free_port(), free_port()
    notices = {"notices": True, "notice_url": f"http://127.0.0.1:{gate_port}/notice/nicepay"}
    merchants = [{"mid": MID, "key": MERCHANT_KEY, **notices}]
    (directory / "merchants").write_text(json.dumps(merchants))
    with start(directory / "database") as server:
        stage = Stage(
            directory,
            server,
            f"http://127.0.0.1:{gate_port}",
            f"http://127.0.0.1:{simulator_port}",
            shop_port,
            {},
        )
        asyncio.run(_prepare(stage))
        wongate = [sys.executable, "-m", "wongate"]
        simulator = [sys.executable, "-m", "wongate_simulator", "--port", str(simulator_port)]
        simulator += ["--data", str(directory / "simulator"), "--clock-file", str(directory / "clock")]
        simulator += ["--merchants", str(directory / "merchants")]
        for name, argv in (
            ("simulator", simulator),
            ("serve", [*wongate, "serve"]),
            ("worker 1", [*wongate, "worker"]),
            ("worker 2", [*wongate, "worker"]),
        ):
            stage.programs[name] = Program(name, argv, stage.environment, directory / f"{name}.log")
        try:
            stage.heal()
            yield stage
        finally:
            for program in stage.programs.values():
                program.kill()


async def _prepare(stage: Stage) -> None:
    await migrate(stage.server.url)
    database = await Database.connect(stage.server.url, size=1)
    try:
        async with database.transaction() as tx:
            account = {
                **account_settings_for_simulator(stage.simulator_url),
                "notice_ips": ["127.0.0.1"],
            }
            await save_account(tx, VAULT, 1, MID, MERCHANT_KEY, account)
            settings = {
                "callback_url": f"http://127.0.0.1:{stage.shop_port}/callbacks",
                "limit_time_s": LIMIT_TIME_S,
            }
            await create_project(tx, VAULT, PROJECT_ID, "Stage", SECRET, 1, settings)
    finally:
        await database.close()


@dataclass(slots=True)
class Shop:
    """The merchant and its payers. `accepted` is its own log of what Gate has acknowledged (I7)."""

    stage: Stage
    http: aiohttp.ClientSession
    name: str
    accepted: dict[str, str] = field(default_factory=dict)
    callbacks: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    unanswered: int = 0
    busy: int = 0
    progress: int = 0
    """Acknowledged requests and received callbacks."""

    _arrived: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def receive(self, request: web.BaseRequest) -> web.StreamResponse:
        body = await request.json()
        self.callbacks.setdefault(body["payment"]["id"], []).append(body)
        await self._progressed()
        return web.Response()

    async def _progressed(self) -> None:
        self.progress += 1
        async with self._arrived:
            self._arrived.notify_all()

    async def progresses(self, by: int) -> None:
        """Waits until business has gone on by so much."""
        wanted = self.progress + by
        async with self._arrived:
            await self._arrived.wait_for(lambda: self.progress >= wanted)

    async def post(self, path: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        """Sends the same bytes again until there is an answer that is none of 5xx."""
        raw, deadline = signed_bytes(path, body), time.monotonic() + HANG_GUARD_S
        while time.monotonic() < deadline:
            try:
                async with self.http.post(f"{self.stage.gate_url}{path}", data=raw) as answer:
                    if answer.status < 500:
                        return answer.status, await answer.json()
                    assert 503 == answer.status, self.stage.programs["serve"].said()[-6000:]
                    self.busy += 1
            except (aiohttp.ClientError, TimeoutError):
                self.unanswered += 1
            await asyncio.sleep(0.2)
        raise AssertionError(
            f"no answer from {path} within {HANG_GUARD_S} s; {self.stage.programs['serve'].said()[-6000:]}"
        )

    async def sale(self, number: int, **changes: Any) -> str:
        """The id of an acknowledged payment."""
        payment_id = f"{self.name}-{number}"
        body = {
            "general": {"project_id": PROJECT_ID, "payment_id": payment_id},
            "payment": {"amount": 1000, "currency": "KRW"},
            "customer": {"id": "customer1", "ip_address": "1.1.1.1"},
            **changes,
        }
        status, answer = await self.post(SALE, body)
        assert 200 == status, answer
        self.accepted[answer["request_id"]] = payment_id
        await self._progressed()
        return payment_id

    async def refund(self, payment_id: str, **payment: Any) -> dict[str, Any]:
        body = {
            "general": {"project_id": PROJECT_ID, "payment_id": payment_id},
            "payment": {"description": "refund", **payment},
        }
        status, answer = await self.post(REFUND, body)
        assert 200 == status, answer
        self.accepted[answer["request_id"]] = payment_id
        await self._progressed()
        return answer

    async def callback(
        self, payment_id: str, status: str, limit_s: float = HANG_GUARD_S
    ) -> dict[str, Any] | None:
        """The callback that tells this payment status, None when it does not come."""

        def told() -> dict[str, Any] | None:
            bodies = self.callbacks.get(payment_id, [])
            return next((body for body in bodies if body["payment"]["status"] == status), None)

        with suppress(TimeoutError):
            async with asyncio.timeout(limit_s), self._arrived:
                await self._arrived.wait_for(lambda: told() is not None)
        return told()

    async def pay(self, payment_id: str, outcome: str = "card") -> None:
        """The payer's way through the window and back. Whoever meets a dead window gives up; a dead page is loaded again."""
        told = await self.callback(payment_id, "awaiting redirect result", PAYER_PATIENCE_S)
        if told is None:
            return
        wanted = {"redirect_data": told["redirect_data"], "outcome": outcome, "deliver": False}
        try:
            async with self.http.post(f"{self.stage.simulator_url}/control/pay", json=wanted) as answer:
                played = await answer.json()
        except aiohttp.ClientError:
            return
        if played.get("result"):
            await self._come_back(told["redirect_data"]["body"]["ReturnURL"], played["result"])

    async def _come_back(self, url: str, result: dict[str, str]) -> None:
        for _ in range(40):
            try:
                async with self.http.post(url, data=result, allow_redirects=False) as answer:
                    if answer.status < 500:
                        return
            except (aiohttp.ClientError, TimeoutError):
                self.unanswered += 1
            await asyncio.sleep(0.3)

    async def trade(self, number: int, *, seed: int = 1, at_once: int = 8) -> None:
        """So many payments; one in five declined or left by the payer, one in four of the paid refunded, in whole or in part."""
        chance = random.Random(seed)
        fates = [(n, chance.random(), chance.random()) for n in range(number)]
        waiting = iter(fates)

        async def serve_customers() -> None:
            for n, way, back in waiting:
                payment_id = await self.sale(n)
                if way < 0.1:
                    continue
                await self.pay(payment_id, "cancel" if way < 0.2 else "card")
                if way >= 0.2 and back < 0.25:
                    part = {"amount": 300, "currency": "KRW"} if back < 0.12 else {}
                    await self.refund(payment_id, **part)

        await asyncio.gather(*(serve_customers() for _ in range(at_once)))

    async def nothing_is_lost(self) -> None:
        """Every acknowledged request is there (I7), and every payment's last word has reached the shop."""
        rows = await self.stage.rows(
            "SELECT o.request_id, p.payment_id, p.status FROM operation o JOIN payment p USING (project_id, payment_no)"
        )
        kept = {row["request_id"]: row["payment_id"] for row in rows}
        lost = {request_id for request_id in self.accepted if request_id not in kept}
        assert set() == lost, f"I7: {len(lost)} of {len(self.accepted)} acknowledged requests are lost"
        for row in rows:
            if row["payment_id"].startswith(f"{self.name}-"):
                told = [body["payment"]["status"] for body in self.callbacks.get(row["payment_id"], [])]
                assert row["status"] in told, (row["payment_id"], row["status"], told)


AnyShop = TypeVar("AnyShop", bound=Shop)


def shop(stage: Stage) -> AbstractAsyncContextManager[Shop]:
    return shop_of(Shop, stage)


@asynccontextmanager
async def shop_of(kind: type[AnyShop], stage: Stage) -> AsyncIterator[AnyShop]:
    """A shop under the project's callback address, and a client that waits 10 s for an answer."""
    timeout = aiohttp.ClientTimeout(total=10)
    async with aiohttp.ClientSession(
        timeout=timeout, connector=aiohttp.TCPConnector(limit=0, force_close=True)
    ) as http:
        opened = kind(stage, http, f"run{next(_runs)}")
        runner = web.ServerRunner(web.Server(opened.receive), shutdown_timeout=0)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", stage.shop_port, backlog=1024, reuse_address=True).start()
        try:
            yield opened
        finally:
            await runner.cleanup()
