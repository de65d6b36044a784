"""Gathers what is waiting at the same moment into one unit of work: a group commit made of requests."""

import asyncio
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable, Hashable, Sequence
from typing import Generic, TypeVar, cast

from wongate.connections.database import Unavailable
from wongate.connections.shares import Shares

Item = TypeVar("Item")
Result = TypeVar("Result")
Waiting = tuple[Item, asyncio.Future[Result]]


class Batch(Generic[Item, Result]):
    """`flush` gets what waits and answers with one result, or exception, for each item in the same order.

    Nothing waits on purpose: while one flush is under way, the next one gathers. A caller that goes away cancels nothing.
    If a flush fails as a whole, its items are tried one by one, so that a bad row fails alone; not so where the database is
    away, which is nobody's own fault.

    Items wait in a line for each key (a project) and are taken from the lines in turn, so that a thousand of one key delay
    another's single one by no more than the flushes that are under way.
    """

    def __init__(
        self,
        flush: Callable[[Sequence[Item]], Awaitable[Sequence[Result | BaseException]]],
        *,
        size_max: int = 128,
        waiting_max: int = 2000,
        side_by_side: int = 2,
    ) -> None:
        self._flush = flush
        self._size_max = size_max
        self._side_by_side = side_by_side
        self._places: Shares[Hashable] = Shares(waiting_max)
        self._lines: OrderedDict[Hashable, deque[Waiting[Item, Result]]] = OrderedDict()
        self._running: set[asyncio.Task[None]] = set()

    async def submit(self, item: Item, key: Hashable = None) -> Result:
        """Raises Overloaded when more waits under this key than its share of `waiting_max`, or whatever flushing this item
        alone raises."""
        self._places.take(key)
        future: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._lines.setdefault(key, deque()).append((item, future))
        if len(self._running) < self._side_by_side:
            self._running.add(asyncio.create_task(self._work()))
        return await future

    async def _work(self) -> None:
        try:
            await self._flush_all()
        finally:
            # At once: a done callback runs later, and what is submitted in between would wait for the next caller.
            self._running.discard(cast("asyncio.Task[None]", asyncio.current_task()))

    async def _flush_all(self) -> None:
        while self._lines:
            await self._gather()
            taken = self._take()
            if not taken:
                return  # the flush beside this one took them
            results = await self._results([item for item, _ in taken])
            for (_, future), result in zip(taken, results, strict=True):
                if future.done():
                    continue
                if isinstance(result, BaseException):
                    future.set_exception(result)
                else:
                    future.set_result(result)

    async def _gather(self) -> None:
        """What has arrived and is not read yet may still come along: the flush begins with the first round of the event loop
        that brings no more. Half of the commits and a tenth of the processor time of busy servers; idle ones lose 10 us."""
        waiting = 0
        while waiting < self._waiting < self._size_max:
            waiting = self._waiting
            await asyncio.sleep(0)

    @property
    def _waiting(self) -> int:
        return sum(map(len, self._lines.values()))

    def _take(self) -> list[Waiting[Item, Result]]:
        """One from each line in turn, until there are enough."""
        taken: list[Waiting[Item, Result]] = []
        while self._lines and len(taken) < self._size_max:
            key, line = self._lines.popitem(last=False)
            taken.append(line.popleft())
            self._places.give_back(key)
            if line:
                self._lines[key] = line
        return taken

    async def _results(self, items: list[Item]) -> Sequence[Result | BaseException]:
        try:
            return await self._flush(items)
        except Unavailable as error:
            return [error] * len(items)  # one by one they would wait out the same failure as many times
        except Exception as error:
            if len(items) == 1:
                return [error]
            return [(await self._results([item]))[0] for item in items]
