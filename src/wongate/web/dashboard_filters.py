"""What the Payments page shows, as its URL says it: read, written, and put into chips that can be taken away."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qsl, urlencode
from zoneinfo import ZoneInfo

from wongate.domain import codes
from wongate.domain.payment import PaymentStatus
from wongate.reports.register import Filter, Key
from wongate.web.dashboard_access import Visit
from wongate.web.dashboard_shell import N_

LIST_MAX = 40
"""Values of one kind in a URL: more than there are statuses, methods or codes in use."""

PERIODS = {
    "today": N_("Today"),
    "7d": N_("7 days"),
    "30d": N_("30 days"),
}
ABOUT = {
    "": N_("when it was opened"),
    "paid": N_("when it was paid"),
    "declined": N_("when it was declined"),
    "finished": N_("when it was paid or declined"),
    "refunded": N_("when money went back"),
    "not_refunded": N_("when a refund was declined"),
    "ended": N_("when anything of it ended"),
}
"""What a period, a weekday and an hour are about (`register.Filter`)."""

WEEKDAYS = {
    1: N_("Monday"),
    2: N_("Tuesday"),
    3: N_("Wednesday"),
    4: N_("Thursday"),
    5: N_("Friday"),
    6: N_("Saturday"),
    7: N_("Sunday"),
}
HOURS = {hour: f"{hour:02}:00 – {hour:02}:59" for hour in range(24)}
STATUS_NAMES = {
    PaymentStatus.SUCCESS: N_("Paid"),
    PaymentStatus.PARTIALLY_REFUNDED: N_("Partially refunded"),
    PaymentStatus.REFUNDED: N_("Refunded"),
    PaymentStatus.DECLINE: N_("Declined"),
    PaymentStatus.AWAITING: N_("Awaiting the payer"),
    PaymentStatus.AWAITING_CUSTOMER: N_("Payer may try again"),
    PaymentStatus.PROCESSING: N_("Processing"),
    PaymentStatus.ERROR: N_("Not accepted"),
}
STATUS_KINDS = {
    PaymentStatus.SUCCESS: "good",
    PaymentStatus.PARTIALLY_REFUNDED: "good",
    PaymentStatus.DECLINE: "bad",
    PaymentStatus.ERROR: "bad",
    PaymentStatus.AWAITING: "wait",
    PaymentStatus.AWAITING_CUSTOMER: "wait",
    PaymentStatus.PROCESSING: "wait",
}
SOURCE_NAMES = {"gate": N_("Gate"), "page": N_("Payment Page")}
TICKS = {
    "flagged": N_("Flagged"),
    "failing": N_("Callbacks failing"),
    "unfinished": N_("Awaiting"),
    "refunds": N_("With refunds"),
}
QUICK: Sequence[tuple[str, Mapping[str, str]]] = (
    (N_("All"), {}),
    (N_("Today"), {"period": "today"}),
    (N_("7 days"), {"period": "7d"}),
    (N_("Paid"), {"status": "success"}),
    (N_("Declined"), {"status": "decline"}),
    (N_("Awaiting"), {"unfinished": "1"}),
    (N_("Refunded"), {"refunds": "1"}),
    (N_("Flagged"), {"flagged": "1"}),
    (N_("Callbacks failing"), {"failing": "1"}),
)
"""One-click filters, in the order shown."""

_SEVERAL = ("status", "source", "code", "project_ids")
_SINGLE = (
    "period",
    "since",
    "until",
    "about",
    "weekday",
    "hour",
    "customer_id",
    "amount_min",
    "amount_max",
    *TICKS,
)
NAMES = (*_SEVERAL, *_SINGLE)


@dataclass(frozen=True, slots=True)
class Chip:
    """One condition in words, and the page's address without it."""

    text: str
    without: str


@dataclass(frozen=True, slots=True)
class Asked:
    """Conditions as the URL has them, tidied: unknown names and empty values are left out, lists are flattened."""

    pairs: tuple[tuple[str, str], ...]

    @classmethod
    def of(cls, pairs: Iterable[tuple[str, str]]) -> "Asked":
        tidy: dict[tuple[str, str], None] = {}
        singles: dict[str, str] = {}
        for name, value in pairs:
            if "\x00" in value:
                continue  # PostgreSQL keeps no such character, so nothing can have it
            if name in _SEVERAL:
                tidy |= dict.fromkeys(
                    (name, part.strip()) for part in value.split(",")[:LIST_MAX] if part.strip()
                )
            elif name in _SINGLE and value.strip():
                singles[name] = value.strip()[:255]
        return cls((*list(tidy)[:LIST_MAX], *singles.items()))

    @classmethod
    def of_query(cls, query: str) -> "Asked":
        """From a saved text like `status=decline&period=7d`."""
        return cls.of(parse_qsl(query))

    def one(self, name: str) -> str:
        return next((value for key, value in self.pairs if key == name), "")

    def several(self, name: str) -> list[str]:
        return [value for key, value in self.pairs if key == name]

    @property
    def query(self) -> str:
        return urlencode(self.pairs)

    def url(self, path: str, **more: str) -> str:
        query = urlencode([*self.pairs, *((name, value) for name, value in more.items() if value)])
        return f"{path}?{query}" if query else path

    def without(self, name: str, value: str) -> "Asked":
        return Asked(tuple(pair for pair in self.pairs if pair != (name, value)))

    def only(self, name: str, value: str) -> "Asked":
        """With this value of the name and no other."""
        return Asked((*(pair for pair in self.pairs if pair[0] != name), (name, value)))

    def is_exactly(self, conditions: Mapping[str, str]) -> bool:
        return set(self.pairs) == set(conditions.items())


def filter_of(asked: Asked, own_projects: Sequence[int], now: datetime, zone: str) -> Filter:
    """`own_projects` bounds it: other projects' ids have been refused before. Unreadable values match everything."""
    named = asked.several("project_ids")
    chosen = tuple(project_id for project_id in own_projects if str(project_id) in named)
    since, until = _period(asked.one("period"), now, zone)
    about, weekday, hour = asked.one("about"), _number(asked.one("weekday")), _number(asked.one("hour"))
    return Filter(
        project_ids=chosen or tuple(own_projects),
        since=moment_of(asked.one("since"), zone) or since,
        until=moment_of(asked.one("until"), zone) or until,
        statuses=tuple(status for status in asked.several("status") if status in STATUS_NAMES),
        sources=tuple(source for source in asked.several("source") if source in SOURCE_NAMES),
        codes=tuple(code for code in map(_number, asked.several("code")) if code is not None),
        customer_id=asked.one("customer_id"),
        amount_min=_number(asked.one("amount_min")),
        amount_max=_number(asked.one("amount_max")),
        flagged=asked.one("flagged") == "1",
        failing=asked.one("failing") == "1",
        unfinished=asked.one("unfinished") == "1",
        refunds=asked.one("refunds") == "1",
        about=about if about in ABOUT else "",
        weekday=weekday if weekday in WEEKDAYS else None,
        hour=hour if hour in HOURS else None,
        zone=zone if asked.one("weekday") or asked.one("hour") else "",
    )


def _period(name: str, now: datetime, zone: str) -> tuple[datetime | None, datetime | None]:
    """Whole days of the visitor's zone, today among them."""
    days = {"today": 0, "7d": 6, "30d": 29}.get(name)
    if days is None:
        return None, None
    return start_of_day(now, zone) - timedelta(days=days), None


def start_of_day(at: datetime, zone: str) -> datetime:
    return at.astimezone(ZoneInfo(zone)).replace(hour=0, minute=0, second=0, microsecond=0).astimezone(UTC)


def moment_of(text: str, zone: str) -> datetime | None:
    """A moment as `<input type="datetime-local">` sends it, in the visitor's zone; None for what is none."""
    try:
        return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def local_text(at: datetime, zone: str) -> str:
    """The same the other way round."""
    return at.astimezone(ZoneInfo(zone)).replace(tzinfo=None).isoformat(timespec="seconds")


def _number(text: str) -> int | None:
    return int(text) if text.isdecimal() and len(text) < 17 else None


def chips(asked: Asked, path: str, translate: Callable[[str], str], won: Callable[[int], str]) -> list[Chip]:
    """Every condition in words."""
    return [
        Chip(_in_words(name, value, translate, won), asked.without(name, value).url(path))
        for name, value in asked.pairs
    ]


def _in_words(name: str, value: str, translate: Callable[[str], str], won: Callable[[int], str]) -> str:
    known: dict[str, Mapping[str, str]] = {
        "status": {str(status): text for status, text in STATUS_NAMES.items()},
        "source": SOURCE_NAMES,
        "period": PERIODS,
    }
    if name in TICKS:
        return translate(TICKS[name])
    if name in known:
        return translate(known[name].get(value, value))
    number = _number(value)
    if name == "about" and value in ABOUT:
        return f"{translate('Period')}: {translate(ABOUT[value])}"
    if name == "weekday" and number in WEEKDAYS:
        return translate(WEEKDAYS[number])
    if name == "hour" and number in HOURS:
        return HOURS[number]
    if name == "code" and number is not None:
        return f"{value} {codes.message(number)}"
    if name in ("amount_min", "amount_max") and number is not None:
        return ("≥ " if name == "amount_min" else "≤ ") + won(number)
    return f"{translate(_LABELS[name])}: {value.replace('T', ' ')}"


_LABELS = {
    "since": N_("From"),
    "until": N_("Until"),
    "customer_id": N_("Customer"),
    "project_ids": N_("Project"),
    "amount_min": N_("Amount from"),
    "amount_max": N_("Amount up to"),
    "code": N_("Code"),
    "about": N_("The period is about"),
    "weekday": N_("Weekday"),
    "hour": N_("Hour"),
}


def edge(text: str) -> Key | None:
    """A row at the edge of a page, as `key_text` wrote it."""
    at, _, number = text.partition("~")
    try:
        fits = at.endswith("+00:00") and len(number) < 17
        return Key(datetime.fromisoformat(at), int(number)) if fits else None
    except ValueError:
        return None


def key_text(created_at: datetime, payment_no: int) -> str:
    return f"{created_at.astimezone(UTC).isoformat()}~{payment_no}"


def columns_of(text: str, known: Iterable[str], default: Sequence[str]) -> list[str]:
    """Names with commas between them; unknown ones are left out, none at all means the default."""
    names = set(known)
    chosen = list(dict.fromkeys(name for name in text.split(",") if name in names))
    return chosen or list(default)


def own_filter(visit: Visit, asked: Asked) -> Filter:
    return filter_of(asked, visit.project_ids, visit.platform.clock.now(), visit.zone)
