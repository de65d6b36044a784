"""What changes leave behind, and how it is written: all of it in one statement."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, partial
from typing import Any, NamedTuple

from wongate.connections.database import Tx
from wongate.domain.payment import Operation, Payment
from wongate.store.columns import OPERATION_COLUMNS, OPERATION_KEY, OPERATION_LIVE, PAYMENT_KEY, PAYMENT_LIVE
from wongate.store.rows import as_json, insert, update

Row = Mapping[str, Any]
Key = tuple[int, int]
"""(project_id, payment_no)"""

_TRANSITION = (
    "project_id bigint, operation_id bigint, seq smallint, event text, status text, stage text, payment_status text, "
    "code integer, final boolean, note text, at timestamptz"
)
_ENTRY = "project_id bigint, operation_id bigint, seq smallint, debit text, credit text, amount bigint, at timestamptz"
_EXCHANGE = (
    "project_id bigint, operation_id bigint, exchange_no bigint, kind text, at timestamptz, duration_ms integer, "
    "request jsonb, response jsonb, verdict text"
)
_CALLBACK = (
    "project_id bigint, operation_id bigint, callback_id bigint, payment_no bigint, seq smallint, intermediate boolean, "
    "lane text, url text, body text, state text, created_at timestamptz, due_at timestamptz"
)

WRITES: dict[str, Callable[..., str]] = {
    "payments": partial(update, "payment", PAYMENT_KEY, PAYMENT_LIVE),
    "new_operations": partial(insert, "operation", OPERATION_COLUMNS),
    "operations": partial(update, "operation", OPERATION_KEY, OPERATION_LIVE),
    "transitions": partial(insert, "transition", _TRANSITION),
    "entries": partial(insert, "ledger_entry", _ENTRY),
    "exchanges": partial(insert, "exchange", _EXCHANGE),
    "callbacks": partial(insert, "callback", _CALLBACK),
}
"""What changes leave behind, in the order in which rows refer to each other."""


@dataclass(slots=True)
class Written:
    """Rows that one or many changes leave behind, gathered to be written with one statement per table."""

    payments: dict[Key, Payment] = field(default_factory=dict)
    operations: dict[Key, Operation] = field(default_factory=dict)
    new_operations: dict[Key, Operation] = field(default_factory=dict)
    transitions: list[Row] = field(default_factory=list)
    entries: list[Row] = field(default_factory=list)
    exchanges: list[Row] = field(default_factory=list)
    callbacks: list[Row] = field(default_factory=list)

    def add(self, other: "Written") -> None:
        """Of a row that an earlier change has opened, the later version is inserted."""
        self.payments.update(other.payments)
        self.new_operations.update(other.new_operations)
        for key, operation in other.operations.items():
            (self.new_operations if key in self.new_operations else self.operations)[key] = operation
        for name in ("transitions", "entries", "exchanges", "callbacks"):
            getattr(self, name).extend(getattr(other, name))

    def rows(self) -> dict[str, Sequence[Any]]:
        """The rows of each kind that there is; an operation that is new is not changed as well."""
        changed = [op for key, op in self.operations.items() if key not in self.new_operations]
        kinds: dict[str, Sequence[Any]] = {
            "payments": list(self.payments.values()),
            "new_operations": list(self.new_operations.values()),
            "operations": changed,
            "transitions": self.transitions,
            "entries": self.entries,
            "exchanges": self.exchanges,
            "callbacks": self.callbacks,
        }
        return {name: rows for name, rows in kinds.items() if rows}


class Opening(NamedTuple):
    """A payment's new sale as it stands after its first event, and the rows that follow from it: all decided, nothing written."""

    payment: Payment
    operation: Operation
    transition: Row
    callbacks: Sequence[Row]


def written_of(openings: Iterable[Opening]) -> Written:
    """What new sales leave behind beside their payments."""
    written = Written()
    for one in openings:
        written.new_operations[one.operation.project_id, one.operation.operation_id] = one.operation
        written.transitions.append(one.transition)
        written.callbacks += one.callbacks
    return written


async def write(tx: Tx, written: Written) -> None:
    """Everything in one statement, whose parts PostgreSQL carries out together; one by one where tables are spread over
    servers, which know no such statement."""
    rows = written.rows()
    if tx.spread:
        for kind, found in rows.items():
            await tx.execute(WRITES[kind](), as_json(found))
    elif rows:
        await tx.execute(_together(tuple(rows)), *map(as_json, rows.values()))


@cache
def _together(kinds: tuple[str, ...]) -> str:
    """The statement that writes these kinds of rows, each from a parameter of its own."""
    *first, last = [WRITES[kind](parameter=number) for number, kind in enumerate(kinds, start=1)]
    named = ", ".join(f"{kind} AS ({part})" for kind, part in zip(kinds[:-1], first, strict=True))
    return f"WITH {named} {last}" if named else last
