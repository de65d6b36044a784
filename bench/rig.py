"""One installation under test: durable PostgreSQL, server processes, worker, simulator, all on this machine and gone afterwards."""

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

from wongate.commands import create_project, save_account
from wongate.connections import embedded
from wongate.connections.database import Database
from wongate.connections.vault import Vault, new_master_key
from wongate.providers.nicepay.accounts import account_settings_for_simulator
from wongate.store.migrate import migrate

PROJECT_ID = 1001
SERVER_PROCESSES = 2


@dataclass(slots=True)
class Rig:
    """Addresses and secrets of what runs."""

    database_url: str
    gate: tuple[str, int]
    simulator: tuple[str, int]
    sink_port: int
    secret: str
    environment: Mapping[str, str]
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def memory_mb(self, name: str) -> float:
        """Resident memory of the biggest process under `name`, in MB."""
        return max(_resident_mb(pid) for pid in _family(self.processes[name].pid))


@contextmanager
def rig(*, worker: bool) -> Iterator[Rig]:
    """Everything up and answering; the worker only when callbacks are to be sent."""
    with tempfile.TemporaryDirectory(prefix="wongate-bench-") as directory:
        with embedded.start(Path(directory) / "database") as server:
            built = _prepare(Path(directory), server.url)
            try:
                _start(built, Path(directory), worker)
                yield built
            finally:
                for process in reversed(built.processes.values()):
                    process.terminate()
                for process in built.processes.values():
                    with suppress(subprocess.TimeoutExpired):
                        process.wait(20)
                    process.kill()


def _prepare(directory: Path, database_url: str) -> Rig:
    gate, simulator, sink = (_free_port() for _ in range(3))
    secret, merchant_key, master_key = (secrets.token_urlsafe(32) for _ in range(2)), secrets.token_urlsafe(64), new_master_key()
    project_secret = next(secret)
    asyncio.run(_fill(database_url, master_key, project_secret, merchant_key, simulator, sink))
    merchants = directory / "merchants.json"
    merchants.write_text(json.dumps([{"mid": "wongate01m", "key": merchant_key}]))
    environment = os.environ | {
        "WONGATE_DATABASE_URL": database_url,
        "WONGATE_MASTER_KEY": master_key,
        "WONGATE_PAGE_URL": f"http://127.0.0.1:{gate}",
        "WONGATE_PORT": str(gate),
        "WONGATE_CALLBACK_ALLOW": "127.0.0.0/8",
        "WONGATE_CALLBACK_HTTP": "1",
    }
    return Rig(
        database_url, ("127.0.0.1", gate), ("127.0.0.1", simulator), sink, project_secret, environment
    )


async def _fill(
    url: str, master_key: str, secret: str, merchant_key: str, simulator: int, sink: int
) -> None:
    await migrate(url)
    vault = Vault.from_text(master_key)
    database = await Database.connect(url, size=1)
    async with database.transaction() as tx:
        settings = account_settings_for_simulator(f"http://127.0.0.1:{simulator}")
        await save_account(tx, vault, 1, "wongate01m", merchant_key, settings)
        callback_url = f"http://127.0.0.1:{sink}/callbacks"
        await create_project(tx, vault, PROJECT_ID, "bench", secret, 1, {"callback_url": callback_url})
    await database.close()


def _start(built: Rig, directory: Path, worker: bool) -> None:
    simulator = ["-m", "wongate_simulator", "--port", str(built.simulator[1]), "--data", str(directory / "simulator")]
    programs = {
        "simulator": [*simulator, "--merchants", str(directory / "merchants.json")],
        "serve": ["-m", "wongate", "serve", "--processes", str(SERVER_PROCESSES)],
    }
    if worker:
        programs["worker"] = ["-m", "wongate", "worker"]
    for name, arguments in programs.items():
        with (directory / f"{name}.log").open("wb") as log:
            built.processes[name] = subprocess.Popen(
                [sys.executable, *arguments], env=built.environment, stdout=log, stderr=log
            )
    _wait(f"http://127.0.0.1:{built.simulator[1]}/healthz")
    _wait(f"http://127.0.0.1:{built.gate[1]}/readyz")


def _wait(url: str) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        with suppress(OSError), urllib.request.urlopen(url, timeout=5):
            return
        time.sleep(0.05)
    raise RuntimeError(f"{url} does not answer")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _family(pid: int) -> list[int]:
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *(int(child) for child in children)]


def _resident_mb(pid: int) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS"))
