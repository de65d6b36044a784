"""The operator's timer: `wongate reconcile --settle` with the provider's books, as they are or as they were a while ago."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING

from wongate.domain.comparison import Theirs
from wongate.flows.audit import OPERATOR
from wongate.flows.platform import Platform
from wongate.flows.settle import Door
from wongate.flows.settle_by_list import ProviderList, Settled, settle_open_refunds

if TYPE_CHECKING:
    from tests.simulation.world import World


@dataclass(frozen=True, slots=True)
class Timer:
    """Between which pauses the command runs, and how old its list is: a file of the provider's is used a while after it was made,
    of the simulator's books 0."""

    pauses_s: tuple[float, float]
    kept_s: Sequence[float] = (0.0,)


TIMERS = (
    None,
    None,
    Timer((30.0, 120.0), (0.0, 90.0)),
    Timer((300.0, 1800.0), (0.0, 0.0, 900.0, 4000.0)),
)
"""One is drawn for each seed; when the faults have stopped there is one in all of them."""


class Bookkeeper:
    def __init__(self, world: "World") -> None:
        self._world = world
        self._draw: Random = world.random("bookkeeper")

    async def work(self) -> None:
        """Until the faults stop."""
        draw, world = self._draw, self._world
        timer = draw.choice(TIMERS) if world.plan.timer is None else world.plan.timer
        # What a file says of itself is the provider's time; machines whose clocks are an hour off cannot use it.
        clocks_are_right = not world.swarm.on.keys() & {"skew", "clock jump"}
        while timer is not None and not world.swarm.calm:
            await asyncio.sleep(draw.uniform(*timer.pauses_s))
            if not world.swarm.calm:
                world.spawn(self.settle(draw.choice(timer.kept_s) if clocks_are_right else 0.0))

    async def settle(self, kept_s: float = 0.0) -> None:
        """One run of the command; `kept_s` seconds after its list was made, when that is a file."""
        made_at = self._world.moment(0.0)
        listed = self._listed() if kept_s else {}
        await asyncio.sleep(kept_s)
        server = self._world.a_server()
        if server is None:
            return

        async def story(platform: Platform, door: Door) -> list[Settled]:
            until = made_at if kept_s else platform.clock.now()
            provider_list = ProviderList("books", listed if kept_s else self._listed(), until)
            return await settle_open_refunds(platform, door, OPERATOR, provider_list)

        for settled in await server.operate(story) or ():
            self._world.tell("bookkeeper", f"settles refund {settled.operation_id}: {settled.end}")
            self._world.count("settled")

    def _listed(self) -> dict[str, Theirs]:
        books = self._world.provider.sim.books.latest("", 10_000)
        return {
            book.tid: Theirs(book.tid, book.moid, book.remain if book.approvals else 0)
            for book in books
            if book.tid
        }
