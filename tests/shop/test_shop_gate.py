"""What the shop sends to Gate, and what it makes of the answers."""

import hmac
import re
import shlex
import socket
from base64 import b64encode
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from payment_page_sdk.signature_handler import SignatureHandler
from tests.shop.fake_gate import (
    PROJECT_ID,
    SECRET,
    redirect_callback,
    refund_callback,
    sale_callback,
    sign,
    stage,
)

from wongate_simulator.shop.gate_client import signed_text


async def test_a_sale_is_the_source_documents_example_signed(tmp_path: Path) -> None:
    async with stage(tmp_path) as shop:
        payment_id = await shop.order(1000, "테스트 주문")
        path, message, _ = shop.gate.received[0]

        assert "/v2/payment/wallet/payco/sale" == path
        assert {"amount": 1000, "currency": "KRW", "description": "테스트 주문"} == message["payment"]
        assert {"id": "demo-customer", "ip_address": "127.0.0.1"} == message["customer"]
        back = f"{shop.shop_url}/return"
        assert {
            "success": f"{back}/success?order={payment_id}",
            "decline": f"{back}/decline?order={payment_id}",
            "return": f"{back}/return?order={payment_id}",
        } == message["return_url"]
        assert {
            "project_id": PROJECT_ID,
            "payment_id": payment_id,
            "merchant_callback_url": f"{shop.shop_url}/callbacks",
            "signature": sign(message),
        } == message["general"]


async def test_an_order_made_by_api_gives_back_the_accept_answer(tmp_path: Path) -> None:
    async with stage(tmp_path) as shop:
        made = await shop.post_json("/api/orders", {"amount": 1000, "description": "tea"})

        assert "success" == made["accept"]["status"]
        assert shop.gate.request_id == made["accept"]["request_id"]
        assert "processing" == (await shop.story(made["payment_id"]))["status"]


NO_SENSE = [
    {},
    [1],
    {"amount": 0},
    {"amount": "1000"},
    {"amount": True},
    {"amount": 1.5},
    {"amount": 1000, "description": "\ud800"},
]


@pytest.mark.parametrize("members", NO_SENSE)
async def test_an_order_without_sense_is_refused_and_nothing_is_sent(tmp_path: Path, members: object) -> None:
    async with stage(tmp_path) as shop:
        answer = await shop.post_json("/api/orders", members)

        assert 400 == answer["_http"]
        assert [] == shop.gate.received


async def test_a_refusal_of_gate_is_told_in_words_with_its_code(tmp_path: Path) -> None:
    async with stage(tmp_path) as shop:
        shop.gate.refusal = 400, {"status": "error", "code": "3261", "message": "Invalid signature"}
        status, order_page = await shop.press("/orders", item="tea", way="gate")
        text = await shop.page(order_page + "?lang=en")

        assert 303 == status
        assert "The signature is wrong: check the project&#39;s secret. (code 3261)" in text
        assert "Request refused" in text


async def test_with_gate_down_the_order_is_kept_and_the_same_bytes_are_sent_again(tmp_path: Path) -> None:
    async with stage(tmp_path) as shop:
        shop.gate.refusal = 500, {"status": "error", "code": "501", "message": "Internal error"}
        _, order_page = await shop.press("/orders", item="tea", way="gate")
        text = await shop.page(order_page, headers={"Accept-Language": "en"})
        shop.gate.refusal = None
        again = re.search(r'action="(/orders/[^"]+/requests/\d+)"', text)
        assert again
        status, leads_to = await shop.press(again[1])

        assert "The order is kept" in text
        assert (303, order_page + "/pay") == (status, leads_to)
        assert shop.gate.received[0][2] == shop.gate.received[1][2]


async def test_with_nobody_listening_the_page_is_friendly_and_the_api_says_so(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        nobody = f"http://127.0.0.1:{listener.getsockname()[1]}"
    async with stage(tmp_path, gate_url=nobody) as shop:
        made = await shop.post_json("/api/orders", {"amount": 1000, "description": "tea"})
        text = await shop.page(f"/orders/{made['payment_id']}", headers={"Accept-Language": "ru"})

        assert 502 == made["_http"]
        assert "Заказ сохранён" in text


async def test_a_partial_refund_names_amount_and_currency_and_a_full_one_neither(tmp_path: Path) -> None:
    async with stage(tmp_path) as shop:
        payment_id = await shop.paid_order(1000)
        await shop.post_json(f"/api/orders/{payment_id}/refunds", {"amount": 400, "reason": "size"})
        path, partial, _ = shop.gate.received[-1]
        await shop.post_json(f"/api/orders/{payment_id}/refunds", {})
        full = shop.gate.last

        assert "/v2/payment/wallet/payco/refund" == path
        assert ("size", 400, "KRW") == tuple(
            partial["payment"][name] for name in ("description", "amount", "currency")
        )
        assert {"description", "merchant_refund_id"} == full["payment"].keys()
        assert partial["payment"]["merchant_refund_id"] != full["payment"]["merchant_refund_id"]


async def test_money_whose_refund_is_not_reported_yet_is_not_available(tmp_path: Path) -> None:
    async with stage(tmp_path) as shop:
        payment_id = await shop.paid_order(1000)
        await shop.post_json(f"/api/orders/{payment_id}/refunds", {"amount": 400})
        asked = await shop.story(payment_id)
        await shop.call_back(
            refund_callback(payment_id, left=600, amount=400, request_id=shop.gate.request_id)
        )
        reported = await shop.story(payment_id)

        assert (1000, 600) == (asked["amount_left"], asked["available_to_refund"])
        assert (600, 600) == (reported["amount_left"], reported["available_to_refund"])
        assert "partially refunded" == reported["status"]


async def test_a_declined_refund_leaves_the_payment_as_it_was(tmp_path: Path) -> None:
    async with stage(tmp_path) as shop:
        payment_id = await shop.paid_order(1000)
        await shop.post_json(f"/api/orders/{payment_id}/refunds", {})
        declined = refund_callback(payment_id, 1000, 1000, shop.gate.request_id, declined=True)
        await shop.call_back(declined)
        story = await shop.story(payment_id)

        assert ("success", 1000) == (story["status"], story["available_to_refund"])


async def test_a_signed_status_answer_counts_when_the_callback_is_missing(tmp_path: Path) -> None:
    async with stage(tmp_path) as shop:
        payment_id = await shop.order(1000)
        callback = sale_callback(payment_id)
        shop.gate.status = {name: callback[name] for name in ("project_id", "payment", "customer")}
        shop.gate.status["operations"] = [callback["operation"]]
        status, _ = await shop.press(f"/orders/{payment_id}/status")
        story = await shop.story(payment_id)

        assert 303 == status
        assert "/v2/payment/status" == shop.gate.received[-1][0]
        assert {"project_id", "payment_id", "signature"} == shop.gate.last["general"].keys()
        assert "success" == story["status"]
        assert story["requests"][-1]["verified"]


async def test_asking_for_the_status_does_not_lose_the_way_to_payco(tmp_path: Path) -> None:
    async with stage(tmp_path) as shop:
        payment_id = await shop.order(1000)
        callback = redirect_callback(payment_id, f"{shop.gate.url}/window")
        await shop.call_back(callback)
        shop.gate.status = {"payment": callback["payment"], "operations": [callback["operation"]]}
        await shop.post_json(f"/api/orders/{payment_id}/status", {})
        story = await shop.story(payment_id)

        assert story["requests"][-1]["verified"]
        assert callback["redirect_data"] == story["redirect_data"]


async def test_a_status_answer_with_a_wrong_signature_is_shown_and_not_believed(tmp_path: Path) -> None:
    async with stage(tmp_path) as shop:
        payment_id = await shop.order(1000)
        callback = sale_callback(payment_id)
        answer = {"payment": callback["payment"], "operations": [callback["operation"]], "signature": "AAAA"}
        shop.gate.refusal = 200, answer
        await shop.post_json(f"/api/orders/{payment_id}/status", {})
        text = await shop.page(f"/orders/{payment_id}", headers={"Accept-Language": "en"})

        assert "processing" == (await shop.story(payment_id))["status"]
        assert "Signature wrong" in text


async def test_an_answer_that_the_payment_is_unknown_is_not_a_status(tmp_path: Path) -> None:
    async with stage(tmp_path) as shop:
        payment_id = await shop.order(1000)
        shop.gate.status = {
            "project_id": PROJECT_ID,
            "payment": {"id": payment_id, "status": "error"},
            "operations": [],
            "errors": [{"code": 3061, "message": "Transaction not found"}],
        }
        await shop.post_json(f"/api/orders/{payment_id}/status", {})

        assert "processing" == (await shop.story(payment_id))["status"]


async def test_the_curl_on_the_page_is_the_request_that_was_sent(tmp_path: Path) -> None:
    async with stage(tmp_path) as shop:
        payment_id = await shop.order(1000, "It's 차")
        text = await shop.page(f"/orders/{payment_id}")
        shown = re.search(r">(curl .*?)</pre>", text, re.DOTALL)
        assert shown
        command = shlex.split(unescape(shown[1]))

        assert shop.gate.url + "/v2/payment/wallet/payco/sale" == command[2]
        assert shop.gate.received[0][2].decode() == command[-1]
        assert "It's 차" in command[-1]
        assert "payment:amount:1000;payment:currency:KRW;payment:description:It&#39;s 차" in text


names = st.text("abc_1", min_size=1)
values = st.recursive(
    st.one_of(st.text(), st.integers(), st.booleans()),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(names, inner, max_size=4),
    max_leaves=8,
)


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(names, values, max_size=4))
def test_the_text_shown_as_signed_is_the_text_that_the_sdk_signs(message: dict[str, Any]) -> None:
    digest = hmac.digest(SECRET.encode(), signed_text(message).encode(), "sha512")

    assert SignatureHandler(SECRET).sign(message) == b64encode(digest).decode()
