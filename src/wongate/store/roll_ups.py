"""Hours added up: what ended in them (`hourly`), and what became of the payments opened in them (`payment_hourly`)."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from wongate.connections.database import Tx
from wongate.domain.payment import FINISHED


@dataclass(frozen=True, slots=True)
class Progress:
    """Hours before `until` are added up; moves of older payments are, up to `looked_at` (None: none yet)."""

    until: datetime
    looked_at: datetime | None


async def lock(tx: Tx, project_id: int, begin: datetime) -> Progress | None:
    """The project's progress, None while another worker has it. `begin` is where a project starts that has none."""
    await tx.execute(
        "INSERT INTO rolled_up (project_id, until) VALUES ($1, $2) ON CONFLICT DO NOTHING", project_id, begin
    )
    row = await tx.fetchrow(
        "SELECT until, nullif(looked_at, '-infinity') AS looked_at FROM rolled_up WHERE project_id = $1 "
        "FOR UPDATE SKIP LOCKED",
        project_id,
    )
    return Progress(**row) if row else None


async def first_opening(tx: Tx, project_id: int) -> datetime | None:
    """When the project's first payment was opened."""
    opened: datetime | None = await tx.fetchval(
        "SELECT min(created_at) FROM payment WHERE project_id = $1", project_id
    )
    return opened


async def add_up_ends(tx: Tx, project_id: int, since: datetime, until: datetime) -> None:
    """Whole hours. Final transitions are only ever added, so doing it again can but raise the numbers.

    A sale whose request was invalid counts as `error`: conversion leaves it out (E-33).
    """
    await tx.execute(
        "INSERT INTO hourly (project_id, hour, kind, status, code, method, currency, source, operations, amount, seconds) "
        "SELECT t.project_id, date_trunc('hour', t.at, 'UTC'), o.kind, "
        "CASE WHEN t.payment_status = 'error' THEN 'error' ELSE t.status END, t.code, p.method, o.currency, p.source, "
        "count(*), sum(o.amount), sum(extract(epoch FROM date_trunc('second', t.at) - date_trunc('second', o.created_at))) "
        "FROM transition t JOIN operation o USING (project_id, operation_id) "
        "JOIN payment p ON p.project_id = o.project_id AND p.payment_no = o.payment_no "
        "WHERE t.project_id = $1 AND t.final AND t.at >= $2 AND t.at < $3 GROUP BY 1, 2, 3, 4, 5, 6, 7, 8 "
        "ON CONFLICT (project_id, hour, kind, status, code, method, currency, source) DO UPDATE "
        "SET operations = excluded.operations, amount = excluded.amount, seconds = excluded.seconds",
        project_id,
        since,
        until,
    )


async def moved_hours(tx: Tx, project_id: int, since: datetime, until: datetime) -> list[datetime]:
    """Hours before `until` with a payment that ended or was refunded after `since`, or that was not at its end before."""
    rows = await tx.fetch(
        "SELECT DISTINCT date_trunc('hour', p.created_at, 'UTC') AS hour FROM transition t "
        "JOIN operation o USING (project_id, operation_id) "
        "JOIN payment p ON p.project_id = o.project_id AND p.payment_no = o.payment_no "
        "WHERE t.project_id = $1 AND t.final AND t.at >= $2 AND p.created_at < $3 "
        "UNION SELECT hour FROM payment_hourly WHERE project_id = $1 AND hour < $3 AND status <> ALL($4)",
        project_id,
        since,
        until,
        sorted(FINISHED),
    )
    return [row["hour"] for row in rows]


async def add_up_payments(tx: Tx, project_id: int, since: datetime, until: datetime) -> None:
    await tx.execute(
        "DELETE FROM payment_hourly WHERE project_id = $1 AND hour >= $2 AND hour < $3",
        project_id,
        since,
        until,
    )
    await tx.execute(
        "INSERT INTO payment_hourly (project_id, hour, status, method, currency, source, payments, amount, captured, refunded) "
        "SELECT project_id, date_trunc('hour', created_at, 'UTC'), status, method, currency, source, count(*), sum(amount), "
        "sum(captured), sum(refunded) FROM payment WHERE project_id = $1 AND created_at >= $2 AND created_at < $3 "
        "GROUP BY 1, 2, 3, 4, 5, 6",
        project_id,
        since,
        until,
    )


async def save(tx: Tx, project_id: int, progress: Progress) -> None:
    await tx.execute(
        "UPDATE rolled_up SET until = $2, looked_at = $3 WHERE project_id = $1",
        project_id,
        progress.until,
        progress.looked_at,
    )


async def forget(tx: Tx, project_ids: Sequence[int]) -> None:
    """All of it is added up anew: call it when a past was put into the books."""
    for table in ("hourly", "payment_hourly", "rolled_up"):
        await tx.execute(f"DELETE FROM {table} WHERE project_id = ANY($1)", list(project_ids))
