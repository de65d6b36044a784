"""Our books beside the provider's, transaction by transaction: what only one side knows, and where the two differ.

What counts is the money that a transaction has left with the merchant: approved less cancelled, in won.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum


class Bucket(StrEnum):
    ONLY_OURS = "only ours"
    ONLY_THEIRS = "only theirs"
    DIFFERENT = "different"
    UNRESOLVED = "unresolved"  # differs, and is on our list of operations whose truth is not known (I3)


@dataclass(frozen=True, slots=True)
class Ours:
    """A sale that reached the provider. `open`: it or a refund of it is still unresolved or in work."""

    project_id: int
    reference: str
    order_number: str
    amount: int
    open: bool


@dataclass(frozen=True, slots=True)
class Theirs:
    """A transaction as the provider tells it. `amount` None: the source does not say how much is left; `word` is what it says
    instead, and `approved` whether that means that some money is."""

    reference: str
    order_number: str
    amount: int | None
    word: str = ""
    approved: bool = False


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
        if not _agree(sale, theirs.get(reference))
    ]
    return found + [
        _difference(None, told)
        for told in theirs.values()
        if told.reference not in sales and told.amount != 0
    ]


def _agree(sale: Ours, told: Theirs | None) -> bool:
    if told is None:
        return sale.amount == 0
    if told.amount is None:
        return told.approved and sale.amount > 0
    return told.amount == sale.amount


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
