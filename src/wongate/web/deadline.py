"""How a page shows the time that is left to pay."""

from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

ZONE = ZoneInfo("Asia/Seoul")
"""Of the time that the server writes; a page with JavaScript shows it in the payer's own zone."""


@dataclass(frozen=True, slots=True)
class Deadline:
    """`seconds` left by our clock, because the payer's may be wrong."""

    seconds: int
    iso: str
    text: str


def deadline(at: datetime | None, now: datetime) -> Deadline | None:
    if at is None:
        return None
    seconds = max(0, int((at - now).total_seconds()))
    return Deadline(seconds, at.isoformat(), f"{at.astimezone(ZONE):%H:%M} ({ZONE.key})")
