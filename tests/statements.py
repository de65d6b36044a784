"""Every statement that the suite executes, held against the distribution rule: what writes, claims or locks rows of the payment
family names `project_id`, so that the same code runs on one PostgreSQL and on many."""

import re
from collections.abc import Iterator
from functools import cache
from itertools import pairwise
from typing import Any

from asyncpg import pool as asyncpg_pool

FAMILY = frozenset(
    {
        "payment",
        "operation",
        "transition",
        "ledger_entry",
        "exchange",
        "notice",
        "lane",
        "callback",
        "attempt",
        "difference",
        "hourly",
        "payment_hourly",
        "rolled_up",
        "payment_sum",
        "customer_day",
        "customer_month",
        "added_up",
    }
)
"""Tables that are spread over nodes by project; the catalogue is compared with this list in tests/store."""

seen: set[str] = set()
"""Texts of all statements that the pools of this run have executed."""

_checked: set[str] = set()

# Where a part of a statement begins that reads or writes a table of its own. `FOR UPDATE` and `DO UPDATE` begin none.
_PART = re.compile(
    r"(?<!FOR )(?<!FOR NO KEY )(?<!DO )\bUPDATE\b|\bINSERT INTO\b|\bDELETE FROM\b|\bSELECT\b", re.IGNORECASE
)
_WRITES = re.compile(r"(UPDATE|INSERT INTO|DELETE FROM)\s+(?:ONLY\s+)?(\w+)", re.IGNORECASE)
_LOCKS = re.compile(r"\bFROM\s+(\w+)\b.*?\bFOR (?:NO KEY )?(?:UPDATE|SHARE)\b", re.IGNORECASE | re.DOTALL)


def listen() -> None:
    """Records the statements of every pool that is opened from now on."""
    holder: Any = asyncpg_pool.PoolConnectionHolder
    if getattr(holder.connect, "recording", False):
        return
    connect = holder.connect

    async def recorded(self: Any) -> None:
        await connect(self)
        self._con.add_query_logger(_record)

    recorded.recording = True  # type: ignore[attr-defined]
    holder.connect = recorded


def _record(logged: Any) -> None:
    seen.add(logged.query)


def check() -> None:
    """Raises AssertionError for the first recorded statement that breaks the rule."""
    for statement in seen - _checked:
        for flaw in flaws(statement):
            raise AssertionError(f"{flaw}: {statement}")
        _checked.add(statement)


@cache
def flaws(statement: str) -> list[str]:
    """What a statement does to the payment family without naming `project_id`."""
    found = []
    for part in _parts(statement):
        written = _WRITES.match(part)
        locked = None if written else _LOCKS.search(part)
        if written and written[2].lower() in FAMILY and not _names_project(written[1], part):
            found.append(f"writes {written[2]} without project_id")
        if locked and locked[1].lower() in FAMILY and not _conditions_name_project(part):
            found.append(f"locks {locked[1]} without project_id")
    return found


def writes_to(statement: str) -> set[str]:
    """Tables of the family that a statement writes."""
    return {
        found[2].lower()
        for part in _parts(statement)
        if (found := _WRITES.match(part)) and found[2] in FAMILY
    }


def _parts(statement: str) -> Iterator[str]:
    ends = [found.start() for found in _PART.finditer(statement)] + [len(statement)]
    for start, end in pairwise(ends):
        yield statement[start:end]


def _names_project(verb: str, part: str) -> bool:
    if verb.upper() == "INSERT INTO":
        columns = part.partition("(")[2].partition(")")[0]
        return "project_id" in columns
    return _conditions_name_project(part)


def _conditions_name_project(part: str) -> bool:
    return "project_id" in re.split(r"\bRETURNING\b", part, flags=re.IGNORECASE)[0].partition("WHERE")[2]
