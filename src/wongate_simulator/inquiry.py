"""Status inquiry by TID (nicepay 6): no amount, no Moid, no Signature."""

from wongate_simulator.calls import Call, checked_merchant
from wongate_simulator.clock import stamp
from wongate_simulator.codes import INQUIRED, Refused
from wongate_simulator.records import APPROVED, CANCELLED, Payment
from wongate_simulator.simulator import Simulator

REQUIRED = ("TID", "MID", "EdiDate", "SignData")
IS_APPROVED, IS_CANCELLED, NO_APPROVAL = "0", "1", "9"


def inquire(sim: Simulator, call: Call) -> dict[str, str]:
    """Partial cancels leave Status 0 (N-11); the TID of a partial cancel itself is a cancelled transaction."""
    merchant = checked_merchant(sim, call, "g", REQUIRED)
    payment = call.payment
    if payment is not None and payment.mid != merchant.mid:
        raise Refused("A122")
    status = _status(payment)
    if payment is None and sim.books.knows_cancel_tid(call.get("TID")):
        status = IS_CANCELLED
    return answer(call, INQUIRED, "정상", status)


def refusal(sim: Simulator, call: Call, refused: Refused) -> dict[str, str]:
    return answer(call, refused.code, refused.text)


def _status(payment: Payment | None) -> str:
    if payment is None or payment.state not in (APPROVED, CANCELLED):
        return NO_APPROVAL
    return IS_CANCELLED if payment.state == CANCELLED else IS_APPROVED


def answer(call: Call, code: str, text: str, status: str = "") -> dict[str, str]:
    payment = call.payment if status in (IS_APPROVED, IS_CANCELLED) else None
    return {
        "ResultCode": code,
        "ResultMsg": text,
        "TID": call.get("TID"),
        "Status": status,
        "AuthCode": payment.auth_code if payment else "",
        "AuthDate": stamp(payment.approved_at) if payment and payment.approved_at else "",
    }
