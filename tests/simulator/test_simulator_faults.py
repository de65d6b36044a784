"""Every fault switch does what it says, once or as often as asked, and for whom it was armed."""

import asyncio
import time
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from tests.processes import HANG_GUARD_S, until
from tests.simulator.shopkeeper import KEY, MID, Shopkeeper, sha, simulator

PAY = "/webapi/pay_process.jsp"
CALLS = ("approve", "netcancel", "cancel", "inquiry")


async def _call(keeper: Shopkeeper, on: str, result: dict[str, str]) -> Any:
    """The raw answer of one call of that type."""
    if on == "approve":
        return await keeper.post(PAY, keeper.approval_body(result))
    if on == "netcancel":
        return await keeper.post("/webapi/cancel_process.jsp", keeper.approval_body(result, NetCancel="1"))
    if on == "cancel":
        return await keeper.post(
            "/webapi/cancel_process.jsp", keeper.cancel_body(result["TxTid"], 1000, False)
        )
    date = keeper.edi_date()
    body = {"TID": result["TxTid"], "MID": MID, "EdiDate": date, "CharSet": "utf-8"}
    return await keeper.post(
        "/webapi/inquery/trans_status.jsp", {**body, "SignData": sha(result["TxTid"], MID, date, KEY)}
    )


async def _ready_for(keeper: Shopkeeper, on: str) -> dict[str, str]:
    """A payment on which that call would succeed."""
    if on == "approve":
        result: dict[str, str] = (await keeper.pay(Moid="m1"))["result"]
        return result
    return await keeper.paid(Moid="m1")


async def _moved(keeper: Shopkeeper, on: str) -> bool:
    entry = await keeper.book("m1")
    return bool(entry["approvals"] if on == "approve" else entry["cancelled"])


@pytest.mark.parametrize("on", CALLS)
@pytest.mark.parametrize("committed", [False, True])
async def test_a_reset_breaks_the_connection_before_or_after_the_commit(
    on: str, committed: bool, tmp_path: Path
) -> None:
    async with simulator(tmp_path) as keeper:
        result = await _ready_for(keeper, on)
        await keeper.fault(on, "reset", committed=committed)
        with pytest.raises((aiohttp.ServerDisconnectedError, aiohttp.ClientOSError)):
            await _call(keeper, on, result)

        assert (committed and on != "inquiry") is await _moved(keeper, on)
        assert 200 == (await _call(keeper, on, result)).status


@pytest.mark.parametrize("on", CALLS)
@pytest.mark.parametrize("committed", [False, True])
@pytest.mark.parametrize(
    "kind, options, status, start",
    [
        ("http_500", {}, 500, b"Internal"),
        ("http_500", {"status": 503}, 503, b""),
        ("garbage", {}, 200, b'{"ResultCode":"3001","'),
        ("garbage", {"style": "html"}, 200, b"<html>"),
        ("garbage", {"style": "empty"}, 200, b""),
        ("garbage", {"style": "bytes"}, 200, b"\x80\x81"),
    ],
)
async def test_a_broken_answer_replaces_the_true_one(
    on: str, committed: bool, kind: str, options: dict[str, Any], status: int, start: bytes, tmp_path: Path
) -> None:
    async with simulator(tmp_path) as keeper:
        result = await _ready_for(keeper, on)
        await keeper.fault(on, kind, committed=committed, **options)
        answer = await _call(keeper, on, result)

        assert status == answer.status
        assert answer.raw.startswith(start)
        with pytest.raises(ValueError):
            answer.json()
        assert (committed and on != "inquiry") is await _moved(keeper, on)


@pytest.mark.parametrize(
    "on, code, committed",
    [
        ("approve", "3095", False),
        ("approve", "1620", True),
        ("approve", "A299", False),
        ("netcancel", "2020", False),
        ("cancel", "2056", True),
        ("cancel", "2056", False),
        ("cancel", "2015", False),
        ("cancel", "2026", False),
        ("inquiry", "A299", False),
    ],
)
async def test_a_chosen_code_is_answered_with_or_without_the_commit(
    on: str, code: str, committed: bool, tmp_path: Path
) -> None:
    async with simulator(tmp_path) as keeper:
        result = await _ready_for(keeper, on)
        await keeper.fault(on, "code", code=code, text="한도초과", committed=committed)
        answer = (await _call(keeper, on, result)).json()

        assert (code, "한도초과") == (answer["ResultCode"], answer["ResultMsg"])
        assert ("", "") == (answer.get("Signature", ""), answer.get("AuthCode", ""))
        assert "" == answer.get("CancelNum", "")
        assert committed is await _moved(keeper, on)


@pytest.mark.parametrize("on", CALLS)
async def test_hanging_before_the_commit_commits_when_it_wakes_up(on: str, tmp_path: Path) -> None:
    async with simulator(tmp_path) as keeper:
        result = await _ready_for(keeper, on)
        await keeper.fault(on, "hang_before")
        hanging = asyncio.create_task(_call(keeper, on, result))
        await keeper.hangs(on)
        moved_early = await _moved(keeper, on)
        await keeper.lift_faults()
        answer = await hanging

        assert not moved_early
        assert answer.json()["ResultCode"] in ("3001", "2001", "0000")
        assert (on != "inquiry") is await _moved(keeper, on)


@pytest.mark.parametrize("on", ["approve", "netcancel", "cancel"])
async def test_hanging_after_the_commit_has_committed_meanwhile(on: str, tmp_path: Path) -> None:
    async with simulator(tmp_path) as keeper:
        result = await _ready_for(keeper, on)
        await keeper.fault(on, "hang_after")
        hanging = asyncio.create_task(_call(keeper, on, result))
        await until(lambda: _moved(keeper, on))

        assert not hanging.done()
        await keeper.lift_faults()
        assert (await hanging).json()["ResultCode"] in ("3001", "2001")


@pytest.mark.parametrize("kind", ["hang_before", "hang_after"])
async def test_hanging_ends_by_itself_after_its_seconds(kind: str, tmp_path: Path) -> None:
    async with simulator(tmp_path) as keeper:
        result = await _ready_for(keeper, "approve")
        await keeper.fault("approve", kind, seconds=0.2)
        started = time.monotonic()

        assert "3001" == (await keeper.approve(result))["ResultCode"]
        assert time.monotonic() - started > 0.19


async def test_a_hang_ends_when_all_switches_are_disarmed_and_not_when_another_is(tmp_path: Path) -> None:
    async with simulator(tmp_path) as keeper:
        result = await _ready_for(keeper, "approve")
        await keeper.fault("approve", "hang_before", seconds=3600)
        await keeper.fault("cancel", "reset")
        hanging = asyncio.create_task(keeper.approve(result))
        await keeper.hangs("approve")
        await keeper.control("DELETE", "faults?id=2")

        assert not await _moved(keeper, "approve")
        assert not hanging.done()
        await keeper.lift_faults()
        assert "3001" == (await asyncio.wait_for(hanging, HANG_GUARD_S))["ResultCode"]


async def test_an_approval_that_wakes_up_after_its_net_cancel_finds_the_token_dead(tmp_path: Path) -> None:
    async with simulator(tmp_path) as keeper:
        result = (await keeper.pay(Moid="m1"))["result"]
        await keeper.fault("approve", "hang_before")
        hanging = asyncio.create_task(keeper.approve(result))
        await keeper.hangs("approve")

        assert "2012" == (await keeper.net_cancel(result))["ResultCode"]
        await keeper.lift_faults()
        assert "A210" == (await hanging)["ResultCode"]
        assert 0 == (await keeper.book("m1"))["approvals"]


@pytest.mark.parametrize("on", ["approve", "netcancel", "cancel"])
async def test_a_wrong_signature_and_an_unpadded_amount(on: str, tmp_path: Path) -> None:
    async with simulator(tmp_path) as keeper:
        amount = "Amt" if on == "approve" else "CancelAmt"
        result = (await _ready_for(keeper, on)) if on == "approve" else await keeper.paid(Moid="m1")
        await keeper.fault(on, "wrong_signature")
        wrong = (await _call(keeper, on, result)).json()
        other = (await keeper.pay())["result"] if on == "approve" else await keeper.paid()
        await keeper.fault(on, "unpadded")
        unpadded = (await _call(keeper, on, other)).json()

        assert sha(wrong["TID"], MID, "000000001000", KEY) != wrong["Signature"]
        assert 64 == len(wrong["Signature"])
        assert "1000" == unpadded[amount]
        assert sha(unpadded["TID"], MID, "1000", KEY) == unpadded["Signature"]


@pytest.mark.parametrize("on", CALLS)
async def test_euc_kr_comes_although_utf_8_was_asked_for(on: str, tmp_path: Path) -> None:
    async with simulator(tmp_path) as keeper:
        result = await _ready_for(keeper, on)
        await keeper.fault(on, "euc_kr")
        answer = await _call(keeper, on, result)

        with pytest.raises(UnicodeDecodeError):
            answer.json()
        assert answer.json("cp949")["ResultMsg"] in ("카드 결제 성공", "취소 성공", "정상")


async def test_fields_can_be_overridden_after_signing(tmp_path: Path) -> None:
    async with simulator(tmp_path) as keeper:
        await keeper.fault("window", "override", fields={"Amt": "1"})
        await keeper.fault("approve", "override", fields={"Amt": "000000000001"})
        result = (await keeper.pay())["result"]
        answer = await keeper.approve({**result, "Amt": "1000"})

        assert ("1", sha(result["AuthToken"], MID, "1000", KEY)) == (result["Amt"], result["Signature"])
        assert "000000000001" == answer["Amt"]
        assert sha(answer["TID"], MID, "000000001000", KEY) == answer["Signature"]


@pytest.mark.parametrize("settles, cancelled, status", [("done", 400, "0"), ("failed", 0, "0")])
async def test_a_cancel_in_progress_settles_by_the_clock(
    settles: str, cancelled: int, status: str, tmp_path: Path
) -> None:
    async with simulator(tmp_path) as keeper:
        tid = (await keeper.paid(Moid="m1"))["TxTid"]
        await keeper.fault("cancel", "in_progress", settles=settles, after_s=60)
        first = await keeper.cancel(tid, 400, partial=True)
        meanwhile = await keeper.cancel(tid, 400, partial=True)
        open_sum = (await keeper.book("m1"))["cancelled"]
        await keeper.advance(61)
        entry = await keeper.book("m1")

        assert ("2002", "2002", 0) == (first["ResultCode"], meanwhile["ResultCode"], open_sum)
        assert (cancelled, [settles]) == (
            entry["cancelled"],
            [cancel["state"] for cancel in entry["cancels"]],
        )
        assert status == (await keeper.inquire(tid))["Status"]


# the window


async def test_the_window_can_refuse_break_and_hang(tmp_path: Path) -> None:
    async with simulator(tmp_path) as keeper:
        window = "/v3/v3Payment.jsp"
        await keeper.fault("window", "code", code="V003", text="요청이 많습니다")
        assert "<code>V003</code>" in (await keeper.post(window, keeper.window_body())).text()
        await keeper.fault("window", "http_500")
        assert 500 == (await keeper.post(window, keeper.window_body())).status
        await keeper.fault("window", "garbage", style="html")
        assert (await keeper.post(window, keeper.window_body())).raw.startswith(b"<html>")
        await keeper.fault("window", "reset", committed=True)
        with pytest.raises((aiohttp.ServerDisconnectedError, aiohttp.ClientOSError)):
            await keeper.post(window, keeper.window_body(Moid="m1"))
        assert "opened" == (await keeper.book("m1"))["state"]
        await keeper.fault("window", "hang_before", seconds=0.2)
        started = time.monotonic()
        assert 303 == (await keeper.post(window, keeper.window_body())).status
        assert time.monotonic() - started > 0.19


async def test_results_can_be_signed_wrongly_and_name_a_foreign_host(tmp_path: Path) -> None:
    async with simulator(tmp_path) as keeper:
        await keeper.fault("window", "wrong_signature")
        wrong = (await keeper.pay())["result"]
        await keeper.fault("window", "foreign_host", host="https://evil.example")
        foreign = (await keeper.pay())["result"]

        assert sha(wrong["AuthToken"], MID, "1000", KEY) != wrong["Signature"]
        assert "https://evil.example/webapi/pay_process.jsp" == foreign["NextAppURL"]
        assert "https://evil.example/webapi/cancel_process.jsp" == foreign["NetCancelURL"]


async def test_a_result_can_come_twice_or_contradict_itself(tmp_path: Path) -> None:
    async with simulator(tmp_path) as keeper:
        await keeper.fault("window", "duplicate_result")
        twice = await keeper.pay(deliver=True, Moid="m1")
        await keeper.fault("window", "contradicting_result")
        success_first = await keeper.pay(deliver=True, Moid="m2")
        await keeper.fault("window", "contradicting_result", first="failure")
        failure_first = await keeper.pay(deliver=True, Moid="m3")
        codes = [(fields["Moid"], fields["AuthResultCode"]) for fields in keeper.arrived("/return")]

        assert [
            ("m1", "0000"),
            ("m1", "0000"),
            ("m2", "0000"),
            ("m2", "I009"),
            ("m3", "I009"),
            ("m3", "0000"),
        ] == codes
        assert twice["result"] == twice["repeated"][0]["result"]
        assert "I009" == success_first["repeated"][0]["result"]["AuthResultCode"]
        assert ("I009", 303) == (
            failure_first["result"]["AuthResultCode"],
            failure_first["repeated"][0]["return"]["status"],
        )


async def test_a_doubled_result_of_a_browser_arrives_once_from_the_server(tmp_path: Path) -> None:
    async with simulator(tmp_path) as keeper:
        await keeper.fault("window", "contradicting_result", first="failure")
        opened = await keeper.post("/v3/v3Payment.jsp", keeper.window_body())
        page = await keeper.post(opened.headers["Location"], {"outcome": "card", "agree": "on"})

        assert ["I009"] == [fields["AuthResultCode"] for fields in keeper.arrived("/return")]
        assert 'name="AuthResultCode" value="0000"' in page.text()


# how often, and for whom


async def test_a_switch_strikes_once_n_times_or_always(tmp_path: Path) -> None:
    async with simulator(tmp_path) as keeper:
        tid = (await keeper.paid())["TxTid"]
        await keeper.fault("inquiry", "code", code="A299", times=2)
        counted = [(await keeper.inquire(tid))["ResultCode"] for _ in range(3)]
        await keeper.fault("inquiry", "code", code="9002", times="always")
        always = [(await keeper.inquire(tid))["ResultCode"] for _ in range(3)]
        [listed] = (await keeper.control("GET", "faults")).json()["faults"]
        removed = (await keeper.control("DELETE", f"faults?id={listed['id']}")).json()

        assert ["A299", "A299", "0000"] == counted
        assert ["9002"] * 3 == always
        assert ("always", "9002") == (listed["times"], listed["code"])
        assert ({"removed": 1}, "0000") == (removed, (await keeper.inquire(tid))["ResultCode"])


async def test_a_switch_may_be_meant_for_one_payment_only(tmp_path: Path) -> None:
    async with simulator(tmp_path) as keeper:
        one, other = await keeper.paid(Moid="one"), await keeper.paid(Moid="other")
        await keeper.fault("inquiry", "code", code="A299", moid="one")
        await keeper.fault("cancel", "code", code="2026", tid=other["TxTid"])

        assert "0000" == (await keeper.inquire(other["TxTid"]))["ResultCode"]
        assert "A299" == (await keeper.inquire(one["TxTid"]))["ResultCode"]
        assert "2001" == (await keeper.cancel(one["TxTid"], 1000))["ResultCode"]
        assert "2026" == (await keeper.cancel(other["TxTid"], 1000))["ResultCode"]


@pytest.mark.parametrize(
    "wanted, complaint",
    [
        ({"on": "approve"}, "kind must be one of"),
        ({"on": "approve", "kind": "explode"}, "kind must be one of"),
        ({"on": "inquiry", "kind": "wrong_signature"}, "on must be one of"),
        ({"on": "approve", "kind": "reset", "seconds": 3}, "does not know seconds"),
        ({"on": "approve", "kind": "hang_after", "seconds": "3"}, "seconds must be of type float"),
        ({"on": "approve", "kind": "hang_after", "seconds": -1}, "from 0 to 400 days"),
        ({"on": "approve", "kind": "reset", "committed": 1}, "committed must be of type bool"),
        ({"on": "approve", "kind": "reset", "times": 0}, "times must be"),
        ({"on": "approve", "kind": "reset", "times": True}, "times must be"),
        ({"on": "approve", "kind": "code"}, "needs a result code"),
        ({"on": "approve", "kind": "garbage", "style": "nice"}, "style must be one of"),
        ({"on": "approve", "kind": "http_500", "status": 200}, "from 400 to 599"),
        ({"on": "approve", "kind": "override", "fields": {"Amt": 1}}, "fields must map names to strings"),
        ({"on": ["approve"], "kind": {}}, "kind must be one of"),
    ],
)
async def test_a_bad_switch_is_refused_in_words(
    wanted: dict[str, Any], complaint: str, tmp_path: Path
) -> None:
    async with simulator(tmp_path) as keeper:
        answer = await keeper.control("POST", "faults", wanted)

        assert 400 == answer.status
        assert complaint in answer.json()["error"]
        assert [] == (await keeper.control("GET", "faults")).json()["faults"]
