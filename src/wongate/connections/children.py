"""The programs of one sandbox: started one after another, kept alive, stopped in reverse order."""

import os
import signal
import subprocess
import time
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from types import FrameType, TracebackType
from typing import Protocol, Self

from wongate.connections.processes import LogFile, describe_ending, end_session, spawn

Say = Callable[[str], None]

_POLL_S = 0.05
_FIRST_DELAY_S = 0.2
_LAST_DELAY_S = 5.0
_STEADY_S = 10.0  # who has run for this long had started well: the next delay is the first one again
_STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)  # the last one: the terminal was closed


class NoAnswer(Exception):
    """A program did not begin to answer. The message has its last lines."""


class Kept(Protocol):
    """What a supervisor keeps alive: a Child, an embedded.Server."""

    @property
    def name(self) -> str: ...

    def start(self) -> None:
        """Starts it, again too; raises an exception of its own when that does not work."""

    def ending(self) -> str | None:
        """How it ended, in words that follow its name; None while it runs."""

    def stop(self, timeout_s: float) -> None:
        """Asks it to end, and ends it after `timeout_s`. Nothing happens when it does not run."""


class Child:
    """A program of ours. `env` is added to our own environment; the log gets all that it prints."""

    def __init__(self, name: str, argv: Sequence[str], env: Mapping[str, str], log_path: Path) -> None:
        self.name = name
        self._argv = argv
        self._env = env
        self._log_path = log_path
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        if self._process is not None:
            end_session(self._process)  # what a crashed child has left behind may hold its port
        with closing(LogFile(self._log_path)) as self.log:
            self._process = spawn(self._argv, env={**os.environ, **self._env}, output=self.log.file)

    def ending(self) -> str | None:
        return describe_ending(self._process) if self._process else "has not been started"

    def stop(self, timeout_s: float) -> None:
        if self._process is None:
            return
        self._process.terminate()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout_s)
        end_session(self._process)


class Supervisor:
    """Keeps what it is given alive until SIGINT, SIGTERM or SIGHUP, and stops it in reverse order.

        with Supervisor(print) as supervisor:
            supervisor.keep(embedded.start(data_dir))
            supervisor.start(Child("platform", ...), answers_at="http://127.0.0.1:8080/health")
            supervisor.run()

    Whoever ends within the block, by whatever exception, leaves nothing running. A stop signal that arrives
    before `run` ends the block there and then.
    """

    def __init__(self, say: Say, *, stop_timeout_s: float = 10.0) -> None:
        """`stop_timeout_s`: what each of them gets to finish what it is doing, when all are stopped."""
        self._say = say
        self._stop_timeout_s = stop_timeout_s
        self._watches: list[_Watch] = []
        self._interrupted = False

    def keep(self, kept: Kept) -> None:
        """Takes over something that runs already."""
        self._watches.append(_Watch(kept, self._say))

    def start(self, child: Child, *, answers_at: str | None = None, timeout_s: float = 30) -> None:
        """Starts a child and waits until a URL of its answers with 200. Raises NoAnswer."""
        child.start()
        self.keep(child)
        if answers_at:
            try:
                wait_until_answers(answers_at, timeout_s, lambda: child.ending() is None)
            except NoAnswer as error:
                raise NoAnswer(child.log.explain(f"{child.name} {child.ending() or error}")) from None

    def run(self, wanted: Callable[[], bool] = lambda: True) -> None:
        """Returns when a stop signal has arrived, or nobody wants it any more, and everything has been stopped."""
        with suppress(KeyboardInterrupt):
            while wanted():
                for watch in self._watches:
                    watch.revive()
                time.sleep(_POLL_S)
        self.stop()

    def stop(self) -> None:
        """Stops everything, last started first."""
        while self._watches:
            self._watches.pop().kept.stop(self._stop_timeout_s)

    def __enter__(self) -> Self:
        self._handlers = {number: signal.signal(number, self._interrupt) for number in _heeded()}
        return self

    def _interrupt(self, _number: int, _frame: FrameType | None) -> None:
        # Once only: a second Ctrl-C must not break off the stopping that the first has begun.
        for number in _STOP_SIGNALS:
            signal.signal(number, signal.SIG_IGN)
        self._interrupted = True
        raise KeyboardInterrupt

    def __exit__(
        self, kind: type[BaseException] | None, _error: object, _trace: TracebackType | None
    ) -> bool:
        try:
            self.stop()
        finally:
            for number, handler in self._handlers.items():
                signal.signal(number, handler)
        return self._interrupted and kind is KeyboardInterrupt


def _heeded() -> list[signal.Signals]:
    """All of them, but under `nohup`, which has SIGHUP ignored: then the end of the terminal is not ours."""
    detached = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    return [number for number in _STOP_SIGNALS if not (detached and number is signal.SIGHUP)]


@dataclass
class _Watch:
    """One kept thing and when it may be started next."""

    kept: Kept
    say: Say
    delay_s: float = 0.0
    started_at: float = 0.0
    due_at: float | None = None

    def __post_init__(self) -> None:
        self.started_at = time.monotonic()

    def revive(self) -> None:
        """Starts it again when it has ended: after 0.2 s, then 0.4, 0.8 ... 5 s while that does not help."""
        now = time.monotonic()
        if self.due_at is not None:
            if now >= self.due_at:
                self._start(now)
            return
        ending = self.kept.ending()
        if ending is not None:
            self._postpone(now, ending)

    def _postpone(self, now: float, reason: str) -> None:
        steady = now - self.started_at >= _STEADY_S
        self.delay_s = _FIRST_DELAY_S if steady or not self.delay_s else min(2 * self.delay_s, _LAST_DELAY_S)
        self.due_at = now + self.delay_s
        self.say(f"{self.kept.name} {reason}; starting it again in {self.delay_s:.1f} s")

    def _start(self, now: float) -> None:
        self.started_at, self.due_at = now, None
        try:
            self.kept.start()
        except (
            Exception
        ) as error:  # whatever keeps it from starting: the others must live on, this is tried again
            self._postpone(now, f"does not start: {error}")


def wait_until_answers(url: str, timeout_s: float, worth_waiting: Callable[[], bool] = lambda: True) -> None:
    """Waits until GET `url`, on this machine, is answered with a 2xx. NoAnswer says what came instead."""
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    deadline = time.monotonic() + timeout_s
    reason = "it ended"
    while worth_waiting() and time.monotonic() < deadline:
        try:
            with direct.open(url, timeout=max(_POLL_S, deadline - time.monotonic())):
                return
        except (OSError, HTTPException) as error:
            reason = str(error)
        time.sleep(_POLL_S)
    raise NoAnswer(f"{url} did not answer within {timeout_s:g} s: {reason}")
