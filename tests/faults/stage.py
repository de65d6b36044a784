"""The platform as real processes, to be killed, frozen and starved: a durable PostgreSQL, the simulator, one `serve` (of four
processes mostly), workers.

Time is the processes' own, moved ahead by a file that they share, so that waiting for a retry or a limit time costs nothing.
"""

import asyncio
import base64
import json
import os
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

import asyncpg
from tests.faults.programs import Program
from tests.world import MERCHANT_KEY, MID, PROJECT_ID, SECRET, VAULT, free_port

from wongate.commands import create_project, save_account
from wongate.connections import embedded
from wongate.connections.children import NoAnswer, wait_until_answers
from wongate.connections.database import Database
from wongate.providers.nicepay.accounts import account_settings_for_simulator
from wongate.store.migrate import migrate

LIMIT_TIME_S = 300
PROCESSES = 4
LOOK_S = 0.25
TURN_S = 10
HANG_GUARD_S = 300
"""Ends a test that hangs; nothing that is asserted depends on it, however slow the machine."""


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
    processes: int = PROCESSES
    measured: Callable[[str, str], None] = lambda name, text: None

    @property
    def environment(self) -> dict[str, str]:
        return {
            "WONGATE_DATABASE_URL": self.server.url,
            "WONGATE_MASTER_KEY": base64.b64encode(b"k" * 32).decode(),
            "WONGATE_PAGE_URL": self.gate_url,
            "WONGATE_HOST": "127.0.0.1",
            "WONGATE_PORT": self.gate_url.rpartition(":")[2],
            "WONGATE_PROCESSES": str(self.processes),
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

    def replace(self, name: str, program: Program) -> None:
        """Another program in the place of one, or itself again; it does not answer yet."""
        self.programs[name].kill()
        self.programs[name] = program
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
        """All processes serve; the first of them answers long before the last."""
        for url in (f"{self.simulator_url}/healthz", f"{self.gate_url}/readyz"):
            _wait_patiently(url)
        deadline = time.monotonic() + HANG_GUARD_S
        while self.programs["serve"].said().count("startup complete") < self.processes:
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

    async def settle(self, within_s: float = 3600) -> float:
        """Lets time go by until nothing is left to do that time can do, or `within_s` have passed; how many seconds have. Payers
        who never came are declined meanwhile."""
        passed_s, deadline = 0.0, time.monotonic() + HANG_GUARD_S
        while passed_s < within_s and time.monotonic() < deadline and await self.next_due():
            passed_s += await self.jump()
        return passed_s

    async def jump(self, *but: str) -> float:
        """To the next thing to be done, but for operations at these stages; how many seconds that was. Time stands while
        something is due, or has changed a moment ago, so that a slow machine loses none of it."""
        before = await self.next_due(*but)
        await asyncio.sleep(LOOK_S)
        if before is None or before != await self.next_due(*but):
            return 0.0
        wait_s = max(0.0, (before - self.now()).total_seconds())
        self.advance(wait_s)
        return wait_s

    async def next_due(self, *but: str) -> datetime | None:
        (row,) = await self.rows(
            "WITH waiting AS (SELECT wake_at AS at FROM operation WHERE stage <> 'done' AND stage <> ALL ($1) UNION ALL "
            "SELECT due_at FROM callback WHERE state = 'waiting' UNION ALL "
            "SELECT wake_at FROM notice WHERE wake_at IS NOT NULL) SELECT min(at) AS at FROM waiting",
            but,
        )
        due: datetime | None = row["at"]
        return due

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


def _wait_patiently(url: str) -> None:
    """In turns, so that minutes in which the whole machine stood still, this test and what it waits for alike, are but one."""
    for _ in range(HANG_GUARD_S // TURN_S - 1):
        with suppress(NoAnswer):
            wait_until_answers(url, TURN_S)
            return
    wait_until_answers(url, TURN_S)


@contextmanager
def opened(
    directory: Path, start: StartDatabase = embedded.start, *, processes: int = PROCESSES, workers: int = 2
) -> Iterator[Stage]:
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
            processes,
        )
        asyncio.run(_prepare(stage))
        wongate = [sys.executable, "-m", "wongate"]
        simulator = [sys.executable, "-m", "wongate_simulator", "--port", str(simulator_port)]
        simulator += ["--data", str(directory / "simulator"), "--clock-file", str(directory / "clock")]
        simulator += ["--merchants", str(directory / "merchants")]
        for name, argv in (
            ("simulator", simulator),
            ("serve", [*wongate, "serve"]),
            *((f"worker {number}", [*wongate, "worker"]) for number in range(1, workers + 1)),
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
