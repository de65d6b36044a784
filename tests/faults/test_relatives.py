"""Relatives of the bugs in test_public_bugs.py, found in the trackers of other payment systems: news that comes twice, late or
early, and news without what the merchant needs."""

import asyncio

import pytest
from tests.faults.tidings import LISTED, QUICK, cancel_notice, ends, notify, statuses
from tests.world import MID, PROJECT_ID, OpenWorld

from wongate.flows import notice


async def test_return_and_notice_make_one_callback(open_world: OpenWorld):
    """hyperswitch PR#1850: the provider's notice and the API's answer both emitted a callback."""
    async with open_world(account=LISTED) as world:
        sale = await world.sale()
        result = await sale.choose()
        books = await sale.books()
        await asyncio.gather(
            sale.come_back(result), notify(world, books), sale.come_back(result), notify(world, books)
        )
        await notify(world, await sale.books())
        await world.work()
        assert ["awaiting redirect result", "success"] == await statuses(sale)
        assert 2 == len(world.merchant.received)
        assert 1 == await world.simulator.calls(await sale.moid(), "approve")


async def test_a_notice_before_our_row_is_known_is_kept(open_world: OpenWorld):
    """lago-api PR#1373: it is kept and looked at again, not dropped, while we have not written the approval's intent."""
    async with open_world(account={**LISTED, **QUICK}) as world:
        sale = await world.sale()
        await sale.fault("approve", "reset", committed=True)
        await sale.fault("netcancel", "code", code="2012")
        await sale.fault("inquiry", "override", fields={"Status": "9"})
        result = await sale.choose()
        assert (200, b"OK") == await notify(world, await sale.books())
        await world.work()
        (row,) = await world.rows("SELECT verdict, wake_at FROM notice")
        assert ("", True) == (row["verdict"], row["wake_at"] is not None)
        await sale.come_back(
            result
        )  # approved, answer lost, and the provider says wrongly that there was nothing
        await world.pass_time(300, 30)
        assert ("decline", "late success, returned") == (
            (row := await sale.row())["status"],
            row["flag"],
        )
        assert 0 == (await sale.books())["remain"]


async def test_a_notice_of_an_order_that_nobody_knows_is_kept_raw(open_world: OpenWorld):
    async with open_world(account=LISTED) as world:
        known = await world.paid_sale()
        unknown = {
            **await known.books(),
            "moid": f"{PROJECT_ID}W99999999",
            "tid": f"{MID}01012611230000009999",
        }
        status, _ = await notify(world, unknown)
        await world.work()
        assert 200 == status
        (row,) = await world.rows("SELECT raw, verdict FROM notice")
        assert (unknown["tid"], "matches no sale of ours") == (row["raw"]["TID"], row["verdict"])


async def test_a_refund_made_here_and_told_again_by_a_notice_counts_once(open_world: OpenWorld):
    """woocommerce-paypal-payments#522: created by the plugin, and once more by its webhook."""
    async with open_world(account=LISTED) as world:
        sale = await world.paid_sale()
        await sale.refund(payment__amount=400, payment__currency="KRW")
        await world.work()
        books = await sale.books()
        for _ in range(3):
            await notify(world, books, **cancel_notice(books["cancels"][0]))
            await world.work()
        row = await sale.row()
        assert (400, 0, "") == (row["refunded"], row["reserved"], row["flag"])
        assert [("success", "0")] == await ends(sale)
        assert ["awaiting redirect result", "success", "partially refunded"] == await statuses(sale)


async def test_a_notice_while_our_refund_is_under_way_counts_once(open_world: OpenWorld):
    async with open_world(account=LISTED) as world:
        sale = await world.paid_sale()
        await sale.fault("cancel", "hang_after", seconds=25)
        await sale.refund(payment__amount=400, payment__currency="KRW")
        working = asyncio.create_task(world.work())
        await sale.has_moved("cancelled")
        books = await sale.books()
        await notify(world, books, **cancel_notice(books["cancels"][0]))
        assert 1 == await notice.tick(world.platform, world.door), "another worker meanwhile"
        await world.simulator.lift_faults()
        await working
        await world.pass_time(300, 60)
        assert (400, 0, "") == ((row := await sale.row())["refunded"], row["reserved"], row["flag"])
        assert [("success", "0")] == await ends(sale)


async def test_nothing_late_moves_refunded_back(open_world: OpenWorld):
    """mollie/magento2#1047, bitpay-for-woocommerce#75: a late word about the payment overwrote `refunded`."""
    async with open_world(account=LISTED) as world:
        sale = await world.sale()
        result = await sale.choose()
        await sale.come_back(result)
        await sale.refund()
        await world.work()
        assert "refunded" == (await sale.row())["status"]
        told = await statuses(sale)
        await sale.come_back(result)
        await sale.come_back({**result, "AuthResultCode": "9999"})
        await notify(world, await sale.books())
        await notify(world, await sale.books(), ResultCode="9999")
        await world.post("/v2/payment/wallet/payco/sale", sale.body)
        await world.pass_time(3600, 600)
        assert ("refunded", told) == ((await sale.row())["status"], await statuses(sale))


async def test_an_identical_request_after_the_end_is_answered_and_moves_nothing(open_world: OpenWorld):
    async with open_world() as world:
        sale = await world.paid_sale()
        again = await world.post("/v2/payment/wallet/payco/sale", sale.body)
        assert (200, sale.accepted) == (again.status, again.body)
        assert ["awaiting redirect result", "success"] == await statuses(sale)


@pytest.mark.parametrize(
    "amounts, fault",
    [([None], None), ([400], None), ([400, None], None), ([400], "2026"), ([None], "2026"), ([5000], None)],
    ids=["whole", "part", "part and rest", "part declined", "whole declined", "too much"],
)
async def test_refund_callbacks_always_carry_the_amount(
    open_world: OpenWorld, amounts: list[int | None], fault: str | None
):
    """saleor#14108: a webhook of a partial refund without the amount."""
    async with open_world() as world:
        sale = await world.paid_sale()
        left = 1000
        for amount in amounts:
            if fault:
                await sale.fault("cancel", "code", code=fault)
            changes = {} if amount is None else {"payment__amount": amount, "payment__currency": "KRW"}
            await sale.refund(**changes)
            await world.work()
            body = world.merchant.received[-1].body
            asked = left if amount is None else amount
            left -= 0 if fault or asked > left else asked
            assert ("refund", asked, "KRW", left) == (
                body["operation"]["type"],
                body["operation"]["sum_initial"]["amount"],
                body["operation"]["sum_initial"]["currency"],
                body["payment"]["sum"]["amount"],
            )


async def test_an_approval_without_an_answer_is_found_by_our_own_reference(open_world: OpenWorld):
    """hyperswitch #2905, PR#11448: after a time-out there is no provider's id, so nothing could be asked for. Ours is known
    before the call."""
    async with open_world(account=QUICK) as world:
        sale = await world.sale()
        await sale.fault("approve", "hang_after", seconds=2)
        await sale.fault("netcancel", "code", code="2020")
        await sale.pay()
        (operation,) = await sale.operations()
        assert operation["reference"] == (await sale.books())["tid"]
        await world.pass_time(120, 20)
        assert ("decline", 0) == ((await sale.row())["status"], (await sale.books())["remain"])
