"""What the page of a payment says in words: statuses, events, and what is odd about a state and what helps."""

from collections.abc import Sequence
from dataclasses import dataclass

from wongate.domain.lifecycle import UNRESOLVED, Stage, Status
from wongate.domain.payment import Payment, PaymentStatus
from wongate.reports.history import History
from wongate.web import dashboard_filters as filters
from wongate.web.dashboard_shell import N_

OPERATION_STATUSES = {
    Status.SUCCESS: (N_("Success"), "good"),
    Status.DECLINE: (N_("Declined"), "bad"),
    Status.PROCESSING: (N_("Processing"), "wait"),
    Status.AWAITING: (N_("Awaiting the payer"), "wait"),
}
CALLBACK_STATES = {
    "delivered": (N_("Delivered"), "good"),
    "waiting": (N_("Waiting"), "wait"),
    "failing": (N_("Failing"), "warn"),
    "failed": (N_("Given up"), "bad"),
    "dropped": (N_("Not needed any more"), ""),
}
SOURCE_NAMES = {**filters.SOURCE_NAMES, "dashboard": N_("Dashboard")}
EXCHANGES = {
    "return": N_("The payer came back"),
    "approve": N_("Approval"),
    "net_cancel": N_("Net cancel"),
    "cancel": N_("Cancel"),
    "inquiry": N_("Inquiry"),
    "settlement_list": N_("The PG's list"),
}
EVENTS = {
    "opened": N_("opened"),
    "invalid": N_("request not valid"),
    "refused": N_("refused by the rules"),
    "confirmed": N_("the payer agreed"),
    "sent": N_("sent to the PG"),
    "approved": N_("approved"),
    "declined": N_("declined"),
    "declined for now": N_("declined, the payer may try again"),
    "retried": N_("the payer tried again"),
    "lapsed": N_("not tried again in time"),
    "not sent": N_("could not be sent"),
    "unanswered": N_("no clear answer"),
    "undone": N_("taken back at the PG"),
    "nothing to undo": N_("nothing to take back at the PG"),
    "expired": N_("limit time passed"),
    "found approved": N_("found approved at the PG"),
}

NOTICE_VERDICTS = {
    "known": N_("known before"),
    "settled": N_("settled by it"),
    "late success": N_("late success"),
    "matches no sale of ours": N_("matches no sale of ours"),
    "another transaction than the one we know": N_("another transaction than the one we know"),
    "the transaction of another sale": N_("the transaction of another sale"),
    "another amount than the sale's": N_("another amount than the sale's"),
    "an equal refund counts as done in its place": N_("an equal refund counts as done in its place"),
    "carried out although it was declined": N_("carried out although it was declined"),
    "refunded outside the platform": N_("refunded outside the platform"),
}
"""What came of a notice of the PG, as `flows/notice.py` writes it down."""


@dataclass(frozen=True, slots=True)
class Banner:
    """An odd state in plain words; `action` is what the page offers beside it, `subject` what that is about.

    Of an open refund `amount` tells which one it is, in won, and `seq` as of when it is shown: a verdict on it names that.
    """

    text: str
    kind: str = "warn"
    action: str = ""
    subject: int = 0
    amount: int = 0
    seq: int = 0


def banners(payment: Payment, past: History, is_late: bool) -> list[Banner]:
    """What somebody should know first, the gravest first."""
    found = [*_money(payment, past)]
    if payment.status is PaymentStatus.AWAITING and not found:
        text = N_("The payer has not finished. The payment is declined by itself at its limit time.")
        late = N_("The payer takes unusually long. The payment is declined by itself at its limit time.")
        found.append(Banner(late if is_late else text, "warn" if is_late else ""))
    if payment.status is PaymentStatus.AWAITING_CUSTOMER:
        found.append(Banner(N_("The try was declined; the payer may try again on the Payment Page."), ""))
    if payment.status is PaymentStatus.ERROR:
        found.append(
            Banner(
                N_("The request was not valid: nothing was begun, and the same id may be used again."), "bad"
            )
        )
    failing = [callback for callback in past.callbacks if callback.is_failing]
    if failing:
        last = failing[-1].row
        text = N_(
            "The merchant's server does not take the callback. It is tried again by itself; you can send it now."
        )
        given_up = N_(
            "The merchant's server did not take the callback, and the tries have ended. You can send it again."
        )
        found.append(
            Banner(given_up if last["state"] == "failed" else text, "warn", "resend", last["callback_id"])
        )
    return found


def _money(payment: Payment, past: History) -> Sequence[Banner]:
    open_refunds = [
        row for row in past.operations if row["kind"] == "refund" and row["stage"] == Stage.ASKING
    ]
    if open_refunds:
        text = N_(
            "The PG has not said whether a refund was done, and goes on being asked. Its money stays set aside. "
            "If the PG's own pages show the answer, you can book it here."
        )
        oldest = open_refunds[0]
        number = oldest["operation_id"]
        seq = past.transitions[number][-1]["seq"]
        return [Banner(text, "warn", "settle", number, oldest["amount"], seq)]
    known = {
        "late success, returned": N_(
            "The payer paid after the payment had been declined. The money has gone back; nothing is left to do."
        ),
        "late success": N_(
            "The payer paid after the payment had been declined. The money is being brought back."
        ),
        "reconciliation needed": N_(
            "It is not known yet what the PG did. It is asked by itself until it is clear; the merchant has been told a decline."
        ),
        "refunded outside the platform": N_(
            "Money was given back outside Wongate, so a refund here was declined. "
            "Compare with the PG's pages before you refund again."
        ),
    }
    if payment.flag:
        return [
            Banner(
                known.get(payment.flag, payment.flag),
                "" if payment.flag == "late success, returned" else "warn",
            )
        ]
    if any(row["stage"] in UNRESOLVED for row in past.operations):
        return [Banner(N_("The PG gave no clear answer. It is asked by itself until it is clear."), "warn")]
    return []
