"""Processes that own an embedded server, to be killed by tests, and a data directory to run it on."""

import asyncio
import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import asyncpg
from tests.processes import run_script

from wongate.connections import embedded, processes

# Runs the server of a directory until its input is closed, and prints a line of JSON when it is ready.
OWNER = """
import json, sys
from pathlib import Path
from wongate.connections import embedded, processes
try:
    server = embedded.start(
        Path(sys.argv[1]),
        settings={"fsync": "off"},  # no test cuts the power
        progress=lambda line: print(json.dumps({"progress": line}), flush=True),
    )
except embedded.AlreadyRunning as error:
    print(json.dumps({"running_at": error.url}), flush=True)
else:
    print(json.dumps({"url": server.url, "pid": server.pid}), flush=True)
    sys.stdin.read()
    server.stop()
"""

# The same on a system without a death signal of the kernel and without /proc.
OWNER_ELSEWHERE = "import asyncio, subprocess, sys; sys.platform = 'darwin'" + OWNER

FIRST_ROW = "SELECT row FROM kept WHERE row = 'committed'"


def query(url: str, statement: str) -> Any:
    async def run() -> Any:
        connection = await asyncpg.connect(url)
        try:
            return await connection.fetchval(statement)
        finally:
            await connection.close()

    return asyncio.run(run())


def answer_of(owner: subprocess.Popen[str]) -> dict[str, Any]:
    """What an owner says in the end: progress is left out."""
    while True:
        assert owner.stdout is not None
        line = owner.stdout.readline()
        assert line, "the owner ended without an answer"
        answer: dict[str, Any] = json.loads(line)
        if "progress" not in answer:
            return answer


@contextmanager
def owner_of(
    data_dir: Path, script: str = OWNER, **options: Any
) -> Iterator[tuple[subprocess.Popen[str], dict[str, Any]]]:
    with run_script(script, data_dir, **options) as owner:
        yield owner, answer_of(owner)


def make_first_row(data_dir: Path) -> None:
    with embedded.start(data_dir, settings={"fsync": "off"}) as server:
        query(server.url, "CREATE TABLE kept AS SELECT 'committed' AS row")


def namespaces_work() -> bool:
    return processes.spawn(["true"], identity="namespace", output=subprocess.DEVNULL).wait() == 0
