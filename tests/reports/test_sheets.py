"""Sheets as other readers see them: where they are split, and what cells become."""

import csv
import gc
import io
import tracemalloc
from datetime import datetime
from pathlib import Path

import openpyxl
import pytest
import xlrd
from openpyxl.utils.escape import unescape
from xlrd.compdoc import CompDoc

from wongate.reports import xls, xlsx
from wongate.reports.compound import NUMBERS, SECTOR, CompoundFile
from wongate.reports.sheets import Csv, csv_lines, harmless
from wongate.reports.xls import ROWS_MAX, TooLarge, Xls
from wongate.reports.xlsx import Xlsx

AT = datetime(2026, 11, 23, 9, 8, 7)


def test_an_xls_goes_on_in_a_further_sheet_under_the_same_heading(tmp_path: Path) -> None:
    sheet = Xls(tmp_path / "a.xls")
    sheet.heading(["number"])
    sheet.rows([[number] for number in range(ROWS_MAX + 2)])
    sheet.close()
    first, second = xlrd.open_workbook(tmp_path / "a.xls").sheets()
    assert (65_536, 3) == (first.nrows, second.nrows), (
        "an Excel 97 sheet has 65,536 rows, its heading included"
    )
    assert ["number", 65_535.0, 65_536.0] == second.col_values(0)
    assert ["number", *map(float, range(65_535))] == first.col_values(0)


def test_an_xls_takes_no_more_memory_for_more_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(xls, "REMEMBERED_MAX", 1000)
    sheet = Xls(tmp_path / "a.xls")
    sheet.heading(["text", "at"])
    held = []
    tracemalloc.start()
    for begin in (0, 3000, 6000):
        sheet.rows([f"text {number}", AT] for number in range(begin, begin + 3000))
        gc.collect()
        held.append(tracemalloc.get_traced_memory()[0])
    tracemalloc.stop()
    assert held[2] - held[1] < 30_000, "what is remembered of texts has an end"
    sheet.close()
    assert 9001 == xlrd.open_workbook(tmp_path / "a.xls").sheet_by_index(0).nrows


def test_an_xls_that_would_not_fit_into_its_format_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(xls, "STREAM_BYTES_MAX", xls.SHELL_BYTES_MAX + 100_000)  # the real one takes a minute
    sheet = Xls(tmp_path / "a.xls")
    sheet.heading(["text"])
    sheet.rows([["text"]] * 2000)
    with pytest.raises(TooLarge):
        sheet.rows([["text"]] * 2000)


HEADERS = 109
"""Tables that a compound file's header names; those of a larger one are named in sectors of their own."""


@pytest.mark.parametrize(
    "length",
    [
        0,
        1,
        4096,
        4097,
        *(SECTOR * (HEADERS * NUMBERS - less) for less in (HEADERS + 2, HEADERS + 1, HEADERS, 0)),
        SECTOR * NUMBERS * (HEADERS + NUMBERS) + 1,
    ],
)
def test_the_container_of_an_xls_holds_its_stream_whatever_its_size(length: int) -> None:
    stream = bytes(range(1, 252)) * (length // 251 + 1)
    file = io.BytesIO()
    with CompoundFile(file) as container:
        container.write(stream[:length])
    said = io.StringIO()
    found = CompDoc(file.getvalue(), logfile=said).get_named_stream("Workbook")
    assert (stream[:length], "") == (found[:length], said.getvalue())
    assert not found[length:].strip(b"\0")


def test_numbers_of_an_xls_are_exact_up_to_fifteen_digits(tmp_path: Path) -> None:
    numbers = [0, 1, (1 << 29) - 1, 1 << 29, -1, -70_000, 123_456_789_012_345]
    sheet = Xls(tmp_path / "a.xls")
    sheet.heading(["number"])
    sheet.rows([[number] for number in numbers])
    sheet.close()
    assert numbers == xlrd.open_workbook(tmp_path / "a.xls").sheet_by_index(0).col_values(0, 1)


@pytest.mark.parametrize(
    "limit, most", [("ROWS_MAX", 2), ("SHEET_BYTES_MAX", 80)]
)  # the real ones take a while to reach
def test_an_xlsx_goes_on_in_a_further_sheet_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str, most: int
) -> None:
    monkeypatch.setattr(xlsx, limit, most)
    sheet = Xlsx(tmp_path / "a.xlsx")
    sheet.heading(["number", "=at"])
    sheet.rows([[0, AT], [1, None]])
    sheet.rows([[2, AT]])
    sheet.close()
    book = openpyxl.load_workbook(tmp_path / "a.xlsx")
    assert [[("number", "=at"), (0, AT), (1, None)], [("number", "=at"), (2, AT)]] == [
        list(sheet.values) for sheet in book.worksheets
    ]
    assert ["s", "s"] == [sheet["B1"].data_type for sheet in book.worksheets], "a heading is no formula"
    assert ["A2", "A2"] == [sheet.freeze_panes for sheet in book.worksheets]


def test_an_xlsx_announces_no_size_that_would_hide_its_rows(tmp_path: Path) -> None:
    sheet = Xlsx(tmp_path / "a.xlsx")
    sheet.heading(["number"])
    sheet.rows([[number] for number in range(5)])
    sheet.close()
    streamed = openpyxl.load_workbook(tmp_path / "a.xlsx", read_only=True)
    assert 6 == len(list(streamed.active.iter_rows()))
    streamed.close()


def test_any_text_of_others_comes_back_as_it_was(tmp_path: Path) -> None:
    texts = [
        "a & b",
        "<t>",
        "]]>",
        " spaces ",
        "two\nlines",
        "\r",
        "\x01",
        "_x0041_",
        "\ufffe",
        "한국 😀",
        "x" * 40_000,
    ]
    sheet = Xlsx(tmp_path / "a.xlsx")
    sheet.heading(["text"])
    sheet.rows([[text] for text in texts])
    sheet.close()
    read = [
        row[0]
        for row in openpyxl.load_workbook(tmp_path / "a.xlsx").active.iter_rows(min_row=2, values_only=True)
    ]
    assert [text[:32_767] for text in texts] == [unescape(str(text)) for text in read]


def test_texts_of_an_xls_come_back_however_long_and_in_whatever_script(tmp_path: Path) -> None:
    texts = [
        "a & <b>",
        "한국 😀",
        "\x01\r\n",
        "é" * 300,
        *("a" * length for length in (1999, 2000, 2001, 8203, 8204, 40_000)),
        *("책" * length for length in (2000, 4090, 4100, 40_000)),
        "😀" * 20_000,
        *(f"order {number} 책" for number in range(2000)),
        "a & <b>",
    ]
    sheet = Xls(tmp_path / "a.xls")
    sheet.heading(["text"])
    sheet.rows([[text] for text in texts])
    sheet.close()
    read = xlrd.open_workbook(tmp_path / "a.xls").sheet_by_index(0).col_values(0, 1)
    assert ["😀" * 16_383 if text[0] == "😀" else text[:32_767] for text in texts] == read


def test_numbers_dates_and_gaps_keep_their_kind(tmp_path: Path) -> None:
    for writer, path in ((Xlsx, tmp_path / "a.xlsx"), (Xls, tmp_path / "a.xls"), (Csv, tmp_path / "a.csv")):
        sheet = writer(path)
        sheet.heading(["금액", "at", "none"])
        sheet.rows([[12_000, AT, None]])
        sheet.close()
    assert [("금액", "at", "none"), (12_000, AT, None)] == list(
        openpyxl.load_workbook(tmp_path / "a.xlsx").active.values
    )
    row = xlrd.open_workbook(tmp_path / "a.xls").sheet_by_index(0).row_values(1)
    assert (12_000, AT) == (row[0], xlrd.xldate_as_datetime(row[1], 0).replace(microsecond=0))
    with (tmp_path / "a.csv").open(encoding="utf-8-sig", newline="") as file:
        assert [["금액", "at", "none"], ["12000", "2026-11-23 09:08:07", ""]] == list(csv.reader(file))


@pytest.mark.parametrize("text", ["=1", "+1", "-1", "@a", "\ta", "\ra", "\na"])
def test_texts_that_begin_like_a_formula_are_made_harmless(text: str) -> None:
    assert f"'{text}" == harmless(text)
    assert csv_lines([[text]]).lstrip('"').startswith("'")


@pytest.mark.parametrize("text", ["", "a=1", " =1", "한국", "1-2"])
def test_other_texts_stay_as_they_are(text: str) -> None:
    assert text == harmless(text)
