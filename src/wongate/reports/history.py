"""One time line of a payment: requests, calls to the provider, status changes, callbacks with their attempts, people's deeds.

SELECT only. Secrets never get here: exchanges are masked when they are written, tokens of the window are not read, and the
payer's key to the return address is taken out of bodies.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from wongate.connections.database import Tx
from wongate.domain.payment import BY_HAND, Payment

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Happening:
    """One entry of the time line. `kind` says which members `row` has: request, transition, exchange, notice, callback,
    attempt or deed; `place` keeps apart what happened at the same moment."""

    at: datetime
    place: int
    kind: str
    row: Row


@dataclass(frozen=True, slots=True)
class Callback:
    """A callback with everything that was tried."""

    row: Row
    attempts: Sequence[Row]

    @property
    def is_failing(self) -> bool:
        return self.state in ("failed", "failing")

    @property
    def state(self) -> str:
        """As people are told: one that waits after a failure is `failing`."""
        return (
            "failing" if self.row["state"] == "waiting" and self.row["failures"] else str(self.row["state"])
        )


@dataclass(frozen=True, slots=True)
class History:
    operations: Sequence[Row]
    transitions: Mapping[int, Sequence[Row]]  # by operation, oldest first
    callbacks: Sequence[Callback]
    happenings: Sequence[Happening] = field(repr=False)  # newest first


_OPERATIONS = (
    "SELECT operation_id, kind, status, stage, amount, currency, code, request_id, request_hash, description, "
    "merchant_refund_id, order_number, reference, request, created_at, changed_at, limit_at, wake_at, details FROM operation "
    "WHERE project_id = $1 AND payment_no = $2 ORDER BY operation_id"
)
_TRANSITIONS = (
    "SELECT operation_id, seq, event, status, stage, payment_status, code, final, note, at FROM transition "
    "WHERE project_id = $1 AND operation_id = ANY($2) ORDER BY operation_id, seq"
)
_EXCHANGES = (
    "SELECT operation_id, exchange_no, kind, at, duration_ms, request, response, verdict FROM exchange "
    "WHERE project_id = $1 AND operation_id = ANY($2)"
)
_NOTICES = (
    "SELECT operation_id, reference, state, raw, received_at AS at, times, verdict FROM notice "
    "WHERE project_id = $1 AND reference = ANY($3) AND operation_id = ANY($2)"
)
_CALLBACKS = (
    "SELECT c.operation_id, c.callback_id, c.seq, c.intermediate, c.url, replace(c.body, o.return_key, '…') AS body, c.state, "
    "c.attempt, c.failures, c.created_at AS at, c.due_at, c.finished_at, c.by_hand_at FROM callback c "
    "JOIN operation o USING (project_id, operation_id) "
    "WHERE c.project_id = $1 AND c.operation_id = ANY($2) ORDER BY c.callback_id"
)
_ATTEMPTS = (
    "SELECT operation_id, callback_id, attempt, at, duration_ms, http_status, error, response, by_hand FROM attempt "
    "WHERE project_id = $1 AND operation_id = ANY($2) ORDER BY callback_id, attempt"
)
_DEEDS = (
    "SELECT seq, at, actor, action, after FROM audit_entry "
    "WHERE object = $1 AND project_ids @> ARRAY[$2::bigint] ORDER BY seq"
)

_REQUEST, _TRANSITION, _EXCHANGE, _NOTICE, _CALLBACK, _ATTEMPT, _DEED = range(7)


async def of_payment(tx: Tx, payment: Payment) -> History:
    """Everything that is known of it, in eight reads by key."""
    project_id, payment_no = payment.project_id, payment.payment_no
    operations = [dict(row) for row in await tx.fetch(_OPERATIONS, project_id, payment_no)]
    ids = [row["operation_id"] for row in operations]
    references = [row["reference"] for row in operations if row["reference"]]
    transitions = [dict(row) for row in await tx.fetch(_TRANSITIONS, project_id, ids)]
    exchanges = await tx.fetch(_EXCHANGES, project_id, ids)
    notices = await tx.fetch(_NOTICES, project_id, ids, references)
    callbacks = [dict(row) for row in await tx.fetch(_CALLBACKS, project_id, ids)]
    attempts = [dict(row) for row in await tx.fetch(_ATTEMPTS, project_id, ids)]
    deeds = await tx.fetch(_DEEDS, f"payment/{project_id}/{payment_no}", project_id)
    bodies = {row["callback_id"]: row for row in callbacks}
    happenings = [
        *_requests(payment, operations),
        *(Happening(row["at"], _TRANSITION, "transition", row) for row in transitions),
        *(Happening(row["at"], _EXCHANGE, "exchange", dict(row)) for row in exchanges),
        *(Happening(row["at"], _NOTICE, "notice", dict(row)) for row in notices),
        *(Happening(row["at"], _CALLBACK, "callback", row) for row in callbacks),
        *(
            Happening(row["at"], _ATTEMPT, "attempt", {**bodies[row["callback_id"]], **row})
            for row in attempts
        ),
        *(Happening(row["at"], _DEED, "deed", dict(row)) for row in deeds),
    ]
    return History(
        operations=operations,
        transitions={number: [row for row in transitions if row["operation_id"] == number] for number in ids},
        callbacks=[
            Callback(row, [tried for tried in attempts if tried["callback_id"] == row["callback_id"]])
            for row in callbacks
        ],
        happenings=sorted(happenings, key=lambda one: (one.at, one.place), reverse=True),
    )


def _requests(payment: Payment, operations: Sequence[Row]) -> list[Happening]:
    """What opened the payment, and each refund's own request."""
    opening = {"kind": "sale", "source": payment.source, "request": payment.request, "operation_id": None}
    refunds = [
        Happening(row["created_at"], _REQUEST, "request", {**row, "source": _source_of(row)})
        for row in operations
        if row["kind"] == "refund"
    ]
    return [Happening(payment.created_at, _REQUEST, "request", opening), *refunds]


def _source_of(refund: Row) -> str:
    return "dashboard" if refund["request_hash"].startswith(BY_HAND) else "gate"
