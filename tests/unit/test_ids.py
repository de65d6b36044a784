"""Numbers for rows: exact in JavaScript, ordered by time, unique over processes."""

import pytest

from wongate.connections.ids import EPOCH_MS, NODES, Ids, LeaseLost, made_at_ms


def test_numbers_grow_also_within_a_millisecond_and_over_a_clock_that_steps_back() -> None:
    times = iter([5000] * 200 + [4000] * 200 + [6000])
    ids = Ids(3, time_ms=lambda: EPOCH_MS + next(times))
    numbers = [ids.next() for _ in range(401)]
    assert sorted(set(numbers)) == numbers


def test_nodes_never_make_the_same_number() -> None:
    made = [[Ids(node, time_ms=lambda: EPOCH_MS + 1).next() for _ in range(1)] for node in range(NODES)]
    assert NODES == len({number for numbers in made for number in numbers})


def test_numbers_stay_below_two_to_the_fifty_third_for_decades_and_tell_their_time() -> None:
    in_2090 = EPOCH_MS + 66 * 365 * 86_400_000
    number = Ids(NODES - 1, time_ms=lambda: in_2090).next()
    assert number < 2**53
    assert in_2090 == made_at_ms(number)


def test_a_process_whose_lease_has_ended_makes_no_number() -> None:
    now = 10.0
    ids = Ids(0, monotonic=lambda: now, valid_until=20.0)
    ids.next()
    now = 20.0
    with pytest.raises(LeaseLost):
        ids.next()
