"""The files of an embedded PostgreSQL, and the user and programs that run on them."""

import base64
import hashlib
import hmac
import os
import pwd
import secrets
import shutil
import signal
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO
from urllib.parse import quote

from wongate.connections.binaries import EmbeddedError, copy_for_everyone, find_binaries, version_of
from wongate.connections.processes import LogFile, describe_ending, end_session, spawn

Say = Callable[[str], None]

ROLE = DATABASE = "wongate"

_SCRAM_ITERATIONS = 4096  # PostgreSQL's default; a connection costs 1 ms more than with a single round

# The superuser has no entry: it exists for set-up in single-user mode and cannot connect.
_HBA = f"""\
# TYPE  DATABASE  USER     METHOD
local   all       {ROLE}  scram-sha-256
"""


@dataclass(frozen=True)
class Place:
    """A data directory, its socket's directory and the password of its role."""

    data_dir: Path
    socket_dir: Path
    password: str

    @property
    def cluster(self) -> Path:
        return self.data_dir / "cluster"

    @property
    def url(self) -> str:
        return f"postgresql://{ROLE}:{self.password}@/{DATABASE}?host={quote(str(self.socket_dir))}&port=5432"


@dataclass(frozen=True)
class Runtime:
    """How PostgreSQL's programs are run on a data directory.

    identity: of tether.py. owner: user and group of the files, when that is not simply us. lock: a file
    descriptor that each program and its children hold open while they live.
    """

    binaries: Path
    log: LogFile
    lock: int
    identity: str = "self"
    owner: tuple[int, int] | None = None

    def spawn(
        self,
        program: str,
        *arguments: str,
        dies_by: signal.Signals = signal.SIGKILL,
        stdin: int = subprocess.DEVNULL,
    ) -> subprocess.Popen[bytes]:
        return spawn(
            [str(self.binaries / program), *arguments],
            dies_by=dies_by,
            identity=self.identity,
            env={name: value for name, value in os.environ.items() if not name.startswith("PG")},
            cwd=Path("/"),
            stdin=stdin,
            output=self.log.file,
            pass_fds=[self.lock],
        )

    def run(self, program: str, *arguments: str, text: str = "") -> None:
        """Runs a program to its end with `text` as its input; EmbeddedError when it fails."""
        process = self.spawn(program, *arguments, stdin=subprocess.PIPE)
        try:
            process.communicate(text.encode())
        finally:
            end_session(process)
        if process.returncode != 0:
            raise EmbeddedError(self.log.explain(f"{program} {describe_ending(process)}"))

    def give(self, directory: Path) -> None:
        """Makes a directory unless it exists, and hands all of it to the user of the programs."""
        directory.mkdir(mode=0o700, exist_ok=True)
        if self.owner is None or (directory.stat().st_uid, directory.stat().st_gid) == self.owner:
            return
        for parent, directories, files in os.walk(directory):
            for name in [*directories, *files]:
                os.chown(Path(parent, name), *self.owner, follow_symlinks=False)
        os.chown(directory, *self.owner)  # last, so that an interrupted walk is walked again


def choose_runtime(data_dir: Path, log: LogFile, lock: int) -> Runtime:
    """PostgreSQL refuses to run as root: root becomes another number in a namespace, else `nobody`.

    In a namespace nothing on the machine is touched, and the data may lie under /root. Docker allows none.
    """
    runtime = Runtime(find_binaries(), log, lock)
    if os.geteuid() != 0:
        return runtime if _has_name(os.geteuid()) else replace(runtime, identity="namespace")
    in_namespace = replace(runtime, identity="namespace", owner=(os.getuid(), os.getgid()))
    return in_namespace if _runs(in_namespace) else _as_nobody(runtime, data_dir)


def _has_name(uid: int) -> bool:
    """initdb insists on a name; the numbers that containers may be run with (`--user 1234`) have none."""
    try:
        pwd.getpwuid(uid)
    except KeyError:
        return False
    return True


def _as_nobody(runtime: Runtime, data_dir: Path) -> Runtime:
    entry = pwd.getpwnam("nobody")
    nobody = f"{entry.pw_uid}:{entry.pw_gid}"
    runtime = replace(runtime, identity=nobody, owner=(entry.pw_uid, entry.pw_gid))
    closed = next((path for path in data_dir.parents if not path.stat().st_mode & 0o001), None)
    if closed is not None:
        entering = replace(runtime, identity=f"{nobody}:enter")
        if _runs(entering):
            return entering
        raise EmbeddedError(
            f"as root, the database server runs as the user `nobody`, who may not enter {closed}: "
            "choose another data directory, or do not run as root"
        )
    data_dir.chmod(0o711)  # what `nobody` owns lies one step further in; the password stays root's
    if _runs(runtime):
        return runtime
    version = ".".join(str(part) for part in version_of(runtime.binaries))
    return replace(runtime, binaries=copy_for_everyone(runtime.binaries, data_dir / f"postgresql-{version}"))


def _runs(runtime: Runtime) -> bool:
    return runtime.spawn("postgres", "--version").wait() == 0


def prepare_cluster(place: Place, runtime: Runtime, fsync: str, say: Say) -> None:
    """`fsync` is PostgreSQL's setting: with "off" a new cluster, like all in it, may be lost with the machine."""
    if not place.cluster.exists():
        say(f"Making a new database in {place.data_dir}")
        _make_cluster(place, runtime, fsync)
        _write_password(place)
        return
    _check_version(place.cluster, runtime.binaries)
    runtime.give(place.cluster)
    if read_password(place.data_dir) is None:  # lost, or the line above this was never reached
        _run_sql(
            place.cluster, runtime, fsync, f"ALTER ROLE {ROLE} PASSWORD '{_scram_verifier(place.password)}'"
        )
        _write_password(place)


def _make_cluster(place: Place, runtime: Runtime, fsync: str) -> None:
    """initdb, then the role and the database. The directory gets its name last, so it is whole or absent."""
    unfinished = place.data_dir / "cluster.partial"
    shutil.rmtree(unfinished, ignore_errors=True)
    runtime.give(unfinished)
    runtime.run(
        "initdb",
        *["-D", str(unfinished), "-U", "postgres", "-E", "UTF8", "--no-locale"],
        *["--data-checksums", "--auth=reject", "--no-instructions"],
        *(["--no-sync"] if fsync == "off" else []),
    )
    (unfinished / "pg_hba.conf").write_text(_HBA)
    _run_sql(
        unfinished,
        runtime,
        fsync,
        # CREATEDB: each test makes itself a database.
        f"CREATE ROLE {ROLE} LOGIN CREATEDB PASSWORD '{_scram_verifier(place.password)}'",
        f"CREATE DATABASE {DATABASE} OWNER {ROLE}",
    )
    _rename_durably(unfinished, place.cluster)


def _check_version(cluster: Path, binaries: Path) -> None:
    made_by = (cluster / "PG_VERSION").read_text().strip()
    found = version_of(binaries)
    if made_by != str(found[0]):
        raise EmbeddedError(
            f"{cluster} was made by PostgreSQL {made_by}, found is PostgreSQL {found[0]} in {binaries}: "
            f"dump the database with PostgreSQL {made_by} and restore it into a new data directory"
        )


def read_password(data_dir: Path) -> str | None:
    try:
        return (data_dir / "password").read_text()
    except FileNotFoundError:
        return None


def _write_password(place: Place) -> None:
    unfinished = place.data_dir / "password.partial"
    with open_private(unfinished) as file:
        file.truncate(0)
        file.write(place.password)
        file.flush()
        os.fsync(file.fileno())
    _rename_durably(unfinished, place.data_dir / "password")


def _rename_durably(old: Path, new: Path) -> None:
    old.rename(new)
    directory = os.open(new.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def open_private(path: Path) -> IO[str]:
    path.touch(mode=0o600)
    return path.open("r+")


def _run_sql(cluster: Path, runtime: Runtime, fsync: str, *statements: str) -> None:
    """Runs statements, a line each, as superuser while no server runs."""
    text = "".join(f"{statement}\n" for statement in statements)
    options = ["-D", str(cluster), "-c", "exit_on_error=on", "-c", f"fsync={fsync}"]
    runtime.run("postgres", "--single", *options, "postgres", text=text)


def _scram_verifier(password: str) -> str:
    """What PostgreSQL keeps of a password (RFC 7677), so that no statement and no log has the password."""
    salt = secrets.token_bytes(16)
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, _SCRAM_ITERATIONS)
    stored_key = hashlib.sha256(hmac.digest(salted, b"Client Key", "sha256")).digest()
    server_key = hmac.digest(salted, b"Server Key", "sha256")
    encoded = [base64.b64encode(part).decode() for part in (salt, stored_key, server_key)]
    return f"SCRAM-SHA-256${_SCRAM_ITERATIONS}:{encoded[0]}${encoded[1]}:{encoded[2]}"
