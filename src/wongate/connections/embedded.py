"""PostgreSQL as a child of this process: set up once, started, and gone when we are gone.

A data directory holds everything:

    cluster/     PostgreSQL's own files
    run/         its unix socket, when that path is short enough
    password     of the role `wongate`, readable by its owner only
    server.log   what PostgreSQL, initdb and our own set-up said
    owner.lock   held by the process that started the server; its text is the URL for the others
    server.lock  held by every process of the server, inherited, so it is free when the last of them is gone

A lock that is held decides, never a file that exists: after a crash, a process number found in a file may
belong to anybody.
"""

import fcntl
import hashlib
import os
import secrets
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import IO, Self
from urllib.parse import quote

from wongate.connections.binaries import EmbeddedError, find_binaries, tool
from wongate.connections.cluster import (
    DATABASE,
    Place,
    Runtime,
    choose_runtime,
    open_private,
    prepare_cluster,
    read_password,
)
from wongate.connections.processes import LogFile, describe_ending, end_session

__all__ = ["AlreadyRunning", "EmbeddedError", "Server", "find_binaries", "start", "tool"]

Say = Callable[[str], None]

_SOCKET_NAME = ".s.PGSQL.5432"
_SOCKET_PATH_BYTES_MAX = 103  # sun_path less its final zero: 103 on macOS, 107 on Linux
_POLL_S = 0.01
_STOP_S = 10.0
_IMMEDIATE_STOP_S = 5.0
_SAY_EVERY_S = 1.0

# For a machine with two cores that also runs everything else. Durability is spelled out, so that no edited
# postgresql.conf takes it away.
_SETTINGS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "max_connections": "100",
    "shared_buffers": "128MB",
    "fsync": "on",
    "full_page_writes": "on",
    "synchronous_commit": "on",
    "max_parallel_workers_per_gather": "0",  # one report must not take both cores from payments
    "jit": "off",  # our statements are short: compiling them costs more than it saves
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_checkpoints": "off",
    "log_startup_progress_interval": "1s",  # a long recovery says how far it has come
}


class AlreadyRunning(EmbeddedError):
    """Another process of ours runs the server of this data directory; `url` connects to it."""

    def __init__(self, data_dir: Path, url: str) -> None:
        super().__init__(f"the database in {data_dir} is in use: another Wongate is running on it")
        self.url = url


class Server:
    """A running server, which a supervisor may keep. Leaving it as a context manager stops it."""

    name = "database"
    pid: int

    def __init__(self, place: Place, owner_lock: IO[str], settings: Mapping[str, str], say: Say) -> None:
        """For the function `start`."""
        self.url = place.url
        self.socket_dir = place.socket_dir
        self._place = place
        self._owner_lock = owner_lock
        self._settings = {**_SETTINGS, **settings}
        self._say = say
        self._process: subprocess.Popen[bytes] | None = None

    def url_of(self, database: str) -> str:
        """The same server and role, another database."""
        return self.url.replace(f"@/{DATABASE}?", f"@/{quote(database)}?")

    def start(self) -> None:
        """Starts the server, again too when it has ended by itself. Raises EmbeddedError."""
        place, say = self._place, self._say
        with _sole_server(place, say) as lock, closing(LogFile(place.data_dir / "server.log")) as log:
            runtime = choose_runtime(place.data_dir, log, lock)
            prepare_cluster(place, runtime, self._settings["fsync"], say)
            _prepare_socket_dir(place, runtime)
            _remove_stale_files(place)
            self._process = _launch(place, runtime, self._settings)
            self.pid = _wait_until_ready(place, self._process, log, say)

    def ending(self) -> str | None:
        """How the server ended, in words; None while it runs."""
        return describe_ending(self._process) if self._process else "has not been started"

    def stop(self, timeout_s: float = _STOP_S) -> None:
        """Ends all connections and shuts down; what has no time to be tidied up the next start recovers."""
        if self._process:
            _shut_down(self._process, timeout_s)
        if self.socket_dir.parent != self._place.data_dir:
            with suppress(OSError):
                self.socket_dir.rmdir()
        self._owner_lock.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.stop()


def start(
    data_dir: Path, *, settings: Mapping[str, str] | None = None, progress: Say | None = None
) -> Server:
    """Starts the server of a data directory, and makes both when there is none yet.

    Waits as long as a recovery needs; `progress` gets a line now and then. `settings` are PostgreSQL's own
    and win over ours. For the main thread only: the server ends with the thread that starts it.

    Raises AlreadyRunning when another process of ours has the server running, EmbeddedError, with the last
    lines of the log, for everything else that keeps it from starting.
    """
    data_dir = data_dir.resolve()
    try:
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        owner_lock = _take_ownership(data_dir)
        place = Place(data_dir, _socket_dir(data_dir), read_password(data_dir) or secrets.token_urlsafe(32))
        server = Server(place, owner_lock, settings or {}, progress or (lambda _line: None))
        try:
            owner_lock.write(f"{server.url}\n")
            owner_lock.flush()
            server.start()
        except BaseException:
            server.stop()
            raise
    except OSError as error:
        raise EmbeddedError(f"the data directory {data_dir} cannot be used: {error}") from error
    return server


def _take_ownership(data_dir: Path) -> IO[str]:
    """owner.lock, held and empty. Raises AlreadyRunning with the text that its holder has written into it."""
    file = open_private(data_dir / "owner.lock")
    while not _try_lock(file):
        file.seek(0)
        url = file.read()
        if url.endswith("\n"):  # else it is just about to be written
            file.close()
            raise AlreadyRunning(data_dir, url.strip())
        time.sleep(_POLL_S)
    file.truncate(0)
    return file


@contextmanager
def _sole_server(place: Place, say: Say) -> Iterator[int]:
    """Holds server.lock, for the server's processes to inherit, when those of an earlier server are gone."""
    with open_private(place.data_dir / "server.lock") as file:
        if not _try_lock(file):
            say("waiting for the previous database server to end")
            _ask_to_stop(place.cluster)
        while not _try_lock(file):
            time.sleep(_POLL_S)
        yield file.fileno()


def _try_lock(file: IO[str]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _ask_to_stop(cluster: Path) -> None:
    """A server whose owner died is stopping already, unless its owner's death could not be reported to it."""
    pid = _pid_in(cluster / "postmaster.pid")
    if pid is not None and _is_server_of(cluster, pid):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGINT)


def _socket_dir(data_dir: Path) -> Path:
    """In the data directory, unless its path is too long for a socket or would be read as a list of paths."""
    name = "wongate-" + hashlib.sha256(os.fsencode(data_dir)).hexdigest()[:16]
    for directory in (data_dir / "run", Path(tempfile.gettempdir()).resolve() / name):
        path = str(directory / _SOCKET_NAME)
        if len(os.fsencode(path)) <= _SOCKET_PATH_BYTES_MAX and not {",", '"'} & set(path):
            return directory
    return Path("/tmp", name)  # noqa: S108 - private, see _make_temporary


def _prepare_socket_dir(place: Place, runtime: Runtime) -> None:
    if place.socket_dir.parent != place.data_dir:
        _make_temporary(place.socket_dir, runtime)
    runtime.give(place.socket_dir)


def _make_temporary(directory: Path, runtime: Runtime) -> None:
    """Others may have made it before us, or a link in its place to something that we must not give away."""
    with suppress(FileExistsError):
        directory.mkdir(mode=0o700)
    status = directory.lstat()
    ours = (os.geteuid(), runtime.owner[0] if runtime.owner else os.geteuid())
    if not stat.S_ISDIR(status.st_mode) or status.st_uid not in ours or status.st_mode & 0o077:
        raise EmbeddedError(f"{directory} was made by somebody else: remove it")


def _remove_stale_files(place: Place) -> None:
    """PostgreSQL would take whatever process now has the number in these files for another server."""
    for path in (place.cluster / "postmaster.pid", place.socket_dir / f"{_SOCKET_NAME}.lock"):
        pid = _pid_in(path)
        if pid is not None and _is_server_of(place.cluster, pid):  # not one of ours: they hold server.lock
            raise EmbeddedError(
                f"a PostgreSQL that we did not start (process {pid}) runs on {place.cluster}: stop it"
            )
        path.unlink(missing_ok=True)


def _pid_in(path: Path) -> int | None:
    first = next(iter(_lines_of(path)), "").lstrip("-")  # single-user mode writes its number with a minus
    return int(first) if first.isdigit() else None


def _lines_of(path: Path) -> list[str]:
    try:
        return path.read_text().splitlines()
    except FileNotFoundError:
        return []


def _is_server_of(cluster: Path, pid: int) -> bool:
    if sys.platform == "linux":
        try:
            return Path(f"/proc/{pid}/cwd").readlink() == cluster
        except OSError:
            return False
    names = subprocess.run(["ps", "-o", "comm=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return "postgres" in names.stdout


def _launch(place: Place, runtime: Runtime, settings: Mapping[str, str]) -> subprocess.Popen[bytes]:
    settings = {**settings, "unix_socket_directories": str(place.socket_dir)}
    options = [option for name, value in settings.items() for option in ("-c", f"{name}={value}")]
    # SIGINT is PostgreSQL's fast shutdown.
    return runtime.spawn("postgres", "-D", str(place.cluster), *options, dies_by=signal.SIGINT)


def _wait_until_ready(place: Place, process: subprocess.Popen[bytes], log: LogFile, say: Say) -> int:
    """The number of the server's process, once line 8 of postmaster.pid calls it ready."""
    say_at = time.monotonic() + _SAY_EVERY_S
    while process.poll() is None:
        lines = _lines_of(place.cluster / "postmaster.pid")
        if len(lines) >= 8 and lines[7].strip() == "ready":
            return int(lines[0])
        if time.monotonic() > say_at:
            say_at += _SAY_EVERY_S
            say("the database is starting: " + "".join(log.last_lines(1)))
        time.sleep(_POLL_S)
    raise EmbeddedError(log.explain(f"PostgreSQL {describe_ending(process)} instead of starting"))


def _shut_down(process: subprocess.Popen[bytes], timeout_s: float) -> None:
    """Fast shutdown, then an immediate one, then kill."""
    for number, patience_s in ((signal.SIGINT, timeout_s), (signal.SIGQUIT, _IMMEDIATE_STOP_S)):
        process.send_signal(number)
        with suppress(subprocess.TimeoutExpired):
            process.wait(patience_s)
            return
    end_session(process)
