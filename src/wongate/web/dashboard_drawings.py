"""How a tile is drawn: numbers into a picture, the same as a table, each shape and row with its link to the payments."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from babel.dates import format_date, format_datetime, format_skeleton, get_day_names
from babel.numbers import format_compact_decimal, format_decimal, format_percent

from wongate.connections.database import Tx
from wongate.domain import codes
from wongate.reports import analytics, charts
from wongate.reports.analytics import Ask, Bucket, Sum
from wongate.reports.charts import Bar, Part
from wongate.reports.sheets import Cell
from wongate.web import words as catalogue
from wongate.web.dashboard_filters import local_text
from wongate.web.dashboard_payments import HOME as PAYMENTS
from wongate.web.dashboard_shell import N_
from wongate.web.dashboard_tiles import TEMPLATES, Tile


@dataclass(frozen=True, slots=True)
class Line:
    """A row of the table twin; `href` leads to its payments."""

    cells: Sequence[Cell]
    href: str = ""


@dataclass(frozen=True, slots=True)
class Drawn:
    """A tile ready to be shown: one headline, the same number of the period before, a picture and its table."""

    tile: Tile
    title: str
    ask: Ask
    headline: str
    change: str
    better: bool | None
    svg: str
    headings: Sequence[str]
    lines: Sequence[Line]
    note: str = ""
    wordy: tuple[int, ...] = ()  # columns that hold words, not numbers


class Speech:
    """Words, numbers and links in one language."""

    def __init__(self, language: str) -> None:
        self.language = language
        self.text = catalogue.words("dashboard", language).gettext

    def number(self, value: int) -> str:
        return str(format_decimal(value, locale=self.language))

    def short(self, value: int) -> str:
        return str(format_compact_decimal(value, locale=self.language, fraction_digits=2))

    def won(self, value: int) -> str:
        return catalogue.won(value, self.language)

    def share(self, part: int, whole: int) -> str:
        return str(format_percent(part / whole, "#,##0.0%", locale=self.language)) if whole else "–"

    def span(self, seconds: float) -> str:
        minutes, rest = divmod(round(seconds), 60)
        return self.text(N_("%(minutes)d min %(seconds)d s")) % {"minutes": minutes, "seconds": rest}

    def seconds(self, value: int) -> str:
        return self.text(N_("%(number)s s")) % {"number": self.short(value)}

    def bucket(self, bucket: Bucket, ask: Ask) -> str:
        at = bucket.since.astimezone(ZoneInfo(ask.zone))
        if ask.unit == "hour":
            return str(format_datetime(at, "HH:mm", tzinfo=ZoneInfo(ask.zone), locale=self.language))
        if ask.unit == "month":
            return str(format_skeleton("yMMM", at, tzinfo=ZoneInfo(ask.zone), locale=self.language))
        return str(format_skeleton("Md", at, tzinfo=ZoneInfo(ask.zone), locale=self.language))


def link(ask: Ask, since: datetime, until: datetime, **conditions: str) -> str:
    """The table of the payments behind a shape."""
    pairs = {
        "since": local_text(max(since, ask.since), ask.zone),
        "until": local_text(min(until, ask.until), ask.zone),
        "source": ask.sources[0] if ask.sources else "",
        "project_ids": ",".join(map(str, ask.project_ids)),
        **conditions,
    }
    return f"{PAYMENTS}?{urlencode({name: value for name, value in pairs.items() if value})}"


PAID = "success,partially refunded,refunded"


async def draw(tx: Tx, tile: Tile, ask: Ask, language: str) -> Drawn:
    say = Speech(language)
    drawn = await _PAINTERS[tile.template](tx, tile, ask, say)
    return replace(drawn, title=tile.title or say.text(TEMPLATES[tile.template]))


async def _conversion(tx: Tx, tile: Tile, ask: Ask, say: Speech) -> Drawn:
    buckets = await analytics.series(tx, ask)
    words = say.text(N_("Successful")), say.text(N_("Declined"))
    bars, lines = [], []
    for bucket in buckets:
        label = say.bucket(bucket, ask)
        good, bad = bucket.of("sale", "success").operations, bucket.of("sale", "decline").operations
        to_good = link(ask, bucket.since, bucket.until, status=PAID)
        to_bad = link(ask, bucket.since, bucket.until, status="decline")
        parts = [
            Part("good", good, f"{label}: {words[0]} {say.number(good)}", to_good),
            Part("bad", bad, f"{label}: {words[1]} {say.number(bad)}", to_bad),
        ]
        bars.append(Bar(label, parts))
        lines.append(
            Line([label, good, bad, say.share(good, good + bad)], link(ask, bucket.since, bucket.until))
        )
    good, bad = (_sum(buckets, "sale", status).operations for status in ("success", "decline"))
    then = await analytics.totals(tx, ask.before) if tile.compare else {}
    was_good, was_bad = (then.get(("sale", status), Sum()).operations for status in ("success", "decline"))
    now_share, was_share = (
        100 * g / (g + b) if g + b else 0.0 for g, b in ((good, bad), (was_good, was_bad))
    )
    change = (
        _signed(now_share - was_share, f"{abs(now_share - was_share):.1f} %p") if was_good + was_bad else ""
    )
    return Drawn(
        tile,
        "",
        ask,
        say.share(good, good + bad),
        change,
        now_share >= was_share if change else None,
        charts.columns(bars, say.text(TEMPLATES[tile.template]), say.short),
        [say.text(N_("When")), *words, say.text(N_("Conversion"))],
        lines,
        say.text(
            N_(
                "Successful purchases ÷ purchases with a final status. Requests that were not accepted are not counted."
            )
        ),
    )


async def _turnover(tx: Tx, tile: Tile, ask: Ask, say: Speech) -> Drawn:
    buckets = await analytics.series(tx, ask)
    words = say.text(N_("Paid")), say.text(N_("Refunded"))
    bars, lines = [], []
    for bucket in buckets:
        label = say.bucket(bucket, ask)
        paid, back = bucket.of("sale", "success").amount, bucket.of("refund", "success").amount
        to_paid = link(ask, bucket.since, bucket.until, status=PAID)
        bars.append(Bar(label, [Part("main", paid, f"{label}: {words[0]} {say.won(paid)}", to_paid)]))
        lines.append(Line([label, paid, back, paid - back], to_paid))
    paid, back = _sum(buckets, "sale", "success").amount, _sum(buckets, "refund", "success").amount
    then = await analytics.totals(tx, ask.before) if tile.compare else {}
    was = then.get(("sale", "success"), Sum()).amount
    change, better = _growth(paid, was, say)
    return Drawn(
        tile,
        "",
        ask,
        say.won(paid),
        change,
        better,
        charts.columns(bars, say.text(TEMPLATES[tile.template]), say.short),
        [say.text(N_("When")), *words, say.text(N_("Paid less refunds"))],
        lines,
        say.text(N_("%(sum)s went back in refunds.")) % {"sum": say.won(back)},
    )


async def _speed(tx: Tx, tile: Tile, ask: Ask, say: Speech) -> Drawn:
    buckets = await analytics.series(tx, ask)
    bars, lines = [], []
    for bucket in buckets:
        label, paid = say.bucket(bucket, ask), bucket.of("sale", "success")
        mean = round(paid.seconds / paid.operations) if paid.operations else 0
        place = link(ask, bucket.since, bucket.until, status=PAID)
        bars.append(Bar(label, [Part("main", mean, f"{label}: {say.span(mean)}", place)]))
        lines.append(Line([label, paid.operations, say.span(mean) if paid.operations else "–"], place))
    paid = _sum(buckets, "sale", "success")
    then = await analytics.totals(tx, ask.before) if tile.compare else {}
    was = then.get(("sale", "success"), Sum())
    overall = paid.seconds / paid.operations if paid.operations else 0.0
    was_mean = was.seconds / was.operations if was.operations else 0.0
    change = (
        _signed(overall - was_mean, say.seconds(round(abs(overall - was_mean))))
        if was.operations and paid.operations
        else ""
    )
    return Drawn(
        tile,
        "",
        ask,
        say.span(overall) if paid.operations else "–",
        change,
        overall <= was_mean if change else None,
        charts.columns(bars, say.text(TEMPLATES[tile.template]), say.seconds),
        [say.text(N_("When")), say.text(N_("Successful")), say.text(N_("Mean time"))],
        lines,
        say.text(N_("From the purchase's opening to its success, on average.")),
    )


async def _codes(tx: Tx, tile: Tile, ask: Ask, say: Speech) -> Drawn:
    found = await analytics.declines(tx, ask, analytics.TOP if tile.template == "codes" else 100)
    whole = sum(total.operations for _, total in found)
    bars, lines = [], []
    for code, total in found:
        name = f"{code} {codes.message(code)}"
        place = link(ask, ask.since, ask.until, status="decline", code=str(code))
        hint = f"{name}: {say.number(total.operations)}"
        bars.append(Bar(name, [Part("bad", total.operations, hint, place)]))
        lines.append(
            Line([code, codes.message(code), total.operations, say.share(total.operations, whole)], place)
        )
    then = await analytics.totals(tx, ask.before) if tile.compare else {}
    was = then.get(("sale", "decline"), Sum()).operations
    change, better = _growth(whole, was, say)
    return Drawn(
        tile,
        "",
        ask,
        say.number(whole),
        change,
        None if better is None else not better,
        charts.rows(bars[: analytics.TOP], say.text(TEMPLATES[tile.template]), say.number),
        [say.text(N_("Code")), say.text(N_("Meaning")), say.text(N_("Declined")), say.text(N_("Share"))],
        lines,
        wordy=(1,),
    )


async def _customers(tx: Tx, tile: Tile, ask: Ask, say: Speech) -> Drawn:
    found = await analytics.customers(tx, ask)
    bars, lines = [], []
    for customer_id, total in found:
        place = link(ask, ask.since, ask.until, status=PAID, customer_id=customer_id)
        hint = f"{customer_id}: {say.won(total.amount)}"
        bars.append(Bar(customer_id, [Part("main", total.amount, hint, place)]))
        lines.append(Line([customer_id, total.operations, total.amount], place))
    return Drawn(
        tile,
        "",
        ask,
        say.won(sum(total.amount for _, total in found)),
        "",
        None,
        charts.rows(bars, say.text(TEMPLATES[tile.template]), say.won),
        [say.text(N_("Customer")), say.text(N_("Payments")), say.text(N_("Paid"))],
        lines,
    )


async def _hours(tx: Tx, tile: Tile, ask: Ask, say: Speech) -> Drawn:
    found = await analytics.by_hour(tx, ask)
    days = get_day_names("abbreviated", locale=say.language)
    place = link(ask, ask.since, ask.until, status=PAID)
    grid, lines = [], []
    for weekday in range(1, 8):
        name = str(days[weekday - 1])
        counts = [found.get((weekday, hour), Sum()).operations for hour in range(24)]
        hints = [f"{name} {hour:02}:00: {say.number(count)}" for hour, count in enumerate(counts)]
        grid.append(
            Bar(name, [Part("main", count, hint, place) for count, hint in zip(counts, hints, strict=True)])
        )
        lines.append(Line([name, *counts]))
    best = max(found, key=lambda key: found[key].operations, default=None)
    return Drawn(
        tile,
        "",
        ask,
        f"{days[best[0] - 1]} {best[1]:02}:00" if best else "–",
        "",
        None,
        charts.heat(grid, say.text(TEMPLATES[tile.template]), [f"{hour:02}" for hour in range(24)]),
        [say.text(N_("Weekday")), *(f"{hour:02}" for hour in range(24))],
        lines,
        say.text(N_("Successful purchases by the hour they ended in; the headline is the strongest hour.")),
    )


Painter = Callable[[Tx, Tile, Ask, Speech], Awaitable[Drawn]]
_PAINTERS: Mapping[str, Painter] = {
    "conversion": _conversion,
    "turnover": _turnover,
    "declines": _codes,
    "codes": _codes,
    "customers": _customers,
    "hours": _hours,
    "speed": _speed,
}


def _sum(buckets: Sequence[Bucket], kind: str, status: str) -> Sum:
    return sum((bucket.of(kind, status) for bucket in buckets), Sum())


def _signed(difference: float, text: str) -> str:
    return ("+" if difference >= 0 else "−") + text


def _growth(now: int, was: int, say: Speech) -> tuple[str, bool | None]:
    if not was:
        return "", None
    if now > 10 * was:
        return f"×{now / was:.0f}", True
    return _signed(now - was, say.share(abs(now - was), was)), now >= was


def in_days(ask: Ask, language: str) -> str:
    """The period in words."""
    zone = ZoneInfo(ask.zone)
    first, last = ask.since.astimezone(zone), (ask.until - timedelta(seconds=1)).astimezone(zone)
    return " – ".join(dict.fromkeys(str(format_date(at, "medium", locale=language)) for at in (first, last)))
