"""POST /callbacks: what the platform tells a merchant about payments.

Verify the signature, keep the message, then answer 200 - also for a message seen before: anything but 200 is
sent again, up to 120 times in eleven days. 400 says that the message could not be read or was not signed by
the platform.
"""

import json
from typing import Any

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from wongate_simulator.shop.bodies import BodyTooLarge, read_body
from wongate_simulator.shop.gate_client import Message, NotGenuine
from wongate_simulator.shop.orders import Order
from wongate_simulator.shop.selling import CUSTOMER_ID, Shop

# The platform's callbacks take 1-2 KB; the longest description and redirect form stay below 8 KB.
BODY_LIMIT = 64 * 1024


async def receive_callback(request: Request) -> Response:
    shop: Shop = request.app.state.shop
    try:
        body = await read_body(request, BODY_LIMIT)
        members = shop.gate.open_signed(body)
    except BodyTooLarge:
        return PlainTextResponse("too large", 413)
    except NotGenuine as problem:
        _refuse(shop, body, str(problem))
        return PlainTextResponse(f"refused: {problem}", 400)
    accept(shop, members, body.decode())
    return PlainTextResponse("OK")


def accept(shop: Shop, members: Message, body: str) -> None:
    """Keeps a verified callback, once per operation and status (the pair that identifies what it reports)."""
    payment = _object(members, "payment")
    operation = _object(members, "operation")
    payment_id = payment.get("id")
    if payment_id is not None:
        shop.orders.place(_order_made_elsewhere(shop, payment))
    shop.orders.keep_callback(payment_id, operation.get("id"), operation.get("status"), body)
    shop.watchers.wake(str(payment_id))


def _order_made_elsewhere(shop: Shop, payment: dict[str, Any]) -> Order:
    """A sale sent by hand with this project's key is shown here too; our own orders are known already."""
    amount = _object(payment, "sum").get("amount")
    return Order(
        payment_id=str(payment["id"]),
        item="",
        description=str(payment.get("description", "")),
        amount=amount if isinstance(amount, int) else 0,
        way="elsewhere",
        customer_id=CUSTOMER_ID,
        language="en",
        created_at=shop.orders.now(),
    )


def _refuse(shop: Shop, body: bytes, problem: str) -> None:
    """Kept for the page, under the payment that it claims to be about. It changes nothing."""
    text = body.decode(errors="replace")
    try:
        claimed = json.loads(text)["payment"]["id"]
    except (ValueError, TypeError, LookupError, RecursionError):
        claimed = None
    payment_id = claimed if isinstance(claimed, str) and claimed.isprintable() else None
    shop.orders.keep_refused(payment_id, text, problem)
    shop.watchers.wake(str(payment_id))


def _object(members: dict[str, Any], name: str) -> dict[str, Any]:
    value = members.get(name)
    return value if isinstance(value, dict) else {}
