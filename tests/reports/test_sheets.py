"""Sheets as other readers see them: where they are split, and what cells become."""

import csv
from datetime import datetime
from pathlib import Path

import openpyxl
import pytest
import xlrd

from wongate.reports import sheets
from wongate.reports.sheets import XLS_ROWS_MAX, Csv, Xls, Xlsx, csv_lines, harmless

AT = datetime(2026, 11, 23, 9, 8, 7)


def test_an_xls_goes_on_in_a_further_sheet_under_the_same_heading(tmp_path: Path) -> None:
    sheet = Xls(tmp_path / "a.xls")
    sheet.heading(["number"])
    for number in range(XLS_ROWS_MAX + 2):
        sheet.row([number])
    sheet.close()
    first, second = xlrd.open_workbook(tmp_path / "a.xls").sheets()
    assert (65_536, 3) == (first.nrows, second.nrows), (
        "an Excel 97 sheet has 65,536 rows, its heading included"
    )
    assert ["number", 65_535.0, 65_536.0] == second.col_values(0)


def test_an_xlsx_goes_on_in_a_further_sheet_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sheets, "XLSX_ROWS_MAX", 2)  # the real limit takes half a minute to reach
    sheet = Xlsx(tmp_path / "a.xlsx")
    sheet.heading(["number"])
    for number in range(3):
        sheet.row([number])
    sheet.close()
    book = openpyxl.load_workbook(tmp_path / "a.xlsx")
    assert [[("number",), (0,), (1,)], [("number",), (2,)]] == [list(s.values) for s in book.worksheets]


def test_numbers_dates_and_gaps_keep_their_kind(tmp_path: Path) -> None:
    for writer, path in ((Xlsx, tmp_path / "a.xlsx"), (Xls, tmp_path / "a.xls"), (Csv, tmp_path / "a.csv")):
        sheet = writer(path)
        sheet.heading(["금액", "at", "none"])
        sheet.row([12_000, AT, None])
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
