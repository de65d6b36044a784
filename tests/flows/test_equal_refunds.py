"""Two open refunds of one amount, of which one was done: the list of the provider's tells how many, not which (decision 0013).

The first counts as done and the second is declined. Whatever is heard of either of them later must not move money any more.
"""

import asyncio

import pytest
from tests.faults.tidings import LISTED, cancel_notice, notify
from tests.flows.test_books import found_in
from tests.flows.test_refund import cancelled, payment, refunds
from tests.flows.test_settle_by_list import (
    QUIET_S,
    KeptBack,
    listed_settle,
    truth,
    two_unknown_refunds,
    unknown_refund,
)
from tests.world import PROJECT_ID, OpenWorld, Sale, World

from wongate.flows import give_back
from wongate.flows.settle_by_list import End
from wongate.store import payments

ONE_OF_TWO = [(300, End.DONE), (300, End.EQUAL_DONE)]
BOOKED = [(300, "success", "0"), (300, "decline", "20000")]
FIRST_OR_SECOND = pytest.mark.parametrize(
    "done", [(True, False), (False, True)], ids=["first done", "second done"]
)


async def settled_equal_refunds(world: World, done: tuple[bool, bool]) -> Sale:
    sale = await two_unknown_refunds(world, (300, 300), done)
    assert ONE_OF_TWO == await listed_settle(world, await truth(sale))
    return sale


async def send_newest(world: World, sale: Sale) -> None:
    """In a process that nobody waits for."""
    project = await world.platform.project(PROJECT_ID)
    assert project is not None
    async with world.platform.database.read() as tx:
        _, operations = await payments.with_operations(
            tx, PROJECT_ID, payment_no=(await sale.row())["payment_no"]
        ) or (None, [])
    await give_back.send_refund(world.platform, world.door, project, operations[-1])


async def books_agree(world: World, sale: Sale, *, calls: int = 2) -> None:
    """300 won went back, on either side; nothing more was sent, and nobody is called to look."""
    assert BOOKED == await refunds(sale)
    assert (("partially refunded", 700), 300) == (await payment(sale), await cancelled(sale))
    assert calls == await world.simulator.calls(await sale.moid(), "cancel")
    assert "" == (await sale.row())["flag"]
    async with world.platform.database.transaction() as tx:
        assert [] == await found_in(tx)


@FIRST_OR_SECOND
async def test_the_first_counts_as_done_and_the_second_is_declined(
    open_world: OpenWorld, done: tuple[bool, bool]
):
    async with open_world() as world:
        sale = await settled_equal_refunds(world, done)
        await world.pass_time(600, step_s=60)
        await books_agree(world, sale)
        told = [(body["operation"]["status"], body["payment"]["status"]) for body in await sale.callbacks()]
        assert [("success", "partially refunded"), ("decline", "partially refunded")] == told[-2:]


async def test_what_was_declined_may_be_asked_for_again(open_world: OpenWorld):
    async with open_world() as world:
        sale = await settled_equal_refunds(world, (False, True))
        await sale.refund(payment__amount=300, payment__currency="KRW", payment__description="once more")
        await world.work()
        assert [*BOOKED, (300, "success", "0")] == await refunds(sale)
        assert (("partially refunded", 400), 600) == (await payment(sale), await cancelled(sale))


@FIRST_OR_SECOND
async def test_a_notice_that_comes_after_the_verdict_changes_nothing(
    open_world: OpenWorld, done: tuple[bool, bool]
):
    """Sent again, the declined one would have been booked by the notice of the cancel that counts as the first's."""
    async with open_world(account=LISTED) as world:
        sale = await settled_equal_refunds(world, done)
        books = await sale.books()
        (cancel,) = books["cancels"]
        assert (200, b"OK") == await notify(world, books, **cancel_notice(cancel))
        await world.work()
        verdicts = [row["verdict"] for row in await world.rows("SELECT verdict FROM notice")]
        assert ["known" if done[0] else "an equal refund counts as done in its place"] == verdicts
        await books_agree(world, sale)


async def test_an_answer_that_comes_after_the_verdict_changes_nothing(open_world: OpenWorld):
    """Its process slept for hours between the answer and the books."""
    async with open_world() as world:
        sale = await world.paid_sale()
        await unknown_refund(sale, 300, done=False)
        await world.pass_time(QUIET_S, step_s=300)
        await sale.refund(payment__amount=300, payment__currency="KRW", payment__description="another")
        sleeper, awake = KeptBack(world), world.platform.providers
        world.platform.providers = {"nicepay": sleeper}
        sending = asyncio.create_task(send_newest(world, sale))
        await sleeper.done.wait()
        world.platform.providers = awake
        await world.pass_time(2 * QUIET_S, step_s=300)
        assert ONE_OF_TWO == await listed_settle(world, await truth(sale))
        sleeper.through.set()
        await sending
        await world.pass_time(600, step_s=60)
        await books_agree(world, sale)


async def test_a_refusal_that_was_held_is_what_the_merchant_is_told(open_world: OpenWorld):
    """NICEPAY asked for the second cancel again (2056) and refused it then; the first was done, and its answer lost."""
    async with open_world() as world:
        sale = await world.paid_sale()
        await unknown_refund(sale, 300, done=True)
        await world.pass_time(QUIET_S, step_s=300)
        await sale.fault("cancel", "code", code="2056")
        await sale.refund(payment__amount=300, payment__currency="KRW", payment__description="another")
        await world.work()
        await sale.fault("cancel", "code", code="2026")
        await world.pass_time(QUIET_S + 300, step_s=60)
        assert ONE_OF_TWO == await listed_settle(world, await truth(sale))
        assert [(300, "success", "0"), (300, "decline", "20504")] == await refunds(sale)


async def test_a_second_run_finds_nothing_to_do(open_world: OpenWorld):
    async with open_world() as world:
        sale = await settled_equal_refunds(world, (False, True))
        before = await world.fingerprint()
        assert [] == await listed_settle(world, await truth(sale))
        assert before == await world.fingerprint()
