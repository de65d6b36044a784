"""Real processes for tests: scripts that play a parent, and ways to see who is still there."""

import asyncio
import inspect
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

HANG_GUARD_S = 120
"""Far beyond what anything here takes: it only ends a test that would hang."""


@contextmanager
def run_script(
    text: str, *arguments: object, command: Sequence[str] = (sys.executable,), **options: Any
) -> Iterator[Any]:
    """Runs Python on `text`, at most as long as the block; what it prints is read from `.stdout`."""
    argv = [*command, "-c", text, *map(str, arguments)]
    with subprocess.Popen(
        argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, **options
    ) as script:
        try:
            yield script
        finally:
            script.kill()


def eventually(condition: Callable[[], Any]) -> Any:
    """Waits until the condition holds and answers its value."""
    deadline = time.monotonic() + HANG_GUARD_S
    while time.monotonic() < deadline:
        value = condition()
        if value:
            return value
        time.sleep(0.01)
    raise AssertionError("this has not come about")


async def until(condition: Callable[[], Any]) -> Any:
    """The same beside an event loop that goes on; the condition may be a coroutine function."""
    async with asyncio.timeout(HANG_GUARD_S):
        while True:
            value = condition()
            if inspect.isawaitable(value):
                value = await value
            if value:
                return value
            await asyncio.sleep(0.005)


def is_running(pid: int) -> bool:
    """Whether the process does anything still: a zombie that nobody has buried does not."""
    try:
        os.kill(pid, 0)
        return sys.platform != "linux" or ") Z" not in Path(f"/proc/{pid}/stat").read_text()
    except (ProcessLookupError, FileNotFoundError):
        return False
