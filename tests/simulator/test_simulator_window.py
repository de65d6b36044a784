"""Opening the payment window, and what goes to the return URL."""

import json
import re
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode

import pytest
from tests.simulator.shopkeeper import KEY, KEYLESS_MID, MID, OTHER_KEY, OTHER_MID, Shopkeeper, sha, simulator

WINDOW = "/v3/v3Payment.jsp"
REFUSALS = [
    ({"MID": "unknown00m"}, "V001"),
    ({"SignData": "0" * 64}, "W007"),
    ({"MID": KEYLESS_MID}, "W009"),
    ({"Moid": "no spaces"}, "W001"),
    ({"Moid": "x" * 65}, "W001"),
    ({"GoodsName": ""}, "W008"),
    ({"SignData": ""}, "W008"),
    ({"ReturnUrl": ""}, "W100"),
    ({"ReturnUrl": "javascript:alert(1)"}, "W100"),
    ({"ReturnUrl": "http://[bad/return"}, "W100"),
    ({"Amt": "99"}, "W090"),
    ({"Amt": "10.5"}, "W091"),
    ({"Amt": "-1000"}, "W091"),
    ({"Amt": "1" * 13}, "W091"),
    ({"PayMethod": "KAKAOPAY"}, "W004"),
    ({"EdiDate": "20201211174138"}, "1623"),
    ({"EdiDate": "tomorrow"}, "1623"),
]


@pytest.mark.parametrize("changes, code", REFUSALS)
async def test_a_bad_opening_is_refused_with_its_code_and_leaves_no_trace(
    changes: dict[str, str], code: str, tmp_path: Path
) -> None:
    async with simulator(tmp_path) as keeper:
        body = keeper.window_body(**changes)
        answer = await keeper.post(WINDOW, body)
        played = await keeper.control("POST", "pay", {"redirect_data": keeper.redirect_data(body)})

        assert 422 == answer.status
        assert f"<code>{code}</code>" in answer.text()
        assert (422, code) == (played.status, played.json()["code"])
        assert [] == (await keeper.control("GET", "books")).json()["books"]
        assert [] == keeper.received


async def test_a_refusal_speaks_korean_and_explains_the_wrong_hash(tmp_path: Path) -> None:
    async with simulator(tmp_path) as keeper:
        body = keeper.window_body()
        padded = body | {"SignData": sha(body["EdiDate"], MID, "000000001000", KEY)}
        answer = await keeper.post(WINDOW, padded, **{"Accept-Language": "en"})

        assert "위변조된 데이터입니다" in answer.text()
        assert "Amt was hashed padded to 12 digits" in answer.text()


async def test_a_moid_is_used_once_per_merchant(tmp_path: Path) -> None:
    async with simulator(tmp_path) as keeper:
        first = await keeper.post(WINDOW, keeper.window_body(Moid="twice"))
        again = await keeper.post(WINDOW, keeper.window_body(Moid="twice", Amt="2000"))

        assert 303 == first.status
        assert "<code>W005</code>" in again.text()
        assert 1000 == (await keeper.book("twice"))["amount"]


@pytest.mark.parametrize("shift_s, opens", [(-3500, True), (3500, True), (-3700, False), (3700, False)])
async def test_edi_date_is_tolerated_within_an_hour(shift_s: int, opens: bool, tmp_path: Path) -> None:
    async with simulator(tmp_path) as keeper:
        answer = await keeper.post(WINDOW, keeper.window_body(EdiDate=keeper.edi_date(shift_s)))

        assert (303 if opens else 422) == answer.status


async def test_the_tolerance_can_be_switched_off(tmp_path: Path) -> None:
    async with simulator(tmp_path, edi_date_tolerance_s=0) as keeper:
        assert 303 == (await keeper.post(WINDOW, keeper.window_body(EdiDate="20201211174138"))).status


async def test_only_posted_urlencoded_forms_open_a_window(tmp_path: Path) -> None:
    async with simulator(tmp_path) as keeper:
        link = await keeper.get(f"{WINDOW}?{urlencode(keeper.window_body())}")
        multipart = await keeper.post(WINDOW, b"--x", **{"Content-Type": "multipart/form-data; boundary=x"})

        assert "<code>88</code>" in link.text()
        assert "<code>88</code>" in multipart.text()


async def test_euc_kr_and_utf_8_forms_are_read_alike(tmp_path: Path) -> None:
    async with simulator(tmp_path) as keeper:
        for charset in ("utf-8", "cp949"):
            body = keeper.window_body(GoodsName="똠방각하 커피")
            opened = await keeper.post(WINDOW, body, charset)
            page = await keeper.get(opened.headers["Location"])

            assert "똠방각하 커피" in page.text()


async def test_the_scripts_escaped_name_is_preferred(tmp_path: Path) -> None:
    async with simulator(tmp_path) as keeper:
        played = await keeper.pay(GoodsName="???", EncGoodsName="%uCEE4%uD53C %26 %uD83D%uDE00")
        answer = await keeper.approve(played["result"])

        assert "커피 & 😀" == answer["GoodsName"]


async def test_both_spellings_of_the_return_url_are_read_and_the_documented_one_wins(tmp_path: Path) -> None:
    async with simulator(tmp_path) as keeper:
        body = keeper.window_body(ReturnURL=f"{keeper.sink_url}/documented")
        await keeper.control("POST", "pay", {"redirect_data": keeper.redirect_data(body)})

        assert ["/documented"] == [path for path, _ in keeper.received]


async def test_a_paid_window_delivers_the_captured_fields_in_their_order(tmp_path: Path) -> None:
    async with simulator(tmp_path) as keeper:
        body = keeper.window_body(ReqReserved="our note", Moid="m1")
        answer = await keeper.control(
            "POST", "pay", {"redirect_data": keeper.redirect_data(body), "outcome": "card"}
        )

        [(path, sent)] = keeper.received
        pairs = parse_qsl(sent.decode("ascii"), keep_blank_values=True)
        fields = dict(pairs)
        assert "/return" == path
        assert [
            "AuthResultCode AuthResultMsg AuthToken PayMethod MID Moid Amt ReqReserved TxTid NextAppURL NetCancelURL Signature"
        ] == [" ".join(name for name, _ in pairs)]
        assert "0000" == fields["AuthResultCode"]
        assert re.fullmatch("NICETOKN[0-9A-F]{32}", fields["AuthToken"])
        assert re.fullmatch(MID + r"0101\d{16}", fields["TxTid"])
        assert body["EdiDate"] <= f"20{fields['TxTid'][14:26]}" <= keeper.edi_date()
        assert ("CARD", MID, "m1", "1000", "our note") == tuple(
            fields[name] for name in ("PayMethod", "MID", "Moid", "Amt", "ReqReserved")
        )
        assert f"{keeper.url}/webapi/pay_process.jsp" == fields["NextAppURL"]
        assert f"{keeper.url}/webapi/cancel_process.jsp" == fields["NetCancelURL"]
        assert sha(fields["AuthToken"], MID, "1000", KEY) == fields["Signature"]
        assert {"status": 303, "location": "http://shop.test/success", "body": ""} == answer.json()["return"]
        assert fields == answer.json()["result"]
        assert {
            "mid": MID,
            "moid": "m1",
            "amount": 1000,
            "state": "authenticated",
            "tid": fields["TxTid"],
        } == answer.json()["window"]


@pytest.mark.parametrize(
    "outcome, code, message",
    [
        ("cancel", "I009", "사용자 취소"),
        ("fail", "C002", "카드사 인증에 실패하였습니다."),
        ("expire", "W111", "인증 유효시간이 초과되었습니다."),
        ({"outcome": "fail", "code": "9994", "text": "인증 실패"}, "9994", "인증 실패"),
    ],
)
async def test_a_window_that_ends_otherwise_delivers_token_and_signature_but_no_tid(
    outcome: Any, code: str, message: str, tmp_path: Path
) -> None:
    async with simulator(tmp_path) as keeper:
        result = (await keeper.pay(outcome, Moid="m1"))["result"]

        assert (code, message) == (result["AuthResultCode"], result["AuthResultMsg"])
        assert sha(result["AuthToken"], MID, "1000", KEY) == result["Signature"]
        assert not {"TxTid", "NextAppURL", "NetCancelURL"} & set(result)
        assert ("refused", code) == (
            (await keeper.book("m1"))["state"],
            (await keeper.book("m1"))["end_code"],
        )


async def test_a_closed_window_sends_nothing_and_stays_open(tmp_path: Path) -> None:
    async with simulator(tmp_path) as keeper:
        played = await keeper.pay("abandon", deliver=True, Moid="m1")

        assert (None, None) == (played["result"], played["return"])
        assert "opened" == (await keeper.book("m1"))["state"]
        assert [] == keeper.received


async def test_the_result_is_euc_kr_unless_utf_8_was_asked_for(tmp_path: Path) -> None:
    async with simulator(tmp_path) as keeper:
        await keeper.pay("cancel", deliver=True)
        await keeper.pay("cancel", deliver=True, CharSet="")

        utf_8, euc_kr = (body for _, body in keeper.received)
        assert quote("사용자", encoding="utf-8").encode() in utf_8
        assert quote("사용자", encoding="cp949").encode() in euc_kr


async def test_what_euc_kr_cannot_write_is_sent_as_browsers_do(tmp_path: Path) -> None:
    async with simulator(tmp_path) as keeper:
        await keeper.pay("cancel", deliver=True, CharSet="", ReqReserved="한😀")

        [(_, body)] = keeper.received
        assert quote("한&#128512;", encoding="cp949").encode() in body


async def test_the_window_says_so_when_the_payer_comes_too_late(tmp_path: Path) -> None:
    async with simulator(tmp_path) as keeper:
        opened = await keeper.post(WINDOW, keeper.window_body(Moid="late"))
        await keeper.advance(30 * 60)
        page = await keeper.get(opened.headers["Location"])
        result = await keeper.post(opened.headers["Location"], {"outcome": "card", "agree": "on"})

        assert "결제 가능 시간이 지났습니다" in page.text()
        assert 'value="W111"' in result.text()
        assert 'name="TxTid"' not in result.text()
        assert "W111" == (await keeper.book("late"))["end_code"]


async def test_paying_needs_the_terms_but_leaving_does_not(tmp_path: Path) -> None:
    async with simulator(tmp_path) as keeper:
        opened = await keeper.post(WINDOW, keeper.window_body(Moid="m1"))
        without = await keeper.post(opened.headers["Location"], {"outcome": "card"})
        state = (await keeper.book("m1"))["state"]
        cancelled = await keeper.post(opened.headers["Location"], {"outcome": "cancel"})

        assert (422, "opened") == (without.status, state)
        assert "먼저 약관에 동의해 주세요" in without.text()
        assert 'value="I009"' in cancelled.text()


async def test_a_second_click_repeats_the_first_result(tmp_path: Path) -> None:
    async with simulator(tmp_path) as keeper:
        opened = await keeper.post(WINDOW, keeper.window_body())
        first = await keeper.post(opened.headers["Location"], {"outcome": "card", "agree": "on"})
        second = await keeper.post(opened.headers["Location"], {"outcome": "cancel"})
        [tid] = re.findall('name="TxTid" value="([^"]+)"', first.text())

        assert [tid] == re.findall('name="TxTid" value="([^"]+)"', second.text())
        assert 'value="I009"' not in second.text()


async def test_without_direct_call_the_picker_comes_first(tmp_path: Path) -> None:
    async with simulator(tmp_path) as keeper:
        for changes in ({"DirectShowOpt": ""}, {"NicepayReserved": "DirectKakao=Y"}, {"TransType": "1"}):
            opened = await keeper.post(WINDOW, keeper.window_body(**changes))
            picker = await keeper.get(opened.headers["Location"])
            window = await keeper.get(opened.headers["Location"] + "?method=payco")

            assert 'name="outcome"' not in picker.text()
            assert 'value="points"' in window.text()


async def test_instalments_are_offered_from_50000_won(tmp_path: Path) -> None:
    async with simulator(tmp_path) as keeper:
        small = await keeper.post(WINDOW, keeper.window_body(Amt="49999"))
        large = await keeper.post(WINDOW, keeper.window_body(Amt="50000"))
        result = await keeper.post(
            large.headers["Location"], {"outcome": "card", "agree": "on", "quota": "03"}
        )
        fields = dict(re.findall('name="([^"]+)" value="([^"]*)"', result.text()))

        assert 'name="quota"' not in (await keeper.get(small.headers["Location"])).text()
        assert "03" == (await keeper.approve(fields))["CardQuota"]


async def test_presets_end_windows_by_themselves(tmp_path: Path) -> None:
    async with simulator(tmp_path) as keeper:
        await keeper.control("POST", "outcomes", {"queue": ["points", "cancel"]})
        await keeper.control("POST", "outcomes", {"amount": 2000, "outcome": "fail"})
        await keeper.control("POST", "outcomes", {"moid": "mine", "outcome": "expire"})
        codes = [await _ended(keeper, Amt=amount, Moid=moid) for amount, moid in _windows()]

        assert ["0000", "C002", "W111", "I009", ""] == codes


def _windows() -> list[tuple[str, str]]:
    return [("1000", "a"), ("2000", "b"), ("2000", "mine"), ("1000", "c"), ("1000", "d")]


async def _ended(keeper: Shopkeeper, **changes: str) -> str:
    """The result code on the page that a posted form is answered with; none when the payer is asked."""
    page = await keeper.post(WINDOW, keeper.window_body(**changes))
    codes = re.findall('name="AuthResultCode" value="([^"]+)"', page.text())
    if page.status == 200 and not codes:  # the page that says that the time is over
        page = await keeper.post(re.findall('action="([^"]+)"', page.text())[0], {"outcome": "cancel"})
        codes = re.findall('name="AuthResultCode" value="([^"]+)"', page.text())
    return codes[0] if codes else ""


async def test_the_frame_is_told_by_post_message_for_the_embedding_origin_only(tmp_path: Path) -> None:
    async with simulator(tmp_path) as keeper:
        opened = await keeper.post(WINDOW, keeper.window_body(), Origin="http://shop.test")
        window = await keeper.get(opened.headers["Location"])
        result = await keeper.post(opened.headers["Location"], {"outcome": "card", "agree": "on"})
        cancelled = await keeper.post(WINDOW, keeper.window_body())
        refused = await keeper.post(cancelled.headers["Location"], {"outcome": "cancel"})

        assert ("http://shop.test", "10", {"width": 720, "height": 645}) == _message(window.text())
        origin, code, told = _message(result.text())
        assert ("http://shop.test", "0") == (origin, code)
        assert {"AuthToken", "TxTid", "NextAppURL", "NetCancelURL", "Signature", "BillAuthYN"} == set(told)
        origin, code, told = _message(refused.text())
        assert (keeper.sink_url, "2") == (origin, code)
        assert {"AuthResultCode", "AuthResultMsg", "AuthToken", "Signature"} == set(told)


def _message(page: str) -> tuple[str, str, dict[str, Any]]:
    [(text, origin)] = re.findall('data-message="([^"]+)" data-origin="([^"]+)"', page)
    message = json.loads(text.replace("&#34;", '"').replace("&amp;", "&"))
    return origin, message["code"], message["result"]


async def test_two_merchants_may_use_the_same_moid(tmp_path: Path) -> None:
    async with simulator(tmp_path) as keeper:
        await keeper.post(WINDOW, keeper.window_body(Moid="same"))
        other = await keeper.post(WINDOW, keeper.window_body(key=OTHER_KEY, MID=OTHER_MID, Moid="same"))

        assert 303 == other.status
        assert 2 == len((await keeper.control("GET", "books?moid=same")).json()["books"])
