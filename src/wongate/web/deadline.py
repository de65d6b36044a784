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

    @property
    def face(self) -> str:
        """What the running clock begins with, so that nothing moves when it starts."""
        hours, rest = divmod(self.seconds, 3600)
        minutes = f"{rest // 60:02}:{rest % 60:02}"
        return f"{hours}:{minutes}" if hours else minutes


def deadline(at: datetime | None, now: datetime) -> Deadline | None:
    if at is None:
        return None
    seconds = max(0, int((at - now).total_seconds()))
    return Deadline(seconds, at.isoformat(), f"{at.astimezone(ZONE):%H:%M} ({ZONE.key})")
