"""Months of history as partitions: made ahead, taken off and dropped when they are kept no longer (migration 0008).

They are cut by `operation_id`: numbers are ordered by time, so that the month of a row stands in its key. What is older than
`FIRST_UNTIL` lies in one first partition. Nothing here holds payments up: a lock that is not free at once is left for later.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

import asyncpg

from wongate.connections.database import Tx
from wongate.connections.ids import first_made_at

TABLES = ("exchange", "callback", "attempt")
FIRST_UNTIL = date(2027, 1, 1)
LOCK_TIMEOUT = "200ms"
DETACH_TIMEOUT = "2s"
"""Detaching waits for transactions that are under way, but nobody waits for it."""

AHEAD = timedelta(days=92)
"""A worker may be away for as long before a row finds no partition. `wongate migrate` makes them too."""

# Or being made: which of them it is depends on how far the other starter has come.
_MADE_BY_ANOTHER = (
    asyncpg.DuplicateTableError,
    asyncpg.DuplicateObjectError,
    asyncpg.UniqueViolationError,
    asyncpg.LockNotAvailableError,
)

_MONTHLY = re.compile(r"_(\d{4})_(\d\d)$")

# Also those that have been taken off, or nearly, by somebody who did not come to drop them.
_PARTITIONS = """
SELECT c.relname AS name, i.inhparent IS NOT NULL AS attached, coalesce(i.inhdetachpending, false) AS leaving
FROM pg_class c LEFT JOIN pg_inherits i ON i.inhrelid = c.oid
WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r'
  AND (i.inhparent = $1::regclass OR c.relname ~ ('^' || $1 || '_\\d{4}_\\d\\d$'))
ORDER BY c.relname
"""


@dataclass(frozen=True, slots=True)
class Partition:
    """`until` is the first day that it does not hold; `leaving`: its taking off was begun and not finished."""

    table: str
    name: str
    until: date
    attached: bool
    leaving: bool


async def every(tx: Tx, table: str) -> list[Partition]:
    """All of a table, oldest first."""
    rows = await tx.fetch(_PARTITIONS, table)
    found = [
        Partition(table, row["name"], _until(row["name"]), row["attached"], row["leaving"]) for row in rows
    ]
    return sorted(found, key=lambda partition: partition.until)


async def make_ahead(tx: Tx, table: str, today: date) -> list[str]:
    """Makes the partitions of the months up to `AHEAD` from today that are missing, without gaps; answers with their names.

    Any number of starters may try at once; what is busy now is left to the next one.
    """
    held_until = max((one.until for one in await every(tx, table) if one.attached), default=FIRST_UNTIL)
    made: list[str] = []
    for month in _months(held_until, today + AHEAD):
        try:
            made.append(await _make(tx, table, month))
        except _MADE_BY_ANOTHER:
            return made
    return made


async def _make(tx: Tx, table: str, month: date) -> str:
    """Made apart and then attached: CREATE ... PARTITION OF would lock the whole table."""
    name = f"{table}_{month:%Y_%m}"
    bounds = f"FROM ({_first_number(month)}) TO ({_first_number(_next(month))})"
    async with tx.transaction():
        await tx.execute(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'")
        await tx.execute(f"CREATE TABLE {name} (LIKE {table} INCLUDING ALL)")
        await tx.execute(f"ALTER TABLE {table} ATTACH PARTITION {name} FOR VALUES {bounds}")
    return name


async def drop(tx: Tx, partition: Partition) -> None:
    """Takes the partition off beside running reads and writes, then drops it. Wants a connection outside a transaction."""
    if partition.attached:
        how = "FINALIZE" if partition.leaving else "CONCURRENTLY"
        await tx.execute(f"SET lock_timeout = '{DETACH_TIMEOUT}'")  # no transaction, so no SET LOCAL
        try:
            await tx.execute(f"ALTER TABLE {partition.table} DETACH PARTITION {partition.name} {how}")
        finally:
            await tx.execute("RESET lock_timeout")
    async with tx.transaction():
        await tx.execute(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'")
        await tx.execute(f"DROP TABLE {partition.name}")


def _until(name: str) -> date:
    month = _MONTHLY.search(name)
    return _next(date(int(month[1]), int(month[2]), 1)) if month else FIRST_UNTIL


def _months(first: date, last: date) -> Iterator[date]:
    while first <= last:
        yield first
        first = _next(first)


def _next(month: date) -> date:
    return date(month.year + month.month // 12, month.month % 12 + 1, 1)


def _first_number(month: date) -> int:
    return first_made_at(datetime(month.year, month.month, 1, tzinfo=UTC))
