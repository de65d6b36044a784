"""The other two ways to be paid: the hosted Payment Page, opened by redirect or in a window by EPayWidget.

No request goes from this server to the platform: the payer's browser carries parameters that were signed
here. Flags are the numbers 0 and 1, because SDK 1.0.6 writes True into the URL but signs 1; and no value may
contain `;` (E-3).
"""

import asyncio
import time
from typing import Any

import aiohttp
from payment_page_sdk.gate import Gate
from payment_page_sdk.payment import Payment

from wongate_simulator.shop.gate_client import GateClient, Signatures
from wongate_simulator.shop.orders import Order
from wongate_simulator.shop.settings import CURRENCY, ShopSettings

# The page is looked for at most this often, and a platform that is slower than a second counts as absent.
LOOK_AGAIN_S = 3
LOOK_LIMIT_S = 1


def page_payment(settings: ShopSettings, order: Order) -> Payment:
    payment = Payment(settings.project_id, order.payment_id)
    payment.payment_amount = order.amount
    payment.payment_currency = CURRENCY
    payment.payment_description = order.description
    payment.customer_id = order.customer_id
    payment.force_payment_method = "payco-wallet"
    payment.language_code = order.language
    payment.merchant_callback_url = settings.callback_url
    payment.redirect_success_url = settings.return_url("success", order.payment_id)
    payment.redirect_fail_url = settings.return_url("decline", order.payment_id)
    payment.merchant_return_url = settings.return_url("return", order.payment_id)
    # From a window over the shop the payer must come back to the shop, not to a copy of it inside the window.
    payment.redirect_success_mode = payment.redirect_fail_mode = "parent_page"
    payment.merchant_return_redirect_mode = "parent_page"
    return payment


def page_url(settings: ShopSettings, order: Order) -> str:
    url: str = Gate(settings.secret, settings.page_url).get_purchase_payment_page_url(
        page_payment(settings, order)
    )
    return url


def widget_parameters(settings: ShopSettings, order: Order) -> dict[str, Any]:
    """What `EPayWidget.run()` is given. Handlers are added in the browser; they are not signed."""
    parameters: dict[str, Any] = page_payment(settings, order).get_params()
    return parameters | {"signature": Signatures(settings.secret).sign(parameters)}


class PaymentPage:
    """Knows whether the platform serves a Payment Page at this moment."""

    def __init__(self, settings: ShopSettings, gate: GateClient) -> None:
        self._script_url = f"{settings.page_origin}/shared/merchant.js"
        self._gate = gate
        self._looked_at = -float(LOOK_AGAIN_S)
        self._found = False
        self._one_look = asyncio.Lock()

    async def is_open(self) -> bool:
        async with self._one_look:
            if time.monotonic() - self._looked_at >= LOOK_AGAIN_S:
                self._found = await self._look()
                self._looked_at = time.monotonic()
        return self._found

    async def _look(self) -> bool:
        limit = aiohttp.ClientTimeout(total=LOOK_LIMIT_S)
        try:
            async with self._gate.session.get(
                self._script_url, timeout=limit, allow_redirects=False
            ) as response:
                return response.status == 200
        except (aiohttp.ClientError, TimeoutError):
            return False
