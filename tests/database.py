"""A database for each test that asks for one: `database` with our tables, `empty_database` without any."""

import asyncio
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path

import asyncpg
import pytest

from wongate.connections import embedded
from wongate.store.distribute import distribute
from wongate.store.migrate import migrate

CITUS_URL = os.environ.get("WONGATE_TEST_CITUS_URL", "")
"""A Citus coordinator that the whole run works on (`make test-citus`)."""

_TEMPLATE = "wongate_template"
_numbers = count(1)

# A test's data need not survive the machine: what is lost here is lost with the test.
_NOT_DURABLE = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


class Cluster:
    """Stands where a server of ours does. Citus copies no databases: tests share the one of the URL, one after another, and it is
    emptied for each."""

    pid = 0  # its processes run elsewhere

    def __init__(self, url: str) -> None:
        self.url = url

    def url_of(self, database: str) -> str:
        return self.url


Server = embedded.Server | Cluster


@contextmanager
def server_for_tests(directory: Path, settings: Mapping[str, str] | None = None) -> Iterator[Server]:
    """A server of our own in that directory, or the cluster with its tables in place."""
    if not CITUS_URL:
        with embedded.start(directory, settings=settings) as server:
            yield server
        return
    asyncio.run(migrate(CITUS_URL))
    asyncio.run(distribute(CITUS_URL))
    yield Cluster(CITUS_URL)


@pytest.fixture(scope="session")
def database_server() -> Iterator[Server]:
    """One server for the whole run, started by the first test that asks, in a directory of its own."""
    with (
        tempfile.TemporaryDirectory(prefix="wongate-tests-") as directory,
        server_for_tests(Path(directory), _NOT_DURABLE) as server,
    ):
        yield server


@pytest.fixture(scope="session")
def migrated_template(database_server: Server) -> str:
    """A database that is migrated once and then copied, which takes some 15 ms."""
    if isinstance(database_server, Cluster):
        return _TEMPLATE
    _execute(database_server, f"CREATE DATABASE {_TEMPLATE}")
    asyncio.run(migrate(database_server.url_of(_TEMPLATE)))
    return _TEMPLATE


@pytest.fixture
def database(database_server: Server, migrated_template: str) -> Iterator[str]:
    """The URL of a fresh database with every migration applied."""
    with fresh_copy(database_server, migrated_template) as url:
        yield url


@pytest.fixture
def empty_database(database_server: Server) -> Iterator[str]:
    """The URL of a fresh database without any table."""
    with fresh_copy(database_server, "template1") as url:
        yield url


@contextmanager
def fresh_copy(server: Server, template: str) -> Iterator[str]:
    if isinstance(server, Cluster):
        if template != _TEMPLATE:
            pytest.skip("a cluster has no second database without tables")
        asyncio.run(empty(server.url))
        yield server.url
        return
    name = f"test_{next(_numbers)}"
    _execute(server, f"CREATE DATABASE {name} TEMPLATE {template}")
    try:
        yield server.url_of(name)
    finally:
        # By force: connections that a failed test left open must not fail the next test as well.
        with suppress(asyncpg.PostgresError):  # autovacuum may be at it; the server goes with the run anyway
            _execute(server, f"DROP DATABASE {name} WITH (FORCE)")


async def empty(url: str) -> None:
    """Of all rows; partitions go with their table."""
    connection = await asyncpg.connect(url)
    try:
        tables = await connection.fetch(
            "SELECT oid::regclass::text AS name FROM pg_class WHERE relkind IN ('r', 'p') AND NOT relispartition "
            "AND relnamespace = 'public'::regnamespace AND relname <> 'schema_migration'"
        )
        await connection.execute(f"TRUNCATE {', '.join(row['name'] for row in tables)}")
    finally:
        await connection.close()


def _execute(server: Server, statement: str) -> None:
    """On a connection of its own (5 ms), since tests may cut every connection that is open."""
    if isinstance(server, Cluster):
        return  # databases are neither made nor dropped there

    async def run() -> None:
        connection = await asyncpg.connect(server.url)
        try:
            await connection.execute(statement)
        finally:
            await connection.close()

    asyncio.run(run())
