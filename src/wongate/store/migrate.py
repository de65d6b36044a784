"""Numbered, forward-only SQL files, each in one transaction; old code runs on the new schema."""

from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

import asyncpg

from wongate.connections.clock import SystemClock
from wongate.connections.database import connect
from wongate.store import partitions

FILES = Path(__file__).parent / "migrations"
PARTITIONED = "0008_partitions"
"""The file from which on history lies in months (store/partitions.py)."""

_LIST = (
    "CREATE TABLE IF NOT EXISTS schema_migration "
    "(name text PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT now())"
)


async def migrate(url: str) -> list[str]:
    """Brings the database up to date and returns the names of the files that were applied now. Safe to start twice at once.

    Raises Unavailable when the server is not there or lets nobody in.
    """
    connection = await connect(url)
    try:
        # IF NOT EXISTS does not help two starters at the same moment: the second gets one of these, and the table.
        with suppress(
            asyncpg.UniqueViolationError, asyncpg.DuplicateObjectError, asyncpg.DuplicateTableError
        ):
            await connection.execute(_LIST)
        applied = [path.stem for path in sorted(FILES.glob("*.sql")) if await _apply(connection, path)]
        await _make_months_ahead(connection)
        return applied
    finally:
        await connection.close()


async def make(connection: asyncpg.Connection, names: Collection[str]) -> None:
    """The tables as they were after these files, in the caller's transaction and a database without any."""
    await connection.execute(_LIST)
    for path in sorted(FILES.glob("*.sql")):
        if path.stem in names:
            await _apply(connection, path)
    if PARTITIONED in names:
        await _make_months_ahead(connection)


async def _make_months_ahead(connection: asyncpg.Connection) -> None:
    for table in partitions.TABLES:
        await partitions.make_ahead(connection, table, SystemClock().now().date())


async def _apply(connection: asyncpg.Connection, path: Path) -> bool:
    """The row of the file's name is inserted first: a second starter waits for it and then finds the work done."""
    async with connection.transaction():
        new = await connection.fetchval(
            "INSERT INTO schema_migration (name) VALUES ($1) ON CONFLICT DO NOTHING RETURNING name", path.stem
        )
        if new:
            await connection.execute(path.read_text())
    return new is not None


async def pending(connection: asyncpg.Connection) -> list[str]:
    """Names of the files that this database has not seen yet."""
    known = await connection.fetchval("SELECT to_regclass('schema_migration')")
    applied = await connection.fetch("SELECT name FROM schema_migration") if known else []
    return sorted({path.stem for path in FILES.glob("*.sql")} - {row["name"] for row in applied})
