"""The promises of `providers/contract.py`, for every provider alike.

A provider's test module inherits `ProviderPromises` and gives it an `arena`: the provider under test together with
the other side it talks to, whose purse can be looked into and whose answers can be broken.
"""

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

import pytest

from wongate.connections.clock import SystemClock
from wongate.domain.account import Account
from wongate.domain.outcome import (
    Approved,
    Authenticated,
    Declined,
    Exchange,
    Form,
    NotSent,
    Outcome,
    Standing,
    Unanswered,
    Undone,
)
from wongate.providers.contract import Provider

PROJECT = 1234
AMOUNT = 1000
RETURN_URL = "https://pay.example/return/token"
BRIDGE_URL = "https://pay.example/bridge/token"
CALLS = ("approve", "net_cancel", "cancel", "inquiry")


@dataclass(frozen=True)
class Fault:
    """What happens to one answer; `applied`: the other side did what was asked before."""

    kind: str
    applied: bool

    def __str__(self) -> str:
        return f"{self.kind}, {'applied' if self.applied else 'not applied'}"


LOST_ANSWERS = [
    Fault(kind, applied)
    for kind in ("cut", "http_500", "html", "half", "empty", "bytes")
    for applied in (True, False)
]
SILENCE = Fault("silence", True)


class Arena(Protocol):
    """A provider and the other side. `unreachable` is an account there whose hosts nobody listens at, and with the `impatient`
    one an answer is waited for a few seconds only."""

    provider: Provider
    account: Account
    unreachable: Account
    impatient: Account

    async def visit(self, form: Form, *, pays: bool = True) -> bytes:
        """The payer goes to the window and decides; the body that the browser brings back."""

    async def break_next(self, call: str, fault: Fault) -> None:
        """The next call of this kind is answered with the fault."""

    async def taken(self, order_number: str) -> int:
        """Won that the other side holds for the merchant under this order number."""


OpenArena = Callable[[], AbstractAsyncContextManager[Arena]]


@dataclass
class Sale:
    """A sale on its way through an arena."""

    arena: Arena
    operation_id: int
    amount: int = AMOUNT

    @property
    def order_number(self) -> str:
        return self.arena.provider.order_number(self.arena.account, PROJECT, self.operation_id)

    def form(self) -> Form:
        return self.arena.provider.window(
            self.arena.account,
            order_number=self.order_number,
            amount=self.amount,
            description="Test sale",
            return_url=RETURN_URL,
            bridge_url=BRIDGE_URL,
            at=SystemClock().now(),
        )

    async def returned(self, *, pays: bool = True) -> dict[str, str]:
        return self.arena.provider.read_form(await self.arena.visit(self.form(), pays=pays))

    async def authenticated(self) -> Authenticated:
        result = self.arena.provider.read_return(
            self.arena.account, await self.returned(), order_number=self.order_number, amount=self.amount
        )
        assert isinstance(result, Authenticated), result
        return result

    async def approve(self, authenticated: Authenticated) -> tuple[Outcome, Exchange]:
        return await self.arena.provider.approve(
            self.arena.account, authenticated, order_number=self.order_number, amount=self.amount
        )

    async def net_cancel(self, authenticated: Authenticated) -> tuple[Undone, Exchange]:
        return await self.arena.provider.net_cancel(self.arena.account, authenticated, amount=self.amount)

    async def approved(self) -> Authenticated:
        authenticated = await self.authenticated()
        outcome, _ = await self.approve(authenticated)
        assert isinstance(outcome, Approved), outcome
        return authenticated

    async def cancel(self, reference: str, amount: int, number: int = 1) -> tuple[Outcome, Exchange]:
        return await self.arena.provider.cancel(
            self.arena.account,
            reference,
            order_number=self.order_number,
            cancel_number=number,
            amount=amount,
            whole=amount == self.amount,
            reason="단순 변심",
        )

    async def call(self, call: str) -> tuple[Outcome | Undone | Standing, Exchange]:
        """One call of this kind at a sale that is ready for it, with what it answered."""
        return await self.make(call, await self.ready_for(call))

    async def ready_for(self, call: str) -> Authenticated:
        return await (self.authenticated() if call == "approve" else self.approved())

    async def make(
        self, call: str, authenticated: Authenticated
    ) -> tuple[Outcome | Undone | Standing, Exchange]:
        if call == "approve":
            return await self.approve(authenticated)
        if call == "net_cancel":
            return await self.net_cancel(authenticated)
        if call == "cancel":
            return await self.cancel(authenticated.reference, self.amount)
        return await self.arena.provider.inquire(self.arena.account, authenticated.reference)

    async def taken(self) -> int:
        return await self.arena.taken(self.order_number)


class ProviderPromises:
    """Inherit, name the class Test..., and define the fixture `arena` as a function that opens one."""

    async def test_an_order_number_tells_whose_it_is(self, arena: OpenArena):
        async with arena() as side:
            number = side.provider.order_number(side.account, PROJECT, 2**53 - 1)
            assert (PROJECT, 2**53 - 1) == side.provider.owner_of(side.account, number)
            assert side.provider.owner_of(side.account, "somebody else's") is None

    async def test_the_window_is_a_form_of_texts_that_the_provider_recognises(self, arena: OpenArena):
        async with arena() as side:
            sale = Sale(side, 1)
            form = sale.form()
            assert "POST" == form.method
            assert all(type(value) is str for value in form.body.values())
            number = sale.order_number
            own = side.provider.is_own_window
            assert own(side.account, form.body, order_number=number, amount=AMOUNT)
            assert not own(side.account, form.body, order_number=number, amount=AMOUNT + 1)

    async def test_a_payer_who_agrees_is_authenticated_and_nothing_is_taken_yet(self, arena: OpenArena):
        async with arena() as side:
            sale = Sale(side, 2)
            authenticated = await sale.authenticated()
            assert authenticated.reference
            assert 0 == await sale.taken()

    async def test_a_payer_who_cancels_is_declined(self, arena: OpenArena):
        async with arena() as side:
            sale = Sale(side, 3)
            form = await sale.returned(pays=False)
            result = side.provider.read_return(
                side.account, form, order_number=sale.order_number, amount=AMOUNT
            )
            assert isinstance(result, Declined)
            assert (20301, False) == (result.code, result.alarm)

    async def test_a_return_counts_for_its_own_order_and_amount_only(self, arena: OpenArena):
        async with arena() as side:
            sale, other = Sale(side, 4), Sale(side, 5)
            form = await sale.returned()
            for number, amount in ((other.order_number, AMOUNT), (sale.order_number, AMOUNT - 1)):
                result = side.provider.read_return(side.account, form, order_number=number, amount=amount)
                assert not isinstance(result, Authenticated)

    async def test_an_approval_takes_the_amount_and_says_so(self, arena: OpenArena):
        async with arena() as side:
            sale = Sale(side, 6)
            authenticated = await sale.authenticated()
            outcome, exchange = await sale.approve(authenticated)
            assert isinstance(outcome, Approved)
            assert (AMOUNT, authenticated.reference) == (outcome.amount, outcome.reference)
            assert AMOUNT == await sale.taken()
            assert "approve" == exchange.kind

    async def test_a_second_approval_takes_nothing_and_is_not_declined(self, arena: OpenArena):
        async with arena() as side:
            sale = Sale(side, 7)
            outcome, _ = await sale.approve(await sale.approved())
            assert not isinstance(outcome, Approved | Declined)
            assert AMOUNT == await sale.taken()

    async def test_a_net_cancel_gives_everything_back_once(self, arena: OpenArena):
        async with arena() as side:
            sale = Sale(side, 8)
            authenticated = await sale.approved()
            assert Undone.CANCELLED == (await sale.net_cancel(authenticated))[0]
            assert 0 == await sale.taken()
            assert Undone.ALREADY == (await sale.net_cancel(authenticated))[0]
            standing, _ = await side.provider.inquire(side.account, authenticated.reference)
            assert Standing.CANCELLED == standing

    async def test_a_net_cancel_of_nothing_says_so(self, arena: OpenArena):
        async with arena() as side:
            sale = Sale(side, 9)
            authenticated = await sale.authenticated()
            assert Undone.NOTHING == (await sale.net_cancel(authenticated))[0]
            standing, _ = await side.provider.inquire(side.account, authenticated.reference)
            assert Standing.ABSENT == standing

    async def test_a_whole_cancel_gives_everything_back(self, arena: OpenArena):
        async with arena() as side:
            sale = Sale(side, 10)
            reference = (await sale.approved()).reference
            outcome, exchange = await sale.cancel(reference, AMOUNT)
            assert isinstance(outcome, Approved)
            assert AMOUNT == outcome.amount
            assert 0 == await sale.taken()
            assert "cancel" == exchange.kind
            again, _ = await sale.cancel(reference, AMOUNT, number=2)
            assert isinstance(again, Declined)
            assert again.already_done

    async def test_partial_cancels_add_up_and_never_exceed_the_amount(self, arena: OpenArena):
        async with arena() as side:
            sale = Sale(side, 11)
            reference = (await sale.approved()).reference
            for number, amount in ((1, 400), (2, 500)):
                outcome, _ = await sale.cancel(reference, amount, number)
                assert isinstance(outcome, Approved)
                assert (amount, True) == (outcome.amount, bool(outcome.reference))
            standing, _ = await side.provider.inquire(side.account, reference)
            assert Standing.APPROVED == standing
            too_much, _ = await sale.cancel(reference, 101, 3)
            assert isinstance(too_much, Declined)
            assert AMOUNT - 900 == await sale.taken()

    @pytest.mark.parametrize("fault", LOST_ANSWERS, ids=str)
    @pytest.mark.parametrize("call", CALLS)
    async def test_a_lost_answer_is_never_taken_for_a_yes_or_a_no(
        self, arena: OpenArena, call: str, fault: Fault
    ):
        async with arena() as side:
            sale = Sale(side, 100 + LOST_ANSWERS.index(fault) * len(CALLS) + CALLS.index(call))
            await side.break_next(call, fault)
            answer, exchange = await sale.call(call)
            await self.nothing_is_concluded(sale, call, fault, answer, exchange)

    async def test_silence_is_never_taken_for_a_yes_or_a_no(self, arena: OpenArena):
        """All calls at once, since each waits for seconds."""
        async with arena() as side:
            sales = [Sale(side, 300 + number) for number in range(len(CALLS))]
            ready = [await sale.ready_for(call) for sale, call in zip(sales, CALLS, strict=True)]
            for call in CALLS:
                await side.break_next(call, SILENCE)
            side.account = side.impatient
            answers = await asyncio.gather(
                *(sale.make(call, made) for sale, call, made in zip(sales, CALLS, ready, strict=True))
            )
            for sale, call, answer in zip(sales, CALLS, answers, strict=True):
                await self.nothing_is_concluded(sale, call, SILENCE, *answer)

    async def nothing_is_concluded(
        self, sale: Sale, call: str, fault: Fault, answer: Outcome | Undone | Standing, exchange: Exchange
    ) -> None:
        assert isinstance(answer, Unanswered) or answer in (Undone.UNCLEAR, Standing.UNCLEAR)
        assert exchange.verdict.startswith("unanswered: ")
        if call != "inquiry":
            holds = fault.applied if call == "approve" else not fault.applied
            assert (AMOUNT if holds else 0) == await sale.taken()

    @pytest.mark.parametrize("call", CALLS[:3])
    async def test_a_success_that_is_not_signed_properly_is_no_success(self, arena: OpenArena, call: str):
        async with arena() as side:
            sale = Sale(side, 200 + CALLS.index(call))
            await side.break_next(call, Fault("wrong_signature", applied=True))
            answer, _ = await sale.call(call)
            assert answer == Undone.UNCLEAR or (isinstance(answer, Unanswered) and answer.alarm)

    async def test_an_answer_in_the_countrys_own_charset_is_read(self, arena: OpenArena):
        async with arena() as side:
            sale = Sale(side, 210)
            await side.break_next("approve", Fault("euc_kr", applied=True))
            outcome, exchange = await sale.approve(await sale.authenticated())
            assert isinstance(outcome, Approved)
            assert "성공" in exchange.response["ResultMsg"]

    async def test_what_never_left_is_told_apart(self, arena: OpenArena):
        async with arena() as side:
            sale = Sale(side, 211)
            nobody = side.unreachable
            outcome, exchange = await side.provider.cancel(
                nobody,
                "reference",
                order_number=sale.order_number,
                cancel_number=1,
                amount=AMOUNT,
                whole=True,
                reason="",
            )
            assert isinstance(outcome, NotSent)
            assert exchange.verdict.startswith("not sent: ")
            assert Standing.UNCLEAR == (await side.provider.inquire(nobody, "reference"))[0]

    @pytest.mark.parametrize("call", CALLS)
    async def test_the_exchange_beside_an_answer_holds_no_secret(self, arena: OpenArena, call: str):
        async with arena() as side:
            before = SystemClock().now()
            sale = Sale(side, 220 + CALLS.index(call))
            _, exchange = await sale.call(call)
            assert call == exchange.kind
            assert before <= exchange.at <= SystemClock().now()
            assert exchange.duration_ms >= 0
            assert exchange.request
            assert exchange.response
            assert not _secrets_in(exchange, side)


def _secrets_in(exchange: Exchange, side: Arena) -> list[str]:
    """Long values that could be used by whoever reads the time line: keys, tokens, hashes."""
    texts = [*exchange.request.values(), *exchange.response.values(), exchange.verdict]
    hexadecimal = set("0123456789abcdefABCDEF")
    return [
        text
        for text in texts
        if side.account.merchant_key in text or (len(text) >= 32 and set(text[-32:]) <= hexadecimal)
    ]
