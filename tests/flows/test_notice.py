"""NICEPAY's notices: unsigned hints, kept once, answered OK, believed only after asking (N-16)."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlencode

import pytest
from tests.world import MID, OpenWorld, Sale, World, ask

from wongate.flows.reconcile import LOOKS, SECOND_LOOK_S

SENDER = "121.133.126.10"
LISTED = {"notice_ips": [SENDER]}


async def send(world: World, raw: bytes, sender: str = SENDER) -> tuple[int, bytes]:
    answer = await ask(world.app, "POST", "/notice/nicepay", raw, client=(sender, 1))
    return answer.status, answer.raw


def form(sale_books: dict[str, Any], encoding: str = "euc-kr", **changes: str) -> bytes:
    fields = {
        "PayMethod": "CARD",
        "MID": MID,
        "TID": sale_books["tid"],
        "MOID": sale_books["moid"],
        "Amt": str(sale_books["amount"]),
        "StateCd": "0",
        "ResultCode": "3001",
        "name": "홍길동",
        "CancelMOID": "",
        **changes,
    }
    return urlencode(fields, encoding=encoding).encode()


async def notice(world: World) -> Any:
    return (await world.rows("SELECT * FROM notice"))[0]


async def statuses(sale: Sale) -> list[str]:
    return [body["payment"]["status"] for body in await sale.callbacks()]


async def lost_partial_refund(world: World) -> tuple[Sale, str]:
    """A paid sale with a partial refund of unknown outcome, and the order number of its cancel."""
    sale = await world.paid_sale()
    await sale.fault("cancel", "reset", committed=True)
    await sale.refund(payment__amount=300, payment__currency="KRW")
    await world.work()
    assert "asking" == (await sale.operations())[-1]["stage"]
    return sale, (await sale.books())["cancels"][0]["CancelMOID"]


@asynccontextmanager
async def late_approval(open_world: OpenWorld) -> AsyncIterator[tuple[World, Sale]]:
    """A sale that was declined and closed although the provider holds its money."""
    async with open_world(account=LISTED) as world:
        sale = await world.sale()
        await sale.fault("approve", "reset", committed=True)
        await sale.fault("netcancel", "code", code="2012")
        await sale.fault("inquiry", "override", fields={"Status": "9"}, times=LOOKS)
        await sale.pay()
        for _ in range(LOOKS):
            world.clock.advance(SECOND_LOOK_S)
            await world.work()
        assert "done" == (await sale.operations())[0]["stage"]
        yield world, sale


@pytest.mark.parametrize("sender", ["203.0.113.5", "127.0.0.1"])
async def test_a_notice_from_an_address_that_is_not_listed_is_refused(open_world: OpenWorld, sender: str):
    async with open_world(account=LISTED) as world:
        sale = await world.paid_sale()
        before = await world.fingerprint()
        assert (400, b"FAIL") == await send(world, form(await sale.books()), sender)
        assert before == await world.fingerprint()


async def test_notices_are_off_until_the_account_lists_their_senders(open_world: OpenWorld):
    async with open_world() as world:
        sale = await world.paid_sale()
        assert (400, b"FAIL") == await send(world, form(await sale.books()))


async def test_the_simulators_own_notice_is_understood(open_world: OpenWorld):
    async with open_world(account=LISTED) as world:
        notices_on = {"mid": MID, "notices": True, "notice_url": "http://127.0.0.1:9/"}
        await world.simulator.control("POST", "merchants", notices_on)
        try:
            sale = await world.paid_sale()
            await sale.refund()
            await world.work()
            sent = (await world.simulator.control("GET", "notices?limit=20"))["notices"]
        finally:
            await world.simulator.control("POST", "merchants", {"mid": MID, "notices": False})
        mine = [item["body"].encode() for item in sent if (await sale.moid()) in item["body"]]
        assert 2 == len(mine)
        assert [(200, b"OK")] * 2 == [await send(world, raw) for raw in mine]
        await world.work()
        assert {"known"} == {row["verdict"] for row in await world.rows("SELECT verdict FROM notice")}


async def test_an_approval_that_we_know_changes_nothing(open_world: OpenWorld):
    async with open_world(account=LISTED) as world:
        sale = await world.paid_sale()
        assert (200, b"OK") == await send(world, form(await sale.books()))
        await world.work()
        assert "known" == (await notice(world))["verdict"]
        assert ["awaiting redirect result", "success"] == await statuses(sale)


async def test_a_notice_before_the_return_leaves_the_payment_to_the_return(open_world: OpenWorld):
    async with open_world(account=LISTED) as world:
        sale = await world.sale()
        result = await sale.choose()
        await send(world, form(await sale.books()))
        await world.work()
        assert ["awaiting redirect result"] == await statuses(sale)
        await sale.come_back(result)
        assert ["awaiting redirect result", "success"] == await statuses(sale)


async def test_an_approval_after_the_decline_goes_back(open_world: OpenWorld):
    """E-39: the decline stands, the money returns, nobody is called again, people see it."""
    async with late_approval(open_world) as (world, sale):
        await send(world, form(await sale.books()))
        await world.work()
        assert "late success" == (await notice(world))["verdict"]
        assert ["awaiting redirect result", "decline"] == await statuses(sale)
        books = await sale.books()
        assert (1000, "late success, returned") == (books["cancelled"], (await sale.row())["flag"])


async def test_a_forged_approval_is_asked_about_and_forgotten(open_world: OpenWorld):
    async with open_world(account=LISTED) as world:
        sale = await world.sale()
        await sale.pay("cancel")
        books = {**await sale.books(), "tid": "wongate01m01012611230000000000"}
        assert (200, b"OK") == await send(world, form(books))
        await world.work()
        assert ["awaiting redirect result", "decline"] == await statuses(sale)
        assert "" == (await sale.row())["flag"]


async def test_a_notice_about_another_transaction_is_not_ours(open_world: OpenWorld):
    async with open_world(account=LISTED) as world:
        one, two = await world.paid_sale(), await world.paid_sale()
        await send(world, form({**await one.books(), "moid": await two.moid()}, StateCd="2", Amt="1000"))
        await world.work()
        assert ("another transaction than the one we know", "") == (
            (await notice(world))["verdict"],
            (await two.row())["flag"],
        )


async def test_a_notice_settles_a_partial_refund_of_unknown_outcome(open_world: OpenWorld):
    async with open_world(account=LISTED) as world:
        sale, cancel_moid = await lost_partial_refund(world)
        await send(world, form(await sale.books(), StateCd="1", Amt="300", CancelMOID=cancel_moid))
        await world.work()
        assert "partially refunded" == (await sale.status())["payment"]["status"]


@pytest.mark.parametrize("change", [{"Amt": "299"}, {"CancelMOID": "1001W1R1"}, {"CancelMOID": ""}], ids=str)
async def test_a_notice_that_fits_no_refund_of_ours_settles_none(
    open_world: OpenWorld, change: dict[str, str]
):
    async with open_world(account=LISTED) as world:
        sale, cancel_moid = await lost_partial_refund(world)
        fields = {"StateCd": "1", "Amt": "300", "CancelMOID": cancel_moid, **change}
        await send(world, form(await sale.books(), **fields))
        await world.work()
        assert "processing" == (await sale.operations())[-1]["status"]
        assert "refunded outside the platform" == (await sale.row())["flag"]


async def test_a_cancel_made_elsewhere_is_flagged_and_our_books_stay(open_world: OpenWorld):
    async with open_world(account=LISTED) as world:
        sale = await world.paid_sale()
        await send(world, form(await sale.books(), StateCd="2", Amt="400"))
        await world.work()
        assert ("success", 0, "refunded outside the platform") == (
            (row := await sale.row())["status"],
            row["refunded"],
            row["flag"],
        )


async def test_same_notice_twice_at_the_same_instant(open_world: OpenWorld):
    """Fifty deliveries over two processes: all answered OK, handled once (hyperswitch #14003)."""
    async with late_approval(open_world) as (world, sale), open_world() as other:
        raw = form(await sale.books())
        answers = await asyncio.gather(*(send((world, other)[n % 2], raw) for n in range(50)))
        assert {(200, b"OK")} == set(answers)
        await asyncio.gather(world.work(), other.work())
        assert (50, "late success") == ((row := await notice(world))["times"], row["verdict"])
        assert 1 == (await sale.books())["net_cancels"]
        assert 1 == await world.value("SELECT count(*) FROM transition WHERE event = 'found approved'")


async def test_a_notice_before_our_own_row_is_settled_is_not_lost(open_world: OpenWorld):
    """It arrives while the approval is under way: the row is there, the outcome is not."""
    async with open_world(account=LISTED) as world:
        sale = await world.sale()
        result = await sale.choose()
        await sale.fault("approve", "hang_after", seconds=600)
        returning = asyncio.create_task(sale.come_back(result))
        await sale.has_moved("approvals")
        assert (200, b"OK") == await send(world, form(await sale.books()))
        await world.work()
        await world.simulator.lift_faults()
        await returning
        assert ["awaiting redirect result", "success"] == await statuses(sale)


async def test_an_order_number_with_a_prefix_finds_its_sale(open_world: OpenWorld):
    """Two installations on one MID tell their orders apart by a prefix (N-24)."""
    async with open_world(account={**LISTED, "moid_prefix": "SHOP"}) as world:
        sale = await world.paid_sale()
        assert (await sale.moid()).startswith("SHOP")
        assert (200, b"OK") == await send(world, form(await sale.books(), StateCd="2", Amt="400"))
        await world.work()
        assert "refunded outside the platform" == (await sale.row())["flag"]


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\xff\xfe\x00",
        b"TID=1&MOID=1001W1&Amt=1&StateCd=0&MID=wongate01m&name=%00",
        b"x" * 70_000,
        b"&" * 5_000,
        b"TID=1&MOID=99999999999999999999W99999999999999999999&Amt=1&StateCd=0&MID=wongate01m",
    ],
    ids=["empty", "bytes", "nul", "large", "many", "huge numbers"],
)
async def test_junk_at_the_notice_address_is_refused_without_a_trace(open_world: OpenWorld, raw: bytes):
    async with open_world(account=LISTED) as world:
        before = await world.fingerprint()
        status, _ = await send(world, raw)
        assert (True, before) == (400 <= status < 500, await world.fingerprint())


@pytest.mark.parametrize("cancel_moid", ["²", "٣", "9" * 40, "R", "\u202e"])
async def test_one_poisoned_notice_does_not_stop_the_others(open_world: OpenWorld, cancel_moid: str):
    """Of a name that only looks like a number, say; the notices behind it are handled all the same (F23)."""
    async with open_world(account=LISTED) as world:
        (bad, _), good = await lost_partial_refund(world), await world.paid_sale()
        fields = {"StateCd": "2", "Amt": "400", "CancelMOID": f"{await bad.moid()}R{cancel_moid}"}
        assert (200, b"OK") == await send(world, form(await bad.books(), "utf-8", **fields))
        await send(world, form(await good.books(), StateCd="2", Amt="400"))
        await world.work()
        flags = [(await sale.row())["flag"] for sale in (bad, good)]
        assert ["refunded outside the platform"] * 2 == flags
