"""Repeated exports: kept by people, started by the worker once for each appointment (F17, F21)."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from zoneinfo import available_timezones

from wongate.connections.database import Tx
from wongate.domain.members import EMAIL
from wongate.domain.refusal import Unfit
from wongate.domain.report import Export, Schedule
from wongate.domain.timetable import Every, due, next_after, period
from wongate.flows import audit
from wongate.flows.audit import Actor
from wongate.flows.export import WAITING_MAX, Order, enqueue_mail, filter_json, filter_of, new_export
from wongate.flows.platform import Platform
from wongate.reports.sheets import FORMATS
from wongate.store import exports, schedules

NAME_MAX = 60
RECIPIENTS_MAX = 20
SCHEDULES_MAX = 50


@dataclass(frozen=True, slots=True)
class Wish:
    """A schedule as a person fills it in; `recipients` with commas, semicolons or lines between them."""

    name: str
    every: str
    day: int
    hour: int
    time_zone: str
    recipients: str
    active: bool = True


def addresses(text: str) -> list[str]:
    """Mail addresses, each once. Raises Unfit for one that is none."""
    found = list(dict.fromkeys(part for part in re.split(r"[\s,;]+", text) if part))
    if not found:
        raise Unfit("At least one e-mail address is needed.", "recipients")
    if len(found) > RECIPIENTS_MAX:
        raise Unfit("A report goes to 20 addresses at most.", "recipients")
    for address in found:
        if (
            len(address) > 254
            or not address.isascii()
            or not EMAIL.fullmatch(address)
            or set(address) & set('<>"()[]\\')
        ):
            raise Unfit("One of the addresses is not an e-mail address.", "recipients")
    return found


def _check(wish: Wish, format_: str) -> Wish:
    name = wish.name.strip()
    if not 1 <= len(name) <= NAME_MAX or not name.isprintable():
        raise Unfit("A schedule has a name of at most 60 characters.", "name")
    if wish.every not in set(Every):
        raise Unfit("A report is sent daily, weekly or monthly.", "every")
    if not 1 <= wish.day <= (7 if wish.every == Every.WEEK else 31) or not 0 <= wish.hour <= 23:
        raise Unfit("This day or hour does not exist.", "day")
    if wish.time_zone not in available_timezones():
        raise Unfit("This time zone is not known.", "time_zone")
    if format_ not in FORMATS:
        raise Unfit("A report is CSV, XLSX or XLS.", "format")
    return replace(wish, name=name)


async def save(
    platform: Platform, actor: Actor, person_id: int, wish: Wish, order: Order, schedule_id: int | None = None
) -> int:
    """Makes a schedule, or changes the person's own one of that number. The period of `order` does not count: each run brings
    its own. Raises Unfit."""
    wish = _check(wish, order.format)
    recipients = addresses(wish.recipients)
    now = platform.clock.now()
    schedule = Schedule(
        schedule_id=schedule_id or platform.ids.next(),
        person_id=person_id,
        name=wish.name,
        every=wish.every,
        day=wish.day,
        hour=wish.hour,
        time_zone=wish.time_zone,
        recipients=recipients,
        format=order.format,
        query=order.query,
        filter=filter_json(replace(order.wanted, since=None, until=None)),
        columns=order.columns,
        headings=order.headings,
        language=order.language,
        active=wish.active,
        next_at=now,
    )
    schedule = replace(schedule, next_at=next_after(schedule.timetable, now))

    async def story(tx: Tx) -> None:
        if schedule_id is None and len(await schedules.of_person(tx, person_id)) >= SCHEDULES_MAX:
            raise Unfit("Fifty schedules are kept. Please delete one first.", "name")
        await schedules.save(tx, schedule, now)
        action = "schedule changed" if schedule_id else "schedule made"
        await _record(tx, actor, action, schedule, now)

    await platform.database.run(story)
    return schedule.schedule_id


async def own(platform: Platform, person_id: int, schedule_id: int) -> Schedule | None:
    """None for a number that is not this person's."""
    async with platform.database.read() as tx:
        schedule = await schedules.load(tx, schedule_id)
    return schedule if schedule and schedule.person_id == person_id else None


async def drop(platform: Platform, actor: Actor, schedule: Schedule) -> None:
    """What it has made stays until its days are over."""

    async def story(tx: Tx) -> None:
        await schedules.drop(tx, schedule.schedule_id)
        await _record(tx, actor, "schedule deleted", schedule, platform.clock.now())

    await platform.database.run(story)


async def run_now(platform: Platform, actor: Actor, schedule: Schedule) -> int | None:
    """An export as if the appointment were now, beside the appointments. None when too many of the person's wait."""
    now = platform.clock.now()
    export = replace(_export(platform, schedule, now), run_at=None)

    async def story(tx: Tx) -> int | None:
        if await exports.waiting_of(tx, schedule.person_id) >= WAITING_MAX:
            return None
        await exports.insert(tx, export)
        await _record(tx, actor, "schedule run by hand", schedule, now)
        return export.export_id

    return await platform.database.run(story)


async def resend(platform: Platform, actor: Actor, export: Export, recipients: Sequence[str]) -> None:
    """Sends a kept file once more: new mails, with Message-IDs of their own."""

    async def story(tx: Tx) -> None:
        for recipient in recipients:
            await enqueue_mail(platform, tx, export.export_id, recipient)
        after = {"recipients": list(recipients)}
        await audit.record(
            tx,
            actor,
            "export sent again",
            f"export/{export.export_id}",
            platform.clock.now(),
            project_ids=filter_of(export.filter).project_ids,
            after=after,
        )

    await platform.database.run(story)


async def tick(platform: Platform) -> int:
    """Starts what is due of one schedule: its exports and its next appointment are one commit, so a crash repeats nothing."""

    async def story(tx: Tx) -> int:
        now = platform.clock.now()
        schedule = await schedules.lock_due(tx, now)
        if schedule is None:
            return 0
        appointments, next_at = due(schedule.timetable, schedule.next_at, now)
        for run_at in appointments:
            await exports.insert(tx, replace(_export(platform, schedule, run_at), created_at=now))
        await schedules.move_on(tx, schedule.schedule_id, next_at)
        return len(appointments)

    return await platform.database.run(story)


def _export(platform: Platform, schedule: Schedule, run_at: datetime) -> Export:
    since, until = period(schedule.timetable, run_at)
    order = Order(
        name=schedule.name,
        format=schedule.format,
        query=schedule.query,
        wanted=replace(filter_of(schedule.filter), since=since, until=until),
        columns=schedule.columns,
        headings=schedule.headings,
        language=schedule.language,
        time_zone=schedule.time_zone,
    )
    return new_export(
        platform.ids.next(),
        schedule.person_id,
        order,
        run_at,
        schedule_id=schedule.schedule_id,
        run_at=run_at,
        recipients=schedule.recipients,
    )


async def _record(tx: Tx, actor: Actor, action: str, schedule: Schedule, now: datetime) -> None:
    after = {
        "name": schedule.name,
        "every": schedule.every,
        "recipients": list(schedule.recipients),
        "format": schedule.format,
        "filter": schedule.query,
    }
    project_ids = filter_of(schedule.filter).project_ids
    object_ = f"schedule/{schedule.schedule_id}"
    await audit.record(tx, actor, action, object_, now, project_ids=project_ids, after=after)


async def of_person(platform: Platform, person_id: int) -> list[Schedule]:
    """By name."""
    async with platform.database.read() as tx:
        return await schedules.of_person(tx, person_id)


async def runs(platform: Platform, schedule: Schedule, limit: int = 30) -> list[Export]:
    """What it has made, newest first."""
    async with platform.database.read() as tx:
        return await exports.of_schedule(tx, schedule.schedule_id, limit)
