"""Programs that we start: they never outlive us, and what they print is kept."""

import functools
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO

_TETHER = str(Path(__file__).with_name("tether.py"))
_LOG_BYTES_MAX = 10_000_000
_LOG_BYTES_READ = 10_000  # of its end: enough for every line that is worth showing
_LOG_LINES_SHOWN = 8


def spawn(
    argv: Sequence[str],
    *,
    dies_by: signal.Signals = signal.SIGKILL,
    identity: str = "self",
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    stdin: int = subprocess.DEVNULL,
    output: int | IO[bytes] | None = None,
    pass_fds: Sequence[int] = (),
    through_pipe: bool = sys.platform != "linux",
) -> subprocess.Popen[bytes]:
    """Starts a program that gets the signal `dies_by` when this process ends, even by kill -9.

    Only direct children are held: a program with children of its own has to hold them the same way. The child
    has a session of its own, so Ctrl-C in our terminal reaches us alone. For the main thread only: the kernel
    takes the end of the thread that started the child for the death of the parent.

    identity: see tether.py. through_pipe: hold the child by a pipe and a process in between, which is what
    systems get whose kernel has no death signal.
    """
    if threading.current_thread() is not threading.main_thread():
        raise RuntimeError("child processes are started from the main thread: they end with their thread")
    lifeline = _lifeline() if through_pipe else None
    tether = [sys.executable, "-I", "-S", _TETHER, str(os.getpid()), str(int(dies_by)), identity]
    return subprocess.Popen(
        [*tether, "kernel" if lifeline is None else str(lifeline), *argv],
        stdin=stdin,
        stdout=output,
        stderr=None if output is None else subprocess.STDOUT,
        env=env,
        cwd=cwd,
        pass_fds=[*pass_fds, *([] if lifeline is None else [lifeline])],
        start_new_session=True,
    )


@functools.cache
def _lifeline() -> int:
    """The read end of a pipe whose write end stays open, in this process alone, until this process ends."""
    read_end, _write_end = os.pipe()
    return read_end


def end_session(process: subprocess.Popen[bytes]) -> None:
    """Kills a program that `spawn` started together with whatever it has left behind in its session."""
    with suppress(ProcessLookupError, PermissionError):  # nobody left; macOS: nobody but the dead
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def describe_ending(process: subprocess.Popen[bytes]) -> str | None:
    """How a program ended, in words that follow its name; None while it runs."""
    code = process.poll()
    if code is None:
        return None
    return f"ended with exit code {code}" if code >= 0 else f"was ended by {signal.Signals(-code).name}"


class LogFile:
    """A file that programs print into. Past 10 MB it begins anew and keeps the one before beside it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        if path.exists() and path.stat().st_size > _LOG_BYTES_MAX:
            path.rename(path.with_name(path.name + ".1"))
        path.touch(mode=0o600)
        self.file = path.open("ab", buffering=0)
        self._begin = self.file.tell()

    def last_lines(self, number: int = _LOG_LINES_SHOWN) -> list[str]:
        """The last of the lines that were printed since this object was made."""
        with self.path.open("rb") as file:
            end = file.seek(0, os.SEEK_END)
            file.seek(max(self._begin, end - _LOG_BYTES_READ))
            return file.read().decode(errors="replace").splitlines()[-number:]

    def explain(self, what: str) -> str:
        """`what` went wrong, and what the program said before it did."""
        return "\n    ".join([f"{what}; the end of {self.path}:", *(self.last_lines() or ["(nothing)"])])

    def close(self) -> None:
        self.file.close()
