"""Gate messages in: what is refused at once (E-5), what makes a payment `error`, and what declines it (E-8)."""

import json
from contextlib import suppress
from copy import deepcopy
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.nouns import project

from wongate.domain import requests
from wongate.domain.refusal import Refused

SALE: dict[str, Any] = {
    "general": {"project_id": 1234, "payment_id": "ABC1234", "signature": "x"},
    "payment": {"amount": 1000, "currency": "KRW"},
    "customer": {"id": "customer1", "ip_address": "1.1.1.1"},
    "return_url": {"success": "http://example.url/success", "return": "http://example.url/return"},
}
REFUND: dict[str, Any] = {
    "general": {"project_id": 1625, "payment_id": "1234567", "signature": "x"},
    "payment": {"description": "refund", "amount": 1000, "currency": "KRW"},
}
GONE = object()
NOW = datetime(2020, 12, 10, 10, 44, 49, tzinfo=UTC)


def changed(body: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    """A copy with one member set, or taken away."""
    copy = deepcopy(body)
    *groups, name = path.split(".")
    place = copy
    for group in groups:
        place = place.setdefault(group, {})
    if value is GONE:
        place.pop(name, None)
    else:
        place[name] = value
    return copy


def sale(body: dict[str, Any], **settings: Any) -> requests.SaleRequest:
    return requests.sale(body, project(**settings), "payco", NOW)


def refusal_of(call: Any, *arguments: Any) -> tuple[int, int, str | None]:
    with pytest.raises(Refused) as caught:
        call(*arguments)
    return caught.value.code, caught.value.http_status, caught.value.field


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"not json",
        b"[1]",
        b'"text"',
        b"null",
        b"12",
        b'{"a":1,"a":2}',
        b'{"a":NaN}',
        b'{"a":Infinity}',
        b'{"a":"\\u0000"}',
        b'{"a":"\\ud800"}',
        b'{"a":"\xff"}',
        b"{'a': 1}",
        b'{"a":' + b"[" * 40 + b"]" * 40 + b"}",
        b'{"a":' + b"[" * 100_000,
        b'{"a":' + b"9" * 5000 + b"}",
    ],
)
def test_what_is_not_a_clean_json_object_is_refused_as_2003(raw: bytes) -> None:
    assert (2003, 422, None) == refusal_of(requests.parse, raw)


def test_escaped_emoji_and_korean_are_read() -> None:
    assert {"a": "\U0001f600 한글"} == requests.parse(json.dumps({"a": "\U0001f600 한글"}).encode())


@given(st.binary(max_size=200) | st.text(max_size=100).map(str.encode))
def test_parsing_answers_or_refuses_but_never_breaks(raw: bytes) -> None:
    refusals = []
    try:
        requests.parse(raw)
    except Refused as refused:
        refusals.append((refused.code, refused.http_status))
    assert refusals in ([], [(2003, 422)])


@pytest.mark.parametrize(
    "value", [0, -1, 4_294_967_296, "", "12a", "-5", "٣", 1.0, True, None, [], "99999999999"]
)
def test_a_project_id_that_is_no_number_is_a_project_nobody_knows(value: Any) -> None:
    assert (2442, 404, None) == refusal_of(requests.project_id_of, value)


def test_a_project_id_may_be_a_text_of_digits() -> None:
    assert (1234, 1234) == (requests.project_id_of("1234"), requests.project_id_of(1234))


@pytest.mark.parametrize(
    "value", ["", " a", "a ", "\ta", "a\n", "a\x0bb", "a\x7fb", "x" * 256, 12, None, ["a"]]
)
def test_a_malformed_payment_id_is_3024(value: Any) -> None:
    assert 3024 == refusal_of(requests.check_payment_id, value)[0]


@pytest.mark.parametrize("path", ["customer.ip_address", "payment.amount", "payment.currency"])
@pytest.mark.parametrize("value", [GONE, None])
def test_a_sale_without_a_mandatory_member_is_2004(path: str, value: Any) -> None:
    assert (2004, 400, path) == refusal_of(sale, changed(SALE, path, value))


def test_a_sale_without_customer_id_is_2154_unless_the_project_lets_it_through() -> None:
    body = changed(SALE, "customer.id", GONE)
    assert (2154, 400, "customer.id") == refusal_of(sale, body)
    assert "" == sale(body, customer_id_required=False).customer_id


@pytest.mark.parametrize(
    ("code", "path", "value"),
    [
        (502, "payment.amount", 0),
        (502, "payment.amount", -1000),
        (502, "payment.amount", 1000.0),
        (502, "payment.amount", 1000.5),
        (502, "payment.amount", "1000"),
        (502, "payment.amount", True),
        (502, "payment.amount", 10_000_000_000_001),
        (502, "payment.amount", [1000]),
        (3121, "payment.currency", "krw"),
        (3121, "payment.currency", "XXX"),
        (3121, "payment.currency", 410),
        (2124, "customer.id", ""),
        (2124, "customer.id", 12),
        (2124, "customer.id", "x" * 256),
        (502, "customer.ip_address", "1.1.1"),
        (502, "customer.ip_address", 1),
        (2426, "customer.email", "nobody"),
        (2426, "customer.email", "a@b"),
        (502, "customer.phone", "+82 10"),
        (2610, "customer.country", "Korea"),
        (2611, "customer.city", 5),
        (2609, "customer.day_of_birth", "31-02-1990"),
        (2609, "customer.day_of_birth", "1990-01-31"),
        (502, "payment.description", "x" * 256),
        (502, "payment.best_before", "tomorrow"),
        (502, "payment.best_before", "2020-12-10T10:44:49"),
        (502, "payment.best_before", (NOW - timedelta(seconds=1)).isoformat()),
        (502, "return_url.success", "javascript:alert(1)"),
        (502, "return_url.success", "//shop.example/x"),
        (502, "return_url.decline", "ftp://shop.example"),
        (502, "general.merchant_callback_url", "shop.example"),
        (502, "callback.delay", 601),
        (502, "callback.delay", "5"),
        (502, "callback.force_disable", "yes"),
        (502, "return_url", ["http://shop.example"]),
    ],
)
def test_wrong_request_data_makes_the_payment_an_error(code: int, path: str, value: Any) -> None:
    request = sale(changed(SALE, path, value))
    assert [(code, path)] == [(flaw.code, flaw.field) for flaw in request.flaws]
    assert request.refused_with is None


@pytest.mark.parametrize(
    ("code", "changes", "settings"),
    [
        (None, {}, {}),
        (3358, {"payment.amount": 99}, {}),
        (2642, {"payment.amount": 10_000_001}, {}),
        (3023, {"payment.currency": "USD"}, {}),
        (3119, {"payment.currency": "USD"}, {"currencies": ("KRW", "USD")}),
        (310, {}, {"methods": ()}),
        (3299, {}, {"blocked": True}),
    ],
)
def test_sound_data_that_a_rule_refuses_declines_the_sale(
    code: int | None, changes: dict[str, Any], settings: dict[str, Any]
) -> None:
    body = SALE
    for path, value in changes.items():
        body = changed(body, path, value)
    request = sale(body, **settings)
    assert (code, ()) == (request.refused_with, request.flaws)


def test_a_sound_sale_is_read_whole_and_kept_without_its_signature() -> None:
    later = NOW + timedelta(hours=1)
    body = changed(changed(SALE, "payment.best_before", later.isoformat()), "callback.delay", 30)
    body["interface_type"] = {"id": 18}
    request = sale(body)
    assert ("ABC1234", 1000, "KRW", "customer1") == (
        request.payment_id,
        request.amount,
        request.currency,
        request.customer_id,
    )
    assert (later, 30) == (request.best_before, request.callback_delay_s)
    assert {"project_id": 1234, "payment_id": "ABC1234"} == request.kept["general"]
    assert {"id": 18} == request.kept["interface_type"]


def test_best_before_is_read_with_each_documented_offset() -> None:
    moment = datetime(2020, 12, 10, 12, 0, tzinfo=UTC)
    for text in ("2020-12-10T21:00:00+09", "2020-12-10T21:00:00+09:00", "2020-12-10T21:00:00+0900"):
        assert moment == sale(changed(SALE, "payment.best_before", text)).best_before


@pytest.mark.parametrize(
    ("code", "path", "value"),
    [
        (2004, "payment.description", GONE),
        (3286, "payment.amount", GONE),
        (3287, "payment.currency", GONE),
        (502, "payment.amount", 0),
        (502, "payment.amount", -1),
        (502, "payment.amount", -9_223_372_036_854_775_808),
        (502, "payment.amount", 1.5),
        (502, "payment.amount", "1000"),
        (502, "payment.currency", "krw"),
        (502, "payment.description", 7),
        (502, "payment.merchant_refund_id", "x" * 256),
        (502, "callback.delay", -1),
    ],
)
def test_a_refund_whose_shape_is_wrong_is_refused_at_once(code: int, path: str, value: Any) -> None:
    assert code == refusal_of(requests.refund, changed(REFUND, path, value))[0]


def test_a_refund_may_name_neither_amount_nor_currency() -> None:
    body = changed(changed(REFUND, "payment.amount", GONE), "payment.currency", GONE)
    request = requests.refund(body)
    assert (None, None, "refund") == (request.amount, request.currency, request.description)


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=10,
)


@given(
    st.sampled_from(
        [
            "payment.amount",
            "payment",
            "customer",
            "general",
            "return_url.success",
            "callback",
            "payment.best_before",
        ]
    ),
    _json,
)
def test_whatever_a_member_holds_a_sale_is_read_or_refused(path: str, value: Any) -> None:
    with suppress(Refused):
        assert isinstance(sale(changed(SALE, path, value)), requests.SaleRequest)
