"""Tiles that set things against each other: reasons, customers, hours of the week, and the pivot table."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from babel.dates import get_day_names

from wongate.connections.database import Tx
from wongate.domain import codes
from wongate.reports import analytics
from wongate.reports.analytics import Ask, Sum
from wongate.web import dashboard_charts as charts
from wongate.web.dashboard_charts import Bar, Part
from wongate.web.dashboard_drawings import Drawn, Line, Speech, growth, link, picture
from wongate.web.dashboard_filters import SOURCE_NAMES
from wongate.web.dashboard_series import ENDINGS, KINDS
from wongate.web.dashboard_shell import N_
from wongate.web.dashboard_tiles import Tile


async def declined(tx: Tx, tile: Tile, ask: Ask, say: Speech) -> Drawn:
    """Codes of declined sales, all of them or the ten most frequent."""
    found = await analytics.declines(tx, ask, analytics.TOP if tile.template == "codes" else 100)
    whole = sum(total.operations for _, total in found)
    bars, lines = [], []
    for code, total in found:
        name = f"{code} {codes.message(code)}"
        place = link(ask, ask.since, ask.until, about="declined", code=str(code))
        hint = f"{name}: {say.number(total.operations)}"
        bars.append(Bar(name, [Part("bad", total.operations, hint, place)]))
        lines.append(
            Line([code, codes.message(code), total.operations, say.share(total.operations, whole)], place)
        )
    then = await analytics.totals(tx, ask.before) if tile.compare else {}
    change, more = growth(whole, then.get(("sale", "decline"), Sum()).operations, say)
    return Drawn(
        tile,
        say.title(tile),
        ask,
        say.number(whole),
        [say.text(N_("Code")), say.text(N_("Meaning")), say.text(N_("Declined")), say.text(N_("Share"))],
        lines,
        svg=picture(tile, bars[: analytics.TOP], say, say.number),
        change=change,
        better=None if more is None else not more,
        wordy=(1,),
    )


async def customers(tx: Tx, tile: Tile, ask: Ask, say: Speech) -> Drawn:
    found = await analytics.customers(tx, ask)
    bars, lines = [], []
    for customer_id, total in found:
        place = link(ask, ask.since, ask.until, about="paid", customer_id=customer_id)
        hint = f"{customer_id}: {say.won(total.amount)}"
        bars.append(Bar(customer_id, [Part("main", total.amount, hint, place)]))
        lines.append(Line([customer_id, total.operations, total.amount], place))
    return Drawn(
        tile,
        say.title(tile),
        ask,
        say.won(sum(total.amount for _, total in found)),
        [say.text(N_("Customer")), say.text(N_("Payments")), say.text(N_("Paid"))],
        lines,
        svg=picture(tile, bars, say, say.won),
    )


async def hours(tx: Tx, tile: Tile, ask: Ask, say: Speech) -> Drawn:
    found = await analytics.by_hour(tx, ask)
    days = get_day_names("abbreviated", locale=say.language)
    grid, lines = [], []
    for weekday in range(1, 8):
        name = str(days[weekday - 1])
        counts = [found.get((weekday, hour), Sum()).operations for hour in range(24)]
        hints = [f"{name} {hour:02}:00: {say.number(count)}" for hour, count in enumerate(counts)]
        of_day = {"about": "paid", "weekday": str(weekday)}
        places = [link(ask, ask.since, ask.until, **of_day, hour=str(hour)) for hour in range(24)]
        cells = zip(counts, hints, places, strict=True)
        grid.append(Bar(name, [Part("main", *cell) for cell in cells]))
        lines.append(Line([name, *counts], link(ask, ask.since, ask.until, **of_day), places))
    best = max(found, key=lambda key: found[key].operations, default=None)
    clock = [f"{hour:02}" for hour in range(24)]
    return Drawn(
        tile,
        say.title(tile),
        ask,
        f"{days[best[0] - 1]} {best[1]:02}:00" if best else "–",
        [say.text(N_("Weekday")), *clock],
        lines,
        svg=charts.heat(grid, say.title(tile), clock) if tile.drawn_as == "heat" else "",
        note=say.text(
            N_("Successful purchases by the hour they ended in; the headline is the strongest hour.")
        ),
    )


async def pivot(tx: Tx, tile: Tile, ask: Ask, say: Speech) -> Drawn:
    """Type and ending across, what the tile names down, and sums at both edges."""
    kinds = (tile.kind,) if tile.kind else tuple(KINDS)
    across = [(kind, ending) for kind in kinds for ending in ("success", "decline")]
    spoken = say.won if tile.measure == "amount" else say.number
    bars, lines, edge = [], [], [0] * len(across)
    for label, place, sums in await _down(tx, tile, ask, say):
        values = [tile.value(sums.get(key, Sum())) for key in across]
        edge = [before + value for before, value in zip(edge, values, strict=True)]
        bars.append(Bar(label, [Part("main", sum(values), f"{label}: {spoken(sum(values))}", place)]))
        lines.append(Line([label, *values, sum(values)], place))
    total = say.text(N_("Total"))
    return Drawn(
        tile,
        say.title(tile),
        ask,
        spoken(sum(edge)),
        [
            say.text(DOWN[tile.down]),
            *(f"{say.text(KINDS[kind])}: {say.text(ENDINGS[ending][0])}" for kind, ending in across),
            total,
        ],
        [*lines, Line([total, *edge, sum(edge)], link(ask, ask.since, ask.until, about="ended"))]
        if lines
        else [],
        svg=picture(tile, bars, say, spoken),
    )


DOWN = {"time": N_("When"), "project": N_("Project"), "source": N_("Came by")}
Row = tuple[str, str, Mapping[tuple[str, str], Sum]]
"""Label, address of its payments, sums by type and ending."""


async def _down(tx: Tx, tile: Tile, ask: Ask, say: Speech) -> Sequence[Row]:
    if tile.down == "time":
        buckets = await analytics.series(tx, ask)
        return [(say.bucket(b, ask), link(ask, b.since, b.until, about="ended"), b.sums) for b in buckets]
    if tile.down == "project":
        parts = {str(number): replace(ask, project_ids=(number,)) for number in ask.project_ids}
    else:
        sources = ask.sources or tuple(SOURCE_NAMES)
        parts = {say.text(SOURCE_NAMES[source]): replace(ask, sources=(source,)) for source in sources}
    return [
        (label, link(part, part.since, part.until, about="ended"), await analytics.totals(tx, part))
        for label, part in parts.items()
    ]
