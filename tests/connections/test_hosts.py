"""Several hosts in one URL: the one that takes writes is found, also when it is another one than a moment ago."""

import asyncio
import socket
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from typing import cast
from urllib.parse import quote

import pytest

from wongate.__main__ import main
from wongate.connections import embedded
from wongate.connections.database import Database, Tx, Unavailable, connect
from wongate.connections.hosts import Hosts, each

NOBODY = quote("/nobody/listens/here", safe="")


@pytest.mark.parametrize(
    "url, urls",
    [
        ("postgresql://a:b@one/d", ["postgresql://a:b@one/d"]),
        (
            "postgresql://a:b@one:1,two:2/d?target_session_attrs=read-write",
            [
                "postgresql://a:b@one:1/d?target_session_attrs=read-write",
                "postgresql://a:b@two:2/d?target_session_attrs=read-write",
            ],
        ),
        ("postgres://one,[::1]:5433", ["postgres://one", "postgres://[::1]:5433"]),
        ("postgresql://a:b,c@one/d?x=1,2", ["postgresql://a:b,c@one/d?x=1,2"]),
        ("postgresql://a:b@/d?host=one,two", ["postgresql://a:b@/d?host=one,two"]),
        (
            "postgresql://one,two/d?target_session_attrs=prefer-standby",
            ["postgresql://one,two/d?target_session_attrs=prefer-standby"],
        ),
        ("nonsense", ["nonsense"]),
    ],
)
def test_a_url_of_several_hosts_is_one_url_for_each(url: str, urls: list[str]):
    assert urls == each(url)


@pytest.fixture(scope="module")
def servers() -> Iterator[list[embedded.Server]]:
    """Two servers that know the same password, as leader and standby do."""
    with ExitStack() as stack:
        started = []
        for _ in range(2):
            directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="wongate-hosts-")))
            (directory / "password").write_text("secret")
            started.append(stack.enter_context(embedded.start(directory, settings={"fsync": "off"})))
        yield started


def host_of(server: embedded.Server) -> str:
    return f"{quote(str(server.socket_dir), safe='')}:5432"


def url_of(*hosts: str) -> str:
    return f"postgresql://wongate:secret@{','.join(hosts)}/wongate?target_session_attrs=read-write"


async def lead(leader: embedded.Server, standby: embedded.Server) -> None:
    """From now on, new connections can write to the one and only read from the other."""
    for server, read_only in ((leader, "off"), (standby, "on")):
        connection = await connect(server.url)
        await connection.execute("SET default_transaction_read_only = off")
        await connection.execute(f"ALTER ROLE wongate SET default_transaction_read_only = {read_only}")
        await connection.close()


WHICH = "SELECT pg_postmaster_start_time()"


async def which(server: embedded.Server) -> datetime:
    connection = await connect(server.url)
    try:
        return cast(datetime, await connection.fetchval(WHICH))
    finally:
        await connection.close()


async def place_of_a_write(database: Database) -> datetime:
    async def story(tx: Tx) -> datetime:
        await tx.execute("CREATE TABLE IF NOT EXISTS written (n int)")
        return cast(datetime, await tx.fetchval(WHICH))

    return await database.run(story)


async def test_the_host_that_takes_writes_is_found_behind_others(servers: list[embedded.Server]):
    standby, leader = servers
    await lead(leader, standby)
    database = await Database.connect(url_of(NOBODY, host_of(standby), host_of(leader)), size=2)
    try:
        assert await which(leader) == await place_of_a_write(database)
    finally:
        await database.close()


async def test_a_write_follows_the_leader_although_its_connection_still_stands(
    servers: list[embedded.Server],
):
    first, second = servers
    await lead(first, second)
    database = await Database.connect(url_of(host_of(first), host_of(second)), size=1)
    try:
        assert await which(first) == await place_of_a_write(database)
        async with database.read() as tx:
            await tx.execute("SET default_transaction_read_only = on")
        await lead(second, first)
        assert await which(second) == await place_of_a_write(database)
    finally:
        await database.close()


async def test_a_host_that_accepts_and_says_nothing_is_passed_by(servers: list[embedded.Server]):
    """A machine that is frozen: without a limit of its own the second host would never be asked."""
    leader, standby = servers
    await lead(leader, standby)
    with socket.create_server(("127.0.0.1", 0)) as frozen:
        silent = f"127.0.0.1:{frozen.getsockname()[1]}"
        connection = await Hosts(url_of(silent, host_of(leader)), connect_s=1.5).connect()
        answered_by = await connection.fetchval(WHICH)
        await connection.close()
    assert await which(leader) == answered_by


async def test_no_host_that_takes_writes_is_said_in_words(servers: list[embedded.Server]):
    leader, standby = servers
    await lead(leader, standby)
    with pytest.raises(Unavailable, match=r"cannot connect to the database: .*read-write"):
        await Database.connect(url_of(NOBODY, host_of(standby)))


def test_commands_take_the_same_url(
    servers: list[embedded.Server],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
):
    leader, standby = servers
    asyncio.run(lead(leader, standby))
    monkeypatch.setenv("WONGATE_DATABASE_URL", url_of(NOBODY, host_of(standby), host_of(leader)))
    monkeypatch.setenv("WONGATE_MASTER_KEY", "a2tra2tra2tra2tra2tra2tra2tra2tra2tra2tra2s=")
    for command in (["migrate"], ["project", "list"], ["audit"], ["db", "dump", str(tmp_path / "copy.zip")]):
        assert 0 == main(command), capsys.readouterr()
