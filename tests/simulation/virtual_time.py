"""An event loop whose clock stands while anything runs and jumps to the next timer when nothing does."""

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class Standstill(Exception):
    """Everybody waits for somebody: no task is ready and no timer is set."""


class VirtualLoop(asyncio.SelectorEventLoop):
    """Days pass in the time that their events need. Nothing may touch a socket: there is no real waiting.

    Order is decided by timers alone, so two runs that draw the same delays are the same run.
    """

    def __init__(self) -> None:
        self.now_s = 0.0
        super().__init__(_Jumping(self))
        self._kept: set[asyncio.Task[Any]] = set()
        self.set_task_factory(_keeping)

    def keep(self, task: asyncio.Task[Any]) -> None:
        """asyncio holds tasks weakly: those of a dead process, which nothing will ever wake, would be collected at any moment."""
        self._kept.add(task)
        task.add_done_callback(self._kept.discard)

    def time(self) -> float:
        return self.now_s


def _keeping(loop: Any, story: Any, **options: Any) -> asyncio.Task[Any]:
    task: asyncio.Task[Any] = asyncio.Task(story, loop=loop, **options)
    loop.keep(task)
    return task


class _Jumping(selectors.BaseSelector):
    """In place of waiting for sockets, time passes."""

    def __init__(self, loop: VirtualLoop) -> None:
        self._loop = loop
        self._keys: dict[Any, selectors.SelectorKey] = {}

    def select(self, timeout: float | None = None) -> list[Any]:
        if timeout is None:
            raise Standstill
        if timeout > 0:
            self._loop.now_s += timeout
        return []

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        """asyncio registers the pipe by which other threads wake a loop; here there are none."""
        key = selectors.SelectorKey(
            fileobj, fileobj if isinstance(fileobj, int) else fileobj.fileno(), events, data
        )
        self._keys[fileobj] = key
        return key

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        return self._keys.pop(fileobj)

    def get_map(self) -> dict[Any, selectors.SelectorKey]:
        return self._keys


def run(main: Coroutine[Any, Any, T]) -> T:
    """Runs `main` in virtual time; what is still under way when it ends is cancelled."""
    loop = VirtualLoop()
    loop.set_exception_handler(lambda _, context: None)  # tasks of dead processes never come to their end
    try:
        return loop.run_until_complete(main)
    finally:
        _cancel_all(loop)
        loop.close()


def _cancel_all(loop: VirtualLoop) -> None:
    left = sorted(asyncio.all_tasks(loop), key=lambda task: task.get_name())
    for task in left:
        task.cancel()
    if left:
        loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
