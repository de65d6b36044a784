"""The simulator's one settable clock: system time plus an offset, which several processes may share through a file."""

import mmap
import struct
import time
from datetime import datetime, timedelta, timezone
from pathlib import Path

from wongate_simulator.mistakes import Mistake

KST = timezone(timedelta(hours=9), "KST")
EARLIEST, LATEST = datetime(2000, 1, 1, tzinfo=KST).timestamp(), datetime(2100, 1, 1, tzinfo=KST).timestamp()
OFFSET = struct.Struct("<d")


class Clock:
    """Says what time it is; moves every lifetime, window and same-day rule of the simulator.

    With a file the offset (8 bytes, little-endian double, seconds added to the system clock) is memory-mapped, so that
    every process that maps the same file follows at once. Without one the offset lives in memory.
    """

    def __init__(self, path: Path | None = None) -> None:
        self.path = path
        self._cell: bytearray | mmap.mmap = bytearray(OFFSET.size) if path is None else _map_file(path)

    @property
    def offset_s(self) -> float:
        return float(OFFSET.unpack_from(self._cell)[0])

    @offset_s.setter
    def offset_s(self, seconds: float) -> None:
        OFFSET.pack_into(self._cell, 0, seconds)

    def now(self) -> float:
        """Seconds since 1970."""
        return time.time() + self.offset_s

    def advance(self, seconds: float) -> None:
        """Raises Mistake outside the years that a TID can tell apart."""
        _check(self.now() + seconds)
        self.offset_s += seconds

    def set_to(self, moment: float) -> None:
        """Raises Mistake as `advance` does."""
        _check(moment)
        self.offset_s = moment - time.time()

    def reset(self) -> None:
        self.offset_s = 0.0


def _check(moment: float) -> None:
    # Written so that NaN, which compares with nothing, is refused too.
    if not EARLIEST <= moment < LATEST:
        raise Mistake("the clock goes from 2000 to 2099: TIDs and AuthDate write the year in two digits")


def _map_file(path: Path) -> mmap.mmap:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+b") as file:
        # Only a missing or short file is filled: another process may already keep an offset in it.
        if path.stat().st_size < OFFSET.size:
            file.truncate(OFFSET.size)
        file.flush()
    with path.open("r+b") as file:
        return mmap.mmap(file.fileno(), OFFSET.size)


def kst(moment: float) -> datetime:
    return datetime.fromtimestamp(moment, KST)


def stamp(moment: float) -> str:
    """AuthDate: YYMMDDHHMMSS in KST (nicepay 3)."""
    return kst(moment).strftime("%y%m%d%H%M%S")


def iso(moment: float | None) -> str | None:
    return None if moment is None else kst(moment).isoformat(timespec="seconds")


def read_edi_date(text: str) -> float | None:
    """The moment that an EdiDate (YYYYMMDDHHMISS, KST; N-3) names, or None when it is not one."""
    if len(text) != 14 or not (text.isascii() and text.isdigit()):
        return None
    try:  # in a tenth of strptime's time
        return datetime.fromisoformat(f"{text[:8]}T{text[8:]}").replace(tzinfo=KST).timestamp()
    except ValueError:
        return None
