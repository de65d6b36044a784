"""The tiles of an analytics board: what each asks for, and the board that somebody starts with."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from wongate.reports.analytics import Ask, Sum
from wongate.web.dashboard_filters import moment_of, start_of_day
from wongate.web.dashboard_shell import N_

TITLE_MAX = 60
PERIODS = {
    "today": N_("Today"),
    "7d": N_("7 days"),
    "30d": N_("30 days"),
    "90d": N_("90 days"),
    "365d": N_("365 days"),
    "custom": N_("From … until …"),
}
_DAYS = {"today": 1, "7d": 7, "30d": 30, "90d": 90, "365d": 365}
EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)
TEMPLATES = {
    "conversion": N_("Conversion"),
    "turnover": N_("Turnover"),
    "operations": N_("Operations by result"),
    "pivot": N_("Operations as a pivot table"),
    "declines": N_("Decline reasons"),
    "codes": N_("Top 10 decline codes"),
    "customers": N_("Top 10 customers"),
    "hours": N_("Payments by hour of the day"),
    "speed": N_("Time to result"),
}
CHARTS = {
    "": N_("As the template has it"),
    "columns": N_("Columns of a chart"),
    "lines": N_("Lines"),
    "rows": N_("Bars"),
    "heat": N_("Heat map"),
    "table": N_("Table alone"),
}
_OVER_TIME, _RANKED = ("columns", "lines", "table"), ("rows", "columns", "table")
CHARTS_OF: Mapping[str, Sequence[str]] = {
    "conversion": _OVER_TIME,
    "turnover": _OVER_TIME,
    "operations": _OVER_TIME,
    "pivot": ("table", "columns", "lines", "rows"),
    "declines": _RANKED,
    "codes": _RANKED,
    "customers": _RANKED,
    "hours": ("heat", "table"),
    "speed": _OVER_TIME,
}
"""What a template can be drawn as, its own way first."""
MEASURES = {"operations": N_("How many"), "amount": N_("Sum in won")}


@dataclass(frozen=True, slots=True)
class Tile:
    number: int
    template: str
    title: str = ""
    period: str = "7d"
    since: str = ""
    until: str = ""
    source: str = ""
    project_ids: tuple[int, ...] = ()
    wide: bool = False
    compare: bool = True
    chart: str = ""
    kind: str = ""  # type of operation, where the template asks for one
    measure: str = "operations"
    down: str = "time"  # rows of a pivot table

    @property
    def drawn_as(self) -> str:
        own = CHARTS_OF[self.template]
        return self.chart if self.chart in own else own[0]

    def value(self, total: Sum) -> int:
        """What the tile measures."""
        return total.amount if self.measure == "amount" else total.operations

    @classmethod
    def of(cls, stored: Any) -> "Tile | None":
        """From the board's JSON; None for what this version does not know."""
        try:
            tile = cls(**{**stored, "project_ids": tuple(stored.get("project_ids", ()))})
        except (TypeError, AttributeError):
            return None
        return tile if tile.template in TEMPLATES and tile.period in PERIODS else None

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    def ask(self, own_projects: Sequence[int], now: datetime, zone: str) -> Ask:
        """`own_projects` bounds it: what was given to somebody once may have been taken away."""
        chosen = tuple(number for number in self.project_ids if number in own_projects)
        since, until = self._period(now, zone)
        sources = (self.source,) if self.source else ()
        return Ask(chosen or tuple(own_projects), since, until, zone, sources)

    def _period(self, now: datetime, zone: str) -> tuple[datetime, datetime]:
        now = now.replace(microsecond=0) + timedelta(seconds=1)
        if self.period != "custom":
            return start_of_day(now, zone) - timedelta(days=_DAYS[self.period] - 1), now
        since = _drawable(moment_of(self.since, zone) or start_of_day(now, zone) - timedelta(days=6), now)
        until = _drawable(moment_of(self.until, zone) or now, now)
        return (since, until) if since < until else (until, max(since, until + timedelta(seconds=1)))


def _drawable(at: datetime, now: datetime) -> datetime:
    """A year that was mistyped as 0202 is 22,000 months, more than a statement can name."""
    return min(max(at, EARLIEST), now + timedelta(days=366))


FIRST_BOARD = (
    Tile(1, "conversion"),
    Tile(2, "turnover"),
    Tile(3, "declines"),
    Tile(4, "speed"),
    Tile(5, "hours", period="30d", wide=True),
    Tile(6, "customers"),
    Tile(7, "codes", period="30d"),
)
"""For somebody who has not arranged a board yet."""
