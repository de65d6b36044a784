"""Rows as files: CSV, XLSX and genuine XLS, written row by row in constant memory."""

import csv
import io
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Protocol

from wongate.reports.xls import Xls
from wongate.reports.xlsx import Cell, Xlsx

_DANGEROUS = ("=", "+", "-", "@", "\t", "\r", "\n")
_BOM = "\ufeff"


class Sheet(Protocol):
    """A file under way: heading, any number of rows, close."""

    def heading(self, names: Sequence[str]) -> None: ...

    def rows(self, rows: Iterable[Sequence[Cell]]) -> None: ...

    def close(self) -> None: ...


def harmless(text: str) -> str:
    """Text that no spreadsheet takes for a formula: a leading `= + - @` or control character gets an apostrophe before it."""
    return "'" + text if text.startswith(_DANGEROUS) else text


class Csv:
    """UTF-8 with BOM, so that Excel reads Korean (E-32); dates as `YYYY-MM-DD hh:mm:ss`."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("w", encoding="utf-8", newline="")
        self._file.write(_BOM)
        self._writer = csv.writer(self._file, lineterminator="\r\n")

    def heading(self, names: Sequence[str]) -> None:
        self._writer.writerow(names)

    def rows(self, rows: Iterable[Sequence[Cell]]) -> None:
        self._writer.writerows([_plain(cell) for cell in cells] for cells in rows)

    def close(self) -> None:
        self._file.close()


def csv_lines(rows: Iterable[Sequence[Cell]]) -> str:
    """Rows as CSV text, for answers that are streamed piece by piece; the caller sends the BOM first."""
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\r\n").writerows([_plain(cell) for cell in row] for row in rows)
    return buffer.getvalue()


def _plain(cell: Cell) -> str | int:
    if isinstance(cell, str):
        return harmless(cell)
    if isinstance(cell, datetime):
        return cell.strftime("%Y-%m-%d %H:%M:%S")
    return "" if cell is None else cell


FORMATS: dict[str, tuple[Callable[[Path], Sheet], str]] = {
    "csv": (Csv, "text/csv; charset=utf-8"),
    "xlsx": (Xlsx, "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
    "xls": (Xls, "application/vnd.ms-excel"),
}
"""Name of a format -> what writes it, and its media type."""
