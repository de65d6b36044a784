"""Form bodies of any bytes, and texts that survive the way out and in."""

from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wongate_simulator.forms import read_form, unescape_script, write_form

PIECES = st.sampled_from([b"&", b"=", b"%", b"%u", b"+", b"a", b"\xff", b"%C4%AB", b"%ec%b9%b4", b"\x00"])


@given(st.lists(PIECES, max_size=40).map(b"".join) | st.binary(max_size=200))
def test_no_bytes_break_the_reader(body: bytes) -> None:
    form = read_form(body)

    assert set(form.raw) == set(form.fields)


@given(
    st.lists(
        st.tuples(st.text(max_size=20), st.text(max_size=20)), max_size=6, unique_by=lambda pair: pair[0]
    )
)
def test_utf_8_fields_survive_the_way(pairs: list[tuple[str, str]]) -> None:
    named = [(name, value) for name, value in pairs if name]

    assert dict(named) == read_form(write_form(named, "utf-8")).fields


@given(st.text(st.characters(codec="cp949"), max_size=30).filter(lambda text: not text.isascii()))
def test_euc_kr_is_read_as_the_sender_wrote_it_or_was_valid_utf_8_by_chance(text: str) -> None:
    body = write_form([("GoodsName", text)], "euc-kr")
    form = read_form(body)

    assert text == form.as_euc_kr("GoodsName")
    if form.charset == "euc-kr":
        assert text == form.fields["GoodsName"]


def test_of_a_repeated_field_the_first_value_counts_and_it_is_reported() -> None:
    form = read_form(b"Amt=1000&Moid=1&Amt=1")

    assert ("1000", ["Amt"]) == (form.fields["Amt"], form.repeated)


@pytest.mark.parametrize(
    "escaped, text",
    [
        ("%uCEE4%uD53C", "커피"),
        ("a%20b%26c", "a b&c"),
        ("%uD83D%uDE00", "😀"),
        ("%", "%"),
        ("%u12", "%u12"),
        ("%zz%uzzzz", "%zz%uzzzz"),
        ("%uD83D", "\ufffd"),
        ("", ""),
    ],
)
def test_the_scripts_escape_is_undone(escaped: str, text: str) -> None:
    assert text == unescape_script(escaped)


@given(st.text(max_size=30))
def test_no_text_breaks_the_unescaping(text: str) -> None:
    unescape_script(text).encode()


@given(st.text(st.characters(max_codepoint=127, exclude_characters="%"), max_size=30))
def test_plain_text_is_left_as_it_is(text: str) -> None:
    assert unquote(text) == unescape_script(text)
