"""How much one merchant's endpoint may carry at the moment: slowed by failures, never stopped."""

from datetime import UTC, datetime, timedelta

START, WIDTH_MIN, WIDTH_MAX = 16, 2, 128
"""Sends at the same time; a lane opens by one for each quick answer and halves for each bad one."""

QUICK_MS = 1000

DEAD_AFTER = 10
PROBE_EVERY = timedelta(seconds=0.1)
"""So many failures in a row, and a lane is dead: one send at a time, ten a second, asks whether it lives again. Endpoints that
refuse connections were asked without a pause, each time for a claim and a record, while others waited for the processor."""


class Lane:
    def __init__(self) -> None:
        self.width = START
        self.in_flight = 0
        self.failed_in_a_row = 0
        self.probe_at = datetime.min.replace(tzinfo=UTC)
        self.looked_at = 0
        """The look of the worker in which something was claimed here last."""

    def room(self, now: datetime) -> int:
        """How many sends may start now."""
        if self.failed_in_a_row < DEAD_AFTER:
            return max(0, self.width - self.in_flight)
        return int(not self.in_flight and now >= self.probe_at)

    def learn(self, *, delivered: bool, duration_ms: int, now: datetime) -> None:
        good = delivered and duration_ms < QUICK_MS
        self.width = min(WIDTH_MAX, self.width + 1) if good else max(WIDTH_MIN, self.width // 2)
        self.failed_in_a_row = 0 if delivered else self.failed_in_a_row + 1
        self.probe_at = now + PROBE_EVERY
