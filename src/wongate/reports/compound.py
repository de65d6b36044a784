"""The container around an Excel 97-2003 workbook: a compound file (MS-CFB, version 3) that holds one stream.

A compound file is a small file system. The stream lies in it from the first sector on without a gap; behind it come the table
that chains its sectors, the table of that table's sectors, and the directory. Nothing but a few numbers is kept in memory.
"""

import struct
from itertools import chain, islice, repeat
from types import TracebackType
from typing import BinaryIO, Self

SECTOR = 512
NUMBERS = SECTOR // 4
"""Sector numbers of 4 bytes that a sector holds."""

STREAM_BYTES_MAX = 2**31 - 1
"""What version 3 allows of one stream."""

_STREAM_BYTES_MIN = 4096
"""Shorter streams would lie in a place of their own; this one is filled up."""

_IN_HEADER = 109
"""Sectors of the chains that the header itself names, enough for 7 MB."""

_FREE, _END, _OF_CHAINS, _OF_NAMES = 0xFFFFFFFF, 0xFFFFFFFE, 0xFFFFFFFD, 0xFFFFFFFC
_NOBODY = 0xFFFFFFFF


class CompoundFile:
    """Takes the bytes of the one stream, called `Workbook`; `with` closes the container around it."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._length = 0
        file.write(bytes(SECTOR))  # the header, which is known at the end

    def write(self, content: bytes) -> None:
        self._file.write(content)
        self._length += len(content)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self._close()

    def _close(self) -> None:
        self.write(bytes(max(-self._length % SECTOR, _STREAM_BYTES_MIN - self._length)))
        stream = self._length // SECTOR
        chains, names = _tables_for(stream + 1)
        listed = range(stream, stream + chains)
        self._write_chains(stream, chains, names)
        self._write_names(listed[_IN_HEADER:], listed.stop)
        self._file.write(_entry("Root Entry", 5, _END, 0, child=1) + _entry("Workbook", 2, 0, self._length))
        self._file.write(_entry("", 0, 0, 0) * 2)
        self._file.seek(0)
        self._file.write(_header(listed, names))

    def _write_chains(self, stream: int, chains: int, names: int) -> None:
        """For each sector of the file the number of the one that follows it, or what it is there for."""
        followers = chain(
            range(1, stream),
            [_END],
            repeat(_OF_CHAINS, chains),
            repeat(_OF_NAMES, names),
            [_END],
            repeat(_FREE),
        )
        for _ in range(chains):
            self._file.write(_packed(list(islice(followers, NUMBERS))))

    def _write_names(self, listed: range, first: int) -> None:
        """Sectors of the chains that the header has no room for; each sector ends with the number of the next."""
        each = NUMBERS - 1
        for place in range(0, len(listed), each):
            numbers = list(listed[place : place + each])
            following = first + place // each + 1 if place + each < len(listed) else _END
            self._file.write(_packed([*numbers, *[_FREE] * (each - len(numbers)), following]))


def _tables_for(sectors: int) -> tuple[int, int]:
    """How many sectors the chains take, and how many those that name the chains' own; both are chained, too."""
    chains = names = 0
    while chains * NUMBERS < sectors + chains + names:
        chains += 1
        names = -(-max(chains - _IN_HEADER, 0) // (NUMBERS - 1))
    return chains, names


def _header(listed: range, names: int) -> bytes:
    """`listed` are the sectors of the chains; those that name more of them and the directory lie behind."""
    numbers = list(listed[:_IN_HEADER])
    return struct.pack(
        "<8s16x5H6x9L",
        b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1",
        *(0x3E, 3, 0xFFFE, 9, 6),  # version 3, little end first, sectors of 2**9 bytes, small ones of 2**6
        *(0, len(listed), listed.stop + names, 0, _STREAM_BYTES_MIN),
        *(_END, 0, listed.stop if names else _END, names),
    ) + _packed([*numbers, *[_FREE] * (_IN_HEADER - len(numbers))])


def _entry(name: str, kind: int, first: int, length: int, child: int = _NOBODY) -> bytes:
    spelled = f"{name}\0".encode("utf-16-le") if name else b""
    return struct.pack(
        "<64sHBB3L36xLQ", spelled, len(spelled), kind, 1, _NOBODY, _NOBODY, child, first, length
    )


def _packed(numbers: list[int]) -> bytes:
    return struct.pack(f"<{len(numbers)}L", *numbers)
