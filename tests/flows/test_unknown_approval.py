"""An approval of unknown outcome is never guessed: it is taken back, asked about, and declined when that is certain (N-10)."""

import asyncio
from typing import Any

import pytest
from tests.processes import until
from tests.world import QUICK, OpenWorld, Sale, World

BROKEN_ANSWERS: list[dict[str, Any]] = [
    {"kind": "hang_after", "seconds": 60},
    {"kind": "reset", "committed": True},
    {"kind": "http_500", "committed": True},
    {"kind": "http_500", "committed": True, "status": 502},
    *({"kind": "garbage", "committed": True, "style": style} for style in ("half", "html", "empty", "bytes")),
    {"kind": "wrong_signature"},
    {"kind": "override", "fields": {"Moid": "1001W5"}},
    {"kind": "override", "fields": {"Amt": "x"}},
    {"kind": "override", "fields": {"ResultCode": ""}},
    {"kind": "code", "code": "1620", "committed": True},
    {"kind": "code", "code": "A299", "committed": True},
    {"kind": "code", "code": "1682", "committed": True},
]
LOST_REQUESTS: list[dict[str, Any]] = [
    {"kind": "hang_before", "seconds": 60},
    {"kind": "reset", "committed": False},
    {"kind": "http_500", "committed": False},
    {"kind": "garbage", "committed": False, "style": "html"},
    {"kind": "code", "code": "1620", "committed": False},
]


def named(fault: dict[str, Any]) -> str:
    return "-".join(str(value) for value in fault.values())


def limits_for(fault: dict[str, Any]) -> dict[str, Any]:
    return QUICK if fault["kind"].startswith("hang") else {}


async def arm(sale: Sale, on: str, fault: dict[str, Any], **more: Any) -> None:
    await sale.fault(on, **{**fault, **more})


async def outcome(sale: Sale) -> tuple[str, str]:
    body = (await sale.callbacks())[-1]
    return body["payment"]["status"], body["operation"]["code"]


async def stage(sale: Sale) -> str:
    found: str = (await sale.operations())[0]["stage"]
    return found


@pytest.mark.parametrize("fault", BROKEN_ANSWERS, ids=named)
async def test_an_approval_without_a_clear_answer_is_taken_back_at_once(
    open_world: OpenWorld, fault: dict[str, Any]
):
    async with open_world(account=limits_for(fault)) as world:
        sale = await world.sale()
        await arm(sale, "approve", fault)
        answer = await sale.pay()
        assert "http://example.url/decline" == answer.location
        assert ("decline", "20602") == await outcome(sale)
        books = await sale.books()
        assert (1, 1, "cancelled") == (books["approvals"], books["net_cancels"], books["state"])
        assert 1 == await world.simulator.calls(await sale.moid(), "approve")
        assert 2 == len(await sale.callbacks())


@pytest.mark.parametrize("fault", LOST_REQUESTS, ids=named)
async def test_an_approval_that_never_happened_is_declined_and_looked_at_twice_more(
    open_world: OpenWorld, fault: dict[str, Any]
):
    async with open_world(account=limits_for(fault)) as world:
        sale = await world.sale()
        await arm(sale, "approve", fault)
        await sale.pay()
        assert (("decline", "20602"), "checking") == (await outcome(sale), await stage(sale))
        world.clock.advance(59)
        await world.work()
        assert 0 == await world.simulator.calls(await sale.moid(), "inquiry")
        world.clock.advance(1)
        if fault["kind"] == "hang_before":
            await world.simulator.lift_faults()
            await late_approval_is_over(sale)
        await world.work()
        moid = await sale.moid()
        assert ("checking", 1) == (await stage(sale), await world.simulator.calls(moid, "inquiry"))
        world.clock.advance(60)
        await world.work()
        assert ("done", 2) == (await stage(sale), await world.simulator.calls(moid, "inquiry"))
        assert 0 == (await sale.books())["approvals"]


async def test_an_answer_in_another_charset_is_read_all_the_same(open_world: OpenWorld):
    async with open_world() as world:
        sale = await world.sale()
        await sale.fault("approve", "euc_kr")
        await sale.pay()
        assert ("success", "0") == await outcome(sale)


async def test_an_unpadded_amount_is_read_all_the_same(open_world: OpenWorld):
    async with open_world() as world:
        sale = await world.sale()
        await sale.fault("approve", "unpadded")
        await sale.pay()
        assert ("success", "0") == await outcome(sale)


@pytest.mark.parametrize(
    "fault", [BROKEN_ANSWERS[0], *BROKEN_ANSWERS[1:4], BROKEN_ANSWERS[5], BROKEN_ANSWERS[8]], ids=named
)
async def test_a_net_cancel_without_a_clear_answer_is_settled_by_asking(
    open_world: OpenWorld, fault: dict[str, Any]
):
    async with open_world(account=limits_for(fault)) as world:
        sale = await world.sale()
        await sale.fault("approve", "reset", committed=True)
        await arm(sale, "netcancel", fault)
        await sale.pay()
        assert ("decline", "20602") == await outcome(sale)
        moid = await sale.moid()
        calls = [await world.simulator.calls(moid, kind) for kind in ("approve", "netcancel", "inquiry")]
        assert [1, 1, 1] == calls


async def test_a_net_cancel_that_was_lost_is_repeated_on_its_rungs(open_world: OpenWorld):
    """Again after 5 s, 15 s, 60 s, then every five minutes (N-10)."""
    async with open_world() as world:
        sale = await world.sale()
        await sale.fault("approve", "reset", committed=True)
        await sale.fault("netcancel", "reset", times="always")
        await sale.pay()
        assert (("awaiting redirect result", "29999")) == (
            (await sale.status())["payment"]["status"],
            (await sale.status())["operations"][0]["code"],
        )
        moid = await sale.moid()
        for number, pause_s in enumerate((5, 15, 60, 300, 300), 1):
            world.clock.advance(pause_s - 1)
            await world.work()
            assert number == await world.simulator.calls(moid, "netcancel")
            world.clock.advance(1)
            await world.work()
            assert number + 1 == await world.simulator.calls(moid, "netcancel")
        assert 1 == len(await sale.callbacks())
        await world.simulator.control("DELETE", "faults")


async def test_after_the_net_cancel_window_an_ordinary_cancel_brings_the_money_back(open_world: OpenWorld):
    async with open_world() as world:
        sale = await world.sale()
        await sale.fault("approve", "reset", committed=True)
        await sale.fault("netcancel", "reset", times=4)
        await sale.pay()
        for seconds in (5, 15, 60, 300):
            world.clock.advance(seconds)
            await world.work()
        assert ("decline", "20602") == await outcome(sale)
        books = await sale.books()
        assert (0, "cancelled", "full") == (books["net_cancels"], books["state"], books["cancels"][0]["kind"])


async def test_while_the_truth_is_unknown_the_limit_time_declines_and_the_money_is_worked_back(
    open_world: OpenWorld,
):
    """E-39: the decline is published, the payment flagged, and the ladder goes on; no second callback ever."""
    async with open_world() as world:
        sale = await world.sale()
        await provider_falls_silent(sale)
        await sale.pay()
        world.clock.advance(1000)
        await world.work()
        world.clock.advance(799)
        await world.work()
        assert 1 == len(await sale.callbacks())
        world.clock.advance(1)
        await world.work()
        assert ("decline", "20602") == await outcome(sale)
        assert ("returning", "reconciliation needed") == (await stage(sale), (await sale.row())["flag"])
        await world.simulator.control("DELETE", "faults")
        world.clock.advance(300)
        await world.work()
        assert ("done", "late success, returned") == (await stage(sale), (await sale.row())["flag"])
        assert (0, 2) == (remain(await sale.books()), len(await sale.callbacks()))


async def test_what_stays_unknown_for_a_day_is_flagged_and_asked_hourly(open_world: OpenWorld):
    async with open_world(limit_time_s=10**6) as world:
        sale = await world.sale()
        await provider_falls_silent(sale)
        await sale.pay()
        moid = await sale.moid()
        for _ in range(4):
            world.clock.advance(300)
            await world.work()
        world.clock.advance(86_400)
        await world.work()
        assert ("undoing", "reconciliation needed") == (await stage(sale), (await sale.row())["flag"])
        before = await world.simulator.calls(moid, "inquiry")
        world.clock.advance(3599)
        await world.work()
        assert before == await world.simulator.calls(moid, "inquiry")
        world.clock.advance(1)
        await world.work()
        assert before + 1 == await world.simulator.calls(moid, "inquiry")
        await world.simulator.control("DELETE", "faults")
        world.clock.advance(3600)
        await world.work()
        assert ("done", "") == (await stage(sale), (await sale.row())["flag"])


async def test_an_approval_found_after_nothing_was_to_cancel_goes_back(open_world: OpenWorld):
    """The provider says 2012, yet a minute later it has the approval: a late success, returned (N-10 step 2, E-39)."""
    async with open_world() as world:
        sale = await world.sale()
        await sale.fault("approve", "reset", committed=True)
        await sale.fault("netcancel", "code", code="2012")
        await sale.pay()
        assert (("decline", "20602"), "checking") == (await outcome(sale), await stage(sale))
        world.clock.advance(60)
        await world.work()
        assert ("done", "late success, returned") == (await stage(sale), (await sale.row())["flag"])
        assert (0, 2) == (remain(await sale.books()), len(await sale.callbacks()))


async def test_a_clock_set_forward_does_not_end_the_wait_for_a_late_approval(open_world: OpenWorld):
    """Found by simulation: the first look came a second after the net cancel, the approval five seconds after that."""
    async with open_world() as world:
        sale = await world.sale()
        await sale.fault("approve", "reset", committed=True)
        await sale.fault("netcancel", "code", code="2012")
        await sale.fault("inquiry", "override", fields={"Status": "9"})  # not arrived yet
        await sale.pay()
        world.clock.advance(400)
        await world.work()
        assert (("decline", "20602"), "checking") == (await outcome(sale), await stage(sale))
        world.clock.advance(60)
        await world.work()
        assert ("done", "late success, returned") == (await stage(sale), (await sale.row())["flag"])
        assert 0 == remain(await sale.books())


@pytest.mark.parametrize("code", ["2013", "2015"])
async def test_already_cancelled_is_believed_only_after_asking(open_world: OpenWorld, code: str):
    async with open_world() as world:
        sale = await world.sale()
        await sale.fault("approve", "reset", committed=True)
        await sale.fault("netcancel", "code", code=code)
        await sale.pay()
        assert "undoing" == await stage(sale)
        world.clock.advance(5)
        await world.work()
        assert (("decline", "20602"), 0) == (await outcome(sale), remain(await sale.books()))


async def test_a_provider_that_cannot_be_reached_has_approved_nothing(open_world: OpenWorld):
    async with open_world() as world:
        sale = await world.sale()
        result = await sale.choose()
        await unplug(world)
        dead = {
            "NextAppURL": "http://127.0.0.1:9/webapi/pay_process.jsp",
            "NetCancelURL": "http://127.0.0.1:9/webapi/cancel_process.jsp",
        }
        await sale.come_back({**result, **dead})
        assert (("decline", "20202"), "done") == (await outcome(sale), await stage(sale))


async def test_a_process_that_dies_during_the_approval_leaves_it_to_the_next(open_world: OpenWorld):
    """The intent outlives its lease; another process takes the approval back; the first one's answer changes nothing then."""
    async with open_world() as frozen, open_world() as worker:
        sale = await frozen.sale()
        result = await sale.choose()
        await sale.fault("approve", "hang_after", seconds=600)
        returning = asyncio.create_task(sale.come_back(result))
        await sale.has_moved("approvals")
        frozen.clock.advance(59)
        await worker.work()
        assert "approving" == await stage(sale)
        frozen.clock.advance(1)
        await worker.work()
        assert (("decline", "20602"), 0) == (await outcome(sale), remain(await sale.books()))
        await frozen.simulator.lift_faults()
        await returning
        assert (("decline", "20602"), 2) == (await outcome(sale), len(await sale.callbacks()))


async def test_what_the_provider_answered_is_never_shown_to_the_merchant(open_world: OpenWorld):
    async with open_world() as world:
        sale = await world.sale()
        await sale.fault("approve", "garbage", style="html", committed=True)
        await sale.pay()
        assert "Bad Gateway" not in str(await sale.callbacks()) + str(await sale.status())
        exchange = await world.rows("SELECT response FROM exchange WHERE kind = 'approve'")
        assert "Bad Gateway" in str(exchange[0]["response"])


async def late_approval_is_over(sale: Sale) -> None:
    """Nobody listens any more when the hanging call wakes up: it finds its token dead."""
    moid = await sale.moid()

    async def refused() -> bool:
        log = await sale.world.simulator.control("GET", f"exchanges?moid={moid}&kind=approve")
        return ["A210"] == [exchange["verdict"] for exchange in log["exchanges"]]

    await until(refused)


async def provider_falls_silent(sale: Sale) -> None:
    """Approves, then answers nothing more."""
    await sale.fault("approve", "reset", committed=True)
    for kind in ("netcancel", "inquiry", "cancel"):
        await sale.fault(kind, "reset", times="always")


async def unplug(world: World) -> None:
    """The account's calls may also go where nothing listens."""
    hosts = {"api_hosts": [world.simulator.url, "http://127.0.0.1:9"]}
    async with world.platform.database.transaction() as tx:
        await tx.execute("UPDATE account SET settings = settings || $1", hosts)
    world.platform._projects.clear()


def remain(books: dict[str, Any]) -> int:
    left: int = books["amount"] - books["cancelled"]
    return left
