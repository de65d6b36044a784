"""NICEPAY's messages against 27 hash vectors, what its window and its webapi may bring, and every changed field."""

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlencode

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wongate.domain.account import Account
from wongate.domain.outcome import (
    Approved,
    Authenticated,
    Declined,
    Form,
    Notice,
    Outcome,
    ReturnResult,
    Standing,
    Tampered,
    Unanswered,
    Undone,
)
from wongate.providers.nicepay import accounts, answers, codes, hashes, messages

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "nicepay-vectors.json").read_text())["vectors"]
DEMO_KEY = (
    "EYzu8jGGMfqaDEp76gSckuvnaHHu+bC4opsSN6lHv3b2lurNYkVXrZ7Z1AoqQnXI3eLuaUFyoRNC6FkrzVjceg=="  # published
)
REAL = Account(1, "nicepay", "nicepay00m", DEMO_KEY, accounts.account_settings_for_nicepay())
SIMULATED = replace(REAL, settings=accounts.account_settings_for_simulator("http://127.0.0.1:9100/"))
SOON = datetime(2020, 12, 11, 8, 41, 38, tzinfo=UTC)  # 17:41:38 in Seoul, as in the source document
TOKEN = "NICETOKNC8489EAFD57BB435E4DB64889222B314"
TID = "nicepay00m01012012111742051234"
MOID = "1234W91"
AUTHENTICATED = Authenticated(
    TID,
    TOKEN,
    "https://dc1-api.nicepay.co.kr/webapi/pay_process.jsp",
    "https://dc1-api.nicepay.co.kr/webapi/cancel_process.jsp",
)
RETURN = {
    "AuthResultCode": "0000",
    "AuthResultMsg": "정상처리 되었습니다.",
    "AuthToken": TOKEN,
    "PayMethod": "CARD",
    "MID": "nicepay00m",
    "Moid": MOID,
    "Amt": "1000",
    "ReqReserved": "",
    "TxTid": TID,
    "NextAppURL": AUTHENTICATED.approve_url,
    "NetCancelURL": AUTHENTICATED.net_cancel_url,
    "Signature": "f9245325724a8af00c2519fc40813692221247c383ed400f0d759d97073c9664",
}
APPROVAL = {
    "ResultCode": "3001",
    "ResultMsg": "카드 결제 성공",
    "Amt": "000000001000",
    "MID": "nicepay00m",
    "Moid": MOID,
    "TID": TID,
    "AuthCode": "30012345",
    "AuthDate": "201211174231",
    "PayMethod": "CARD",
    "Signature": "cf15e570927917d7425329d1d47515b78b95a305f2156d89790ab733b4cae3ce",
    "CardCode": "39",
    "CardName": "PAYCO 포인트",
    "CardNo": "",
    "CcPartCl": "1",
    "ClickpayCl": "15",
    "MultiCl": "0",
}
CANCEL = {
    "ResultCode": "2001",
    "ResultMsg": "취소 성공",
    "CancelAmt": "000000000400",
    "MID": "nicepay00m",
    "Moid": MOID + "R1",
    "Signature": "4ffebf313715860e8d6c07ee220ac418058345274649a41c25b8c6591712c25e",
    "TID": TID,
    "CancelDate": "20201212",
    "CancelTime": "090501",
    "CancelNum": "00012345",
    "RemainAmt": "000000000600",
}
NET_CANCEL = CANCEL | {
    "CancelAmt": "000000001000",
    "Signature": "cf15e570927917d7425329d1d47515b78b95a305f2156d89790ab733b4cae3ce",
}


def read_return(
    form: Mapping[str, str], account: Account = REAL, order_number: str = MOID, amount: int = 1000
) -> ReturnResult:
    return answers.read_return(account, form, order_number=order_number, amount=amount)


def read_approval(answer: Mapping[str, str]) -> Outcome:
    return answers.read_approval(REAL, answer, reference=TID, order_number=MOID)


def read_net_cancel(answer: Mapping[str, str]) -> Undone:
    return answers.read_net_cancel(REAL, answer, reference=TID, amount=1000)


def resigned(answer: dict[str, str], amount_name: str, **changed: str) -> dict[str, str]:
    """The answer changed and signed again, as only NICEPAY could."""
    fields = answer | changed
    signature = hashes.answer(REAL, reference=fields["TID"], amount=fields[amount_name])
    return fields | {"Signature": signature}


# Hashes

FORMULAS: dict[str, Callable[[Account, dict[str, str]], str]] = {
    "a": lambda account, v: hashes.window(account, amount=v["Amt"], edi_date=v["EdiDate"]),
    "b": lambda account, v: hashes.authentication(account, token=v["AuthToken"], amount=v["Amt"]),
    "c": lambda account, v: hashes.approval(
        account, token=v["AuthToken"], amount=v["Amt"], edi_date=v["EdiDate"]
    ),
    "d": lambda account, v: hashes.answer(account, reference=v["TID"], amount=v["Amt"]),
    "e": lambda account, v: hashes.cancel(account, amount=v["CancelAmt"], edi_date=v["EdiDate"]),
    "f": lambda account, v: hashes.answer(account, reference=v["TID"], amount=v["CancelAmt"]),
    "g": lambda account, v: hashes.inquiry(account, reference=v["TID"], edi_date=v["EdiDate"]),
}


@pytest.mark.parametrize("vector", VECTORS, ids=[vector["id"] for vector in VECTORS])
def test_every_hash_vector_is_reproduced(vector):
    inputs = vector["inputs"]
    account = Account(1, "nicepay", inputs["MID"], inputs["MerchantKey"])
    assert vector["expected"] == FORMULAS[vector["formula"]](account, inputs)


def test_the_vectors_are_all_there():
    assert 27 == len(VECTORS)
    assert set("abcdefg") == {vector["formula"] for vector in VECTORS}


@pytest.mark.parametrize("vector", [v for v in VECTORS if v["use"] == "negative"], ids=lambda v: v["id"])
def test_a_signature_over_the_unpadded_amount_is_no_approval(vector):
    inputs = vector["inputs"]
    answer = APPROVAL | {
        "TID": inputs["TID"],
        "Amt": inputs["Amt"].zfill(12),
        "Signature": vector["expected"],
    }
    outcome = answers.read_approval(REAL, answer, reference=inputs["TID"], order_number=MOID)
    assert isinstance(outcome, Unanswered)
    assert outcome.alarm


# What we say


def test_the_window_sends_the_documents_body_and_returnurl_at_the_end():
    form = messages.window(
        SIMULATED,
        order_number=MOID,
        amount=1000,
        description="Test sale",
        return_url="https://pay.example/return/nicepay/abc",
        bridge_url="https://pay.example/bridge",
        at=SOON,
    )
    assert ("http://127.0.0.1:9100/v3/v3Payment.jsp", "POST") == (form.url, form.method)
    assert [
        ("MID", "nicepay00m"),
        ("EdiDate", "20201211174138"),
        ("Moid", MOID),
        ("CharSet", "utf-8"),
        ("Amt", "1000"),
        ("GoodsName", "Test sale"),
        ("DirectShowOpt", "CARD"),
        ("NicepayReserved", "DirectPayco=Y"),
        ("PayMethod", "CARD"),
        ("ReturnUrl", "https://pay.example/return/nicepay/abc"),
        ("NpDirectYn", "Y"),
        ("NpDirectLayer", "Y"),
        ("NpSvcType", "WEBSTD"),
        ("SignData", "8cdd2c23e2b778686d19f3e8358b77ed0a543be3ac2dbe9da265db56672ee35b"),
        ("ReturnURL", "https://pay.example/return/nicepay/abc"),
    ] == list(form.body.items())


def a_window(account: Account = REAL) -> Form:
    return messages.window(
        account,
        order_number=MOID,
        amount=1100,
        description="Test sale",
        return_url="https://pay.example/r",
        bridge_url="https://pay.example/bridge",
        at=SOON,
    )


def test_the_real_nicepay_is_reached_over_the_bridge_page():
    assert "https://pay.example/bridge" == a_window().url


@pytest.mark.parametrize("changed", [{}, {"MID": "x"}, {"Moid": "1234W92"}, {"Amt": "1"}, {"SignData": ""}])
def test_the_bridge_knows_its_own_form(changed):
    form = dict(a_window().body) | changed
    assert (changed == {}) == messages.is_own_window(REAL, form, order_number=MOID, amount=1100)


def test_a_taxable_account_states_the_vat_on_payments_and_cancels():
    taxed = replace(REAL, settings={"tax": True})
    parts = {"SupplyAmt": "1000", "GoodsVat": "100", "ServiceAmt": "0", "TaxFreeAmt": "0"}
    assert parts.items() <= a_window(taxed).body.items()
    assert parts.items() <= a_cancel(taxed, amount=1100).items()
    assert "GoodsVat" not in a_window().body


@pytest.mark.parametrize(
    "description, title",
    [
        ("Test sale", "Test sale"),
        ('50% off & "more" | a-b [x] $1 + 2 = 3;', "50 off more ab x 1 2 3"),
        ("테스트 주문", "Order 1234W91"),
        ("", "Order 1234W91"),
        (" 주문 no 7 ", "no 7"),
        ("x" * 39 + " yz", "x" * 39),
        ("a\x00\nb\u202e", "ab"),
    ],
)
def test_the_title_is_what_the_window_can_show(description, title):
    assert title == messages.goods_name(description, MOID)


@given(st.text(), st.integers(1, 10**10), st.integers(1, 2**53))
def test_the_title_is_short_ascii_and_never_empty(description, project_id, operation_id):
    title = messages.goods_name(description, messages.order_number(REAL, project_id, operation_id))
    assert title.isascii()
    assert 1 <= len(title) <= 40
    assert not set('%&|$-+=[]";') & set(title)


@given(st.sampled_from(["", "kr1", "7"]), st.integers(1, 2**40), st.integers(1, 2**53))
def test_an_order_number_carries_project_and_operation(prefix, project_id, operation_id):
    account = replace(REAL, settings={"moid_prefix": prefix})
    number = messages.order_number(account, project_id, operation_id)
    assert (project_id, operation_id) == messages.owner_of(account, number)
    assert number.isascii()
    assert number.isalnum()
    assert len(number) <= 64


def test_a_further_window_of_a_sale_has_an_order_number_of_its_own():
    numbers = [messages.order_number(REAL, 1234, 91, window_no) for window_no in (1, 2, 11)]
    assert ["1234W91", "1234W91N2", "1234W91N11"] == numbers
    assert {(1234, 91)} == {messages.owner_of(REAL, number) for number in numbers}


@pytest.mark.parametrize(
    "foreign", ["", "2", "1234", "W91", "1234W", "01W2", "1W02", "1234W91R1", "1W2\n", "٣W٤"]
)
def test_an_order_number_of_another_shape_is_foreign(foreign):
    assert messages.owner_of(REAL, foreign) is None


def test_an_order_number_of_another_installation_is_foreign():
    assert messages.owner_of(replace(REAL, settings={"moid_prefix": "kr"}), MOID) is None


def test_the_approval_is_signed_and_asks_for_utf8_json():
    at = datetime(2020, 12, 11, 8, 42, 30, tzinfo=UTC)
    assert {
        "TID": TID,
        "AuthToken": TOKEN,
        "MID": "nicepay00m",
        "Amt": "1000",
        "EdiDate": "20201211174230",
        "SignData": "7cc6de35da83016bbf7e8e1b3b289ab6baf2d347999e3315c18cdda357af22b2",
        "CharSet": "utf-8",
        "EdiType": "JSON",
    } == messages.approval_request(REAL, AUTHENTICATED, amount=1000, at=at)


def test_the_net_cancel_is_signed_like_an_approval():
    at = datetime(2020, 12, 11, 8, 43, 5, tzinfo=UTC)
    fields = messages.net_cancel_request(REAL, AUTHENTICATED, amount=1000, at=at)
    assert "72f49ddb01b305768ef6e8f383471b7fa057f01c81d8527938fabadfb0b05e61" == fields["SignData"]
    assert "1" == fields["NetCancel"]


def a_cancel(account: Account = REAL, *, amount: int = 400, whole: bool = False) -> dict[str, str | bytes]:
    return messages.cancel_request(
        account,
        TID,
        order_number=MOID,
        cancel_number=1,
        amount=amount,
        whole=whole,
        reason="단순 변심",
        at=datetime(2020, 12, 12, 0, 5, tzinfo=UTC),
    )


def test_a_partial_cancel_names_the_original_tid_and_a_moid_of_its_own():
    assert {
        "TID": TID,
        "MID": "nicepay00m",
        "Moid": "1234W91R1",
        "CancelAmt": "400",
        "CancelMsg": "단순 변심".encode("euc-kr"),
        "PartialCancelCode": "1",
        "EdiDate": "20201212090500",
        "SignData": "6477792cc82f981b67941d79267cd289fe34622d2f52662b3e108048439fac61",
        "CharSet": "utf-8",
        "EdiType": "JSON",
    } == a_cancel()


def test_a_whole_cancel_says_so_and_may_carry_the_original_moid():
    original = replace(REAL, settings={"original_moid_on_cancel": True})
    fields = a_cancel(original, whole=True)
    assert ("0", MOID) == (fields["PartialCancelCode"], fields["Moid"])


@pytest.mark.parametrize(
    "reason, octets",
    [
        ("size", b"size"),
        ("", b"refund"),
        ("😀\x00", b"refund"),
        ("취소😀\n요청", "취소 요청".encode("euc-kr")),
        ("가" * 60, ("가" * 50).encode("euc-kr")),
        ("x" + "가" * 60, ("x" + "가" * 49).encode("euc-kr")),
    ],
)
def test_the_reason_of_a_cancel_is_euc_kr_and_never_cut_inside_a_syllable(reason, octets):
    assert octets == messages.cancel_message(reason)


def test_the_inquiry_is_signed():
    fields = messages.inquiry_request(REAL, TID, at=datetime(2020, 12, 12, 0, 10, tzinfo=UTC))
    assert "5e57487dd67b6189b96c64315d1b789d1cd363ccfad277384cd4feab9cf8c82b" == fields["SignData"]


# What comes in


@pytest.mark.parametrize("charset", ["utf-8", "euc-kr"])
def test_a_posted_form_is_read_in_either_charset(charset):
    body = urlencode(RETURN, encoding=charset).encode()
    assert RETURN == answers.read_form(body)


def test_the_first_of_two_equal_names_wins():
    assert {"Amt": "1000", "Moid": ""} == answers.read_form(b"Amt=1000&Amt=1&Moid=&&Moid=x")


def test_a_form_out_of_proportion_reads_as_empty():
    assert {} == answers.read_form(b"Amt=1000&Moid=" + b"x" * 65_536)
    assert {} == answers.read_form(b"&".join(b"a%d=1" % number for number in range(201)))


@given(st.binary(max_size=200))
def test_no_bytes_make_reading_fail(body):
    form = answers.read_form(body)
    assert not isinstance(read_return(form), Authenticated)
    assert answers.read_notice(form) is None
    assert isinstance(read_approval(answers.read_answer(body) or {}), Unanswered)


@pytest.mark.parametrize("charset", ["utf-8", "utf-8-sig", "euc-kr"])
def test_an_answer_is_read_in_either_charset(charset):
    body = b"\r\n" + json.dumps(APPROVAL, ensure_ascii=False).encode(charset)
    if charset != "utf-8-sig":
        assert APPROVAL == answers.read_answer(body)
    assert APPROVAL == answers.read_answer(body.strip())


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html><body>502 Bad Gateway</body></html>",
        b'{"ResultCode":"3001","Amt":',
        b'["3001"]',
        b'"3001"',
        b"null",
        b'{"ResultCode":3001}',
        b'{"ResultCode":"3001","CartData":null}',
        b'{"ResultCode":"3095","ResultCode":"3001"}',
        b'{"ResultCode":{"a":"3001"}}',
        b"\xff\xfe\xff",
        b"[" * 60_000,
        b"ResultCode=3001&Amt=000000001000",
    ],
)
def test_what_is_not_one_object_of_texts_cannot_be_read(body):
    assert answers.read_answer(body) is None


# The return (F8)


def test_a_genuine_return_authenticates():
    assert AUTHENTICATED == read_return(RETURN)


@pytest.mark.parametrize("host", ["dc1-api", "dc2-api", "pg-api", "webapi"])
def test_nicepays_current_and_older_hosts_are_called(host):
    base = f"https://{host}.nicepay.co.kr/webapi"
    form = RETURN | {
        "NextAppURL": f"{base}/pay_process.jsp",
        "NetCancelURL": f"{base}/cancel_process.jsp",
    }
    assert isinstance(read_return(form), Authenticated)


GOOD_URL = AUTHENTICATED.approve_url


@pytest.mark.parametrize("name", ["NextAppURL", "NetCancelURL"])
@pytest.mark.parametrize(
    "url",
    [
        "",
        GOOD_URL.replace("https:", "http:"),
        GOOD_URL.replace("nicepay.co.kr", "nicepay.co.kr.evil.example"),
        GOOD_URL.replace("dc1-api", "dc3-api"),
        GOOD_URL.replace("https://", "https://user@"),
        GOOD_URL.replace("https://", "https://evil.example@"),
        GOOD_URL.replace(".kr/", ".kr:8443/"),
        GOOD_URL.replace(".kr/", ".kr\\@evil.example/"),
        GOOD_URL + "?x=1",
        GOOD_URL + "#x",
        GOOD_URL + "\n",
        GOOD_URL.replace("/webapi/", "/webapi/../"),
        GOOD_URL.replace("pay_process", "other"),
        "https://169.254.169.254/webapi/pay_process.jsp",
        "http://127.0.0.1:9100/webapi/pay_process.jsp",
        "//dc1-api.nicepay.co.kr/webapi/pay_process.jsp",
    ],
)
def test_a_url_outside_the_list_is_declined_with_an_alarm_and_never_called(name, url):
    url = url.replace("pay_process", "cancel_process") if name == "NetCancelURL" else url
    result = read_return(RETURN | {name: url})
    assert isinstance(result, Declined)
    assert (20503, True) == (result.code, result.alarm)


def test_http_is_for_simulators_even_when_it_is_listed():
    listed = {"api_hosts": ["http://pg.internal"]}
    url = "http://pg.internal/webapi/pay_process.jsp"
    assert not accounts.settings_of(replace(REAL, settings=listed)).allows(url, accounts.APPROVAL_PATH)
    simulated = replace(REAL, settings=listed | {"simulator": True})
    assert accounts.settings_of(simulated).allows(url, accounts.APPROVAL_PATH)


def test_a_simulated_account_calls_its_simulator_and_nobody_else():
    base = "http://127.0.0.1:9100/webapi"
    local = RETURN | {"NextAppURL": f"{base}/pay_process.jsp", "NetCancelURL": f"{base}/cancel_process.jsp"}
    assert isinstance(read_return(local, SIMULATED), Authenticated)
    assert isinstance(read_return(RETURN, SIMULATED), Declined)


@settings(max_examples=300)
@given(st.sampled_from(sorted(RETURN)), st.text(max_size=40) | st.sampled_from(list(RETURN.values())))
def test_a_return_with_any_changed_field_never_authenticates_another_payment(name, value):
    result = read_return(RETURN | {name: value})
    if isinstance(result, Authenticated):
        unsigned = {"AuthResultMsg", "PayMethod", "ReqReserved", "TxTid"}
        assert value == RETURN[name] or name in unsigned or (name == "Amt" and int(value) == 1000)


@given(st.sampled_from(sorted(RETURN)))
def test_a_return_that_lacks_a_field_authenticates_only_without_the_unsigned_ones(name):
    result = read_return({field: value for field, value in RETURN.items() if field != name})
    assert isinstance(result, Authenticated) == (name in {"AuthResultMsg", "PayMethod", "ReqReserved"})


@pytest.mark.parametrize("name", ["AuthToken", "Signature", "Amt", "MID", "Moid"])
def test_a_return_that_does_not_fit_is_tampered(name):
    assert isinstance(read_return(RETURN | {name: RETURN[name] + "1"}), Tampered)


def test_the_return_of_another_payment_of_equal_amount_is_tampered():
    assert isinstance(read_return(RETURN, order_number="1234W92"), Tampered)


def test_the_return_of_another_amount_is_tampered_although_it_is_signed():
    assert isinstance(read_return(RETURN, amount=1001), Tampered)


def test_a_return_signed_with_another_merchants_key_is_tampered():
    assert isinstance(read_return(RETURN, replace(REAL, merchant_key="testkey")), Tampered)


def a_cancelled_return(code: str = "I009", **changed: str) -> dict[str, str]:
    names = ("AuthToken", "PayMethod", "MID", "Moid", "Amt", "ReqReserved", "Signature")
    form = {"AuthResultCode": code, "AuthResultMsg": "사용자 취소"} | {name: RETURN[name] for name in names}
    return form | changed


@pytest.mark.parametrize(
    "code, ours, alarm",
    [
        ("I009", 20301, False),
        ("9993", 20301, False),
        ("W111", 20602, False),
        ("0204", 20602, False),
        ("W007", 20503, True),
        ("V001", 20503, True),
        ("W005", 20702, True),
        ("W004", 20503, True),
        ("W090", 20101, False),
        ("I001", 20202, False),
        ("C002", 20000, False),
        ("53", 20000, False),
        ("A299", 20602, False),  # unclear after an approval; here none was asked for
    ],
)
def test_a_failed_authentication_is_declined_by_its_code(code, ours, alarm):
    assert Declined(ours, code, "사용자 취소", alarm) == read_return(a_cancelled_return(code))


def test_a_failure_of_another_payment_declines_nothing():
    assert isinstance(read_return(a_cancelled_return(Moid="1234W92")), Tampered)
    assert isinstance(read_return(a_cancelled_return(MID="another00m")), Tampered)


def test_a_failure_may_come_without_the_other_fields():
    assert isinstance(read_return({"AuthResultCode": "9999"}), Declined)


@pytest.mark.parametrize("code", ["", "000", "0000 ", "３００１", "0000\n", "x" * 5000])
def test_only_0000_authenticates(code):
    assert not isinstance(read_return(RETURN | {"AuthResultCode": code}), Authenticated)


# Approval


def test_an_approval_reports_amount_reference_and_what_paid_it():
    outcome = read_approval(APPROVAL)
    assert isinstance(outcome, Approved)
    assert (1000, TID) == (outcome.amount, outcome.reference)
    assert {
        "AuthCode": "30012345",
        "AuthDate": "201211174231",
        "CardCode": "39",
        "CardName": "PAYCO 포인트",
        "ClickpayCl": "15",
        "CcPartCl": "1",
        "MultiCl": "0",
        "ResultMsg": "카드 결제 성공",
    } == outcome.details


def test_an_approval_of_another_amount_says_which_because_money_has_moved():
    outcome = read_approval(resigned(APPROVAL, "Amt", Amt="000000000900"))
    assert isinstance(outcome, Approved)
    assert 900 == outcome.amount


def test_an_unpadded_amount_counts_when_it_is_signed_as_it_came():
    assert isinstance(read_approval(resigned(APPROVAL, "Amt", Amt="1000")), Approved)


@settings(max_examples=300)
@given(st.sampled_from(sorted(APPROVAL)), st.text(max_size=40) | st.sampled_from(list(APPROVAL.values())))
def test_an_approval_with_any_changed_field_is_never_another_approval(name, value):
    outcome = read_approval(APPROVAL | {name: value})
    if isinstance(outcome, Approved):
        assert value == APPROVAL[name] or name not in {"ResultCode", "Amt", "MID", "Moid", "TID", "Signature"}
        assert (1000, TID) == (outcome.amount, outcome.reference)


@pytest.mark.parametrize("name", ["Amt", "MID", "Moid", "TID", "Signature"])
@pytest.mark.parametrize("value", [None, "", "wrong"])
def test_an_approval_that_cannot_be_proven_is_unanswered_with_an_alarm(name, value):
    answer = {field: text for field, text in (APPROVAL | {name: value}).items() if text is not None}
    outcome = read_approval(answer)
    assert isinstance(outcome, Unanswered)
    assert ("3001", True) == (outcome.provider_code, outcome.alarm)


@pytest.mark.parametrize(
    "changed", [{"MID": "another00m"}, {"Moid": "1234W92"}, {"TID": TID[:-1] + "9"}, {"Amt": "1,000"}]
)
def test_a_signed_approval_of_something_else_is_unanswered(changed):
    outcome = read_approval(resigned(APPROVAL, "Amt", **changed))
    assert isinstance(outcome, Unanswered)
    assert outcome.alarm


@pytest.mark.parametrize(
    "code, ours, alarm",
    [
        ("3095", 20000, False),
        ("3041", 20101, False),
        ("3011", 20102, False),
        ("1523", 20202, False),
        ("A123", 20304, True),
        ("A211", 20503, True),
        ("1702", 20503, True),
        ("1705", 20000, False),  # behind the last of 1701-1704
        ("A109", 20503, True),
        ("A106", 20702, True),
        ("1499", 20702, True),
        ("A245", 20602, False),
        ("7777", 20000, False),
    ],
)
def test_a_refused_approval_is_declined_by_its_code_without_a_signature(code, ours, alarm):
    answer = {"ResultCode": code, "ResultMsg": "한도 초과\x00\u202e", "Signature": ""}
    assert Declined(ours, code, "한도 초과", alarm) == read_approval(answer)


UNCLEAR_SALES = ["1620", "A299", "A226", "A401", "1100", "1131", "X001", "X004", "9002"]
UNCLEAR_SALES += ["1610", "1621", "1682", "A225"]


@pytest.mark.parametrize("code", UNCLEAR_SALES)
def test_what_nicepay_does_not_know_is_never_a_decline(code):
    outcome = read_approval({"ResultCode": code, "ResultMsg": "지연"})
    assert isinstance(outcome, Unanswered)
    assert code == outcome.provider_code


@pytest.mark.parametrize("code", [None, "", "3001 ", "ok"])
def test_an_answer_without_a_result_code_is_unanswered(code):
    answer = APPROVAL | ({"ResultCode": code} if code is not None else {})
    if code is None:
        del answer["ResultCode"]
    assert isinstance(read_approval(answer), Unanswered)


def test_a_whole_card_number_is_masked_should_one_ever_come():
    outcome = read_approval(APPROVAL | {"CardNo": "5361123412341234"})
    assert isinstance(outcome, Approved)
    assert "536112****1234" == outcome.details["CardNo"]


# Net cancel, cancel, inquiry, notice


@pytest.mark.parametrize(
    "answer, undone",
    [
        (NET_CANCEL, Undone.CANCELLED),
        (NET_CANCEL | {"Signature": ""}, Undone.UNCLEAR),
        (NET_CANCEL | {"Signature": CANCEL["Signature"]}, Undone.UNCLEAR),
        (CANCEL, Undone.UNCLEAR),  # properly signed, but 400 of 1000
        (resigned(NET_CANCEL, "CancelAmt", TID=TID[:-1] + "9"), Undone.UNCLEAR),
        ({"ResultCode": "2012"}, Undone.NOTHING),
        ({"ResultCode": "2013"}, Undone.ALREADY),
        ({"ResultCode": "2015"}, Undone.ALREADY),
        ({"ResultCode": "2020"}, Undone.WINDOW_OVER),
        ({"ResultCode": "2002"}, Undone.UNCLEAR),
        ({"ResultCode": "A211"}, Undone.UNCLEAR),
        ({}, Undone.UNCLEAR),
    ],
)
def test_a_net_cancel_is_done_only_when_nicepay_proves_it(answer, undone):
    assert undone == read_net_cancel(answer)


def test_a_cancel_reports_what_went_back_and_its_own_tid():
    new_tid = "nicepay00m01102012120905010001"
    outcome = answers.read_cancel(REAL, resigned(CANCEL, "CancelAmt", TID=new_tid))
    assert isinstance(outcome, Approved)
    assert (400, new_tid) == (outcome.amount, outcome.reference)
    assert ("00012345", "20201212", "000000000600") == tuple(
        outcome.details[name] for name in ("CancelNum", "CancelDate", "RemainAmt")
    )


def test_a_refund_accepted_as_2211_is_a_success_too():
    assert isinstance(answers.read_cancel(REAL, CANCEL | {"ResultCode": "2211"}), Approved)


def test_an_unsigned_cancel_is_believed_only_where_the_account_says_so():
    unsigned = CANCEL | {"Signature": ""}
    tolerant = replace(REAL, settings={"accept_unsigned_cancels": True})
    refused = answers.read_cancel(REAL, unsigned)
    assert isinstance(refused, Unanswered)
    assert ("cancelled, but without a valid Signature", True) == (refused.reason, refused.alarm)
    assert isinstance(answers.read_cancel(tolerant, unsigned), Approved)
    assert isinstance(answers.read_cancel(tolerant, CANCEL | {"Signature": "0" * 64}), Unanswered)


@given(st.sampled_from(sorted(CANCEL)), st.text(max_size=30) | st.sampled_from(list(CANCEL.values())))
def test_a_cancel_with_any_changed_field_is_never_another_cancel(name, value):
    outcome = answers.read_cancel(REAL, CANCEL | {name: value})
    if isinstance(outcome, Approved):
        assert (400, TID) == (outcome.amount, outcome.reference)
        assert value in (CANCEL[name], "2211") or name not in {
            "ResultCode",
            "CancelAmt",
            "MID",
            "TID",
            "Signature",
        }


@pytest.mark.parametrize(
    "code, ours, alarm",
    [
        ("2011", 3283, True),
        ("2032", 3283, True),
        ("2010", 20502, False),
        ("2012", 20703, True),
        ("2016", 3610, False),
        ("2029", 3609, False),
        ("2051", 3609, False),
        ("2026", 20504, False),
        ("A211", 20503, True),
        ("2060", 20701, False),
        ("2003", 20000, False),
    ],
)
def test_a_refused_cancel_is_declined_by_its_code(code, ours, alarm):
    assert Declined(ours, code, "", alarm) == answers.read_cancel(REAL, {"ResultCode": code})


def test_already_cancelled_is_told_apart_from_other_refusals():
    outcome = answers.read_cancel(REAL, {"ResultCode": "2013"})
    assert Declined(20701, "2013", already_done=True) == outcome


@pytest.mark.parametrize("code", ["2002", "2212", "2015", "2056", "1620", "A299", "1101", "9002"])
def test_an_unclear_cancel_is_never_declined_and_only_2056_may_be_repeated(code):
    outcome = answers.read_cancel(REAL, {"ResultCode": code})
    assert isinstance(outcome, Unanswered)
    assert (code == "2056") == outcome.may_repeat
    assert "NICEPAY does not know" == outcome.reason


@pytest.mark.parametrize(
    "changed, standing",
    [
        ({}, Standing.APPROVED),
        ({"Status": "1"}, Standing.CANCELLED),
        ({"Status": "9"}, Standing.ABSENT),
        ({"Status": "2"}, Standing.UNCLEAR),
        ({"Status": ""}, Standing.UNCLEAR),
        ({"ResultCode": "A211"}, Standing.UNCLEAR),
        ({"TID": TID[:-1] + "9"}, Standing.UNCLEAR),
    ],
)
def test_an_inquiry_speaks_of_our_tid_or_says_nothing(changed, standing):
    answer = {"ResultCode": "0000", "TID": TID, "Status": "0"} | changed
    assert standing == answers.read_inquiry(answer, reference=TID)


NOTICE = {"PayMethod": "CARD", "MID": "nicepay00m", "TID": TID, "MOID": MOID, "Amt": "1000", "StateCd": "0"}


def test_a_notice_of_an_approval_and_one_of_a_cancel():
    assert Notice("nicepay00m", TID, MOID, 1000, cancelled=False) == answers.read_notice(NOTICE)
    cancelled = NOTICE | {"StateCd": "2", "CancelMOID": MOID + "R1", "name": "홍길동"}
    expected = Notice("nicepay00m", TID, MOID, 1000, cancelled=True, cancel_moid=MOID + "R1")
    assert expected == answers.read_notice(cancelled)


@pytest.mark.parametrize(
    "changed", [{"TID": ""}, {"MOID": ""}, {"Amt": "-1"}, {"StateCd": "3"}, {"TID": "a b"}]
)
def test_what_is_no_notice_is_none(changed):
    assert answers.read_notice(NOTICE | changed) is None


# Codes (E-42) and settings


def test_an_operator_may_rename_a_decline():
    table = codes.DEFAULT.overridden({"sale": {"3095": 20105}, "cancel": {"2014": 20706}})
    outcome = answers.read_approval(
        REAL, {"ResultCode": "3095"}, reference=TID, order_number=MOID, table=table
    )
    assert Declined(20105, "3095") == outcome
    assert 20706 == table.of_cancel("2014").code
    assert 20000 == codes.DEFAULT.of_sale("3095").code


@pytest.mark.parametrize(
    "changes",
    [
        {"sale": {"1620": 20000}},
        {"sale": {"3001": 20000}},
        {"cancel": {"2056": 20000}},
        {"cancel": {"2013": 0}},
        {"sale": {"3095": 0}},
        {"sale": {"3095": 29999}},
        {"sale": {"3095": 12345}},
        {"refund": {}},
    ],
)
def test_no_override_turns_money_that_may_have_moved_into_a_decline(changes):
    with pytest.raises(ValueError):
        codes.DEFAULT.overridden(changes)


def test_the_settings_made_for_an_account_are_sound():
    assert [] == accounts.problems(accounts.account_settings_for_nicepay())
    assert [] == accounts.problems(accounts.account_settings_for_simulator("http://simulator:9100"))
    assert accounts.Settings() == accounts.settings_of(REAL)


@pytest.mark.parametrize(
    "changed, word",
    [
        ({"windowurl": "x"}, "windowurl"),
        ({"tax": "yes"}, "tax"),
        ({"api_hosts": "dc1-api.nicepay.co.kr"}, "api_hosts"),
        ({"api_hosts": ["http://127.0.0.1:9100"]}, "https"),
        ({"cancel_url": "https://user@pg-api.nicepay.co.kr/x"}, "user@"),
        ({"moid_prefix": "kr-"}, "moid_prefix"),
        ({"notice_ips": ["121.133.126"]}, "121.133.126"),
        ({"read_s": 0}, "read_s"),
    ],
)
def test_a_wrong_setting_is_explained(changed, word):
    (problem,) = accounts.problems(changed)
    assert word in problem
