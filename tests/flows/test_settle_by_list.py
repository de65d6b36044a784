"""A list of the provider's settles refunds of unknown outcome: what it tells beyond doubt, and nothing else (N-11, N-12)."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.flows.test_books import CommandLine, cancel_elsewhere, found_in, settlement, tid
from tests.flows.test_refund import cancelled, payment, refunds
from tests.world import PROJECT_ID, OpenWorld, Sale, World

from wongate.domain.comparison import Theirs
from wongate.domain.outcome import Exchange, Outcome
from wongate.domain.payment import payment_key
from wongate.domain.refusal import Unfit
from wongate.flows import by_hand
from wongate.flows.audit import OPERATOR
from wongate.flows.settle import Door
from wongate.flows.settle_by_list import End, ProviderList, settle_open_refunds
from wongate.providers.nicepay.client import Nicepay
from wongate.store import payments

QUIET_S = 3900
"""An hour after the first look at a refund of unknown outcome, and a look more."""


async def unknown_refund(sale: Sale, amount: int, *, done: bool) -> None:
    """A part whose answer is lost; whether it was done only the provider knows."""
    await sale.fault("cancel", "reset", committed=done)
    words = (
        f"refund {len(await sale.operations())}"  # the same bytes once more would be the same refund (E-6)
    )
    await sale.refund(payment__amount=amount, payment__currency="KRW", payment__description=words)
    await sale.world.work()


async def quiet_unknown_refund(world: World, *, done: bool, amount: int = 300) -> Sale:
    """Of 1,000 won, and old enough for a list to tell of it."""
    sale = await world.paid_sale()
    await unknown_refund(sale, amount, done=done)
    await world.pass_time(QUIET_S, step_s=300)
    assert [(amount, "processing", "29999")] == await refunds(sale)
    return sale


async def entry(sale: Sale, left: int, **changes: str) -> Theirs:
    told = {"reference": await tid(sale), "order_number": await sale.moid(), **changes}
    return Theirs(told["reference"], told["order_number"], left)


async def listed_settle(
    world: World, *entries: Theirs, until: datetime | None = None, door: Door | None = None
) -> list[tuple[int, End]]:
    listed = ProviderList(
        "november.csv", {told.reference: told for told in entries}, until or world.clock.now()
    )
    settled = await settle_open_refunds(world.platform, door or world.door, OPERATOR, listed)
    return [(one.amount, one.end) for one in settled]


async def truth(sale: Sale) -> Theirs:
    """The provider's entry as its books have it."""
    return await entry(sale, (await sale.books())["remain"])


# --- what the list tells ---


async def test_a_part_that_was_done_is_booked(open_world: OpenWorld):
    async with open_world() as world:
        sale = await quiet_unknown_refund(world, done=True)
        assert [(300, End.DONE)] == await listed_settle(world, await truth(sale))
        await world.work()
        assert [(300, "success", "0")] == await refunds(sale)
        assert (("partially refunded", 700), 300) == (await payment(sale), await cancelled(sale))
        assert ["partially refunded"] == [body["payment"]["status"] for body in (await sale.callbacks())[-1:]]
        assert 1 == await world.simulator.calls(await sale.moid(), "cancel")


async def test_a_part_that_was_not_done_is_sent_again_once(open_world: OpenWorld):
    async with open_world() as world:
        sale = await quiet_unknown_refund(world, done=False)
        assert [(300, End.SENT_AGAIN)] == await listed_settle(world, await truth(sale))
        await world.pass_time(180, step_s=60)
        assert [(300, "success", "0")] == await refunds(sale)
        assert (("partially refunded", 700), 300) == (await payment(sale), await cancelled(sale))
        assert 2 == await world.simulator.calls(await sale.moid(), "cancel")


async def test_a_part_that_was_refused_and_not_done_is_declined(open_world: OpenWorld):
    """NICEPAY asked for the cancel again (2056) and refused it then, which says nothing of the first one."""
    async with open_world() as world:
        sale = await world.paid_sale()
        await sale.fault("cancel", "code", code="2056")
        await sale.refund(payment__amount=300, payment__currency="KRW")
        await world.work()
        await sale.fault("cancel", "code", code="2026")
        await world.pass_time(QUIET_S + 120, step_s=60)
        assert [(300, "processing", "29999")] == await refunds(sale)
        assert [(300, End.DECLINED)] == await listed_settle(world, await truth(sale))
        assert [(300, "decline", "20504")] == await refunds(sale)
        assert ("success", 1000) == await payment(sale)


@pytest.mark.parametrize("done", [(True, True), (True, False), (False, True), (False, False)])
async def test_of_two_open_refunds_the_list_tells_each(open_world: OpenWorld, done: tuple[bool, bool]):
    """The second went past the first, which was quiet, and its answer was lost as well."""
    async with open_world() as world:
        sale = await two_unknown_refunds(world, (300, 200), done)
        settled = await listed_settle(world, await truth(sale))
        ends = [End.DONE if one else End.SENT_AGAIN for one in done]
        assert list(zip((300, 200), ends, strict=True)) == settled
        await world.pass_time(600, step_s=60)
        assert [(300, "success", "0"), (200, "success", "0")] == await refunds(sale)
        assert (("partially refunded", 500), 500) == (await payment(sale), await cancelled(sale))


async def two_unknown_refunds(world: World, amounts: tuple[int, int], done: tuple[bool, bool]) -> Sale:
    """Of 1,000 won, both old enough for a list to tell of them."""
    sale = await world.paid_sale()
    await unknown_refund(sale, amounts[0], done=done[0])
    await unknown_refund(sale, amounts[1], done=done[1])
    await world.pass_time(2 * QUIET_S, step_s=300)
    assert ["processing", "processing"] == [status for _, status, _ in await refunds(sale)]
    assert 2 == await world.simulator.calls(await sale.moid(), "cancel")
    return sale


# --- what it does not tell ---


async def nothing_is_settled(world: World, *entries: Theirs, until: datetime | None = None) -> None:
    before = await world.fingerprint()
    assert [] == await listed_settle(world, *entries, until=until)
    assert before == await world.fingerprint(), "not a row is written"


async def test_what_fits_neither_done_nor_not_done_stays_open(open_world: OpenWorld):
    """Refunded outside the platform as well, or a list that is wrong."""
    async with open_world() as world:
        sale = await quiet_unknown_refund(world, done=False)
        for left in (0, 400, 699, 701, 1300):
            await nothing_is_settled(world, await entry(sale, left))


async def test_a_list_without_its_transaction_settles_nothing(open_world: OpenWorld):
    async with open_world() as world:
        sale = await quiet_unknown_refund(world, done=False)
        sound = await world.paid_sale()
        await nothing_is_settled(world)
        await nothing_is_settled(
            world, await entry(sound, 1000), Theirs("foreign01m01012611230000001234", "shop7", 700)
        )
        await nothing_is_settled(world, await entry(sale, 1000, order_number="shop7"))


async def test_a_list_in_which_cancels_have_tids_of_their_own_settles_nothing(open_world: OpenWorld):
    """Under the payment's TID such a list shows 1,000 won whatever was given back: sent again, the refund would be doubled."""
    async with open_world() as world:
        sale = await quiet_unknown_refund(world, done=True)
        whole, moid = await entry(sale, 1000), await sale.moid()
        for order_number in (moid, f"{moid}R77"):
            await nothing_is_settled(world, whole, Theirs("wongate01m10012611230000009999", order_number, 0))
        with pytest.raises(Unfit, match="wongate01m10012611230000009999 has a cancel and no payment"):
            await listed_settle(world, whole, Theirs("wongate01m10012611230000009999", "", -300))
        assert [(300, "processing", "29999")] == await refunds(sale)


async def test_a_list_of_less_than_an_hour_after_the_last_sign_settles_nothing(open_world: OpenWorld):
    """The cancel may have been on its way when the list was made, however long ago that is."""
    async with open_world() as world:
        sale = await world.paid_sale()
        before = world.clock.now()
        await unknown_refund(sale, 300, done=True)
        await nothing_is_settled(world, await truth(sale))
        await world.pass_time(QUIET_S, step_s=300)
        for late_s in (-60, 0, 3599):
            await nothing_is_settled(world, await entry(sale, 1000), until=before + timedelta(seconds=late_s))
        assert [(300, End.DONE)] == await listed_settle(
            world, await truth(sale), until=before + timedelta(seconds=QUIET_S)
        )


async def test_an_hour_that_only_the_clock_has_gone_through_does_not_count(open_world: OpenWorld):
    """Set forward, it skips the hour but not the eight looks."""
    async with open_world() as world:
        sale = await world.paid_sale()
        await unknown_refund(sale, 300, done=False)
        await world.pass_time(4000, step_s=4000)
        await nothing_is_settled(world, await truth(sale))


async def test_a_refund_done_since_the_list_was_made_is_not_taken_for_the_open_one(open_world: OpenWorld):
    """Both of 300 won: a list of before the second one says "not done" of the first although it was."""
    async with open_world() as world:
        sale = await quiet_unknown_refund(world, done=True)
        old, made_at = await truth(sale), world.clock.now()
        assert 700 == old.amount
        await sale.fault("cancel", "override", fields={"RemainAmt": "?"})  # which would tell as well
        await sale.refund(payment__amount=300, payment__currency="KRW", payment__description="another")
        await world.work()
        assert ["processing", "success"] == [status for _, status, _ in await refunds(sale)]
        await nothing_is_settled(world, old, until=made_at)
        await world.pass_time(QUIET_S, step_s=300)
        await nothing_is_settled(world, old, until=made_at)
        assert [(300, End.DONE)] == await listed_settle(world, await truth(sale))


class KeptBack(Nicepay):
    """The answer to a cancel is on its way until it is let through."""

    def __init__(self, world: World) -> None:
        super().__init__(world.platform.http, world.clock)
        self.done, self.through = asyncio.Event(), asyncio.Event()

    async def cancel(self, *arguments: Any, **named: Any) -> tuple[Outcome, Exchange]:
        answer = await super().cancel(*arguments, **named)
        self.done.set()
        await self.through.wait()
        return answer


async def test_while_a_cancel_is_under_way_nothing_is_settled(open_world: OpenWorld):
    """Of 300 won too: done at the provider and not yet booked here, it looks like the open one."""
    async with open_world() as world:
        sale = await quiet_unknown_refund(world, done=False)
        provider = KeptBack(world)
        world.platform.providers = {"nicepay": provider}
        await sale.refund(payment__amount=300, payment__currency="KRW", payment__description="another")
        working = asyncio.create_task(world.work())
        await provider.done.wait()
        told = await truth(sale)
        assert 700 == told.amount
        assert [] == await listed_settle(world, told, until=world.clock.now() + timedelta(hours=3))
        provider.through.set()
        await working
        await world.pass_time(180, step_s=60)
        assert 600 == await cancelled(sale)


async def test_a_refund_of_all_that_is_left_is_left_to_the_inquiry(open_world: OpenWorld):
    async with open_world() as world:
        sale = await world.paid_sale()
        await sale.fault("inquiry", "http_500", times="always")
        await sale.fault("cancel", "reset")
        await sale.refund()
        await world.pass_time(QUIET_S, step_s=300)
        await nothing_is_settled(world, await truth(sale))
        await world.simulator.control("DELETE", "faults")
        await world.pass_time(600, step_s=60)
        assert ("refunded", 0) == await payment(sale)


async def test_nobody_waits_behind_a_repetition_that_can_never_be(open_world: OpenWorld):
    """Found by simulation: NICEPAY asks for the cancel again (2056), and somebody cancels all of the payment there."""
    async with open_world() as world:
        sale = await world.paid_sale()
        await sale.fault("cancel", "code", code="2056")
        await sale.refund(payment__amount=300, payment__currency="KRW")
        await world.work()
        await cancel_elsewhere(sale)
        await sale.refund(payment__amount=200, payment__currency="KRW")
        await world.pass_time(QUIET_S, step_s=300)
        assert [(300, "processing", "29999"), (200, "decline", "20701")] == await refunds(sale)
        assert "refunded outside the platform" == (await sale.row())["flag"]
        await nothing_is_settled(world, await truth(sale))


# --- once, and with a name ---


class OvertakenDoor(Door):
    """Somebody else goes through the door between the look and the lock."""

    def __init__(self, world: World, meanwhile: Callable[[], Awaitable[Any]]) -> None:
        super().__init__(world.platform)
        self._meanwhile = meanwhile

    async def settle(self, project: Any, payment_no: int, decide: Any, seen: Any = None) -> Any:
        await self._meanwhile()
        return await super().settle(project, payment_no, decide, seen)


async def test_what_somebody_has_booked_since_the_look_stays_booked(open_world: OpenWorld):
    async with open_world() as world:
        sale = await quiet_unknown_refund(world, done=False)

        async def booked_by_hand() -> None:
            project, refund = await world.platform.project(PROJECT_ID), (await sale.operations())[-1]
            assert project is not None
            async with world.platform.database.read() as tx:
                found = await payments.by_key(tx, PROJECT_ID, payment_key(sale.payment_id))
            assert found is not None
            seq, number = refund["seq"], refund["operation_id"]
            await by_hand.settle_refund(
                world.platform, world.door, OPERATOR, project, found, number, seq=seq, done=False
            )

        door = OvertakenDoor(world, booked_by_hand)
        assert [] == await listed_settle(world, await truth(sale), door=door)
        await world.pass_time(600, step_s=60)
        assert ["decline"] == [status for _, status, _ in await refunds(sale)]
        assert 0 == await cancelled(sale)


async def test_a_payment_that_has_moved_since_the_look_is_left_to_the_next_run(open_world: OpenWorld):
    """Even by a step that would change nothing in the verdict."""
    async with open_world() as world:
        sale = await quiet_unknown_refund(world, done=True)

        async def another_is_asked_for() -> None:
            await sale.refund(payment__amount=200, payment__currency="KRW")

        door = OvertakenDoor(world, another_is_asked_for)
        assert [] == await listed_settle(world, await truth(sale), door=door)
        assert ["processing", "processing"] == [status for _, status, _ in await refunds(sale)]
        assert [(300, End.DONE)] == await listed_settle(world, await truth(sale))


@pytest.mark.parametrize("done", [True, False])
async def test_a_second_run_changes_nothing(open_world: OpenWorld, done: bool):
    async with open_world() as world:
        sale = await quiet_unknown_refund(world, done=done)
        told = await truth(sale)
        assert 1 == len(await listed_settle(world, told))
        await nothing_is_settled(world, told)
        await world.pass_time(600, step_s=60)
        await nothing_is_settled(world, told)
        assert 300 == await cancelled(sale)


async def test_two_operators_at_once_settle_a_refund_once(open_world: OpenWorld):
    async with open_world() as world:
        sale = await quiet_unknown_refund(world, done=False)
        told = await truth(sale)
        both = await asyncio.gather(
            listed_settle(world, told), listed_settle(world, told, door=Door(world.platform))
        )
        assert [(300, End.SENT_AGAIN)] == both[0] + both[1]
        await world.pass_time(600, step_s=60)
        assert 300 == await cancelled(sale)


async def test_list_and_operator_stand_in_the_payments_history(open_world: OpenWorld):
    async with open_world() as world:
        sale = await quiet_unknown_refund(world, done=True)
        await listed_settle(world, await truth(sale))
        (word,) = await world.rows(
            "SELECT request, response, verdict FROM exchange WHERE kind = 'settlement_list'"
        )
        assert ("november.csv", "700", "700 won left") == (
            word["request"]["list"],
            word["response"]["left"],
            word["verdict"],
        )
        (deed,) = await world.rows("SELECT actor, action, object, after FROM audit_entry")
        row = await sale.row()
        assert (
            "operator",
            "refund settled by list",
            f"payment/{PROJECT_ID}/{row['payment_no']}",
            "done",
        ) == (
            deed["actor"],
            deed["action"],
            deed["object"],
            deed["after"]["outcome"],
        )


async def test_the_audit_wants_the_list_behind_what_it_settled(open_world: OpenWorld):
    async with open_world() as world:
        sale = await quiet_unknown_refund(world, done=True)
        await listed_settle(world, await truth(sale))
        async with world.platform.database.transaction() as tx:
            assert [] == await found_in(tx)
        for damage in (
            "UPDATE exchange SET response = '{\"left\": \"701\"}' WHERE project_id = 1001 AND kind = 'settlement_list'",
            "DELETE FROM exchange WHERE project_id = 1001 AND kind = 'settlement_list'",
        ):
            async with world.platform.database.transaction() as tx:
                await tx.execute(damage)
            async with world.platform.database.transaction() as tx:
                found = await found_in(tx)
            assert ["refund approved without a word of the provider"] == [f.text for f in found]


# --- the command ---


@pytest.fixture
def wongate(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> CommandLine:
    return CommandLine(monkeypatch, capsys)


async def run(wongate: CommandLine, world: World, *arguments: str) -> tuple[int, str]:
    """`wongate reconcile` by the clock of the simulator, which the test has moved."""
    wongate.environment.setenv("WONGATE_CLOCK_FILE", str(world.simulator.clock_file))
    return await wongate.run(world, "reconcile", *arguments)


AGREED = "only ours: 0, only theirs: 0, different: 0, unresolved: 0"


@pytest.mark.parametrize("done, left, end", [(True, 700, "done"), (False, 1000, "not done: sent again")])
async def test_a_file_settles_and_the_table_says_what(
    open_world: OpenWorld, wongate: CommandLine, tmp_path: Path, done: bool, left: int, end: str
):
    async with open_world() as world:
        sale = await quiet_unknown_refund(world, done=done)
        file = await settlement(world, tmp_path / "s.csv", f"{await tid(sale)},{await sale.moid()},{left},0")
        until = ("--complete-until", world.clock.now().isoformat())
        code, said = await run(wongate, world, "--file", str(file), "--settle", *until)
        assert (0, f"{AGREED}, settled: 1") == (code, said.splitlines()[-1]), said
        assert f"{sale.payment_id} " in said
        assert end in said
        await world.pass_time(180, step_s=60)
        assert (("partially refunded", 700), 300) == (await payment(sale), await cancelled(sale))
        file = await settlement(world, tmp_path / "s.csv", f"{await tid(sale)},,1000,300")
        until = ("--complete-until", world.clock.now().isoformat())
        code, said = await run(wongate, world, "--file", str(file), "--settle", *until)
        assert (0, f"{AGREED}, settled: 0\n") == (code, said)


async def test_the_simulators_books_settle(open_world: OpenWorld, wongate: CommandLine):
    async with open_world() as world:
        sale = await quiet_unknown_refund(world, done=False)
        young = await world.paid_sale()
        await unknown_refund(young, 300, done=True)
        _, said = await run(wongate, world, "--simulator", world.simulator.url, "--settle")
        assert "settled: 1" == said.splitlines()[-1].rpartition(", ")[2], said
        assert "not done: sent again" in said
        await world.pass_time(180, step_s=60)
        assert [(300, "success", "0")] == await refunds(sale)
        assert [(300, "processing", "29999")] == await refunds(young)


async def test_without_settle_nothing_is_settled(open_world: OpenWorld, wongate: CommandLine):
    async with open_world() as world:
        sale = await quiet_unknown_refund(world, done=True)
        _, said = await run(wongate, world, "--simulator", world.simulator.url)
        assert "settled" not in said
        assert [(300, "processing", "29999")] == await refunds(sale)


async def test_only_sales_since_a_moment_are_settled(
    open_world: OpenWorld, wongate: CommandLine, tmp_path: Path
):
    async with open_world() as world:
        sale = await quiet_unknown_refund(world, done=True)
        file = await settlement(world, tmp_path / "s.csv", f"{await tid(sale)},,700,0")
        now = world.clock.now().isoformat()
        arguments = ("--file", str(file), "--settle", "--complete-until", now)
        code, said = await run(wongate, world, *arguments, "--since", now)
        assert (0, f"{AGREED}, settled: 0\n") == (code, said)
        assert [(300, "processing", "29999")] == await refunds(sale)


async def test_what_cannot_be_settled_by_is_said_in_one_line(
    open_world: OpenWorld, wongate: CommandLine, tmp_path: Path
):
    async with open_world() as world:
        sale = await quiet_unknown_refund(world, done=True)
        file = str(await settlement(world, tmp_path / "s.csv", f"{await tid(sale)},,700,0"))
        apart = str(
            await settlement(world, tmp_path / "apart.csv", f"{await tid(sale)},,1000,0", "T9,,0,300")
        )
        now = world.clock.now()
        tomorrow, now_text = (now + timedelta(days=1)).isoformat(), now.isoformat()
        for said, arguments in (
            ("an inquiry tells no amount", ("--settle",)),
            ("needs --complete-until", ("--file", file, "--settle")),
            ("goes with --file", ("--complete-until", now_text)),
            ("is yet to come", ("--file", file, "--complete-until", tomorrow)),
            (
                "goes with --file",
                ("--simulator", world.simulator.url, "--settle", "--complete-until", now_text),
            ),
            ("is yet to come", ("--file", file, "--settle", "--complete-until", tomorrow)),
            (
                "TID T9 has a cancel and no payment",
                ("--file", apart, "--settle", "--complete-until", now_text),
            ),
        ):
            code, printed = await run(wongate, world, *arguments)
            assert (2, 1, True) == (code, printed.count("\n"), said in printed), printed
        assert [(300, "processing", "29999")] == await refunds(sale)
        assert 0 == await world.value("SELECT count(*) FROM audit_entry")


def test_help_shows_how_a_list_settles(capsys: pytest.CaptureFixture[str]):
    from wongate.command_line import parser

    with pytest.raises(SystemExit):
        parser().parse_args(["reconcile", "--help"])
    said = " ".join(capsys.readouterr().out.split())
    assert (
        "wongate reconcile --file settlement.csv --settle --complete-until 2026-11-22T23:59:59+09:00" in said
    )
