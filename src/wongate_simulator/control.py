"""The JSON control API under /control: how tests and developers steer the simulator. Documented at GET /control."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import asdict
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

import aiohttp
from starlette.concurrency import iterate_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from wongate_simulator import cancellation
from wongate_simulator.books import Payment
from wongate_simulator.clock import KST, iso
from wongate_simulator.codes import Refused
from wongate_simulator.connections import read_body
from wongate_simulator.forms import write_form
from wongate_simulator.outcomes import Outcome, read_outcome
from wongate_simulator.simulator import Simulator, simulator_of
from wongate_simulator.window import Delivery, choose, open_window

Handler = Callable[[Request], Awaitable[Response]]
RETURN_LIMIT_S = (
    120  # the return endpoint approves in the same request, and hanging faults must be able to unfold
)
SHOWN_BODY = 2000
WINDOW_PATH = "/v3/v3Payment.jsp"


def in_json(handler: Handler) -> Handler:
    """Turns a ValueError's sentence into {"error": ...} with status 400."""

    async def answer(request: Request) -> Response:
        try:
            return await handler(request)
        except ValueError as mistake:
            return JSONResponse({"error": str(mistake)}, 400)

    return answer


async def _object(request: Request) -> dict[str, Any]:
    try:
        wanted = json.loads(await read_body(request) or b"{}")
    except ValueError as mistake:
        raise ValueError(f"the body must be JSON: {mistake}") from mistake
    if not isinstance(wanted, dict):
        raise ValueError("the body must be a JSON object")
    return wanted


# clock


async def get_clock(request: Request) -> Response:
    return JSONResponse(_clock(simulator_of(request)))


async def set_clock(request: Request) -> Response:
    """{"advance_s": 60}, {"reset": true} or {"now": "2026-11-23T10:00:00+09:00"}."""
    sim = simulator_of(request)
    wanted = await _object(request)
    if len(wanted) != 1:
        raise ValueError("give exactly one of advance_s, reset, now")
    match wanted:
        case {"advance_s": int() | float() as seconds} if not isinstance(seconds, bool):
            sim.clock.advance(seconds)
        case {"reset": True}:
            sim.clock.reset()
        case {"now": str() as text}:
            moment = datetime.fromisoformat(text)
            sim.clock.set_to((moment if moment.tzinfo else moment.replace(tzinfo=KST)).timestamp())
        case _:
            raise ValueError(
                "give advance_s as a number of seconds, reset as true, or now as an ISO 8601 time"
            )
    cancellation.settle_in_progress(sim)
    sim.notices.wake()
    return JSONResponse(_clock(sim))


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
    return JSONResponse({"removed": simulator_of(request).faults.disarm(int(text) if text else None)})


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
    limit = max(1, min(int(asked.get("limit", "100")), 2000))
    chosen = simulator_of(request).exchanges.latest(
        limit, asked.get("moid", ""), asked.get("tid", ""), asked.get("kind", "")
    )
    return JSONResponse({"exchanges": [exchange.public() for exchange in chosen]})


async def get_notices(request: Request) -> Response:
    notices = simulator_of(request).books.notices(int(request.query_params.get("limit", "100")))
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
    fields, base_url = _redirect_data(wanted, str(request.base_url).rstrip("/"))
    chosen = read_outcome(wanted["outcome"]) if "outcome" in wanted else None
    try:
        payment = open_window(sim, fields, base_url)
    except Refused as refusal:
        return JSONResponse({"code": refusal.code, "text": refusal.text}, 422)
    outcome = chosen or sim.outcomes.take(payment.moid, payment.amount) or Outcome("card")
    deliveries = choose(sim, payment, outcome)
    answers: list[dict[str, Any] | None] = [None]
    if wanted.get("deliver", True) and deliveries:
        answers = [await _deliver(sim, delivery, base_url) for delivery in deliveries]
    return JSONResponse(_played(sim, payment, deliveries, answers), 502 if _undelivered(answers) else 200)


def _redirect_data(wanted: dict[str, Any], own_url: str) -> tuple[dict[str, str], str]:
    data = wanted.get("redirect_data")
    body = data.get("body") if isinstance(data, dict) else None
    if not isinstance(data, dict) or not isinstance(body, dict):
        raise ValueError(
            'redirect_data must be {"method": "POST", "url": ..., "body": {...}} as the callback gave it'
        )
    if str(data.get("method", "POST")).upper() != "POST":
        raise ValueError("redirect_data.method must be POST")
    if wrong := [name for name, value in body.items() if not isinstance(value, str)]:
        raise ValueError(f"redirect_data.body must hold strings only; not so: {', '.join(wrong)}")
    if not isinstance(wanted.get("deliver", True), bool):
        raise ValueError("deliver must be true or false")
    # The window lives where the merchant sends the payer, which may be another name of this machine.
    address = urlsplit(str(data.get("url", "")))
    return body, f"{address.scheme}://{address.netloc}" if address.path == WINDOW_PATH else own_url


def _played(
    sim: Simulator, payment: Payment, deliveries: list[Delivery], answers: list[dict[str, Any] | None]
) -> dict[str, Any]:
    now = sim.books.by_token(payment.auth_token) or payment
    played: dict[str, Any] = {
        "window": {
            "mid": now.mid,
            "moid": now.moid,
            "amount": now.amount,
            "state": now.state,
            "tid": now.tid,
        },
        "result": deliveries[0].public() if deliveries else None,
        "return": answers[0],
    }
    if len(deliveries) > 1:
        played["repeated"] = [
            {"result": delivery.public(), "return": answer}
            for delivery, answer in zip(deliveries[1:], answers[1:] or [None] * len(deliveries), strict=False)
        ]
    return played


async def _deliver(sim: Simulator, delivery: Delivery, base_url: str) -> dict[str, Any]:
    if sim.http is None:
        raise RuntimeError("the simulator is not serving")
    headers = {"Content-Type": "application/x-www-form-urlencoded", "Origin": base_url}
    try:
        async with sim.http.post(
            delivery.url,
            data=write_form(delivery.fields, delivery.charset),
            headers=headers,
            allow_redirects=False,
            timeout=aiohttp.ClientTimeout(total=RETURN_LIMIT_S),
        ) as answer:
            body = await answer.content.read(SHOWN_BODY * 4)
            text = body.decode("utf-8", "replace")[:SHOWN_BODY]
            return {"status": answer.status, "location": answer.headers.get("Location"), "body": text}
    except (aiohttp.ClientError, TimeoutError, OSError) as trouble:
        return {"status": None, "location": None, "body": "", "error": f"{type(trouble).__name__}: {trouble}"}


def _undelivered(answers: list[dict[str, Any] | None]) -> bool:
    return any(answer is not None and answer["status"] is None for answer in answers)
