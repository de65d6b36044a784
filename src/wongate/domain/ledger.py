"""A small double-entry ledger in won. Each entry moves one amount from one account to another, so every sum is zero by
construction; what the accounts add up to is checked against the payments by `wongate audit`."""

from dataclasses import dataclass
from enum import StrEnum

from wongate.domain.lifecycle import Event, Kind, Stage


class Book(StrEnum):
    PAYER = "payer"
    PROVIDER = "provider"  # the provider may hold it, the outcome is not known
    MERCHANT = "merchant"
    RESERVE = "refund reserve"


@dataclass(frozen=True, slots=True)
class Entry:
    """`amount` whole won leave `debit` and arrive at `credit`."""

    debit: Book
    credit: Book
    amount: int


_MOVES: dict[tuple[Kind, Stage, Event], tuple[Book, Book]] = {
    (Kind.SALE, Stage.WAITING, Event.CONFIRMED): (Book.PAYER, Book.PROVIDER),
    (Kind.SALE, Stage.APPROVING, Event.APPROVED): (Book.PROVIDER, Book.MERCHANT),
    (Kind.SALE, Stage.APPROVING, Event.DECLINED): (Book.PROVIDER, Book.PAYER),
    (Kind.SALE, Stage.APPROVING, Event.DECLINED_FOR_NOW): (Book.PROVIDER, Book.PAYER),
    (Kind.SALE, Stage.UNDOING, Event.UNDONE): (Book.PROVIDER, Book.PAYER),
    (Kind.SALE, Stage.RETURNING, Event.UNDONE): (Book.PROVIDER, Book.PAYER),
    (Kind.SALE, Stage.CHECKING, Event.NOTHING_TO_UNDO): (Book.PROVIDER, Book.PAYER),
    (Kind.SALE, Stage.DONE, Event.FOUND_APPROVED): (Book.PAYER, Book.PROVIDER),
    (Kind.SALE, Stage.DONE, Event.UNANSWERED): (Book.PAYER, Book.PROVIDER),
    (Kind.REFUND, Stage.NEW, Event.OPENED): (Book.MERCHANT, Book.RESERVE),
    **{(Kind.REFUND, stage, Event.APPROVED): (Book.RESERVE, Book.PAYER) for stage in Stage},
    **{(Kind.REFUND, stage, Event.DECLINED): (Book.RESERVE, Book.MERCHANT) for stage in Stage},
}


def entry(kind: Kind, stage: Stage, event: Event, amount: int) -> Entry | None:
    """The entry that an event at a stage writes, None when no money moves."""
    move = _MOVES.get((kind, stage, event))
    return Entry(*move, amount) if move else None
