"""The invariants I1 to I8 as reads of a live database: each finding names the payment and what does not fit. Of I3, that the
provider's truth equals ours, rows tell the half that the platform can break by itself: nothing became final without the
provider's word, kept as an exchange. Whether the word still stands only the provider knows: `wongate reconcile` asks it, and
`unresolved` lists where a word is still missing.

The checks add up afresh from the rows that changes left behind; nothing here calls the code that wrote them. Each check is one
statement, so that it sees one moment of a database in which payments go on.
"""

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from wongate.connections.database import Tx
from wongate.domain.lifecycle import FINAL, TABLE, UNRESOLVED, Stage
from wongate.domain.signature import verify

_MOVES = {(str(kind), str(stage), str(event)): move for (kind, stage, event), move in TABLE.items()}
"""The table with texts for keys: rows that somebody has tampered with may hold any text."""

INVARIANTS = ("I1", "I2", "I3", "I4", "I5", "I6", "I7", "I8")

Secrets = Callable[[int], Awaitable[Sequence[str]]]
"""Project number -> the secrets with which its callbacks may have been signed."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that must not be; `number` is a payment_no, operation_id or callback_id."""

    invariant: str
    project_id: int
    number: int
    text: str


_SUMS = """
SELECT p.project_id, p.payment_no AS number,
       format('captured %s, refunds done %s (booked %s), in work %s (reserved %s)', p.captured, r.done, p.refunded, r.in_work,
              p.reserved) AS text
FROM payment p LEFT JOIN LATERAL (
    SELECT coalesce(sum(o.amount) FILTER (WHERE o.status = 'success'), 0) AS done,
           coalesce(sum(o.amount) FILTER (WHERE o.status = 'processing'), 0) AS in_work
    FROM operation o WHERE o.project_id = p.project_id AND o.payment_no = p.payment_no AND o.kind = 'refund') r ON true
WHERE r.done + r.in_work > p.captured OR r.done <> p.refunded OR r.in_work <> p.reserved
"""

# By the moment of the call: a commit whose answer was lost notes the same call twice.
_APPROVALS = """
SELECT project_id, operation_id AS number, format('approval intended %s times', count(*)) AS text
FROM transition WHERE event = 'confirmed' GROUP BY project_id, operation_id HAVING count(*) > 1
UNION ALL
SELECT project_id, operation_id, format('approval sent %s times', count(DISTINCT at))
FROM exchange WHERE kind = 'approve' GROUP BY project_id, operation_id HAVING count(DISTINCT at) > 1
"""


def _kept_from(table: str) -> str:
    """The first number of the oldest month that is kept of a table of history (store/partitions.py)."""
    return f"""(
    SELECT min(CASE WHEN bound LIKE '%MINVALUE%' THEN 0 ELSE substring(bound FROM '[0-9]+')::bigint END)
    FROM (SELECT pg_get_expr(c.relpartbound, c.oid) AS bound FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
          WHERE i.inhparent = '{table}'::regclass) kept)"""


# The word that each end rests on, once an approval or a cancel may have been sent. A person who has looked at the PG may stand in
# for it, and so may the provider's notice of a cancel, its settlement list, or what a later cancel has left over when both are
# gone. The sandbox's made-up past has no exchanges.
_GROUNDLESS = f"""
SELECT t.project_id, t.operation_id AS number, format('%s %s without a word of the provider', o.kind, t.event) AS text
FROM transition t JOIN operation o ON o.project_id = t.project_id AND o.operation_id = t.operation_id
JOIN payment p ON p.project_id = o.project_id AND p.payment_no = o.payment_no
WHERE t.operation_id >= {_kept_from("exchange")}
  AND t.stage IN ('done', 'offered') AND t.event IN ('approved', 'declined', 'declined for now', 'undone', 'nothing to undo')
  AND NOT p.request ? 'made_up' AND NOT o.details ? 'settled_by' AND t.note NOT LIKE 'settled by hand: %'
  AND EXISTS (SELECT FROM transition s WHERE s.project_id = t.project_id AND s.operation_id = t.operation_id
              AND s.event IN ('confirmed', 'sent'))
  AND NOT (t.note = 'provider''s notice' AND EXISTS (SELECT FROM notice n JOIN operation s ON s.project_id = n.project_id
           AND s.operation_id = n.operation_id WHERE n.project_id = o.project_id AND s.payment_no = o.payment_no))
  AND NOT (t.note = 'the remainder after a later cancel' AND EXISTS (SELECT FROM exchange e JOIN operation s
           ON s.project_id = e.project_id AND s.operation_id = e.operation_id WHERE e.project_id = o.project_id
           AND s.payment_no = o.payment_no AND s.operation_id <> o.operation_id AND s.kind = 'refund' AND e.kind = 'cancel'
           AND e.verdict = 'approved ' || s.amount
           AND CASE WHEN e.response->>'RemainAmt' ~ '^[0-9]{{1,15}}$'
               THEN (e.response->>'RemainAmt')::bigint <= p.captured - o.amount - s.amount ELSE false END))
  AND NOT (t.note = 'the provider''s list' AND EXISTS (SELECT FROM exchange e WHERE e.project_id = t.project_id
           AND e.operation_id = t.operation_id AND e.kind = 'settlement_list'
           AND CASE WHEN e.response->>'left' ~ '^[0-9]{{1,15}}$'
               THEN (e.response->>'left')::bigint <= p.captured - o.amount ELSE false END))
  AND NOT EXISTS (SELECT FROM exchange e WHERE e.project_id = t.project_id AND e.operation_id = t.operation_id AND CASE
      WHEN o.kind = 'sale' AND t.event = 'approved' THEN e.kind = 'approve' AND e.verdict = 'approved ' || o.amount
      WHEN o.kind = 'sale' AND t.event LIKE 'declined%' THEN e.kind = 'approve' AND e.verdict ~ '^(declined|not sent)'
      WHEN t.event = 'undone' THEN e.kind IN ('net_cancel', 'cancel', 'inquiry') AND e.verdict ~ '^(cancelled|approved [0-9])'
      WHEN t.event = 'nothing to undo' THEN e.kind = 'inquiry' AND e.verdict IN ('absent', 'cancelled')
      WHEN t.event = 'approved' THEN e.verdict = CASE e.kind WHEN 'cancel' THEN 'approved ' || o.amount ELSE 'cancelled' END
      ELSE e.kind = 'cancel' AND e.verdict LIKE 'declined%' END)
"""

# A payment in `error` may name an address that is none, and a project may get its address later: neither is a lost callback.
_SILENT_ENDS = f"""
SELECT t.project_id, t.operation_id AS number, t.status || ' without its callback' AS text FROM transition t
JOIN operation o ON o.project_id = t.project_id AND o.operation_id = t.operation_id
JOIN payment p ON p.project_id = t.project_id AND p.payment_no = o.payment_no
JOIN project j ON j.project_id = t.project_id
WHERE t.final AND t.operation_id >= {_kept_from("callback")}
  AND coalesce(p.request->'callback'->>'force_disable', 'false') NOT IN ('1', 'true')
  AND coalesce(o.request->'callback'->>'force_disable', 'false') NOT IN ('1', 'true')
  AND (p.status <> 'error' AND p.request->'general'->>'merchant_callback_url' IS NOT NULL
       OR o.request->'general'->>'merchant_callback_url' IS NOT NULL
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

_STATUSES = """
SELECT project_id, payment_no AS number,
       format('is %s, but its operations make it %s (captured %s of %s, refunded %s)', status, expected, captured, paid, refunded)
       AS text
FROM (SELECT p.*, CASE WHEN s.status = 'success' THEN s.amount ELSE 0 END AS paid,
             CASE WHEN s.status = 'success' AND p.refunded = 0 THEN 'success'
                  WHEN s.status = 'success' AND p.refunded = p.captured THEN 'refunded'
                  WHEN s.status = 'success' THEN 'partially refunded'
                  WHEN s.stage = 'offered' THEN 'awaiting customer'
                  WHEN s.status = 'decline' AND p.status = 'error' THEN 'error'
                  ELSE s.status END AS expected
      FROM payment p JOIN operation s ON s.project_id = p.project_id AND s.operation_id = p.sale_id) judged
WHERE status <> expected OR captured <> paid
"""

# Money stands with the provider exactly while a sale is between its intent and its certain end.
_LEDGER = """
WITH movement AS (
    SELECT e.project_id, o.payment_no, e.credit AS book, e.amount FROM ledger_entry e
    JOIN operation o ON o.project_id = e.project_id AND o.operation_id = e.operation_id
    UNION ALL
    SELECT e.project_id, o.payment_no, e.debit, -e.amount FROM ledger_entry e
    JOIN operation o ON o.project_id = e.project_id AND o.operation_id = e.operation_id
), balance AS (
    SELECT project_id, payment_no, coalesce(sum(amount) FILTER (WHERE book = 'merchant'), 0) AS merchant,
           coalesce(sum(amount) FILTER (WHERE book = 'refund reserve'), 0) AS reserve,
           coalesce(sum(amount) FILTER (WHERE book = 'provider'), 0) AS provider
    FROM movement GROUP BY project_id, payment_no
), held AS (
    SELECT project_id, payment_no, sum(amount) AS provider FROM operation
    WHERE kind = 'sale' AND stage IN ('approving', 'undoing', 'checking', 'returning') GROUP BY project_id, payment_no
), judged AS (
    SELECT p.*, coalesce(b.merchant, 0) AS merchant, coalesce(b.reserve, 0) AS reserve,
           coalesce(b.provider, 0) AS provider, coalesce(h.provider, 0) AS held
    FROM payment p LEFT JOIN balance b ON b.project_id = p.project_id AND b.payment_no = p.payment_no
    LEFT JOIN held h ON h.project_id = p.project_id AND h.payment_no = p.payment_no
)
SELECT project_id, payment_no AS number,
       format('ledger: merchant %s, reserve %s, provider %s; payment: captured %s, refunded %s, reserved %s, at the provider %s',
              merchant, reserve, provider, captured, refunded, reserved, held) AS text
FROM judged WHERE merchant <> captured - refunded - reserved OR reserve <> reserved OR provider <> held
"""

_FORGOTTEN = """
SELECT o.project_id, o.operation_id AS number, format('is %s, and nobody will look at it again', o.stage) AS text
FROM operation o WHERE o.stage <> 'done' AND o.wake_at IS NULL
UNION ALL
SELECT o.project_id, o.operation_id, 'has no history' FROM operation o WHERE NOT EXISTS
    (SELECT 1 FROM transition t WHERE t.project_id = o.project_id AND t.operation_id = o.operation_id)
UNION ALL
SELECT p.project_id, p.payment_no, 'its sale is not there' FROM payment p WHERE NOT EXISTS
    (SELECT 1 FROM operation o WHERE o.project_id = p.project_id AND o.operation_id = p.sale_id)
"""

# Where a secret was rotated, only what was signed since can be judged.
_BODIES = """
SELECT c.project_id, c.callback_id, c.body FROM callback c JOIN project j ON j.project_id = c.project_id
WHERE j.previous_sealed_secret IS NULL OR c.created_at > j.changed_at
"""

_UNRESOLVED = """
SELECT o.project_id, p.payment_id, o.operation_id, o.kind, o.stage, o.amount, o.changed_at, p.flag FROM operation o
JOIN payment p ON p.project_id = o.project_id AND p.payment_no = o.payment_no
WHERE o.stage = ANY($1) ORDER BY o.project_id, o.operation_id
"""

_CHECKS = (
    ("I1", _SUMS),
    ("I2", _APPROVALS),
    ("I3", _GROUNDLESS),
    ("I4", _SILENT_ENDS),
    ("I5", _STATUSES),
    ("I6", _LEDGER),
    ("I7", _FORGOTTEN),
)


async def findings(tx: Tx, secrets: Secrets) -> AsyncIterator[Finding]:
    """Everything that breaks an invariant; nothing on a sound database. Wants a transaction (long results come by cursor)."""
    for invariant, statement in _CHECKS:
        for row in await tx.fetch(statement):
            yield Finding(invariant, row["project_id"], row["number"], row["text"])
    async for finding in _illegal_histories(tx):
        yield finding
    async for finding in _changed_bodies(tx, secrets):
        yield finding


async def unresolved(tx: Tx) -> list[dict[str, Any]]:
    """Operations whose truth at the provider is not known: the only ones in which books may differ (I3)."""
    return [dict(row) for row in await tx.fetch(_UNRESOLVED, list(UNRESOLVED))]


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
    stage = str(Stage.NEW)
    for expected_seq, row in enumerate(history, 1):
        if row["seq"] != expected_seq:
            texts.append(f"transition {expected_seq} is missing")
        if _MOVES.get((row["kind"], stage, row["event"])) != (row["status"], row["stage"]):
            texts.append(f"{row['event']} at {stage} cannot lead to {row['status']} ({row['stage']})")
        stage = row["stage"]
    last = history[-1]
    if (last["now_status"], last["now_stage"]) != (last["status"], last["stage"]):
        texts.append(
            f"is {last['now_status']} ({last['now_stage']}), its history ends {last['status']} ({last['stage']})"
        )
    finals, expected_finals = sum(row["final"] for row in history), int(last["status"] in FINAL)
    if finals != expected_finals:
        texts.append(f"became final {finals} times instead of {expected_finals}")
    return texts


async def _changed_bodies(tx: Tx, secrets: Secrets) -> AsyncIterator[Finding]:
    """I8: a body carries the signature that it was enqueued with, so a changed one no longer fits its own."""
    async for row in tx.cursor(_BODIES, prefetch=1000):
        if not _fits_its_signature(row["body"], await secrets(row["project_id"])):
            yield Finding(
                "I8", row["project_id"], row["callback_id"], "the body was changed after it was signed"
            )


def _fits_its_signature(body: str, secrets: Sequence[str]) -> bool:
    try:
        message = json.loads(body)
        return verify(message, message["signature"], secrets)
    except (ValueError, KeyError, TypeError):
        return False
