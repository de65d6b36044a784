"""A copy of the whole database as a zip file: each table as CSV, in the order in which rows refer to each other, and in the end a
list of what must be in it. No program of PostgreSQL is needed, so a copy goes back into any version of it."""

import asyncio
import json
import zipfile
import zlib
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import date, datetime, timedelta
from graphlib import TopologicalSorter
from typing import IO, Any

import asyncpg

from wongate import __version__
from wongate.connections.database import Tx
from wongate.store import migrate, partitions

CONTENTS = "contents.json"
FORMAT = 1
_CHUNK_BYTES = 1 << 20
_MIGRATIONS = "schema_migration"

# A partition's rows are copied as rows of its table.
_TABLES = """
SELECT relname AS tablename FROM pg_class
WHERE relkind IN ('r', 'p') AND NOT relispartition AND relnamespace = 'public'::regnamespace ORDER BY 1
"""

Progress = Callable[[str, int], None]
"""Told the table, and the bytes of it that are copied so far."""


class NoCopy(Exception):
    """The file is none of ours, or not whole."""


class NotEmpty(Exception):
    """The database has something in it that a restore would mix with the copy."""


async def write(connection: Tx, file: IO[bytes], at: datetime, progress: Progress) -> dict[str, int]:
    """Copies one moment of the database, however long it takes, while everything goes on; answers rows by table."""
    rows: dict[str, int] = {}
    columns: dict[str, list[str]] = {}
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            for table in await _tables(connection):
                columns[table] = await _columns(connection, table)
                rows[table] = await _copy_out(connection, archive, table, columns[table], progress)
            applied = await connection.fetch(f"SELECT name FROM {_MIGRATIONS} ORDER BY name")
        contents = {
            "format": FORMAT,
            "wongate": __version__,
            "at": at.isoformat(),
            "migrations": [row["name"] for row in applied],
            "months_until": (await _months_until(connection)).isoformat(),
            "tables": [{"name": name, "rows": rows[name], "columns": columns[name]} for name in rows],
        }
        archive.writestr(CONTENTS, json.dumps(contents, indent=1))
    return rows


async def read(connection: Tx, file: IO[bytes], progress: Progress) -> dict[str, Any]:
    """Puts a copy into an empty database, all or nothing, and answers its contents.

    Raises NoCopy, NotEmpty, or what PostgreSQL says.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            contents = _contents(archive)
            async with connection.transaction():
                await _prepare(connection, contents["migrations"])
                await _make_months(connection, date.fromisoformat(contents["months_until"]))
                for table in contents["tables"]:
                    await _copy_in(connection, archive, table, progress)
                await _doubt_refunds(connection)
            await connection.execute("ANALYZE")
    except (zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise NoCopy(f"it is no whole copy: {error}") from None
    return contents


def _contents(archive: zipfile.ZipFile) -> dict[str, Any]:
    try:
        contents: dict[str, Any] = json.loads(archive.read(CONTENTS))
    except KeyError:
        raise NoCopy("it is a zip file, but no copy of a database") from None
    unknown = sorted(set(contents["migrations"]) - {path.stem for path in migrate.FILES.glob("*.sql")})
    if contents["format"] != FORMAT or unknown:
        raise NoCopy(f"it was made by a newer Wongate ({contents['wongate']}): use that one")
    return contents


async def _tables(connection: Tx) -> list[str]:
    """Every table of ours; a table that another one refers to comes before it."""
    found = await connection.fetch(_TABLES)
    references = await connection.fetch(
        "SELECT DISTINCT conrelid::regclass::text AS referring, confrelid::regclass::text AS referred "
        "FROM pg_constraint WHERE contype = 'f' AND conrelid <> confrelid AND conparentid = 0 ORDER BY 1, 2"
    )
    before: dict[str, set[str]] = {row["tablename"]: set() for row in found}
    for row in references:
        before[row["referring"]].add(row["referred"])
    return [table for table in TopologicalSorter(before).static_order() if table != _MIGRATIONS]


async def _columns(connection: Tx, table: str) -> list[str]:
    rows = await connection.fetch(
        "SELECT attname FROM pg_attribute WHERE attrelid = $1::text::regclass AND attnum > 0 AND NOT attisdropped "
        "ORDER BY attnum",
        table,
    )
    return [row["attname"] for row in rows]


async def _copy_out(
    connection: Tx, archive: zipfile.ZipFile, table: str, columns: Sequence[str], progress: Progress
) -> int:
    size = 0
    with archive.open(f"{table}.csv", "w", force_zip64=True) as out:

        async def keep(data: bytes) -> None:
            nonlocal size
            size += len(data)
            out.write(data)
            progress(table, size)

        names = ", ".join(f'"{column}"' for column in columns)
        said: str = await connection.copy_from_query(
            f'SELECT {names} FROM "{table}"', output=keep, format="csv"
        )
    return _rows(said)


async def _copy_in(
    connection: Tx, archive: zipfile.ZipFile, table: dict[str, Any], progress: Progress
) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        size = 0
        with archive.open(f"{table['name']}.csv") as data:
            while piece := await asyncio.to_thread(data.read, _CHUNK_BYTES):
                size += len(piece)
                yield piece
                progress(table["name"], size)

    try:
        said = await connection.copy_to_table(
            table["name"], source=pieces(), columns=table["columns"], format="csv"
        )
    except KeyError:
        raise NoCopy(f"the table {table['name']} is missing") from None
    if _rows(said) != table["rows"]:
        raise NoCopy(f"{_rows(said):,} rows of {table['name']} instead of {table['rows']:,}")


def _rows(said: str) -> int:
    """`COPY 17`: 17."""
    return int(said.rpartition(" ")[2])


async def _prepare(connection: Tx, migrations: Sequence[str]) -> None:
    """Tables as they were when the copy was made: made now where there are none, else they must be these, and empty."""
    tables = await connection.fetch(_TABLES)
    if not tables:
        await migrate.make(connection, migrations)
        return
    try:
        applied = await connection.fetch(f"SELECT name FROM {_MIGRATIONS} ORDER BY name")
    except asyncpg.UndefinedTableError:
        raise NotEmpty("it has tables that are not Wongate's") from None
    if [row["name"] for row in applied] != list(migrations):
        raise NotEmpty("it has tables of another version than the copy's")
    for row in tables:
        table = row["tablename"]
        if table != _MIGRATIONS and await connection.fetchval(f'SELECT EXISTS (SELECT FROM "{table}")'):
            raise NotEmpty(f"there are rows in its table {table}")


async def _months_until(connection: Tx) -> date:
    """The end of the last month that has a partition: a sandbox whose clock was moved may be years ahead."""
    return max(
        [one.until for table in partitions.TABLES for one in await partitions.every(connection, table)]
    )


async def _make_months(connection: Tx, until: date) -> None:
    for table in partitions.TABLES:
        await partitions.make_ahead(connection, table, until - timedelta(days=1) - partitions.AHEAD)


async def _doubt_refunds(connection: Tx) -> None:
    """A refund that was still to be sent may have been sent since the copy was made; sent again, it could go back twice. So it is
    taken for one whose sender died: the provider is asked first, and a partial one waits for a notice or a person (N-12)."""
    await connection.execute(
        "INSERT INTO transition (project_id, operation_id, seq, event, status, stage, payment_status, code, final, note, at) "
        "SELECT o.project_id, o.operation_id, o.seq + 1, 'sent', o.status, 'cancelling', p.status, o.code, false, "
        "'restored from a copy: it may have been sent since', o.wake_at FROM operation o "
        "JOIN payment p ON p.project_id = o.project_id AND p.payment_no = o.payment_no "
        "WHERE o.kind = 'refund' AND o.stage = 'reserved'"
    )
    await connection.execute(
        "UPDATE operation SET stage = 'cancelling', seq = seq + 1 WHERE kind = 'refund' AND stage = 'reserved'"
    )
    await connection.execute(
        "UPDATE operation SET details = details - 'may_repeat' WHERE kind = 'refund' AND stage <> 'done'"
    )
