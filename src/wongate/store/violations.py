"""What pages were reported for: one row for each kind."""

from collections.abc import Sequence
from datetime import datetime

from wongate.connections.database import Tx
from wongate.domain.violation import Kind, Violation


async def note(tx: Tx, kind: Kind, now: datetime, *, new_since: datetime, new_max: int) -> None:
    """A kind that is not known yet is kept only while fewer than `new_max` have come since `new_since`."""
    known = await tx.fetchval(
        "UPDATE violation SET last_at = $4 WHERE directive = $1 AND blocked = $2 AND page = $3 RETURNING true",
        *kind,
        now,
    )
    if known or new_max <= await tx.fetchval("SELECT count(*) FROM violation WHERE first_at > $1", new_since):
        return
    await tx.execute(
        "INSERT INTO violation (directive, blocked, page, first_at, last_at) VALUES ($1, $2, $3, $4, $4) "
        "ON CONFLICT DO NOTHING",
        *kind,
        now,
    )


async def latest(tx: Tx, limit: int) -> Sequence[Violation]:
    rows = await tx.fetch(
        "SELECT directive, blocked, page, first_at, last_at FROM violation "
        "ORDER BY last_at DESC, directive, blocked, page LIMIT $1",
        limit,
    )
    return [Violation(**row) for row in rows]


async def forget(tx: Tx, before: datetime) -> None:
    await tx.execute("DELETE FROM violation WHERE last_at < $1", before)
