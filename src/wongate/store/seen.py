"""A change without a lock: a payment is read with the versions of its rows, and what is decided on it is written only if these
rows are still the same, which one statement finds out and does."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache

from wongate.connections.database import Tx
from wongate.domain.payment import Operation, Payment
from wongate.store.payments import SELECT_BOTH, both_of
from wongate.store.rows import FEW, as_json
from wongate.store.written import WRITES, Written

_VERSIONS = "p.xmin AS payment_version, o.xmin AS operation_version"
_SELECT_SEEN = (
    SELECT_BOTH.replace(" FROM ", f", {_VERSIONS} FROM ", 1) + "WHERE p.project_id = $1 AND p.payment_no = "
    "(SELECT payment_no FROM operation WHERE project_id = $1 AND operation_id = $2) ORDER BY o.operation_id"
)


@dataclass(slots=True)
class Seen:
    """A payment with its operations, oldest first, as one statement read them or as our own last change left them.

    A version is the transaction that wrote the row as it is (`xmin`): any change by anybody makes another, whatever it changed.
    `stale` once somebody else's has been met.
    """

    payment: Payment
    operations: list[Operation]
    payment_version: int
    operation_versions: dict[int, int]
    stale: bool = False

    def left(self, payment: Payment, operations: Iterable[Operation], written: Written, version: int) -> None:
        """Our own change has come through as that transaction."""
        self.payment, self.operations = payment, list(operations)
        if written.payments:
            self.payment_version = version
        for _, operation_id in (*written.operations, *written.new_operations):
            self.operation_versions[operation_id] = version


async def read(tx: Tx, project_id: int, operation_id: int) -> Seen | None:
    """The payment that this operation belongs to."""
    rows = await tx.fetch(_SELECT_SEEN, project_id, operation_id)
    if not rows:
        return None
    payment, operations = both_of(rows)
    versions = {one.operation_id: row["operation_version"] for one, row in zip(operations, rows, strict=True)}
    return Seen(payment, operations, rows[0]["payment_version"], versions)


async def write_if_unchanged(tx: Tx, seen: Sequence[Seen], written: Written) -> int | None:
    """Writes everything, when every payment and operation is what was seen; otherwise nothing, and answers None.

    One statement, on one server, outside of a transaction. Answers with the version that the written rows have now.
    """
    payments = [
        {
            "project_id": one.payment.project_id,
            "payment_no": one.payment.payment_no,
            "version": one.payment_version,
        }
        for one in seen
    ]
    operations = [
        {"project_id": one.payment.project_id, "operation_id": operation_id, "version": version}
        for one in seen
        for operation_id, version in one.operation_versions.items()
    ]
    rows = written.rows()
    row = await tx.fetchrow(
        _guarded(tuple(rows)),
        *map(as_json, (payments, operations)),
        len(payments),
        len(operations),
        *map(as_json, rows.values()),
    )
    return row["version"] if row["unchanged"] else None


@cache
def _guarded(kinds: tuple[str, ...]) -> str:
    """The rows are locked like those of any change, payments first. A row that another transaction has changed while we waited
    for its lock is looked at again by PostgreSQL, as it is then: it has another version and is not among the locked."""
    unchanged = "(SELECT unchanged FROM guard)"
    writes = [
        f"{kind} AS ({WRITES[kind](more=f' {word} {unchanged}', parameter=number)})"
        for number, kind in enumerate(kinds, start=5)
        for word in (("AND" if kind in ("payments", "operations") else "WHERE"),)
    ]
    parts = [
        "seen_payment AS (SELECT * FROM json_to_recordset($1::json) "
        f"AS r(project_id bigint, payment_no bigint, version xid) WHERE {FEW})",
        "seen_operation AS (SELECT * FROM json_to_recordset($2::json) "
        f"AS r(project_id bigint, operation_id bigint, version xid) WHERE {FEW})",
        "held_payment AS MATERIALIZED (SELECT 1 FROM payment p JOIN seen_payment s USING (project_id, payment_no) "
        "WHERE p.xmin = s.version ORDER BY project_id, payment_no FOR UPDATE OF p)",
        "held_operation AS MATERIALIZED (SELECT 1 FROM operation o JOIN seen_operation s USING (project_id, operation_id) "
        "WHERE o.xmin = s.version AND (SELECT count(*) FROM held_payment) = $3::integer "
        "ORDER BY project_id, operation_id FOR UPDATE OF o)",
        "guard AS MATERIALIZED (SELECT (SELECT count(*) FROM held_operation) = $4::integer AS unchanged)",
        *writes,
    ]
    return f"WITH {', '.join(parts)} SELECT unchanged, pg_current_xact_id()::xid AS version FROM guard"
