"""Notifications: off until configured, EUC-KR forms with NICEPAY's own casing, repeated until OK."""

from pathlib import Path
from urllib.parse import quote

from tests.processes import until
from tests.simulator.shopkeeper import MID, Shopkeeper, simulator

DAY_S = 86_400
NOON = "2030-01-01T12:00:00"
"""In Korea. Approval and cancel are on one day by this clock, also when the test itself runs over midnight."""


async def _listening(keeper: Shopkeeper) -> None:
    await keeper.set_merchant(notices=True, notice_url=f"{keeper.sink_url}/notice")


async def test_no_notice_is_sent_unless_the_merchant_asks_for_them(tmp_path: Path) -> None:
    async with simulator(tmp_path) as keeper:
        await keeper.paid()

        assert [] == (await keeper.control("GET", "notices")).json()["notices"]


async def test_an_approval_is_announced_as_an_euc_kr_form(tmp_path: Path) -> None:
    async with simulator(tmp_path) as keeper:
        await _listening(keeper)
        result = await keeper.paid(Moid="m1", GoodsName="커피", BuyerName="김하늘")
        [body] = await keeper.arrives("/notice", 1)
        [fields] = keeper.arrived("/notice", "cp949")

        assert quote("커피", encoding="cp949").encode() in body
        assert ("m1", "김하늘", MID, result["TxTid"]) == tuple(
            fields[name] for name in ("MOID", "name", "MID", "TID")
        )
        assert ("1000", "0", "3001", "15") == tuple(
            fields[name] for name in ("Amt", "StateCd", "ResultCode", "ClickpayCl")
        )
        assert {"RcptType", "ReceitType", "MallReserved10", "CancelMOID"} <= set(fields)
        assert not {"Signature", "SignData", "Moid"} & set(fields)
        assert ("", "NICE") == (fields["CancelDate"], fields["PG"])


async def test_money_and_its_notice_are_one_commit(tmp_path: Path) -> None:
    """A simulator killed between two commits had carried out a cancel of which nobody was ever told."""
    async with simulator(tmp_path) as keeper:
        await _listening(keeper)
        result = (await keeper.pay(Moid="m1"))["result"]
        statements: list[str] = []
        keeper.app.state.simulator.books.db.set_trace_callback(statements.append)
        await keeper.approve(result)
        await keeper.cancel(result["TxTid"], 400, partial=True, Moid="m1R1")
        keeper.app.state.simulator.books.db.set_trace_callback(None)

        commits = [
            text.rpartition("BEGIN IMMEDIATE")[2] for text in ";".join(statements).split("COMMIT")[:-1]
        ]
        approved, cancelled = (text for text in commits if "INSERT INTO notice" in text)
        assert "auth_code = " in approved
        assert "INSERT INTO cancellation" in cancelled


async def test_cancels_are_announced_with_their_own_amount_and_moid(tmp_path: Path) -> None:
    async with simulator(tmp_path) as keeper:
        await _listening(keeper)
        await keeper.set_clock(NOON)
        tid = (await keeper.paid())["TxTid"]
        await keeper.cancel(tid, 400, partial=True, Moid="order1R1")
        await keeper.advance(2 * DAY_S)
        await keeper.cancel(tid, 600, partial=True, Moid="order1R2")
        await keeper.arrives("/notice", 3)
        told = [
            (f["StateCd"], f["Amt"], f["CancelMOID"], f["ResultCode"], f["TID"])
            for f in keeper.arrived("/notice", "cp949")
        ]

        # Before the card company has acquired the sale StateCd is 1, on later days 2.
        assert [("1", "400", "order1R1", "2001", tid), ("2", "600", "order1R2", "2001", tid)] == sorted(told)[
            1:
        ]


async def test_a_net_cancel_is_announced_too(tmp_path: Path) -> None:
    async with simulator(tmp_path) as keeper:
        await _listening(keeper)
        await keeper.set_clock(NOON)
        await keeper.net_cancel(await keeper.paid())
        await keeper.arrives("/notice", 2)

        assert {"0", "1"} == {fields["StateCd"] for fields in keeper.arrived("/notice", "cp949")}


async def test_a_notice_is_repeated_every_minute_until_the_body_is_ok(tmp_path: Path) -> None:
    async with simulator(tmp_path) as keeper:
        await _listening(keeper)
        keeper.sink_answers += ["FAIL", "not OK"]
        await keeper.paid()
        for expected in (1, 2, 3):
            await keeper.arrives("/notice", expected)
            await _settled(keeper, tries=expected)
            await keeper.advance(61)
        [notice] = (await keeper.control("GET", "notices")).json()["notices"]

        assert (3, "OK", None) == (notice["tries"], notice["last_answer"], notice["next_at"])
        assert 3 == len(keeper.received)


async def test_a_notice_is_given_up_after_ten_tries(tmp_path: Path) -> None:
    async with simulator(tmp_path) as keeper:
        await _listening(keeper)
        keeper.sink_answers += ["FAIL"] * 20
        await keeper.paid()
        for tries in range(1, 11):
            await _settled(keeper, tries)
            await keeper.advance(61)
        [notice] = (await keeper.control("GET", "notices")).json()["notices"]

        assert (10, "FAIL", None) == (notice["tries"], notice["last_answer"], notice["next_at"])


async def _settled(keeper: Shopkeeper, tries: int) -> None:
    """Waits until that many tries are written into the books."""

    async def written() -> bool:
        [notice] = (await keeper.control("GET", "notices")).json()["notices"]
        return bool(tries == notice["tries"])

    await until(written)


async def test_an_unreachable_merchant_is_recorded_and_tried_again(tmp_path: Path) -> None:
    async with simulator(tmp_path) as keeper:
        await keeper.set_merchant(notices=True, notice_url="http://127.0.0.1:1/notice")
        await keeper.paid()
        await _settled(keeper, tries=1)
        [notice] = (await keeper.control("GET", "notices")).json()["notices"]

        assert notice["last_answer"].startswith("not delivered")
        assert notice["next_at"] is not None


async def test_notices_can_be_doubled_delayed_and_lost(tmp_path: Path) -> None:
    async with simulator(tmp_path) as keeper:
        await _listening(keeper)
        await keeper.fault("notice", "lost")
        await keeper.paid(Moid="lost")
        await keeper.fault("notice", "late", after_s=3600)
        await keeper.paid(Moid="late")
        await keeper.fault("notice", "duplicate")
        await keeper.paid(Moid="doubled")
        await keeper.arrives("/notice", 2)
        early = [fields["MOID"] for fields in keeper.arrived("/notice", "cp949")]
        await keeper.advance(3601)
        await keeper.arrives("/notice", 3)

        assert ["doubled", "doubled"] == early
        assert "late" == keeper.arrived("/notice", "cp949")[-1]["MOID"]


async def test_notices_wait_in_the_books_for_the_next_start(tmp_path: Path) -> None:
    async with simulator(tmp_path) as keeper:
        await _listening(keeper)
        await keeper.fault("notice", "late", after_s=3600)
        await keeper.paid(Moid="m1")
    async with simulator(tmp_path) as keeper:
        await keeper.advance(3601)
        [notice] = (await keeper.control("GET", "notices")).json()["notices"]
        await _settled(keeper, tries=1)

        assert ("m1", 0) == (notice["moid"], notice["tries"])


async def test_a_cancel_in_progress_is_announced_when_it_settles(tmp_path: Path) -> None:
    async with simulator(tmp_path) as keeper:
        await _listening(keeper)
        await keeper.set_clock(NOON)
        tid = (await keeper.paid())["TxTid"]
        await keeper.fault("cancel", "in_progress", after_s=60)
        await keeper.cancel(tid, 1000)
        before = len(await keeper.arrives("/notice", 1))
        await keeper.advance(61)
        await keeper.arrives("/notice", 2)

        assert (1, "1") == (before, keeper.arrived("/notice", "cp949")[-1]["StateCd"])


async def test_a_cancel_by_hand_waits_for_the_one_in_progress(tmp_path: Path) -> None:
    """Found by simulation: both together returned more than was paid, and the books refused to settle the first for ever."""
    async with simulator(tmp_path) as keeper:
        await _listening(keeper)
        result = await keeper.paid(Moid="m1")
        await keeper.fault("cancel", "in_progress", after_s=60)
        await keeper.cancel(result["TxTid"], 1000)
        page = f"/admin/{result['AuthToken']}"
        by_hand = await keeper.post(page, {"amount": "400", "confirm": "on"})
        await keeper.advance(61)
        await keeper.arrives("/notice", 2)

        assert (422, True) == (by_hand.status, "2002" in by_hand.text())
        assert 1000 == (await keeper.book("m1"))["cancelled"]


async def test_a_cancel_by_hand_bypasses_the_merchant_and_is_announced(tmp_path: Path) -> None:
    async with simulator(tmp_path) as keeper:
        await _listening(keeper)
        await keeper.set_clock(NOON)
        result = await keeper.paid(Moid="m1")
        page = f"/admin/{result['AuthToken']}"
        unconfirmed = await keeper.post(page, {"amount": "400"})
        too_much = await keeper.post(page, {"amount": "1001", "confirm": "on"})
        done = await keeper.post(page, {"amount": "400", "reason": "변심", "confirm": "on"})
        await keeper.arrives("/notice", 2)
        notice = keeper.arrived("/notice", "cp949")[-1]
        entry = await keeper.book("m1")

        assert (422, 422, 303) == (unconfirmed.status, too_much.status, done.status)
        assert "2032" in too_much.text()
        assert ("1", "400", "") == (notice["StateCd"], notice["Amt"], notice["CancelMOID"])
        assert (400, ["admin"]) == (entry["cancelled"], [cancel["kind"] for cancel in entry["cancels"]])
