"""Spreading the tables over the servers of a Citus cluster: the payment family by project, everything else in full on each."""

from collections.abc import Callable
from dataclasses import dataclass
from graphlib import TopologicalSorter
from typing import Any

import asyncpg

from wongate.connections.database import Unavailable, connect

COPIED = frozenset({"person_project", "history", "history_day", "project"})
"""Small tables that name a project and yet are the same on every server: they are read together with people, and of many projects
at once. Every other table with `project_id` in its primary key is spread."""

FIRST = "payment"
"""The others of the family lie beside it: rows of one project share a server, so that their joins and keys stay within it."""

_UNTOUCHED = "schema_migration"  # read and written by `wongate migrate` alone, on the coordinator

# Partitions follow their table. A key that leads to a partitioned table has a copy for each partition, which has a parent.
_TABLES = """
    SELECT c.relname AS name,
           EXISTS (SELECT FROM pg_index i JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = ANY (i.indkey)
                   WHERE i.indrelid = c.oid AND i.indisprimary AND a.attname = 'project_id') AS by_project,
           ARRAY(SELECT DISTINCT target.relname::text FROM pg_constraint k JOIN pg_class target ON target.oid = k.confrelid
                 WHERE k.conrelid = c.oid AND k.contype = 'f' AND k.conparentid = 0) AS refers_to
    FROM pg_class c
    WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relnamespace = 'public'::regnamespace
    ORDER BY c.relname
"""


class NotDistributable(Exception):
    """This server spreads no tables, or refused to; the text is for the operator."""


@dataclass(frozen=True, slots=True)
class Table:
    name: str
    spread: bool
    refers_to: tuple[str, ...]


async def distribute(url: str, say: Callable[[str], None] = lambda _: None) -> int:
    """Makes reference tables, then distributed tables, of all that are not yet; the number of tables done now.

    Each table is a step of its own: a run that broke off is taken up again by the next one. Rows that are there already move to
    their servers, and a table takes no writes meanwhile. Raises NotDistributable, Unavailable.
    """
    connection = await connect(url)
    try:
        await connection.execute("SET lock_timeout = '5s'")
        return await _distribute(connection, say)
    except asyncpg.PostgresError as error:
        raise NotDistributable(f"the server refused: {' '.join(str(error).split())}") from error
    except (OSError, asyncpg.InterfaceError) as error:
        raise Unavailable(f"the connection to the database was lost: {error}") from error
    finally:
        await connection.close()


async def _distribute(connection: asyncpg.Connection, say: Callable[[str], None]) -> int:
    if not await connection.fetchval("SELECT to_regproc('create_distributed_table') IS NOT NULL"):
        raise NotDistributable(
            "this server has no Citus, and a single PostgreSQL needs none: leave out --distribute, or name a Citus coordinator"
        )
    known = await _already_done(connection)
    new = [table for table in await tables_in_order(connection) if table.name not in known]
    for table in new:
        await (_spread if table.spread else _copy)(connection, table)
        say(f"{table.name}: {'spread by project' if table.spread else 'the same on every server'}")
    return len(new)


async def tables_in_order(connection: asyncpg.Connection) -> list[Table]:
    """Each after those that its foreign keys lead to; what is copied everywhere before what is spread."""
    rows = await connection.fetch(_TABLES)
    tables = {
        row["name"]: Table(
            row["name"], row["by_project"] and row["name"] not in COPIED, tuple(row["refers_to"])
        )
        for row in rows
        if row["name"] != _UNTOUCHED
    }
    sorter = TopologicalSorter({name: sorted({*table.refers_to} - {name}) for name, table in tables.items()})
    in_order = [tables[name] for name in sorter.static_order()]
    return sorted(in_order, key=lambda table: (table.spread, table.spread and table.name != FIRST))


async def _already_done(connection: asyncpg.Connection) -> set[str]:
    """Tables that Citus keeps on the coordinator for the sake of a foreign key (`local`) are still to do."""
    rows = await connection.fetch(
        "SELECT c.relname FROM citus_tables t JOIN pg_class c ON c.oid = t.table_name "
        "WHERE t.citus_table_type IN ('distributed', 'reference')"
    )
    return {row["relname"] for row in rows}


async def _copy(connection: asyncpg.Connection, table: Table) -> Any:
    await connection.execute(f"SELECT create_reference_table('{table.name}')")


async def _spread(connection: asyncpg.Connection, table: Table) -> Any:
    beside = "none" if table.name == FIRST else FIRST
    await connection.execute(
        f"SELECT create_distributed_table('{table.name}', 'project_id', colocate_with => '{beside}')"
    )
