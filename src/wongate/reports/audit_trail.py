"""The audit log as people read it: filtered, newest first, page by page, and as a stream for export. SELECT only."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from wongate.connections.database import Database
from wongate.domain.audit import Entry

PAGE = 50
ROWS_AT_ONCE = 1000
_COLUMNS = ", ".join(Entry.__slots__)


@dataclass(frozen=True, slots=True)
class Trail:
    """Rows that concern one of the projects. Empty members match everything; texts match anywhere, without case."""

    project_ids: tuple[int, ...]
    since: datetime | None = None
    until: datetime | None = None
    actor: str = ""
    action: str = ""
    object: str = ""


async def page(database: Database, trail: Trail, before: int | None = None) -> Sequence[Entry]:
    """Up to one row more than a page holds, so that the reader knows whether there is more."""
    async with database.read() as tx:
        return await _rows(tx, trail, before, PAGE + 1)


async def stream(database: Database, trail: Trail) -> AsyncIterator[Entry]:
    """Every row, newest first, a thousand at a time."""
    before = None
    while True:
        async with database.read() as tx:
            entries = await _rows(tx, trail, before, ROWS_AT_ONCE)
        for entry in entries:
            yield entry
        if len(entries) < ROWS_AT_ONCE:
            return
        before = entries[-1].seq


async def actions(database: Database, project_ids: Sequence[int]) -> list[str]:
    """The kinds of deeds that occur, for a choice."""
    async with database.read() as tx:
        rows = await tx.fetch(
            "SELECT DISTINCT action FROM audit_entry WHERE project_ids && $1 ORDER BY 1", list(project_ids)
        )
    return [row["action"] for row in rows]


async def _rows(tx: Any, trail: Trail, before: int | None, limit: int) -> list[Entry]:
    rows = await tx.fetch(
        f"SELECT {_COLUMNS} FROM audit_entry WHERE project_ids && $1 AND ($2::bigint IS NULL OR seq < $2) "
        "AND ($3::timestamptz IS NULL OR at >= $3) AND ($4::timestamptz IS NULL OR at < $4) "
        "AND ($5 = '' OR strpos(lower(actor), lower($5)) > 0) AND ($6 = '' OR action = $6) "
        "AND ($7 = '' OR strpos(lower(object), lower($7)) > 0) ORDER BY seq DESC LIMIT $8",
        list(trail.project_ids),
        before,
        trail.since,
        trail.until,
        trail.actor,
        trail.action,
        trail.object,
        limit,
    )
    return [Entry.of(row) for row in rows]
