"""XLSX compressed as it is written: the shell of a workbook comes from XlsxWriter, the rows are spelled here.

XlsxWriter's own rows take 0.28 ms each for nine cells, and go through a file of plain XML on the disk first.
"""

import io
import re
import zipfile
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from pathlib import Path

import xlsxwriter
from xlsxwriter.utility import xl_col_to_name

Cell = str | int | datetime | None

ROWS_MAX = 1_048_575
"""Data rows of one sheet, below its heading."""

SHEET_BYTES_MAX = 2_000_000_000
"""Of one sheet's XML: from 2 GiB on an archive needs extensions that not every reader knows."""

TEXT_MAX = 32_767
"""Characters of one cell, by the format."""

COMPRESSION = 4
"""A million rows of nine cells, spelling included: 9.7 s for 61 MB; 14.2 s for 55 MB with 6, which is zlib's own choice."""

_ROWS_END = b"</sheetData>"
_DATE_STYLE = 2
"""XlsxWriter numbers formats as they are used first: the heading's bold is 1."""

_EPOCH = datetime(1899, 12, 30)
_DAY = timedelta(days=1)
_ODD = re.compile("[&<>_\x00-\x1f\ufffe\uffff]|^ | $")
_UNWRITABLE = re.compile("_(?=x[0-9A-Fa-f]{4}_)|[\x00-\x08\x0b-\x1f\ufffe\uffff]")


class Xlsx:
    """Constant memory: rows leave for the disk as they come. A further sheet begins where the format's limit is reached."""

    def __init__(self, path: Path) -> None:
        self._archive = zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=COMPRESSION)
        self._names: Sequence[str] = ()
        self._sheets = 0

    def heading(self, names: Sequence[str]) -> None:
        self._names = names
        self._letters = [xl_col_to_name(column) for column in range(len(names))]
        self._begin_sheet()

    def _begin_sheet(self) -> None:
        self._sheets += 1
        name = f"xl/worksheets/sheet{self._sheets}.xml"
        head, self._tail = _around_rows(_shell(self._names, self._sheets).read(name))
        self._sheet = self._archive.open(name, "w")
        self._sheet.write(head)
        self._row, self._bytes = 1, 0

    def rows(self, rows: Iterable[Sequence[Cell]]) -> None:
        lines: list[str] = []
        for cells in rows:
            if self._row > ROWS_MAX or self._bytes > SHEET_BYTES_MAX:
                self._write(lines)
                lines = []
                self._end_sheet()
                self._begin_sheet()
            self._row += 1
            number = str(self._row)
            spelled = [
                _cell(letter + number, cell) for letter, cell in zip(self._letters, cells, strict=True)
            ]
            lines.append(f'<row r="{number}">{"".join(spelled)}</row>')
        self._write(lines)

    def _write(self, lines: Sequence[str]) -> None:
        content = "".join(lines).encode()
        self._bytes += len(content)
        self._sheet.write(content)

    def _end_sheet(self) -> None:
        self._sheet.write(self._tail)
        self._sheet.close()

    def close(self) -> None:
        self._end_sheet()
        shell = _shell(self._names, self._sheets)
        for name in set(shell.namelist()) - set(self._archive.namelist()):
            self._archive.writestr(name, shell.read(name))
        self._archive.close()


def _shell(names: Sequence[str], sheets: int) -> zipfile.ZipFile:
    """A workbook of so many sheets with headings and one row, which makes the format of dates known."""
    content = io.BytesIO()
    options = {"in_memory": True, "strings_to_formulas": False, "strings_to_urls": False}
    book = xlsxwriter.Workbook(content, options)
    bold = book.add_format({"bold": True})
    date = book.add_format({"num_format": "yyyy-mm-dd hh:mm:ss"})
    for _ in range(sheets):
        sheet = book.add_worksheet()
        sheet.freeze_panes(1, 0)
        sheet.set_column(0, len(names) - 1, 18)
        sheet.write_row(0, 0, names, bold)
        sheet.write_datetime(1, 0, _EPOCH, date)
    book.close()
    return zipfile.ZipFile(content)


def _around_rows(xml: bytes) -> tuple[bytes, bytes]:
    """What stands before and behind a sheet's rows, without the size that it announces."""
    head, _, rest = xml.partition(b'<row r="2"')
    return re.sub(rb"<dimension [^>]*>", b"", head), _ROWS_END + rest.partition(_ROWS_END)[2]


def _cell(place: str, cell: Cell) -> str:
    """Nothing at all for an empty one."""
    if isinstance(cell, str):
        text = cell[:TEXT_MAX]
        if _ODD.search(text):
            return f'<c r="{place}" t="inlineStr"><is><t xml:space="preserve">{_escaped(text)}</t></is></c>'
        return f'<c r="{place}" t="inlineStr"><is><t>{text}</t></is></c>' if text else ""
    if isinstance(cell, datetime):
        return f'<c r="{place}" s="{_DATE_STYLE}"><v>{excel_days(cell)}</v></c>'
    return "" if cell is None else f'<c r="{place}"><v>{cell}</v></c>'


def excel_days(at: datetime) -> float:
    """A moment as spreadsheets count it."""
    return (at.replace(tzinfo=None) - _EPOCH) / _DAY


def _escaped(text: str) -> str:
    """As XML; what XML cannot carry as `_x0001_`, and a text that looks like that with its underscore spelled so."""
    spelled = _UNWRITABLE.sub(lambda match: f"_x{ord(match[0]):04X}_", text)
    return spelled.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
