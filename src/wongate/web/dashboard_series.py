"""Tiles that show how something went on: an hour, a day or a month after the other."""

from collections.abc import Mapping

from wongate.connections.database import Tx
from wongate.reports import analytics
from wongate.reports.analytics import Ask, Bucket, Sum
from wongate.web.dashboard_charts import Bar, Part, Spoken
from wongate.web.dashboard_drawings import (
    Drawn,
    Line,
    Speech,
    growth,
    is_more,
    link,
    picture,
    signed,
    together,
)
from wongate.web.dashboard_shell import N_
from wongate.web.dashboard_tiles import Tile

KINDS = {"sale": N_("Purchases"), "refund": N_("Refunds")}
ENDINGS = {
    "success": (N_("Successful"), "good"),
    "decline": (N_("Declined"), "bad"),
    "error": (N_("Not accepted"), "quiet"),
}
_AIMS: Mapping[tuple[str, str], Mapping[str, str]] = {
    ("sale", "success"): {"about": "paid"},
    ("sale", "decline"): {"about": "declined"},
    ("sale", "error"): {"status": "error"},
    ("refund", "success"): {"about": "refunded"},
    ("refund", "decline"): {"about": "not_refunded"},
}


async def conversion(tx: Tx, tile: Tile, ask: Ask, say: Speech) -> Drawn:
    """Successful by finished sales (E-33)."""
    buckets = await analytics.series(tx, ask)
    words = {status: say.text(ENDINGS[status][0]) for status in ("success", "decline")}
    bars, lines = [], []
    for bucket in buckets:
        label = say.bucket(bucket, ask)
        counts = {status: bucket.of("sale", status).operations for status in words}
        good, bad = counts.values()
        parts = [
            _ended(ask, bucket, ending, count, say.number, say, _aim("sale", ending))
            for ending, count in counts.items()
        ]
        bars.append(Bar(label, parts))
        share = say.share(good, good + bad)
        lines.append(Line([label, good, bad, share], link(ask, bucket.since, bucket.until, about="finished")))
    good, bad = (together(buckets, "sale", status).operations for status in words)
    then = await analytics.totals(tx, ask.before) if tile.compare else {}
    was_good, was_bad = (then.get(("sale", status), Sum()).operations for status in words)
    now_share, was_share = (
        100 * g / (g + b) if g + b else 0.0 for g, b in ((good, bad), (was_good, was_bad))
    )
    difference = round(now_share - was_share, 1)
    change = signed(difference, say.points(abs(difference))) if was_good + was_bad else ""
    return Drawn(
        tile,
        say.title(tile),
        ask,
        say.share(good, good + bad),
        [say.text(N_("When")), *words.values(), say.text(N_("Conversion"))],
        lines,
        svg=picture(tile, bars, say, say.short),
        change=change,
        better=is_more(difference) if change else None,
        legend=[(ENDINGS[status][1], word) for status, word in words.items()],
        note=say.text(
            N_(
                "Successful purchases ÷ purchases with a final status. Requests that were not accepted are not counted."
            )
        ),
    )


def _ended(
    ask: Ask, bucket: Bucket, ending: str, value: int, spoken: Spoken, say: Speech, aim: Mapping[str, str]
) -> Part:
    word, colour = ENDINGS[ending]
    hint = f"{say.bucket(bucket, ask)}: {say.text(word)} {spoken(value)}"
    return Part(colour, value, hint, link(ask, bucket.since, bucket.until, **aim))


def _aim(kind: str, ending: str) -> Mapping[str, str]:
    """What the payments have in common of which such an operation ended so; no type means either."""
    return _AIMS.get((kind, ending), {"about": "ended"})


async def turnover(tx: Tx, tile: Tile, ask: Ask, say: Speech) -> Drawn:
    buckets = await analytics.series(tx, ask)
    words = say.text(N_("Paid")), say.text(N_("Refunded"))
    bars, lines = [], []
    for bucket in buckets:
        label = say.bucket(bucket, ask)
        paid, back = bucket.of("sale", "success").amount, bucket.of("refund", "success").amount
        to_paid = link(ask, bucket.since, bucket.until, about="paid")
        bars.append(Bar(label, [Part("main", paid, f"{label}: {words[0]} {say.won(paid)}", to_paid)]))
        lines.append(Line([label, paid, back, paid - back], to_paid))
    paid, back = together(buckets, "sale", "success").amount, together(buckets, "refund", "success").amount
    then = await analytics.totals(tx, ask.before) if tile.compare else {}
    change, better = growth(paid, then.get(("sale", "success"), Sum()).amount, say)
    return Drawn(
        tile,
        say.title(tile),
        ask,
        say.won(paid),
        [say.text(N_("When")), *words, say.text(N_("Paid less refunds"))],
        lines,
        svg=picture(tile, bars, say, say.short),
        change=change,
        better=better,
        note=say.text(N_("%(sum)s went back in refunds.")) % {"sum": say.won(back)},
    )


async def speed(tx: Tx, tile: Tile, ask: Ask, say: Speech) -> Drawn:
    buckets = await analytics.series(tx, ask)
    bars, lines = [], []
    for bucket in buckets:
        label, paid = say.bucket(bucket, ask), bucket.of("sale", "success")
        mean = round(paid.seconds / paid.operations) if paid.operations else 0
        place = link(ask, bucket.since, bucket.until, about="paid")
        bars.append(Bar(label, [Part("main", mean, f"{label}: {say.span(mean)}", place)]))
        lines.append(Line([label, paid.operations, say.span(mean) if paid.operations else "–"], place))
    paid = together(buckets, "sale", "success")
    then = await analytics.totals(tx, ask.before) if tile.compare else {}
    was = then.get(("sale", "success"), Sum())
    overall = paid.seconds / paid.operations if paid.operations else 0.0
    difference = round(overall - (was.seconds / was.operations if was.operations else 0.0))
    change = signed(difference, say.seconds(abs(difference))) if was.operations and paid.operations else ""
    return Drawn(
        tile,
        say.title(tile),
        ask,
        say.span(overall) if paid.operations else "–",
        [say.text(N_("When")), say.text(N_("Successful")), say.text(N_("Mean time"))],
        lines,
        svg=picture(tile, bars, say, say.seconds),
        change=change,
        better=is_more(-difference) if change else None,
        note=say.text(N_("From the purchase's opening to its success, on average.")),
    )


async def operations(tx: Tx, tile: Tile, ask: Ask, say: Speech) -> Drawn:
    """Operations of the chosen type by how they ended, counted or added up."""
    buckets = await analytics.series(tx, ask)
    spoken = say.won if tile.measure == "amount" else say.number
    kinds = (tile.kind,) if tile.kind else tuple(KINDS)
    bars, lines = [], []
    for bucket in buckets:
        label = say.bucket(bucket, ask)
        values = {ending: sum(tile.value(bucket.of(kind, ending)) for kind in kinds) for ending in ENDINGS}
        parts = [
            _ended(ask, bucket, ending, value, spoken, say, _aim(tile.kind, ending))
            for ending, value in values.items()
        ]
        bars.append(Bar(label, parts))
        lines.append(Line([label, *values.values()], link(ask, bucket.since, bucket.until, about="ended")))
    whole = sum(bar.total for bar in bars)
    then = await analytics.totals(tx, ask.before) if tile.compare else {}
    was = sum(tile.value(total) for (kind, _), total in then.items() if kind in kinds)
    change, _ = growth(whole, was, say)
    return Drawn(
        tile,
        say.title(tile),
        ask,
        spoken(whole),
        [say.text(N_("When")), *(say.text(word) for word, _ in ENDINGS.values())],
        lines,
        svg=picture(tile, bars, say, say.short),
        change=change,
        legend=[(colour, say.text(word)) for word, colour in ENDINGS.values()],
        note=say.text(KINDS[tile.kind]) if tile.kind else say.text(N_("Purchases and refunds together.")),
    )
