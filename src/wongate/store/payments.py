"""Payments and their operations: new ones, reads, locks and claims. Writers take many rows at once: commits are gathered."""

from collections.abc import Sequence
from datetime import datetime
from itertools import islice
from typing import Any

from wongate.connections.database import Tx
from wongate.domain.lifecycle import Kind, Stage, Status
from wongate.domain.payment import Operation, Payment, PaymentStatus, payment_key
from wongate.store.columns import OPERATION_COLUMNS, PAYMENT_COLUMNS, PAYMENT_FIXED, PAYMENT_KEY, PAYMENT_LIVE
from wongate.store.rows import as_json, insert, names, update
from wongate.store.written import Key, Opening, Row, write, written_of

_SELECT_PAYMENT = f"SELECT {names(PAYMENT_COLUMNS)} FROM payment"
_SELECT_OPERATION = f"SELECT {names(OPERATION_COLUMNS)} FROM operation"

_PAYMENT_NAMES, _OPERATION_NAMES = (
    names(columns).split(", ") for columns in (PAYMENT_COLUMNS, OPERATION_COLUMNS)
)
SELECT_BOTH = (
    f"SELECT {', '.join([*(f'p.{name}' for name in _PAYMENT_NAMES), *(f'o.{name}' for name in _OPERATION_NAMES)])} "
    "FROM payment p JOIN operation o ON o.project_id = p.project_id AND o.payment_no = p.payment_no "
)

_NEW_PAYMENT = f"{PAYMENT_COLUMNS}, payment_key text"
_UNLESS_TAKEN = " ON CONFLICT ON CONSTRAINT payment_id_once DO NOTHING RETURNING payment_no"
_INSERT_PAYMENTS = insert("payment", _NEW_PAYMENT, _UNLESS_TAKEN)
_REOPEN_PAYMENT = update("payment", PAYMENT_KEY, f"{PAYMENT_FIXED}, {PAYMENT_LIVE}")

_SALE = (
    "project_id bigint, payment_no bigint, payment_id text, payment_key text, payment_status text, method text, "
    "source text, amount bigint, currency text, description text, customer_id text, sale_id bigint, kept jsonb, "
    "status text, stage text, event text, final boolean, code integer, request_id text, request_hash text, "
    "account_id bigint, order_number text, return_key text, at timestamptz, limit_at timestamptz, wake_at timestamptz"
)
_TOLD = "sale_id bigint, callback_id bigint, intermediate boolean, lane text, url text, body text, due_at timestamptz"
_REGISTER = (
    f"WITH sale AS MATERIALIZED (SELECT * FROM json_to_recordset($1::json) AS r({_SALE})), "
    "new AS (INSERT INTO payment (project_id, payment_no, payment_id, payment_key, status, method, source, amount, "
    "currency, description, customer_id, sale_id, created_at, changed_at, request) "
    "SELECT project_id, payment_no, payment_id, payment_key, payment_status, method, source, amount, currency, "
    f"description, customer_id, sale_id, at, at, kept FROM sale{_UNLESS_TAKEN}), "
    "opened AS (SELECT * FROM sale WHERE payment_no IN (SELECT payment_no FROM new)), "
    "begun AS (INSERT INTO operation (project_id, operation_id, payment_no, kind, status, stage, amount, currency, code, "
    "request_id, request_hash, description, account_id, order_number, return_key, created_at, changed_at, limit_at, wake_at) "
    "SELECT project_id, sale_id, payment_no, 'sale', status, stage, amount, currency, code, "
    "request_id, request_hash, '', account_id, order_number, return_key, at, at, limit_at, wake_at FROM opened), "
    "moved AS (INSERT INTO transition (project_id, operation_id, seq, event, status, stage, payment_status, code, final, at) "
    "SELECT project_id, sale_id, 1, event, status, stage, payment_status, code, final, at FROM opened), "
    "told AS (INSERT INTO callback (project_id, operation_id, callback_id, payment_no, seq, intermediate, lane, url, body, "
    "state, created_at, due_at) "
    "SELECT project_id, sale_id, callback_id, payment_no, 1, intermediate, lane, url, body, 'waiting', at, due_at "
    f"FROM opened JOIN json_to_recordset($2::json) AS t({_TOLD}) USING (sale_id)) "
    "SELECT payment_no FROM new"
)
"""A commit of sales in one round trip instead of six. What the four rows of a sale have in common is sent and read once, and
what is the same for every sale is the tables' default: 33 values a sale instead of 68."""


def _payment(row: Row) -> Payment:
    return Payment(**row)._replace(status=PaymentStatus(row["status"]))


def _operation(row: Row) -> Operation:
    kind, status, stage = Kind(row["kind"]), Status(row["status"]), Stage(row["stage"])
    return Operation(**row)._replace(kind=kind, status=status, stage=stage)


async def lock(tx: Tx, keys: Sequence[Key]) -> dict[Key, Payment]:
    """The first statement of every change. Payment, then operation, then ledger is the one lock order; several payments are
    locked in the order of their keys, so that gathered changes cannot deadlock."""
    rows = await tx.fetch(
        f"{_SELECT_PAYMENT} WHERE (project_id, payment_no) IN (SELECT * FROM unnest($1::bigint[], $2::bigint[])) "
        "ORDER BY project_id, payment_no FOR UPDATE",
        [project_id for project_id, _ in keys],
        [payment_no for _, payment_no in keys],
    )
    return {(row["project_id"], row["payment_no"]): _payment(row) for row in rows}


async def operations_locked(tx: Tx, keys: Sequence[Key]) -> dict[Key, list[Operation]]:
    """The second statement: what the operations are *now that the lock is held* (a join in the first would read stale rows).
    Locked themselves, because claims touch them without the payment's lock."""
    rows = await tx.fetch(
        f"{_SELECT_OPERATION} WHERE (project_id, payment_no) IN (SELECT * FROM unnest($1::bigint[], $2::bigint[])) "
        "ORDER BY project_id, operation_id FOR UPDATE",
        [project_id for project_id, _ in keys],
        [payment_no for _, payment_no in keys],
    )
    found: dict[Key, list[Operation]] = {key: [] for key in keys}
    for row in rows:
        found[row["project_id"], row["payment_no"]].append(_operation(row))
    return found


async def by_key(tx: Tx, project_id: int, key: str) -> Payment | None:
    """The payment with this merchant's id, in the form that `payment_key` gives it."""
    row = await tx.fetchrow(f"{_SELECT_PAYMENT} WHERE project_id = $1 AND payment_key = $2", project_id, key)
    return _payment(row) if row else None


async def with_operations(
    tx: Tx, project_id: int, *, payment_no: int | None = None, key: str | None = None
) -> tuple[Payment, list[Operation]] | None:
    """The payment of that number or key with its operations, oldest first (E-21), all of one moment: by two statements a
    payment was read that was still in work while its sale was done, and a page waited for a change that had already come."""
    column, value = ("payment_key", key) if payment_no is None else ("payment_no", payment_no)
    rows = await tx.fetch(
        f"{SELECT_BOTH} WHERE p.project_id = $1 AND p.{column} = $2 ORDER BY o.operation_id",
        project_id,
        value,
    )
    return both_of(rows) if rows else None


def both_of(rows: Sequence[Any]) -> tuple[Payment, list[Operation]]:
    """A payment and its operations from the rows of `SELECT_BOTH`, of which there is one for each operation."""
    split = len(_PAYMENT_NAMES)
    payment = _payment(dict(zip(_PAYMENT_NAMES, rows[0].values(), strict=False)))
    return payment, [
        _operation(dict(zip(_OPERATION_NAMES, islice(row.values(), split, None), strict=False)))
        for row in rows
    ]


async def operation(tx: Tx, project_id: int, operation_id: int) -> Operation | None:
    row = await tx.fetchrow(
        f"{_SELECT_OPERATION} WHERE project_id = $1 AND operation_id = $2", project_id, operation_id
    )
    return _operation(row) if row else None


async def operations(tx: Tx, project_id: int, payment_no: int) -> list[Operation]:
    """Oldest first (E-21)."""
    rows = await tx.fetch(
        f"{_SELECT_OPERATION} WHERE project_id = $1 AND payment_no = $2 ORDER BY operation_id",
        project_id,
        payment_no,
    )
    return [_operation(row) for row in rows]


async def register(tx: Tx, openings: Sequence[Opening]) -> set[int]:
    """New payments with their sales as these stand after their first event.

    Answers with the payment numbers that are new. The other rows' ids are taken: nothing of these is written.
    """
    if not tx.spread:
        told = [_told(row) for opening in openings for row in opening.callbacks]
        rows = await tx.fetch(_REGISTER, as_json([_sale(opening) for opening in openings]), as_json(told))
        return {row["payment_no"] for row in rows}
    payments = [
        {**one.payment._asdict(), "payment_key": payment_key(one.payment.payment_id)} for one in openings
    ]
    new = {row["payment_no"] for row in await tx.fetch(_INSERT_PAYMENTS, as_json(payments))}
    await write(tx, written_of(one for one in openings if one.payment.payment_no in new))
    return new


def _sale(opening: Opening) -> Row:
    """The members of `_SALE`; written out, because every sale passes here."""
    payment, operation, transition = opening.payment, opening.operation, opening.transition
    return {
        "project_id": payment.project_id,
        "payment_no": payment.payment_no,
        "payment_id": payment.payment_id,
        "payment_key": payment_key(payment.payment_id),
        "payment_status": payment.status,
        "method": payment.method,
        "source": payment.source,
        "amount": payment.amount,
        "currency": payment.currency,
        "description": payment.description,
        "customer_id": payment.customer_id,
        "sale_id": operation.operation_id,
        "kept": payment.request,
        "status": operation.status,
        "stage": operation.stage,
        "event": transition["event"],
        "final": transition["final"],
        "code": operation.code,
        "request_id": operation.request_id,
        "request_hash": operation.request_hash,
        "account_id": operation.account_id,
        "order_number": operation.order_number,
        "return_key": operation.return_key,
        "at": operation.created_at,
        "limit_at": operation.limit_at,
        "wake_at": operation.wake_at,
    }


def _told(row: Row) -> Row:
    return {
        "sale_id": row["operation_id"],
        "callback_id": row["callback_id"],
        "intermediate": row["intermediate"],
        "lane": row["lane"],
        "url": row["url"],
        "body": row["body"],
        "due_at": row["due_at"],
    }


async def reopen(tx: Tx, payment: Payment) -> None:
    """A payment in `error` was never initiated: the same id opens it anew (section 3.2)."""
    await tx.execute(_REOPEN_PAYMENT, as_json([payment]))


async def versions(tx: Tx, keys: Sequence[Key]) -> dict[Key, str]:
    """A text for each payment that changes whenever its sale does."""
    rows = await tx.fetch(
        "SELECT p.project_id, p.payment_no, p.sale_id, o.seq FROM payment p "
        "JOIN operation o ON o.project_id = p.project_id AND o.operation_id = p.sale_id "
        "WHERE (p.project_id, p.payment_no) IN (SELECT * FROM unnest($1::bigint[], $2::bigint[]))",
        [project_id for project_id, _ in keys],
        [payment_no for _, payment_no in keys],
    )
    return {(row["project_id"], row["payment_no"]): f"{row['sale_id']}.{row['seq']}" for row in rows}


async def projects_to_wake(tx: Tx, now: datetime) -> list[int]:
    """Projects in which an operation waits for the worker; a plain read, so that each claim stays inside one project.

    The ORDER BY inside asks for one index probe each: as EXISTS it read all that waited (50 ms for a million, 20 times a second).
    """
    rows = await tx.fetch(
        "SELECT p.project_id FROM project p CROSS JOIN LATERAL (SELECT 1 FROM operation o "
        "WHERE o.project_id = p.project_id AND o.wake_at <= $1 ORDER BY o.wake_at LIMIT 1) due ORDER BY p.project_id",
        now,
    )
    return [row["project_id"] for row in rows]


async def claim_to_wake(
    tx: Tx, project_id: int, now: datetime, lease_until: datetime, limit: int
) -> list[Operation]:
    """Operations whose time has come, leased: another worker sees them again only after `lease_until`.

    The attempt number that comes back is the fencing number: a worker that slept past its lease finds another one there.
    """
    rows = await tx.fetch(
        "WITH due AS MATERIALIZED (SELECT operation_id FROM operation WHERE project_id = $1 AND wake_at <= $2 "
        "ORDER BY wake_at, operation_id LIMIT $4 FOR UPDATE SKIP LOCKED) "
        "UPDATE operation SET wake_at = $3, attempt = attempt + 1 FROM due "
        "WHERE project_id = $1 AND operation.operation_id = due.operation_id "
        f"RETURNING {names(OPERATION_COLUMNS).replace('operation_id', 'operation.operation_id', 1)}",
        project_id,
        now,
        lease_until,
        limit,
    )
    return sorted((_operation(row) for row in rows), key=lambda operation: operation.operation_id)
