"""The sums against the raw rows, added up a second time in plain Python, after a story that crosses midnight and month's end."""

from collections import defaultdict
from collections.abc import Callable, Hashable
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.web.payer import Payer, page_path, window_of
from tests.world import PROJECT_ID, OpenWorld, World

from wongate.domain.payment import FINISHED
from wongate.flows import roll_up

HOUR_S = 3600


async def add_up(world: World) -> None:
    while await roll_up.add_up(world.platform):
        pass


async def live(world: World, hours: float, step_s: float = 900) -> None:
    """Time goes by as it does with a worker: everything that is due happens, and the sums follow."""
    for _ in range(round(hours * HOUR_S / step_s)):
        await world.pass_time(step_s, step_s)
        await add_up(world)


async def go_to_the_end_of_the_month(world: World) -> None:
    now = world.clock.now().astimezone(UTC)
    end = (now.replace(day=1, hour=0, minute=0, second=0, microsecond=0) + timedelta(days=32)).replace(day=1)
    world.clock.advance((end - now).total_seconds() - 20 * 60)


def cut(at: datetime, unit: str) -> datetime:
    hour = at.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    day = hour.replace(hour=0)
    return {"hour": hour, "day": day, "month": day.replace(day=1)}[unit]


def summed(rows: list[Any], key: Callable[[Any], Hashable], *values: Callable[[Any], int]) -> dict[Any, Any]:
    sums: dict[Any, list[int]] = defaultdict(lambda: [0] * (len(values) + 1))
    for row in rows:
        for place, number in enumerate((1, *(value(row) for value in values))):
            sums[key(row)][place] += number
    return dict(sums)


async def check_customers(world: World, paid: list[Any], until: datetime, unit: str) -> None:
    """`paid`: the successful sales; a day or month is closed an hour after it has ended."""
    closed = cut(until - timedelta(hours=1), unit)
    rows = await world.rows(f"SELECT since, customer_id, source, sales, amount FROM customer_{unit}")
    assert summed(
        [sale for sale in paid if sale["at"] < closed],
        lambda sale: (cut(sale["at"], unit), sale["customer_id"], sale["source"]),
        lambda sale: sale["amount"],
    ) == {tuple(row)[:3]: list(row)[3:] for row in rows}


async def check(world: World) -> datetime:
    """Every sum, and that nothing is summed that is not closed. Answers up to where hours are."""
    until: datetime = await world.value("SELECT until FROM added_up")
    assert timedelta(minutes=10) <= world.clock.now() - until < timedelta(minutes=70)
    payments = await world.rows(
        "SELECT p.*, o.code FROM payment p JOIN operation o ON o.operation_id = p.sale_id WHERE p.created_at < $1",
        until,
    )
    assert summed(
        payments,
        lambda p: (
            *(cut(p["created_at"], "hour"), p["status"], p["code"], p["source"]),
            *(p["refunded"] + p["reserved"] > 0, p["status"] in FINISHED),
        ),
        lambda p: p["amount"],
        lambda p: p["captured"],
        lambda p: p["refunded"],
    ) == {
        tuple(row)[:6]: list(row)[6:]
        for row in await world.rows(
            "SELECT hour, status, code, source, with_refunds, finished, payments, amount, captured, refunded "
            "FROM payment_sum"
        )
    }
    ends = await world.rows(
        "SELECT t.at, t.code, t.status, t.payment_status, o.kind, o.amount, o.created_at, p.customer_id, p.source "
        "FROM transition t JOIN operation o USING (operation_id) JOIN payment p ON p.payment_no = o.payment_no "
        "WHERE t.final AND t.at < $1",
        until,
    )
    assert summed(
        ends,
        lambda e: (
            *(cut(e["at"], "hour"), e["kind"], e["code"], e["source"]),
            "error" if e["payment_status"] == "error" else e["status"],
        ),
        lambda e: e["amount"],
        lambda e: int(
            (e["at"].replace(microsecond=0) - e["created_at"].replace(microsecond=0)).total_seconds()
        ),
    ) == {
        tuple(row)[:5]: list(row)[5:]
        for row in await world.rows(
            "SELECT hour, kind, code, source, status, operations, amount, seconds FROM hourly"
        )
    }
    paid = [end for end in ends if (end["kind"], end["status"]) == ("sale", "success")]
    for unit in ("day", "month"):
        await check_customers(world, paid, until, unit)
    return until


async def test_sums_follow_sales_tries_refunds_and_midnights(open_world: OpenWorld) -> None:
    limits = {
        "limit_time_s": 7200,
        "try_again_window_s": 5400,
    }  # what lapses does so long after its hour is closed
    async with open_world(try_again=True, **limits) as world:
        await go_to_the_end_of_the_month(world)
        paid = [
            await world.paid_sale(customer__id=name, payment__amount=1000) for name in ("anna", "anna", "ben")
        ]
        declined = await world.sale(customer__id="carl")
        await declined.pay("cancel")
        await world.sale(customer__id="dora")  # nobody comes back: it times out after midnight
        payer = Payer(world)
        await payer.get(page_path(customer_id="emma"))
        await payer.choose(await payer.pay(), "cancel")
        given_up = Payer(world)
        await given_up.get(page_path(customer_id="fritz", payment_id="given up"))
        await given_up.choose(await given_up.pay(), "cancel")
        world.clock.advance(300)
        await payer.choose(window_of(await payer.press("/again")))
        await live(world, hours=1)
        waiting = "SELECT sum(payments)::int FROM payment_sum WHERE status = 'awaiting customer'"
        assert 1 == await world.value(waiting)
        await live(world, hours=2)
        assert not await world.value(waiting)
        first = await check(world)
        assert {"success", "decline"} == {
            row[0] for row in await world.rows("SELECT status FROM payment_sum")
        }
        await paid[0].refund(payment__amount=400, payment__currency="KRW")
        await add_up(world)  # the refund is under way
        await check(world)
        await live(world, hours=26, step_s=HOUR_S)
        await paid[1].refund()
        await world.paid_sale(customer__id="ben", payment__amount=5000)
        await live(world, hours=26, step_s=HOUR_S)
        assert first + timedelta(days=2) < await check(world)
        assert {"anna": 2, "ben": 1, "emma": 1} == dict(
            await world.rows("SELECT customer_id, sum(sales)::int FROM customer_month GROUP BY 1")
        )
        assert {(400, "partially refunded"), (1000, "refunded")} == {
            tuple(row)
            for row in await world.rows("SELECT refunded, status FROM payment_sum WHERE with_refunds")
        }


async def test_a_result_that_is_committed_long_after_its_moment_is_found_by_its_unfinished_hour(
    open_world: OpenWorld,
) -> None:
    """Its transition lies further back than a step looks, and nobody will wake its operation any more."""
    unfinished = "SELECT coalesce(sum(payments), 0)::int FROM payment_sum WHERE NOT finished"
    async with open_world(limit_time_s=4 * HOUR_S) as world:
        await world.sale()  # nobody comes back
        await live(world, hours=2)
        assert 1 == await world.value(unfinished)
        await world.pass_time(3 * HOUR_S, HOUR_S)
        async with world.platform.database.transaction() as tx:
            await tx.execute(
                "UPDATE transition SET at = at - interval '4 hours' WHERE project_id = $1 AND final",
                PROJECT_ID,
            )
        await add_up(world)
        assert 0 == await world.value(unfinished)
        assert "decline" == await world.value("SELECT status FROM payment_sum")


async def test_an_hour_in_which_sales_wait_is_added_up_anew_only_when_one_of_them_moves(
    open_world: OpenWorld,
) -> None:
    written = "SELECT string_agg(xmin::text, ' ' ORDER BY xmin::text) FROM payment_sum"
    async with open_world(limit_time_s=4 * HOUR_S) as world:
        await world.sale()  # nobody comes back
        await live(world, hours=2)
        once = await world.value(written)
        await world.pass_time(15, 15)
        await add_up(world)
        assert once == await world.value(written)
        await live(world, hours=2)
        assert "decline" == await world.value("SELECT status FROM payment_sum")
        await check(world)


async def test_a_worker_that_was_away_for_months_catches_up(open_world: OpenWorld) -> None:
    async with open_world() as world:
        await world.paid_sale(customer__id="anna")
        for _ in range(3):
            world.clock.advance(30 * 24 * HOUR_S)
            await world.paid_sale(customer__id="anna")
        world.clock.advance(40 * 24 * HOUR_S)
        await add_up(world)
        await check(world)
        assert 4 == await world.value("SELECT sum(sales)::int FROM customer_month")
