"""Provider notices, kept raw and once: a repeat only counts up (F9)."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from wongate.connections.database import Tx


async def record(
    tx: Tx,
    *,
    project_id: int,
    operation_id: int,
    reference: str,
    state: str,
    raw: Mapping[str, str],
    now: datetime,
) -> None:
    """Insert or count: two deliveries at the same instant are both fine, and the notice is handled once."""
    await tx.execute(
        "INSERT INTO notice (project_id, operation_id, reference, state, raw, received_at, wake_at) "
        "VALUES ($1, $2, $3, $4, $5, $6, $6) ON CONFLICT (project_id, reference, state) DO UPDATE SET times = notice.times + 1",
        project_id,
        operation_id,
        reference,
        state,
        raw,
        now,
    )


async def projects_to_wake(tx: Tx, now: datetime) -> list[int]:
    rows = await tx.fetch(
        "SELECT p.project_id FROM project p CROSS JOIN LATERAL (SELECT 1 FROM notice n "
        "WHERE n.project_id = p.project_id AND n.wake_at <= $1 ORDER BY n.wake_at LIMIT 1) due ORDER BY p.project_id",
        now,
    )
    return [row["project_id"] for row in rows]


async def claim(tx: Tx, project_id: int, now: datetime, lease_until: datetime) -> list[Mapping[str, Any]]:
    """Notices whose time has come, oldest first."""
    rows = await tx.fetch(
        "UPDATE notice SET wake_at = $3 WHERE project_id = $1 AND (reference, state) IN "
        "(SELECT reference, state FROM notice WHERE project_id = $1 AND wake_at <= $2 "
        "ORDER BY wake_at, reference, state LIMIT 50 FOR UPDATE SKIP LOCKED) "
        "RETURNING project_id, operation_id, reference, state, raw, received_at",
        project_id,
        now,
        lease_until,
    )
    order = ("received_at", "reference", "state")
    return sorted((dict(row) for row in rows), key=lambda row: [row[name] for name in order])


async def finish(tx: Tx, project_id: int, reference: str, state: str, verdict: str) -> None:
    await tx.execute(
        "UPDATE notice SET wake_at = NULL, verdict = $4 WHERE project_id = $1 AND reference = $2 AND state = $3",
        project_id,
        reference,
        state,
        verdict,
    )
