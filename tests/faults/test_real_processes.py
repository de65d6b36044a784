"""Real faults in real processes: what was acknowledged is kept, and afterwards the operator's two commands find nothing.

Faults come after so much business, not after so many seconds, and calls hang until they are interrupted: a slow machine takes
longer, and proves the same. `make test` runs a few of these with few payments, `make test-faults` all with many.
"""

import asyncio
import os
import random
import signal
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress

import aiohttp
import pytest
from tests.faults.shop import Shop, shop
from tests.faults.stage import HANG_GUARD_S, Stage
from tests.processes import eventually

PAYMENTS = int(os.environ.get("WONGATE_FAULT_PAYMENTS", "24"))
"""Payments of a run."""

REFUNDS = int(os.environ.get("WONGATE_FAULT_REFUNDS", "150"))
"""Refunds of one payment at the same time."""

SEED = int(os.environ.get("WONGATE_FAULT_SEED", "1"))

HANGS_S = 25.0
"""So long the provider keeps an answer back, which is less than the platform waits for it (30 s)."""

LIST_TELLS_AFTER_S = 4200
"""Of virtual time: a list tells of a refund an hour after its last sign, and after eight looks."""

Disturbing = Callable[[], Awaitable[int]]


async def under(merchant: Shop, disturb: Disturbing, *, every: int) -> int:
    """Disturbs the trade again and again, on average after `every` acknowledged requests and callbacks; how often."""
    chance, times = random.Random(SEED), 0
    trade = asyncio.create_task(merchant.trade(PAYMENTS, seed=SEED))
    supervisor = asyncio.create_task(supervise(merchant.stage))
    try:
        while not trade.done():
            going_on = asyncio.create_task(merchant.progresses(chance.randint(1, 2 * every)))
            await asyncio.wait([trade, going_on, supervisor], return_when=asyncio.FIRST_COMPLETED)
            going_on.cancel()
            if supervisor.done():
                await supervisor  # it never ends by itself
            await asyncio.sleep(chance.uniform(0, 0.05))  # not always right behind an answer
            times += 0 if trade.done() else await disturb()
        await trade
    finally:
        supervisor.cancel()
    return times


async def supervise(stage: Stage) -> None:
    """Starts again what has ended, as a supervisor of services does: `serve` ends when a process of its own cannot start."""
    while True:
        for name, program in stage.programs.items():
            if not program.runs:
                stage.restart(name)
        await asyncio.sleep(0.2)


async def kill_database(stage: Stage) -> int:
    os.kill(stage.server.pid, signal.SIGKILL)
    eventually(stage.server.ending)
    await asyncio.sleep(0.4)
    stage.server.start()
    return 1


async def afterwards(stage: Stage, merchant: Shop, what: str) -> None:
    stage.heal()
    passed_s = await stage.settle()
    await merchant.nothing_is_lost()
    await stage.books_hold()
    left = await only_lost_partial_refunds(merchant)
    await nothing_is_left_to_people(merchant)
    stage.measured(
        what,
        f"{len(merchant.accepted):,} acknowledged requests kept, {merchant.unanswered:,} unanswered, "
        f"{merchant.busy:,} answered 503; settled after {passed_s / 60:.0f} min of virtual time, {left} more by the provider's "
        "list, 0 left to people",
    )


async def only_lost_partial_refunds(merchant: Shop) -> int:
    """What may stay on the list of the unresolved, and how many: partial refunds that never reached the provider. An inquiry does
    not tell of them (N-11), no notice will come, and repeating one blindly might pay it out twice (N-12): the provider's own list
    decides."""
    left = await merchant.stage.left_over()
    books = {book["moid"]: book for book in await merchant.books()} if left else {}
    for refund in left:
        assert ("refund", "asking") == (refund["kind"], refund["stage"]), dict(refund)
        assert refund["amount"] < refund["captured"], "a whole refund ends by itself"
        assert refund["refunded"] == books[refund["order_number"]]["cancelled"], (
            "the provider has done it, and told us"
        )
    return len(left)


async def nothing_is_left_to_people(merchant: Shop) -> None:
    """The operator's timer has the provider's books settle what they tell of; the workers send again what was not done."""
    stage = merchant.stage
    if await stage.left_over():
        await stage.settle(LIST_TELLS_AFTER_S)
    code, said = await stage.command("reconcile", "--simulator", stage.simulator_url, "--settle")
    assert 0 == code, said
    await stage.settle()
    assert [] == await stage.left_over(), said
    await merchant.nothing_is_lost()
    await stage.books_hold()


@pytest.mark.faults
async def test_a_run_without_faults_leaves_sound_books(stage: Stage):
    async with shop(stage) as merchant:
        await merchant.trade(PAYMENTS, seed=SEED)
        await afterwards(stage, merchant, "no faults")
        assert 0 == merchant.unanswered + merchant.busy


@pytest.mark.faults
async def test_a_database_that_is_killed_under_load_loses_no_acknowledged_payment(stage: Stage):
    """kill -9 of PostgreSQL again and again; it recovers from its log (F18)."""
    async with shop(stage) as merchant:
        kills = await under(merchant, lambda: kill_database(stage), every=12)
        assert kills >= 1
        await afterwards(stage, merchant, f"PostgreSQL killed {kills} times")


IN_USE = "application_name = 'wongate' AND state <> 'idle'"
ANY = "application_name = 'wongate'"
GLANCES = 100
"""Looks for a connection in use before one at rest is cut: a statement takes a millisecond."""


@pytest.mark.faults
async def test_connections_that_are_cut_at_random_cost_nothing(stage: Stage):
    """pg_terminate_backend after every few answers, of a connection in the middle of its work where there is one (F18)."""
    in_use = 0

    async def cut_one() -> int:
        nonlocal in_use
        with suppress(OSError):
            for _ in range(GLANCES):
                if await cut(stage, IN_USE):
                    in_use += 1
                    return 1
            return await cut(stage, ANY)
        return 0

    async with shop(stage) as merchant:
        cuts = await under(merchant, cut_one, every=1)
        assert cuts >= 3
        assert in_use >= 1
        await afterwards(stage, merchant, f"{cuts} connections cut, {in_use} of them in use")


async def cut(stage: Stage, which: str) -> int:
    return len(
        await stage.rows(
            f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {which} ORDER BY random() LIMIT 1"
        )
    )


async def test_a_kill_of_any_process_at_any_moment_leaves_sound_books(stage: Stage):
    """kill -9 of serve as a whole, of one of its processes, of either worker, of the provider, of PostgreSQL."""
    chance = random.Random(SEED)

    async def kill_one() -> int:
        victim = chance.choice([*stage.programs, "one server process", "PostgreSQL"])
        if victim == "one server process":
            for pid in chance.sample(pids := stage.programs["serve"].children(), min(1, len(pids))):
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        elif victim == "PostgreSQL":
            await kill_database(stage)
        else:
            stage.programs[victim].kill()
        return 1

    async with shop(stage) as merchant:
        kills = await under(merchant, kill_one, every=12)
        assert kills >= 1
        await afterwards(stage, merchant, f"{PAYMENTS:,} payments, {kills} processes killed")


@pytest.mark.faults
@pytest.mark.parametrize("call", ["approve", "cancel"])
async def test_a_kill_in_the_middle_of_a_call_is_found_out_by_asking(stage: Stage, call: str):
    """The provider has done it, our process dies before it can write that down (F3, F12)."""
    async with shop(stage) as merchant:
        payment_id = await merchant.sale(0)
        if call == "cancel":
            await merchant.pay(payment_id)
            assert await merchant.callback(payment_id, "success")
        await arm(merchant, {"on": call, "kind": "hang_after", "seconds": HANGS_S})
        if call == "approve":
            paying = asyncio.create_task(merchant.pay(payment_id))
            await until_books(merchant, payment_id, "approvals")
            stage.restart("serve")
            await paying
        else:
            await merchant.refund(payment_id)
            await until_books(merchant, payment_id, "cancelled")
            for name in ("worker 1", "worker 2"):
                stage.restart(name)
        await afterwards(stage, merchant, f"killed during {call}")
        (row,) = await stage.rows("SELECT status FROM payment WHERE payment_id = $1", payment_id)
        assert {"approve": "decline", "cancel": "refunded"}[call] == row["status"]


@pytest.mark.faults
async def test_a_worker_frozen_past_its_lease_changes_nothing_when_it_wakes(stage: Stage):
    """SIGSTOP in the middle of a refund's call; another worker takes over and finds out; SIGCONT (F19)."""
    async with shop(stage) as merchant:
        payment_id = await merchant.sale(0)
        await merchant.pay(payment_id)
        assert await merchant.callback(payment_id, "success")
        stage.programs["worker 2"].kill()
        await arm(merchant, {"on": "cancel", "kind": "hang_after", "seconds": HANGS_S})
        await merchant.refund(payment_id)
        await until_books(merchant, payment_id, "cancelled")
        stage.programs["worker 1"].freeze()
        assert "cancelling" == await stage_of(stage, payment_id)
        stage.advance(130)
        stage.restart("worker 2")

        async def is_done() -> bool:
            return await stage_of(stage, payment_id) == "done"

        await until(is_done)
        told = await merchant.callback(payment_id, "refunded")
        stage.programs["worker 1"].thaw()
        stage.advance(130)
        other = await merchant.sale(1)  # the thawed worker is at work again when this one is told
        stage.programs["worker 2"].kill()
        await merchant.callback(other, "awaiting redirect result")
        await afterwards(stage, merchant, "worker frozen for 130 s")
        assert told is not None
        assert 1 == sum(body["payment"]["status"] == "refunded" for body in merchant.callbacks[payment_id])
        (books,) = [
            book for book in await merchant.books() if book["moid"] == await order_of(stage, payment_id)
        ]
        assert 1000 == books["cancelled"]


async def test_refunds_at_once_from_four_processes_never_exceed_the_payment(stage: Stage):
    """Requests of 100 to 999 won for far more than was paid, spread over four server processes by the kernel; a thousand in
    `make test-faults`."""
    chance, total = random.Random(SEED), 20 * REFUNDS
    async with shop(stage) as merchant:
        payment = {"amount": total, "currency": "KRW"}
        payment_id = await merchant.sale(0, payment=payment)
        await merchant.pay(payment_id)
        assert await merchant.callback(payment_id, "success")
        refunds = [
            {"amount": chance.randint(100, 999), "currency": "KRW", "description": f"refund {n}"}
            for n in range(REFUNDS)
        ]

        async def post(wanted: dict[str, object]) -> None:
            body = {
                "general": {"project_id": 1001, "payment_id": payment_id},
                "payment": wanted,
                "callback": {"force_disable": 1},
            }
            status, answer = await merchant.post("/v2/payment/wallet/payco/refund", body)
            assert 200 == status, answer
            merchant.accepted[answer["request_id"]] = payment_id

        await asyncio.gather(*(post(wanted) for wanted in refunds))
        await stage.settle()
        (row,) = await stage.rows(
            "SELECT count(*) FILTER (WHERE o.status = 'success') AS done, count(*) AS asked, "
            "sum(o.amount) FILTER (WHERE o.status = 'success') AS won, max(p.refunded) AS booked, "
            "min(o.amount) FILTER (WHERE o.status = 'decline') AS refused FROM operation o "
            "JOIN payment p USING (project_id, payment_no) WHERE o.kind = 'refund' AND p.payment_id = $1",
            payment_id,
        )
        (books,) = [b for b in await merchant.books() if b["amount"] == total]
        assert REFUNDS == row["asked"]
        assert row["won"] == row["booked"] == books["cancelled"] <= total
        assert total - row["won"] < row["refused"]  # there was no room for any of those that were refused
        await stage.books_hold()
        stage.measured(
            f"{REFUNDS:,} refunds of one payment", f"{row['done']} done, {row['won']:,} of {total:,} won"
        )


async def arm(merchant: Shop, fault: dict[str, object]) -> None:
    async with merchant.http.post(f"{merchant.stage.simulator_url}/control/faults", json=fault) as answer:
        assert 201 == answer.status, await answer.text()


async def order_of(stage: Stage, payment_id: str) -> str:
    (row,) = await stage.rows(
        "SELECT o.order_number FROM operation o JOIN payment p USING (project_id, payment_no) "
        "WHERE p.payment_id = $1 AND o.kind = 'sale'",
        payment_id,
    )
    number: str = row["order_number"]
    return number


async def until_books(merchant: Shop, payment_id: str, what: str) -> None:
    """Waits until the provider has done it, whoever knows that."""
    order = await order_of(merchant.stage, payment_id)

    async def done() -> bool:
        return any(book[what] for book in await merchant.books() if book["moid"] == order)

    await until(done)


async def until(holds: Callable[[], Awaitable[bool]]) -> None:
    deadline = time.monotonic() + HANG_GUARD_S
    while not await holds():
        assert time.monotonic() < deadline, "this has not come about"
        await asyncio.sleep(0.05)


async def stage_of(stage: Stage, payment_id: str) -> str | None:
    """Where the payment's latest operation stands."""
    rows = await stage.rows(
        "SELECT o.stage FROM operation o JOIN payment p USING (project_id, payment_no) WHERE p.payment_id = $1 "
        "ORDER BY operation_id DESC LIMIT 1",
        payment_id,
    )
    return rows[0]["stage"] if rows else None


async def test_four_processes_serve_one_port(stage: Stage):
    """What the other tests stand on: the kernel spreads connections over four processes."""
    assert 4 == len(stage.programs["serve"].children())
    async with aiohttp.ClientSession() as http, http.get(f"{stage.gate_url}/readyz") as answer:
        assert 200 == answer.status
