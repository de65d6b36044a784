"""Real faults in real processes: what was acknowledged is kept, and afterwards the operator's two commands find nothing.

`make test-faults` runs the same with more payments.
"""

import asyncio
import os
import random
import signal
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import aiohttp
import pytest
from tests.faults.stage import Shop, Stage, shop
from tests.processes import eventually

pytestmark = pytest.mark.story

pytestmark = pytest.mark.faults

PAYMENTS = int(os.environ.get("WONGATE_FAULT_PAYMENTS", "40"))
"""Payments of a run; `make test-faults` takes 1,000."""

SEED = int(os.environ.get("WONGATE_FAULT_SEED", "1"))

Disturbing = Callable[[], Awaitable[int]]


async def under(trading: Awaitable[None], disturb: Disturbing, *, pause_s: tuple[float, float]) -> int:
    """Disturbs again and again while the trade goes on; how often."""
    chance, times = random.Random(SEED), 0
    task = asyncio.ensure_future(trading)
    while not task.done():
        await asyncio.wait([task], timeout=chance.uniform(*pause_s))
        if not task.done():
            times += await disturb()
    await task
    return times


async def afterwards(stage: Stage, merchant: Shop, what: str) -> None:
    stage.heal()
    steps = await stage.settle()
    await merchant.nothing_is_lost()
    await stage.books_hold()
    stage.measured(
        what,
        f"{len(merchant.accepted)} acknowledged requests kept, {merchant.unanswered} unanswered, {merchant.busy} answered 503; "
        f"settled after {steps} min of virtual time",
    )


async def test_a_run_without_faults_leaves_sound_books(stage: Stage):
    async with shop(stage) as merchant:
        await merchant.trade(PAYMENTS, seed=SEED)
        await afterwards(stage, merchant, "no faults")
        assert 0 == merchant.unanswered + merchant.busy


async def test_a_database_that_is_killed_under_load_loses_no_acknowledged_payment(stage: Stage):
    """kill -9 of PostgreSQL again and again; it recovers from its log (F18)."""

    async def kill_database() -> int:
        os.kill(stage.server.pid, signal.SIGKILL)
        eventually(stage.server.ending)
        await asyncio.sleep(0.4)
        stage.server.start()
        return 1

    async with shop(stage) as merchant:
        kills = await under(merchant.trade(PAYMENTS, seed=SEED), kill_database, pause_s=(0.1, 0.6))
        assert kills >= 1
        await afterwards(stage, merchant, f"PostgreSQL killed {kills} times")


async def test_connections_that_are_cut_at_random_cost_nothing(stage: Stage):
    """pg_terminate_backend of a random connection of ours, many times a second (F18)."""

    async def cut_one() -> int:
        with suppress(OSError):
            rows = await stage.rows(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'wongate' "
                "ORDER BY random() LIMIT 1"
            )
            return len(rows)
        return 0

    async with shop(stage) as merchant:
        cuts = await under(merchant.trade(PAYMENTS, seed=SEED), cut_one, pause_s=(0.02, 0.1))
        assert cuts >= 10
        await afterwards(stage, merchant, f"{cuts} connections cut")


async def test_a_kill_of_any_process_at_any_moment_leaves_sound_books(stage: Stage):
    """kill -9 of serve as a whole, of one of its processes, of either worker, of the provider."""
    chance = random.Random(SEED)

    async def kill_one() -> int:
        victim = chance.choice(["serve", "one server process", "worker 1", "worker 2", "simulator"])
        if victim == "one server process":
            for pid in chance.sample(pids := stage.programs["serve"].children(), min(1, len(pids))):
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            return 1
        stage.programs[victim].kill()
        await asyncio.sleep(chance.uniform(0, 0.3))
        stage.restart(victim)
        return 1

    async with shop(stage) as merchant:
        kills = await under(merchant.trade(3 * PAYMENTS, seed=SEED), kill_one, pause_s=(0.3, 1.2))
        assert kills >= 1
        await afterwards(stage, merchant, f"{kills} processes killed")


@pytest.mark.parametrize("call", ["approve", "cancel"])
async def test_a_kill_in_the_middle_of_a_call_is_found_out_by_asking(stage: Stage, call: str):
    """The provider has done it, our process dies before it can write that down (F3, F12)."""
    async with shop(stage) as merchant:
        payment_id = await merchant.sale(0)
        if call == "cancel":
            await merchant.pay(payment_id)
            assert await merchant.callback(payment_id, "success")
        await arm(merchant, {"on": call, "kind": "hang_after", "seconds": 2})
        if call == "approve":
            paying = asyncio.create_task(merchant.pay(payment_id))
            await until_stage(stage, payment_id, "approving")
            await asyncio.sleep(0.3)
            stage.restart("serve")
            await paying
        else:
            await merchant.refund(payment_id)
            await until_stage(stage, payment_id, "cancelling")
            await asyncio.sleep(0.3)
            for name in ("worker 1", "worker 2"):
                stage.restart(name)
        await afterwards(stage, merchant, f"killed during {call}")
        (row,) = await stage.rows("SELECT status FROM payment WHERE payment_id = $1", payment_id)
        assert {"approve": "decline", "cancel": "refunded"}[call] == row["status"]


async def test_a_worker_frozen_past_its_lease_changes_nothing_when_it_wakes(stage: Stage):
    """SIGSTOP in the middle of a refund's call; another worker takes over and finds out; SIGCONT (F19)."""
    async with shop(stage) as merchant:
        payment_id = await merchant.sale(0)
        await merchant.pay(payment_id)
        assert await merchant.callback(payment_id, "success")
        stage.programs["worker 2"].kill()
        await arm(merchant, {"on": "cancel", "kind": "hang_after", "seconds": 2})
        await merchant.refund(payment_id)
        await until_cancelled(merchant, payment_id)
        stage.programs["worker 1"].freeze()
        await asyncio.sleep(2.2)  # the provider has answered by now, and nobody listens
        stage.advance(130)
        stage.restart("worker 2")
        await until_stage(stage, payment_id, "done")
        told = await merchant.callback(payment_id, "refunded")
        stage.programs["worker 1"].thaw()
        await asyncio.sleep(0.5)
        await afterwards(stage, merchant, "worker frozen for 130 s")
        assert told is not None
        assert 1 == sum(body["payment"]["status"] == "refunded" for body in merchant.callbacks[payment_id])


async def test_a_thousand_refunds_at_once_from_four_processes_never_exceed_the_payment(stage: Stage):
    """Requests of 100 to 999 won against 20,000 won, spread over four server processes by the kernel."""
    chance, total = random.Random(SEED), 20_000
    async with shop(stage) as merchant:
        payment = {"amount": total, "currency": "KRW"}
        payment_id = await merchant.sale(0, payment=payment)
        await merchant.pay(payment_id)
        assert await merchant.callback(payment_id, "success")
        refunds = [
            {"amount": chance.randint(100, 999), "currency": "KRW", "description": f"refund {n}"}
            for n in range(1000)
        ]

        async def post(wanted: dict[str, object]) -> None:
            body = {
                "general": {"project_id": 1001, "payment_id": payment_id},
                "payment": wanted,
                "callback": {"force_disable": 1},
            }
            status, answer = await merchant.post("/v2/payment/wallet/payco/refund", body, limit_s=100)
            assert 200 == status, answer
            merchant.accepted[answer["request_id"]] = payment_id

        await asyncio.gather(*(post(wanted) for wanted in refunds))
        await stage.settle()
        (row,) = await stage.rows(
            "SELECT count(*) FILTER (WHERE o.status = 'success') AS done, count(*) AS asked, "
            "sum(o.amount) FILTER (WHERE o.status = 'success') AS won, max(p.refunded) AS booked FROM operation o "
            "JOIN payment p USING (project_id, payment_no) WHERE o.kind = 'refund' AND p.payment_id = $1",
            payment_id,
        )
        (books,) = [b for b in await books_of(merchant) if b["amount"] == total]
        assert 1000 == row["asked"]
        assert row["won"] == row["booked"] == books["cancelled"] <= total
        assert total - row["won"] < 100  # as much as the smallest request left room for
        await stage.books_hold()
        stage.measured("1,000 refunds of one payment", f"{row['done']} done, {row['won']:,} of {total:,} won")


async def arm(merchant: Shop, fault: dict[str, object]) -> None:
    async with merchant.http.post(f"{merchant.stage.simulator_url}/control/faults", json=fault) as answer:
        assert 201 == answer.status, await answer.text()


async def books_of(merchant: Shop) -> list[dict[str, Any]]:
    async with merchant.http.get(f"{merchant.stage.simulator_url}/control/books") as answer:
        books: list[dict[str, Any]] = (await answer.json())["books"]
        return books


async def until_cancelled(merchant: Shop, payment_id: str) -> None:
    """Waits until the provider has done it, whoever knows that."""
    (row,) = await merchant.stage.rows(
        "SELECT o.order_number FROM operation o JOIN payment p USING (project_id, payment_no) "
        "WHERE p.payment_id = $1 AND o.kind = 'sale'",
        payment_id,
    )
    for _ in range(300):
        if any(b["cancelled"] for b in await books_of(merchant) if b["moid"] == row["order_number"]):
            return
        await asyncio.sleep(0.05)
    raise AssertionError(f"{payment_id} is not cancelled")


async def until_stage(stage: Stage, payment_id: str, wanted: str) -> None:
    """Waits until the payment's latest operation stands there."""
    for _ in range(300):
        rows = await stage.rows(
            "SELECT o.stage FROM operation o JOIN payment p USING (project_id, payment_no) WHERE p.payment_id = $1 "
            "ORDER BY operation_id DESC LIMIT 1",
            payment_id,
        )
        if rows and rows[0]["stage"] == wanted:
            return
        await asyncio.sleep(0.05)
    raise AssertionError(f"{payment_id} is not {wanted}")


async def test_four_processes_serve_one_port(stage: Stage):
    """What the other tests stand on: the kernel spreads connections over four processes."""
    assert 4 == len(stage.programs["serve"].children())
    async with aiohttp.ClientSession() as http, http.get(f"{stage.gate_url}/readyz") as answer:
        assert 200 == answer.status
