"""Schedules of repeated exports, and the mails that carry what they made."""

from collections.abc import Sequence
from datetime import datetime

from wongate.connections.database import Tx
from wongate.domain.report import Mail, Schedule

_SCHEDULE = (
    "schedule_id, person_id, name, every, day, hour, time_zone, recipients, format, query, filter, columns, headings, language, "
    "active, next_at"
)
_MAIL = "mail_id, export_id, recipient, message_id, state, attempt, error, created_at, due_at, sent_at"


async def save(tx: Tx, schedule: Schedule, now: datetime) -> None:
    """Makes the schedule, or changes the one of this number and person."""
    values = [getattr(schedule, name) for name in Schedule.__slots__]
    places = ", ".join(f"${number}" for number in range(1, len(values) + 1))
    settings = ", ".join(f"{name} = excluded.{name}" for name in Schedule.__slots__[2:])
    await tx.execute(
        f"INSERT INTO schedule ({_SCHEDULE}, created_at, changed_at) VALUES ({places}, ${len(values) + 1}, ${len(values) + 1}) "
        f"ON CONFLICT (schedule_id) DO UPDATE SET {settings}, changed_at = excluded.changed_at "
        "WHERE schedule.person_id = excluded.person_id",
        *values,
        now,
    )


async def load(tx: Tx, schedule_id: int) -> Schedule | None:
    row = await tx.fetchrow(f"SELECT {_SCHEDULE} FROM schedule WHERE schedule_id = $1", schedule_id)
    return Schedule(**row) if row else None


async def of_person(tx: Tx, person_id: int) -> list[Schedule]:
    rows = await tx.fetch(f"SELECT {_SCHEDULE} FROM schedule WHERE person_id = $1 ORDER BY name", person_id)
    return [Schedule(**row) for row in rows]


async def drop(tx: Tx, schedule_id: int) -> None:
    await tx.execute("DELETE FROM schedule WHERE schedule_id = $1", schedule_id)


async def lock_due(tx: Tx, now: datetime) -> Schedule | None:
    """The schedule whose appointment is the oldest that has come; others that look meanwhile pass it by."""
    row = await tx.fetchrow(
        f"SELECT {_SCHEDULE} FROM schedule WHERE active AND next_at <= $1 ORDER BY next_at LIMIT 1 FOR UPDATE SKIP LOCKED",
        now,
    )
    return Schedule(**row) if row else None


async def move_on(tx: Tx, schedule_id: int, next_at: datetime) -> None:
    await tx.execute("UPDATE schedule SET next_at = $2 WHERE schedule_id = $1", schedule_id, next_at)


async def enqueue_mail(
    tx: Tx, mail_id: int, export_id: int, recipient: str, message_id: str, now: datetime
) -> None:
    await tx.execute(
        "INSERT INTO mail (mail_id, export_id, recipient, message_id, state, created_at, due_at) "
        "VALUES ($1, $2, $3, $4, 'waiting', $5, $5)",
        mail_id,
        export_id,
        recipient,
        message_id,
        now,
    )


async def claim_mail(tx: Tx, now: datetime, lease_until: datetime) -> Mail | None:
    """The mail that waits longest, leased. The attempt is counted here, before anything is sent (F21)."""
    row = await tx.fetchrow(
        "WITH due AS MATERIALIZED (SELECT mail_id FROM mail WHERE state = 'waiting' AND due_at <= $1 "
        "ORDER BY due_at LIMIT 1 FOR UPDATE SKIP LOCKED) "
        "UPDATE mail m SET due_at = $2, attempt = attempt + 1 FROM due WHERE m.mail_id = due.mail_id "
        f"RETURNING {_MAIL.replace('mail_id', 'm.mail_id', 1)}",
        now,
        lease_until,
    )
    return Mail(**row) if row else None


async def record_mail(tx: Tx, mail: Mail, *, state: str, error: str, due_at: datetime, now: datetime) -> None:
    """A try whose lease has passed to another worker changes nothing."""
    await tx.execute(
        "UPDATE mail SET state = $3, error = $4, due_at = $5, sent_at = CASE WHEN $3 = 'sent' THEN $6::timestamptz END "
        "WHERE mail_id = $1 AND attempt = $2 AND state = 'waiting'",
        mail.mail_id,
        mail.attempt,
        state,
        error,
        due_at,
        now,
    )


async def mails_of(tx: Tx, export_ids: Sequence[int]) -> list[Mail]:
    rows = await tx.fetch(
        f"SELECT {_MAIL} FROM mail WHERE export_id = ANY($1) ORDER BY mail_id", list(export_ids)
    )
    return [Mail(**row) for row in rows]
