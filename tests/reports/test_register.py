"""Pages and totals of whatever people may filter by, against the same filter in plain Python over the rows as written."""

import itertools
import random
from collections import defaultdict
from datetime import datetime, timedelta
from typing import Any

import pytest
from tests import books
from tests.books import DECLINES, Past
from tests.dashboard import OTHER_SHOP, SHOP, open_office

from wongate.domain.payment import FINISHED, PaymentStatus
from wongate.flows import roll_up
from wongate.reports import register
from wongate.reports.register import Filter, Key

PAGE = 17
FILTERS = 120


def any_filter(chance: random.Random, past: Past, now: datetime) -> Filter:
    """One to three conditions that may go together in a URL."""
    some = chance.choice(past.payments)
    begin = now - timedelta(seconds=chance.uniform(0, 20 * 86_400))
    conditions: dict[str, Any] = {
        "since": begin,
        "until": chance.choice((some["created_at"], begin + timedelta(days=2))),
        "statuses": tuple(chance.sample(sorted(PaymentStatus), chance.randint(1, 3))),
        "methods": (chance.choice(("payco", "kakaopay")),),
        "sources": (chance.choice(("gate", "page")),),
        "codes": tuple(chance.sample((0, 9999, 2004, 20401, *DECLINES), chance.randint(1, 2))),
        "customer_id": some["customer_id"],
        "amount_min": some["amount"],
        "amount_max": chance.randint(1, 900) * 100,
        "flagged": True,
        "failing": True,
        "unfinished": True,
        "refunds": True,
        "payment_nos": tuple(row["payment_no"] for row in chance.sample(past.payments, 20)),
    }
    chosen = chance.sample(sorted(conditions), chance.randint(0, 3))
    projects = chance.choice(((SHOP,), (SHOP, OTHER_SHOP)))
    return Filter(projects, **{name: conditions[name] for name in chosen})


def expected(wanted: Filter, *pasts: Past) -> list[dict[str, Any]]:
    """The payments that the filter lets through, newest first."""
    codes = {row["operation_id"]: row["code"] for past in pasts for row in past.operations}
    failing = {
        row["payment_no"]
        for past in pasts
        for row in past.callbacks
        if row["failures"] and row["state"] in ("waiting", "failed")
    }
    found = [
        row
        for past in pasts
        for row in past.payments
        if row["project_id"] in wanted.project_ids
        and (wanted.since is None or row["created_at"] >= wanted.since)
        and (wanted.until is None or row["created_at"] < wanted.until)
        and (not wanted.statuses or row["status"] in wanted.statuses)
        and (not wanted.methods or row["method"] in wanted.methods)
        and (not wanted.sources or row["source"] in wanted.sources)
        and (not wanted.codes or codes[row["sale_id"]] in wanted.codes)
        and (not wanted.customer_id or row["customer_id"] == wanted.customer_id)
        and (wanted.amount_min is None or row["amount"] >= wanted.amount_min)
        and (wanted.amount_max is None or row["amount"] <= wanted.amount_max)
        and (not wanted.flagged or row["flag"])
        and (not wanted.failing or row["payment_no"] in failing)
        and (not wanted.unfinished or row["status"] not in FINISHED)
        and (not wanted.refunds or row["refunded"] + row["reserved"])
        and (not wanted.payment_nos or row["payment_no"] in wanted.payment_nos)
    ]
    return sorted(found, key=lambda row: (row["created_at"], row["payment_no"]), reverse=True)


async def every_page(tx: Any, wanted: Filter) -> list[int]:
    found: list[int] = []
    after = None
    while rows := await register.page(tx, wanted, after=after, limit=PAGE):
        found += [row["payment_no"] for row in rows]
        after = Key(rows[-1]["created_at"], rows[-1]["payment_no"])
    return found


def summed(rows: list[dict[str, Any]]) -> dict[tuple[str, str], list[int]]:
    sums: dict[tuple[str, str], list[int]] = defaultdict(lambda: [0, 0, 0, 0])
    for row in rows:
        one = sums[row["status"], row["currency"]]
        for place, value in enumerate((1, row["amount"], row["captured"], row["refunded"])):
            one[place] += value
    return dict(sums)


@pytest.mark.parametrize(
    "added_up, rare", list(itertools.product((False, True), (register.RARE, 0))), ids=str
)
async def test_any_filter_shows_the_rows_and_sums_that_it_names(
    database: str, monkeypatch: pytest.MonkeyPatch, added_up: bool, rare: int
) -> None:
    monkeypatch.setattr(register, "RARE", rare)  # 0: nothing is rare, everything is looked for by time
    async with open_office(database) as office:
        now = office.clock.now()
        past = books.draw(SHOP, now, days=20, number=300)
        others = books.draw(OTHER_SHOP, now, days=20, number=60, seed=3)
        await books.write(office.platform, past, others)
        while added_up and await roll_up.add_up(office.platform):
            pass
        chance = random.Random(2026)
        shown = 0
        async with office.platform.database.read() as tx:
            for _ in range(FILTERS):
                wanted = any_filter(chance, past, now)
                rows = expected(wanted, past, others)
                shown += bool(rows)
                assert [row["payment_no"] for row in rows] == await every_page(tx, wanted), wanted
                totals = {
                    (row["status"], row["currency"]): [
                        row[name] for name in ("payments", "amount", "captured", "refunded")
                    ]
                    for row in await register.totals(tx, wanted)
                }
                assert summed(rows) == totals, wanted
        assert FILTERS / 3 < shown < FILTERS


@pytest.mark.parametrize("rare", [register.RARE, 0])
async def test_a_page_before_a_row_ends_where_the_row_begins(
    database: str, monkeypatch: pytest.MonkeyPatch, rare: int
) -> None:
    monkeypatch.setattr(register, "RARE", rare)
    async with open_office(database) as office:
        past = books.draw(SHOP, office.clock.now(), days=20, number=300)
        await books.write(office.platform, past)
        wanted = Filter((SHOP,), codes=DECLINES[:2])
        rows = expected(wanted, past)
        key = Key(rows[15]["created_at"], rows[15]["payment_no"])
        async with office.platform.database.read() as tx:
            page = await register.page(tx, wanted, before=key, limit=10)
        assert [row["payment_no"] for row in rows[5:15]] == [row["payment_no"] for row in page]
