"""A database for each test that asks for one: `database` with our tables, `empty_database` without any."""

import asyncio
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path

import asyncpg
import pytest

from wongate.connections import embedded
from wongate.store.migrate import migrate

_TEMPLATE = "wongate_template"
_numbers = count(1)

# A test's data need not survive the machine: what is lost here is lost with the test.
_NOT_DURABLE = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


@pytest.fixture(scope="session")
def database_server() -> Iterator[embedded.Server]:
    """One server for the whole run, started by the first test that asks, in a directory of its own."""
    with (
        tempfile.TemporaryDirectory(prefix="wongate-tests-") as directory,
        embedded.start(Path(directory), settings=_NOT_DURABLE) as server,
    ):
        yield server


@pytest.fixture(scope="session")
def migrated_template(database_server: embedded.Server) -> str:
    """A database that is migrated once and then copied, which takes some 15 ms."""
    _execute(database_server, f"CREATE DATABASE {_TEMPLATE}")
    asyncio.run(migrate(database_server.url_of(_TEMPLATE)))
    return _TEMPLATE


@pytest.fixture
def database(database_server: embedded.Server, migrated_template: str) -> Iterator[str]:
    """The URL of a fresh database with every migration applied."""
    with fresh_copy(database_server, migrated_template) as url:
        yield url


@pytest.fixture
def empty_database(database_server: embedded.Server) -> Iterator[str]:
    """The URL of a fresh database without any table."""
    with fresh_copy(database_server, "template1") as url:
        yield url


@contextmanager
def fresh_copy(server: embedded.Server, template: str) -> Iterator[str]:
    name = f"test_{next(_numbers)}"
    _execute(server, f"CREATE DATABASE {name} TEMPLATE {template}")
    try:
        yield server.url_of(name)
    finally:
        # By force: connections that a failed test left open must not fail the next test as well.
        with suppress(asyncpg.PostgresError):  # autovacuum may be at it; the server goes with the run anyway
            _execute(server, f"DROP DATABASE {name} WITH (FORCE)")


def _execute(server: embedded.Server, statement: str) -> None:
    """On a connection of its own (5 ms), since tests may cut every connection that is open."""

    async def run() -> None:
        connection = await asyncpg.connect(server.url)
        try:
            await connection.execute(statement)
        finally:
            await connection.close()

    asyncio.run(run())
