"""XLS written as its rows come: the shell of a workbook comes from xlwt, its cells and texts are spelled here.

xlwt keeps half a kilobyte of every row in memory until the end. Here rows and texts lie in two files of their own until their
number is known, and are then put together in the order that the format wants: all texts before the first sheet.
"""

import struct
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO

import xlwt

from wongate.reports.compound import STREAM_BYTES_MAX, CompoundFile
from wongate.reports.xlsx import TEXT_MAX, Cell, excel_days

ROWS_MAX = 65_535
"""Data rows of one sheet of an Excel 97-2003 workbook, below its heading (E-32)."""

ROWS_IN_BLOCK = 32
"""Rows that are announced together ahead of their cells, as Excel does it."""

SHELL_BYTES_MAX = 10_000_000
"""What a workbook needs besides rows and texts: 2 kB for each sheet and each of its columns a little."""

_RECORD_MAX = 8224
_PIECE = 2000
"""Characters of a text that are written together: in either spelling they fit into one record."""

REMEMBERED_MAX = 10_000
"""Texts that are written once however often they come: statuses and currencies are among the first; ids come once anyway."""

_BOUNDSHEET, _SST, _CONTINUE, _WINDOW2, _EOF = 0x85, 0xFC, 0x3C, 0x23E, 0x0A

_ROW = struct.Struct("<2H4H4xL")
_WORD = struct.Struct("<2H3HL")
_NUMBER = struct.Struct("<2H3Hd")
_PLAIN = 15
"""xlwt's number of the format that cells have by default."""

_SHORT_MAX = 1 << 29


class TooLarge(Exception):
    """The format takes no more than 2 GB."""


class Xls:
    """A genuine Excel 97-2003 workbook in constant memory, split into sheets of 65,535 rows (E-32). `rows` raises TooLarge."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._book = xlwt.Workbook(encoding="utf-8")
        self._bold = self._book.add_style(xlwt.easyxf("font: bold on"))
        self._date = self._book.add_style(xlwt.easyxf(num_format_str="YYYY-MM-DD HH:MM:SS"))
        self._rows = tempfile.TemporaryFile(dir=path.parent)  # noqa: SIM115 - open as long as the workbook is
        self._texts = Texts(tempfile.TemporaryFile(dir=path.parent))  # noqa: SIM115
        self._names: Sequence[str] = ()
        self._begins: list[int] = []  # of each sheet among the rows' bytes

    def __del__(self) -> None:
        """A workbook that is given up half way leaves no file open."""
        self._rows.close()
        self._texts.file.close()

    def heading(self, names: Sequence[str]) -> None:
        self._names = names
        self._begin_sheet()

    def _begin_sheet(self) -> None:
        self._begins.append(self._rows.tell())
        self._sheet: Any = self._book.add_sheet(f"Sheet{len(self._begins)}")
        self._sheet.set_panes_frozen(True)
        self._sheet.set_horz_split_pos(1)
        self._sheet.last_used_col = len(self._names) - 1
        for column in range(len(self._names)):
            self._sheet.col(column).width = 18 * 256
        self._next = 0
        self._write([self._names], self._bold)

    def rows(self, rows: Iterable[Sequence[Cell]]) -> None:
        block: list[Sequence[Cell]] = []
        for cells in rows:
            if self._next + len(block) > ROWS_MAX:
                self._write(block)
                block = []
                self._begin_sheet()
            block.append(cells)
            if len(block) == ROWS_IN_BLOCK:
                self._write(block)
                block = []
        self._write(block)

    def _write(self, block: Sequence[Sequence[Cell]], style: int = _PLAIN) -> None:
        numbered = range(self._next, self._next + len(block))
        announced = [
            _ROW.pack(0x208, 16, number, 0, len(self._names), 255, 0x000F0100) for number in numbered
        ]
        spelled = [
            self._spelled(cell, number, column, style)
            for number, cells in zip(numbered, block, strict=True)
            for column, cell in enumerate(cells)
        ]
        self._rows.write(b"".join([*announced, *spelled]))
        self._next += len(block)
        self._sheet.last_used_row = self._next - 1
        if self._rows.tell() + self._texts.length + SHELL_BYTES_MAX > STREAM_BYTES_MAX:
            raise TooLarge

    def _spelled(self, cell: Cell, row: int, column: int, style: int) -> bytes:
        """Nothing at all for an empty one."""
        if isinstance(cell, str):
            return _WORD.pack(0xFD, 10, row, column, style, self._texts.place(cell)) if cell else b""
        if isinstance(cell, datetime):
            return _NUMBER.pack(0x203, 14, row, column, self._date, excel_days(cell))
        if cell is None:
            return b""
        if 0 <= cell < _SHORT_MAX:
            return _WORD.pack(0x27E, 10, row, column, style, cell << 2 | 2)
        return _NUMBER.pack(0x203, 14, row, column, style, cell)

    def close(self) -> None:
        self._texts.close()
        ends = [*self._begins[1:], self._rows.tell()]
        lengths = [end - begin for begin, end in zip(self._begins, ends, strict=True)]
        shell = list(_records(self._book.get_biff_data()))
        places = iter(_places(shell, self._texts.length, lengths))
        rows = iter(lengths)
        self._rows.seek(0)
        with self._path.open("wb") as file, CompoundFile(file) as book:
            for kind, record in shell:
                if kind == _SST:
                    _copy(self._texts.file, book, self._texts.length)
                    continue
                if kind == _WINDOW2:
                    _copy(self._rows, book, next(rows))
                book.write(_leading_to(next(places), record) if kind == _BOUNDSHEET else record)


class Texts:
    """The table of a workbook's texts, as records of the format: a long one goes on in a further record."""

    def __init__(self, file: BinaryIO) -> None:
        self.file = file
        self._kind = _SST
        self._record = bytearray(8)  # how often texts are used, and how many there are: known at the end
        self._known: dict[str, int] = {}
        self._used = self._written = self._flushed = 0

    @property
    def length(self) -> int:
        """Bytes of the table so far."""
        return self._flushed + 4 + len(self._record)

    def place(self, text: str) -> int:
        """The text's number in the table."""
        self._used += 1
        known = self._known.get(text)
        if known is not None:
            return known
        self._add(text)
        if len(self._known) < REMEMBERED_MAX:
            self._known[text] = self._written
        self._written += 1
        return self._written - 1

    def _add(self, text: str) -> None:
        if text.isascii():
            flag, spelling, length = b"\0", "ascii", min(len(text), TEXT_MAX)
        else:  # characters beyond 16 bits count twice
            flag, spelling = b"\1", "utf-16-le"
            text = text.encode(spelling)[: 2 * TEXT_MAX].decode(spelling, "ignore")
            length = len(text.encode(spelling)) // 2
        text = text[:length]
        first = struct.pack("<H", length) + flag + text[:_PIECE].encode(spelling)
        if len(self._record) + len(first) > _RECORD_MAX:
            self._flush()
        self._record += first
        for begin in range(_PIECE, len(text), _PIECE):
            piece = text[begin : begin + _PIECE].encode(spelling)
            if len(self._record) + len(piece) > _RECORD_MAX:
                self._flush()
                self._record += flag  # a text that goes on in a new record says once more how it is spelled
            self._record += piece

    def _flush(self) -> None:
        self.file.write(struct.pack("<2H", self._kind, len(self._record)) + self._record)
        self._flushed += 4 + len(self._record)
        self._kind = _CONTINUE
        self._record.clear()

    def close(self) -> None:
        """Leaves the whole table in the file, ready to be read; `length` stays what it was."""
        self.file.write(struct.pack("<2H", self._kind, len(self._record)) + self._record)
        self.file.seek(4)
        self.file.write(struct.pack("<2L", self._used, self._written))
        self.file.seek(0)


def _records(content: bytes) -> Iterator[tuple[int, bytes]]:
    """Kind and bytes of each record, its head included."""
    at = 0
    while at < len(content):
        kind, length = struct.unpack_from("<2H", content, at)
        yield kind, content[at : at + 4 + length]
        at += 4 + length


def _places(shell: Sequence[tuple[int, bytes]], texts: int, rows: Sequence[int]) -> list[int]:
    """Where in the workbook each sheet will begin: right behind the end of what comes before it."""
    at, places, lengths = 0, [], iter(rows)
    for kind, record in shell:
        at += texts if kind == _SST else len(record)
        if kind == _WINDOW2:  # the first record behind a sheet's rows
            at += next(lengths)
        if kind == _EOF:
            places.append(at)
    return places[:-1]


def _leading_to(place: int, record: bytes) -> bytes:
    """What names a sheet, with the sheet's place in it."""
    return record[:4] + struct.pack("<L", place) + record[8:]


def _copy(source: BinaryIO, target: CompoundFile, length: int) -> None:
    while length:
        part = source.read(min(length, 1 << 20))
        target.write(part)
        length -= len(part)
