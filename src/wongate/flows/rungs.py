"""How often the truth is asked for, and who may still act on a claim: shared by sales and refunds of unknown outcome."""

from datetime import datetime, timedelta

from wongate.domain import codes
from wongate.domain.lifecycle import Event, Stage
from wongate.domain.payment import Operation, Project
from wongate.flows.settle import UNRESOLVED, Case, Door

LEASE = timedelta(seconds=120)
"""Longer than one rung at its worst: net cancel, inquiry and ordinary cancel at 35 s each."""

SEND_WITHIN_S = 20.0
"""Seconds after an intent in which its call must leave. With the call itself (35 s) that is within the intent's lease: a process
that slept in between sends nothing behind the back of whoever took over (F19)."""

RUNGS_S = (5, 15, 60)
RUNG_S = 300
UNCLEAR_FOR = timedelta(hours=24)
SLOW_RUNG_S = 3600
"""N-10: again after 5 s, 15 s, 60 s, then every 5 minutes for 24 hours, then flagged and hourly."""


def next_rung(case: Case, operation: Operation) -> None:
    """Sets the time of the next look; at the limit time the decline is published and the money worked back behind it (E-39)."""
    rungs = int(operation.details.get("rungs", 0))
    unclear_since = operation.details.get("unclear_since") or case.now.isoformat()
    details = {**operation.details, "rungs": rungs + 1, "unclear_since": unclear_since}
    long_unclear = case.now >= datetime.fromisoformat(unclear_since) + UNCLEAR_FOR
    pause_s = RUNGS_S[rungs] if rungs < len(RUNGS_S) else SLOW_RUNG_S if long_unclear else RUNG_S
    wake_at = case.now + timedelta(seconds=pause_s)
    if operation.stage is Stage.UNDOING and operation.limit_at is not None and case.now < operation.limit_at:
        wake_at = min(wake_at, operation.limit_at)  # the decline is due then (E-39), however long the rung
    operation = case.change(operation, details=details, wake_at=wake_at)
    if long_unclear and case.payment.flag == "":
        case.alarm(operation, UNRESOLVED)
    if operation.stage is Stage.UNDOING and operation.limit_at is not None and case.now >= operation.limit_at:
        code = operation.details.get("undo_code", case.project.settings.limit_code)
        case.move(
            operation, Event.EXPIRED, code=code, note="limit time while the provider's truth is unknown"
        )
        case.alarm(operation, UNRESOLVED)


async def outlived(door: Door, project: Project, operation: Operation, call: str) -> bool:
    """The intent of a call outlived its lease: nobody knows whether the call left (F2, F3). False where somebody else has
    taken the operation over."""

    def decide(case: Case) -> bool:
        ours = still_ours(case, operation)
        if ours is None:
            return False
        case.move(
            ours,
            Event.UNANSWERED,
            code=codes.AWAITING_PROVIDER,
            wake_at=case.now + LEASE,
            note=f"{call} was under way when its process ended",
        )
        return True

    return await door.settle(project, operation.payment_no, decide)


def still_ours(case: Case, claimed: Operation) -> Operation | None:
    """The operation, if nobody has claimed or moved it since: a worker that slept past its lease changes nothing (F19)."""
    operation = case.operations[claimed.operation_id]
    same = operation.attempt == claimed.attempt and operation.stage is claimed.stage
    return operation if same else None
