"""Child processes that never outlive us: started on a tether, kept alive, stopped in order."""

import functools
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

_TETHER = str(Path(__file__).with_name("tether.py"))
_KERNEL_REPORTS_DEATHS = sys.platform == "linux"


def spawn(
    argv: Sequence[str],
    *,
    dies_by: signal.Signals = signal.SIGKILL,
    identity: str = "self",
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    stdin: int | IO[bytes] = subprocess.DEVNULL,
    output: int | IO[bytes] | None = None,
    pass_fds: Sequence[int] = (),
    through_pipe: bool = not _KERNEL_REPORTS_DEATHS,
) -> subprocess.Popen[bytes]:
    """Starts a program that gets the signal `dies_by` when this process ends, even by kill -9.

    Only direct children are held: a program with children of its own holds them with `spawn` as well. The
    child has a session of its own, so Ctrl-C in our terminal reaches us alone. Call it from the main thread:
    the kernel takes the end of the thread that started the child for the death of the parent.

    identity: see tether.py. through_pipe: hold the child by a pipe and a process in between, which is what
    systems without a death signal get.
    """
    if threading.current_thread() is not threading.main_thread():
        raise RuntimeError(
            "start child processes from the main thread: they die with the thread that starts them"
        )
    lifeline = _lifeline() if through_pipe else None
    tether = [sys.executable, "-I", "-S", _TETHER, str(os.getpid()), str(int(dies_by)), identity]
    return subprocess.Popen(
        [*tether, "kernel" if lifeline is None else str(lifeline), *argv],
        stdin=stdin,
        stdout=output,
        stderr=output,
        env=env,
        cwd=cwd,
        pass_fds=[*pass_fds, *([] if lifeline is None else [lifeline])],
        start_new_session=True,
    )


class LogFile:
    """A file for what programs print. Begins anew past 10 MB, keeping the one before beside it."""

    _BYTES_MAX = 10_000_000
    _BYTES_READ = 10_000  # of the end; enough for every line worth showing

    def __init__(self, path: Path) -> None:
        self.path = path
        if path.exists() and path.stat().st_size > self._BYTES_MAX:
            path.rename(path.with_name(path.name + ".1"))
        self.file = path.open("ab", buffering=0)
        self._begin = self.file.tell()

    def lines(self) -> list[str]:
        """The last lines among those printed since this object was made."""
        with self.path.open("rb") as file:
            end = file.seek(0, os.SEEK_END)
            file.seek(max(self._begin, end - self._BYTES_READ))
            return file.read().decode(errors="replace").splitlines()

    def close(self) -> None:
        self.file.close()


@functools.cache
def _lifeline() -> int:
    """The read end of a pipe whose write end stays open, in this process alone, until this process ends."""
    read_end, _write_end = os.pipe()
    return read_end
