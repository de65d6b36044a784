"""Callbacks on their way: when they are tried again, to whom they go, in which order, and that they never change."""

import asyncio
import hashlib
from collections import Counter
from datetime import timedelta
from typing import Any

import pytest
from aiohttp import web
from tests.world import OpenWorld, Received, World, listening_merchant

from wongate.store import callbacks
from wongate.worker import run_duties

GAPS_S = [10.0] * 6 + [70 + 10 * 1.12 ** (n - 4) for n in range(7, 69)] + [4 * 3600.0] * 52
REFUSED = {"payment__amount": 50}
"""Below the minimum: a sale that ends at once with a single final callback."""


async def fails_for_ever(item: Received) -> web.StreamResponse:
    return web.Response(status=500)


async def states(world: World) -> list[tuple[str, str]]:
    rows = await world.rows(
        "SELECT body::json->'payment'->>'status' AS told, state FROM callback ORDER BY callback_id"
    )
    return [(row["told"], row["state"]) for row in rows]


# --- when ---


async def test_a_callback_is_tried_again_at_the_documented_instants(open_world: OpenWorld):
    """120 retries over 10.24 days (section 4.6); each arrives at its instant and not half a second before."""
    async with open_world() as world:
        world.merchant.answers["/callbacks"] = fails_for_ever
        await world.sale(**REFUSED)
        await world.work()
        instants = [world.merchant.received[0].at]
        for gap_s in GAPS_S:
            instants.append(instants[-1] + timedelta(seconds=gap_s))
            world.clock.advance((instants[-1] - world.clock.now()).total_seconds() - 0.5)
            await world.delivery.tick()
            world.clock.advance((instants[-1] - world.clock.now()).total_seconds())
            await world.work()
        assert instants == [item.at for item in world.merchant.received]
        assert [("decline", "failed")] == await states(world)
        world.clock.advance(30 * 86_400)
        await world.work()
        assert 121 == len(world.merchant.received)
        assert 1 == len({hashlib.sha256(item.raw).digest() for item in world.merchant.received})
        assert 121 == await world.value("SELECT count(*) FROM attempt WHERE http_status = 500")


@pytest.mark.parametrize("status", [201, 202, 204, 301, 302, 307, 400, 404, 410, 429, 500, 503])
async def test_only_http_200_counts_as_delivered(open_world: OpenWorld, status: int):
    async with open_world() as world:
        world.merchant.answers["/callbacks"] = [status]
        await world.sale(**REFUSED)
        await world.work()
        assert [("decline", "waiting")] == await states(world)
        world.clock.advance(10)
        await world.work()
        assert [("decline", "delivered")] == await states(world)
        assert ["/callbacks"] * 2 == [
            item.path for item in world.merchant.received
        ]  # no redirect was followed
        assert 1 == len({item.raw for item in world.merchant.received})


async def test_an_endpoint_that_says_nothing_is_given_up_after_its_time(open_world: OpenWorld):
    over = asyncio.Event()

    async def says_nothing(item: Received) -> web.StreamResponse:
        await over.wait()
        return web.Response()

    async with open_world() as world:
        world.platform.callback_timeout_s = 0.3
        world.merchant.answers["/callbacks"] = says_nothing
        await world.sale(**REFUSED)
        await world.work()
        over.set()
        assert [("decline", "waiting")] == await states(world)
        attempt = (await world.rows("SELECT * FROM attempt"))[0]
        assert (None, "no answer in time") == (attempt["http_status"], attempt["error"])


async def test_what_an_endpoint_answers_is_kept_in_part_and_without_nul(open_world: OpenWorld):
    async def babbles(item: Received) -> web.StreamResponse:
        return web.Response(status=500, body=b"\0\xff" + b"x" * 100_000)

    async with open_world() as world:
        world.merchant.answers["/callbacks"] = babbles
        await world.sale(**REFUSED)
        await world.work()
        kept = await world.value("SELECT response FROM attempt")
        assert (True, "\0" in kept) == (len(kept) <= 2000, False)


async def test_an_internal_address_is_not_called_and_says_why(open_world: OpenWorld):
    async with open_world() as world:
        for url in ("http://10.0.0.1/", "http://169.254.169.254/latest", "http://[::1]:1/"):
            await world.sale(**REFUSED, general__merchant_callback_url=url)
        await world.work()
        errors = [row["error"] for row in await world.rows("SELECT error FROM attempt")]
        assert (3, True) == (len(errors), all("internal" in error for error in errors))


async def test_a_worker_that_dies_with_a_callback_in_hand_leaves_it_to_the_next(open_world: OpenWorld):
    """Sent or not, nobody knows: after the lease it goes out again with the same body (F16)."""
    async with open_world() as world:
        await world.sale(**REFUSED)
        now = world.clock.now()
        lane = world.merchant.url
        async with world.platform.database.transaction() as tx:
            dead = await callbacks.claim(tx, 1001, lane, now, now + timedelta(seconds=60), 10)
        world.clock.advance(59)
        await world.work()
        assert 0 == len(world.merchant.received)
        world.clock.advance(1)
        await world.work()
        assert [dead[0].body.encode()] == [item.raw for item in world.merchant.received]


async def test_a_worker_that_slept_past_its_lease_changes_nothing(open_world: OpenWorld):
    async with open_world() as world:
        await world.sale(**REFUSED)
        now = world.clock.now()
        async with world.platform.database.transaction() as tx:
            dead = await callbacks.claim(tx, 1001, world.merchant.url, now, now + timedelta(seconds=60), 10)
        world.clock.advance(60)
        await world.work()
        sent = callbacks.Sent(dead[0], now, 1, 500, "", "", "waiting", now)
        async with world.platform.database.transaction() as tx:
            await callbacks.record(tx, [sent])
        assert [("decline", "delivered")] == await states(world)


async def test_an_intermediate_callback_that_fails_beside_its_final_one_is_not_tried_again(
    open_world: OpenWorld,
):
    """Both are recorded by one statement, which writes a row once (E-20)."""
    async with open_world() as world:
        sale = await world.sale()
        await sale.pay()
        now = world.clock.now()
        async with world.platform.database.transaction() as tx:
            due = await callbacks.claim(tx, 1001, world.merchant.url, now, now + timedelta(seconds=60), 10)
            failed = callbacks.Sent(due[0], now, 1, 500, "", "", "waiting", now)
            arrived = callbacks.Sent(due[1], now, 1, 200, "", "", "delivered", now)
            await callbacks.record(tx, [failed, arrived])
        assert [("awaiting redirect result", "dropped"), ("success", "delivered")] == await states(world)
        assert 2 == await world.value("SELECT count(*) FROM attempt")


async def test_the_merchants_delay_holds_callbacks_back(open_world: OpenWorld):
    async with open_world() as world:
        sale = await world.sale(callback={"delay": 600})
        await world.work()
        await sale.pay()
        world.clock.advance(599)
        await world.work()
        assert 0 == len(world.merchant.received)
        world.clock.advance(1)
        await world.work()
        assert ["awaiting redirect result", "success"] == [
            item.body["payment"]["status"] for item in world.merchant.received
        ]


# --- in which order ---


async def test_the_intermediate_callback_is_dropped_once_the_final_one_has_arrived(open_world: OpenWorld):
    async with open_world() as world:
        world.merchant.answers["/callbacks"] = [500]
        sale = await world.sale()
        await world.work()
        await sale.pay()
        await world.work()
        assert [("awaiting redirect result", "dropped"), ("success", "delivered")] == await states(world)
        await world.pass_time(3600, step_s=600)
        assert 2 == len(world.merchant.received)


async def test_a_final_callback_does_not_wait_for_an_undelivered_intermediate_one(open_world: OpenWorld):
    async with open_world() as world:
        world.merchant.answers["/callbacks"] = fails_for_ever
        sale = await world.sale()
        await world.work()
        await sale.pay()
        await world.work()
        assert ["awaiting redirect result", "success"] == [
            item.body["payment"]["status"] for item in world.merchant.received
        ]
        assert [("awaiting redirect result", "waiting"), ("success", "waiting")] == await states(world)


async def test_callbacks_of_one_payment_arrive_in_the_order_of_its_changes(open_world: OpenWorld):
    async with open_world() as world:
        sales = [await world.sale() for _ in range(10)]
        for sale in sales:
            await sale.pay()
            await sale.refund(payment__amount=100, payment__currency="KRW")
        await world.work()
        for sale in sales:
            statuses = [
                item.body["payment"]["status"]
                for item in world.merchant.received
                if item.body["payment"]["id"] == sale.payment_id
            ]
            assert ["awaiting redirect result", "success", "partially refunded"] == statuses


async def test_callbacks_of_one_payment_are_sent_one_at_a_time(open_world: OpenWorld):
    """The next one leaves when the one before has been answered, well or badly (E-20)."""
    being_answered: Counter[str] = Counter()
    most = 0

    async def takes_its_time(item: Received) -> web.StreamResponse:
        nonlocal most
        payment_id = item.body["payment"]["id"]
        being_answered[payment_id] += 1
        most = max(most, being_answered[payment_id])
        await asyncio.sleep(0.05)
        being_answered[payment_id] -= 1
        return web.Response(status=500)

    async with open_world() as world:
        world.merchant.answers["/callbacks"] = takes_its_time
        sales = [await world.sale() for _ in range(3)]
        for sale in sales:
            await sale.pay()
            await sale.refund(payment__amount=2000, payment__currency="KRW")
        await world.work()
        assert (9, 1) == (len(world.merchant.received), most)


# --- to whom ---


async def test_an_address_in_the_request_replaces_the_projects(open_world: OpenWorld):
    async with open_world() as world:
        await world.sale(**REFUSED, general__merchant_callback_url=f"{world.merchant.url}/own")
        await world.work()
        assert ["/own"] == [item.path for item in world.merchant.received]


async def test_an_address_that_is_none_is_told_to_the_projects_own(open_world: OpenWorld):
    """The payment is an `error` because of it; the error must reach somebody."""
    async with open_world() as world:
        await world.sale(general__merchant_callback_url="ftp://shop.example/")
        await world.work()
        assert ["error"] == [item.body["payment"]["status"] for item in world.merchant.at("/callbacks")]


async def test_success_and_decline_addresses_beat_the_one_address(open_world: OpenWorld):
    async with open_world() as world:
        at = world.merchant.url
        addresses = {
            "general__merchant_callback_url": f"{at}/own",
            "general__merchant_success_callback_url": f"{at}/good",
            "general__merchant_decline_callback_url": f"{at}/bad",
        }
        paid, declined = await world.sale(**addresses), await world.sale(**addresses)
        await paid.pay()
        await declined.pay("cancel")
        await world.work()
        assert ["/bad", "/good", "/own", "/own"] == sorted(item.path for item in world.merchant.received)
        assert "success" == world.merchant.at("/good")[0].body["payment"]["status"]
        assert "decline" == world.merchant.at("/bad")[0].body["payment"]["status"]


async def test_a_refund_may_have_an_address_of_its_own_and_else_uses_the_sales(open_world: OpenWorld):
    async with open_world() as world:
        sale = await world.paid_sale(general__merchant_callback_url=f"{world.merchant.url}/sale")
        amounts = {"payment__amount": 100, "payment__currency": "KRW"}
        await sale.refund(**amounts, general__merchant_callback_url=f"{world.merchant.url}/refund")
        await sale.refund(**amounts)
        await world.work()
        assert ["refund"] == [item.body["operation"]["type"] for item in world.merchant.at("/refund")]
        assert ["sale", "sale", "refund"] == [
            item.body["operation"]["type"] for item in world.merchant.at("/sale")
        ]


@pytest.mark.parametrize("switch", [True, 1, "1"])
async def test_callbacks_can_be_switched_off_for_a_payment(open_world: OpenWorld, switch: Any):
    async with open_world() as world:
        sale = await world.sale(callback={"force_disable": switch})
        assert 0 == len(await sale.callbacks())
        general = {"project_id": 1001, "payment_id": sale.payment_id}
        answer = await world.post("/v2/payment/status", {"general": general})
        assert "awaiting redirect result" == answer.body["payment"]["status"]


async def test_each_rule_that_matches_gets_its_own_copy_and_is_retried_alone(open_world: OpenWorld):
    async with open_world() as world:
        at = world.merchant.url
        rules: list[dict[str, Any]] = [
            {"url": f"{at}/all"},
            {"url": f"{at}/good", "result": "success"},
            {"url": f"{at}/bad", "result": "decline"},
            {"url": f"{at}/payco", "method": "payco", "payment_type": "purchase"},
            {"url": f"{at}/other", "method": "kakaopay"},
            {"url": f"{at}/payout", "payment_type": "payout"},
            {"url": f"{at}/off", "enabled": False},
            {"url": f"{at}/good", "method": "payco", "result": "success"},  # the same address: told once
        ]
        await world.set_project(callback_rules=rules)
        sale = await world.sale()
        await world.work()
        world.merchant.answers["/payco"] = [500]
        await sale.pay()
        await world.work()
        final = [item.path for item in world.merchant.received if item.body["payment"]["status"] == "success"]
        assert ["/all", "/good", "/payco"] == sorted(path for path in final if path != "/callbacks")
        world.clock.advance(10)
        await world.work()
        assert ["success", "success"] == [
            item.body["payment"]["status"] for item in world.merchant.at("/payco")[-2:]
        ]
        assert 2 == len(world.merchant.at("/all"))


async def test_a_merchant_without_any_address_is_asked_nothing(open_world: OpenWorld):
    async with open_world(callback_url="") as world:
        sale = await world.sale()
        await world.work()
        assert (0, "awaiting redirect result") == (
            len(await sale.callbacks()),
            (await sale.status())["payment"]["status"],
        )


# --- side by side ---


async def test_a_slow_endpoint_does_not_delay_others(open_world: OpenWorld):
    """One endpoint holds every call; forty callbacks to another one arrive all the same while it does (F14)."""
    release = asyncio.Event()

    async def holds_on(item: Received) -> web.StreamResponse:
        await release.wait()
        return web.Response()

    async with open_world() as world, listening_merchant(world.clock) as slow:
        slow.answers["/slow"] = holds_on
        for _ in range(40):
            await world.sale(**REFUSED, general__merchant_callback_url=f"{slow.url}/slow")
            await world.sale(**REFUSED)
        stop = asyncio.Event()
        duties = asyncio.create_task(run_duties(world.platform, stop))
        await world.merchant.receives(40)
        await slow.receives(1)
        delivered = await world.value(
            "SELECT count(*) FROM callback WHERE state = 'delivered' AND url LIKE '%/slow'"
        )
        assert 0 == delivered
        assert len(slow.received) < 40  # a strange endpoint gets a few calls at first, not all
        release.set()
        await slow.receives(40)
        stop.set()
        await duties


async def test_ten_workers_send_each_callback_once(open_world: OpenWorld):
    async with open_world() as world, open_world() as other:
        for _ in range(60):
            await world.sale(**REFUSED)
        await asyncio.gather(world.work(), other.work())
        received = [item.body["payment"]["id"] for item in world.merchant.received]
        assert (60, 60) == (len(received), len(set(received)))
