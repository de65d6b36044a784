"""What Wongate asks of a payment provider.

Every answer is a value: no method raises because the provider, or whoever pretends to be it, is slow, silent
or wrong. `tests/providers/suite.py` holds these promises as tests.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Protocol

from wongate.domain.account import Account
from wongate.domain.outcome import (
    Authenticated,
    Bridge,
    Exchange,
    Form,
    Notice,
    Outcome,
    ReturnResult,
    Standing,
    Undone,
)


class Provider(Protocol):
    """One outside payment service: pure methods read and build messages, coroutines make one call each.

    Amounts are whole won. `at` is the moment of the call from the injected clock. A coroutine makes its call
    at most once and never repeats it; the `Exchange` beside its answer carries no secret.
    """

    def order_number(self, account: Account, project_id: int, operation_id: int, window_no: int = 1) -> str:
        """Our name for a sale at the provider, never reused under one merchant id (N-24).

        A payer who opens the window a second time gets a name of its own there: `window_no` counts from 1.
        """

    def owner_of(self, account: Account, order_number: str) -> tuple[int, int] | None:
        """The (project_id, operation_id) in an order number of ours, None for a foreign one."""

    def window(
        self,
        account: Account,
        *,
        order_number: str,
        amount: int,
        description: str,
        return_url: str,
        bridge_url: str,
        at: datetime,
    ) -> Form:
        """The form that brings a payer's browser to the provider (N-1, N-2).

        `bridge_url` is a page of our own, for accounts whose window cannot be opened by a plain POST.
        """

    def is_own_window(
        self, account: Account, form: Mapping[str, str], *, order_number: str, amount: int
    ) -> bool:
        """Whether a form posted to the bridge page is the one that `window` made for this sale (N-1)."""

    def bridge(self, account: Account) -> Bridge:
        """What the bridge page loads and posts to, for accounts whose `window` leads there (N-1)."""

    def read_form(self, body: bytes) -> dict[str, str]:
        """A body that a browser or the provider posted to us, decoded; empty when it is far too large."""

    def read_return(
        self, account: Account, form: Mapping[str, str], *, order_number: str, amount: int
    ) -> ReturnResult:
        """What the payer's browser brought back, checked against account and order (section 2.4)."""

    def may_notify(self, account: Account, sender: str) -> bool:
        """Whether this IP address is one that the account takes notices from (N-16)."""

    def read_notice(self, form: Mapping[str, str]) -> Notice | None:
        """A provider's notice, None when it is not one."""

    async def approve(
        self, account: Account, authenticated: Authenticated, *, order_number: str, amount: int
    ) -> tuple[Outcome, Exchange]:
        """Takes the money, once: never repeated, whatever the answer.

        `Approved` says that money has moved and how much: comparing it with `amount` is up to the caller
        (E-13).
        """

    async def net_cancel(
        self, account: Account, authenticated: Authenticated, *, amount: int
    ) -> tuple[Undone, Exchange]:
        """Takes back an approval whose answer was lost (N-10)."""

    async def cancel(
        self,
        account: Account,
        reference: str,
        *,
        order_number: str,
        cancel_number: int,
        amount: int,
        whole: bool,
        reason: str,
    ) -> tuple[Outcome, Exchange]:
        """Returns money of an approved transaction.

        `order_number` is the sale's and `cancel_number` tells its cancels apart (N-24); `whole` means the
        full original amount with no earlier cancel (N-14). `Approved` carries what went back and the
        cancel's own reference.
        """

    async def inquire(self, account: Account, reference: str) -> tuple[Standing, Exchange]:
        """Asks what became of a transaction."""
