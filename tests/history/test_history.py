"""The made-up past holds every invariant that a real one holds, and is made up once."""

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from tests import invariants
from tests.world import PROJECT_ID, SECRET, OpenWorld, World

from wongate.connections.clock import Clock
from wongate.history import chances
from wongate.history.fill import TooLong, Wish, fill
from wongate.reports.invariants import findings


class Noon:
    """Of a day before which there were outages of the shop: few as they are, some ninety days hold none."""

    def now(self) -> datetime:
        return datetime(2026, 11, 23, 12, tzinfo=UTC)


async def filled(
    world: World,
    days: int,
    per_day: int,
    told: list[tuple[int, int]] | None = None,
    clock: Clock | None = None,
) -> int:
    project = await world.platform.project(PROJECT_ID)
    assert project is not None
    notes: list[tuple[int, int]] = [] if told is None else told
    platform = replace(world.platform, clock=clock or world.clock)
    return await fill(platform, project, world.database_url, Wish(days, per_day), lambda *n: notes.append(n))


async def test_the_past_holds_the_invariants_of_a_real_one(open_world: OpenWorld) -> None:
    async with open_world(audited=False) as world:
        made = await filled(world, days=20, per_day=60)
        assert await world.value("SELECT count(*) FROM payment") == made
        payments = await world.rows("SELECT * FROM payment")
        operations: dict[int, list[Any]] = {payment["payment_no"]: [] for payment in payments}
        for operation in await world.rows("SELECT * FROM operation ORDER BY operation_id"):
            operations[operation["payment_no"]].append(operation)
        for payment in payments:
            invariants._sums(payment, operations[payment["payment_no"]])
        await invariants._histories(world)
        await invariants._callbacks(world)
        await invariants._ledger(world, payments, operations)


async def test_an_audit_of_the_past_finds_nothing_broken(
    open_world: OpenWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where something is unresolved: one payment in ten thousand otherwise."""

    async def secrets(project_id: int) -> list[str]:
        return [SECRET]

    monkeypatch.setattr(chances, "UNRESOLVED_SHARE", 0.2)
    async with open_world(audited=False) as world:
        await filled(world, days=3, per_day=20)
        async with world.platform.database.transaction() as tx:
            broken = [finding async for finding in findings(tx, secrets)]
        assert [] == broken
        assert 0 < await world.value("SELECT count(*) FROM operation WHERE stage = 'returning'")


async def test_a_second_start_adds_nothing_and_a_longer_wish_only_the_rest(open_world: OpenWorld) -> None:
    async with open_world(audited=False) as world:
        first = await filled(world, days=4, per_day=20)
        before = await world.fingerprint()
        world.clock.advance(3 * 86_400)
        assert 0 == await filled(world, days=4, per_day=20)
        assert before == await world.fingerprint()
        told: list[tuple[int, int]] = []
        more = await filled(world, days=6, per_day=20, told=told)
        assert ([(1, 2), (2, 2)], first + more) == (told, await world.value("SELECT count(*) FROM payment"))


async def test_nothing_in_it_waits_for_a_worker(open_world: OpenWorld) -> None:
    async with open_world(audited=False) as world:
        await filled(world, days=16, per_day=150)
        before = await world.fingerprint()
        await world.work()
        assert before == await world.fingerprint()
        assert [] == world.merchant.received
        assert await world.value("SELECT max(at) FROM transition") < world.clock.now()


async def test_it_has_what_people_look_for(open_world: OpenWorld) -> None:
    async with open_world(audited=False) as world:
        made = await filled(world, days=90, per_day=100, clock=Noon())
        statuses = Counter(row[0] for row in await world.rows("SELECT status FROM payment"))
        paid = statuses["success"] + statuses["refunded"] + statuses["partially refunded"]
        assert 0.84 < paid / made < 0.90
        assert 0.02 < (statuses["refunded"] + statuses["partially refunded"]) / paid < 0.06
        assert 8 <= await world.value("SELECT count(DISTINCT code) FROM operation WHERE status = 'decline'")
        assert 0 < await world.value(
            "SELECT count(*) FROM callback WHERE failures > 0 AND state = 'delivered'"
        )
        hours = Counter(
            row[0]
            for row in await world.rows(
                "SELECT extract(hour FROM created_at AT TIME ZONE 'Asia/Seoul')::int FROM payment"
            )
        )
        assert hours[21] > 8 * hours[4]
        assert await world.value("SELECT bool_and(request ->> 'made_up' = 'true') FROM payment")


async def test_live_payments_go_on_beside_it(open_world: OpenWorld) -> None:
    async with open_world(audited=False) as world:
        await filled(world, days=3, per_day=30)
        sale = await world.paid_sale()
        assert "success" == (await sale.row())["status"]


async def test_a_refund_of_a_made_up_payment_is_declined_because_nobody_knows_it(
    open_world: OpenWorld,
) -> None:
    async with open_world(audited=False) as world:
        await filled(world, days=3, per_day=30)
        payment_id = await world.value("SELECT payment_id FROM payment WHERE status = 'success' LIMIT 1")
        answer = await world.post("/v2/payment/wallet/payco/refund", world.refund_body(payment_id))
        assert 200 == answer.status
        await world.pass_time(600, step_s=30)
        row = (
            await world.rows(
                "SELECT status, code FROM operation WHERE request_id = $1", answer.body["request_id"]
            )
        )[0]
        assert ("decline", 20703) == tuple(row)


async def test_the_past_does_not_begin_before_our_numbers(open_world: OpenWorld) -> None:
    async with open_world(audited=False) as world:
        with pytest.raises(TooLong, match="2024-01-01"):
            await filled(world, days=5000, per_day=1)
