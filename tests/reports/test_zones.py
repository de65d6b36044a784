"""Days and hours begin where the reader's zone has them, whatever it is: a cell counts what its link leads to."""

from collections import Counter
from datetime import datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from tests import books
from tests.dashboard import SHOP, open_office

from wongate.connections.database import Tx
from wongate.flows import roll_up
from wongate.reports import analytics, register
from wongate.reports.analytics import Ask
from wongate.reports.register import Filter
from wongate.web.dashboard_profile import zones

PERIOD = timedelta(days=61)
"""Up to the 23rd of November: clocks are changed in it in Europe, America and Australia."""


async def unlike(tx: Tx, until: datetime) -> list[str]:
    """One of the offered zones for each way to have offsets in the period. Left out are those of which the tables of the
    operating system and of PostgreSQL tell different things: laws have changed between the two."""
    moments = [until - timedelta(hours=hours) for hours in range(0, PERIOD.days * 24, 6)]
    rows = await tx.fetch(
        "SELECT zone, array_agg(moment AT TIME ZONE zone ORDER BY moment DESC) AS local "
        "FROM unnest($1::text[]) zone, unnest($2::timestamptz[]) moment GROUP BY 1 ORDER BY 1 DESC",
        [name for name, _ in zones()],
        moments,
    )
    ours = {
        name: [at.astimezone(ZoneInfo(name)).replace(tzinfo=None) for at in moments] for name, _ in zones()
    }
    return sorted(
        {tuple(row["local"]): row["zone"] for row in rows if row["local"] == ours[row["zone"]]}.values()
    )


@pytest.mark.parametrize("added_up", [False, True])
async def test_cells_and_bars_count_what_their_links_lead_to_in_every_zone(
    database: str, added_up: bool
) -> None:
    async with open_office(database) as office:
        now = office.clock.now()
        past = books.draw(SHOP, now, days=PERIOD.days, number=600)
        await books.write(office.platform, past)
        while added_up and await roll_up.add_up(office.platform):
            pass
        sales = {
            row["operation_id"]
            for row in past.operations
            if (row["kind"], row["status"]) == ("sale", "success")
        }
        paid = [row["at"] for row in past.transitions if row["final"] and row["operation_id"] in sales]
        async with office.platform.database.read() as tx:
            names = await unlike(tx, now)
            assert {"Asia/Kathmandu", "Australia/LHI"} < set(names)
            for zone in names:
                ask = Ask((SHOP,), now - PERIOD + timedelta(hours=7, minutes=13), now, zone)
                await counts_by_hour(tx, ask, [at for at in paid if at >= ask.since])
                for days in (60, 2):
                    part = Ask((SHOP,), now - timedelta(days=days), now, zone)
                    buckets = await analytics.series(tx, part)
                    inside = [sum(max(b.since, part.since) <= at < b.until for at in paid) for b in buckets]
                    assert inside == [b.of("sale", "success").operations for b in buckets], part
                    assert all(a.until == b.since for a, b in pairwise(buckets))
                    if days == 60:
                        assert {0} == {b.since.astimezone(ZoneInfo(zone)).hour for b in buckets}


async def counts_by_hour(tx: Tx, ask: Ask, paid: list[datetime]) -> None:
    local = [at.astimezone(ZoneInfo(ask.zone)) for at in paid]
    expected = Counter((at.isoweekday(), at.hour) for at in local)
    found = await analytics.by_hour(tx, ask)
    assert expected == {key: one.operations for key, one in found.items()}, ask.zone
    for (weekday, hour), count in expected.most_common(2):
        behind = Filter(
            (SHOP,), ask.since, ask.until, about="paid", weekday=weekday, hour=hour, zone=ask.zone
        )
        assert count == sum(row["payments"] for row in await register.totals(tx, behind)), ask.zone
