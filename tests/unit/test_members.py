"""What a member of a request may hold: addresses, moments, and text that can be kept and signed."""

import json
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit import nouns

from wongate.domain import requests
from wongate.domain.members import is_web_url, read_moment
from wongate.domain.refusal import Refused

JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(codec=None), max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@given(value=JSON_VALUES)
@settings(max_examples=300)
def test_what_was_parsed_can_be_kept_and_signed(value: Any):
    """Every object that gets through is JSON again: finite numbers, whole characters, no NUL."""
    try:
        body = requests.parse(json.dumps({"a": value}).encode())
    except Refused:
        return
    kept = json.dumps(body, ensure_ascii=False, allow_nan=False).encode("utf-8")
    assert b"\\u0000" not in kept


def test_depth_is_bounded():
    assert requests.parse(b'{"a":' * 32 + b"1" + b"}" * 32)
    with pytest.raises(Refused):
        requests.parse(b'{"a":' * 33 + b"1" + b"}" * 33)


@pytest.mark.parametrize(
    "url",
    [
        "http://a",
        "https://shop.example/ok?o=7&x=1#y",
        "http://127.0.0.1:8082/cb",
        "https://[::1]/",
        "https://한글.kr/주문",
    ],
)
def test_web_addresses(url: str):
    assert is_web_url(url)


@pytest.mark.parametrize(
    "url",
    [
        *("", "shop.example", "//shop.example/", "http://", "http:///x", "ftp://a", "javascript:alert(1)"),
        *("data:text/html,x", "http://a b", "http://a\n", "http://a:0/", "http://a:65536/", "http://a:x/"),
        *("http://[::1", "https://" + "a" * 254, "http://a/" + "x" * 2048),
        *(None, 5, True, [], {}, b"http://a"),
    ],
    ids=lambda url: repr(url)[:20],
)
def test_what_is_no_web_address(url: Any):
    assert not is_web_url(url)


@pytest.mark.parametrize("offset", ["+09:00", "+0900", "+09"])
def test_moments_come_out_in_utc(offset: str):
    moment = read_moment(f"2020-12-15T20:13:54{offset}")
    assert nouns.AT == moment
    assert moment is not None
    assert timedelta(0) == moment.utcoffset()


@pytest.mark.parametrize(
    "text",
    ["", "2020-12-15T20:13:54", "tomorrow", "2020-13-01T00:00:00Z", None, 5, [], "9999-12-31T23:59:59-14:00"],
)
def test_what_is_no_moment(text: Any):
    assert read_moment(text) is None
