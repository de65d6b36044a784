"""Books of ten million payments from those of a million, copied inside PostgreSQL.

The state machine's stories cost 0.27 ms of Python a payment, so a million of them are told and the rest are their copies: the
same year of a shop with as many times the payments and the customers. A copy has numbers, ids, times (3 min 17 s earlier each)
and a customer of its own in every key and index; the words that were exchanged with the shop and with the provider stay the
original's, signatures with them. Constraints and indexes come off while rows are loaded and are built and checked anew at the
end, all in one transaction; then VACUUM does what autovacuum would have done over the year.
"""

import asyncio
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import asyncpg
from tests.database import server_for_tests

from wongate.store import roll_ups

TABLES = ("payment", "operation", "transition", "ledger_entry", "exchange", "callback", "attempt")

LOADING = {
    "fsync": "off",
    "full_page_writes": "off",
    "synchronous_commit": "off",
    "autovacuum": "off",
    "shared_buffers": "1GB",
    "maintenance_work_mem": "1GB",
    "work_mem": "256MB",
}
"""For the loading alone: the books are measured by a durable server that is started afterwards."""

STEP_MS = 197_000
COUNT_MAX = 3
"""The most that a made-up number counts within its millisecond; each copy counts on from there."""
TIMES_MAX = 64 // (COUNT_MAX + 1)

MADE_UP = "{} & 2048 <> 0"
"""Numbers of the made-up past come from the upper half of the nodes (history/stories.py); sales that a bench took in do not."""

_NUMBER = f"{{0}} - k * {STEP_MS << 12} + k * {COUNT_MAX + 1}"
_NUMBERS = {
    name: _NUMBER.format(name)
    for name in ("payment_no", "operation_id", "sale_id", "callback_id", "exchange_no")
}
_EARLIER = f"k * interval '{STEP_MS} ms'"
_REFERENCE_TIME = "left(right(reference, 16), 12)"
_TIME_FORMAT = "'YYMMDDHH24MISS'"

_TEXTS: Mapping[str, Mapping[str, str]] = {
    "payment": {
        "payment_id": f"'H' || {_NUMBERS['payment_no']}",
        "payment_key": f"'h' || {_NUMBERS['payment_no']}",
        "customer_id": "customer_id || '-' || k",
    },
    "operation": {
        "request_id": f"lpad(to_hex({_NUMBERS['operation_id']}), 14, '0') || substr(request_id, 15)",
        "order_number": "split_part(order_number, 'W', 1) || 'W' || "
        + _NUMBER.format("split_part(order_number, 'W', 2)::bigint"),
        "reference": "CASE WHEN reference = '' THEN '' ELSE left(reference, -16) || "
        f"to_char(to_timestamp({_REFERENCE_TIME}, {_TIME_FORMAT}) - {_EARLIER}, {_TIME_FORMAT}) "
        "|| right(reference, 4) END",
    },
}

_CONSTRAINTS = """
SELECT conrelid::regclass::text AS owner, conname AS name, contype = 'f' AS reference, pg_get_constraintdef(oid) AS definition
FROM pg_constraint WHERE conrelid = ANY($1::regclass[]) AND conparentid = 0 AND contype IN ('p', 'u', 'f') ORDER BY contype <> 'f'
"""
_INDEXES = """
SELECT indexrelid::regclass::text AS name, replace(pg_get_indexdef(indexrelid), ' ON ONLY ', ' ON ') AS definition
FROM pg_index i WHERE indrelid = ANY($1::regclass[])
  AND NOT EXISTS (SELECT 1 FROM pg_constraint c WHERE c.conindid = i.indexrelid AND c.contype IN ('p', 'u'))
"""


def reach(books: Path, payments: int) -> None:
    """Copies the made-up payments of the books in that folder until there are about `payments`; nothing where they are there."""
    with server_for_tests(books / "database", LOADING) as server:
        asyncio.run(_reach(server.url, payments))


async def _reach(url: str, payments: int) -> None:
    connection = await asyncpg.connect(url, command_timeout=None, server_settings={"timezone": "UTC"})
    there = await _made_up(connection, "payment", "payment_no")
    times = round(payments / there)
    if times > 1:
        assert times <= TIMES_MAX, (
            f"{there:,} payments can be copied {TIMES_MAX} times at most: make up more first"
        )
        await _multiply(connection, times)
        for table in TABLES:
            _say(f"vacuuming {table}")
            await connection.execute(f"VACUUM (FREEZE, ANALYZE) {table}")
    await connection.close()


async def _made_up(connection: Any, table: str, number: str) -> int:
    return int(await connection.fetchval(f"SELECT count(*) FROM {table} WHERE {MADE_UP.format(number)}"))


async def _multiply(connection: Any, times: int) -> None:
    async with connection.transaction():
        counted = max(
            [
                await _counted(connection, *place)
                for place in (("payment", "payment_no"), ("operation", "operation_id"))
            ]
        )
        assert counted <= COUNT_MAX, f"{counted + 1} numbers in a millisecond leave copies no room"
        constraints = await connection.fetch(_CONSTRAINTS, TABLES)
        indexes = await connection.fetch(_INDEXES, TABLES)
        await _take_off(connection, constraints, indexes)
        for table in TABLES:
            await _copy(connection, table, times)
        await _put_back(connection, constraints, indexes)
        projects = await connection.fetch(
            "UPDATE history_day SET payments = payments * $1 RETURNING project_id", times
        )
        await roll_ups.forget(connection, sorted({row["project_id"] for row in projects}))


async def _counted(connection: Any, table: str, number: str) -> int:
    return int(
        await connection.fetchval(f"SELECT max({number} & 63) FROM {table} WHERE {MADE_UP.format(number)}")
    )


async def _take_off(connection: Any, constraints: Sequence[Any], indexes: Sequence[Any]) -> None:
    """References first: keys are needed by them."""
    for row in constraints:
        await connection.execute(f"ALTER TABLE {row['owner']} DROP CONSTRAINT {row['name']}")
    for row in indexes:
        await connection.execute(f"DROP INDEX {row['name']}")


async def _put_back(connection: Any, constraints: Sequence[Any], indexes: Sequence[Any]) -> None:
    """Which checks every key for being there once and every reference for leading somewhere."""
    for row in [row for row in constraints if not row["reference"]]:
        await _add_constraint(connection, row)
    for row in indexes:
        _say(f"index {row['name']}")
        await connection.execute(row["definition"])
    for row in [row for row in constraints if row["reference"]]:
        await _add_constraint(connection, row)


async def _add_constraint(connection: Any, row: Any) -> None:
    _say(f"constraint {row['name']}")
    await connection.execute(f"ALTER TABLE {row['owner']} ADD CONSTRAINT {row['name']} {row['definition']}")


async def _copy(connection: Any, table: str, times: int) -> None:
    number = "payment_no" if table == "payment" else "operation_id"
    before = await _made_up(connection, table, number)
    columns = await connection.fetch(
        "SELECT attname AS name, atttypid = 'timestamptz'::regtype AS is_time FROM pg_attribute "
        "WHERE attrelid = $1::text::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum",
        table,
    )
    values = ", ".join(_value(table, column["name"], column["is_time"]) for column in columns)
    names = ", ".join(column["name"] for column in columns)
    done = await connection.execute(
        f"INSERT INTO {table} ({names}) SELECT {values} FROM "
        f"(SELECT *, generate_series(1, {times - 1})::bigint AS k FROM {table} WHERE {MADE_UP.format(number)}) one"
    )
    assert done == f"INSERT 0 {before * (times - 1)}", (
        f"{before:,} rows of {table} were copied otherwise: {done}"
    )
    _say(f"{table}: {done}")


def _value(table: str, column: str, is_time: bool) -> str:
    if is_time:
        return f"{column} - {_EARLIER}"
    return _TEXTS.get(table, {}).get(column) or _NUMBERS.get(column, column)


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
