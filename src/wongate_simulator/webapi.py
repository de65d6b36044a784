"""The server-to-server calls: reads the form, commits, answers in the charset and format asked for, faults applied."""

import json
from collections.abc import Callable

from starlette.requests import Request
from starlette.responses import Response

from wongate_simulator import approval, cancellation, hashing, inquiry
from wongate_simulator.calls import Call
from wongate_simulator.codes import Refused
from wongate_simulator.connections import read_body
from wongate_simulator.exchanges import Exchange
from wongate_simulator.faults import APPROVE, CANCEL, INQUIRY, KINDS, NETCANCEL
from wongate_simulator.forms import EUC_KR, UTF_8, is_utf_8, read_form, write_form
from wongate_simulator.simulator import Simulator, simulator_of
from wongate_simulator.striking import strike

DECIDE: dict[str, Callable[[Simulator, Call], dict[str, str]]] = {
    APPROVE: approval.approve,
    NETCANCEL: cancellation.net_cancel,
    CANCEL: cancellation.cancel,
    INQUIRY: inquiry.inquire,
}
REFUSE: dict[str, Callable[[Simulator, Call, Refused], dict[str, str]]] = {
    APPROVE: approval.refusal,
    NETCANCEL: cancellation.refusal,
    CANCEL: cancellation.refusal,
    INQUIRY: inquiry.refusal,
}


async def pay_process(request: Request) -> Response:
    return await _answer(request, APPROVE)


async def cancel_process(request: Request) -> Response:
    """Cancel and net cancel share an address; NetCancel=1 tells them apart."""
    return await _answer(request, CANCEL)


async def trans_status(request: Request) -> Response:
    return await _answer(request, INQUIRY)


async def _answer(request: Request, kind: str) -> Response:
    sim = simulator_of(request)
    form = read_form(await read_body(request))
    if kind == CANCEL and form.fields.get("NetCancel") == "1":
        kind = NETCANCEL
    call = Call(kind, form, Exchange(kind, sim.clock.now(), request=form.fields))
    find_payment(sim, call)
    call.fault = sim.faults.take(kind, KINDS, call.exchange.moid, call.get("TID"))
    call.exchange.fault = call.exchange.verdict = call.fault.kind if call.fault else ""
    sim.exchanges.add(call.exchange)

    async def act() -> Response:
        return _write(call, decide(sim, call))

    def refuse(refusal: Refused) -> Response:
        return _write(call, _logged(call, REFUSE[kind](sim, call, refusal)))

    return await strike(call.fault, act, refuse)


def find_payment(sim: Simulator, call: Call) -> None:
    """As the books are now. By token where there is one: before its approval a TID is only the merchant's claim."""
    cancellation.settle_in_progress(sim)
    by_token = call.kind in (APPROVE, NETCANCEL)
    call.payment = (
        sim.books.by_token(call.get("AuthToken")) if by_token else sim.books.by_tid(call.get("TID"))
    )
    call.exchange.mid, call.exchange.tid = call.get("MID"), call.get("TID")
    call.exchange.moid = call.payment.moid if call.payment else ""


def decide(sim: Simulator, call: Call) -> dict[str, str]:
    """The answer's fields; whatever they report is committed by now."""
    if call.fault:  # a hanging request sees the books as they are when it wakes up
        find_payment(sim, call)
    try:
        return _logged(call, DECIDE[call.kind](sim, call))
    except Refused as refusal:
        return _logged(call, REFUSE[call.kind](sim, call, refusal))


def _logged(call: Call, answer: dict[str, str]) -> dict[str, str]:
    call.exchange.verdict, call.exchange.text = answer["ResultCode"], answer["ResultMsg"]
    call.exchange.answer = answer
    return answer


def _write(call: Call, answer: dict[str, str]) -> Response:
    fault = call.fault.kind if call.fault else ""
    if fault == "wrong_signature" and answer.get("Signature"):
        answer["Signature"] = hashing.spoiled(answer["Signature"])
    if call.fault and fault == "override":
        answer |= call.fault.fields
    utf_8 = is_utf_8(call.get("CharSet")) and fault != "euc_kr"
    charset = "utf-8" if utf_8 else "euc-kr"
    if call.get("EdiType").upper() == "KV":
        body, kind = write_form(answer.items(), charset), "text/plain"
    else:
        text = json.dumps(answer, ensure_ascii=False)
        body, kind = text.encode(UTF_8 if utf_8 else EUC_KR, "replace"), "application/json"
    return Response(body, headers={"content-type": f"{kind}; charset={charset}"})
