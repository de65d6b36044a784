"""The approval call: what it answers, what it refuses, in which charset and format."""

import json
from pathlib import Path
from urllib.parse import parse_qsl

import pytest
from tests.simulator.shopkeeper import KEY, KEYLESS_MID, MID, OTHER_KEY, OTHER_MID, sha, simulator

PAY = "/webapi/pay_process.jsp"
CAPTURED_ORDER = (
    "ResultCode ResultMsg Amt MID Moid BuyerEmail BuyerTel BuyerName GoodsName TID AuthCode AuthDate PayMethod CartData "
    "Signature MallReserved CardCode CardName CardNo CardQuota CardInterest "
    "AcquCardCode AcquCardName CardCl CcPartCl CouponAmt "
    "CouponMinAmt PointAppAmt ClickpayCl MultiCl MultiCardAcquAmt MultiPointAmt MultiCouponAmt RcptType "
    "RcptTID RcptAuthCode CardType"
)


async def test_an_approval_has_all_captured_keys_in_order_and_strings_only(tmp_path: Path) -> None:
    async with simulator(tmp_path) as keeper:
        result = (
            await keeper.pay(Moid="m1", BuyerName="김하늘", BuyerTel="0100000000", BuyerEmail="a@b.kr")
        )["result"]
        earliest = keeper.edi_date()
        answer = await keeper.approve(result, MallReserved="kept")

        assert CAPTURED_ORDER == " ".join(answer)
        assert {str} == {type(value) for value in answer.values()}
        assert ("3001", "카드 결제 성공", "m1") == (answer["ResultCode"], answer["ResultMsg"], answer["Moid"])
        assert ("김하늘", "0100000000", "a@b.kr", "Test sale") == tuple(
            answer[name] for name in ("BuyerName", "BuyerTel", "BuyerEmail", "GoodsName")
        )
        assert (result["TxTid"], "kept", "15") == (
            answer["TID"],
            answer["MallReserved"],
            answer["ClickpayCl"],
        )
        assert earliest <= f"20{answer['AuthDate']}" <= keeper.edi_date()
        assert 12 == len(answer["AuthDate"])


async def test_amounts_are_padded_to_12_and_signed_padded(tmp_path: Path) -> None:
    async with simulator(tmp_path) as keeper:
        result = (await keeper.pay())["result"]
        answer = await keeper.approve(result)

        assert "000000001000" == answer["Amt"]
        assert sha(result["TxTid"], MID, "000000001000", KEY) == answer["Signature"]
        assert {"000000000000"} == {answer[name] for name in ("CouponAmt", "CouponMinAmt", "PointAppAmt")}


@pytest.mark.parametrize(
    "outcome, expected",
    [
        (
            "card",
            {
                "CardCode": "04",
                "CardNo": "53611234****1234",
                "MultiCl": "0",
                "MultiCardAcquAmt": "",
                "CcPartCl": "1",
            },
        ),
        (
            "points",
            {"CardCode": "39", "CardName": "PAYCO 포인트", "CardNo": "", "MultiCl": "0", "MultiPointAmt": ""},
        ),
        (
            "mixed",
            {"MultiCl": "1", "MultiCardAcquAmt": "603", "MultiPointAmt": "300", "MultiCouponAmt": "100"},
        ),
        ({"outcome": "card", "cc_part_cl": "0"}, {"CcPartCl": "0"}),
        ({"outcome": "card", "quota": "03"}, {"CardQuota": "03"}),
    ],
)
async def test_the_answer_shows_the_funding(
    outcome: object, expected: dict[str, str], tmp_path: Path
) -> None:
    async with simulator(tmp_path) as keeper:
        answer = await keeper.approve((await keeper.pay(outcome, Amt="1003"))["result"])

        assert expected == {name: answer[name] for name in expected}


@pytest.mark.parametrize(
    "changes, code",
    [
        ({"SignData": "0" * 64}, "A211"),
        ({"AuthToken": "NICETOKN" + "0" * 32}, "A210"),
        ({"TID": MID + "01012012111742051234"}, "A115"),
        ({"Amt": "1001"}, "A123"),
        ({"Amt": "10x"}, "A116"),
        ({"MID": "unknown00m"}, "A114"),
        ({"MID": KEYLESS_MID}, "A109"),
        ({"TID": ""}, "A117"),
        ({"SignData": ""}, "A117"),
        ({"EdiDate": "2020-12-11"}, "A106"),
        ({"EdiDate": "20201332000000"}, "A106"),
    ],
)
async def test_a_bad_approval_is_refused_and_moves_nothing(
    changes: dict[str, str], code: str, tmp_path: Path
) -> None:
    async with simulator(tmp_path) as keeper:
        result = (await keeper.pay(Moid="m1"))["result"]
        refused = await keeper.approve(result, **changes)

        assert code == refused["ResultCode"]
        assert CAPTURED_ORDER == " ".join(refused)
        assert ("", "") == (refused["Signature"], refused["AuthCode"])
        assert 0 == (await keeper.book("m1"))["approvals"]
        assert "3001" == (await keeper.approve(result))["ResultCode"]


async def test_a_token_is_approved_once(tmp_path: Path) -> None:
    async with simulator(tmp_path) as keeper:
        result = await keeper.paid(Moid="m1")

        assert "1682" == (await keeper.approve(result))["ResultCode"]
        assert 1 == (await keeper.book("m1"))["approvals"]


async def test_a_cancelled_window_has_nothing_to_approve(tmp_path: Path) -> None:
    async with simulator(tmp_path) as keeper:
        result = (await keeper.pay("cancel"))["result"]
        refused = await keeper.approve({**result, "TxTid": MID + "01012012111742051234"})

        assert "A210" == refused["ResultCode"]


@pytest.mark.parametrize("after_s, code", [(28 * 60, "3001"), (30 * 60 + 1, "A245")])
async def test_an_authentication_lasts_30_minutes(after_s: int, code: str, tmp_path: Path) -> None:
    async with simulator(tmp_path) as keeper:
        result = (await keeper.pay())["result"]
        await keeper.advance(after_s)

        assert code == (await keeper.approve(result))["ResultCode"]


async def test_another_merchant_cannot_approve_or_read_a_payment(tmp_path: Path) -> None:
    async with simulator(tmp_path) as keeper:
        result = (await keeper.pay(BuyerName="김하늘"))["result"]
        body = keeper.approval_body(result, key=OTHER_KEY, MID=OTHER_MID)
        refused = (await keeper.post(PAY, body)).json()

        assert ("A122", "", "") == (refused["ResultCode"], refused["Moid"], refused["BuyerName"])


async def test_settings_choose_the_code_of_a_wrong_hash_and_signed_failures(tmp_path: Path) -> None:
    async with simulator(tmp_path, wrong_hash_code="A101", sign_failures=True) as keeper:
        result = (await keeper.pay())["result"]
        refused = await keeper.approve(result, SignData="0" * 64)

        assert "A101" == refused["ResultCode"]
        assert sha(result["TxTid"], MID, "000000001000", KEY) == refused["Signature"]


async def test_a_repeated_field_is_refused(tmp_path: Path) -> None:
    async with simulator(tmp_path) as keeper:
        result = (await keeper.pay())["result"]
        answer = await keeper.post(
            PAY, b"Amt=1&" + "&".join(f"{k}={v}" for k, v in keeper.approval_body(result).items()).encode()
        )

        assert "A227" == answer.json()["ResultCode"]


@pytest.mark.parametrize(
    "asked, charset", [("utf-8", "utf-8"), ("UTF-8", "utf-8"), ("euc-kr", "cp949"), ("", "cp949")]
)
async def test_the_answer_is_euc_kr_unless_utf_8_is_asked_for(
    asked: str, charset: str, tmp_path: Path
) -> None:
    async with simulator(tmp_path) as keeper:
        result = (await keeper.pay(GoodsName="똠방각하"))["result"]
        answer = await keeper.post(PAY, keeper.approval_body(result, CharSet=asked))

        assert "똠방각하" == json.loads(answer.raw.decode(charset))["GoodsName"]
        assert ("utf-8" if charset == "utf-8" else "euc-kr") in answer.headers["content-type"]


async def test_key_value_text_is_given_on_request(tmp_path: Path) -> None:
    async with simulator(tmp_path) as keeper:
        result = (await keeper.pay())["result"]
        answer = await keeper.post(PAY, keeper.approval_body(result, EdiType="KV"))
        pairs = parse_qsl(answer.text(), keep_blank_values=True)

        assert CAPTURED_ORDER == " ".join(name for name, _ in pairs)
        assert "카드 결제 성공" == dict(pairs)["ResultMsg"]


async def test_a_body_over_256_kilobytes_is_refused(tmp_path: Path) -> None:
    async with simulator(tmp_path) as keeper:
        answer = await keeper.post(PAY, b"TID=" + b"x" * (256 * 1024))

        assert 413 == answer.status


@pytest.mark.parametrize("body", [b"", b"&&=&", b"TID=%zz&MID=%ff%fe", b"\x00\xff" * 50, b"=" * 100])
async def test_no_body_breaks_a_call(body: bytes, tmp_path: Path) -> None:
    async with simulator(tmp_path) as keeper:
        for path in (PAY, "/webapi/cancel_process.jsp", "/webapi/inquery/trans_status.jsp"):
            answer = await keeper.post(path, body)

            assert 200 == answer.status
            assert answer.json("cp949")["ResultCode"] in ("A117", "A227", "V801")
