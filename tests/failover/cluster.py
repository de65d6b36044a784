"""Three PostgreSQL servers under Patroni with synchronous replication, and the etcd that elects their leader; all on loopback."""

import asyncio
import json
import os
import secrets
import shutil
import signal
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

import asyncpg
from tests.processes import is_running
from tests.story.sandbox import three_free_ports

from wongate.connections import embedded
from wongate.connections.processes import LogFile, describe_ending, end_session, spawn

LOOK_S = 0.2
HEALTHY_S = 180
"""Seconds for an election, or until a node that was killed follows again; ends a run that hangs."""

# The least that Patroni accepts: the defaults are ttl 30, loop_wait 10, retry_timeout 10.
TTL_S, LOOP_WAIT_S, RETRY_TIMEOUT_S = 20, 5, 5

# A part of what a machine of two cores is given, three times.
_PARAMETERS = {"max_connections": 100, "shared_buffers": "64MB", "wal_log_hints": "on"}

DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class Program:
    """A program that goes with us, SIGTERM first, and that root runs as somebody else: PostgreSQL refuses root."""

    def __init__(self, argv: Sequence[str], log: Path) -> None:
        self.log = log
        self._argv = argv
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        identity = "namespace" if os.geteuid() == 0 else "self"
        with closing(LogFile(self.log)) as log:
            self._process = spawn(self._argv, dies_by=signal.SIGTERM, identity=identity, output=log.file)

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def runs(self) -> bool:
        return self._process is not None and describe_ending(self._process) is None

    def kill(self) -> None:
        if self._process is not None:
            end_session(self._process)


class Node:
    """One Patroni with its PostgreSQL."""

    def __init__(
        self, name: str, directory: Path, ports: tuple[int, int], etcd_port: int, passwords: Mapping[str, str]
    ) -> None:
        self.name = name
        self.port, self.rest_port = ports
        self.data = directory / name
        self._passwords = passwords
        directory.joinpath(f"{name}.run").mkdir()
        settings = directory / f"{name}.yml"
        settings.touch(mode=0o600)
        settings.write_text(json.dumps(self._settings(etcd_port)))  # JSON is YAML
        self.program = Program([_patroni(), str(settings)], directory / f"{name}.log")

    def _settings(self, etcd_port: int) -> Mapping[str, Any]:
        dcs = {
            "ttl": TTL_S,
            "loop_wait": LOOP_WAIT_S,
            "retry_timeout": RETRY_TIMEOUT_S,
            "synchronous_mode": True,
            "postgresql": {"use_pg_rewind": True, "parameters": _PARAMETERS},
        }
        access = [f"local all {user} scram-sha-256" for user in ("postgres", "rewind")]
        access += [
            "host all all 127.0.0.1/32 scram-sha-256",
            "host replication all 127.0.0.1/32 scram-sha-256",
        ]
        return {
            "scope": "wongate",
            "name": self.name,
            "etcd3": {"host": f"127.0.0.1:{etcd_port}"},
            "restapi": _listening(self.rest_port),
            "bootstrap": {"dcs": dcs, "initdb": [{"encoding": "UTF8"}, {"locale": "C"}, "data-checksums"]},
            "postgresql": {
                **_listening(self.port),
                "data_dir": str(self.data),
                "bin_dir": str(embedded.find_binaries()),
                "pgpass": f"{self.data}.pgpass",
                "pg_hba": access,
                "parameters": {"unix_socket_directories": f"{self.data}.run"},
                "authentication": {
                    role: {"username": user, "password": self._passwords[user]}
                    for role, user in (
                        ("superuser", "postgres"),
                        ("replication", "replicator"),
                        ("rewind", "rewind"),
                    )
                },
            },
        }

    def ask(self, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """Patroni's REST interface; None while it does not answer."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.rest_port}{path}", json.dumps(body).encode() if body else None
        )
        try:
            with DIRECT.open(request, timeout=5 if body is None else 60) as answer:
                text = answer.read().decode()
        except HTTPError as error:
            raise AssertionError(f"{path}: {error.code} {error.read().decode()}") from None
        except OSError:
            return None
        return json.loads(text) if text.startswith("{") else text

    def processes(self) -> list[int]:
        """Patroni, the postmaster and its children; PostgreSQL gives each of them a session of its own."""
        found = [self.program.pid]
        with suppress(OSError):
            found += [self.postmaster(), *_children(self.postmaster())]
        return [pid for pid in found if is_running(pid)]

    def postmaster(self) -> int:
        return int((self.data / "postmaster.pid").read_text().splitlines()[0])

    def kill(self) -> None:
        """The end of the machine: kill -9 of everything before any of it can say goodbye."""
        victims = self.processes()
        for pid in victims:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        deadline = time.monotonic() + HEALTHY_S
        while any(map(is_running, victims[1:])) and time.monotonic() < deadline:
            time.sleep(0.01)
        self.program.kill()  # buries it


class Cluster:
    """What `tests.faults.stage` wants of a database server, and the leader to kill."""

    def __init__(self, directory: Path) -> None:
        etcd_port, port, rest_port = three_free_ports(), three_free_ports(), three_free_ports()
        client, peer = f"http://127.0.0.1:{etcd_port}", f"http://127.0.0.1:{etcd_port + 1}"
        options = {
            "name": "etcd",
            "data-dir": str(directory / "etcd"),
            "listen-client-urls": client,
            "advertise-client-urls": client,
            "listen-peer-urls": peer,
            "initial-advertise-peer-urls": peer,
            "initial-cluster": f"etcd={peer}",
            "log-level": "warn",
        }
        argv = ["etcd", *(f"--{name}={value}" for name, value in options.items())]
        self.etcd = Program(argv, directory / "etcd.log")
        self._passwords = {
            user: secrets.token_hex(16) for user in ("postgres", "replicator", "rewind", "wongate")
        }
        self.nodes = [
            Node(f"node{n + 1}", directory, (port + n, rest_port + n), etcd_port, self._passwords)
            for n in range(3)
        ]
        hosts = ",".join(f"127.0.0.1:{node.port}" for node in self.nodes)
        place = f"postgresql://wongate:{self._passwords['wongate']}@{hosts}/wongate"
        self.url = f"{place}?target_session_attrs=read-write"
        self.read_url = f"{place}?target_session_attrs=standby"

    def start(self) -> None:
        self.etcd.start()
        self.start_who_is_down()
        self.wait_until_whole()

    def start_who_is_down(self) -> None:
        for node in self.nodes:
            if not node.program.runs:
                node.program.start()

    def ending(self) -> str | None:
        return None if self.etcd.runs else "etcd has ended"

    def stop(self) -> None:
        for node in self.nodes:
            node.kill()
        self.etcd.kill()

    def members(self) -> Sequence[Mapping[str, Any]]:
        """As Patroni tells them: name, role (leader, sync_standby, replica), state, lag."""
        for node in self.nodes:
            told = node.ask("/cluster") if node.program.runs else None
            if told:
                return list(told["members"])
        return []

    def wait_until_whole(self) -> None:
        """One leader, two that follow it, one of them synchronously."""
        whole = [("leader", "running"), ("replica", "streaming"), ("sync_standby", "streaming")]
        self._wait(lambda members: whole == sorted((member["role"], member["state"]) for member in members))

    def wait_for_another(self, role: str, before: Node) -> None:
        """Until somebody else has the role."""
        self._wait(
            lambda members: any(
                member["role"] == role and member["name"] != before.name for member in members
            )
        )

    def _wait(self, reached: Callable[[Sequence[Mapping[str, Any]]], bool]) -> None:
        """Looks are counted, not seconds: where everything stands still for minutes, test and cluster alike, none is lost."""
        for _ in range(round(HEALTHY_S / LOOK_S)):
            if reached(members := self.members()):
                return
            time.sleep(LOOK_S)
        said = "\n".join(node.program.log.read_text()[-1500:] for node in self.nodes)
        raise AssertionError(f"the cluster does not get there: {members}\n{said}")

    def node_with(self, role: str) -> Node:
        """`leader`, `sync_standby` or `replica`."""
        name = next(member["name"] for member in self.members() if member["role"] == role)
        return next(node for node in self.nodes if node.name == name)

    @property
    def pid(self) -> int:
        return self.node_with("leader").postmaster()

    async def make_database(self) -> None:
        """The role and the database of the application, as an operator makes them; on all nodes when this returns."""
        secret = self._passwords["wongate"]
        leader = await self._connect("postgres", "postgres", self.node_with("leader"))
        try:
            await leader.execute(f"CREATE ROLE wongate LOGIN PASSWORD '{secret}' CONNECTION LIMIT 80")
            await leader.execute("CREATE DATABASE wongate OWNER wongate")
        finally:
            await leader.close()
        for node in self.nodes:
            await self._until_known(node)

    async def _until_known(self, node: Node) -> None:
        """Whoever goes through the hosts and meets a standby that lags behind would hear that there is no such database."""
        async with asyncio.timeout(HEALTHY_S):
            while not await self._knows_the_database(node):  # noqa: ASYNC110 - nobody tells us
                await asyncio.sleep(0.1)

    async def _knows_the_database(self, node: Node) -> bool:
        try:
            connection = await self._connect("wongate", "wongate", node)
        except (asyncpg.InvalidCatalogNameError, asyncpg.InvalidPasswordError):
            return False
        await connection.close()
        return True

    async def _connect(self, user: str, database: str, node: Node) -> Any:
        place = f"127.0.0.1:{node.port}/{database}"
        return await asyncpg.connect(f"postgresql://{user}:{self._passwords[user]}@{place}")


@contextmanager
def running(directory: Path) -> Iterator[Cluster]:
    """A whole cluster with an empty database `wongate`."""
    directory.mkdir(mode=0o700)
    cluster = Cluster(directory)
    try:
        cluster.start()
        asyncio.run(cluster.make_database())
        yield cluster
    finally:
        cluster.stop()


def _patroni() -> str:
    found = os.environ.get("WONGATE_PATRONI") or shutil.which("patroni")
    assert found, "WONGATE_PATRONI names no patroni: run `make test-failover`"
    return found


def _listening(port: int) -> Mapping[str, str]:
    return {"listen": f"127.0.0.1:{port}", "connect_address": f"127.0.0.1:{port}"}


def _children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
