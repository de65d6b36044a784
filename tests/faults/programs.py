"""One of our programs as a process of its own: started, killed, frozen, and what it has said."""

import os
import signal
import subprocess
from collections.abc import Sequence
from contextlib import closing, suppress
from pathlib import Path

from wongate.connections.processes import LogFile, end_session, spawn


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

    def under(self, launcher: str, env: dict[str, str]) -> "Program":
        """The same program started by another: `python -m LAUNCHER wongate worker` instead of `python -m wongate worker`."""
        interpreter, _, *command = self._argv
        return Program(self.name, [interpreter, "-m", launcher, *command], {**self._env, **env}, self._log)

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
