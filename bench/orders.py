"""Requests that merchants would send, signed."""

import json
from typing import Any

from bench.client import post
from bench.rig import PROJECT_ID, Rig
from wongate.domain.signature import sign

SALE = "/v2/payment/wallet/payco/sale"
REFUND = "/v2/payment/wallet/payco/refund"
AMOUNT = 1000


def sale(
    built: Rig, payment_id: str, project_id: int = PROJECT_ID, *, callback_port: int | None = None
) -> bytes:
    """A sale as HTTP bytes; `callback_port` sends its callbacks to another sink than the project's."""
    general: dict[str, Any] = {"project_id": project_id, "payment_id": payment_id}
    if callback_port is not None:
        general["merchant_callback_url"] = f"http://127.0.0.1:{callback_port}/callbacks"
    body = {
        "general": general,
        "payment": {"amount": AMOUNT, "currency": "KRW", "description": "테스트 주문"},
        "customer": {"id": f"customer of {payment_id}", "ip_address": "203.0.113.9"},
        "return_url": {
            "success": "https://shop.example/ok",
            "decline": "https://shop.example/no",
            "return": "https://shop.example/back",
        },
    }
    return _signed(SALE, body, built.secret)


def refund(built: Rig, payment_id: str) -> bytes:
    """A refund of all that was paid."""
    body = {
        "general": {"project_id": PROJECT_ID, "payment_id": payment_id},
        "payment": {"description": "refund", "amount": AMOUNT, "currency": "KRW"},
    }
    return _signed(REFUND, body, built.secret)


def _signed(path: str, body: dict[str, Any], secret: str) -> bytes:
    body["general"]["signature"] = sign(body, secret)
    return post(path, json.dumps(body, ensure_ascii=False).encode())
