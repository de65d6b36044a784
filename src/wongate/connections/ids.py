"""Numbers for rows: integers below 2^53, unique over all processes of an installation, ordered by time, made without asking.

41 bits milliseconds since 2024, 6 bits node, 6 bits counter: 64 nodes, 64,000 numbers a second each. A node number is leased
(`store/nodes.py`); a process that slept past its lease makes no more numbers until it has leased again.
"""

import time
from collections.abc import Callable
from datetime import datetime

EPOCH_MS = 1_704_067_200_000  # 2024-01-01T00:00:00Z
NODES = 64
_PER_MS = 64


class LeaseLost(Exception):
    """The node number may belong to another process by now."""


class Ids:
    """`valid_until` is on the monotonic clock, in seconds."""

    def __init__(
        self,
        node: int,
        *,
        time_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
        monotonic: Callable[[], float] = time.monotonic,
        valid_until: float = float("inf"),
    ) -> None:
        self._node = node
        self._time_ms = time_ms
        self._monotonic = monotonic
        self.valid_until = valid_until
        self._last_ms = 0
        self._count = 0

    def next(self) -> int:
        """Raises LeaseLost when the node number's lease has run out. A clock that steps back does not step the numbers back."""
        if self._monotonic() >= self.valid_until:
            raise LeaseLost
        now_ms = max(self._time_ms(), self._last_ms)
        if now_ms == self._last_ms:
            self._count += 1
            if self._count == _PER_MS:
                now_ms, self._count = now_ms + 1, 0
        else:
            self._count = 0
        self._last_ms = now_ms
        return (now_ms - EPOCH_MS) << 12 | self._node << 6 | self._count


def first_made_at(moment: datetime) -> int:
    """The smallest number that can be made from this moment on."""
    return (int(moment.timestamp() * 1000) - EPOCH_MS) << 12


def made_at_ms(number: int) -> int:
    """Milliseconds since 1970 at which a number was made, to a few milliseconds under load."""
    return (number >> 12) + EPOCH_MS
