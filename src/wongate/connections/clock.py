"""Business time. Everything that is written to a row or compared with one asks a clock that was handed in."""

import mmap
import struct
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

_OFFSET = struct.Struct("<d")


class Clock(Protocol):
    def now(self) -> datetime:
        """The present moment, aware, in UTC."""


class SystemClock:
    """The machine's own clock, kept by NTP."""

    def now(self) -> datetime:
        return datetime.now(UTC)


class MovableClock:
    """The sandbox's clock: the machine's plus an offset in seconds, kept in a file of 8 bytes that every process of the
    sandbox has mapped, so that one move is seen by all of them at once."""

    def __init__(self, path: Path) -> None:
        if not path.exists() or path.stat().st_size < _OFFSET.size:
            path.write_bytes(_OFFSET.pack(0.0))
        with path.open("r+b") as file:
            self._map = mmap.mmap(file.fileno(), _OFFSET.size)

    def now(self) -> datetime:
        (offset_s,) = _OFFSET.unpack(self._map[: _OFFSET.size])
        return datetime.fromtimestamp(time.time() + offset_s, UTC)

    def advance(self, seconds: float) -> None:
        (offset_s,) = _OFFSET.unpack(self._map[: _OFFSET.size])
        self._map[: _OFFSET.size] = _OFFSET.pack(offset_s + seconds)
