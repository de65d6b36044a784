"""What the shop makes of callbacks: genuine, tampered, repeated, late, and of none of its orders."""

import asyncio
import json
import os
import signal
import sys
from pathlib import Path

import pytest
from tests.processes import HANG_GUARD_S
from tests.shop.fake_gate import SECRET, redirect_callback, refund_callback, sale_callback, sign, stage

from wongate_simulator.shop import watching
from wongate_simulator.shop.orders import REFUSED_KEPT


async def test_a_verified_callback_is_kept_as_it_was_and_decides(tmp_path: Path) -> None:
    async with stage(tmp_path) as shop:
        payment_id = await shop.order()
        callback = sale_callback(payment_id)
        status = await shop.call_back(callback)
        story = await shop.story(payment_id)

        assert 200 == status
        assert "success" == story["status"]
        (kept,) = story["callbacks"]
        assert (True, 1) == (kept["verified"], kept["times"])
        assert callback | {"signature": sign(callback)} == kept["body"] == json.loads(kept["raw"])


async def test_a_tampered_callback_is_refused_shown_and_not_believed(tmp_path: Path) -> None:
    async with stage(tmp_path) as shop:
        payment_id = await shop.order(1000)
        signature = sign(sale_callback(payment_id, amount=1000))
        status = await shop.call_back(sale_callback(payment_id, amount=1), signature)
        story = await shop.story(payment_id)
        text = await shop.page(f"/orders/{payment_id}", headers={"Accept-Language": "en"})

        assert 400 == status
        assert "processing" == story["status"]
        assert [(False, None)] == [(kept["verified"], kept["body"]) for kept in story["callbacks"]]
        assert "Refused callback" in text
        assert "Signature wrong" in text


async def test_a_callback_seen_before_is_answered_200_and_counted_once(tmp_path: Path) -> None:
    async with stage(tmp_path) as shop:
        payment_id = await shop.order()
        statuses = [await shop.call_back(sale_callback(payment_id)) for _ in range(3)]
        story = await shop.story(payment_id)

        assert [200, 200, 200] == statuses
        assert [3] == [kept["times"] for kept in story["callbacks"]]


async def test_a_forged_callback_does_not_keep_the_genuine_one_out(tmp_path: Path) -> None:
    async with stage(tmp_path) as shop:
        payment_id = await shop.order()
        await shop.call_back(sale_callback(payment_id), "forged")
        await shop.call_back(sale_callback(payment_id))

        assert "success" == (await shop.story(payment_id))["status"]


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b"7", b"null", b'"text"', b"{}", b'{"signature": 5}', b'{"signature": {}}', b"\xff{}",
     b'{"payment": {"id": "\\ud800"}, "signature": "x"}', b"[" * 30_000,
     b'{"payment": {"id": 5}, "signature": "\xc3\xa9"}'],
)  # fmt: skip
async def test_what_cannot_be_read_or_is_not_signed_is_answered_400(tmp_path: Path, body: bytes) -> None:
    async with stage(tmp_path) as shop:
        async with shop.visitor.post(shop.settings.callback_url, data=body) as response:
            assert 400 == response.status
        orders = await shop.page("/orders", headers={"Accept-Language": "en"})

        assert "Not signed by the platform, or not readable." in orders


async def test_a_body_beyond_64_kb_is_refused(tmp_path: Path) -> None:
    async with stage(tmp_path) as shop:
        response = await shop.visitor.post(shop.settings.callback_url, data=b" " * (64 * 1024 + 1))

        assert 413 == response.status


async def test_a_flood_of_refused_callbacks_does_not_fill_the_disk(tmp_path: Path) -> None:
    async with stage(tmp_path) as shop:
        payment_id = await shop.order()
        for _ in range(REFUSED_KEPT + 5):
            await shop.call_back(sale_callback(payment_id), "forged")

        assert REFUSED_KEPT == len((await shop.story(payment_id))["callbacks"])


async def test_a_redirect_callback_that_comes_late_does_not_undo_the_payment(tmp_path: Path) -> None:
    async with stage(tmp_path) as shop:
        payment_id = await shop.paid_order()
        late = redirect_callback(payment_id, "http://127.0.0.1/window")
        late["payment"]["date"] = sale_callback(payment_id)["payment"]["date"]  # within the same second
        await shop.call_back(late)

        assert "success" == (await shop.story(payment_id))["status"]


async def test_refund_callbacks_may_come_in_any_order(tmp_path: Path) -> None:
    async with stage(tmp_path) as shop:
        payment_id = await shop.paid_order(1000)
        last = refund_callback(payment_id, left=0, amount=600, request_id="b", operation_id=3)
        first = refund_callback(payment_id, left=600, amount=400, request_id="a", operation_id=2)
        await shop.call_back(last)
        await shop.call_back(first)
        story = await shop.story(payment_id)

        assert ("refunded", 0, 0) == (story["status"], story["amount_left"], story["available_to_refund"])


async def test_a_sale_made_elsewhere_with_the_projects_key_is_shown_too(tmp_path: Path) -> None:
    async with stage(tmp_path) as shop:
        status = await shop.call_back(sale_callback("by hand/차 7", amount=2500))
        orders = await shop.page("/orders", headers={"Accept-Language": "en"})
        order = await shop.page("/orders/by%20hand%2F%EC%B0%A8%207", headers={"Accept-Language": "en"})

        assert 200 == status
        assert "₩2,500" in orders
        assert "Refund everything · ₩2,500" in order


async def test_a_signed_message_of_another_kind_is_kept_and_changes_nothing(tmp_path: Path) -> None:
    async with stage(tmp_path) as shop:
        payment_id = await shop.order()
        other = sale_callback(payment_id)
        del other["payment"]["sum"]
        statuses = [await shop.call_back(other), await shop.call_back({"project_id": 1234, "note": "hello"})]
        story = await shop.story(payment_id)

        assert [200, 200] == statuses
        assert ("processing", 1) == (story["status"], len(story["callbacks"]))


async def test_payment_ids_are_the_same_in_any_case(tmp_path: Path) -> None:
    async with stage(tmp_path) as shop:
        payment_id = await shop.order()
        await shop.call_back(sale_callback(payment_id.lower()))

        assert "success" == (await shop.story(payment_id.upper()))["status"]


async def test_a_watching_page_hears_of_a_callback_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "HEARTBEAT_S", 3600)  # it does not look by itself
    async with stage(tmp_path) as shop:
        payment_id = await shop.order()
        async with shop.visitor.get(f"{shop.shop_url}/orders/{payment_id}/events?after=earlier") as stream:
            lines = stream.content
            first = await lines.readuntil(b"data: changed\n\n")
            await shop.call_back(sale_callback(payment_id))
            async with asyncio.timeout(HANG_GUARD_S):
                second = await lines.readuntil(b"data: changed\n\n")

        assert b"id: 1.1.0.0" in first
        assert b"id: 1.1.1.1" in second


ORDERS_THEN_DEATH = """
import os, signal, sys
from datetime import UTC, datetime
from pathlib import Path
from wongate_simulator.shop.orders import Order, Orders

orders = Orders(Path(sys.argv[1]), lambda: datetime.now(UTC))
orders.place(Order("shop-1", "tea", "tea", 1000, "gate", "c", "ko", orders.now()))
orders.keep_request("shop-1", "sale", "http://gate", "{}", "a:1", None)
orders.keep_callback("shop-1", "1", "success", sys.argv[2])
os.kill(os.getpid(), signal.SIGKILL)
"""


async def test_what_was_kept_survives_a_kill_of_the_process(tmp_path: Path) -> None:
    callback = sale_callback("shop-1")
    body = json.dumps(callback | {"signature": sign(callback)})
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", ORDERS_THEN_DEATH, str(tmp_path / "shop.sqlite"), body, env=dict(os.environ)
    )
    assert -signal.SIGKILL == await process.wait()
    async with stage(tmp_path) as shop:
        story = await shop.story("shop-1")

        assert "success" == story["status"]
        assert ["sale"] == [request["kind"] for request in story["requests"]]


async def test_no_page_and_no_answer_tells_the_secret(tmp_path: Path) -> None:
    async with stage(tmp_path) as shop:
        payment_id = await shop.paid_order()
        shown = await shop.page(f"/orders/{payment_id}") + json.dumps(
            await shop.story(payment_id), ensure_ascii=False
        )

        assert SECRET not in shown
        assert SECRET not in repr(shop.settings)
