"""Requests gathered into one unit of work."""

import asyncio
from collections.abc import Sequence

import pytest
from tests.processes import HANG_GUARD_S

from wongate.connections.batch import Batch
from wongate.connections.database import Unavailable
from wongate.connections.shares import Overloaded


async def test_what_waits_at_the_same_moment_is_flushed_together() -> None:
    sizes: list[int] = []

    async def flush(items: Sequence[int]) -> Sequence[int]:
        sizes.append(len(items))
        await asyncio.sleep(0.01)
        return [item * 2 for item in items]

    batch: Batch[int, int] = Batch(flush, size_max=8, side_by_side=1)
    results = await asyncio.gather(*(batch.submit(number) for number in range(20)))

    assert [number * 2 for number in range(20)] == results
    assert [8, 8, 4] == sizes[-3:]


async def test_a_caller_that_comes_again_at_once_is_not_forgotten() -> None:
    """The work that was just done must not be taken for work that goes on."""

    async def flush(items: Sequence[int]) -> Sequence[int]:
        return list(items)

    batch: Batch[int, int] = Batch(flush, side_by_side=1)

    async def again_and_again() -> list[int]:
        return [await batch.submit(number) for number in range(5)]

    assert [0, 1, 2, 3, 4] == await asyncio.wait_for(again_and_again(), HANG_GUARD_S)


async def test_a_bad_item_fails_alone() -> None:
    async def flush(items: Sequence[int]) -> Sequence[int]:
        if 3 in items:
            raise ValueError("three")
        return list(items)

    batch: Batch[int, int] = Batch(flush)
    results = await asyncio.gather(*(batch.submit(number) for number in range(5)), return_exceptions=True)

    assert [0, 1, 2, 4] == [result for result in results if not isinstance(result, BaseException)]
    assert isinstance(results[3], ValueError)


async def test_without_a_database_all_are_told_at_once() -> None:
    """One by one they would wait out the same outage one after the other: 64 changes for two minutes."""
    flushes = 0

    async def flush(items: Sequence[int]) -> Sequence[int]:
        nonlocal flushes
        flushes += 1
        raise Unavailable

    batch: Batch[int, int] = Batch(flush, side_by_side=1)
    results = await asyncio.gather(*(batch.submit(number) for number in range(64)), return_exceptions=True)

    assert (1, {Unavailable}) == (flushes, {type(result) for result in results})


async def test_a_result_that_is_an_exception_reaches_its_own_caller() -> None:
    async def flush(items: Sequence[int]) -> Sequence[int | BaseException]:
        return [KeyError(item) if item == 1 else item for item in items]

    batch: Batch[int, int] = Batch(flush)
    results = await asyncio.gather(*(batch.submit(number) for number in range(3)), return_exceptions=True)

    assert (0, 2) == (results[0], results[2])
    assert isinstance(results[1], KeyError)


async def test_a_caller_that_goes_away_cancels_nobody() -> None:
    flushed: list[int] = []

    async def flush(items: Sequence[int]) -> Sequence[int]:
        await asyncio.sleep(0.01)
        flushed.extend(items)
        return list(items)

    batch: Batch[int, int] = Batch(flush)
    leaving = asyncio.create_task(batch.submit(1))
    staying = asyncio.create_task(batch.submit(2))
    await asyncio.sleep(0)
    leaving.cancel()

    assert 2 == await staying
    assert [1, 2] == sorted(flushed)


async def test_more_than_may_wait_is_turned_away() -> None:
    release = asyncio.Event()

    async def flush(items: Sequence[int]) -> Sequence[int]:
        await release.wait()
        return list(items)

    batch: Batch[int, int] = Batch(flush, size_max=1, waiting_max=5, side_by_side=1)
    tasks = []
    for number in range(5):  # one is being flushed, four wait
        tasks.append(asyncio.create_task(batch.submit(number)))
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    with pytest.raises(Overloaded):
        await batch.submit(9)
    release.set()
    assert [0, 1, 2, 3, 4] == await asyncio.gather(*tasks)


async def test_keys_are_served_in_turn() -> None:
    """A thousand of the loud one wait when the quiet ones come: each of these goes with one of the next two flushes of four."""
    flushed: list[str] = []
    all_there = asyncio.Event()

    async def flush(items: Sequence[str]) -> Sequence[str]:
        await all_there.wait()
        flushed.extend(items)
        return list(items)

    batch: Batch[str, str] = Batch(flush, size_max=4, waiting_max=2000, side_by_side=1)
    loud = [asyncio.create_task(batch.submit(f"loud {number}", "loud")) for number in range(1000)]
    await asyncio.sleep(0.01)
    quiet = [asyncio.create_task(batch.submit(f"{key} {number}", key)) for key in "ab" for number in (0, 1)]
    await asyncio.sleep(0.01)
    all_there.set()
    await asyncio.gather(*loud, *quiet)

    assert ["a 0", "b 0", "a 1", "b 1"] == [item for item in flushed[4:12] if "loud" not in item]
    assert [f"loud {number}" for number in range(1000)] == [item for item in flushed if "loud" in item]


async def test_a_loud_key_is_turned_away_while_others_find_a_place() -> None:
    release = asyncio.Event()

    async def flush(items: Sequence[int]) -> Sequence[int]:
        await release.wait()
        return list(items)

    batch: Batch[int, int] = Batch(flush, size_max=1, waiting_max=100, side_by_side=1)
    loud = [asyncio.create_task(batch.submit(number, "loud")) for number in range(200)]
    quiet = [asyncio.create_task(batch.submit(number, number)) for number in range(10)]
    await asyncio.sleep(0.01)
    release.set()
    results = await asyncio.gather(*loud, return_exceptions=True)

    assert list(range(10)) == await asyncio.gather(*quiet)
    assert {Overloaded} == {type(result) for result in results if not isinstance(result, int)}
    assert 80 == sum(isinstance(result, int) for result in results)
