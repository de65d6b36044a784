"""The server-to-server calls: reads the form, applies the armed fault, commits, answers in the asked-for charset and format."""

import asyncio
import json
from collections.abc import Callable

from starlette.requests import Request
from starlette.responses import Response

from wongate_simulator import approval, cancellation, inquiry
from wongate_simulator.calls import Call
from wongate_simulator.codes import Refused, text_of
from wongate_simulator.connections import Dropped, read_body
from wongate_simulator.exchanges import Exchange
from wongate_simulator.faults import APPROVE, CANCEL, GARBAGE, INQUIRY, KINDS, NETCANCEL, Fault
from wongate_simulator.forms import EUC_KR, read_form, write_form
from wongate_simulator.simulator import Simulator, simulator_of
from wongate_simulator.window import spoiled

DECIDE: dict[str, Callable[[Simulator, Call], dict[str, str]]] = {
    APPROVE: approval.approve,
    NETCANCEL: cancellation.net_cancel,
    CANCEL: cancellation.cancel,
    INQUIRY: inquiry.inquire,
}
# Faults that replace the answer, and so can strike before or after the commit.
REPLACING = ("reset", "http_500", "garbage", "code")


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
    cancellation.settle_in_progress(sim)
    _find_payment(sim, call)
    _take_fault(sim, call)
    sim.exchanges.add(call.exchange)
    if call.fault and call.fault.kind == "hang_before":
        await asyncio.sleep(call.fault.seconds)
        _find_payment(sim, call)
    strikes = call.fault is not None and call.fault.kind in REPLACING
    answer = {} if strikes and call.fault and not call.fault.committed else decide(sim, call)
    if call.fault and call.fault.kind == "hang_after":
        await asyncio.sleep(call.fault.seconds)
    return _faulty_response(call, call.fault) if strikes and call.fault else _response(call, answer)


def _find_payment(sim: Simulator, call: Call) -> None:
    if call.kind in (APPROVE, NETCANCEL):
        call.payment = sim.books.by_token(call.get("AuthToken"))
    else:
        call.payment = sim.books.by_tid(call.get("TID"))
    call.exchange.mid, call.exchange.tid = call.get("MID"), call.get("TID")
    call.exchange.moid = call.payment.moid if call.payment else ""


def _take_fault(sim: Simulator, call: Call) -> None:
    call.fault = sim.faults.take(call.kind, KINDS, call.exchange.moid, call.get("TID"))
    call.exchange.fault = call.fault.kind if call.fault else ""


def decide(sim: Simulator, call: Call) -> dict[str, str]:
    """The answer's fields; whatever they report is committed by now."""
    try:
        answer = DECIDE[call.kind](sim, call)
    except Refused as refusal:
        answer = _failure(sim, call, refusal.code, refusal.text)
    call.exchange.verdict, call.exchange.text = answer["ResultCode"], answer["ResultMsg"]
    call.exchange.answer = answer
    return answer


def _failure(sim: Simulator, call: Call, code: str, text: str) -> dict[str, str]:
    merchant = sim.merchants.get(call.get("MID"))
    if call.kind == INQUIRY:
        return inquiry.answer(call, code, text)
    if call.kind == APPROVE:
        return approval.answer(call, merchant, code, text, signed=bool(merchant and merchant.sign_failures))
    return cancellation.answer(call, merchant, code, text)


def _response(call: Call, answer: dict[str, str]) -> Response:
    if call.fault and call.fault.kind == "wrong_signature" and answer.get("Signature"):
        answer["Signature"] = spoiled(answer["Signature"])
    if call.fault and call.fault.kind == "override":
        answer |= call.fault.fields
    utf_8 = call.get("CharSet").lower() in ("utf-8", "utf8") and not (
        call.fault and call.fault.kind == "euc_kr"
    )
    charset = "utf-8" if utf_8 else "euc-kr"
    if call.get("EdiType").upper() == "KV":
        return Response(write_form(answer.items(), charset), media_type="text/plain", headers=_plain(charset))
    encoding = "utf-8" if utf_8 else EUC_KR
    body = json.dumps(answer, ensure_ascii=False).encode(encoding, "replace")
    return Response(body, headers={"content-type": f"application/json; charset={charset}"})


def _plain(charset: str) -> dict[str, str]:
    return {"content-type": f"text/plain; charset={charset}"}


def _faulty_response(call: Call, fault: Fault) -> Response:
    if not call.exchange.verdict:
        call.exchange.verdict, call.exchange.text = fault.kind, "not committed"
    if fault.kind == "reset":
        return Dropped()
    if fault.kind == "http_500":
        return Response("Internal Server Error", fault.status, media_type="text/html")
    if fault.kind == "garbage":
        return Response(GARBAGE[fault.style], headers={"content-type": "text/html"})
    return _response(call, _coded(call, fault))


def _coded(call: Call, fault: Fault) -> dict[str, str]:
    """The refusal that the switch asks for, whatever was committed; it shows none of the commit's fruits."""
    text = fault.text or text_of(fault.code)
    if call.kind == INQUIRY:
        answer = inquiry.answer(call, fault.code, text)
    elif call.kind == APPROVE:
        answer = approval.answer(call, None, fault.code, text, signed=False)
    else:
        answer = cancellation.answer(call, None, fault.code, text)
    call.exchange.verdict, call.exchange.text, call.exchange.answer = fault.code, text, answer
    return answer
