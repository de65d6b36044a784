"""The same payment id again: a resend, a duplicate, or a payment in `error` that may be tried anew (E-6)."""

import asyncio
from collections import Counter

import pytest
from tests.world import Answer, OpenWorld, World, ask, signed_bytes

PATH = "/v2/payment/wallet/payco/sale"


async def post_raw(world: World, raw: bytes, path: str = PATH) -> Answer:
    return await ask(world.app, "POST", path, raw)


async def test_an_identical_resend_is_answered_as_the_first_and_starts_nothing(open_world: OpenWorld):
    async with open_world() as world:
        raw = signed_bytes(PATH, world.sale_body())
        first = await post_raw(world, raw)
        before = await world.fingerprint()
        world.clock.advance(10**6)
        again = await post_raw(world, raw)
        assert (200, first.raw, before) == (again.status, again.raw, await world.fingerprint())


async def test_an_identical_resend_of_a_finished_sale_is_answered_as_the_first(open_world: OpenWorld):
    async with open_world() as world:
        for outcome in ("card", "cancel"):
            sale = await world.sale()
            await sale.pay(outcome)
            assert sale.accepted == (await world.post(PATH, sale.body)).body


async def test_twenty_resends_at_once_are_one_payment(open_world: OpenWorld):
    """Over two processes, each with a commit of its own under way."""
    async with open_world() as one, open_world() as two:
        for _ in range(5):
            raw = signed_bytes(PATH, one.sale_body())
            answers = await asyncio.gather(*(post_raw((one, two)[n % 2], raw) for n in range(20)))
            assert ({200}, 1) == ({a.status for a in answers}, len({a.raw for a in answers}))
        assert (5, 5) == (
            await one.value("SELECT count(*) FROM payment"),
            await one.value("SELECT count(*) FROM operation"),
        )


async def test_twenty_different_sales_of_one_id_at_once_are_accepted_once(open_world: OpenWorld):
    async with open_world() as one, open_world() as two:
        for number in range(5):
            bodies = [
                one.sale_body(general__payment_id=f"same-{number}", payment__description=str(n))
                for n in range(20)
            ]
            answers = await asyncio.gather(
                *((one, two)[n % 2].post(PATH, body) for n, body in enumerate(bodies))
            )
            assert {200: 1, 400: 19} == Counter(answer.status for answer in answers)
            assert {"3041"} == {answer.body["code"] for answer in answers if answer.status == 400}


@pytest.mark.parametrize("outcome", [None, "card", "cancel"])
async def test_another_request_with_a_taken_id_is_refused(open_world: OpenWorld, outcome: str | None):
    async with open_world() as world:
        sale = await world.sale()
        if outcome:
            await sale.pay(outcome)
        before = await world.fingerprint()
        other = world.sale_body(general__payment_id=sale.payment_id, payment__amount=2000)
        answer = await world.post(PATH, other)
        assert (400, "3041", "general.payment_id") == (
            answer.status,
            answer.body["code"],
            answer.body["errors"][0]["field"],
        )
        same_elsewhere = await world.post("/v2/payment/wallet/payco-wallet/sale", sale.body)
        assert (400, "3041") == (same_elsewhere.status, same_elsewhere.body["code"])
        assert before == await world.fingerprint()


@pytest.mark.parametrize(
    "first, second", [("order_314", "ORDER_314"), ("Straße", "STRASSE"), ("ЗАКАЗ-1", "заказ-1")]
)
async def test_payment_ids_are_compared_without_case(open_world: OpenWorld, first: str, second: str):
    async with open_world() as world:
        sale = await world.sale(general__payment_id=first)
        answer = await world.post(PATH, world.sale_body(general__payment_id=second))
        assert (400, "3041") == (answer.status, answer.body["code"])
        general = {"project_id": 1001, "payment_id": second}
        found = await world.post("/v2/payment/status", {"general": general})
        assert sale.payment_id == found.body["payment"]["id"]


async def test_a_payment_in_error_may_be_sent_again_and_gets_a_new_operation(open_world: OpenWorld):
    async with open_world() as world:
        wrong = await world.sale(customer__email="nobody")
        assert "error" == (await wrong.status())["payment"]["status"]
        assert wrong.accepted == (await world.post(PATH, wrong.body)).body
        right = await world.sale(general__payment_id=wrong.payment_id.lower(), payment__amount=2000)
        assert wrong.accepted["request_id"] != right.accepted["request_id"]
        status = await right.status()
        assert ("awaiting redirect result", right.payment_id, {"amount": 2000, "currency": "KRW"}) == (
            status["payment"]["status"],
            status["payment"]["id"],
            status["payment"]["sum"],
        )
        assert [("decline", "2426"), ("awaiting redirect result", "9999")] == [
            (operation["status"], operation["code"]) for operation in status["operations"]
        ]
        await right.pay()
        await world.work()
        assert "success" == (await right.status())["payment"]["status"]
        refused = await world.post(PATH, world.sale_body(general__payment_id=right.payment_id))
        assert "3041" == refused.body["code"]


async def test_a_payment_in_error_reopened_by_many_at_once_is_reopened_once(open_world: OpenWorld):
    async with open_world() as one, open_world() as two:
        wrong = await one.sale(payment__amount=1.5)
        bodies = [
            one.sale_body(general__payment_id=wrong.payment_id, payment__description=str(n))
            for n in range(20)
        ]
        answers = await asyncio.gather(*((one, two)[n % 2].post(PATH, body) for n, body in enumerate(bodies)))
        assert {200: 1, 400: 19} == Counter(answer.status for answer in answers)
        assert 2 == await one.value("SELECT count(*) FROM operation")
