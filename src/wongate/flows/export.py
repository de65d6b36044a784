"""Exports of the Payments table: asked for by people or by schedules, made by the worker, kept for four days (E-32)."""

import asyncio
import logging
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from wongate.connections.database import Tx, Unavailable
from wongate.domain.report import Export, Mail
from wongate.domain.rights import Right
from wongate.flows import audit
from wongate.flows.audit import Actor
from wongate.flows.platform import Platform
from wongate.reports import export_rows, register
from wongate.reports.register import Filter
from wongate.reports.sheets import FORMATS, csv_lines
from wongate.reports.xls import TooLarge
from wongate.store import exports, people, schedules

log = logging.getLogger(__name__)

KEPT = timedelta(days=4)
LEASE = timedelta(minutes=2)
"""Longer than the time between two notes of progress, however slow the machine."""

NOTED_EVERY_S = 1.0
ATTEMPTS_MAX = 3
PIECE = 64 * 1024
"""Octets of the file that are kept in one go. PostgreSQL took 30 ms for a megabyte of CSV, and 10 for one of a workbook."""

ROWS_AT_ONCE = 100
"""Rows that are written in one go, those of a sheet in 1 ms. With 500, in 5 ms, a sale's p95 was 1.5 times that alone, with 100
it is 1.3 times that, and a million rows take 71 s instead of 52."""

WORK_S, REST, REST_OF_CSV = 0.001, 3.0, 1.5
"""After so many seconds of work an export rests for so many times as long: a million rows at full speed took two cores, and a
sale waited 2.4 times as long (p99). A CSV that rests 1.5 times as long moved a sale's p99 1.1 to 1.4 times in five exports of
15 s; resting once as long 0.9 to 3.6 times in five of 13 to 18 s."""
CLEARED_EVERY = timedelta(minutes=10)
WAITING_MAX = 20
"""Exports that one person may have in the queue."""


class Hopeless(Exception):
    """Trying again would not help; the text is for the person who asked."""


class Overtaken(Exception):
    """The lease passed to another worker meanwhile."""


@dataclass(frozen=True, slots=True)
class Order:
    """What is wanted: conditions, columns in their order with their headings, and how to write it down."""

    name: str
    format: str
    query: str
    wanted: Filter
    columns: Sequence[str]
    headings: Sequence[str]
    language: str
    time_zone: str


async def ask(platform: Platform, actor: Actor, person_id: int, order: Order) -> int | None:
    """Puts the export into the queue and writes down who asked for what. None when the person has too many there."""
    export_id = platform.ids.next()

    async def story(tx: Tx) -> int | None:
        now = platform.clock.now()
        if await exports.waiting_of(tx, person_id) >= WAITING_MAX:
            return None
        await exports.insert(tx, new_export(export_id, person_id, order, now))
        after = {"format": order.format, "columns": list(order.columns), "filter": order.query}
        await audit.record(
            tx,
            actor,
            "export asked for",
            f"export/{export_id}",
            now,
            project_ids=order.wanted.project_ids,
            after=after,
        )
        return export_id

    return await platform.database.run(story)


def new_export(export_id: int, person_id: int, order: Order, now: datetime, **more: Any) -> Export:
    return Export(
        export_id=export_id,
        person_id=person_id,
        name=order.name,
        format=order.format,
        query=order.query,
        filter=filter_json(order.wanted),
        columns=order.columns,
        headings=order.headings,
        language=order.language,
        time_zone=order.time_zone,
        state="waiting",
        rows_done=0,
        rows_total=None,
        file_name="",
        file_size=0,
        error="",
        attempt=0,
        created_at=now,
        finished_at=None,
        **{"schedule_id": None, "run_at": None, "recipients": (), **more},
    )


def filter_json(wanted: Filter) -> dict[str, Any]:
    """The conditions that were set, as JSON."""
    return {
        name: value.isoformat() if isinstance(value, datetime) else value
        for name, value in asdict(wanted).items()
        if value is not None and value is not False and value not in ((), "")
    }


def filter_of(stored: Mapping[str, Any]) -> Filter:
    """The other way round; conditions that a later version has renamed are left out."""
    known = {field.name for field in fields(Filter)}
    values: dict[str, Any] = {
        name: tuple(v) if isinstance(v, list) else v for name, v in stored.items() if name in known
    }
    for name in ("since", "until"):
        if name in values:
            values[name] = datetime.fromisoformat(values[name])
    return Filter(**values)


async def download(platform: Platform, actor: Actor, export: Export) -> AsyncIterator[bytes]:
    """The file piece by piece, after it was written down who takes it. A connection is held for one piece at a time."""
    await audit.note(platform, actor, "export downloaded", after={"export": export.export_id})
    return _pieces(platform, export)


async def _pieces(platform: Platform, export: Export) -> AsyncIterator[bytes]:
    number = 0
    while True:
        async with platform.database.read() as tx:
            content = await exports.piece(tx, export, number)
        if content is None:
            return
        yield content
        number += 1


async def content(platform: Platform, export: Export) -> bytes:
    """The whole file, for a mail; the caller has looked at its size."""
    return b"".join([piece async for piece in _pieces(platform, export)])


class Exporting:
    """The worker's half, one per process: one export at a time, so that memory and the other duties stay free."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._task: asyncio.Task[None] | None = None
        self._cleared_at: datetime | None = None

    async def tick(self) -> int:
        await self._clear()
        if self._task is not None and not self._task.done():
            return 0
        now = self._platform.clock.now()
        export = await self._platform.database.run(lambda tx: exports.claim(tx, now, now + LEASE))
        if export is None:
            return 0
        self._task = asyncio.create_task(self._carry(export))
        return 1

    async def drain(self) -> None:
        if self._task is not None:
            await asyncio.wait([self._task], timeout=60)

    async def _carry(self, export: Export) -> None:
        try:
            await self._make(export)
        except Hopeless as reason:
            await self._fail(export, str(reason))
        except Overtaken:
            log.info("export went to another worker", extra={"export_id": export.export_id})
        except Unavailable:
            log.warning("export waits for the database", extra={"export_id": export.export_id})
        except Exception:
            log.exception("export broke", extra={"export_id": export.export_id})
            if export.attempt >= ATTEMPTS_MAX:
                await self._fail(export, "Something broke on our side.")

    async def _fail(self, export: Export, reason: str) -> None:
        await self._platform.database.run(
            lambda tx: exports.fail(tx, export, reason, self._platform.clock.now())
        )

    async def _make(self, export: Export) -> None:
        wanted = await self._allowed(export)
        with tempfile.TemporaryDirectory(prefix="wongate-export-") as directory:
            path = Path(directory) / "export"
            rows = await self._write(export, wanted, path)
            self._platform.database.seam("export.rendered")
            await self._keep(export, path)
            await self._finish(export, path.stat().st_size, rows)

    async def _allowed(self, export: Export) -> Filter:
        """What the person may still see: rights and projects count when the file is made, not when it was asked for."""
        async with self._platform.database.read() as tx:
            person = await people.load(tx, export.person_id)
        wanted = filter_of(export.filter)
        if person is None or not person.active or not {Right.REPORTS, Right.PAYMENTS} <= person.rights:
            raise Hopeless("You may not make reports any more.")
        own = tuple(project_id for project_id in wanted.project_ids if project_id in person.project_ids)
        if not own:
            raise Hopeless("You have no access to these projects any more.")
        return replace(wanted, project_ids=own)

    async def _write(self, export: Export, wanted: Filter, path: Path) -> int:
        totals = await self._platform.look_up(lambda tx: register.totals(tx, wanted))
        total = sum(row["payments"] for row in totals)
        progress = Progress(self._platform, export, total)
        pace = self._pace(export)

        async def note(done: int) -> None:
            await progress(done)
            await pace()

        await note(0)
        write = _write_csv if export.format == "csv" else _write_sheet
        return await self._platform.look_up(lambda tx: write(tx, export, wanted, path, note))

    async def _keep(self, export: Export, path: Path) -> None:
        """A file of a broken earlier try lies under another attempt's number."""
        pace = self._pace(export)
        packs = export.format != "xlsx"  # which is a ZIP
        with path.open("rb") as file:
            number = 0
            while part := file.read(PIECE):
                content = exports.packed(part) if packs else part
                async with self._platform.database.read() as tx:
                    await exports.add_piece(tx, export, number, content, is_packed=packs)
                number += 1
                await pace()

    def _pace(self, export: Export) -> "Pace":
        return Pace(self._platform.monotonic, REST_OF_CSV if export.format == "csv" else REST)

    async def _finish(self, export: Export, size: int, rows: int) -> None:
        now = self._platform.clock.now()
        name = file_name(export)

        async def story(tx: Tx) -> None:
            if not await exports.finish(tx, export, name, size, rows, now):
                raise Overtaken
            for recipient in export.recipients:
                await enqueue_mail(self._platform, tx, export.export_id, recipient)

        await self._platform.database.run(story)

    async def _clear(self) -> None:
        now = self._platform.clock.now()
        if self._cleared_at is None or abs(now - self._cleared_at) >= CLEARED_EVERY:
            self._cleared_at = now
            await self._platform.database.run(lambda tx: exports.remove_files(tx, now - KEPT))


class Progress:
    """Notes progress about once a second, and keeps the lease with it. Raises Overtaken."""

    def __init__(self, platform: Platform, export: Export, total: int) -> None:
        self._platform = platform
        self._export = export
        self._total = total
        self._next_s = 0.0

    async def __call__(self, done: int) -> None:
        if self._platform.monotonic() < self._next_s:
            return
        self._next_s = self._platform.monotonic() + NOTED_EVERY_S
        lease_until = self._platform.clock.now() + LEASE
        async with self._platform.database.read() as tx:
            if not await exports.progress(tx, self._export, min(done, self._total), self._total, lease_until):
                raise Overtaken


Note = Callable[[int], Awaitable[None]]


class Pace:
    """Lets others work in between: awaited often, it rests when it is time to."""

    def __init__(
        self,
        monotonic: Callable[[], float],
        times: float,
        rest: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._monotonic = monotonic
        self._times = times
        self._rest = rest
        self._since_s = monotonic()

    async def __call__(self) -> None:
        worked_s = self._monotonic() - self._since_s
        if worked_s >= WORK_S:
            await self._rest(min(worked_s, 1.0) * self._times)
            self._since_s = self._monotonic()


async def _write_csv(tx: Tx, export: Export, wanted: Filter, path: Path, note: Note) -> int:
    """UTF-8 with BOM, so that Excel reads Korean (E-32)."""
    rows = 0
    with path.open("wb") as file:
        file.write(("\ufeff" + csv_lines([export.headings])).encode())
        async with tx.transaction():
            lines = await export_rows.lines(tx, wanted, export.columns, export.time_zone)
            while found := await lines.fetch(ROWS_AT_ONCE):
                file.write("".join([line for (line,) in found]).encode())
                rows += len(found)
                await note(rows)
    return rows


async def _write_sheet(tx: Tx, export: Export, wanted: Filter, path: Path, note: Note) -> int:
    """Rows come through a cursor; the workbook is written in a thread, so that callbacks go on meanwhile."""
    sheet = await asyncio.to_thread(FORMATS[export.format][0], path)
    sheet.heading(export.headings)
    rows = 0
    async with tx.transaction():
        cursor = await export_rows.cursor(tx, wanted, export.columns, export.time_zone)
        while found := await cursor.fetch(ROWS_AT_ONCE):
            try:
                await asyncio.to_thread(sheet.rows, found)
            except TooLarge as full:
                raise Hopeless(
                    "An XLS holds at most 2 GB. Please choose XLSX or CSV, or a shorter period."
                ) from full
            rows += len(found)
            await note(rows)
    await asyncio.to_thread(sheet.close)
    return rows


def file_name(export: Export) -> str:
    """`payments-20261123-1001.csv`: the day of the run, and a number that tells two exports apart."""
    day = (export.run_at or export.created_at).strftime("%Y%m%d")
    return f"payments-{day}-{export.export_id % 10_000:04}.{export.format}"


async def enqueue_mail(platform: Platform, tx: Tx, export_id: int, recipient: str) -> None:
    """The Message-ID is made here, once: every try carries it (F21)."""
    mail_id = platform.ids.next()
    host = urlsplit(platform.page_url).hostname or "localhost"
    message_id = f"<{export_id}.{mail_id}@{host}>"
    await schedules.enqueue_mail(tx, mail_id, export_id, recipient, message_id, platform.clock.now())


async def own(platform: Platform, person_id: int, export_id: int) -> Export | None:
    """None for a number that is not this person's."""
    async with platform.database.read() as tx:
        export = await exports.load(tx, export_id)
    return export if export and export.person_id == person_id else None


async def latest(platform: Platform, person_id: int, before: int | None, limit: int) -> list[Export]:
    """The person's, newest first, beyond the number `before`."""
    async with platform.database.read() as tx:
        return await exports.of_person(tx, person_id, before, limit)


async def mails(platform: Platform, export_ids: Sequence[int]) -> list[Mail]:
    """How the exports were sent, oldest first."""
    async with platform.database.read() as tx:
        return await schedules.mails_of(tx, export_ids)
