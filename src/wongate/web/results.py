"""How a result is put into words for the payer. Reasons that a thief could learn from are not told (code 20401)."""

from typing import Any

from wongate.domain import codes
from wongate.domain.lifecycle import UNRESOLVED
from wongate.domain.payment import Operation, Payment, PaymentStatus
from wongate.web.words import Words


def result_words(say: Words, payment: Payment, operation: Operation) -> dict[str, Any]:
    """`heading`, `reason` and `status` in the payer's language."""
    _ = say.gettext
    if payment.status is PaymentStatus.SUCCESS:
        return {"heading": _("Payment complete"), "reason": _("Thank you."), "status": _("Paid")}
    if payment.status is PaymentStatus.PARTIALLY_REFUNDED:
        reason = _("Part of this payment has been refunded.")
        return {"heading": _("Payment complete"), "reason": reason, "status": _("Partly refunded")}
    if payment.status is PaymentStatus.REFUNDED:
        reason = _("This payment has been refunded.")
        return {"heading": _("Payment refunded"), "reason": reason, "status": _("Refunded")}
    heading = _("The time to pay is over") if _ran_out(operation) else _("Payment not completed")
    return {"heading": heading, "reason": _reason(say, operation), "status": _("Not paid")}


def _ran_out(operation: Operation) -> bool:
    """A decline at the limit time; a provider that did not answer is declined under the same code, but earlier."""
    return operation.limit_at is not None and operation.changed_at >= operation.limit_at


def _reason(say: Words, operation: Operation) -> str:
    _ = say.gettext
    if operation.stage in UNRESOLVED:
        return _("If money was taken from your account, it is being returned.")
    if _ran_out(operation):
        return _("The payment was not finished in time. Nothing has been charged.")
    known = {
        codes.CANCELLED_BY_PAYER: _("You cancelled the payment. Nothing has been charged."),
        codes.TIMED_OUT: _("Payco gave no clear answer. Nothing has been charged."),
        20101: _("The amount is above a limit of your Payco account. Nothing has been charged."),
        20105: _("There is not enough money in your Payco account. Nothing has been charged."),
        20202: _("Payco cannot be reached at the moment. Nothing has been charged."),
    }
    return known.get(operation.code, _("Payco did not approve the payment. Nothing has been charged."))
