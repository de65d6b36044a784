"""The payer's choice, and the result that goes to the return URL because of it."""

from dataclasses import dataclass

from wongate_simulator import hashing
from wongate_simulator.codes import AUTHENTICATED as SUCCESS
from wongate_simulator.codes import text_of
from wongate_simulator.exchanges import Exchange
from wongate_simulator.faults import RESULT, WINDOW, Fault
from wongate_simulator.forms import is_utf_8
from wongate_simulator.outcomes import Outcome
from wongate_simulator.records import OPENED, REFUSED, Payment
from wongate_simulator.simulator import Simulator

CANCELLED_BY_PAYER, AUTHENTICATION_FAILED, EXPIRED = "I009", "C002", "W111"


@dataclass(frozen=True, slots=True)
class Delivery:
    """One POST to the return URL: where, which fields in which order, in which charset."""

    url: str
    fields: list[tuple[str, str]]
    charset: str

    def public(self) -> dict[str, str]:
        return dict(self.fields)


def choose(sim: Simulator, payment: Payment, outcome: Outcome) -> list[Delivery]:
    """The payer's choice: what goes to the return URL, in order; nothing for a window that is just closed.

    A second choice in the same window repeats the result of the first: a double click pays once.
    """
    if outcome.outcome == "abandon":
        return []
    if outcome.outcome == "expire":
        sim.books.expire(payment, sim.clock.now())
    payment = _ended(sim, payment, outcome)
    fault = sim.faults.take(WINDOW, RESULT, payment.moid, payment.tid or "")
    deliveries = _deliveries(sim, payment, outcome, fault)
    for delivery in deliveries:
        _log(sim, payment, delivery, fault)
    return deliveries


def _ended(sim: Simulator, payment: Payment, outcome: Outcome) -> Payment:
    now = sim.clock.now()
    if (payment.state == OPENED and now >= payment.expires_at) or outcome.outcome == "expire":
        sim.books.refuse(payment, EXPIRED)
    elif outcome.pays:
        _authenticate(sim, payment, outcome, now)
    else:
        failed = outcome.code or AUTHENTICATION_FAILED
        sim.books.refuse(payment, CANCELLED_BY_PAYER if outcome.outcome == "cancel" else failed)
    return sim.books.by_id(payment.id)


def _authenticate(sim: Simulator, payment: Payment, outcome: Outcome, now: float) -> None:
    cc_part_cl = outcome.cc_part_cl or sim.merchants[payment.mid].cc_part_cl
    for _ in range(10_000):
        tid = sim.mint_tid(payment.mid)
        if sim.books.authenticate(payment, tid, outcome.outcome, cc_part_cl, outcome.quota, now) is not None:
            return
    raise OverflowError("10,000 payments within one second of the settable clock: move it on")


def _deliveries(sim: Simulator, payment: Payment, outcome: Outcome, fault: Fault | None) -> list[Delivery]:
    result = result_of(sim, payment, outcome.text, fault)
    if fault is None:
        return [result]
    if fault.kind == "duplicate_result":
        return [result, result]
    if fault.kind == "contradicting_result" and payment.tid:
        failure = result_of(sim, payment, "", fault, failing_with=CANCELLED_BY_PAYER)
        return [result, failure] if fault.first == "success" else [failure, result]
    return [result]


def result_of(
    sim: Simulator, payment: Payment, text: str = "", fault: Fault | None = None, failing_with: str = ""
) -> Delivery:
    """The result of a window that has ended; `failing_with` tells another story than the books do."""
    asked = payment.asked()
    code = failing_with or (payment.end_code if payment.state == REFUSED else SUCCESS)
    host = fault.host if fault and fault.kind == "foreign_host" else asked["base_url"]
    fields = _fields(payment, asked, code, text, host)
    fields["Signature"] = hashing.digest("b", fields, sim.merchants[payment.mid].key)
    if fault and fault.kind == "wrong_signature":
        fields["Signature"] = hashing.spoiled(fields["Signature"])
    if fault and fault.kind == "override":
        fields |= fault.fields
    utf_8 = is_utf_8(asked.get("CharSet", "")) and not (fault and fault.kind == "euc_kr")
    return Delivery(asked["return_url"], list(fields.items()), "utf-8" if utf_8 else "euc-kr")


def _fields(payment: Payment, asked: dict[str, str], code: str, text: str, host: str) -> dict[str, str]:
    """In the order of the captured mobile result (nicepay 2.1); failures lack TxTid and both addresses."""
    fields = {
        "AuthResultCode": code,
        "AuthResultMsg": text or text_of(code),
        "AuthToken": payment.auth_token,
        "PayMethod": "CARD",
        "MID": payment.mid,
        "Moid": payment.moid,
        "Amt": str(payment.amount),
        "ReqReserved": asked.get("ReqReserved", ""),
    }
    if code == SUCCESS:
        fields["TxTid"] = payment.tid or ""
        fields["NextAppURL"] = f"{host}/webapi/pay_process.jsp"
        fields["NetCancelURL"] = f"{host}/webapi/cancel_process.jsp"
    return fields


def _log(sim: Simulator, payment: Payment, delivery: Delivery, fault: Fault | None) -> None:
    answer = delivery.public()
    sim.exchanges.add(
        Exchange(
            "result",
            sim.clock.now(),
            mid=payment.mid,
            moid=payment.moid,
            tid=payment.tid or "",
            formula="b",
            verdict=answer.get("AuthResultCode", ""),
            text=answer.get("AuthResultMsg", ""),
            answer=answer,
            fault=fault.kind if fault else "",
        )
    )
