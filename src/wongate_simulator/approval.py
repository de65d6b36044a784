"""Approval: the call that moves the money (nicepay 3)."""

import secrets

from wongate_simulator.calls import Call, checked_merchant, read_amount, sign_answer
from wongate_simulator.clock import stamp
from wongate_simulator.codes import APPROVED as SUCCESS
from wongate_simulator.codes import Refused, text_of
from wongate_simulator.fundings import funding_of
from wongate_simulator.merchants import Merchant
from wongate_simulator.notices import notice_fields
from wongate_simulator.records import APPROVED, CANCELLED, DEAD, OPENED, REFUSED, Payment
from wongate_simulator.simulator import Simulator

REQUIRED = ("TID", "AuthToken", "MID", "Amt", "EdiDate", "SignData")
# The captured answer's keys in its order; every one is present in every answer, unused ones as "".
KEYS = (
    *(
        "ResultCode",
        "ResultMsg",
        "Amt",
        "MID",
        "Moid",
        "BuyerEmail",
        "BuyerTel",
        "BuyerName",
        "GoodsName",
        "TID",
        "AuthCode",
    ),
    *(
        "AuthDate",
        "PayMethod",
        "CartData",
        "Signature",
        "MallReserved",
        "CardCode",
        "CardName",
        "CardNo",
        "CardQuota",
    ),
    *(
        "CardInterest",
        "AcquCardCode",
        "AcquCardName",
        "CardCl",
        "CcPartCl",
        "CouponAmt",
        "CouponMinAmt",
        "PointAppAmt",
    ),
    *(
        "ClickpayCl",
        "MultiCl",
        "MultiCardAcquAmt",
        "MultiPointAmt",
        "MultiCouponAmt",
        "RcptType",
        "RcptTID",
        "RcptAuthCode",
    ),
    "CardType",
)


def approve(sim: Simulator, call: Call) -> dict[str, str]:
    """The answer of a committed approval. Raises Refused; then nothing has moved."""
    merchant = checked_merchant(sim, call, "c", REQUIRED)
    payment = _approvable(sim, call, merchant)
    now = sim.clock.now()
    with sim.books.together():  # who is killed in between would have taken money and tell nobody
        if not sim.books.approve(payment, f"{secrets.randbelow(10**8):08d}", now):
            raise Refused("1682")
        call.payment = approved = sim.books.by_id(payment.id)
        sim.notices.queue(
            merchant, approved, "0", sim.faults, lambda: notice_fields(approved, now, payment.amount, "0", "")
        )
    return answer(call, merchant, SUCCESS, text_of(SUCCESS), signed=True)


def refusal(sim: Simulator, call: Call, refused: Refused) -> dict[str, str]:
    merchant = sim.merchants.get(call.get("MID"))
    return answer(
        call, merchant, refused.code, refused.text, signed=bool(merchant and merchant.sign_failures)
    )


def _approvable(sim: Simulator, call: Call, merchant: Merchant) -> Payment:
    payment = call.payment
    if payment is None or payment.state in (OPENED, REFUSED, DEAD):
        raise Refused("A210")
    if payment.mid != merchant.mid:
        raise Refused("A122")
    if payment.tid != call.get("TID"):
        raise Refused("A115")
    if payment.state in (APPROVED, CANCELLED):
        raise Refused("1682")
    if read_amount(call.get("Amt")) != payment.amount:
        raise Refused("A123", f"{call.get('Amt')} != {payment.amount}")
    if sim.clock.now() >= (payment.authenticated_at or 0) + merchant.approval_lifetime_s:
        raise Refused("A245")
    return payment


def answer(call: Call, merchant: Merchant | None, code: str, text: str, signed: bool) -> dict[str, str]:
    """All keys in the captured order; of a foreign merchant's payment nothing is told."""
    payment = call.payment if call.payment and call.payment.mid == call.get("MID") else None
    known = {
        "ResultCode": code,
        "ResultMsg": text,
        "MID": call.get("MID"),
        "TID": call.get("TID"),
        "PayMethod": "CARD",
        "MallReserved": call.get("MallReserved"),
    }
    amount = call.get("Amt")
    known["Amt"] = call.amount_text(int(amount)) if amount.isascii() and amount.isdigit() else amount
    if payment:
        asked = payment.asked()
        known["Moid"] = payment.moid
        known |= {name: asked.get(name, "") for name in ("BuyerEmail", "BuyerTel", "BuyerName", "GoodsName")}
    if payment and code == SUCCESS:
        known |= funding_of(payment)
        known["AuthCode"] = payment.auth_code
        known["AuthDate"] = stamp(payment.approved_at or 0)
        if call.fault and call.fault.kind == "unpadded":
            known |= dict.fromkeys(("CouponAmt", "CouponMinAmt", "PointAppAmt"), "0")
    return sign_answer({name: known.get(name, "") for name in KEYS}, "d", merchant, signed)
