"""A small double-entry ledger in won. Each entry moves one amount from one account to another, so every sum is zero by
construction; what the accounts add up to is checked against the payments by `wongate audit`."""

from dataclasses import dataclass
from enum import StrEnum


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


def approval_intended(amount: int) -> Entry:
    return Entry(Book.PAYER, Book.PROVIDER, amount)


def approval_settled(amount: int) -> Entry:
    return Entry(Book.PROVIDER, Book.MERCHANT, amount)


def approval_undone(amount: int) -> Entry:
    return Entry(Book.PROVIDER, Book.PAYER, amount)


def refund_reserved(amount: int) -> Entry:
    return Entry(Book.MERCHANT, Book.RESERVE, amount)


def refund_paid(amount: int) -> Entry:
    return Entry(Book.RESERVE, Book.PAYER, amount)


def refund_released(amount: int) -> Entry:
    return Entry(Book.RESERVE, Book.MERCHANT, amount)
