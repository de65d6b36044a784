"""The one refund that no message of the provider tells of: a part whose sender died between its intent and its call, and no other
refund follows it (N-11). The operator's two commands are enough for it."""

import pytest
from tests.faults.shop import Shop, shop
from tests.faults.stage import Stage
from tests.faults.test_killed_at_seams import armed
from tests.faults.test_real_processes import LIST_TELLS_AFTER_S, order_of, until

PART = {"amount": 300, "currency": "KRW"}


@pytest.mark.faults
async def test_a_part_that_was_never_sent_is_found_out_by_the_operators_commands(stage: Stage):
    async with shop(stage) as merchant:
        payment_id = await merchant.sale(0)
        await merchant.pay(payment_id)
        assert await merchant.callback(payment_id, "success")
        await a_refund_whose_sender_dies(merchant, payment_id)
        await stage.settle(LIST_TELLS_AFTER_S)
        (open_refund,) = await stage.left_over()
        assert ("refund", "asking", 300, 0) == (
            open_refund["kind"],
            open_refund["stage"],
            open_refund["amount"],
            await cancelled(merchant, payment_id),
        )
        await stage.books_hold()  # listed as unresolved, and nothing else
        code, said = await stage.command("reconcile", "--simulator", stage.simulator_url, "--settle")
        assert (0, True, "settled: 1") == (
            code,
            "not done: sent again" in said,
            said.splitlines()[-1].split(", ")[-1],
        ), said
        await stage.settle()
        assert [] == await stage.left_over()
        assert 300 == await cancelled(merchant, payment_id)
        assert await merchant.callback(payment_id, "partially refunded")
        await stage.books_hold()


async def a_refund_whose_sender_dies(merchant: Shop, payment_id: str) -> None:
    """kill -9 of the worker with the call's bytes in its hand."""
    stage = merchant.stage
    usual = stage.programs["worker 1"]
    stage.programs["worker 2"].kill()
    call = f"call {stage.simulator_url}/webapi/cancel_process.jsp"
    stage.replace("worker 1", armed(usual, call, stage.directory / "seams"))
    await merchant.refund(payment_id, **PART)

    async def is_dead() -> bool:
        return not stage.programs["worker 1"].runs

    await until(is_dead)
    stage.replace("worker 1", usual)
    stage.restart("worker 2")


async def cancelled(merchant: Shop, payment_id: str) -> int:
    """Won that went back at the provider."""
    order = await order_of(merchant.stage, payment_id)
    (book,) = [book for book in await merchant.books() if book["moid"] == order]
    return int(book["cancelled"])
