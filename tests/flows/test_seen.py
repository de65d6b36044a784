"""Changes without a lock: decided on a payment as it was read, written only while it is still the same."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from tests.processes import until
from tests.world import PAGE_URL, OpenWorld, Sale, World

from wongate.connections.database import Database, Unavailable
from wongate.domain.outcome import Exchange
from wongate.domain.payment import Project
from wongate.flows import approve, sale
from wongate.flows.settle import Case, Door
from wongate.store.seen import Seen, read

WAITS_FOR_A_LOCK = (
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
)


class CountingDoor(Door):
    """Knows how many changes were decided under a lock."""

    def __init__(self, world: World) -> None:
        super().__init__(world.platform)
        self.locked = 0

    async def _settle(self, changes: Sequence[Any]) -> Sequence[Any]:
        self.locked += len(changes)
        return await super()._settle(changes)


class Counted:
    """A change that counts: one that is lost, or made on an old number, shows."""

    def __init__(self) -> None:
        self.runs = 0

    def __call__(self, case: Case) -> int:
        self.runs += 1
        return case.change(case.sale, attempt=case.sale.attempt + 1).attempt


async def looked_at(world: World, one: Sale) -> tuple[Project, Seen]:
    row = await one.row()
    async with world.platform.database.read() as tx:
        seen = await read(tx, row["project_id"], row["sale_id"])
    project = await world.platform.project(row["project_id"])
    assert seen is not None
    assert project is not None
    return project, seen


async def count(door: Door, project: Project, seen: Seen, decide: Callable[[Case], int] | None = None) -> int:
    return await door.settle(project, seen.payment.payment_no, decide or Counted(), seen)


async def test_a_return_takes_the_money_without_a_lock(open_world: OpenWorld):
    async with open_world() as world:
        door, one = CountingDoor(world), await world.sale()
        result = await one.choose()
        token = (await one.return_url()).removeprefix(f"{PAGE_URL}/return/nicepay/")
        found = await sale.find_by_token(world.platform, token)
        assert found is not None
        payment = await approve.customer_returned(world.platform, door, found, result)
        assert payment is not None
        assert (0, "success", 1000) == (door.locked, payment.status, payment.captured)
        assert found.seen.payment == payment == (await looked_at(world, one))[1].payment


async def test_what_was_left_can_be_changed_again(open_world: OpenWorld):
    """As often as one likes: each change leaves the versions that the next one needs."""
    async with open_world() as world:
        door, (project, seen) = CountingDoor(world), await looked_at(world, await world.sale())
        assert [1, 2, 3] == [await count(door, project, seen) for _ in range(3)]
        assert 0 == door.locked


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE payment SET flag = flag WHERE project_id = $1 AND payment_no = $2",
        "UPDATE operation SET attempt = attempt + 10 WHERE project_id = $1 AND payment_no = $2",
    ],
)
async def test_what_somebody_has_changed_since_is_decided_anew(open_world: OpenWorld, statement: str):
    async with open_world() as world:
        door, (project, seen) = CountingDoor(world), await looked_at(world, await world.sale())
        async with world.platform.database.transaction() as tx:
            await tx.execute(statement, project.project_id, seen.payment.payment_no)
        attempt, counted = 10 if "attempt" in statement else 0, Counted()
        assert attempt + 1 == await count(door, project, seen, counted)
        assert (1, 2, True) == (door.locked, counted.runs, seen.stale)
        assert attempt + 2 == await count(door, project, seen)
        assert 2 == door.locked


@pytest.mark.parametrize(
    "statement, attempt, locked",
    [
        ("UPDATE operation SET attempt = 10 WHERE project_id = $1 AND payment_no = $2", 11, 1),
        ("UPDATE payment SET flag = 'odd' WHERE project_id = $1 AND payment_no = $2", 1, 1),
        ("", 1, 0),
    ],
)
async def test_whoever_holds_the_lock_goes_first(
    open_world: OpenWorld, statement: str, attempt: int, locked: int
):
    """The change waits for the other's lock, and then sees what the other has made of the payment: it has begun before."""
    async with open_world() as world:
        door, (project, seen) = CountingDoor(world), await looked_at(world, await world.sale())
        place = (project.project_id, seen.payment.payment_no)
        async with world.platform.database.transaction() as tx:
            await tx.fetch(
                "SELECT 1 FROM payment WHERE project_id = $1 AND payment_no = $2 FOR UPDATE", *place
            )
            waiting = asyncio.create_task(count(door, project, seen))
            await until(lambda: world.value(WAITS_FOR_A_LOCK))
            if statement:
                await tx.execute(statement, *place)
        assert (attempt, locked) == (await waiting, door.locked)


async def test_changes_at_once_are_all_made_each_on_the_one_before(open_world: OpenWorld):
    async with open_world() as world, open_world() as other:
        one = await world.sale()
        project, _ = await looked_at(world, one)
        doors = [CountingDoor(place) for place in (world, other) for _ in range(2)]
        views = [(door, (await looked_at(world, one))[1]) for door in doors for _ in range(5)]
        counted = await asyncio.gather(*(count(door, project, seen) for door, seen in views))
        assert list(range(1, 21)) == sorted(counted)
        assert 19 == sum(door.locked for door in doors)


async def test_the_lock_decides_what_would_leave_nothing_or_raises(open_world: OpenWorld):
    async with open_world() as world:
        door, (project, seen) = CountingDoor(world), await looked_at(world, await world.sale())

        def nothing(case: Case) -> int:
            return case.sale.attempt

        def refuse(case: Case) -> int:
            raise ValueError("no")

        assert (0, 1) == (await count(door, project, seen, nothing), door.locked)
        project, seen = await looked_at(world, await world.sale())
        with pytest.raises(ValueError, match="no"):
            await count(door, project, seen, refuse)
        assert 2 == door.locked


def loses_the_next_commits_answer(database: Database) -> None:
    lost: list[str] = []

    def seam(name: str) -> None:
        if name == "committed" and not lost:
            lost.append(name)
            raise Unavailable("the answer to the commit was lost")

    database.seam = seam


@pytest.mark.parametrize("moves", [True, False])
async def test_a_change_whose_commit_was_not_answered_finds_its_own_work(open_world: OpenWorld, moves: bool):
    """Its row has a new version then. A note alone makes none, and must not be written again as it is: seed 1615 of the
    simulation, where a repeated return was answered with 500."""
    async with open_world() as world:
        door, (project, seen) = CountingDoor(world), await looked_at(world, await world.sale())
        runs: list[int] = []

        def decide(case: Case) -> int:
            runs.append(case.sale.attempt)
            if moves and case.sale.attempt == 0:
                case.change(case.sale, attempt=1)
            case.note(case.sale, Exchange("return", case.now, 0, {}, {}, "repeated"))
            return case.sale.attempt

        loses_the_next_commits_answer(world.platform.database)
        assert int(moves) == await count(door, project, seen, decide)
        assert (1, int(moves)) == (door.locked, runs[-1])


async def test_a_callback_to_a_place_where_the_worker_does_not_look_goes_under_the_lock(
    open_world: OpenWorld,
):
    """The lane is a row of its own, and a second statement."""
    async with open_world() as world, open_world() as other:
        one = await world.sale()
        door, result = CountingDoor(other), await one.choose({"outcome": "cancel"})
        token = (await one.return_url()).removeprefix(f"{PAGE_URL}/return/nicepay/")
        found = await sale.find_by_token(other.platform, token)
        assert found is not None
        assert set() == other.platform.lanes
        payment = await approve.customer_returned(other.platform, door, found, result)
        assert payment is not None
        assert (1, "decline") == (door.locked, payment.status)
        await other.work()
        assert "decline" == world.merchant.received[-1].body["payment"]["status"]
