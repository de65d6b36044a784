"""The invariants I1, I2, I4, I5 and I6 as reads of a live database: each finding names the payment and what does not fit.

The checks add up afresh from the rows that changes left behind; nothing here calls the code that wrote them.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from wongate.connections.database import Tx
from wongate.domain.lifecycle import TABLE, UNRESOLVED, Event, Kind, Stage


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that must not be; `number` is a payment_no or operation_id."""

    invariant: str
    project_id: int
    number: int
    text: str


_REFUNDS = """
SELECT p.project_id, p.payment_no, p.captured, p.refunded, p.reserved,
       coalesce(sum(o.amount) FILTER (WHERE o.status = 'success'), 0)::bigint AS went_back,
       coalesce(sum(o.amount) FILTER (WHERE o.status = 'processing'), 0)::bigint AS in_work
FROM payment p JOIN operation o ON o.project_id = p.project_id AND o.payment_no = p.payment_no AND o.kind = 'refund'
GROUP BY p.project_id, p.payment_no
HAVING coalesce(sum(o.amount) FILTER (WHERE o.status <> 'decline'), 0) > p.captured
    OR coalesce(sum(o.amount) FILTER (WHERE o.status = 'success'), 0) <> p.refunded
    OR coalesce(sum(o.amount) FILTER (WHERE o.status = 'processing'), 0) <> p.reserved
"""

_APPROVALS = """
SELECT project_id, operation_id, count(*) AS times FROM transition WHERE event = 'confirmed'
GROUP BY project_id, operation_id HAVING count(*) > 1
"""

_SILENT_ENDS = """
SELECT t.project_id, t.operation_id, t.status FROM transition t
JOIN operation o ON o.project_id = t.project_id AND o.operation_id = t.operation_id
JOIN payment p ON p.project_id = t.project_id AND p.payment_no = o.payment_no
JOIN project j ON j.project_id = t.project_id
WHERE t.final
  AND coalesce(p.request->'callback'->>'force_disable', 'false') NOT IN ('1', 'true')
  AND coalesce(o.request->'callback'->>'force_disable', 'false') NOT IN ('1', 'true')
  AND (p.request->'general' ? 'merchant_callback_url' OR o.request->'general' ? 'merchant_callback_url'
       OR (j.settings->>'callback_url' <> '' AND j.changed_at < t.at))
  AND NOT EXISTS (SELECT 1 FROM callback c WHERE c.project_id = t.project_id AND c.operation_id = t.operation_id
                  AND c.seq = t.seq)
"""

_HISTORIES = """
SELECT t.project_id, t.operation_id, t.seq, t.event, t.status, t.stage, t.final, o.kind, o.status AS now_status,
       o.stage AS now_stage
FROM transition t JOIN operation o ON o.project_id = t.project_id AND o.operation_id = t.operation_id
ORDER BY t.project_id, t.operation_id, t.seq
"""

_LEDGER = """
WITH movement AS (
    SELECT e.project_id, o.payment_no, e.credit AS book, e.amount FROM ledger_entry e
    JOIN operation o ON o.project_id = e.project_id AND o.operation_id = e.operation_id
    UNION ALL
    SELECT e.project_id, o.payment_no, e.debit, -e.amount FROM ledger_entry e
    JOIN operation o ON o.project_id = e.project_id AND o.operation_id = e.operation_id
), balance AS (
    SELECT project_id, payment_no,
           coalesce(sum(amount) FILTER (WHERE book = 'merchant'), 0)::bigint AS merchant,
           coalesce(sum(amount) FILTER (WHERE book = 'refund reserve'), 0)::bigint AS reserve,
           coalesce(sum(amount) FILTER (WHERE book = 'provider'), 0)::bigint AS provider,
           sum(amount)::bigint AS zero
    FROM movement GROUP BY project_id, payment_no
)
SELECT p.project_id, p.payment_no, coalesce(b.merchant, 0) AS merchant, coalesce(b.reserve, 0) AS reserve,
       coalesce(b.provider, 0) AS provider, coalesce(b.zero, 0) AS zero, p.captured, p.refunded, p.reserved,
       EXISTS (SELECT 1 FROM operation o WHERE o.project_id = p.project_id AND o.payment_no = p.payment_no
               AND o.stage = ANY($1)) AS open
FROM payment p LEFT JOIN balance b ON b.project_id = p.project_id AND b.payment_no = p.payment_no
WHERE coalesce(b.merchant, 0) <> p.captured - p.refunded - p.reserved OR coalesce(b.reserve, 0) <> p.reserved
   OR coalesce(b.zero, 0) <> 0 OR coalesce(b.provider, 0) <> 0
"""

_UNRESOLVED = """
SELECT o.project_id, p.payment_id, o.operation_id, o.kind, o.stage, o.amount, o.changed_at, p.flag FROM operation o
JOIN payment p ON p.project_id = o.project_id AND p.payment_no = o.payment_no
WHERE o.stage = ANY($1) ORDER BY o.project_id, o.operation_id
"""


async def findings(tx: Tx) -> AsyncIterator[Finding]:
    """Everything that breaks an invariant; nothing on a sound database. Wants a transaction (histories come by cursor)."""
    for row in await tx.fetch(_REFUNDS):
        text = (
            f"captured {row['captured']}, refunds done {row['went_back']} (booked {row['refunded']}), "
            f"in work {row['in_work']} (reserved {row['reserved']})"
        )
        yield Finding("I1", row["project_id"], row["payment_no"], text)
    for row in await tx.fetch(_APPROVALS):
        yield Finding("I2", row["project_id"], row["operation_id"], f"approval intended {row['times']} times")
    for row in await tx.fetch(_SILENT_ENDS):
        yield Finding("I4", row["project_id"], row["operation_id"], f"{row['status']} without its callback")
    async for finding in _illegal_histories(tx):
        yield finding
    for row in await tx.fetch(_LEDGER, [*UNRESOLVED, Stage.APPROVING]):
        if _does_not_balance(row):
            text = (
                f"ledger: merchant {row['merchant']}, reserve {row['reserve']}, provider {row['provider']}, "
                f"all {row['zero']}; payment: captured {row['captured']}, refunded {row['refunded']}, "
                f"reserved {row['reserved']}"
            )
            yield Finding("I6", row["project_id"], row["payment_no"], text)


async def unresolved(tx: Tx) -> list[dict[str, Any]]:
    """Operations whose truth at the provider is not known: the only ones in which books may differ (I3)."""
    return [dict(row) for row in await tx.fetch(_UNRESOLVED, list(UNRESOLVED))]


def _does_not_balance(row: Any) -> bool:
    """Money may stand with the provider only while an operation of the payment is open."""
    books_fit = (
        row["merchant"] == row["captured"] - row["refunded"] - row["reserved"]
        and row["reserve"] == row["reserved"]
        and row["zero"] == 0
    )
    return not books_fit or (row["provider"] != 0 and not row["open"])


async def _illegal_histories(tx: Tx) -> AsyncIterator[Finding]:
    """I5: each history walked along the table, and its end compared with the operation."""
    history: list[Any] = []
    async for row in tx.cursor(_HISTORIES, prefetch=1000):
        if history and _of(row) != _of(history[0]):
            for text in _breaks(history):
                yield Finding("I5", *_of(history[0]), text)
            history = []
        history.append(row)
    for text in _breaks(history):
        yield Finding("I5", *_of(history[0]), text)


def _of(row: Any) -> tuple[int, int]:
    return row["project_id"], row["operation_id"]


def _breaks(history: list[Any]) -> list[str]:
    if not history:
        return []
    texts = []
    stage = Stage.NEW
    for expected_seq, row in enumerate(history, 1):
        move = TABLE.get((Kind(row["kind"]), stage, Event(row["event"])))
        if row["seq"] != expected_seq:
            texts.append(f"transition {expected_seq} is missing")
        if move is None or move != (row["status"], row["stage"]):
            texts.append(f"{row['event']} at {stage} cannot lead to {row['status']} ({row['stage']})")
        stage = Stage(row["stage"])
    last = history[-1]
    if (last["now_status"], last["now_stage"]) != (last["status"], last["stage"]):
        texts.append(
            f"is {last['now_status']} ({last['now_stage']}), its history ends {last['status']} ({last['stage']})"
        )
    finals = [key for key, group in groupby(row["final"] for row in history) if key]
    if len(finals) > 1:
        texts.append("became final more than once")
    return texts
