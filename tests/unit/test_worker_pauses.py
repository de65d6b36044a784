"""How long the worker waits between looks for something to do."""

import asyncio
from collections.abc import Sequence
from itertools import pairwise

from tests.simulation import virtual_time

from wongate.worker import _repeat


def test_looks_follow_at_once_while_they_find_something():
    assert [0.002] * 3 == pauses([1, 5, 1])


def test_each_look_that_finds_nothing_doubles_the_pause_up_to_the_longest():
    assert [0.004, 0.008, 0.016, 0.032, 0.05, 0.05] == pauses([0] * 6)


def test_something_found_makes_looks_quick_again():
    assert [0.004, 0.008, 0.002, 0.004] == pauses([0, 0, 1, 0])


def test_what_is_looked_for_once_an_hour_is_not_looked_for_every_few_seconds_at_first():
    assert [144.0, 288.0, 576.0] == pauses([0] * 3, idle_s=3600.0)


def pauses(found: Sequence[int], idle_s: float = 0.05) -> list[float]:
    """Seconds of virtual time after each look that found so many."""
    looks: list[float] = []

    async def main() -> None:
        stop = asyncio.Event()

        async def look() -> int:
            looks.append(asyncio.get_running_loop().time())
            if len(looks) > len(found):
                stop.set()
                return 0
            return found[len(looks) - 1]

        await _repeat("look", look, stop, idle_s=idle_s)

    virtual_time.run(main())
    return [round(later - earlier, 6) for earlier, later in pairwise(looks)]
