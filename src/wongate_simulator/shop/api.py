"""The shop in JSON, for automated tests: what the pages do and show, without a browser."""

import json
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from wongate_simulator.shop import selling
from wongate_simulator.shop.bodies import BodyTooLarge, BodyUnreadable, read_json_object
from wongate_simulator.shop.gate_client import Answer
from wongate_simulator.shop.orders import Order, ReceivedCallback
from wongate_simulator.shop.selling import Shop
from wongate_simulator.shop.settings import CURRENCY

AMOUNT_LIMIT = 10**13  # the protocol's own


async def make_order(request: Request) -> Response:
    """POST /api/orders {"amount", "description"} -> {"payment_id", "accept": Gate's answer}."""
    shop: Shop = request.app.state.shop
    try:
        members = await read_json_object(request)
        amount = _amount(members.get("amount"))
        description = _text(members.get("description", ""))
    except (BodyTooLarge, BodyUnreadable) as problem:
        return _refuse(problem)
    order = selling.new_order(
        shop, item="", description=description, amount=amount, way="gate", language="en"
    )
    answer = await selling.sell(shop, order, payer_ip(request))
    return _answered(order, "accept", answer)


async def show_order(request: Request) -> Response:
    shop: Shop = request.app.state.shop
    order = shop.orders.find(request.path_params["payment_id"])
    return JSONResponse(_story(shop, order)) if order else _unknown()


async def refund_order(request: Request) -> Response:
    """POST /api/orders/{payment_id}/refunds {"amount"?, "reason"?}; without an amount, all that is left."""
    shop: Shop = request.app.state.shop
    order = shop.orders.find(request.path_params["payment_id"])
    if order is None:
        return _unknown()
    try:
        members = await read_json_object(request)
        amount = _amount(members["amount"]) if "amount" in members else None
        reason = _text(members.get("reason", "refund"))
    except (BodyTooLarge, BodyUnreadable) as problem:
        return _refuse(problem)
    refund_id = selling.new_id("refund")
    answer = await selling.refund(shop, order.payment_id, refund_id, amount, reason)
    return _answered(order, "accept", answer)


async def ask_status(request: Request) -> Response:
    """POST /api/orders/{payment_id}/status -> Gate's answer; the order tells whether it is signed."""
    shop: Shop = request.app.state.shop
    order = shop.orders.find(request.path_params["payment_id"])
    if order is None:
        return _unknown()
    return _answered(order, "status", await selling.ask_status(shop, order.payment_id))


def payer_ip(request: Request) -> str:
    return request.client.host if request.client else "127.0.0.1"


def _answered(order: Order, name: str, answer: Answer) -> Response:
    """502 when Gate did not answer: the order is kept and its request can be sent again."""
    members = answer.members or {"status": "error", "message": answer.text}
    return JSONResponse(
        {"payment_id": order.payment_id, name: members, "http_status": answer.http_status},
        502 if answer.http_status is None else 200,
    )


def _story(shop: Shop, order: Order) -> dict[str, Any]:
    standing = selling.standing(shop, order)
    requests = shop.orders.requests(order.payment_id)
    return {
        "order": {name: getattr(order, name) for name in Order.__dataclass_fields__} | {"currency": CURRENCY},
        "status": standing.status,
        "code": standing.code,
        "amount_left": standing.amount_left,
        "available_to_refund": standing.available,
        "redirect_data": standing.redirect and vars(standing.redirect),  # method, url, body
        "callbacks": [_callback(callback) for callback in shop.orders.callbacks(order.payment_id)],
        "requests": [vars(request) for request in requests],
    }


def _callback(callback: ReceivedCallback) -> dict[str, Any]:
    """A verified callback is given as JSON too; a refused one only as the text it was."""
    return {
        "received_at": callback.received_at,
        "verified": callback.verified,
        "problem": callback.problem,
        "times": callback.times,
        "body": json.loads(callback.body) if callback.verified else None,
        "raw": callback.body,
    }


def _amount(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 < value <= AMOUNT_LIMIT:
        raise BodyUnreadable('"amount" must be a whole number of won, from 1')
    return value


def _text(value: Any) -> str:
    """JSON can spell half a character (a lone surrogate), which UTF-8 cannot carry."""
    if not isinstance(value, str) or value.encode(errors="replace").decode() != value:
        raise BodyUnreadable("a description or reason must be text")
    return value


def _unknown() -> Response:
    return JSONResponse({"error": "no such order"}, 404)


def _refuse(problem: Exception) -> Response:
    return JSONResponse({"error": str(problem) or "the body is too large"}, 400)
