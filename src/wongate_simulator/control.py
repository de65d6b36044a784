"""The JSON control API under /control: how tests and developers steer the simulator. Documented at GET /control."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import asdict
from datetime import datetime
from itertools import zip_longest
from typing import Any

from starlette.concurrency import iterate_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from wongate_simulator import cancellation
from wongate_simulator.clock import KST, iso
from wongate_simulator.codes import Refused
from wongate_simulator.connections import origin_of, own_url, read_body
from wongate_simulator.delivery import Returned, deliver
from wongate_simulator.faults import OPENING, WINDOW
from wongate_simulator.mistakes import Mistake
from wongate_simulator.outcomes import Outcome, read_outcome
from wongate_simulator.records import Payment
from wongate_simulator.results import Delivery, choose
from wongate_simulator.simulator import Simulator, simulator_of
from wongate_simulator.striking import strike
from wongate_simulator.window import note_fault, open_window

Handler = Callable[[Request], Awaitable[Response]]
RETURN_LIMIT_S = (
    120  # the return endpoint approves in the same request, and hanging faults must be able to unfold
)
SHOWN_BODY = 2000
WINDOW_PATH = "/v3/v3Payment.jsp"


def in_json(handler: Handler) -> Handler:
    """Turns a Mistake into {"error": ...} with status 400."""

    async def answer(request: Request) -> Response:
        try:
            return await handler(request)
        except Mistake as mistake:
            return JSONResponse({"error": str(mistake)}, 400)

    return answer


async def _object(request: Request) -> dict[str, Any]:
    body = await read_body(request) or b"{}"
    try:
        wanted = json.loads(body)
        if b"\\u" in body:
            # Half of a surrogate pair is valid JSON, but no text: neither books nor answers could hold it.
            json.dumps(wanted, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as mistake:
        raise Mistake(f"the body must be JSON in UTF-8: {mistake}") from mistake
    if not isinstance(wanted, dict):
        raise Mistake("the body must be a JSON object")
    return wanted


def _number(text: str, name: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise Mistake(f"{name} must be a whole number")
    return int(text)


# clock


async def get_clock(request: Request) -> Response:
    return JSONResponse(_clock(simulator_of(request)))


async def set_clock(request: Request) -> Response:
    """{"advance_s": 60}, {"reset": true} or {"now": "2026-11-23T10:00:00+09:00"}."""
    sim = simulator_of(request)
    wanted = await _object(request)
    if len(wanted) != 1:
        raise Mistake("give exactly one of advance_s, reset, now")
    match wanted:
        case {"advance_s": int() | float() as seconds} if not isinstance(seconds, bool):
            sim.clock.advance(seconds)
        case {"reset": True}:
            sim.clock.reset()
        case {"now": str() as text}:
            sim.clock.set_to(_moment(text))
        case _:
            raise Mistake("give advance_s as a number of seconds, reset as true, or now as an ISO 8601 time")
    cancellation.settle_in_progress(sim)
    sim.notices.wake()
    return JSONResponse(_clock(sim))


def _moment(text: str) -> float:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as mistake:
        raise Mistake(
            f"now must be an ISO 8601 time such as 2026-11-23T10:00:00+09:00, not {text[:40]!r}"
        ) from mistake
    return (moment if moment.tzinfo else moment.replace(tzinfo=KST)).timestamp()


def _clock(sim: Simulator) -> dict[str, Any]:
    shared = str(sim.clock.path) if sim.clock.path else None
    return {"now": iso(sim.clock.now()), "offset_s": sim.clock.offset_s, "shared_file": shared}


# outcomes


async def get_outcomes(request: Request) -> Response:
    return JSONResponse(simulator_of(request).outcomes.public())


async def set_outcome(request: Request) -> Response:
    sim = simulator_of(request)
    sim.outcomes.preset(await _object(request))
    return JSONResponse(sim.outcomes.public())


async def clear_outcomes(request: Request) -> Response:
    sim = simulator_of(request)
    sim.outcomes.clear()
    return JSONResponse(sim.outcomes.public())


# faults


async def get_faults(request: Request) -> Response:
    return JSONResponse({"faults": [fault.public() for fault in simulator_of(request).faults.armed]})


async def arm_fault(request: Request) -> Response:
    fault = simulator_of(request).faults.arm(await _object(request))
    return JSONResponse(fault.public(), 201)


async def clear_faults(request: Request) -> Response:
    """All, or ?id=N."""
    text = request.query_params.get("id")
    return JSONResponse(
        {"removed": simulator_of(request).faults.disarm(_number(text, "id") if text else None)}
    )


# books and log


async def get_books(request: Request) -> Response:
    """Streamed: 100,000 payments are written by SQLite in a thread of their own while the simulator goes on."""
    sim = simulator_of(request)
    cancellation.settle_in_progress(sim)
    pieces = sim.books.statement(request.query_params.get("moid"))
    return StreamingResponse(_bytes(pieces), media_type="application/json")


async def _bytes(pieces: Any) -> AsyncIterator[bytes]:
    async for piece in iterate_in_threadpool(pieces):
        yield piece.encode()


async def get_exchanges(request: Request) -> Response:
    asked = request.query_params
    limit = _number(asked.get("limit", "100"), "limit")
    chosen = simulator_of(request).exchanges.latest(
        limit, moid=asked.get("moid", ""), tid=asked.get("tid", ""), kind=asked.get("kind", "")
    )
    return JSONResponse({"exchanges": [exchange.public() for exchange in chosen]})


async def get_notices(request: Request) -> Response:
    notices = simulator_of(request).books.notices(_number(request.query_params.get("limit", "100"), "limit"))
    shown = [
        {**asdict(notice), "body": notice.body.decode("ascii"), "next_at": iso(notice.next_at)}
        for notice in notices
    ]
    return JSONResponse({"notices": shown})


# merchants and the whole


async def get_merchants(request: Request) -> Response:
    return JSONResponse(
        {"merchants": [merchant.public() for merchant in simulator_of(request).merchants.values()]}
    )


async def set_merchant(request: Request) -> Response:
    """A new merchant, or changed settings of a known one."""
    return JSONResponse(simulator_of(request).set_merchant(await _object(request)).public())


async def reset(request: Request) -> Response:
    simulator_of(request).reset()
    return JSONResponse({"reset": True})


# the payer without a browser


async def pay(request: Request) -> Response:
    """Opens the window with the form, chooses, and delivers the result as the payer's browser would."""
    sim = simulator_of(request)
    wanted = await _object(request)
    fields, base_url = _redirect_data(wanted, own_url(request))
    chosen = read_outcome(wanted["outcome"]) if "outcome" in wanted else None
    fault = sim.faults.take(WINDOW, OPENING, fields.get("Moid", ""))
    if fault:
        note_fault(sim, fields, fault)

    async def act() -> Response:
        return await _play(sim, fields, base_url, chosen, wanted.get("deliver", True))

    return await strike(fault, act, _refused)


def _refused(refusal: Refused) -> Response:
    return JSONResponse({"code": refusal.code, "text": refusal.text}, 422)


async def _play(
    sim: Simulator, fields: dict[str, str], base_url: str, chosen: Outcome | None, delivering: bool
) -> Response:
    try:
        with sim.books.together():  # one commit for both
            payment = open_window(sim, fields, base_url)
            outcome = chosen or sim.outcomes.take(payment.moid, payment.amount) or Outcome("card")
            deliveries = choose(sim, payment, outcome)
    except Refused as refusal:
        return _refused(refusal)
    returned = [await deliver(sim, delivery, base_url) for delivery in deliveries] if delivering else []
    unreached = any(answer.status is None for answer in returned)
    return JSONResponse(_played(sim, payment, deliveries, returned), 502 if unreached else 200)


def _redirect_data(wanted: dict[str, Any], own: str) -> tuple[dict[str, str], str]:
    data = wanted.get("redirect_data")
    body = data.get("body") if isinstance(data, dict) else None
    if not isinstance(data, dict) or not isinstance(body, dict):
        raise Mistake(
            'redirect_data must be {"method": "POST", "url": ..., "body": {...}} as the callback gave it'
        )
    if str(data.get("method", "POST")).upper() != "POST":
        raise Mistake("redirect_data.method must be POST")
    if wrong := [name for name, value in body.items() if not isinstance(value, str)]:
        raise Mistake(f"redirect_data.body must hold strings only; not so: {', '.join(wrong)}")
    if not isinstance(wanted.get("deliver", True), bool):
        raise Mistake("deliver must be true or false")
    # The window lives where the merchant sends the payer, which may be another name of this machine.
    origin = origin_of(str(data.get("url", "")))
    return body, origin if origin and data["url"] == origin + WINDOW_PATH else own


def _played(
    sim: Simulator, payment: Payment, deliveries: list[Delivery], returned: list[Returned]
) -> dict[str, Any]:
    # Delivering takes time, in which a reset may have emptied the books.
    now = sim.books.by_token(payment.auth_token) or payment
    steps = [
        {"result": delivery.public(), "return": answer.public() if answer else None}
        for delivery, answer in zip_longest(deliveries, returned)
    ]
    window = {"mid": now.mid, "moid": now.moid, "amount": now.amount, "state": now.state, "tid": now.tid}
    first = steps[0] if steps else {"result": None, "return": None}
    return {"window": window, **first, **({"repeated": steps[1:]} if steps[1:] else {})}
