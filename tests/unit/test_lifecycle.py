"""The table of what may follow what: every combination, and what every walk through it must keep."""

from collections.abc import Iterator
from itertools import product

import pytest

from wongate.domain.ledger import Book, entry
from wongate.domain.lifecycle import FINAL, TABLE, Event, IllegalMove, Kind, Stage, Status, advance

Place = tuple[Status, Stage]
START: Place = (Status.PROCESSING, Stage.NEW)
EVERY = list(product(Kind, Status, Stage, Event))


def reachable(kind: Kind) -> dict[Place, set[Place]]:
    """Every place that a walk from the start can come to, with the places behind it."""
    found: dict[Place, set[Place]] = {}
    waiting = [START]
    while waiting:
        place = waiting.pop()
        if place in found:
            continue
        found[place] = {after for _, after in moves(kind, place)}
        waiting += found[place]
    return found


def moves(kind: Kind, place: Place) -> Iterator[tuple[Event, Place]]:
    for event in Event:
        try:
            yield event, advance(kind, *place, event)
        except IllegalMove:
            continue


def test_only_what_the_table_lists_advances():
    for kind, status, stage, event in EVERY:
        listed = TABLE.get((kind, stage, event))
        leaves_final = status in FINAL and listed is not None and listed[0] is not status
        if listed is None or leaves_final:
            with pytest.raises(IllegalMove):
                advance(kind, status, stage, event)
        else:
            assert listed == advance(kind, status, stage, event)


def test_a_final_status_is_never_left():
    for kind, status, stage, event in EVERY:
        if status in FINAL and TABLE.get((kind, stage, event)):
            try:
                assert status is advance(kind, status, stage, event)[0]
            except IllegalMove:
                continue


@pytest.mark.parametrize("kind", Kind)
def test_every_line_of_the_table_can_be_walked(kind: Kind):
    stages = {stage for _, stage in reachable(kind)}
    assert [] == [line for line in TABLE if line[0] is kind and line[1] not in stages]


@pytest.mark.parametrize("kind", Kind)
def test_from_everywhere_there_is_a_way_to_the_end(kind: Kind):
    """Nothing can get stuck: each place leads on until it is final and done."""
    ways = reachable(kind)
    ends = {place for place in ways if place[0] in FINAL and place[1] is Stage.DONE}
    for _ in ways:
        ends |= {place for place, after in ways.items() if after & ends}
    assert set(ways) == ends


def test_merchants_see_the_documented_statuses_only():
    """Section 3.4, written down once more: which status of a sale or a refund may follow which."""
    seen = {
        kind: {
            (before[0].value, after[0].value)
            for before, all_after in reachable(kind).items()
            for after in all_after
            if before[0] is not after[0]
        }
        for kind in Kind
    }
    assert {
        Kind.SALE: {
            ("processing", "awaiting redirect result"),
            ("processing", "decline"),
            ("awaiting redirect result", "success"),
            ("awaiting redirect result", "decline"),
        },
        Kind.REFUND: {("processing", "success"), ("processing", "decline")},
    } == seen


def test_an_approval_is_intended_once_in_the_life_of_a_sale():
    """No walk comes back to the stage in which an approval may be sent (I2)."""
    ways = reachable(Kind.SALE)
    approving = next(place for place in ways if place[1] is Stage.APPROVING)
    behind = set(ways[approving])
    for _ in ways:
        behind |= {after for place in behind for after in ways[place]}
    assert approving not in behind


def test_once_a_net_cancel_was_sent_a_sale_can_no_longer_succeed():
    ways = reachable(Kind.SALE)
    behind = {place for place in ways if place[1] in (Stage.UNDOING, Stage.RETURNING, Stage.CHECKING)}
    for _ in ways:
        behind |= {after for place in behind for after in ways[place]}
    assert Status.SUCCESS not in {status for status, _ in behind}


def test_what_cannot_be_says_what_it_was():
    with pytest.raises(IllegalMove, match="a refund that is done cannot be approved"):
        advance(Kind.REFUND, Status.SUCCESS, Stage.DONE, Event.APPROVED)


# --- the ledger along every walk ---


def walks(kind: Kind) -> Iterator[list[tuple[Stage, Event, Place]]]:
    """Every walk from the start that enters no place more than twice."""
    pending: list[tuple[Place, list[tuple[Stage, Event, Place]]]] = [(START, [])]
    while pending:
        place, walked = pending.pop()
        if walked:
            yield walked
        for event, after in moves(kind, place):
            if [step[2] for step in walked].count(after) < 2:
                pending.append((after, [*walked, (place[1], event, after)]))


def held(kind: Kind, walked: list[tuple[Stage, Event, Place]]) -> dict[Book, int]:
    books = dict.fromkeys(Book, 0)
    for stage, event, _ in walked:
        moved = entry(kind, stage, event, 1000)
        if moved:
            books[moved.debit] -= moved.amount
            books[moved.credit] += moved.amount
    return books


@pytest.mark.parametrize("kind", Kind)
def test_the_ledger_sums_to_zero_along_every_walk(kind: Kind):
    assert all(0 == sum(held(kind, walked).values()) for walked in walks(kind))


def test_money_of_a_sale_is_where_its_stage_says_along_every_walk():
    """With the merchant after a success, with the provider while that is not certain, else with the payer (I6)."""
    unsure = {Stage.APPROVING, Stage.UNDOING, Stage.CHECKING, Stage.RETURNING}
    for walked in walks(Kind.SALE):
        status, stage = walked[-1][2]
        expected = {Book.MERCHANT: 1000 * (status is Status.SUCCESS), Book.PROVIDER: 1000 * (stage in unsure)}
        books = held(Kind.SALE, walked)
        assert expected == {book: books[book] for book in expected}, walked


def test_money_of_a_refund_is_in_reserve_until_it_is_final_along_every_walk():
    for walked in walks(Kind.REFUND):
        status, _ = walked[-1][2]
        books = held(Kind.REFUND, walked)
        assert 1000 * (status is Status.PROCESSING) == books[Book.RESERVE], walked
        assert 1000 * (status is Status.SUCCESS) == books[Book.PAYER], walked
