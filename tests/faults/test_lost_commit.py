"""PostgreSQL has committed and the answer to COMMIT is lost: whoever asked for it finds its own work done and goes on (F18)."""

import asyncpg
import pytest
from aiohttp import web
from tests.world import OpenWorld, Received, Sale, World


class LostAnswer:
    """Cuts the connection once, right behind the commit of that number."""

    def __init__(self, world: World, number: int) -> None:
        self._left = number
        world.platform.database.seam = self.seam

    @property
    def has_come(self) -> bool:
        return self._left <= 0

    def seam(self, name: str) -> None:
        if name == "committed":
            self._left -= 1
            if self._left == 0:
                raise asyncpg.ConnectionDoesNotExistError("connection was closed in the middle of operation")


async def refund_with_lost_answer(world: World, number: int) -> tuple[Sale, bool]:
    """A partial refund amid which that commit's answer is lost, and whether there were so many commits."""
    sale = await world.paid_sale()
    await sale.refund(payment__amount=400, payment__currency="KRW")
    lost = LostAnswer(world, number)
    await world.work()
    world.platform.database.seam = lambda name: None
    await world.pass_time(600, 150)
    return sale, lost.has_come


async def test_no_lost_answer_to_a_commit_leaves_a_partial_refund_to_people(open_world: OpenWorld):
    """An inquiry tells nothing of a partial cancel, so an intent that is left alone would stay unresolved for good."""
    async with open_world() as world:
        for number in range(1, 100):
            sale, has_come = await refund_with_lost_answer(world, number)
            assert "partially refunded" == (await sale.status())["payment"]["status"], f"commit {number}"
            assert 400 == (await sale.books())["cancelled"]
            assert 1 == await world.simulator.calls(await sale.moid(), "cancel")
            if not has_come:
                break
        assert number > 4, "claim, intent, booking, delivery"


@pytest.mark.parametrize("repeated", [False, True])
async def test_a_whole_refund_survives_a_lost_answer_too(open_world: OpenWorld, repeated: bool):
    async with open_world() as world:
        for number in range(1, 8):
            sale = await world.paid_sale()
            if repeated:
                await sale.fault("cancel", "http_500")
            await sale.refund()
            LostAnswer(world, number)
            await world.work()
            await world.pass_time(900, 60)
            world.platform.database.seam = lambda name: None
            assert "refunded" == (await sale.status())["payment"]["status"], f"commit {number}"
            assert 1000 == (await sale.books())["cancelled"]


async def test_a_failed_callback_recorded_twice_skips_no_step_of_its_schedule(open_world: OpenWorld):
    async with open_world() as world:

        async def fails_and_the_record_of_it_is_lost(item: Received) -> web.StreamResponse:
            lost.append(LostAnswer(world, 1))
            return web.Response(status=500)

        lost: list[LostAnswer] = []
        world.merchant.answers["/callbacks"] = fails_and_the_record_of_it_is_lost
        await world.sale(payment__amount=50)
        for sends in range(1, 4):
            await world.delivery.tick()
            await world.delivery.drain()
            assert (sends, True) == (len(lost), lost[-1].has_come)
            row = (await world.rows("SELECT attempt, failures, state FROM callback"))[0]
            assert (sends, sends, "waiting") == tuple(row)
            world.clock.advance(10)
        assert 3 == await world.value("SELECT count(*) FROM attempt")
