"""The sale from the accepted request to its final callback: who pays, who does not, who comes back twice, late, or changed."""

import asyncio
import hashlib
from datetime import datetime, timedelta
from typing import Any

import pytest
from tests.processes import until
from tests.world import MERCHANT_KEY, PAGE_URL, OpenWorld, Sale, ask

from wongate.domain.lifecycle import Stage


async def told(sale: Sale) -> list[tuple[str, str]]:
    """Payment status and code of every callback, in the order of their making."""
    return [(body["payment"]["status"], body["operation"]["code"]) for body in await sale.callbacks()]


@pytest.mark.parametrize("funding", ["card", "points", "mixed"])
async def test_a_payer_who_agrees_has_paid(open_world: OpenWorld, funding: str):
    async with open_world() as world:
        sale = await world.sale()
        await world.work()
        answer = await sale.pay(funding)
        assert (303, "http://example.url/success") == (answer.status, answer.location)
        await world.work()
        arrived = [item.body["payment"]["status"] for item in world.merchant.received]
        assert ["awaiting redirect result", "success"] == arrived
        books = await sale.books()
        assert (1, "approved", 1000) == (books["approvals"], books["state"], books["remain"])
        provider = (await sale.callbacks())[-1]["operation"]["provider"]
        assert {"id": 1, "payment_id": books["tid"], "auth_code": ""} == provider


@pytest.mark.parametrize(
    "outcome, code",
    [
        ("cancel", "20301"),
        ("fail", "20000"),
        ({"outcome": "fail", "code": "3021", "text": "카드번호 오류"}, "20102"),
        ({"outcome": "fail", "code": "1620"}, "20602"),  # unclear after an approval, certain before one
        ("expire", "20602"),
    ],
)
async def test_a_payer_who_does_not_pay_is_declined(open_world: OpenWorld, outcome: Any, code: str):
    async with open_world() as world:
        sale = await world.sale()
        answer = await sale.pay(outcome)
        assert (303, "http://example.url/decline") == (answer.status, answer.location)
        assert [("awaiting redirect result", "9999"), ("decline", code)] == await told(sale)
        assert 0 == await world.simulator.calls(await sale.moid(), "approve")


@pytest.mark.parametrize("code, ours", [("3095", "20000"), ("3041", "20101"), ("A211", "20503")])
async def test_an_approval_that_is_refused_declines_the_sale(open_world: OpenWorld, code: str, ours: str):
    async with open_world() as world:
        sale = await world.sale()
        await sale.fault("approve", "code", code=code, text="한도초과")
        await sale.pay()
        assert ("decline", ours) == (await told(sale))[-1]
        assert "한도초과" not in str(await sale.callbacks())


async def test_a_payer_who_never_comes_back_is_declined_at_the_limit_time(open_world: OpenWorld):
    async with open_world() as world:
        sale = await world.sale()
        world.clock.advance(1799)
        await world.work()
        assert "awaiting redirect result" == (await sale.status())["payment"]["status"]
        world.clock.advance(1)
        await world.work()
        assert ("decline", "20602") == (await told(sale))[-1]
        assert ["awaiting redirect result", "decline"] == [
            item.body["payment"]["status"] for item in world.merchant.received
        ]


async def test_limit_time_and_its_code_are_the_projects_own(open_world: OpenWorld):
    async with open_world(limit_time_s=60, limit_code=603) as world:
        sale = await world.sale()
        world.clock.advance(60)
        await world.work()
        assert ("decline", "603") == (await told(sale))[-1]


@pytest.mark.parametrize(
    "ahead_s, declined_after_s", [(60, 60), (7200, 1800)], ids=["shortens", "never lengthens"]
)
async def test_best_before_shortens_the_limit_time(
    open_world: OpenWorld, ahead_s: int, declined_after_s: int
):
    async with open_world() as world:
        until = world.clock.now() + timedelta(seconds=ahead_s)
        sale = await world.sale(payment__best_before=until.isoformat())
        world.clock.advance(declined_after_s - 1)
        await world.work()
        assert 1 == len(await told(sale))
        world.clock.advance(1)
        await world.work()
        assert "decline" == (await told(sale))[-1][0]


@pytest.mark.parametrize("offset", ["+2359", "-23:59", "+15:59:59"])
async def test_best_before_is_read_in_any_offset(open_world: OpenWorld, offset: str):
    """PostgreSQL knows offsets below 16 hours only, Python's datetime all below 24."""
    async with open_world() as world:
        zone = datetime.fromisoformat(f"2026-01-01T00:00:00{offset}").tzinfo
        moment = (world.clock.now() + timedelta(minutes=10)).astimezone(zone)
        sale = await world.sale(payment__best_before=moment.isoformat())
        world.clock.advance(601)
        await world.work()
        assert "decline" == (await told(sale))[-1][0]


@pytest.mark.parametrize(
    "change",
    [
        {"Amt": "999"},
        {"Moid": "1001W1"},
        {"MID": "another01m"},
        {"Signature": "0" * 64},
        {"AuthToken": "NICETOKN" + "0" * 32},
        {"TxTid": ""},
        {"AuthResultCode": ""},
        {"AuthResultCode": "<script>"},
    ],
    ids=str,
)
async def test_a_tampered_return_is_refused_and_the_true_one_still_counts(
    open_world: OpenWorld, change: dict[str, str]
):
    async with open_world() as world:
        sale = await world.sale()
        result = await sale.choose()
        answer = await sale.come_back({**result, **change})
        assert (303, True) == (answer.status, "/result/" in answer.location)
        assert 0 == await world.simulator.calls(await sale.moid(), "approve")
        assert [("awaiting redirect result", "9999")] == await told(sale)
        await sale.come_back(result)
        assert ("success", "0") == (await told(sale))[-1]


@pytest.mark.parametrize("name", ["NextAppURL", "NetCancelURL"])
async def test_an_approval_address_outside_the_list_is_never_called(open_world: OpenWorld, name: str):
    async with open_world() as world:
        sale = await world.sale()
        await sale.pay(**{name: "http://127.0.0.1:9/webapi/pay_process.jsp"})
        assert ("decline", "20503") == (await told(sale))[-1]
        assert 0 == await world.simulator.calls(await sale.moid(), "approve")
        assert "provider refused" in (await sale.row())["flag"]


async def test_a_return_token_of_somebody_else_finds_nothing(open_world: OpenWorld):
    async with open_world() as world:
        sale = await world.sale()
        url, result = await sale.return_url(), await sale.choose()
        for wrong in (
            url[:-1] + ("0" if url[-1] != "0" else "1"),
            url[:-33],
            url + "0",
            "/return/nicepay/1.2.3",
        ):
            assert 404 == (await world.come_back(result, wrong)).status
        assert 404 == (await world.come_back(result, url.replace("/nicepay/", "/other/"))).status
        assert [("awaiting redirect result", "9999")] == await told(sale)


async def test_results_of_two_sales_of_one_amount_cannot_be_swapped(open_world: OpenWorld):
    async with open_world() as world:
        one, two = await world.sale(), await world.sale()
        result = await one.choose()
        await two.come_back(result)
        await two.come_back({**result, "Moid": await two.moid()})
        await world.work()
        assert "success" not in {status for status, _ in await told(two)}
        await one.come_back(result)
        await world.work()
        assert [0, 0] == [(await sale.books()).get("remain") or 0 for sale in (one, two)]


async def test_fifty_returns_at_once_make_one_approval(open_world: OpenWorld):
    async with open_world() as world:
        sale = await world.sale()
        result = await sale.choose()
        answers = await asyncio.gather(*(sale.come_back(result) for _ in range(50)))
        assert {303} == {answer.status for answer in answers}
        assert 1 == await world.simulator.calls(await sale.moid(), "approve")
        assert [("awaiting redirect result", "9999"), ("success", "0")] == await told(sale)


async def test_returns_over_two_processes_make_one_approval(open_world: OpenWorld):
    async with open_world() as one, open_world() as two:
        sale = await one.sale()
        result, url = await sale.choose(), await sale.return_url()
        await asyncio.gather(*(world.come_back(result, url) for world in (one, two) * 10))
        assert 1 == await one.simulator.calls(await sale.moid(), "approve")
        assert [("awaiting redirect result", "9999"), ("success", "0")] == await told(sale)


async def test_a_second_return_shows_the_result_of_the_first(open_world: OpenWorld):
    async with open_world() as world:
        sale = await world.sale()
        result = await sale.choose()
        await sale.come_back(result)
        failure = {**result, "AuthResultCode": "I009"}
        assert "http://example.url/success" == (await sale.come_back(failure)).location
        assert "http://example.url/success" == (await sale.come_back(result)).location
        assert ("success", "0") == (await told(sale))[-1]


async def test_a_contradicting_second_result_changes_nothing(open_world: OpenWorld):
    async with open_world() as world:
        for first, expected in (("success", "success"), ("failure", "decline")):
            sale = await world.sale()
            await sale.fault("window", "contradicting_result", first=first)
            for result in await world.simulator.choose(await sale.form()):
                await sale.come_back(result)
            assert expected == (await told(sale))[-1][0]
            assert 2 == len(await told(sale))


async def test_a_return_after_the_limit_time_is_not_approved(open_world: OpenWorld):
    async with open_world() as world:
        sale = await world.sale()
        result = await sale.choose()
        world.clock.advance(1800)
        answer = await sale.come_back(result)
        assert "http://example.url/decline" == answer.location
        assert [("awaiting redirect result", "9999"), ("decline", "20602")] == await told(sale)
        assert 0 == await world.simulator.calls(await sale.moid(), "approve")


async def test_limit_time_and_return_at_the_same_moment_decide_once(open_world: OpenWorld):
    """The payer comes back within the limit while the worker looks at the clock just after it."""
    async with open_world() as world, open_world() as worker:
        for _ in range(10):
            sale = await world.sale()
            result = await sale.choose()
            world.clock.advance(1799)
            returning = asyncio.create_task(sale.come_back(result))
            await asyncio.sleep(0)
            world.clock.advance(1)
            await asyncio.gather(returning, worker.work())
            statuses = [status for status, _ in await told(sale)]
            books = await sale.books()
            assert statuses in (
                ["awaiting redirect result", "success"],
                ["awaiting redirect result", "decline"],
            )
            assert (statuses[-1] == "success") == (books["state"] == "approved")


async def test_an_approval_under_way_at_the_limit_time_is_waited_for(open_world: OpenWorld):
    async with open_world() as world:
        sale = await world.sale()
        result = await sale.choose()
        world.clock.advance(1790)
        await sale.fault("approve", "hang_after", seconds=600)
        returning = asyncio.create_task(sale.come_back(result))
        await sale.has_moved("approvals")
        world.clock.advance(20)
        await world.work()
        assert 1 == len(await told(sale))
        await world.simulator.lift_faults()
        await returning
        assert ("success", "0") == (await told(sale))[-1]


async def test_where_the_payer_goes_when_the_merchant_named_no_address(open_world: OpenWorld):
    async with open_world() as world:
        sale = await world.sale(return_url=None)
        answer = await sale.pay()
        assert "/result/" in answer.location
        await world.set_project(success_url="https://shop.example/thanks")
        assert "https://shop.example/thanks" == (await sale.come_back({})).location


async def test_an_amount_that_was_not_asked_for_is_never_a_success(open_world: OpenWorld):
    """E-13: signed and approved, but over another amount; the whole of it goes back."""
    async with open_world() as world:
        sale = await world.sale()
        result = await sale.choose()
        padded = "000000000900"
        signed = f"{result['TxTid']}{result['MID']}{padded}{MERCHANT_KEY}"
        signature = hashlib.sha256(signed.encode()).hexdigest()
        await sale.fault("approve", "override", fields={"Amt": padded, "Signature": signature})
        await sale.come_back(result)
        await world.work()
        assert ("decline", "20304") == (await told(sale))[-1]
        books = await sale.books()
        assert (1, 1, "cancelled") == (books["approvals"], books["net_cancels"], books["state"])
        assert "amount mismatch" == (await sale.row())["flag"]


async def test_the_payer_who_closes_the_tab_during_the_approval_has_paid(open_world: OpenWorld):
    async with open_world() as world:
        sale = await world.sale()
        result = await sale.choose()
        await sale.fault("approve", "hang_after", seconds=600)
        returning = asyncio.create_task(sale.come_back(result))
        await sale.has_moved("approvals")
        returning.cancel()
        await asyncio.gather(returning, return_exceptions=True)
        await world.simulator.lift_faults()

        async def is_paid() -> bool:
            return ("success", "0") == (await told(sale))[-1]

        await until(is_paid)


async def test_operations_that_are_over_sleep_for_ever(open_world: OpenWorld):
    async with open_world() as world:
        sale = await world.paid_sale()
        operation = (await sale.operations())[0]
        assert (Stage.DONE, None) == (operation["stage"], operation["wake_at"])


@pytest.mark.parametrize(
    "raw",
    [b"", b"\xff\xfe", b"AuthResultCode=0000&x=%00", b"x" * 70_000, b"a=b&" * 300],
    ids=lambda raw: raw[:8],
)
async def test_junk_on_the_return_address_leaves_the_sale_as_it_was(open_world: OpenWorld, raw: bytes):
    async with open_world() as world:
        sale = await world.sale()
        path = (await sale.return_url()).removeprefix(PAGE_URL)
        assert (await ask(world.app, "POST", path, raw)).status < 500
        await sale.pay()
        assert ("success", "0") == (await told(sale))[-1]
