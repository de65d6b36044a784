"""Callbacks that somebody wants sent again. They wait in the callback's own row, beside its schedule and without touching it."""

from collections.abc import Sequence
from datetime import datetime

from wongate.connections.database import Tx
from wongate.store.callbacks import Due, Sent


async def ask(tx: Tx, callbacks: Sequence[tuple[int, int, int]], now: datetime) -> int:
    """(project_id, operation_id, callback_id) each; answers how many there are."""
    rows = await tx.fetch(
        "UPDATE callback c SET by_hand_at = $4 FROM unnest($1::bigint[], $2::bigint[], $3::bigint[]) "
        "AS r(project_id, operation_id, callback_id) WHERE c.project_id = r.project_id "
        "AND c.operation_id = r.operation_id AND c.callback_id = r.callback_id RETURNING 1",
        *([key[place] for key in callbacks] for place in range(3)),
        now,
    )
    return len(rows)


async def projects_asked(tx: Tx, now: datetime) -> list[int]:
    rows = await tx.fetch(
        "SELECT p.project_id FROM project p CROSS JOIN LATERAL (SELECT 1 FROM callback c "
        "WHERE c.project_id = p.project_id AND c.by_hand_at <= $1 ORDER BY c.by_hand_at LIMIT 1) due",
        now,
    )
    return [row["project_id"] for row in rows]


async def claim(tx: Tx, project_id: int, now: datetime, lease_until: datetime, limit: int) -> list[Due]:
    """Takes what is asked for. The attempt is counted here, so that no other send has its number."""
    rows = await tx.fetch(
        "WITH due AS MATERIALIZED (SELECT operation_id, callback_id FROM callback WHERE project_id = $1 "
        "AND by_hand_at <= $2 ORDER BY by_hand_at LIMIT $4 FOR UPDATE SKIP LOCKED) "
        "UPDATE callback c SET by_hand_at = $3, attempt = attempt + 1 FROM due WHERE c.project_id = $1 "
        "AND c.operation_id = due.operation_id AND c.callback_id = due.callback_id "
        "RETURNING c.project_id, c.operation_id, c.callback_id, c.payment_no, c.intermediate, c.lane, c.url, c.body, "
        "c.attempt, c.failures",
        project_id,
        now,
        lease_until,
        limit,
    )
    return [Due(**row) for row in rows]


async def record(tx: Tx, sent: Sent) -> None:
    """Keeps the attempt. A delivery ends the schedule; a failure leaves it as it was."""
    due = sent.due
    key = (due.project_id, due.operation_id, due.callback_id)
    await tx.execute(
        "INSERT INTO attempt (project_id, operation_id, callback_id, attempt, at, duration_ms, http_status, error, response, "
        "by_hand) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, true) ON CONFLICT DO NOTHING",
        *key,
        due.attempt,
        sent.at,
        sent.duration_ms,
        sent.http_status,
        sent.error,
        sent.response,
    )
    await tx.execute(
        "UPDATE callback SET by_hand_at = NULL WHERE project_id = $1 AND operation_id = $2 AND callback_id = $3 "
        "AND attempt = $4",
        *key,
        due.attempt,
    )
    if sent.state == "delivered":
        await tx.execute(
            "UPDATE callback SET state = 'delivered', due_at = $4, finished_at = $4 "
            "WHERE project_id = $1 AND operation_id = $2 AND callback_id = $3 AND state IN ('waiting', 'failed')",
            *key,
            sent.at,
        )
