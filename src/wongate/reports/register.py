"""Payments and operations for people and programs: filters, pages by key, exact search, streams for exports.

SELECT only. Every query names its projects; pages go on from a key, so that the millionth row is as near as the first.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from wongate.connections.database import Tx
from wongate.domain.payment import payment_key

PAGE = 50

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Filter:
    """What to show; empty conditions let everything through. `since` and `until` are about the payment's creation, half open."""

    project_ids: tuple[int, ...]
    since: datetime | None = None
    until: datetime | None = None
    statuses: tuple[str, ...] = ()
    methods: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    codes: tuple[int, ...] = ()
    customer_id: str = ""
    amount_min: int | None = None
    amount_max: int | None = None
    flagged: bool = False


@dataclass(frozen=True, slots=True)
class Key:
    """The last row of a page: the next page begins after it."""

    created_at: datetime
    payment_no: int


_COLUMNS = (
    "p.project_id, p.payment_no, p.payment_id, p.status, p.method, p.source, p.amount, p.currency, p.captured, p.refunded, "
    "p.reserved, p.captured - p.refunded - p.reserved AS refundable, p.description, p.customer_id, p.flag, p.created_at, "
    "p.changed_at, p.sale_id, o.code, o.reference, o.order_number, o.request_id"
)
_FROM = "FROM payment p JOIN operation o ON o.project_id = p.project_id AND o.operation_id = p.sale_id"


class _Conditions:
    """Conditions with numbered parameters; $1 is the project."""

    def __init__(self, wanted: Filter) -> None:
        self.values: list[Any] = []
        self.texts: list[str] = []
        for text, value in (
            ("p.created_at >= {}", wanted.since),
            ("p.created_at < {}", wanted.until),
            ("p.status = ANY({})", wanted.statuses or None),
            ("p.method = ANY({})", wanted.methods or None),
            ("p.source = ANY({})", wanted.sources or None),
            ("o.code = ANY({})", wanted.codes or None),
            ("p.customer_id = {}", wanted.customer_id or None),
            ("p.amount >= {}", wanted.amount_min),
            ("p.amount <= {}", wanted.amount_max),
        ):
            if value is not None:
                self.add(text, value)
        if wanted.flagged:
            self.texts.append("p.flag <> ''")

    def add(self, text: str, *values: Any) -> None:
        """`text` with one pair of braces per value."""
        places = []
        for value in values:
            self.values.append(list(value) if isinstance(value, tuple) else value)
            places.append(f"${len(self.values) + 1}")
        self.texts.append(text.format(*places))

    def __str__(self) -> str:
        return "".join(f" AND {text}" for text in self.texts)


async def page(tx: Tx, wanted: Filter, *, after: Key | None = None, limit: int = PAGE) -> list[Row]:
    """The newest payments first, at most `limit`; one read per project, merged, so that each uses its own index."""
    conditions = _Conditions(wanted)
    if after is not None:
        conditions.add("(p.created_at, p.payment_no) < ({}, {})", after.created_at, after.payment_no)
    rows = await tx.fetch(
        "SELECT found.* FROM unnest($1::bigint[]) AS own(project_id) CROSS JOIN LATERAL ("
        f"SELECT {_COLUMNS} {_FROM} WHERE p.project_id = own.project_id{conditions} "
        f"ORDER BY p.created_at DESC, p.payment_no DESC LIMIT {int(limit)}) found "
        f"ORDER BY found.created_at DESC, found.payment_no DESC LIMIT {int(limit)}",
        list(wanted.project_ids),
        *conditions.values,
    )
    return [dict(row) for row in rows]


async def totals(tx: Tx, wanted: Filter) -> list[Row]:
    """Per status and currency: how many payments, their amounts, what was captured and what went back."""
    conditions = _Conditions(wanted)
    rows = await tx.fetch(
        "SELECT p.status, p.currency, count(*) AS payments, sum(p.amount)::bigint AS amount, "
        f"sum(p.captured)::bigint AS captured, sum(p.refunded)::bigint AS refunded {_from_for(wanted)} "
        f"WHERE p.project_id = ANY($1){conditions} GROUP BY 1, 2 ORDER BY 1, 2",
        list(wanted.project_ids),
        *conditions.values,
    )
    return [dict(row) for row in rows]


def _from_for(wanted: Filter) -> str:
    """Sums need the sale only when its code is asked for."""
    return _FROM if wanted.codes else "FROM payment p"


async def stream(tx: Tx, wanted: Filter) -> AsyncIterator[Row]:
    """All rows, oldest first, through a cursor: memory stays flat however many there are. Wants a transaction."""
    conditions = _Conditions(wanted)
    cursor = tx.cursor(
        f"SELECT {_COLUMNS} {_FROM} WHERE p.project_id = ANY($1){conditions} ORDER BY p.created_at, p.payment_no",
        list(wanted.project_ids),
        *conditions.values,
        prefetch=1000,
    )
    async for row in cursor:
        yield row


async def find(
    tx: Tx, project_ids: Sequence[int], text: str, operation_id: int | None = None
) -> list[tuple[int, int]]:
    """(project_id, payment_no) of payments that `text` names exactly: payment id, operation id, request id, provider's id (TID),
    order number (Moid) or customer. `operation_id` is the number that the text carries, if it does."""
    numbers = {
        number
        for number in (operation_id, int(text) if text.isdigit() and len(text) < 17 else None)
        if number
    }
    rows = await tx.fetch(
        "SELECT project_id, payment_no FROM payment WHERE project_id = ANY($1) AND payment_key = $2 "
        "UNION SELECT project_id, payment_no FROM operation WHERE project_id = ANY($1) AND operation_id = ANY($3) "
        "UNION SELECT project_id, payment_no FROM operation WHERE project_id = ANY($1) AND kind = 'sale' AND reference = $4 "
        "AND reference <> '' "
        "UNION (SELECT project_id, payment_no FROM payment WHERE project_id = ANY($1) AND customer_id = $4 "
        "ORDER BY payment_no DESC LIMIT 50) ORDER BY 2 DESC LIMIT 51",
        list(project_ids),
        payment_key(text),
        sorted(numbers),
        text,
    )
    return [(row["project_id"], row["payment_no"]) for row in rows]
