"""Pages that watch an order: each callback shows up the moment it arrives, over server-sent events."""

import asyncio
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import suppress

# A stream ends by itself and the browser opens the next one: a stopping server never waits longer than this.
STREAM_LIFE_S = 20
# A comment line this often shows a server whose reader has gone that it writes to nobody.
HEARTBEAT_S = 5


class Watchers:
    def __init__(self) -> None:
        self._waiting: defaultdict[str, set[asyncio.Event]] = defaultdict(set)

    def wake(self, payment_id: str) -> None:
        for event in self._waiting.get(payment_id.casefold(), ()):
            event.set()

    async def changes(self, payment_id: str, seen: str, version: Callable[[], str]) -> AsyncIterator[str]:
        """The lines of an event stream: an event whenever `version()` is no longer what the page has seen."""
        key, woken = payment_id.casefold(), asyncio.Event()
        self._waiting[key].add(woken)
        ends_at = time.monotonic() + STREAM_LIFE_S
        try:
            yield "retry: 500\n\n"
            while time.monotonic() < ends_at:
                woken.clear()  # before looking: what arrives after the look wakes us again
                if (current := version()) != seen:
                    seen = current
                    yield f"id: {seen}\ndata: changed\n\n"
                with suppress(TimeoutError):
                    await asyncio.wait_for(woken.wait(), HEARTBEAT_S)
                yield ": still here\n\n"
        finally:
            self._waiting[key].discard(woken)
            if not self._waiting[key]:
                del self._waiting[key]
