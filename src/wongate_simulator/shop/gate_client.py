"""How a merchant speaks to Gate: build a message, sign it, send it, verify what comes back.

Signing and verifying are the work of ECommPay's published SDK, unchanged (`pip install ecommpay-sdk`). What
its version 1.0.6 asks of the caller:

* It signs null as the text `None`, where the platform signs nothing: leave a member out rather than sending
  null (E-1).
* It sorts list items as text, 10 before 2: a status answer with more than ten operations does not verify
  (E-4).
* It compares signatures with `==`, whose time tells how much of a forged signature was right: `Signatures`
  mends that.
* For JSON that is not an object it fails with whatever Python raises, not with `ProcessException`:
  `open_signed` catches both.
"""

import hmac
import json
from dataclasses import dataclass
from typing import Any

import aiohttp
from payment_page_sdk.callback import Callback
from payment_page_sdk.process_exception import ProcessException
from payment_page_sdk.signature_handler import SignatureHandler

from wongate_simulator.shop.orders import Order
from wongate_simulator.shop.settings import CURRENCY, ShopSettings

SALE = "/v2/payment/wallet/payco/sale"
REFUND = "/v2/payment/wallet/payco/refund"
STATUS = "/v2/payment/status"

# Gate answers within 0.1 s. After 10 s no answer will come; the request is kept and can be sent again.
ANSWER_LIMIT_S = 10

Message = dict[str, Any]


def sale_message(settings: ShopSettings, order: Order, payer_ip: str) -> Message:
    return {
        "general": {
            "project_id": settings.project_id,
            "payment_id": order.payment_id,
            "merchant_callback_url": settings.callback_url,
        },
        "payment": {"amount": order.amount, "currency": CURRENCY, "description": order.description},
        "customer": {"id": order.customer_id, "ip_address": payer_ip},
        "return_url": {
            outcome: settings.return_url(outcome, order.payment_id)
            for outcome in ("success", "decline", "return")
        },
    }


def refund_message(
    settings: ShopSettings, payment_id: str, refund_id: str, amount: int | None, reason: str
) -> Message:
    """Without an amount everything that is left goes back.

    `merchant_refund_id` makes the request safe to repeat: the platform never refunds twice under one id.
    """
    payment: Message = {"description": reason, "merchant_refund_id": refund_id}
    if amount is not None:
        payment |= {"amount": amount, "currency": CURRENCY}
    general = {
        "project_id": settings.project_id,
        "payment_id": payment_id,
        "merchant_callback_url": settings.callback_url,
    }
    return {"general": general, "payment": payment}


def status_message(settings: ShopSettings, payment_id: str) -> Message:
    return {"general": {"project_id": settings.project_id, "payment_id": payment_id}}


class Signatures(SignatureHandler):  # type: ignore[misc]  # the SDK carries no types
    """The SDK's signatures, compared in constant time."""

    def check(self, params: Message, signature: str) -> bool:
        return hmac.compare_digest(self.sign(params).encode(), signature.encode())


class NotGenuine(Exception):
    """A message that the platform did not sign, or that cannot be read; the text says which."""


@dataclass(frozen=True)
class Answer:
    """What Gate said at once. It tells that a request was taken, never how a payment ended."""

    http_status: int | None  # None: no answer came, and nobody knows whether the request arrived
    text: str

    @property
    def members(self) -> Message:
        try:
            members = json.loads(self.text)
        except ValueError:
            return {}
        return members if isinstance(members, dict) else {}

    @property
    def accepted(self) -> bool:
        return self.http_status == 200

    @property
    def resendable(self) -> bool:
        """No answer or a platform's fault: send the same bytes again. After 4xx, correct the request."""
        return self.http_status is None or self.http_status >= 500


class GateClient:
    def __init__(self, settings: ShopSettings) -> None:
        self._gate_url = settings.gate_url
        self._signatures = Signatures(settings.secret)
        self._session: aiohttp.ClientSession | None = None

    def sign(self, message: Message) -> str:
        """The signed body, ready to send. The signature goes into `general` and covers all but itself."""
        signature = self._signatures.sign(message)
        return json.dumps(
            message | {"general": message["general"] | {"signature": signature}}, ensure_ascii=False
        )

    def url(self, path: str) -> str:
        return self._gate_url + path

    async def send(self, url: str, body: str) -> Answer:
        headers = {"Content-Type": "application/json"}
        try:
            async with self.session.post(
                url, data=body.encode(), headers=headers, allow_redirects=False
            ) as response:
                return Answer(response.status, (await response.read()).decode(errors="replace"))
        except (aiohttp.ClientError, TimeoutError) as trouble:
            return Answer(None, str(trouble) or type(trouble).__name__)

    def open_signed(self, body: bytes) -> Message:
        """The members of a callback or of a status answer that the platform signed. Raises NotGenuine."""
        try:
            text = body.decode()
            Callback(text, self._signatures)
        except ProcessException as problem:
            raise NotGenuine(str(problem)) from problem
        except (ValueError, TypeError, AttributeError, RecursionError) as problem:
            raise NotGenuine("Not a JSON object with a signature that is text") from problem
        members: Message = json.loads(text)
        return members

    @property
    def session(self) -> aiohttp.ClientSession:
        """One for all requests, so that connections are kept; made on first use, in the running loop."""
        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=ANSWER_LIMIT_S))
        return self._session

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()


def signed_text(message: Message) -> str:
    """The text that a signature covers, to show to people: `path:to:value` sorted by path, joined by `;`."""
    lines = dict(_flatten("", message))
    return ";".join(f"{path}:{lines[path]}" for path in sorted(lines))


def _flatten(path: str, value: Any) -> list[tuple[str, str]]:
    if isinstance(value, list):
        value = dict(enumerate(value))
    if isinstance(value, dict):
        return [
            line
            for key, member in value.items()
            for line in _flatten(f"{path}:{key}" if path else str(key), member)
        ]
    return [(path, str(int(value)) if isinstance(value, bool) else str(value))]
