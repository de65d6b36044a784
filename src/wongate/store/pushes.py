"""Pushes of the Data API: answers on their way to a `destination_url` (E-23)."""

from dataclasses import dataclass
from datetime import datetime

from wongate.connections.database import Tx


@dataclass(frozen=True, slots=True)
class DuePush:
    """A push claimed for one send."""

    push_id: int
    lane: str
    url: str
    body: str
    attempt: int
    failures: int


async def enqueue(tx: Tx, push_id: int, token: str, lane: str, url: str, body: str, now: datetime) -> None:
    await tx.execute(
        "INSERT INTO push (push_id, token, lane, url, body, state, created_at, due_at) "
        "VALUES ($1, $2, $3, $4, $5, 'waiting', $6, $6)",
        push_id,
        token,
        lane,
        url,
        body,
        now,
    )


async def waiting(tx: Tx, token: str) -> int:
    count: int = await tx.fetchval("SELECT count(*) FROM push WHERE token = $1 AND state = 'waiting'", token)
    return count


async def lanes_due(tx: Tx, now: datetime) -> list[str]:
    rows = await tx.fetch("SELECT DISTINCT lane FROM push WHERE state = 'waiting' AND due_at <= $1", now)
    return [row["lane"] for row in rows]


async def claim(tx: Tx, lane: str, now: datetime, lease_until: datetime, limit: int) -> list[DuePush]:
    """What is due in one lane, oldest first. The attempt is counted here, before anything is sent (F16)."""
    rows = await tx.fetch(
        "WITH due AS MATERIALIZED (SELECT push_id FROM push WHERE lane = $1 AND state = 'waiting' AND due_at <= $2 "
        "ORDER BY due_at LIMIT $4 FOR UPDATE SKIP LOCKED) "
        "UPDATE push p SET due_at = $3, attempt = attempt + 1 FROM due WHERE p.push_id = due.push_id "
        "RETURNING p.push_id, p.lane, p.url, p.body, p.attempt, p.failures",
        lane,
        now,
        lease_until,
        limit,
    )
    return [DuePush(**row) for row in rows]


async def record(
    tx: Tx, due: DuePush, *, state: str, due_at: datetime, http_status: int | None, error: str, now: datetime
) -> None:
    """A send whose lease has passed to another worker changes nothing, and one recorded twice counts once."""
    await tx.execute(
        "UPDATE push SET state = $3, due_at = $4, http_status = $5, error = $6, failures = $7, "
        "finished_at = CASE WHEN $3 = 'waiting' THEN NULL ELSE $8::timestamptz END "
        "WHERE push_id = $1 AND attempt = $2 AND state = 'waiting'",
        due.push_id,
        due.attempt,
        state,
        due_at,
        http_status,
        error,
        due.failures + (state != "delivered"),
        now,
    )


async def remove_finished(tx: Tx, before: datetime) -> None:
    await tx.execute("DELETE FROM push WHERE finished_at < $1", before)
