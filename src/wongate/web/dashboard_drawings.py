"""What every tile is drawn with: numbers and links in the reader's words, and the picture with its table beside it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from babel.dates import format_date, format_datetime, format_skeleton
from babel.numbers import format_compact_decimal, format_decimal, format_percent

from wongate.reports.analytics import Ask, Bucket, Sum
from wongate.web import dashboard_charts as charts
from wongate.web import words as catalogue
from wongate.web.dashboard_charts import Bar, Spoken
from wongate.web.dashboard_filters import local_text
from wongate.web.dashboard_payments import HOME as PAYMENTS
from wongate.web.dashboard_shell import N_
from wongate.web.dashboard_tiles import TEMPLATES, Tile


@dataclass(frozen=True, slots=True)
class Line:
    """A row of the table twin; `href` leads to its payments, `hrefs` to those of each cell behind the first."""

    cells: Sequence[str | int]
    href: str = ""
    hrefs: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Drawn:
    """A tile ready to be shown: one headline, the same number of the period before, a picture and its table."""

    tile: Tile
    title: str
    ask: Ask
    headline: str
    headings: Sequence[str]
    lines: Sequence[Line]
    svg: str = ""
    change: str = ""
    better: bool | None = None
    legend: Sequence[tuple[str, str]] = ()  # colour and word of each part, where there are several
    note: str = ""
    wordy: tuple[int, ...] = ()  # columns that hold words, not numbers


class Speech:
    """Words, numbers and links in one language."""

    def __init__(self, language: str) -> None:
        self.language = language
        self.text = catalogue.words("dashboard", language).gettext

    def title(self, tile: Tile) -> str:
        return tile.title or self.text(TEMPLATES[tile.template])

    def number(self, value: int) -> str:
        return str(format_decimal(value, locale=self.language))

    def short(self, value: int) -> str:
        return str(format_compact_decimal(value, locale=self.language, fraction_digits=2))

    def won(self, value: int) -> str:
        return catalogue.won(value, self.language)

    def share(self, part: int, whole: int) -> str:
        return str(format_percent(part / whole, "#,##0.0%", locale=self.language)) if whole else "–"

    def points(self, value: float) -> str:
        """A difference of two shares."""
        number = format_decimal(value, "#,##0.0", locale=self.language)
        return self.text(N_("%(number)s pp")) % {"number": number}

    def span(self, seconds: float) -> str:
        minutes, rest = divmod(round(seconds), 60)
        return self.text(N_("%(minutes)d min %(seconds)d s")) % {"minutes": minutes, "seconds": rest}

    def seconds(self, value: int) -> str:
        return self.text(N_("%(number)s s")) % {"number": self.short(value)}

    def bucket(self, bucket: Bucket, ask: Ask) -> str:
        at = bucket.since.astimezone(ZoneInfo(ask.zone))
        if ask.unit == "hour":
            return str(format_datetime(at, "HH:mm", tzinfo=ZoneInfo(ask.zone), locale=self.language))
        skeleton = "yMMM" if ask.unit == "month" else "Md"
        return str(format_skeleton(skeleton, at, tzinfo=ZoneInfo(ask.zone), locale=self.language))


_KINDS: Mapping[str, Callable[[Sequence[Bar], str, Spoken], str]] = {
    "columns": charts.columns,
    "lines": charts.lines,
    "rows": charts.rows,
}


def picture(tile: Tile, bars: Sequence[Bar], say: Speech, spoken: Spoken) -> str:
    """As the tile wants it; an empty text for a table alone."""
    draw = _KINDS.get(tile.drawn_as)
    return draw(bars, say.title(tile), spoken) if draw else ""


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


def together(buckets: Sequence[Bucket], kind: str, status: str) -> Sum:
    return sum((bucket.of(kind, status) for bucket in buckets), Sum())


def signed(difference: float, text: str) -> str:
    return ("+" if difference > 0 else "−" if difference < 0 else "±") + text


def is_more(difference: float) -> bool | None:
    """None where nothing that is shown has changed: that is neither better nor worse."""
    return difference > 0 if difference else None


def growth(now: int, was: int, say: Speech) -> tuple[str, bool | None]:
    """The change against the period before in words, and whether it is one for the better where more is better."""
    if not was:
        return "", None
    if now > 10 * was:
        return f"×{now / was:.0f}", True
    return signed(now - was, say.share(abs(now - was), was)), is_more(now - was)


def in_days(ask: Ask, language: str) -> str:
    """The period in words."""
    zone = ZoneInfo(ask.zone)
    first, last = ask.since.astimezone(zone), (ask.until - timedelta(seconds=1)).astimezone(zone)
    return " – ".join(dict.fromkeys(str(format_date(at, "medium", locale=language)) for at in (first, last)))
