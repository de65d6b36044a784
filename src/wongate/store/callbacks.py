"""Callbacks: enqueued with the status they report, claimed lane by lane, each send recorded."""

from collections.abc import Sequence, Set
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from wongate.connections.database import Tx
from wongate.store.rows import FEW, as_json, insert

_ATTEMPT = (
    "project_id bigint, operation_id bigint, callback_id bigint, attempt integer, at timestamptz, duration_ms integer, "
    "http_status integer, error text, response text"
)
_RECORD = (
    insert("attempt", _ATTEMPT, " ON CONFLICT DO NOTHING"),
    "UPDATE callback c SET state = r.state, due_at = r.due_at, failures = r.failures, "
    "finished_at = CASE WHEN r.state = 'waiting' THEN NULL ELSE r.at END "
    "FROM json_to_recordset($1::json) AS r(project_id bigint, operation_id bigint, callback_id bigint, attempt integer, "
    "at timestamptz, state text, due_at timestamptz, failures integer) "
    "WHERE c.project_id = r.project_id AND c.operation_id = r.operation_id AND c.callback_id = r.callback_id "
    f"AND c.attempt = r.attempt AND c.state = 'waiting' AND {FEW}",
    "UPDATE callback c SET state = 'dropped', finished_at = r.at "
    "FROM json_to_recordset($1::json) AS r(project_id bigint, operation_id bigint, at timestamptz, arrived boolean) "
    f"WHERE r.arrived AND {FEW} AND c.project_id = r.project_id AND c.operation_id = r.operation_id AND c.intermediate "
    "AND c.state = 'waiting' AND NOT EXISTS "
    "(SELECT FROM json_to_recordset($1::json) AS s(callback_id bigint, attempt integer) "
    "WHERE s.callback_id = c.callback_id AND s.attempt = c.attempt)",
)
"""Three parts that touch no row in common: PostgreSQL writes a row once in a statement."""

_RECORD_TOGETHER = "WITH attempts AS ({}), results AS ({}) {}".format(*_RECORD)


@dataclass(frozen=True, slots=True)
class Due:
    """A callback claimed for one send."""

    project_id: int
    operation_id: int
    callback_id: int
    payment_no: int
    intermediate: bool
    lane: str
    url: str
    body: str
    attempt: int
    failures: int


@dataclass(frozen=True, slots=True)
class Sent:
    """How one send ended; `state` and `due_at` are the callback's next ones."""

    due: Due
    at: datetime
    duration_ms: int
    http_status: int | None
    error: str
    response: str
    state: str
    due_at: datetime


async def open_lanes(tx: Tx, lanes: Sequence[tuple[int, str]]) -> None:
    await tx.execute(
        "INSERT INTO lane (project_id, lane) SELECT * FROM unnest($1::bigint[], $2::text[]) ON CONFLICT DO NOTHING",
        [project_id for project_id, _ in lanes],
        [lane for _, lane in lanes],
    )


async def lanes_due(tx: Tx, now: datetime) -> list[tuple[int, str]]:
    """Lanes with a callback to send, read without locks: one index probe per lane, however many rows wait.

    The ORDER BY inside says so: as EXISTS it became a join that read all callbacks (0.4 s with 200,000 waiting in 2,000 lanes).
    """
    rows = await tx.fetch(
        "SELECT l.project_id, l.lane FROM lane l CROSS JOIN LATERAL (SELECT 1 FROM callback c WHERE c.project_id = l.project_id "
        "AND c.lane = l.lane AND c.state = 'waiting' AND c.due_at <= $1 ORDER BY c.due_at LIMIT 1) due "
        "ORDER BY l.project_id, l.lane",
        now,
    )
    return [(row["project_id"], row["lane"]) for row in rows]


async def claim(
    tx: Tx, project_id: int, lane: str, now: datetime, lease_until: datetime, limit: int
) -> list[Due]:
    """Takes what is due in one lane, oldest first. The attempt is counted here, before anything is sent (F16)."""
    rows = await tx.fetch(
        "WITH due AS MATERIALIZED (SELECT operation_id, callback_id FROM callback WHERE project_id = $1 AND lane = $2 "
        "AND state = 'waiting' AND due_at <= $3 ORDER BY due_at, callback_id LIMIT $5 FOR UPDATE SKIP LOCKED) "
        "UPDATE callback c SET due_at = $4, attempt = attempt + 1 FROM due WHERE c.project_id = $1 "
        "AND c.operation_id = due.operation_id AND c.callback_id = due.callback_id "
        "RETURNING c.project_id, c.operation_id, c.callback_id, c.payment_no, c.intermediate, c.lane, c.url, c.body, "
        "c.attempt, c.failures",
        project_id,
        lane,
        now,
        lease_until,
        limit,
    )
    return sorted((Due(**row) for row in rows), key=lambda due: due.callback_id)


async def record(tx: Tx, sent: Sequence[Sent]) -> None:
    """Writes attempts and the callbacks' next state; a send whose lease has passed to another worker changes no callback, and
    one recorded twice counts once.

    Where a final callback has arrived, the intermediate ones of its operation that still wait are dropped (E-20). One statement,
    but where tables are spread over servers.
    """
    arrived = {
        (s.due.project_id, s.due.operation_id)
        for s in sent
        if s.state == "delivered" and not s.due.intermediate
    }
    rows = as_json([_recorded(s, arrived) for s in sent])
    if tx.spread:
        for part in _RECORD:
            await tx.execute(part, rows)
    else:
        await tx.execute(_RECORD_TOGETHER, rows)


def _recorded(sent: Sent, arrived: Set[tuple[int, int]]) -> dict[str, Any]:
    due = sent.due
    pointless = due.intermediate and (due.project_id, due.operation_id) in arrived
    return {
        "project_id": due.project_id,
        "operation_id": due.operation_id,
        "callback_id": due.callback_id,
        "attempt": due.attempt,
        "at": sent.at,
        "duration_ms": sent.duration_ms,
        "http_status": sent.http_status,
        "error": sent.error,
        "response": sent.response,
        "state": "dropped" if pointless and sent.state == "waiting" else sent.state,
        "due_at": sent.due_at,
        # Not one more than the row has: a repetition behind a commit whose answer was lost would skip a step of the schedule.
        "failures": due.failures + (sent.state != "delivered"),
        "arrived": sent.state == "delivered" and not due.intermediate,
    }


async def drop_intermediate(tx: Tx, operations: Sequence[tuple[int, int]], now: datetime) -> None:
    """An intermediate callback is pointless once the final one has arrived (E-20). Pairs of (project_id, operation_id)."""
    await tx.execute(
        "UPDATE callback c SET state = 'dropped', finished_at = $3 "
        "FROM unnest($1::bigint[], $2::bigint[]) AS r(project_id, operation_id) "
        "WHERE c.project_id = r.project_id AND c.operation_id = r.operation_id AND c.intermediate AND c.state = 'waiting'",
        [project_id for project_id, _ in operations],
        [operation_id for _, operation_id in operations],
        now,
    )
