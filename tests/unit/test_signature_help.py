"""Every usual mistake is made here by hand, with hashes of its own, and must be named."""

import base64
import copy
import hashlib
import hmac
import json
from collections.abc import Callable
from typing import Any
from urllib.parse import quote_plus

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wongate.domain import signature_help
from wongate.domain.signature import Order, canonical, digest
from wongate.domain.signature_help import REASONS, explain

SECRET = "c2VjcmV0LW9mLXNob3A="
SALE: dict[str, Any] = {
    "general": {"project_id": 1234, "payment_id": "order-7", "rate": 1e-05, "signature": "x"},
    "customer": {
        "id": "cust-1",
        "ip_address": "203.0.113.9",
        "vip": True,
        "phone": None,
        "frame_mode": "popup",
    },
    "payment": {"amount": 1000, "currency": "KRW", "description": " Tea & <milk> é\n"},
    "receipt_data": {"positions": [{"quantity": "10", "tax": {"rate": "5"}}]},
    "return_url": {"success": "https://shop.example/ok?o=7&x=1%20"},
}


def raw(text: str, secret: str | bytes = SECRET, algorithm: str = "sha512") -> bytes:
    key = secret if isinstance(secret, bytes) else secret.encode()
    return hmac.new(key, text.encode(), algorithm).digest()


def hashed(text: str, secret: str | bytes = SECRET, algorithm: str = "sha512") -> str:
    return base64.b64encode(raw(text, secret, algorithm)).decode()


TEXT = canonical(SALE)
RIGHT = hashed(TEXT)


def changed(change: Callable[[dict[str, Any]], Any]) -> str:
    """The signature of the sale after somebody changed it before signing."""
    message = copy.deepcopy(SALE)
    change(message)
    return hashed(canonical(message))


def put(*path: Any, value: Any) -> Callable[[dict[str, Any]], None]:
    def change(message: dict[str, Any]) -> None:
        node: Any = message
        for key in path[:-1]:
            node = node[key]
        node[path[-1]] = value

    return change


DESCRIPTION = ("payment", "description")
URL = ("return_url", "success")
IN_THE_ORDER_OF_THE_MESSAGE = (
    "general:project_id:1234;general:payment_id:order-7;general:rate:1.0E-5;"
    "customer:id:cust-1;customer:ip_address:203.0.113.9;customer:vip:1;customer:phone:;"
    "payment:amount:1000;payment:currency:KRW;payment:description: Tea & <milk> é\n;"
    "receipt_data:positions:0:quantity:10;receipt_data:positions:0:tax:rate:5;"
    "return_url:success:https://shop.example/ok?o=7&x=1%20"
)
UNSIGNED_SALE = {**SALE, "general": {"project_id": 1234, "payment_id": "order-7", "rate": 1e-05}}
MISTAKES: list[tuple[str, str, str]] = [
    ("surrounded", "", RIGHT + "\n"),
    ("surrounded", "", " " + RIGHT),
    ("url_encoded", "", RIGHT.replace("+", "%2B").replace("/", "%2F").replace("=", "%3D")),
    ("quoted", "", f'"{RIGHT}"'),
    ("url_safe", "", RIGHT.replace("+", "-").replace("/", "_")),
    ("unpadded", "", RIGHT.rstrip("=")),
    ("hexadecimal", "", raw(TEXT).hex()),
    ("hexadecimal_in_base64", "", base64.b64encode(raw(TEXT).hex().encode()).decode()),
    ("algorithm", "HMAC-SHA256", hashed(TEXT, algorithm="sha256")),
    ("algorithm", "HMAC-SHA256", raw(TEXT, algorithm="sha256").hex()),
    ("algorithm", "a plain SHA-512", hashlib.sha512((TEXT + SECRET).encode()).hexdigest()),
    ("secret_surrounded", "", hashed(TEXT, SECRET + "\n")),
    ("secret_surrounded", "", hashed(TEXT, " " + SECRET)),
    ("secret_quoted", "", hashed(TEXT, f'"{SECRET}"')),
    ("secret_decoded", "Base64", hashed(TEXT, base64.b64decode(SECRET))),
    ("unsorted", "", hashed(IN_THE_ORDER_OF_THE_MESSAGE)),
    ("semicolon_at_end", "", hashed(TEXT + ";")),
    ("newline_at_end", "", hashed(TEXT + "\n")),
    ("json_signed", "", hashed(json.dumps(SALE))),
    ("json_signed", "", hashed(json.dumps(UNSIGNED_SALE, ensure_ascii=False, separators=(",", ":")))),
    ("lost_boolean_keys", "", hashed(TEXT.replace("customer:vip:1", "1"))),
    ("frame_mode_signed", "", hashed(TEXT.replace("customer:id", "customer:frame_mode:popup;customer:id"))),
    ("depth", "all of them", changed(put("receipt_data", "positions", 0, value=""))),
    ("boolean_words", "all of them", changed(put("customer", "vip", value="true"))),
    ("boolean_words", "all of them", changed(put("customer", "vip", value="True"))),
    ("null_words", "all of them", changed(put("customer", "phone", value="None"))),
    ("null_words", "all of them", changed(put("customer", "phone", value="null"))),
    ("decimals", "payment.amount", changed(put("payment", "amount", value="1000.00"))),
    ("minor_units", "payment.amount", changed(put("payment", "amount", value="10.00"))),
    ("minor_units", "payment.amount", changed(put("payment", "amount", value=100_000))),
    ("number_format", "all of them", changed(put("general", "rate", value="1e-05"))),
    ("number_format", "all of them", changed(put("general", "rate", value="0.00001"))),
    ("trimmed", "all of them", changed(put(*DESCRIPTION, value="Tea & <milk> é"))),
    ("html_escaped", "payment.description", changed(put(*DESCRIPTION, value=" Tea &amp; &lt;milk&gt; é\n"))),
    ("json_escaped", "all of them", changed(put(*DESCRIPTION, value=" Tea & <milk> \\u00e9\\n"))),
    ("json_escaped", "all of them", changed(put(*URL, value="https:\\/\\/shop.example\\/ok?o=7&x=1%20"))),
    ("value_url_decoded", "all of them", changed(put(*URL, value="https://shop.example/ok?o=7&x=1 "))),
    (
        "value_url_encoded",
        "return_url.success",
        changed(put(*URL, value=quote_plus(SALE["return_url"]["success"]))),
    ),
    ("normalised", "all of them", changed(put(*DESCRIPTION, value=" Tea & <milk> e\u0301\n"))),
    ("line_breaks", "all of them", changed(put(*DESCRIPTION, value=" Tea & <milk> é\r\n"))),
    ("lower_case", "payment.currency", changed(put("payment", "currency", value="krw"))),
    ("emptied", "customer.id", changed(put("customer", "id", value=""))),
    ("not_signed", "payment.description", changed(lambda message: message["payment"].pop("description"))),
    ("not_signed", "return_url", changed(lambda message: message.pop("return_url"))),
    ("length", "3", "abc"),
    ("unknown", "", hashed(TEXT, "another secret")),
    ("unknown", "", hashed("another message")),
]


@pytest.mark.parametrize("reason, detail, signature", MISTAKES)
def test_a_usual_mistake_is_named(reason: str, detail: str, signature: str):
    explanation = explain(SALE, SECRET, signature)
    assert (reason, detail) == (explanation.reason, explanation.detail)
    assert not explanation.accepted
    assert (TEXT, RIGHT) == (explanation.canonical, explanation.signature)


def test_a_lost_plus_is_named():
    message = next(m for m in ({"a": number} for number in range(1000)) if "+" in hashed(canonical(m)))
    assert "plus_lost" == explain(message, SECRET, hashed(canonical(message)).replace("+", " ")).reason


def test_every_reason_but_the_good_ones_is_made_above():
    named = {reason for reason, _, _ in MISTAKES}
    assert {"matches", "other_order", "missing", "plus_lost"} == REASONS.keys() - named


def test_a_right_signature_is_called_right():
    explanation = explain(SALE, SECRET, RIGHT)
    assert ("matches", True) == (explanation.reason, explanation.accepted)
    assert "given" in str(explanation)


@pytest.mark.parametrize("order", [Order.TEXT, Order.LINES, Order.LEVELS])
def test_an_accepted_order_is_named(order: Order):
    message = {"a": {"b": 1}, "a1": 2, "l": list(range(12)), "x": 1, "x10": 2, "x9": 3}
    explanation = explain(message, SECRET, hashed(canonical(message, order=order)))
    assert ("other_order", order.value) == (explanation.reason, explanation.detail)
    assert explanation.accepted


def test_a_colon_that_was_not_doubled_is_accepted_and_named():
    explanation = explain({"a:b": 1}, SECRET, hashed("a:b:1"))
    assert explanation.accepted
    assert "colon" in explanation.sentence


def test_without_a_given_signature_only_text_and_signature_are_shown():
    explanation = explain(SALE, SECRET)
    assert "missing" == explanation.reason
    assert f"string to sign  {TEXT}\nsignature       {RIGHT}" == str(explanation)


def test_the_secret_is_not_in_the_explanation():
    for _, _, signature in MISTAKES:
        assert SECRET not in str(explain(SALE, SECRET, signature))


def test_a_large_message_is_not_tried_member_by_member(monkeypatch: pytest.MonkeyPatch):
    """That would be ten thousands of texts as long as the message."""
    tried: list[str] = []

    def noted(text: str, secret: str) -> bytes:
        tried.append(text)
        return digest(text, secret)

    monkeypatch.setattr(signature_help, "digest", noted)
    message = {f"member{number}": f"value {number}" for number in range(300)}
    assert "unknown" == explain(message, SECRET, RIGHT).reason
    assert 30 < len(tried) < 300


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(codec=None), max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=40, deadline=None)
@given(st.dictionaries(st.text(max_size=4), JSON_VALUES, max_size=4), st.text(min_size=1), st.text())
def test_no_message_secret_or_signature_makes_it_fail(message: dict[str, Any], secret: str, signature: str):
    assert explain(message, secret, signature).sentence
