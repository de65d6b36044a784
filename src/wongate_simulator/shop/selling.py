"""What a merchant does: sells, sends again what went unanswered, refunds, asks how a payment stands."""

import secrets
from dataclasses import dataclass

from wongate_simulator.shop import gate_client
from wongate_simulator.shop.gate_client import Answer, GateClient, Message, NotGenuine, signed_text
from wongate_simulator.shop.orders import Order, Orders, SentRequest
from wongate_simulator.shop.payment_page import PaymentPage
from wongate_simulator.shop.progress import Progress, progress
from wongate_simulator.shop.settings import ShopSettings
from wongate_simulator.shop.watching import Watchers

# Payment ids are compared without case, and people read them aloud: no letters that look alike.
ID_LETTERS = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"

# A real shop knows who is signed in. This one has a single customer.
CUSTOMER_ID = "demo-customer"


@dataclass(frozen=True)
class Shop:
    """The parts of the running shop."""

    settings: ShopSettings
    orders: Orders
    gate: GateClient
    page: PaymentPage
    watchers: Watchers


def new_id(prefix: str) -> str:
    """50 random bits: nobody meets another's order by guessing, and no two are ever alike."""
    return f"{prefix}-" + "".join(secrets.choice(ID_LETTERS) for _ in range(10))


def new_order(shop: Shop, *, item: str, description: str, amount: int, way: str, language: str) -> Order:
    return Order(
        payment_id=new_id("shop"),
        item=item,
        description=description,
        amount=amount,
        way=way,
        customer_id=CUSTOMER_ID,
        language=language,
        created_at=shop.orders.now(),
    )


async def sell(shop: Shop, order: Order, payer_ip: str) -> Answer:
    """Keeps the order and its sale request together, then sends the request to Gate."""
    message = gate_client.sale_message(shop.settings, order, payer_ip)
    with shop.orders.all_or_nothing():
        shop.orders.place(order)
        request = _keep(shop, order.payment_id, "sale", gate_client.SALE, message)
    return await send(shop, request)


async def refund(shop: Shop, payment_id: str, refund_id: str, amount: int | None, reason: str) -> Answer:
    message = gate_client.refund_message(shop.settings, payment_id, refund_id, amount, reason)
    return await send(shop, _keep(shop, payment_id, "refund", gate_client.REFUND, message, refund_id))


async def ask_status(shop: Shop, payment_id: str) -> Answer:
    message = gate_client.status_message(shop.settings, payment_id)
    return await send(shop, _keep(shop, payment_id, "status", gate_client.STATUS, message))


async def send(shop: Shop, request: SentRequest) -> Answer:
    """For the first time or again: the platform recognises the same bytes and starts nothing twice (E-6)."""
    answer = await shop.gate.send(request.url, request.body)
    shop.orders.keep_answer(request.number, answer.http_status, answer.text, _is_signed(shop, answer))
    shop.watchers.wake(request.payment_id)
    return answer


def standing(shop: Shop, order: Order) -> Progress:
    return progress(order, shop.orders.requests(order.payment_id), shop.orders.callbacks(order.payment_id))


def _keep(
    shop: Shop, payment_id: str, kind: str, path: str, message: Message, refund_id: str | None = None
) -> SentRequest:
    """Kept before it is sent: whatever happens in between, the request can be sent again as it was."""
    return shop.orders.keep_request(
        payment_id, kind, shop.gate.url(path), shop.gate.sign(message), signed_text(message), refund_id
    )


def _is_signed(shop: Shop, answer: Answer) -> bool:
    """Only answers that carry data about a payment are signed; an accept answer is not."""
    try:
        shop.gate.open_signed(answer.text.encode())
    except NotGenuine:
        return False
    return True
