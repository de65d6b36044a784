"""Sales as a comparison with the provider sees them, and what it found."""

from collections.abc import Sequence
from datetime import datetime

from wongate.connections.database import Tx
from wongate.domain.comparison import Difference, Ours
from wongate.domain.lifecycle import UNRESOLVED, Stage
from wongate.store.rows import as_json, insert

_DIFFERENCE = (
    "project_id bigint, run_no bigint, reference text, bucket text, order_number text, ours bigint, theirs bigint, "
    "text text, at timestamptz"
)


async def ours(
    tx: Tx, since: datetime | None, references: Sequence[str] | None, complete_until: datetime | None = None
) -> list[Ours]:
    """Sales that an approval was intended for, all or those with certain references. A declined sale should have left nothing,
    a paid one what was not refunded; `before`, what had not been refunded by `complete_until`."""
    rows = await tx.fetch(
        "SELECT s.project_id, s.reference, s.order_number, "
        "CASE WHEN s.status = 'success' THEN p.captured - p.refunded ELSE 0 END AS amount, "
        "EXISTS (SELECT 1 FROM operation o WHERE o.project_id = s.project_id AND o.payment_no = s.payment_no "
        "AND o.stage = ANY($2)) AS open, "
        "CASE WHEN s.status <> 'success' OR s.changed_at > $4 THEN 0 ELSE p.captured - p.refunded + coalesce("
        "(SELECT sum(r.amount) FROM operation r WHERE r.project_id = s.project_id AND r.payment_no = s.payment_no "
        "AND r.kind = 'refund' AND r.status = 'success' AND r.changed_at > $4), 0)::bigint END AS before "
        "FROM operation s JOIN payment p ON p.project_id = s.project_id AND p.payment_no = s.payment_no "
        "WHERE s.kind = 'sale' AND s.reference <> '' AND ($1::timestamptz IS NULL OR s.created_at >= $1) "
        "AND ($3::text[] IS NULL OR s.reference = ANY($3)) "
        "AND NOT p.request ? 'made_up' "  # the sandbox's made-up past never reached a provider
        "ORDER BY s.project_id, s.operation_id",
        since,
        [*UNRESOLVED, Stage.APPROVING, Stage.RESERVED, Stage.CANCELLING],
        references,
        complete_until,
    )
    return [Ours(**row) for row in rows]


async def with_open_refunds(tx: Tx, since: datetime | None) -> list[tuple[int, int]]:
    """(project_id, payment_no) of payments with a refund of unknown outcome, of sales since then."""
    rows = await tx.fetch(
        "SELECT DISTINCT s.project_id, s.payment_no FROM operation r "
        "JOIN operation s ON s.project_id = r.project_id AND s.payment_no = r.payment_no AND s.kind = 'sale' "
        "JOIN payment p ON p.project_id = r.project_id AND p.payment_no = r.payment_no "
        "WHERE r.kind = 'refund' AND r.stage = $1 AND s.status = 'success' AND s.reference <> '' "
        "AND ($2::timestamptz IS NULL OR s.created_at >= $2) AND NOT p.request ? 'made_up' "
        "ORDER BY s.project_id, s.payment_no",
        Stage.ASKING,
        since,
    )
    return [(row["project_id"], row["payment_no"]) for row in rows]


async def known(tx: Tx, references: Sequence[str]) -> set[str]:
    """Which of these references belong to a sale of ours."""
    rows = await tx.fetch(
        "SELECT reference FROM operation WHERE kind = 'sale' AND reference = ANY($1::text[])", references
    )
    return {row["reference"] for row in rows}


async def keep(tx: Tx, run_no: int, found: Sequence[Difference], now: datetime) -> None:
    rows = [
        {
            "project_id": difference.project_id,
            "run_no": run_no,
            "reference": difference.reference,
            "bucket": difference.bucket,
            "order_number": difference.order_number,
            "ours": difference.ours,
            "theirs": difference.theirs,
            "text": difference.text,
            "at": now,
        }
        for difference in found
    ]
    await tx.execute(insert("difference", _DIFFERENCE), as_json(rows))
