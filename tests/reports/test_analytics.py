"""Numbers of the tiles against the raw rows, added up a second time in plain Python."""

import asyncio
import itertools
from collections import Counter, defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from tests import books
from tests.books import Past
from tests.dashboard import OTHER_SHOP, SHOP, Office, open_office

from wongate.flows import roll_up
from wongate.reports import analytics
from wongate.reports.analytics import Ask, Sum, bucket_edges
from wongate.reports.spans import hour_of, split

SEOUL = ZoneInfo("Asia/Seoul")


@asynccontextmanager
async def counted(url: str, *, added_up: bool, number: int = 400) -> AsyncIterator[tuple[Office, Past]]:
    async with open_office(url) as office:
        past = books.draw(SHOP, office.clock.now(), days=20, number=number)
        others = books.draw(OTHER_SHOP, office.clock.now(), days=20, number=50, seed=3)
        await books.write(office.platform, past, others)
        while added_up and await roll_up.add_up(office.platform):
            pass
        yield office, past


def ends(past: Past, since: datetime, until: datetime) -> list[dict[str, Any]]:
    """Every operation that ended in the period, with its payment's properties."""
    operations = {row["operation_id"]: row for row in past.operations}
    payments = {row["payment_no"]: row for row in past.payments}
    found = []
    for transition in past.transitions:
        if transition["final"] and since <= transition["at"] < until:
            operation = operations[transition["operation_id"]]
            payment = payments[operation["payment_no"]]
            status = "error" if transition["payment_status"] == "error" else transition["status"]
            known = {"source": payment["source"], "customer_id": payment["customer_id"]}
            found.append({**operation, **known, "at": transition["at"], "status": status})
    return found


def ask(office: Office, **changes: Any) -> Ask:
    now = office.clock.now()
    known = {
        "since": now - timedelta(days=11, minutes=23, seconds=7),
        "until": now - timedelta(hours=3, minutes=41),
    }
    return Ask(**{"project_ids": (SHOP,), "zone": "Asia/Seoul", **known, **changes})


@pytest.mark.parametrize("added_up", [False, True])
@pytest.mark.parametrize("sources", [(), ("gate",)])
async def test_totals_are_what_the_raw_rows_say(
    database: str, added_up: bool, sources: tuple[str, ...]
) -> None:
    async with counted(database, added_up=added_up) as (office, past):
        wanted = ask(office, sources=sources)
        expected: dict[tuple[str, str], list[int]] = defaultdict(lambda: [0, 0, 0])
        for row in ends(past, wanted.since, wanted.until):
            if not sources or row["source"] in sources:
                total = expected[row["kind"], row["status"]]
                total[0] += 1
                total[1] += row["amount"]
                total[2] += int((row["at"] - row["created_at"]).total_seconds())
        async with office.platform.database.read() as tx:
            found = await analytics.totals(tx, wanted)
        assert dict(expected) == {
            key: [one.operations, one.amount, one.seconds] for key, one in found.items()
        }
        assert {("sale", "success"), ("sale", "decline"), ("sale", "error"), ("refund", "success")} == set(
            expected
        )


@pytest.mark.parametrize("added_up", [False, True])
@pytest.mark.parametrize("days, unit", [(1, "hour"), (11, "day"), (200, "month")])
async def test_buckets_hold_each_end_once(database: str, added_up: bool, days: int, unit: str) -> None:
    async with counted(database, added_up=added_up) as (office, past):
        wanted = ask(office, since=office.clock.now() - timedelta(days=days), until=office.clock.now())
        assert unit == wanted.unit
        async with office.platform.database.read() as tx:
            buckets = await analytics.series(tx, wanted)
        rows = ends(past, wanted.since, wanted.until)
        for bucket in buckets:
            inside = Counter(
                (row["kind"], row["status"]) for row in rows if bucket.since <= row["at"] < bucket.until
            )
            assert inside == Counter({key: total.operations for key, total in bucket.sums.items()})
        assert len(rows) == sum(total.operations for bucket in buckets for total in bucket.sums.values())
        assert all(a.until == b.since for a, b in itertools.pairwise(buckets))


async def test_decline_reasons_hours_and_customers_are_what_the_raw_rows_say(database: str) -> None:
    async with counted(database, added_up=True) as (office, past):
        wanted = ask(office)
        rows = ends(past, wanted.since, wanted.until)
        async with office.platform.database.read() as tx:
            declines = await analytics.declines(tx, wanted)
            by_hour = await analytics.by_hour(tx, wanted)
            customers = await analytics.customers(tx, wanted)
        codes = Counter(row["code"] for row in rows if row["status"] == "decline")
        assert sorted(codes.items(), key=lambda item: (-item[1], item[0])) == [
            (code, one.operations) for code, one in declines
        ]
        paid = [
            row["at"].astimezone(SEOUL) for row in rows if (row["kind"], row["status"]) == ("sale", "success")
        ]
        assert Counter((at.isoweekday(), at.hour) for at in paid) == {
            key: one.operations for key, one in by_hour.items()
        }
        assert top_customers(rows) == customers


def top_customers(rows: list[dict[str, Any]]) -> list[tuple[str, Sum]]:
    spent: dict[str, Sum] = defaultdict(Sum)
    for row in rows:
        if (row["kind"], row["status"]) == ("sale", "success"):
            spent[row["customer_id"]] += Sum(1, row["amount"])
    return sorted(spent.items(), key=lambda item: (-item[1].amount, item[0]))[:10]


@pytest.mark.parametrize("zone", ["Asia/Seoul", "America/New_York"])
async def test_top_customers_are_the_same_from_months_days_and_rows(database: str, zone: str) -> None:
    async with open_office(database) as office:
        now = office.clock.now()
        past = books.draw(SHOP, now, days=100, number=400)
        await books.write(office.platform, past)
        midnight = now.astimezone(ZoneInfo(zone)).replace(hour=0, minute=0, second=0, microsecond=0)
        asks = [
            ask(office, since=midnight - timedelta(days=days), until=until, zone=zone, sources=sources)
            for days in (0, 1, 40, 75, 99)
            for until in (now, midnight, midnight - timedelta(days=33, minutes=17))
            for sources in ((), ("page",))
        ]
        for _ in range(2):
            async with office.platform.database.read() as tx:
                for wanted in asks:
                    rows = ends(past, wanted.since, wanted.until)
                    shown = [row for row in rows if row["source"] in (wanted.sources or ("gate", "page"))]
                    for depths in (analytics.DEPTHS, (2,), (12, 40), ()):
                        assert top_customers(shown) == await analytics.customers(tx, wanted, depths), wanted
            while await roll_up.add_up(office.platform):
                pass
        assert 2 <= await office.value("SELECT count(DISTINCT since) FROM customer_month")


async def test_top_customers_of_a_year_read_the_heads_of_its_months_alone(database: str) -> None:
    until = datetime(2026, 11, 1, tzinfo=UTC)
    wanted = Ask((SHOP,), datetime(2025, 11, 1, tzinfo=UTC), until, "UTC")
    async with open_office(database) as office, office.platform.database.transaction() as tx:
        await tx.execute(
            "INSERT INTO added_up (project_id, until) VALUES ($1, $2)", SHOP, until + timedelta(days=1)
        )
        await tx.execute(
            "INSERT INTO customer_month (project_id, since, customer_id, source, sales, amount) SELECT $1, month, "
            "'customer' || n, source, 1, CASE WHEN n <= 20 THEN 100000 - n ELSE 1000 + n END FROM generate_series(1, 1000) n, "
            "unnest('{gate,page}'::text[]) source, "
            "generate_series('2025-11-01Z'::timestamptz, '2026-10-01Z'::timestamptz, '1 month') month",
            SHOP,
        )
        await tx.execute("ANALYZE customer_month")
        before = await rows_read(tx)
        best = await analytics.customers(tx, wanted)
        rows = await rows_read(tx) - before
        assert [(f"customer{n}", Sum(24, 24 * (100_000 - n))) for n in range(1, 11)] == list(best)
        assert rows < 4_000, f"{rows} of 24,000 rows were read"


async def rows_read(tx: Any) -> int:
    """Of the months' sums and their indexes, by this transaction."""
    statement = "SELECT sum(pg_stat_get_xact_tuples_returned(oid))::bigint FROM pg_class WHERE relname ~ '^customer_month'"
    return int(await tx.fetchval(statement))


async def test_adding_up_again_and_by_several_workers_changes_nothing(database: str) -> None:
    async with counted(database, added_up=True) as (office, _), open_office(database) as second:
        before = await office.fingerprint("added_up")
        await asyncio.gather(*(roll_up.add_up(one.platform) for one in (office, second) for _ in range(3)))
        assert before == await office.fingerprint("added_up")
        office.clock.advance(hours=2)
        second.clock.advance(hours=2)
        await asyncio.gather(*(roll_up.add_up(one.platform) for one in (office, second) for _ in range(3)))
        wanted = ask(office)
        async with office.platform.database.read() as tx:
            assert 0 < (await analytics.totals(tx, wanted))["sale", "success"].operations


async def test_a_row_that_is_committed_late_is_counted_when_its_hour_is_added_up_once_more(
    database: str,
) -> None:
    async with counted(database, added_up=True) as (office, past):
        now = office.clock.now()
        closed = hour_of(now - roll_up.LATE)
        late = books.draw(SHOP, closed - timedelta(minutes=1), days=0.02, number=12, seed=11)
        for row in late.payments:
            row["payment_id"] += "-late"
            row["payment_key"] += "-late"
        await books.write(office.platform, late)
        office.clock.advance(hours=1)
        await roll_up.add_up(office.platform)
        wanted = ask(office, since=closed - timedelta(days=3), until=closed + timedelta(hours=1))
        expected = len(ends(past, wanted.since, wanted.until)) + len(ends(late, wanted.since, wanted.until))
        async with office.platform.database.read() as tx:
            found = await analytics.totals(tx, wanted)
        assert expected == sum(one.operations for one in found.values())


def test_days_follow_a_change_of_the_clocks() -> None:
    since = datetime(2026, 10, 24, tzinfo=ZoneInfo("Europe/Berlin")).astimezone(UTC)
    edges = bucket_edges(Ask((1,), since, since + timedelta(days=4), "Europe/Berlin"))
    assert [24, 25, 24] == [(b - a).total_seconds() // 3600 for a, b in itertools.pairwise(edges)][:3]


@pytest.mark.parametrize(
    "minutes", [(0, 50), (5, 55), (5, 200), (-30, 600), (0, 60), (59, 61), (10, 10), (-600, 6000)]
)
def test_a_period_is_cut_into_whole_hours_and_edges_without_gap_or_overlap(minutes: tuple[int, int]) -> None:
    noon = datetime(2026, 11, 23, 12, tzinfo=UTC)
    since, until = (noon + timedelta(minutes=number) for number in minutes)
    for closed in (noon - timedelta(days=1), noon + timedelta(hours=2), noon + timedelta(days=99)):
        spans = split(since, until, closed)
        pieces = sorted([*spans.edges, *([(spans.since, spans.until)] if spans.since < spans.until else [])])
        covered = sum(((end - begin) for begin, end in pieces), timedelta())
        assert max(until - since, timedelta()) == covered
        assert all(a[1] == b[0] for a, b in itertools.pairwise(pieces))
        if spans.since < spans.until:
            assert spans.until <= closed
            assert (0, 0) == (spans.since.minute, spans.until.minute)
