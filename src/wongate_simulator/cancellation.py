"""Cancel, partial cancel and net cancel (nicepay 4 and 5), asked for by the merchant or by hand on the admin page."""

import asyncio
import secrets
from dataclasses import replace

from wongate_simulator.calls import Call, checked_merchant, read_amount, sign_answer
from wongate_simulator.clock import kst
from wongate_simulator.codes import CANCELLED as SUCCESS
from wongate_simulator.codes import Refused, text_of
from wongate_simulator.fundings import PADDED_ZERO, PAYCO, cancelled_parts
from wongate_simulator.hashing import Hint
from wongate_simulator.merchants import Merchant
from wongate_simulator.notices import GLANCE_S, notice_fields, state_of_cancel
from wongate_simulator.records import APPROVED, AUTHENTICATED, CANCELLED, DONE, PENDING, Cancellation, Payment
from wongate_simulator.simulator import MEDIA_PARTIAL_CANCEL, Simulator

NET_REQUIRED = ("TID", "AuthToken", "MID", "Amt", "EdiDate", "SignData")
REQUIRED = ("TID", "MID", "Moid", "PartialCancelCode", "EdiDate", "SignData")
DAY_S = 86_400
FULL, PARTIAL, NET, ADMIN = "full", "partial", "net", "admin"


def net_cancel(sim: Simulator, call: Call) -> dict[str, str]:
    """Undoes an approval whose answer was lost. Before the approval it answers 2012 and the token is dead for good."""
    merchant = checked_merchant(sim, call, "c", NET_REQUIRED)
    payment = _own(call, merchant)
    if payment.state == AUTHENTICATED:
        sim.books.kill(payment)
    _check_approved(payment)
    if payment.cancelled:
        raise Refused("2015")
    if read_amount(call.get("Amt")) != payment.amount:
        raise Refused("2011", f"{call.get('Amt')} != {payment.amount}")
    if sim.clock.now() > (payment.approved_at or 0) + merchant.net_cancel_window_s:
        raise Refused("2020")
    _check_none_in_progress(sim, payment)
    return _book(sim, call, merchant, payment, payment.amount, NET)


def cancel(sim: Simulator, call: Call) -> dict[str, str]:
    """A full or partial cancel with the cancel formula. Raises Refused; then nothing has moved."""
    merchant = _checked_cancel(sim, call)
    payment = _own(call, merchant)
    _check_approved(payment)
    amount = read_amount(call.get("CancelAmt"))
    if amount <= 0:
        raise Refused("2010")
    if sim.clock.now() > (payment.approved_at or 0) + merchant.cancel_period_days * DAY_S:
        raise Refused("2016")
    _check_none_in_progress(sim, payment)
    if call.get("PartialCancelCode") == "0":
        if amount != payment.remain:
            raise Refused("2011", f"{amount} != {payment.remain}")
        return _book(sim, call, merchant, payment, amount, FULL)
    _check_partial(payment, amount, merchant)
    return _book(sim, call, merchant, payment, amount, PARTIAL)


def refusal(sim: Simulator, call: Call, refused: Refused) -> dict[str, str]:
    return answer(call, sim.merchants.get(call.get("MID")), refused.code, refused.text)


def _checked_cancel(sim: Simulator, call: Call) -> Merchant:
    if not call.get("CancelAmt"):
        raise Refused("V801")
    if not call.form.raw.get("CancelMsg"):
        raise Refused("V802")
    merchant = checked_merchant(sim, call, "e", REQUIRED)
    if call.get("PartialCancelCode") not in ("0", "1"):
        raise Refused("A212", "PartialCancelCode")
    # NICEPAY reads the reason as EUC-KR whatever CharSet says; UTF-8 Korean is recorded as the garble it becomes there.
    reason = call.form.as_euc_kr("CancelMsg")
    if reason != call.get("CancelMsg"):
        call.exchange.hints.append(Hint("cancel_msg_utf8", reason))
    return merchant


def _own(call: Call, merchant: Merchant) -> Payment:
    payment = call.payment
    if payment is None:
        raise Refused("2012")
    if payment.mid != merchant.mid:
        raise Refused("2019")
    if call.kind == "netcancel" and payment.tid != call.get("TID"):
        raise Refused("2012")
    return payment


def _check_approved(payment: Payment) -> None:
    if payment.state == CANCELLED:
        raise Refused("2013")
    if payment.state != APPROVED:
        raise Refused("2012")


def _check_none_in_progress(sim: Simulator, payment: Payment) -> None:
    """Its money is spoken for: two cancels together could return more than was paid."""
    if any(earlier.state == PENDING for earlier in sim.books.cancellations(payment)):
        raise Refused("2002")


def _check_partial(payment: Payment, amount: int, merchant: Merchant) -> None:
    if payment.cc_part_cl == "0" or (merchant.one_partial_only and payment.cancelled):
        raise Refused("2029")
    if merchant.refuse_compound_partial and payment.funding == "mixed":
        raise Refused("2051")
    if amount > payment.remain:
        raise Refused("2032", f"{amount} > {payment.remain}")


def _book(
    sim: Simulator, call: Call, merchant: Merchant, payment: Payment, amount: int, kind: str
) -> dict[str, str]:
    reason = call.form.as_euc_kr("CancelMsg")[:100]
    entry = _entry(sim, merchant, payment, amount, kind, call.get("Moid"), reason)
    if call.fault and call.fault.kind == "in_progress":
        due = entry.cancelled_at + call.fault.after_s
        sim.books.cancel(
            payment, replace(entry, state=PENDING, settles_at=due, settles_to=call.fault.settles)
        )
        raise Refused("2002")
    _carry_out(sim, merchant, payment, entry)
    return answer(call, merchant, SUCCESS, text_of(SUCCESS), entry)


def _carry_out(sim: Simulator, merchant: Merchant, payment: Payment, entry: Cancellation) -> None:
    """The cancel and its notification in one commit: a simulator killed between two had given 300 won back and told nobody."""
    with sim.books.together():
        sim.books.cancel(payment, entry)
        announce(sim, merchant, payment, entry)


def _entry(
    sim: Simulator,
    merchant: Merchant,
    payment: Payment,
    amount: int,
    kind: str,
    cancel_moid: str,
    reason: str,
) -> Cancellation:
    return Cancellation(
        id=0,
        payment_id=payment.id,
        tid=_cancel_tid(sim, merchant, payment, amount),
        cancel_moid=cancel_moid,
        amount=amount,
        remain=payment.remain - amount,
        number=f"{secrets.randbelow(10**8):08d}",
        kind=kind,
        state=DONE,
        cancelled_at=sim.clock.now(),
        settles_at=None,
        settles_to=None,
        reason=reason,
    )


def _cancel_tid(sim: Simulator, merchant: Merchant, payment: Payment, amount: int) -> str:
    """A partial cancel has a TID of its own unless the merchant is set otherwise (N-14)."""
    if amount < payment.amount and merchant.partial_tid == "new":
        return sim.mint_tid(payment.mid, MEDIA_PARTIAL_CANCEL)
    return payment.tid or ""


def announce(sim: Simulator, merchant: Merchant, payment: Payment, done: Cancellation) -> None:
    """Queues the notification of a cancel that went through."""
    now = sim.clock.now()
    state_cd = state_of_cancel(payment, now)
    sim.notices.queue(
        merchant,
        payment,
        state_cd,
        sim.faults,
        lambda: notice_fields(payment, now, done.amount, state_cd, done.cancel_moid),
    )


def cancel_by_hand(sim: Simulator, payment: Payment, amount: int, reason: str) -> Cancellation:
    """What the merchant's own staff does in the PG's admin pages: no hash, no CancelMOID. Raises Refused."""
    merchant = sim.merchants[payment.mid]
    _check_approved(payment)
    if amount <= 0:
        raise Refused("2010")
    if amount > payment.remain:
        raise Refused("2032", f"{amount} > {payment.remain}")
    _check_none_in_progress(sim, payment)
    if amount < payment.amount:
        _check_partial(payment, amount, merchant)
    entry = _entry(sim, merchant, payment, amount, ADMIN, "", reason)
    _carry_out(sim, merchant, payment, entry)
    return entry


def settle_in_progress(sim: Simulator) -> None:
    """Ends the cancels that were answered with 2002 and whose time has come."""
    with sim.books.together():
        for payment, cancellation in sim.books.settle_due(sim.clock.now()):
            announce(sim, sim.merchants[payment.mid], payment, cancellation)


async def watch(sim: Simulator) -> None:
    """Settles cancels in progress as the clock, which others may move, comes to their time. Until cancelled."""
    while True:
        settle_in_progress(sim)
        await asyncio.sleep(GLANCE_S)


def answer(
    call: Call, merchant: Merchant | None, code: str, text: str, done: Cancellation | None = None
) -> dict[str, str]:
    """The documented keys, then those that captures show besides; failures leave number, date and time empty."""
    payment = call.payment if call.payment and call.payment.mid == call.get("MID") else None
    amount = call.get("Amt" if call.kind == "netcancel" else "CancelAmt")
    remain = done.remain if done else payment.remain if payment else None
    moment = kst(done.cancelled_at) if done else None
    known = {
        "ResultCode": code,
        "ResultMsg": text,
        "CancelAmt": call.amount_text(int(amount)) if amount.isascii() and amount.isdigit() else amount,
        "MID": call.get("MID"),
        "Moid": call.get("Moid") or (payment.moid if payment else ""),
        "Signature": "",
        "PayMethod": "CARD",
        "TID": done.tid if done else call.get("TID"),
        "CancelDate": f"{moment:%Y%m%d}" if moment else "",
        "CancelTime": f"{moment:%H%M%S}" if moment else "",
        "CancelNum": done.number if done else "",
        "RemainAmt": "" if remain is None else call.amount_text(remain),
        "MallReserved": call.get("MallReserved"),
        "ErrorCD": "0000" if done else code,
        "ErrorMsg": text,
        "MsgSource": "NICEPAY",
        "CouponAmt": PADDED_ZERO if done else "",
        "ClickpayCl": PAYCO if payment else "",
    }
    if payment and done:
        known |= cancelled_parts(payment, done.amount)
    wanted = bool(merchant and (merchant.sign_cancels if done else merchant.sign_failures))
    return sign_answer(known, "f", merchant, wanted)
