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
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from typing import IO, Self
from urllib.parse import quote

from wongate.connections.binaries import EmbeddedError, find_binaries, tool
from wongate.connections.children import LogFile
from wongate.connections.cluster import (
    DATABASE,
    ROLE,
    Runtime,
    change_password,
    check_version,
    choose_runtime,
    make_cluster,
)

__all__ = ["AlreadyRunning", "EmbeddedError", "Server", "find_binaries", "start", "tool"]

Say = Callable[[str], None]

_SOCKET_NAME = ".s.PGSQL.5432"
_SOCKET_PATH_BYTES_MAX = 103  # sun_path less its final zero: 103 on macOS, 107 on Linux
_POLL_S = 0.01
_IMMEDIATE_STOP_S = 5

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
    """A running server. Leaving it as a context manager stops it."""

    def __init__(
        self, url: str, socket_dir: Path, process: subprocess.Popen[bytes], pid: int, held: ExitStack
    ) -> None:
        self.url = url
        self.socket_dir = socket_dir
        self.pid = pid
        self._process = process
        self._held = held

    def url_of(self, database: str) -> str:
        """The same server and role, another database."""
        return self.url.replace(f"@/{DATABASE}?", f"@/{quote(database)}?")

    def stop(self, timeout_s: float = 10) -> None:
        """Ends all connections and shuts down; the next start recovers what took longer."""
        _stop(self._process, timeout_s)
        self._held.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.stop()


def start(
    data_dir: Path, *, settings: Mapping[str, str] | None = None, progress: Say | None = None
) -> Server:
    """Starts the server of a data directory, and makes both when there is none yet.

    Waits as long as a recovery needs; `progress` gets a line now and then. `settings` are PostgreSQL's own
    and win over ours. To be called from the main thread: the server dies with the thread that starts it.

    Raises AlreadyRunning when another process of ours has the server running, EmbeddedError, with the last
    lines of the log, for everything else that keeps it from starting.
    """
    say = progress or (lambda _line: None)
    data_dir = data_dir.resolve()
    data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    socket_dir = _socket_dir(data_dir)
    password = _read_password(data_dir) or secrets.token_urlsafe(32)
    url = f"postgresql://{ROLE}:{password}@/{DATABASE}?host={quote(str(socket_dir))}&port=5432"
    with ExitStack() as held:
        held.enter_context(_ownership(data_dir, url))
        with _sole_server(data_dir, say) as lock, closing(LogFile(data_dir / "server.log")) as log:
            runtime = choose_runtime(data_dir, log, lock)
            _prepare_cluster(data_dir, runtime, password, say)
            _prepare_socket_dir(socket_dir, runtime)
            _remove_stale_files(data_dir / "cluster", socket_dir)
            process = _launch(data_dir / "cluster", socket_dir, runtime, settings or {})
            held.callback(_stop, process, timeout_s=10)
            pid = _wait_until_ready(data_dir / "cluster", process, runtime, say)
        return Server(url, socket_dir, process, pid, held.pop_all())


@contextmanager
def _ownership(data_dir: Path, url: str) -> Iterator[None]:
    """Holds owner.lock, which says that this process runs the server, and tells the others its URL."""
    with _private_file(data_dir / "owner.lock") as file:
        while not _try_lock(file):
            file.seek(0)
            other_url = file.read()
            if other_url.endswith("\n"):  # else it is being written at this moment
                raise AlreadyRunning(data_dir, other_url.strip())
            time.sleep(_POLL_S)
        file.truncate(0)
        file.write(f"{url}\n")
        file.flush()
        try:
            yield
        finally:
            file.truncate(0)


@contextmanager
def _sole_server(data_dir: Path, say: Say) -> Iterator[int]:
    """Holds server.lock, for the server's processes to inherit, when those of an earlier server are gone."""
    with _private_file(data_dir / "server.lock") as file:
        if not _try_lock(file):
            say("waiting for the previous database server to end")
            _ask_to_stop(data_dir / "cluster")
        while not _try_lock(file):
            time.sleep(_POLL_S)
        yield file.fileno()


def _private_file(path: Path) -> IO[str]:
    path.touch(mode=0o600)
    return path.open("r+")


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


def _prepare_cluster(data_dir: Path, runtime: Runtime, password: str, say: Say) -> None:
    cluster = data_dir / "cluster"
    if not cluster.exists():
        say(f"making a new database in {data_dir}")
        make_cluster(cluster, runtime, password)
        _write_password(data_dir, password)
        return
    check_version(cluster, runtime.binaries)
    runtime.give(cluster)
    if _read_password(data_dir) is None:
        change_password(cluster, runtime, password)
        _write_password(data_dir, password)


def _read_password(data_dir: Path) -> str | None:
    try:
        return (data_dir / "password").read_text()
    except FileNotFoundError:
        return None


def _write_password(data_dir: Path, password: str) -> None:
    unfinished = data_dir / "password.partial"
    with _private_file(unfinished) as file:
        file.truncate(0)
        file.write(password)
        file.flush()
        os.fsync(file.fileno())
    unfinished.rename(data_dir / "password")


def _socket_dir(data_dir: Path) -> Path:
    """In the data directory unless its path is too long for a socket or has a comma, which separates hosts."""
    name = "wongate-" + hashlib.sha256(os.fsencode(data_dir)).hexdigest()[:16]
    for directory in (data_dir / "run", Path(tempfile.gettempdir()).resolve() / name):
        if len(os.fsencode(directory / _SOCKET_NAME)) <= _SOCKET_PATH_BYTES_MAX and "," not in str(directory):
            return directory
    return Path("/tmp", name)  # noqa: S108 - made private, and refused if it is somebody else's, below


def _prepare_socket_dir(socket_dir: Path, runtime: Runtime) -> None:
    """In /tmp anybody may have made the directory before us, or a link to one that we must not give away."""
    with suppress(FileExistsError):
        socket_dir.mkdir(mode=0o700)
    status = socket_dir.lstat()
    ours = {os.geteuid(), runtime.owner[0] if runtime.owner else os.geteuid()}
    if not stat.S_ISDIR(status.st_mode) or status.st_uid not in ours:
        raise EmbeddedError(f"{socket_dir} belongs to somebody else: remove it")
    socket_dir.chmod(0o700)
    runtime.give(socket_dir)


def _remove_stale_files(cluster: Path, socket_dir: Path) -> None:
    """PostgreSQL would take any process that now has the number in these files for another server."""
    for path in (cluster / "postmaster.pid", socket_dir / f"{_SOCKET_NAME}.lock"):
        pid = _pid_in(path)
        # Not one of ours, or it would hold server.lock.
        if pid is not None and _is_server_of(cluster, pid):
            raise EmbeddedError(
                f"a PostgreSQL started by other means (process {pid}) runs on {cluster}: stop it first"
            )
        path.unlink(missing_ok=True)


def _pid_in(path: Path) -> int | None:
    try:
        return abs(int(path.read_text().split()[0]))
    except (FileNotFoundError, IndexError, ValueError):
        return None


def _is_server_of(cluster: Path, pid: int) -> bool:
    if sys.platform == "linux":
        try:
            return Path(f"/proc/{pid}/cwd").readlink() == cluster
        except OSError:
            return False
    names = subprocess.run(["ps", "-o", "comm=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return "postgres" in names.stdout


def _launch(
    cluster: Path, socket_dir: Path, runtime: Runtime, settings: Mapping[str, str]
) -> subprocess.Popen[bytes]:
    every_setting = {**_SETTINGS, "unix_socket_directories": f'"{socket_dir}"', **settings}
    options = [option for name, value in every_setting.items() for option in ("-c", f"{name}={value}")]
    return runtime.spawn("postgres", "-D", str(cluster), *options, dies_by=signal.SIGINT)


def _wait_until_ready(cluster: Path, process: subprocess.Popen[bytes], runtime: Runtime, say: Say) -> int:
    """The process number of the server, once line 8 of postmaster.pid says that it is ready."""
    say_at = time.monotonic() + 1
    while process.poll() is None:
        with suppress(FileNotFoundError):
            lines = (cluster / "postmaster.pid").read_text().splitlines()
            if len(lines) >= 8 and lines[7].strip() == "ready":
                return int(lines[0])
        if time.monotonic() > say_at:
            say_at += 1
            say("the database is starting: " + "".join(runtime.log.lines()[-1:]))
        time.sleep(_POLL_S)
    raise runtime.failure(f"PostgreSQL did not start (exit code {process.returncode})")


def _stop(process: subprocess.Popen[bytes], timeout_s: float) -> None:
    """Fast shutdown, then an immediate one, then none at all."""
    for number, patience_s in ((signal.SIGINT, timeout_s), (signal.SIGQUIT, _IMMEDIATE_STOP_S)):
        if process.poll() is None:
            process.send_signal(number)
            with suppress(subprocess.TimeoutExpired):
                process.wait(patience_s)
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
