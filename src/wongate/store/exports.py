"""Exports: asked for, claimed by a worker, made, kept for some days; the file lies beside its row in pieces, so that any web
process can hand it out, wherever the worker ran."""

import zlib
from datetime import datetime

from wongate.connections.database import Tx
from wongate.domain.report import Export

_COLUMNS = (
    "export_id, person_id, schedule_id, run_at, name, format, query, filter, columns, headings, language, time_zone, recipients, "
    "state, rows_done, rows_total, file_name, file_size, error, attempt, created_at, finished_at"
)


async def insert(tx: Tx, export: Export) -> bool:
    """False when this appointment of its schedule has its export already."""
    return bool(
        await tx.fetchval(
            "INSERT INTO export (export_id, person_id, schedule_id, run_at, name, format, query, filter, columns, headings, "
            "language, time_zone, recipients, state, created_at, due_at) "
            "VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, 'waiting', $14, $14) "
            "ON CONFLICT (schedule_id, run_at) WHERE run_at IS NOT NULL DO NOTHING RETURNING true",
            export.export_id,
            export.person_id,
            export.schedule_id,
            export.run_at,
            export.name,
            export.format,
            export.query,
            export.filter,
            list(export.columns),
            list(export.headings),
            export.language,
            export.time_zone,
            list(export.recipients),
            export.created_at,
        )
    )


async def claim(tx: Tx, now: datetime, lease_until: datetime) -> Export | None:
    """The export that waits longest, leased; its `attempt` is the fencing number."""
    row = await tx.fetchrow(
        "WITH due AS MATERIALIZED (SELECT export_id FROM export WHERE state = 'waiting' AND due_at <= $1 "
        "ORDER BY due_at LIMIT 1 FOR UPDATE SKIP LOCKED) "
        "UPDATE export e SET due_at = $2, attempt = attempt + 1, rows_done = 0 FROM due WHERE e.export_id = due.export_id "
        f"RETURNING {_COLUMNS.replace('export_id', 'e.export_id', 1)}",
        now,
        lease_until,
    )
    return Export(**row) if row else None


async def progress(tx: Tx, export: Export, done: int, total: int, lease_until: datetime) -> bool:
    """Notes how far it is and keeps the lease; False when another worker has it by now."""
    return bool(
        await tx.fetchval(
            "UPDATE export SET rows_done = $3, rows_total = $4, due_at = $5 "
            "WHERE export_id = $1 AND attempt = $2 AND state = 'waiting' RETURNING true",
            export.export_id,
            export.attempt,
            done,
            total,
            lease_until,
        )
    )


def packed(content: bytes) -> bytes:
    """As fast as zlib can: 0.5 ms for 64 KB of CSV, of which 24 remain. PostgreSQL itself takes 1.7 ms, and 32 remain."""
    return zlib.compress(content, 1)


async def add_piece(tx: Tx, export: Export, piece: int, content: bytes, *, is_packed: bool) -> None:
    """Its commit does not wait for the disk: that of `finish` does, for all pieces before it too."""
    await tx.execute(
        "INSERT INTO export_piece (export_id, attempt, piece, content, packed) "
        "SELECT $1::bigint, $2::int, $3::int, $4::bytea, $5::boolean FROM set_config('synchronous_commit', 'off', true)",
        export.export_id,
        export.attempt,
        piece,
        content,
        is_packed,
    )


async def finish(tx: Tx, export: Export, file_name: str, file_size: int, rows: int, now: datetime) -> bool:
    """The file is whole. False when another worker has the export by now: nothing was changed."""
    return bool(
        await tx.fetchval(
            "UPDATE export SET state = 'ready', file_name = $3, file_size = $4, rows_done = $5, rows_total = $5, "
            "finished_at = $6 WHERE export_id = $1 AND attempt = $2 AND state = 'waiting' RETURNING true",
            export.export_id,
            export.attempt,
            file_name,
            file_size,
            rows,
            now,
        )
    )


async def fail(tx: Tx, export: Export, error: str, now: datetime) -> None:
    await tx.execute(
        "UPDATE export SET state = 'failed', error = $3, finished_at = $4 "
        "WHERE export_id = $1 AND attempt = $2 AND state = 'waiting'",
        export.export_id,
        export.attempt,
        error,
        now,
    )


async def load(tx: Tx, export_id: int) -> Export | None:
    row = await tx.fetchrow(f"SELECT {_COLUMNS} FROM export WHERE export_id = $1", export_id)
    return Export(**row) if row else None


async def of_person(tx: Tx, person_id: int, before: int | None, limit: int) -> list[Export]:
    """Newest first; `before` is the last one of the page before."""
    rows = await tx.fetch(
        f"SELECT {_COLUMNS} FROM export WHERE person_id = $1 AND ($2::bigint IS NULL OR export_id < $2) "
        "ORDER BY export_id DESC LIMIT $3",
        person_id,
        before,
        limit,
    )
    return [Export(**row) for row in rows]


async def of_schedule(tx: Tx, schedule_id: int, limit: int) -> list[Export]:
    rows = await tx.fetch(
        f"SELECT {_COLUMNS} FROM export WHERE schedule_id = $1 ORDER BY export_id DESC LIMIT $2",
        schedule_id,
        limit,
    )
    return [Export(**row) for row in rows]


async def piece(tx: Tx, export: Export, number: int) -> bytes | None:
    """A part of the file, None beyond its end."""
    row = await tx.fetchrow(
        "SELECT content, packed FROM export_piece WHERE export_id = $1 AND attempt = $2 AND piece = $3",
        export.export_id,
        export.attempt,
        number,
    )
    if row is None:
        return None
    content: bytes = zlib.decompress(row["content"]) if row["packed"] else row["content"]
    return content


async def waiting_of(tx: Tx, person_id: int) -> int:
    count: int = await tx.fetchval(
        "SELECT count(*) FROM export WHERE person_id = $1 AND state = 'waiting'", person_id
    )
    return count


async def remove_files(tx: Tx, before: datetime) -> int:
    """Takes away files that were finished before then; what broken attempts left behind goes as well."""
    removed = await tx.fetch(
        "UPDATE export SET state = 'removed' WHERE state = 'ready' AND finished_at < $1 RETURNING export_id",
        before,
    )
    await tx.execute(
        "DELETE FROM export_piece p USING export e WHERE e.export_id = p.export_id "
        "AND (e.state IN ('removed', 'failed') OR p.attempt < e.attempt)"
    )
    return len(removed)
