"""Which differences between our books and the provider's there are, and in which bucket each belongs."""

import pytest

from wongate.domain.comparison import Bucket, Ours, Theirs, differences


def ours(amount: int, *, open: bool = False, reference: str = "T1") -> Ours:
    return Ours(1001, reference, "1001W7", amount, open)


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
