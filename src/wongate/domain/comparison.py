"""Our books beside the provider's, transaction by transaction: what only one side knows, and where the two differ.

What counts is the money that a transaction has left with the merchant: approved less cancelled, in won.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from itertools import combinations

TOGETHER_MAX = 12
"""Cancels of unknown outcome of one payment that are weighed together: 4,096 combinations."""


class Bucket(StrEnum):
    ONLY_OURS = "only ours"
    ONLY_THEIRS = "only theirs"
    DIFFERENT = "different"
    UNRESOLVED = "unresolved"  # differs, and is on our list of operations whose truth is not known (I3)


@dataclass(frozen=True, slots=True)
class Ours:
    """A sale that reached the provider. `open`: it or a refund of it is still unresolved or in work. `before`: what it had left
    when the provider's list ended; the same as `amount` where nothing was done since, or no such moment is known."""

    project_id: int
    reference: str
    order_number: str
    amount: int
    open: bool
    before: int


@dataclass(frozen=True, slots=True)
class Theirs:
    """A transaction as the provider tells it. `amount` None: the source does not say how much is left; `word` is what it says
    instead, and `approved` whether that means that some money is. `at`: its last movement, where the source says when."""

    reference: str
    order_number: str
    amount: int | None
    word: str = ""
    approved: bool = False
    at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Difference:
    bucket: Bucket
    project_id: int
    reference: str
    order_number: str
    ours: int | None
    theirs: int | None
    text: str


def differences(ours: Iterable[Ours], theirs: Mapping[str, Theirs]) -> list[Difference]:
    """Sorted into buckets; `theirs` by reference. Transactions in which no money is left on either side agree."""
    sales = {sale.reference: sale for sale in ours}
    found = [
        _difference(sale, theirs.get(reference))
        for reference, sale in sales.items()
        if not _agree(sale.amount, theirs.get(reference)) and not _agree(sale.before, theirs.get(reference))
    ]
    return found + [
        _difference(None, told)
        for told in theirs.values()
        if told.reference not in sales and told.amount != 0
    ]


def newer_than_list(ours: Iterable[Ours], theirs: Mapping[str, Theirs]) -> int:
    """How many sales agree only as they were when the list ended: made since, or given back since."""
    return sum(
        not _agree(sale.amount, theirs.get(sale.reference))
        and _agree(sale.before, theirs.get(sale.reference))
        for sale in ours
    )


def left_in_list(theirs: Mapping[str, Theirs], reference: str, order_number: str) -> int | None:
    """What the list leaves of a transaction, in won; None where it does not say so beyond doubt.

    A cancel has a TID of its own (N-14). One that is listed under it has not been taken off what stands under the payment's:
    an order number under several TIDs, or with a refund's number behind it (N-24), leaves the payment's amount in doubt.
    """
    told = theirs.get(reference)
    if told is None or told.order_number not in ("", order_number):
        return None
    for other in theirs.values():
        same_order = other.order_number == order_number or other.order_number.startswith(f"{order_number}R")
        if same_order and other.reference != reference:
            return None
    return told.amount


def carried_out(amounts: Mapping[int, int], gone: int) -> frozenset[int] | None:
    """Which cancels of unknown outcome (their numbers, and won) were done when `gone` won went back beside the known ones.

    Of equal amounts the lowest numbers count as done: nobody's money differs by it. None when no combination fits, or several
    of different amounts.
    """
    if len(amounts) > TOGETHER_MAX:
        return None
    fitting = [
        done
        for count in range(len(amounts) + 1)
        for done in combinations(sorted(amounts), count)
        if sum(amounts[number] for number in done) == gone
    ]
    ways = {tuple(sorted(amounts[number] for number in done)) for done in fitting}
    return frozenset(fitting[0]) if len(ways) == 1 else None


def _agree(amount: int, told: Theirs | None) -> bool:
    if told is None:
        return amount == 0
    if told.amount is None:
        return told.approved and amount > 0
    return told.amount == amount


def _difference(sale: Ours | None, told: Theirs | None) -> Difference:
    known = sale or told
    assert known is not None  # noqa: S101 - one of the two knows it
    amount, their_amount = sale.amount if sale else None, told.amount if told else None
    return Difference(
        _bucket(sale, told),
        sale.project_id if sale else 0,
        known.reference,
        known.order_number,
        amount,
        their_amount,
        f"ours {_won(amount, '')}, theirs {_won(their_amount, told.word if told else '')}",
    )


def _bucket(sale: Ours | None, told: Theirs | None) -> Bucket:
    if sale is None:
        return Bucket.ONLY_THEIRS
    if sale.open:
        return Bucket.UNRESOLVED
    return Bucket.DIFFERENT if told else Bucket.ONLY_OURS


def _won(amount: int | None, word: str) -> str:
    return word or "not known" if amount is None else f"{amount:,} won"
