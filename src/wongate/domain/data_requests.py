"""Data API messages in (section 5.6): what a request asks for, or why it is answered with an error."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from functools import cache
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

from wongate.domain.members import TEXT_MAX, is_web_url

LIMIT_MAX = 1000
OFFSET_MAX = 1_000_000_000
LIST_MAX = 1000
WIDE = timedelta(days=180)
"""Requests over a longer interval take turns (E-24)."""

_OFFSET = re.compile(r"([+-])(\d\d):(\d\d)")
_MOMENT = re.compile(r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d")
_DIGITS = re.compile("[0-9]{1,18}")


class DataError(Exception):
    """What a client is told, with its HTTP status; nothing was changed."""

    def __init__(self, status: int, message: str, *, retry_after_s: int | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.retry_after_s = retry_after_s


@dataclass(frozen=True, slots=True)
class OperationsRequest:
    """`/v1/operations/get`. Empty conditions let everything through; `until` is the first moment that is not wanted any more."""

    project_ids: tuple[int, ...]
    zone: tzinfo
    since: datetime | None = None
    until: datetime | None = None
    limit: int = LIMIT_MAX
    offset: int = 0
    kinds: tuple[str, ...] = ()
    statuses: tuple[str, ...] = ()
    customer_ids: tuple[str, ...] = ()
    customer_email: str = ""
    fields: tuple[str, ...] = ()
    destination_url: str = ""

    @property
    def is_wide(self) -> bool:
        return self.since is not None and self.until is not None and self.until - self.since > WIDE


def read_operations_request(
    body: Mapping[str, Any], project_ids: Sequence[int], zone_name: str, known_fields: Sequence[str]
) -> OperationsRequest:
    """`project_ids` and `zone_name` are the token's person's: what counts where the request names none. Raises DataError."""
    zone = zone_of(body["tz"]) if body.get("tz") is not None else ZoneInfo(zone_name)
    since, until = _interval(body.get("interval"), zone)
    return OperationsRequest(
        project_ids=_projects(body.get("project_id"), project_ids),
        zone=zone,
        since=since,
        until=until,
        limit=_number(body, "limit", LIMIT_MAX, LIMIT_MAX),
        offset=_number(body, "offset", 0, OFFSET_MAX),
        kinds=_texts(body, "operation_type"),
        statuses=_texts(body, "operation_status"),
        customer_ids=_texts(body, "customer_id"),
        customer_email=_text(body, "customer_email"),
        fields=_fields(body, known_fields),
        destination_url=_destination(body.get("destination_url")),
    )


def payment_id_of(body: Mapping[str, Any]) -> str:
    payment_id = body.get("payment_id")
    if not isinstance(payment_id, str) or not 1 <= len(payment_id) <= TEXT_MAX:
        raise DataError(400, "payment_id must be a string of 1 to 255 characters")
    return payment_id


def own_projects(body: Mapping[str, Any], project_ids: Sequence[int]) -> tuple[int, ...]:
    """Those that the request names, all of the person's where it names none."""
    return _projects(body.get("project_id"), project_ids)


def zone_of(value: Any) -> tzinfo:
    """An IANA name or an offset as `+10:30`. Raises DataError."""
    if isinstance(value, str):
        offset = _OFFSET.fullmatch(value)
        if offset and int(offset[2]) <= 14 and int(offset[3]) < 60:
            size = timedelta(hours=int(offset[2]), minutes=int(offset[3]))
            return timezone(-size if offset[1] == "-" else size)
        if value in _zones():
            return ZoneInfo(value)
    raise DataError(400, "tz must be an IANA time zone or an offset such as +10:30")


@cache
def _zones() -> frozenset[str]:
    return frozenset(available_timezones())


def _projects(value: Any, own: Sequence[int]) -> tuple[int, ...]:
    if value is None or value == []:
        return tuple(own)
    items = value if isinstance(value, list) else [value]
    if len(items) > LIST_MAX or not all(_is_number(item) for item in items):
        raise DataError(400, "project_id must be a list of integers")
    wanted = [int(item) for item in items]
    for project_id in wanted:
        if project_id not in own:
            raise DataError(401, f"You have no access to project_id = {project_id}")
    return tuple(dict.fromkeys(wanted))


def _is_number(value: Any) -> bool:
    """A whole number, or the text of one: ECommPay's own example sends `"limit": "2"` (E-24)."""
    return type(value) is int or (isinstance(value, str) and _DIGITS.fullmatch(value) is not None)


def _number(body: Mapping[str, Any], name: str, default: int, most: int) -> int:
    value = body.get(name)
    if value is None:
        return default
    if not _is_number(value) or not 0 <= int(value) <= most:
        raise DataError(400, f"{name} must be an integer from 0 to {most}")
    return int(value)


def _interval(value: Any, zone: tzinfo) -> tuple[datetime | None, datetime | None]:
    """Both ends count to the second."""
    if value is None:
        return None, None
    if not isinstance(value, dict):
        raise DataError(400, "interval must be an object with from and to")
    since, last = (_moment(value.get(name), name, zone) for name in ("from", "to"))
    if last < since:
        raise DataError(400, "interval.to must not be before interval.from")
    return since, last + timedelta(seconds=1)


def _moment(value: Any, name: str, zone: tzinfo) -> datetime:
    try:
        if isinstance(value, str) and value.isascii() and _MOMENT.fullmatch(value):
            at = datetime.fromisoformat(value).replace(tzinfo=zone).astimezone(UTC)
            if 1970 <= at.year < 9999:
                return at
    except (ValueError, OverflowError):
        pass  # a 30th of February, or an offset that leads out of the calendar
    raise DataError(400, f"interval.{name} must be a date and time as YYYY-MM-DD hh:mm:ss")


def _text(body: Mapping[str, Any], name: str) -> str:
    value = body.get(name)
    if value is None:
        return ""
    if not isinstance(value, str) or len(value) > TEXT_MAX:
        raise DataError(400, f"{name} must be a string of up to 255 characters")
    return value


def _texts(body: Mapping[str, Any], name: str) -> tuple[str, ...]:
    value = body.get(name)
    if value is None:
        return ()
    items = value if isinstance(value, list) else [value]
    if len(items) > LIST_MAX or not all(isinstance(item, str) and len(item) <= TEXT_MAX for item in items):
        raise DataError(400, f"{name} must be a string or a list of strings")
    return tuple(items)


def _fields(body: Mapping[str, Any], known: Sequence[str]) -> tuple[str, ...]:
    names = _texts(body, "fields")
    for name in names:
        if name not in known:
            raise DataError(400, f"fields: {name!r} is not known")
    return names


def _destination(value: Any) -> str:
    if value is None or value == "":
        return ""
    if not is_web_url(value):
        raise DataError(400, "destination_url must be an absolute http or https URL")
    return str(value)
