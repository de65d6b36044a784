"""A page of payments whose latest sale was declined with some codes: along the declines of each code, not along all payments.

Where 51,000 others lie newest, declined too but with another code, a page by time looks up the sale of each: 150 ms.
"""

from dataclasses import dataclass

APART = 10_000 << 12
"""Ten seconds, in numbers of payments: these go by time, but by the clock of the process that gave them."""


@dataclass(frozen=True, slots=True)
class Order:
    """Which end of the payments `p` a page shows, and how many rows of it."""

    newest_first: bool
    limit: int

    @property
    def by_time(self) -> str:
        direction = " DESC" if self.newest_first else ""
        return f"ORDER BY p.created_at{direction}, p.payment_no{direction} LIMIT {self.limit}"

    @property
    def by_number(self) -> str:
        return f"ORDER BY p.payment_no{' DESC' if self.newest_first else ''} LIMIT {self.limit}"


# The sale is the payment's latest one, said without an equals sign: PostgreSQL takes that for one row in all, and walks along
# whatever else it finds.
_DECLINED = (
    "SELECT p.* FROM operation o JOIN payment p ON p.project_id = o.project_id AND p.payment_no = o.payment_no "
    "WHERE o.project_id = own.project_id AND o.kind = 'sale' AND o.status = 'decline' "
    "AND abs(p.sale_id - o.operation_id) < 1 AND o.code = "
)


def along_declines(codes: str, edges: str, conditions: str, order: Order) -> str:
    """Payments of the project `own.project_id`: the first of each code by number, and what may belong among them by time.

    `codes` is the parameter's place; `edges` say where in time to begin and to end, `conditions` that and all else, each
    condition after an AND.
    """
    by_number = order.by_number.replace("p.payment_no", "o.payment_no")
    first = (
        f"SELECT p.* FROM unnest({codes}::int[]) AS each(code) CROSS JOIN LATERAL "
        f"({_DECLINED}each.code{_near(edges)}{conditions} {by_number}) p {order.by_number}"
    )
    last = f"(SELECT {'min' if order.newest_first else 'max'}(payment_no) FROM first HAVING count(*) = {order.limit})"
    beyond = (
        f"o.payment_no >= {last} - {APART} AND o.payment_no < {last}"
        if order.newest_first
        else f"o.payment_no > {last} AND o.payment_no <= {last} + {APART}"
    )
    return (
        f"WITH first AS MATERIALIZED ({first}) SELECT p.* FROM (SELECT * FROM first "
        f"UNION ALL {_DECLINED}ANY({codes}){conditions} AND {beyond}) p {order.by_time}"
    )


def _near(edges: str) -> str:
    """Where to begin and to end by number, with the numbers of the payments that stand there."""
    oldest, newest = (
        f"(SELECT p.payment_no FROM payment p WHERE p.project_id = own.project_id{edges} "
        f"{Order(newest_first, limit=1).by_time})"
        for newest_first in (False, True)
    )
    return f" AND o.payment_no BETWEEN {oldest} - {APART} AND {newest} + {APART}" if edges else ""
