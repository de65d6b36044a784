"""Rows of an export: the table's, whatever it is filtered by, oldest first over all projects."""

import csv
import io
import random

from tests import books
from tests.dashboard import OTHER_SHOP, SHOP, open_office
from tests.reports.test_register import any_filter, expected

from wongate.reports import export_rows

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
                lines: list[bytes] = []

                async def write(part: bytes, lines: list[bytes] = lines) -> None:
                    lines.append(part)

                number = await export_rows.copy_csv(tx, wanted, COLUMNS, "Asia/Seoul", write)
                read = list(csv.reader(io.StringIO(b"".join(lines).decode())))
                assert (len(rows), rows) == (number, read), wanted
        assert shown > FILTERS / 10
