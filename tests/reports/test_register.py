"""Pages and totals of whatever people may filter by, against the same filter in plain Python over the rows as written."""

import itertools
import random
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from tests import books
from tests.books import DECLINES, Past
from tests.dashboard import OTHER_SHOP, SHOP, open_office

from wongate.connections.ids import made_at_ms
from wongate.domain.payment import FINISHED, PaymentStatus
from wongate.flows import roll_up
from wongate.reports import ends, register
from wongate.reports.ends import ENDS, windows
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
        "about": chance.choice(sorted(ENDS)),
        "weekday": chance.randint(1, 7),
        "hour": chance.randint(0, 23),
    }
    chosen = chance.sample(sorted(conditions), chance.randint(0, 3))
    projects = chance.choice(((SHOP,), (SHOP, OTHER_SHOP)))
    zone = chance.choice(("Asia/Seoul", "Asia/Kolkata", "America/New_York"))
    return Filter(projects, zone=zone, **{name: conditions[name] for name in chosen})


def moments(wanted: Filter, payment: dict[str, Any], past: Past) -> list[datetime]:
    """What the filter's period may be about: the payment's creation, or the ends of the kind that is asked for."""
    if not wanted.about:
        return [payment["created_at"]]
    kinds = {
        "paid": "sale",
        "declined": "sale",
        "finished": "sale",
        "refunded": "refund",
        "not_refunded": "refund",
    }
    statuses = {"paid": "success", "declined": "decline", "refunded": "success", "not_refunded": "decline"}
    own = {
        row["operation_id"]: row["kind"]
        for row in past.operations
        if row["payment_no"] == payment["payment_no"]
    }
    return [
        row["at"]
        for row in past.transitions
        if row["final"]
        and row["operation_id"] in own
        and own[row["operation_id"]] == kinds.get(wanted.about, own[row["operation_id"]])
        and row["status"] == statuses.get(wanted.about, row["status"])
        and not (wanted.about in ("declined", "finished") and row["payment_status"] == "error")
    ]


def is_within(wanted: Filter, at: datetime) -> bool:
    local = at.astimezone(ZoneInfo(wanted.zone or "UTC"))
    return (
        (wanted.since is None or at >= wanted.since)
        and (wanted.until is None or at < wanted.until)
        and wanted.weekday in (None, local.isoweekday())
        and wanted.hour in (None, local.hour)
    )


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
        and any(is_within(wanted, at) for at in moments(wanted, row, past))
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


async def every_page(tx: Any, wanted: Filter, in_order: bool = True) -> list[int]:
    found: list[int] = []
    after = None
    while rows := await register.page(tx, wanted, after=after, limit=PAGE, in_order=in_order):
        found += [row["payment_no"] for row in rows]
        after = Key(rows[-1]["created_at"], rows[-1]["payment_no"])
    return found


async def every_page_back(tx: Any, wanted: Filter, past: Past, in_order: bool = True) -> list[int]:
    """From before the first payment to the newest."""
    found: list[int] = []
    before = Key(min(row["created_at"] for row in past.payments) - timedelta(seconds=1), 0)
    while rows := await register.page(tx, wanted, before=before, limit=PAGE, in_order=in_order):
        found += [row["payment_no"] for row in reversed(rows)]
        before = Key(rows[0]["created_at"], rows[0]["payment_no"])
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
    monkeypatch.setattr(register, "NEAREST", register.NEAREST if rare else 60)
    monkeypatch.setattr(ends, "NEAR", ends.NEAR if rare else -1)
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


def crowd(past: Past, chance: random.Random, seconds: float) -> None:
    """Moves the payments together, to one a second, and their creation up to so many seconds away from their numbers."""
    begin = past.payments[0]["payment_no"]
    for row in itertools.chain(
        past.payments, past.operations, past.transitions, past.callbacks, past.attempts
    ):
        for name in {"payment_no", "sale_id", "operation_id", "callback_id"} & row.keys():
            place, low = divmod(row[name] - begin, 1 << 12)
            row[name] = begin + (place // 5000 << 12) + low
    for payment in past.payments:
        at = datetime.fromtimestamp(made_at_ms(payment["payment_no"]) / 1000, UTC)
        payment["created_at"] = at + timedelta(seconds=chance.uniform(-seconds, seconds))


@pytest.mark.parametrize(
    "seconds, in_order",
    [(4.9, True), pytest.param(3600, False, id="a sandbox's clock that was set back and forth")],
)
async def test_payments_numbered_by_clocks_that_differ_are_shown_in_order_of_time(
    database: str, monkeypatch: pytest.MonkeyPatch, seconds: float, in_order: bool
) -> None:
    monkeypatch.setattr(register, "RARE", 0)
    async with open_office(database) as office:
        past = books.draw(SHOP, office.clock.now(), days=20, number=400)
        crowd(past, random.Random(11), seconds)
        await books.write(office.platform, past)
        wanted = Filter((SHOP,), codes=DECLINES)
        shown = [row["payment_no"] for row in expected(wanted, past)]
        assert len(shown) > 3 * PAGE
        assert shown != sorted(shown, reverse=True)
        async with office.platform.database.read() as tx:
            assert shown == await every_page(tx, wanted, in_order)
            assert shown[::-1] == await every_page_back(tx, wanted, past, in_order)


@pytest.mark.parametrize("zone", ["Asia/Seoul", "Asia/Kolkata", "America/New_York", "Australia/Lord_Howe"])
@pytest.mark.parametrize("weekday, hour", [(7, 1), (7, 2), (None, 0), (7, None), (None, None)])
@pytest.mark.parametrize("month", [4, 10])  # clocks change within: in New York a week later
def test_windows_hold_every_moment_of_their_weekday_and_hour_and_little_else(
    zone: str, weekday: int | None, hour: int | None, month: int
) -> None:
    since, until = (
        datetime(2026, month, 1, 3, 20, tzinfo=UTC),
        datetime(2026, month + 1, 10, 7, 10, tzinfo=UTC),
    )
    parts = windows(since, until, zone, weekday, hour)
    assert parts is not None
    wanted = Filter((SHOP,), since=since, until=until, weekday=weekday, hour=hour, zone=zone)
    at, outside = since, 0
    while at < until:
        inside = any(begin <= at < end for begin, end in parts)
        assert inside or not is_within(wanted, at)
        outside += inside and not is_within(wanted, at)
        at += timedelta(minutes=10)
    assert outside <= 6, "no more than the hour that comes twice"


def test_a_period_without_an_end_has_no_windows() -> None:
    since = datetime(2026, 1, 1, tzinfo=UTC)
    assert windows(since, None, "UTC", 1, None) is None
    assert windows(datetime(1, 1, 2, tzinfo=UTC), since, "UTC", None, 3) is None
