"""The callbacks of the payments that a filter lets through: how many are in which state, and which, to send them again."""

from collections.abc import Sequence
from typing import Any

from wongate.connections.database import Tx
from wongate.reports.register import Conditions, Filter

RANGE_MAX = 10_000
"""Callbacks that one request for a range may name: enough for a day's outage, and still one short statement."""


def _of_range(wanted: Filter) -> tuple[str, list[Any]]:
    """A statement for the callbacks of the payments, newest payments first, at most RANGE_MAX, and its arguments: columns
    project_id, operation_id, callback_id and `state` (`failing` for one that waits after failures)."""
    conditions = Conditions(wanted)
    statement = (
        "SELECT c.project_id, c.operation_id, c.callback_id, "
        "CASE WHEN c.state = 'waiting' AND c.failures > 0 THEN 'failing' ELSE c.state END AS state "
        "FROM payment p JOIN operation o ON o.project_id = p.project_id AND o.operation_id = p.sale_id "
        "JOIN operation e ON e.project_id = p.project_id AND e.payment_no = p.payment_no "
        "JOIN callback c ON c.project_id = e.project_id AND c.operation_id = e.operation_id "
        f"WHERE p.project_id = ANY($1){conditions} ORDER BY p.created_at DESC, p.payment_no DESC LIMIT {RANGE_MAX}"
    )
    return statement, [list(wanted.project_ids), *conditions.values]


async def callbacks_by_state(tx: Tx, wanted: Filter) -> dict[str, int]:
    """How many callbacks the payments have in each state, among the newest RANGE_MAX."""
    statement, arguments = _of_range(wanted)
    rows = await tx.fetch(f"SELECT state, count(*) AS number FROM ({statement}) found GROUP BY 1", *arguments)
    return {row["state"]: row["number"] for row in rows}


async def callbacks_in(tx: Tx, wanted: Filter, states: Sequence[str]) -> list[tuple[int, int, int]]:
    """(project_id, operation_id, callback_id) of the same that are in one of the states."""
    statement, arguments = _of_range(wanted)
    rows = await tx.fetch(
        f"SELECT * FROM ({statement}) found WHERE state = ANY(${len(arguments) + 1})",
        *arguments,
        list(states),
    )
    return [(row["project_id"], row["operation_id"], row["callback_id"]) for row in rows]
