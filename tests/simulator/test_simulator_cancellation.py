"""Cancel, partial cancel, net cancel and inquiry."""

from pathlib import Path
from typing import Any

import pytest
from tests.simulator.shopkeeper import KEY, MID, OTHER_KEY, OTHER_MID, sha, simulator

CANCEL = "/webapi/cancel_process.jsp"


async def test_a_full_cancel_answers_with_the_original_tid_padded_amounts_and_its_signature(
    tmp_path: Path,
) -> None:
    async with simulator(tmp_path) as keeper:
        tid = (await keeper.paid(Moid="m1"))["TxTid"]
        earliest = keeper.edi_date()
        answer = await keeper.cancel(tid, 1000, MallReserved="kept")

        assert ("2001", tid, "cancel1") == (answer["ResultCode"], answer["TID"], answer["Moid"])
        assert ("000000001000", "000000000000", "kept") == (
            answer["CancelAmt"],
            answer["RemainAmt"],
            answer["MallReserved"],
        )
        assert sha(tid, MID, "000000001000", KEY) == answer["Signature"]
        assert (8, 8, 6) == tuple(len(answer[name]) for name in ("CancelNum", "CancelDate", "CancelTime"))
        assert earliest <= answer["CancelDate"] + answer["CancelTime"] <= keeper.edi_date()
        entry = await keeper.book("m1")
        assert ("cancelled", 1000, 0) == (entry["state"], entry["cancelled"], entry["remain"])


async def test_partial_cancels_run_down_the_remainder_with_tids_of_their_own(tmp_path: Path) -> None:
    async with simulator(tmp_path) as keeper:
        tid = (await keeper.paid(Moid="m1"))["TxTid"]
        first = await keeper.cancel(tid, 400, partial=True, Moid="m1R1")
        second = await keeper.cancel(tid, 600, partial=True, Moid="m1R2")

        assert ("000000000600", "000000000000") == (first["RemainAmt"], second["RemainAmt"])
        assert MID + "0110" == first["TID"][:14]
        assert 3 == len({tid, first["TID"], second["TID"]})
        assert sha(first["TID"], MID, "000000000400", KEY) == first["Signature"]
        entry = await keeper.book("m1")
        assert ("cancelled", 1000, 0, 1, 0) == tuple(
            entry[name] for name in ("state", "cancelled", "remain", "approvals", "net_cancels")
        )
        assert [("m1R1", 400, 600), ("m1R2", 600, 0)] == [
            (cancel["CancelMOID"], cancel["amount"], cancel["remain"]) for cancel in entry["cancels"]
        ]


async def test_partial_cancels_may_be_set_to_answer_with_the_original_tid(tmp_path: Path) -> None:
    async with simulator(tmp_path, partial_tid="original") as keeper:
        tid = (await keeper.paid())["TxTid"]

        assert tid == (await keeper.cancel(tid, 400, partial=True))["TID"]


async def test_what_remains_can_be_cancelled_in_full(tmp_path: Path) -> None:
    async with simulator(tmp_path) as keeper:
        tid = (await keeper.paid())["TxTid"]
        await keeper.cancel(tid, 400, partial=True)

        assert "2011" == (await keeper.cancel(tid, 1000))["ResultCode"]
        assert "2001" == (await keeper.cancel(tid, 600))["ResultCode"]


@pytest.mark.parametrize(
    "amount, partial, changes, code",
    [
        (0, True, {}, "2010"),
        (-400, True, {}, "2010"),
        (900, False, {}, "2011"),
        (1001, True, {}, "2032"),
        (400, True, {"TID": MID + "01012012111742051234"}, "2012"),
        (400, True, {"SignData": "0" * 64}, "A211"),
        (400, True, {"CancelMsg": ""}, "V802"),
        ("", True, {}, "V801"),
        ("4x", True, {}, "A116"),
        (400, True, {"Moid": ""}, "A117"),
        (400, True, {"PartialCancelCode": "2"}, "A212"),
        (400, True, {"MID": "unknown00m"}, "A114"),
        (400, True, {"EdiDate": "x"}, "A106"),
    ],
)
async def test_a_bad_cancel_is_refused_and_moves_nothing(
    amount: int | str, partial: bool, changes: dict[str, str], code: str, tmp_path: Path
) -> None:
    async with simulator(tmp_path) as keeper:
        tid = (await keeper.paid(Moid="m1"))["TxTid"]
        refused = await keeper.cancel(tid, amount, partial, **changes)

        assert code == refused["ResultCode"]
        assert ("", "", "") == (refused["CancelNum"], refused["CancelDate"], refused["Signature"])
        assert ([], 1000) == ((await keeper.book("m1"))["cancels"], (await keeper.book("m1"))["remain"])


async def test_a_fully_cancelled_payment_answers_2013_with_the_amount_and_nothing_else(
    tmp_path: Path,
) -> None:
    async with simulator(tmp_path) as keeper:
        tid = (await keeper.paid())["TxTid"]
        await keeper.cancel(tid, 1000)
        again = await keeper.cancel(tid, 1000)

        assert ("2013", "000000001000", "", "", "") == tuple(
            again[name] for name in ("ResultCode", "CancelAmt", "CancelNum", "CancelDate", "CancelTime")
        )


async def test_another_merchants_payment_cannot_be_cancelled(tmp_path: Path) -> None:
    async with simulator(tmp_path) as keeper:
        tid = (await keeper.paid())["TxTid"]
        body = keeper.cancel_body(tid, 1000, False, key=OTHER_KEY, MID=OTHER_MID)

        assert "2019" == (await keeper.post(CANCEL, body)).json()["ResultCode"]


async def test_a_payment_that_was_never_approved_cannot_be_cancelled(tmp_path: Path) -> None:
    async with simulator(tmp_path) as keeper:
        tid = (await keeper.pay())["result"]["TxTid"]

        assert "2012" == (await keeper.cancel(tid, 1000))["ResultCode"]


@pytest.mark.parametrize("days, code", [(364, "2001"), (366, "2016")])
async def test_cancels_are_possible_for_a_year(days: int, code: str, tmp_path: Path) -> None:
    async with simulator(tmp_path) as keeper:
        tid = (await keeper.paid())["TxTid"]
        await keeper.advance(days * 86_400)

        assert code == (await keeper.cancel(tid, 1000))["ResultCode"]


@pytest.mark.parametrize(
    "settings, outcome, earlier, code",
    [
        ({"cc_part_cl": "0"}, "card", 0, "2029"),
        ({"one_partial_only": True}, "card", 100, "2029"),
        ({"refuse_compound_partial": True}, "mixed", 0, "2051"),
        ({"refuse_compound_partial": True}, "card", 0, "2001"),
        ({}, "mixed", 100, "2001"),
    ],
)
async def test_partial_cancels_obey_the_merchants_settings(
    settings: dict[str, Any], outcome: str, earlier: int, code: str, tmp_path: Path
) -> None:
    async with simulator(tmp_path, **settings) as keeper:
        tid = (await keeper.paid(outcome))["TxTid"]
        if earlier:
            assert "2001" == (await keeper.cancel(tid, earlier, partial=True))["ResultCode"]

        assert code == (await keeper.cancel(tid, 200, partial=True))["ResultCode"]


async def test_a_mixed_payment_gives_back_the_card_part_first(tmp_path: Path) -> None:
    async with simulator(tmp_path) as keeper:
        tid = (await keeper.paid("mixed"))["TxTid"]  # card 600, points 300, coupon 100
        shares = []
        for amount in (500, 250, 250):
            answer = await keeper.cancel(tid, amount, partial=True)
            shares.append(
                tuple(answer[name] for name in ("MultiCardAcquAmt", "MultiPointAmt", "MultiCouponAmt"))
            )

        assert [("500", "0", "0"), ("100", "150", "0"), ("0", "150", "100")] == shares


async def test_the_reason_is_read_as_euc_kr_whatever_the_answers_charset(tmp_path: Path) -> None:
    async with simulator(tmp_path) as keeper:
        tid = (await keeper.paid(Moid="m1"))["TxTid"]
        await keeper.post(CANCEL, keeper.cancel_body(tid, 100, True, CancelMsg="고객 변심"), "cp949")
        await keeper.post(CANCEL, keeper.cancel_body(tid, 100, True, CancelMsg="고객 변심"), "utf-8")
        page = await keeper.get("/admin?lang=en&q=m1")
        detail = await keeper.get(page.text().split('<li><a href="')[1].split('"')[0])
        [exchange] = (await keeper.control("GET", "exchanges?kind=cancel&limit=1")).json()["exchanges"]

        assert 1 == detail.text().count("<dd>고객 변심</dd>")
        assert ["cancel_msg_utf8"] == [hint["key"] for hint in exchange["hints"]]


async def test_cancels_may_be_unsigned_as_older_merchants_see_them(tmp_path: Path) -> None:
    async with simulator(tmp_path, sign_cancels=False) as keeper:
        tid = (await keeper.paid())["TxTid"]
        answer = await keeper.cancel(tid, 1000)

        assert ("2001", "") == (answer["ResultCode"], answer["Signature"])


# net cancel


async def test_a_net_cancel_uses_the_approval_hash_and_undoes_the_approval(tmp_path: Path) -> None:
    async with simulator(tmp_path) as keeper:
        result = await keeper.paid(Moid="m1")
        answer = await keeper.net_cancel(result)
        entry = await keeper.book("m1")

        assert ("2001", result["TxTid"], "m1", "000000001000") == tuple(
            answer[name] for name in ("ResultCode", "TID", "Moid", "CancelAmt")
        )
        assert sha(result["TxTid"], MID, "000000001000", KEY) == answer["Signature"]
        assert ("cancelled", 1, 1, 1000) == tuple(
            entry[name] for name in ("state", "approvals", "net_cancels", "cancelled")
        )
        assert "2013" == (await keeper.net_cancel(result))["ResultCode"]
        assert "1682" == (await keeper.approve(result))["ResultCode"]


async def test_a_net_cancel_with_the_cancel_hash_is_refused(tmp_path: Path) -> None:
    async with simulator(tmp_path) as keeper:
        result = await keeper.paid()
        date = keeper.edi_date()
        answer = await keeper.net_cancel(result, EdiDate=date, SignData=sha(MID, "1000", date, KEY))

        assert "A211" == answer["ResultCode"]


async def test_a_token_that_was_net_cancelled_before_its_approval_is_dead(tmp_path: Path) -> None:
    async with simulator(tmp_path) as keeper:
        result = (await keeper.pay(Moid="m1"))["result"]
        answer = await keeper.net_cancel(result)
        late = await keeper.approve(result)
        entry = await keeper.book("m1")

        assert ("2012", "A210") == (answer["ResultCode"], late["ResultCode"])
        assert ("dead", 0, 0) == (entry["state"], entry["approvals"], entry["net_cancels"])


@pytest.mark.parametrize("after_s, code", [(240, "2001"), (301, "2020")])
async def test_the_net_cancel_window_is_five_minutes(after_s: int, code: str, tmp_path: Path) -> None:
    async with simulator(tmp_path) as keeper:
        result = await keeper.paid()
        await keeper.advance(after_s)

        assert code == (await keeper.net_cancel(result))["ResultCode"]


@pytest.mark.parametrize(
    "changes, code",
    [
        ({"AuthToken": "NICETOKN" + "0" * 32}, "2012"),
        ({"TID": MID + "01012012111742051234"}, "2012"),
        ({"Amt": "999"}, "2011"),
        ({"SignData": "0" * 64}, "A211"),
        ({"AuthToken": ""}, "A117"),
    ],
)
async def test_a_bad_net_cancel_moves_nothing(changes: dict[str, str], code: str, tmp_path: Path) -> None:
    async with simulator(tmp_path) as keeper:
        result = await keeper.paid(Moid="m1")

        assert code == (await keeper.net_cancel(result, **changes))["ResultCode"]
        assert 0 == (await keeper.book("m1"))["cancelled"]


async def test_a_net_cancel_after_a_partial_cancel_fails_with_2015(tmp_path: Path) -> None:
    async with simulator(tmp_path) as keeper:
        result = await keeper.paid()
        await keeper.cancel(result["TxTid"], 100, partial=True)

        assert "2015" == (await keeper.net_cancel(result))["ResultCode"]


# inquiry


async def test_the_inquiry_tells_status_and_approval_but_no_amount(tmp_path: Path) -> None:
    async with simulator(tmp_path) as keeper:
        result = (await keeper.pay())["result"]
        before = await keeper.inquire(result["TxTid"])
        approved = await keeper.approve(result)
        after = await keeper.inquire(result["TxTid"])
        await keeper.cancel(result["TxTid"], 400, partial=True)
        partly = await keeper.inquire(result["TxTid"])
        await keeper.cancel(result["TxTid"], 600, partial=True)
        cancelled = await keeper.inquire(result["TxTid"])

        assert ["ResultCode", "ResultMsg", "TID", "Status", "AuthCode", "AuthDate"] == list(after)
        assert [("0000", "9"), ("0000", "0"), ("0000", "0"), ("0000", "1")] == [
            (answer["ResultCode"], answer["Status"]) for answer in (before, after, partly, cancelled)
        ]
        assert ("", "") == (before["AuthCode"], before["AuthDate"])
        assert (approved["AuthCode"], approved["AuthDate"]) == (after["AuthCode"], after["AuthDate"])


async def test_the_tid_of_a_partial_cancel_is_a_cancelled_transaction(tmp_path: Path) -> None:
    async with simulator(tmp_path) as keeper:
        tid = (await keeper.paid())["TxTid"]
        cancel = await keeper.cancel(tid, 400, partial=True)

        assert "1" == (await keeper.inquire(cancel["TID"]))["Status"]


async def test_an_unknown_tid_has_no_approval_and_a_foreign_one_is_refused(tmp_path: Path) -> None:
    async with simulator(tmp_path) as keeper:
        tid = (await keeper.paid())["TxTid"]
        unknown = await keeper.inquire(MID + "01012012111742051234")
        foreign = await keeper.inquire(tid, key=OTHER_KEY, MID=OTHER_MID)

        assert ("0000", "9") == (unknown["ResultCode"], unknown["Status"])
        assert ("A122", "", "") == (foreign["ResultCode"], foreign["Status"], foreign["AuthCode"])


@pytest.mark.parametrize(
    "changes, code",
    [
        ({"SignData": "0" * 64}, "A211"),
        ({"TID": ""}, "A117"),
        ({"MID": "unknown00m"}, "A114"),
        ({"EdiDate": "x"}, "A106"),
    ],
)
async def test_a_bad_inquiry_is_refused(changes: dict[str, str], code: str, tmp_path: Path) -> None:
    async with simulator(tmp_path) as keeper:
        tid = (await keeper.paid())["TxTid"]

        assert code == (await keeper.inquire(tid, **changes))["ResultCode"]
