"""What people do to a payment from the Dashboard: a refund (E-31), and the truth about one that the provider left open (N-12).

The audit log gets its line first, as the intent: a process that dies in between leaves no deed without a name.
"""

import hashlib
from collections.abc import Mapping
from enum import Enum, auto
from typing import Any

from wongate.connections.database import Tx
from wongate.domain import codes, requests
from wongate.domain.lifecycle import FINAL, Kind, Stage
from wongate.domain.outcome import Approved, Declined
from wongate.domain.payment import BY_HAND, Payment, Project
from wongate.domain.refusal import Refused, Unfit
from wongate.flows import audit
from wongate.flows.audit import Actor
from wongate.flows.give_back import book_refund, decline
from wongate.flows.platform import Platform
from wongate.flows.refund import RefundAccepted, begin_refund
from wongate.flows.settle import Case, Door

REASON_MAX = 255
REFERENCE_MAX = 30


async def refund(
    platform: Platform,
    door: Door,
    actor: Actor,
    project: Project,
    payment: Payment,
    *,
    amount: int,
    reason: str,
    form_key: str,
) -> RefundAccepted:
    """The same checks, operation and callbacks as a refund through Gate. `form_key` makes a form that is sent twice one refund.

    Raises Unfit for what cannot even be asked.
    """
    if not project.settings.dashboard_refunds:
        raise Unfit("Refunds from the Dashboard are switched off for this project.")
    check_reason(reason)
    if not 0 < amount <= payment.refundable:
        raise Unfit("The amount must be between 1 won and what is available for refund.", "amount")
    body = {
        "general": {"project_id": project.project_id, "payment_id": payment.payment_id},
        "payment": {"amount": amount, "currency": payment.currency, "description": reason.strip()},
    }
    try:
        request = requests.refund(body)
    except Refused as refusal:
        raise Unfit(codes.message(refusal.code), "reason") from None
    await record(platform, actor, payment, "refund requested", {"amount": amount, "reason": reason.strip()})
    digest = hashlib.sha256(f"{payment.payment_no}:{form_key}".encode()).hexdigest()
    return await begin_refund(platform, door, project, request, request_hash=BY_HAND + digest)


def check_reason(reason: str) -> None:
    """Raises Unfit: the description of a refund is mandatory on the wire."""
    if not reason.strip() or len(reason) > REASON_MAX:
        raise Unfit("A refund has a reason of at most 255 characters.", "reason")


class Verdict(Enum):
    """What became of a person's word on an open refund."""

    BOOKED = auto()
    CLOSED = auto()  # it is no longer open
    STALE = auto()  # it has been sent again, or its answer has come, since the person looked


async def settle_refund(
    platform: Platform,
    door: Door,
    actor: Actor,
    project: Project,
    payment: Payment,
    operation_id: int,
    *,
    seq: int,
    done: bool,
    reference: str = "",
) -> Verdict:
    """Books a refund as what somebody has seen at the PG: `done` or not.

    `seq` is the operation's as that person saw it: a cancel sent since then may have done what was not done before, so that
    "not done" would give the money back twice. Raises Unfit.
    """
    if len(reference) > REFERENCE_MAX or not reference.isascii():
        raise Unfit("The PG's id of a refund (TID) has at most 30 letters and digits.", "reference")
    after = {
        "operation_id": operation_id,
        "seq": seq,
        "outcome": "success" if done else "decline",
        "reference": reference,
    }
    await record(platform, actor, payment, "refund settled by hand", after)

    def decide(case: Case) -> Verdict:
        open_refund = case.operations.get(operation_id)
        if open_refund is None or open_refund.kind is not Kind.REFUND or open_refund.status in FINAL:
            return Verdict.CLOSED
        if (open_refund.stage, open_refund.seq) != (Stage.ASKING, seq):
            return Verdict.STALE
        if done:
            seen = Approved(open_refund.amount, reference or case.sale.reference, {"settled_by": actor.login})
            book_refund(case, open_refund, seen)
        else:
            text = f"settled by hand: {actor.login}"
            decline(case, open_refund, Declined(codes.GENERAL_DECLINE, provider_text=text))
        return Verdict.BOOKED

    return await door.settle(project, payment.payment_no, decide)


async def record(
    platform: Platform, actor: Actor, payment: Payment, action: str, after: Mapping[str, Any]
) -> None:
    """Writes a deed into the audit log; it shows on the payment's own page."""
    object_ = f"payment/{payment.project_id}/{payment.payment_no}"

    async def story(tx: Tx) -> None:
        now = platform.clock.now()
        await audit.record(tx, actor, action, object_, now, project_ids=(payment.project_id,), after=after)

    await platform.database.run(story)
