"""How a page shows the time that is left to pay."""

from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from babel.dates import format_time

ZONE = ZoneInfo("Asia/Seoul")
"""Of the time that the server writes; a page with JavaScript shows it in the payer's own zone."""


@dataclass(frozen=True, slots=True)
class Deadline:
    """`seconds` left by our clock, because the payer's may be wrong."""

    seconds: int
    iso: str
    text: str


def deadline(at: datetime | None, now: datetime, language: str) -> Deadline | None:
    if at is None:
        return None
    text = format_time(at, "short", tzinfo=ZONE, locale=language)
    return Deadline(max(0, int((at - now).total_seconds())), at.isoformat(), f"{text} ({ZONE.key})")
