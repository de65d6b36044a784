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

import base64
import fcntl
import hashlib
import hmac
import os
import pwd
import secrets
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Self
from urllib.parse import quote

from wongate.connections.binaries import EmbeddedError, copy_for_everyone, find_binaries, tool, version_of
from wongate.connections.children import spawn

__all__ = ["AlreadyRunning", "EmbeddedError", "Server", "find_binaries", "start", "tool"]

ROLE = DATABASE = "wongate"
_SOCKET_NAME = ".s.PGSQL.5432"
_SOCKET_PATH_BYTES_MAX = 103  # sun_path less its final zero: 103 on macOS, 107 on Linux
_POLL_S = 0.01
_LOG_BYTES_MAX = 10_000_000
_LOG_LINES_SHOWN = 8

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

Say = Callable[[str], None]


class AlreadyRunning(EmbeddedError):
    """Another process of ours runs the server of this data directory; `url` connects to it."""

    def __init__(self, data_dir: Path, url: str) -> None:
        super().__init__(f"the database in {data_dir} is in use: another Wongate is running on it")
        self.url = url


@dataclass(frozen=True)
class _Home:
    path: Path
    socket_dir: Path

    @property
    def cluster(self) -> Path:
        return self.path / "cluster"

    @property
    def password_file(self) -> Path:
        return self.path / "password"

    @property
    def log(self) -> Path:
        return self.path / "server.log"


@dataclass(frozen=True)
class _Runtime:
    """Which programs run, and as whom (an identity of tether.py; `owner` is None when it is ourselves)."""

    binaries: Path
    identity: str
    owner: tuple[int, int] | None


class Server:
    """A running server. Leaving it as a context manager stops it."""

    def __init__(self, home: _Home, url: str, pid: int, process: subprocess.Popen[bytes], owner_lock: int) -> None:
        self.url = url
        self.pid = pid
        self.socket_dir = home.socket_dir
        self._process = process
        self._owner_lock: int | None = owner_lock

    def url_of(self, database: str) -> str:
        """The same server and role, another database."""
        return self.url.replace(f"@/{DATABASE}?", f"@/{quote(database)}?")

    def stop(self, timeout_s: float = 10) -> None:
        """Ends all connections and shuts down; after `timeout_s` without a checkpoint, which the next start makes up for."""
        _stop(self._process, timeout_s)
        if self._owner_lock is not None:
            os.close(self._owner_lock)
            self._owner_lock = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.stop()


def start(data_dir: Path, *, settings: Mapping[str, str] | None = None, progress: Say | None = None) -> Server:
    """Starts the server of a data directory, and makes both when there is none yet.

    Waits as long as a recovery needs; `progress` gets a line now and then. `settings` are PostgreSQL's own
    and win over ours. To be called from the main thread: the server dies with the thread that starts it.

    Raises AlreadyRunning when another process of ours has the server running, EmbeddedError, with the last
    lines of the log, for everything else that keeps it from starting.
    """
    say = progress or (lambda _line: None)
    data_dir = data_dir.resolve()
    data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    home = _Home(data_dir, _socket_dir(data_dir))
    owner_lock, password = _take_ownership(home)
    try:
        server_lock = _wait_for_predecessor(home, say)
        try:
            _keep_log_small(home.log)
            with home.log.open("ab", buffering=0) as log:
                runtime = _choose_runtime(home)
                _prepare(home, runtime, password, log, server_lock, say)
                process = _launch(home, runtime, settings or {}, log, server_lock)
        finally:
            os.close(server_lock)  # from here on only the server's processes hold it
        try:
            pid = _wait_until_ready(home, process, say)
        except BaseException:
            _stop(process, timeout_s=10)
            raise
    except BaseException:
        os.close(owner_lock)
        raise
    return Server(home, _url(home, password), pid, process, owner_lock)


def _url(home: _Home, password: str) -> str:
    return f"postgresql://{ROLE}:{password}@/{DATABASE}?host={quote(str(home.socket_dir))}&port=5432"
