"""A bounded whole that several share, so that none of them, however greedy, leaves nothing to the others."""

from collections.abc import Hashable
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)

GREED = 4
"""A key may hold so many times what stays free: alone four fifths of the whole, beside another greedy one four ninths."""


class Overloaded(Exception):
    """More waits or is in work than may; the caller should come back in a moment (503)."""


class Shares(Generic[Key]):
    """Who holds how much. Nothing is reserved for anybody, and yet a few greedy keys leave room to one that holds nothing
    (dynamic thresholds, known from the buffers of network switches). Many keys together can fill the whole."""

    def __init__(self, whole: int) -> None:
        self.free = whole
        self._held: dict[Key, int] = {}

    def room(self, key: Key) -> int:
        """How much more the key may take at this moment."""
        return max(0, (GREED * self.free - self._held.get(key, 0)) // (GREED + 1))

    def take(self, key: Key, amount: int = 1) -> None:
        """Raises Overloaded, which concerns this key alone."""
        if amount > self.room(key):
            raise Overloaded
        self.free -= amount
        self._held[key] = self._held.get(key, 0) + amount

    def give_back(self, key: Key, amount: int = 1) -> None:
        self.free += amount
        self._held[key] -= amount
        if not self._held[key]:
            del self._held[key]
