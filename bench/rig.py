"""One installation under test: durable PostgreSQL, servers, worker, simulator, all on this machine and gone afterwards."""

import asyncio
import json
import os
import secrets
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import asyncpg
from tests.database import Cluster, Server, empty, server_for_tests

from wongate.commands import create_project, save_account
from wongate.connections.database import Database
from wongate.connections.vault import Vault, new_master_key
from wongate.providers.nicepay.accounts import account_settings_for_simulator
from wongate.store import projects
from wongate.store.migrate import migrate

PROJECT_ID = 1001
NEIGHBOUR_ID = 1002
"""A second project, whose endpoint is dead or slow where a bench wants that."""

SERVER_PROCESSES = 2
SINKS = 4
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


@dataclass(slots=True)
class Rig:
    """Addresses and secrets of what runs."""

    database_url: str
    gate: tuple[str, int]
    simulator: tuple[str, int]
    sink_ports: tuple[int, ...]
    neighbour_port: int
    secret: str
    environment: Mapping[str, str]
    directory: Path
    postgres_pid: int
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def start(self, name: str, *arguments: str) -> None:
        """Starts a program of ours; what it prints is kept beside the database."""
        with (self.directory / f"{name}.log").open("wb") as log:
            self.processes[name] = subprocess.Popen(
                [sys.executable, *arguments], env=self.environment, stdout=log, stderr=log
            )

    def start_worker(self) -> None:
        self.start("worker", "-m", "wongate", "worker")

    def end(self, name: str) -> None:
        self.processes[name].terminate()
        self.processes.pop(name).wait(20)

    def settle_down(self) -> None:
        """Statistics for the planner: those of an empty table let it check foreign keys along the wrong index, which costs
        more with every row until autovacuum comes by after a minute."""
        asyncio.run(self._analyze())

    async def _analyze(self) -> None:
        connection = await asyncpg.connect(self.database_url)
        await connection.execute("ANALYZE")
        await connection.close()

    def cpu_s(self) -> dict[str, float]:
        """Processor seconds used so far by each part: what a busy machine disturbs least."""
        roots = {name: process.pid for name, process in self.processes.items()}
        return {name: _cpu_s(pid) for name, pid in {**roots, "postgres": self.postgres_pid}.items()}

    def memory_mb(self, name: str) -> float:
        """Resident memory of the biggest process under `name`, in MB."""
        return max(_resident_mb(pid) for pid in _family(self.processes[name].pid))


@contextmanager
def rig(*, worker: bool, keep: Path | None = None) -> Iterator[Rig]:
    """Everything up and answering; the worker only when callbacks are to be sent. `keep` is a folder that stays."""
    with tempfile.TemporaryDirectory(prefix="wongate-bench-") as name:
        directory = keep or Path(name)
        with server_for_tests(directory / "database") as server:
            built = _prepare(directory, server)
            try:
                _start(built, worker)
                yield built
            finally:
                _stop(built)


def _stop(built: Rig) -> None:
    for process in built.processes.values():
        process.terminate()
    for process in built.processes.values():
        with suppress(subprocess.TimeoutExpired):
            process.wait(20)
        process.kill()


def _prepare(directory: Path, server: Server) -> Rig:
    if isinstance(server, Cluster):
        asyncio.run(empty(server.url))
    gate, simulator, neighbour, *sinks = (free_port() for _ in range(3 + SINKS))
    secret, merchant_key, master_key = _keys(directory / "keys.json")
    (directory / "merchants.json").write_text(json.dumps([{"mid": "wongate01m", "key": merchant_key}]))
    environment = os.environ | {
        "WONGATE_DATABASE_URL": server.url,
        "WONGATE_MASTER_KEY": master_key,
        "WONGATE_PAGE_URL": f"http://127.0.0.1:{gate}",
        "WONGATE_PORT": str(gate),
        "WONGATE_CALLBACK_ALLOW": "127.0.0.0/8",
        "WONGATE_CALLBACK_HTTP": "1",
    }
    addresses = ("127.0.0.1", gate), ("127.0.0.1", simulator)
    built = Rig(server.url, *addresses, tuple(sinks), neighbour, secret, environment, directory, server.pid)
    asyncio.run(_fill(built, master_key, merchant_key))
    return built


def _keys(path: Path) -> list[str]:
    """A project's secret, the account's key and the master key: kept beside the books that they belong to."""
    if not path.exists():
        made = [secrets.token_urlsafe(32), secrets.token_urlsafe(64), new_master_key()]
        path.write_text(json.dumps(made))
    kept: list[str] = json.loads(path.read_text())
    return kept


async def _fill(built: Rig, master_key: str, merchant_key: str) -> None:
    await migrate(built.database_url)
    vault = Vault.from_text(master_key)
    database = await Database.connect(built.database_url, size=1)
    async with database.transaction() as tx:
        settings = account_settings_for_simulator(f"http://127.0.0.1:{built.simulator[1]}")
        await save_account(tx, vault, 1, "wongate01m", merchant_key, settings)
        for project_id, port in ((PROJECT_ID, built.sink_ports[0]), (NEIGHBOUR_ID, built.neighbour_port)):
            settings = {"callback_url": f"http://127.0.0.1:{port}/callbacks"}
            await tx.execute("UPDATE project SET settings = $2 WHERE project_id = $1", project_id, settings)
            if await projects.load(tx, project_id) is None:
                await create_project(tx, vault, project_id, "bench", built.secret, 1, settings)
    await database.close()


def _start(built: Rig, worker: bool) -> None:
    simulator = ["--port", str(built.simulator[1]), "--data", str(built.directory / "simulator")]
    merchants = ["--merchants", str(built.directory / "merchants.json")]
    built.start("simulator", "-m", "wongate_simulator", *simulator, *merchants)
    built.start("serve", "-m", "wongate", "serve", "--processes", str(SERVER_PROCESSES))
    if worker:
        built.start_worker()
    wait_for(f"http://127.0.0.1:{built.simulator[1]}/healthz")
    wait_for(f"http://127.0.0.1:{built.gate[1]}/readyz")


def wait_for(url: str) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        with suppress(OSError), urllib.request.urlopen(url, timeout=5):  # noqa: S310 - an address of ours
            return
        time.sleep(0.05)
    raise RuntimeError(f"{url} does not answer")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _family(pid: int) -> list[int]:
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *(int(child) for child in children)]


def _resident_mb(pid: int) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS"))


def _cpu_s(pid: int) -> float:
    """Of a process, of its children that have ended, and of those that live. Nothing of one that runs elsewhere."""
    if not pid:
        return 0.0
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        own = sum(map(int, fields[11:15])) / _TICKS_PER_S
        return own + sum(_cpu_s(child) for child in _family(pid)[1:])
    except FileNotFoundError:
        return 0.0
