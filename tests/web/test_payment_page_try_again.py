"""Trying again (E-43): further sales of the same payment, what the merchant is told, and how it ends."""

from typing import Any
from urllib.parse import urlencode

import pytest
from tests.web.payer import Payer, page_path, window_of
from tests.world import CALLER, MID, OpenWorld, World, ask

AGAIN: dict[str, Any] = {"try_again": True}


async def told(world: World) -> list[tuple[str, bool | None, int | None]]:
    """Status, whether new attempts are available, and for how many seconds: every callback in the order of its making."""
    rows = await world.rows("SELECT body::jsonb -> 'payment' AS payment FROM callback ORDER BY callback_id")
    payments = [row["payment"] for row in rows]
    return [(p["status"], p.get("is_new_attempts_available"), p.get("attempts_timeout")) for p in payments]


def offers_another_try(payer: Payer) -> bool:
    return any(
        form.action.startswith("/result/") and form.action.endswith("/again") for form in payer.page.forms
    )


async def failed(world: World, **changes: Any) -> Payer:
    """A payer who has cancelled in the window once."""
    payer = Payer(world)
    await payer.get(page_path(**changes))
    await payer.choose(await payer.pay(), "cancel")
    return payer


async def test_a_payer_who_failed_may_pay_after_all(open_world: OpenWorld):
    async with open_world(**AGAIN) as world:
        payer = await failed(world)
        assert "awaiting customer" == await world.value("SELECT status FROM payment")
        assert offers_another_try(payer)
        page = await payer.choose(window_of(await payer.press("/again")))
        assert "Payment complete" in page.texts
        await world.work()
        assert [("awaiting customer", True, 600), ("success", False, None)] == await told(world)
        assert ["decline", "success"] == [
            row["status"] for row in await world.rows("SELECT status FROM operation ORDER BY operation_id")
        ]


async def test_nobody_is_offered_another_try_by_default(open_world: OpenWorld):
    async with open_world() as world:
        assert not offers_another_try(await failed(world))
        assert [("decline", None, None)] == await told(world)


async def test_the_last_attempt_is_final(open_world: OpenWorld):
    async with open_world(**AGAIN, try_again_attempts=3) as world:
        payer = await failed(world)
        for _ in range(2):
            await payer.choose(window_of(await payer.press("/again")), "fail")
        assert "decline" == await world.value("SELECT status FROM payment")
        statuses = [(status, more) for status, more, _ in await told(world)]
        assert [("awaiting customer", True), ("awaiting customer", True), ("decline", False)] == statuses


async def test_the_time_runs_from_the_first_failure(open_world: OpenWorld):
    async with open_world(**AGAIN) as world:
        payer = await failed(world)
        world.clock.advance(200)
        await payer.choose(window_of(await payer.press("/again")), "cancel")
        assert 400 == (await told(world))[-1][2]
        world.clock.advance(400)
        await world.work()
        assert [True, True, False] == [more for _, more, _ in await told(world)]
        assert "decline" == await world.value("SELECT status FROM payment")
        await payer.get(page_path())
        assert not offers_another_try(payer)


async def test_a_failure_after_the_time_is_final(open_world: OpenWorld):
    async with open_world(**AGAIN) as world:
        payer = await failed(world)
        form = window_of(await payer.press("/again"))
        world.clock.advance(601)
        await payer.choose(form, "cancel")
        assert ("decline", False, None) == (await told(world))[-1]


async def test_the_first_step_of_time_before_the_end_still_allows_a_try(open_world: OpenWorld):
    async with open_world(**AGAIN) as world:
        payer = await failed(world)
        world.clock.advance(599)
        await world.work()
        assert "handoff" == (await payer.press("/again")).body["data-page"]


async def test_two_tabs_that_try_again_make_one_sale(open_world: OpenWorld):
    async with open_world(**AGAIN) as world:
        payer = await failed(world)
        action = payer.page.form("/again").action
        assert "handoff" == (await payer.post(action, {})).body["data-page"]
        assert "waiting" == (await payer.post(action, {})).body["data-page"]
        assert 2 == await world.value("SELECT count(*) FROM operation")


async def test_a_payer_may_decline_the_offer(open_world: OpenWorld):
    async with open_world(**AGAIN) as world:
        payer = await failed(world)
        await payer.press("/cancel")
        assert [("awaiting customer", True, 600), ("decline", False, None)] == await told(world)


async def test_the_merchants_decline_address_hears_only_of_the_final_decline(open_world: OpenWorld):
    async with open_world(**AGAIN) as world:
        addresses = {
            "merchant_callback_url": f"{world.merchant.url}/any",
            "merchant_decline_callback_url": f"{world.merchant.url}/decline",
        }
        payer = await failed(world, **addresses)
        await world.work()
        assert (1, 0) == (len(world.merchant.at("/any")), len(world.merchant.at("/decline")))
        await payer.press("/cancel")
        await world.work()
        assert (1, 1) == (len(world.merchant.at("/any")), len(world.merchant.at("/decline")))


@pytest.mark.parametrize(
    "switch, mode, offered",
    [("2", "iframe", False), ("2", "parent_page", False), ("2", "blank_page", True), ("0", "iframe", True)],
)
async def test_a_payer_who_never_sees_the_result_is_offered_nothing(
    open_world: OpenWorld, switch: str, mode: str, offered: bool
):
    async with open_world(**AGAIN) as world:
        exits = {"redirect_fail_mode": mode, "redirect_fail_enabled": switch}
        payer = await failed(world, redirect_fail_url="https://shop/no", **exits)
        assert offered == (await told(world))[-1][1]
        if offered:
            assert offers_another_try(payer)


async def test_a_decline_of_the_approval_is_offered_too(open_world: OpenWorld):
    async with open_world(**AGAIN) as world:
        payer = Payer(world)
        await payer.get(page_path())
        form = await payer.pay()
        await world.simulator.fault("approve", "code", code="3095", moid=form["body"]["Moid"])
        await payer.choose(form)
        assert "awaiting customer" == await world.value("SELECT status FROM payment")
        assert offers_another_try(payer)


async def test_a_late_success_of_a_failed_attempt_goes_back(open_world: OpenWorld):
    """The provider refused the approval and did it all the same: the offer ends, the money is returned (E-39)."""
    async with open_world(**AGAIN, account={"notice_ips": [CALLER[0]]}) as world:
        payer = Payer(world)
        await payer.get(page_path())
        form = await payer.pay()
        moid = form["body"]["Moid"]
        await world.simulator.fault("approve", "code", code="3095", committed=True, moid=moid)
        await payer.choose(form)
        assert offers_another_try(payer)
        tid = (await world.simulator.books(moid))["tid"]
        notice = {"PayMethod": "CARD", "MID": MID, "TID": tid, "MOID": moid, "Amt": "1000", "StateCd": "0"}
        answer = await ask(
            world.app, "POST", "/notice/nicepay", urlencode({**notice, "ResultCode": "3001"}).encode()
        )
        assert b"OK" == answer.raw
        await world.work()
        assert 1000 == (await world.simulator.books(moid))["cancelled"]
        assert [("awaiting customer", True, 600), ("decline", False, None)] == await told(world)
        assert "late success, returned" == await world.value("SELECT flag FROM payment")
        assert "result" == (await payer.press("/again")).body["data-page"]


async def test_gate_payments_are_never_offered_another_try(open_world: OpenWorld):
    async with open_world(**AGAIN) as world:
        sale = await world.sale()
        await sale.pay("cancel")
        assert "decline" == (await sale.row())["status"]
        assert "is_new_attempts_available" not in (await sale.callbacks())[-1]["payment"]
