"""What is exported, when again, and the mails that carry it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from wongate.domain.timetable import Every, Timetable


@dataclass(frozen=True, slots=True)
class Export:
    """`state`: waiting, ready, failed, removed. `filter` is the table's as JSON, `query` the same as its URL has it."""

    export_id: int
    person_id: int
    schedule_id: int | None
    run_at: datetime | None
    name: str
    format: str
    query: str
    filter: Mapping[str, Any]
    columns: Sequence[str]
    headings: Sequence[str]
    language: str
    time_zone: str
    recipients: Sequence[str]
    state: str
    rows_done: int
    rows_total: int | None
    file_name: str
    file_size: int
    error: str
    attempt: int
    created_at: datetime
    finished_at: datetime | None


@dataclass(frozen=True, slots=True)
class Schedule:
    """`filter` has no period: each run brings its own."""

    schedule_id: int
    person_id: int
    name: str
    every: str
    day: int
    hour: int
    time_zone: str
    recipients: Sequence[str]
    format: str
    query: str
    filter: Mapping[str, Any]
    columns: Sequence[str]
    headings: Sequence[str]
    language: str
    active: bool
    next_at: datetime

    @property
    def timetable(self) -> Timetable:
        return Timetable(Every(self.every), self.day, self.hour, self.time_zone)


@dataclass(frozen=True, slots=True)
class Mail:
    """One export on its way to one address; `message_id` is the same at every try."""

    mail_id: int
    export_id: int
    recipient: str
    message_id: str
    state: str
    attempt: int
    error: str
    created_at: datetime
    due_at: datetime
    sent_at: datetime | None
