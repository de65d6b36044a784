"""Which differences between our books and the provider's there are, and in which bucket each belongs."""

import pytest

from wongate.domain.comparison import (
    TOGETHER_MAX,
    Bucket,
    Ours,
    Theirs,
    carried_out,
    differences,
    left_in_list,
    newer_than_list,
)


def ours(amount: int, *, open: bool = False, reference: str = "T1", before: int | None = None) -> Ours:
    return Ours(1001, reference, "1001W7", amount, open, amount if before is None else before)


def theirs(amount: int | None, *, approved: bool = False, word: str = "") -> dict[str, Theirs]:
    return {"T1": Theirs("T1", "1001W7", amount, word, approved)}


@pytest.mark.parametrize(
    "sale, told",
    [
        (ours(1000), theirs(1000)),
        (ours(0), theirs(0)),
        (ours(0), {}),
        (ours(600), theirs(None, approved=True)),
    ],
    ids=["same amount", "nothing left", "nothing left and not listed", "some left and approved"],
)
def test_books_that_agree_have_no_difference(sale: Ours, told: dict[str, Theirs]):
    assert [] == differences([sale], told)


@pytest.mark.parametrize(
    "sale, told, bucket, text",
    [
        (ours(1000), {}, Bucket.ONLY_OURS, "ours 1,000 won, theirs not known"),
        (ours(1000), theirs(400), Bucket.DIFFERENT, "ours 1,000 won, theirs 400 won"),
        (ours(0), theirs(400), Bucket.DIFFERENT, "ours 0 won, theirs 400 won"),
        (ours(1000), theirs(0), Bucket.DIFFERENT, "ours 1,000 won, theirs 0 won"),
        (
            ours(0),
            theirs(None, approved=True, word="approved"),
            Bucket.DIFFERENT,
            "ours 0 won, theirs approved",
        ),
        (
            ours(1000),
            theirs(None, word="without an answer"),
            Bucket.DIFFERENT,
            "ours 1,000 won, theirs without an answer",
        ),
        (ours(0, open=True), theirs(1000), Bucket.UNRESOLVED, "ours 0 won, theirs 1,000 won"),
        (ours(1000, open=True), {}, Bucket.UNRESOLVED, "ours 1,000 won, theirs not known"),
    ],
)
def test_a_difference_has_its_bucket_and_says_both_sides(
    sale: Ours, told: dict[str, Theirs], bucket: Bucket, text: str
):
    (found,) = differences([sale], told)
    assert (bucket, text, 1001, "T1") == (found.bucket, found.text, found.project_id, found.reference)


@pytest.mark.parametrize(
    "sale, told, newer",
    [
        (ours(1000, before=0), {}, 1),
        (ours(600, before=1000), theirs(1000), 1),
        (ours(600, before=1000), theirs(600), 0),
        (ours(1000, before=0), theirs(1000), 0),
        (ours(600, before=600), theirs(600), 0),
    ],
    ids=[
        "made since",
        "given back since",
        "the list has it already",
        "the list has the sale already",
        "as ever",
    ],
)
def test_what_was_done_since_the_list_ended_is_counted_and_no_difference(
    sale: Ours, told: dict[str, Theirs], newer: int
):
    assert ([], newer) == (differences([sale], told), newer_than_list([sale], told))


@pytest.mark.parametrize("told", [theirs(900), theirs(0), {}], ids=["other money", "no money", "not listed"])
def test_what_fits_neither_then_nor_now_is_a_difference(told: dict[str, Theirs]):
    sale = ours(600, before=1000)
    assert (1, 0) == (len(differences([sale], told)), newer_than_list([sale], told))


def test_what_only_the_provider_knows_is_listed_without_a_project():
    (found,) = differences([], theirs(1000))
    assert (Bucket.ONLY_THEIRS, 0, None, 1000) == (
        found.bucket,
        found.project_id,
        found.ours,
        found.theirs,
    )


def test_a_foreign_transaction_that_left_nothing_is_no_difference():
    assert [] == differences([], theirs(0))


def test_each_transaction_is_judged_on_its_own():
    found = differences([ours(1000), ours(50, reference="T2"), ours(0, reference="T3")], theirs(1000))
    assert [("T2", Bucket.ONLY_OURS)] == [(one.reference, one.bucket) for one in found]


@pytest.mark.parametrize(
    "amounts, gone, done",
    [
        ([300], 0, []),
        ([300], 300, [0]),
        ([300], 299, None),
        ([300], 600, None),
        ([300], -1, None),
        ([], 0, []),
        ([300, 200], 500, [0, 1]),
        ([300, 200], 200, [1]),
        ([300, 200], 0, []),
        ([300, 300], 0, []),
        ([300, 300], 300, [0]),
        ([300, 300], 600, [0, 1]),
        ([300, 200, 100], 300, None),
        ([300, 200, 100], 400, [0, 2]),
        ([200, 300, 200, 300], 500, [0, 1]),
        ([300, 300, 300], 600, [0, 1]),
        ([300, 300, 600], 600, None),
        ([300, 300, 200], 200, [2]),
    ],
)
def test_what_has_gone_back_fits_one_combination_of_amounts_or_tells_nothing(
    amounts: list[int], gone: int, done: list[int] | None
):
    expected = None if done is None else frozenset(done)
    assert expected == carried_out(dict(enumerate(amounts)), gone)


def test_of_equal_cancels_the_lowest_numbers_count_as_done_in_whatever_order_they_come():
    assert frozenset({7, 8}) == carried_out({9: 300, 7: 300, 8: 300}, 600)


def test_more_cancels_than_can_be_weighed_tell_nothing():
    many = {number: 2**number for number in range(TOGETHER_MAX + 1)}
    assert None is carried_out(many, 1)
    assert frozenset({0}) == carried_out({number: many[number] for number in range(TOGETHER_MAX)}, 1)


@pytest.mark.parametrize(
    "entries, left",
    [
        ([("T1", "1001W7", 700)], 700),
        ([("T1", "", 700)], 700),
        ([("T1", "1001W7", None)], None),
        ([], None),
        ([("T2", "1001W7", 700)], None),
        ([("T1", "shop7", 700)], None),
        ([("T1", "1001W7", 1000), ("T2", "1001W7", -300)], None),
        ([("T1", "1001W7", 1000), ("T2", "1001W7R8", -300)], None),
        ([("T1", "1001W7", 1000), ("T2", "1001W71", 500), ("T3", "shop7", 300)], 1000),
    ],
)
def test_a_list_tells_what_is_left_where_no_cancel_stands_apart(
    entries: list[tuple[str, str, int | None]], left: int | None
):
    listed = {reference: Theirs(reference, order, amount) for reference, order, amount in entries}
    assert left == left_in_list(listed, "T1", "1001W7")
