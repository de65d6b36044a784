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
    """A transaction as the provider tells it. `amount` None: approved, but the source does not say how much is left."""

    reference: str
    order_number: str
    amount: int | None


@dataclass(frozen=True, slots=True)
class Difference:
    bucket: Bucket
    project_id: int
    reference: str
    order_number: str
    ours: int | None
    theirs: int | None

    @property
    def text(self) -> str:
        told = "not known" if self.theirs is None else f"{self.theirs:,} won"
        own = "not known" if self.ours is None else f"{self.ours:,} won"
        return f"ours {own}, theirs {told}"


def differences(ours: Iterable[Ours], theirs: Mapping[str, Theirs]) -> list[Difference]:
    """Sorted into buckets; `theirs` by reference. Transactions in which no money is left on either side agree."""
    found, seen = [], set()
    for sale in ours:
        seen.add(sale.reference)
        told = theirs.get(sale.reference)
        amount = told.amount if told else 0
        if amount == sale.amount or (amount is None and sale.amount > 0):
            continue
        bucket = Bucket.DIFFERENT if told else Bucket.ONLY_OURS
        if sale.open:
            bucket = Bucket.UNRESOLVED
        found.append(
            Difference(
                bucket,
                sale.project_id,
                sale.reference,
                sale.order_number,
                sale.amount,
                amount if told else None,
            )
        )
    found += [
        Difference(Bucket.ONLY_THEIRS, 0, told.reference, told.order_number, None, told.amount)
        for told in theirs.values()
        if told.reference not in seen and told.amount != 0
    ]
    return found
