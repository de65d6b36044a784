"""Rows of an export: the table's, whatever it is filtered by, oldest first over all projects."""

import csv
import io
import random

from tests import books
from tests.dashboard import OTHER_SHOP, SHOP, open_office
from tests.reports.test_register import any_filter, expected

from wongate.reports import export_rows
from wongate.reports.register import Filter

FILTERS = 60
COLUMNS = ("sale_id", "project_id", "code")


async def test_any_filter_exports_the_rows_that_it_names_oldest_first(database: str) -> None:
    async with open_office(database) as office:
        now = office.clock.now()
        past = books.draw(SHOP, now, days=20, number=300)
        others = books.draw(OTHER_SHOP, now, days=20, number=60, seed=3)
        await books.write(office.platform, past, others)
        codes = {row["operation_id"]: row["code"] for row in (*past.operations, *others.operations)}
        chance = random.Random(2026)
        shown = 0
        async with office.platform.database.transaction() as tx:
            for _ in range(FILTERS):
                wanted = any_filter(chance, past, now)
                rows = [
                    [str(value) for value in (row["sale_id"], row["project_id"], codes[row["sale_id"]])]
                    for row in reversed(expected(wanted, past, others))
                ]
                shown += len({row["project_id"] for row in expected(wanted, past, others)}) > 1
                cursor = await export_rows.cursor(tx, wanted, COLUMNS, "Asia/Seoul")
                assert rows == [list(row) for row in await cursor.fetch(len(rows) + 1)], wanted
                lines = await export_rows.lines(tx, wanted, COLUMNS, "Asia/Seoul")
                text = "".join(line for (line,) in await lines.fetch(len(rows) + 1))
                assert rows == list(csv.reader(io.StringIO(text, newline=""))), wanted
        assert shown > FILTERS / 10


async def test_a_line_of_csv_reads_as_its_cells_also_with_a_comma_in_them_and_with_nothing_at_all(
    database: str,
) -> None:
    async with open_office(database) as office:
        past = books.draw(SHOP, office.clock.now(), days=20, number=300)
        await books.write(office.platform, past)
        flags = [row["flag"] for row in past.payments]
        assert {"", "late success, returned"} == {*flags}
        async with office.platform.database.transaction() as tx:
            lines = await export_rows.lines(tx, Filter((SHOP,)), ["flag"], "Asia/Seoul")
            text = "".join(line for (line,) in await lines.fetch(len(flags) + 1))
        assert [[flag] for flag in flags] == list(csv.reader(io.StringIO(text, newline="")))
