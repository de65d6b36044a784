"""Rows as files: CSV, XLSX and genuine XLS, written row by row; memory stays flat but for XLS, whose format is a whole."""

import csv
import io
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

import xlwt

from wongate.reports.xlsx import Cell, Xlsx

XLS_ROWS_MAX = 65_535
"""Data rows of one sheet of an Excel 97-2003 workbook, below its heading (E-32)."""

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


class Xls:
    """A genuine Excel 97-2003 workbook, split into sheets of 65,535 rows (E-32)."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._book = xlwt.Workbook(encoding="utf-8")
        self._bold = xlwt.easyxf("font: bold on")
        self._date = xlwt.easyxf(num_format_str="YYYY-MM-DD HH:MM:SS")
        self._names: Sequence[str] = ()
        self._sheets = 0

    def heading(self, names: Sequence[str]) -> None:
        self._names = names
        self._begin_sheet()

    def _begin_sheet(self) -> None:
        self._sheets += 1
        self._sheet: Any = self._book.add_sheet(f"Sheet{self._sheets}")
        for column, name in enumerate(self._names):
            self._sheet.write(0, column, name, self._bold)
        self._row = 0

    def rows(self, rows: Iterable[Sequence[Cell]]) -> None:
        for cells in rows:
            self._add(cells)

    def _add(self, cells: Sequence[Cell]) -> None:
        if self._row == XLS_ROWS_MAX:
            self._begin_sheet()
        self._row += 1
        for column, cell in enumerate(cells):
            if isinstance(cell, datetime):
                self._sheet.write(self._row, column, cell.replace(tzinfo=None), self._date)
            elif cell is not None:
                self._sheet.write(self._row, column, cell)
        if self._row % 1000 == 0:
            self._sheet.flush_row_data()

    def close(self) -> None:
        self._book.save(str(self._path))
        for number in range(self._sheets):
            flushed = self._book.get_sheet(number).row_tempfile  # xlwt leaves it open
            if flushed is not None:
                flushed.close()


FORMATS: dict[str, tuple[Callable[[Path], Sheet], str]] = {
    "csv": (Csv, "text/csv; charset=utf-8"),
    "xlsx": (Xlsx, "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
    "xls": (Xls, "application/vnd.ms-excel"),
}
"""Name of a format -> what writes it, and its media type."""
