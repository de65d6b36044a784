"""The audit log of people: rows that are only ever added, each sealed by a hash over the one before it."""

from collections.abc import AsyncIterator, Sequence

from wongate.connections.database import Tx
from wongate.domain.audit import Entry

_COLUMNS = ", ".join(Entry.__slots__)


async def lock_head(tx: Tx) -> tuple[int, str]:
    """Number and hash of the last entry. Writers wait here for one another; taken last, after every other lock."""
    await tx.execute("INSERT INTO audit_head (id, seq, hash) VALUES (1, 0, '') ON CONFLICT DO NOTHING")
    await tx.fetchval("SELECT 1 FROM audit_head WHERE id = 1 FOR UPDATE")
    return await head(tx)


async def head(tx: Tx) -> tuple[int, str]:
    """Zero and an empty text before the first entry."""
    row = await tx.fetchrow("SELECT seq, hash FROM audit_head WHERE id = 1")
    return (row["seq"], row["hash"]) if row else (0, "")


async def append(tx: Tx, entry: Entry) -> None:
    await tx.execute(
        f"INSERT INTO audit_entry ({_COLUMNS}) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
        entry.seq,
        entry.at,
        entry.person_id,
        entry.actor,
        entry.address,
        entry.action,
        entry.object,
        list(entry.project_ids),
        entry.before,
        entry.after,
        entry.confirmed,
        entry.hash,
    )
    await tx.execute("UPDATE audit_head SET seq = $1, hash = $2 WHERE id = 1", entry.seq, entry.hash)


async def walk(tx: Tx, rows_at_once: int = 1000) -> AsyncIterator[Sequence[Entry]]:
    """The whole log in order, a thousand rows at a time."""
    after = -(2**62)
    while True:
        rows = await tx.fetch(
            f"SELECT {_COLUMNS} FROM audit_entry WHERE seq > $1 ORDER BY seq LIMIT $2", after, rows_at_once
        )
        if not rows:
            return
        yield [Entry.of(row) for row in rows]
        after = rows[-1]["seq"]
