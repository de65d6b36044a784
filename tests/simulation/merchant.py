"""A shop: takes orders, sends its payers to the window, hears callbacks, gives money back - and is as unreliable as shops are."""

import asyncio
import json
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tests.simulation import signatures
from tests.simulation.network import MERCHANT_IP
from tests.simulation.process import Response

if TYPE_CHECKING:
    from tests.simulation.world import World

PROJECT_ID = 1001
SECRET = "shop secret, 비밀"
CALLBACK_URL = "https://shop.test/callback"
COPY_URL = "https://books.shop.test:8443/copy"
SALE_PATH = "/v2/payment/wallet/payco/sale"
REFUND_PATH = "/v2/payment/wallet/payco/refund"
PATIENCE = 8  # how often a request without an answer is sent again

REFUND_PLANS = (
    ("none", 8),
    ("full", 3),
    ("full by amount", 2),
    ("partials", 4),
    ("at once", 4),  # several at the same instant, together more than the payment
    ("twice the same", 3),  # a button pressed twice: two identical requests at once
    ("too much", 2),
    ("same id", 2),
    ("not positive", 1),
)


@dataclass
class Order:
    """What the shop knows of one order of its own."""

    number: int
    payment_id: str
    amount: int
    sale: bytes = b""
    window_opened: bool = False
    finals: list[dict[str, Any]] = field(default_factory=list)
    refunds_planned: bool = False


class Merchant:
    def __init__(self, world: "World") -> None:
        self._world = world
        self._random = world.random("merchant")
        self.orders: dict[str, Order] = {}
        self._refusals = world.plan.refusals
        self._dead_for_good = world.swarm.strikes("shop: dead endpoint") and self._random.random() < 0.3

    # --- orders ------------------------------------------------------------------------------------------------------------

    async def sell(self, amount: int, *, broken_first: bool = False) -> Order:
        """Posts a sale until it is answered, or patience ends. `broken_first` sends unsound data before."""
        number = len(self.orders) + 1
        order = Order(number, f"order-{number}", amount)
        self.orders[order.payment_id] = order
        if broken_first:
            await self.post(SALE_PATH, self._sale(order, email="no address"))
        order.sale = self._sale(order)
        await self.post(SALE_PATH, order.sale)
        return order

    def page_order(self, amount: int) -> tuple[Order, dict[str, str]]:
        """An order that is paid on the Payment Page, and the signed parameters of its link."""
        number = len(self.orders) + 1
        order = Order(number, f"order-{number}", amount, window_opened=True)
        self.orders[order.payment_id] = order
        asked = {
            "project_id": str(PROJECT_ID),
            "payment_id": order.payment_id,
            "payment_amount": str(amount),
            "payment_currency": "KRW",
            "payment_description": f"주문 {number}",
            "customer_id": f"customer-{number}",
        }
        return order, {**asked, "signature": signatures.of_message(asked, SECRET)}

    def _sale(self, order: Order, email: str = "") -> bytes:
        customer = {"id": f"customer-{order.number}", "ip_address": "203.0.113.7"}
        return signatures.signed(
            {
                "general": {"project_id": PROJECT_ID, "payment_id": order.payment_id},
                "customer": {**customer, "email": email} if email else customer,
                "payment": {"amount": order.amount, "currency": "KRW", "description": f"주문 {order.number}"},
                "return_url": {"success": "https://shop.test/thanks", "decline": "https://shop.test/sorry"},
            },
            SECRET,
        )

    async def post(self, path: str, body: bytes) -> Response | None:
        """The same bytes again and again while there is no answer, as a careful shop does (E-6)."""
        for _ in range(PATIENCE):
            self._world.auditor.asked(path, body)
            answer = await self._world.network.to_platform(
                "gate", path, body, caller_ip=MERCHANT_IP, wait_s=20
            )
            if answer is not None and answer.status != 503:
                return answer
            await asyncio.sleep(self._random.uniform(0.5, 20))
        return None

    # --- callbacks ---------------------------------------------------------------------------------------------------------

    def is_dead(self, url: str) -> bool:
        swarm = self._world.swarm
        if url != CALLBACK_URL:
            return False
        return self._dead_for_good or swarm.strikes("shop: dead endpoint")

    def receive(self, url: str, body: bytes, trouble: str) -> int:
        """The HTTP status that the endpoint answers with."""
        self._world.auditor.merchant_received(url, body)
        if self._refusals:
            self._refusals -= 1
            return 500
        if trouble == "error":
            return self._random.choice((400, 404, 500, 503))
        if url == CALLBACK_URL:
            self._understand(json.loads(body))
        return self._random.choice((201, 204, 302)) if trouble == "almost right" else 200

    def _understand(self, message: Mapping[str, Any]) -> None:
        order = self.orders[message["payment"]["id"]]
        operation = message["operation"]
        if "redirect_data" in message:
            if not order.window_opened:
                order.window_opened = True
                self._world.spawn(self._world.payer_comes(order, message["redirect_data"]))
            return
        order.finals.append(dict(message))
        if operation["type"] == "sale" and operation["status"] == "success" and not order.refunds_planned:
            order.refunds_planned = True
            self._world.spawn(self._refunds(order))

    # --- money back --------------------------------------------------------------------------------------------------------

    async def _refunds(self, order: Order) -> None:
        plan = self._world.plan.refunds
        if not plan:
            names, weights = zip(*REFUND_PLANS, strict=True)
            plan = self._random.choices(names, weights)[0]
            await asyncio.sleep(self._random.choice((0.0, 1.0, 30.0, 600.0)) * self._random.random())
        await asyncio.gather(*self._requests(order, plan))

    def _requests(self, order: Order, plan: str) -> list[Coroutine[Any, Any, Any]]:
        amount, draw = order.amount, self._random
        match plan:
            case "full":
                return [self._refund(order, None)]
            case "full by amount":
                return [self._refund(order, amount)]
            case "partials":
                return [self._partials(order, [amount // 5] * draw.randint(1, 5))]
            case "one partial":
                return [self._refund(order, amount // 4)]
            case "one partial, later":
                return [self._later(order, amount // 4)]
            case "two partials":
                return [self._partials(order, [amount // 4, amount // 3])]
            case "two equal partials":
                return [self._partials(order, [amount // 4] * 2)]
            case "two halves and more":
                return [self._refund(order, part) for part in (amount // 2, amount // 2, amount // 2)]
            case "twice the whole":
                body = self._refund_body(order, None, "")
                return [self.post(REFUND_PATH, body), self.post(REFUND_PATH, body)]
            case "at once":
                return [
                    self._refund(order, amount * draw.randint(2, 9) // 10) for _ in range(draw.randint(2, 4))
                ]
            case "twice the same":
                body = self._refund_body(order, draw.choice((None, amount // 3)), "")
                return [self.post(REFUND_PATH, body), self.post(REFUND_PATH, body)]
            case "too much":
                return [self._refund(order, amount + draw.choice((1, 1000, 10**9)))]
            case "same id":
                return [
                    self._refund(order, amount // 4, refund_id="r1"),
                    self._refund(order, amount // 3, refund_id="r1"),
                ]
            case "not positive":
                return [self._refund(order, draw.choice((0, -1, -amount)))]
        return []

    async def _partials(self, order: Order, amounts: list[int]) -> None:
        for amount in amounts:
            await self._refund(order, amount)
            await asyncio.sleep(self._random.uniform(0, 30))

    async def _later(self, order: Order, amount: int) -> None:
        await asyncio.sleep(self._random.uniform(100, 900))
        await self._refund(order, amount)

    async def _refund(self, order: Order, amount: int | None, refund_id: str = "") -> None:
        await self.post(REFUND_PATH, self._refund_body(order, amount, refund_id))

    def _refund_body(self, order: Order, amount: int | None, refund_id: str) -> bytes:
        payment: dict[str, Any] = {"description": f"refund {self._random.randrange(10**9)}"}
        if amount is not None:
            payment |= {"amount": amount, "currency": "KRW"}
        if refund_id:
            payment["merchant_refund_id"] = f"{order.payment_id}-{refund_id}"
        general = {"project_id": PROJECT_ID, "payment_id": order.payment_id}
        return signatures.signed({"general": general, "payment": payment}, SECRET)
