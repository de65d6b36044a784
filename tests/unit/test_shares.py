"""A bounded whole that several share."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wongate.connections.shares import Overloaded, Shares


def take_all(shares: Shares[str], key: str) -> int:
    """How much a key gets that takes one after the other until it is turned away."""
    taken = 0
    while shares.room(key):
        shares.take(key)
        taken += 1
    return taken


def test_alone_a_key_gets_four_fifths() -> None:
    assert 800 == take_all(Shares(1000), "loud")


def test_a_second_greedy_key_gets_as_much_as_the_first_once_that_gives_back() -> None:
    shares: Shares[str] = Shares(1000)
    held = {"first": take_all(shares, "first"), "second": take_all(shares, "second")}
    for _ in range(1000):
        shares.give_back("first")
        held["first"] -= 1
        for key in ("first", "second"):
            if shares.room(key):
                shares.take(key)
                held[key] += 1
    assert (444, 444) == (held["first"], held["second"])


def test_who_is_turned_away_holds_no_more_than_before() -> None:
    shares: Shares[str] = Shares(10)
    with pytest.raises(Overloaded):
        shares.take("loud", 9)
    assert (10, 8) == (shares.free, shares.room("loud"))


def test_what_is_given_back_is_free_again() -> None:
    shares: Shares[str] = Shares(100)
    shares.take("a", 30)
    shares.take("b", 20)
    shares.give_back("a", 30)
    shares.give_back("b", 20)
    assert (100, 80) == (shares.free, shares.room("a"))


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(1, 300)), max_size=200))
def test_a_newcomer_always_finds_room(wishes: list[tuple[int, int]]) -> None:
    """Ten greedy keys, whatever each asks for: an eleventh gets something."""
    shares: Shares[str] = Shares(1000)
    for number, amount in wishes:
        if amount <= shares.room(f"greedy {number}"):
            shares.take(f"greedy {number}", amount)
    assert shares.room("newcomer") > 0
