"""All rows taken out as CSV and XLSX by the worker: seconds, memory, and what a merchant's sales feel of it."""

import asyncio
import csv
import io
import time
import zipfile
from datetime import datetime
from xml.parsers import expat

from bench import orders
from bench.client import Pool, open_loop, percentile
from bench.rig import PROJECT_ID, Rig
from bench.sink import Sink
from wongate import sandbox_login
from wongate.app import opened
from wongate.domain.report import Export
from wongate.flows import export as exporting
from wongate.flows import people
from wongate.flows.audit import Actor
from wongate.flows.export import Order
from wongate.flows.platform import Platform
from wongate.reports.register import Filter
from wongate.settings import load

RATE = 50
"""Sales a second that come in meanwhile."""

COLUMNS = (
    *("payment_id", "type", "status", "amount", "currency", "refunded", "refundable", "customer_id"),
    "created_at",
)
"""The table's own columns (section 8.2)."""

AMOUNT, REFUNDED = COLUMNS.index("amount"), COLUMNS.index("refunded")

RUN = f"run{time.time_ns()}"
"""In the ids of this run's sales: kept books have those of earlier runs."""

LOOK_S = 0.05

LEAST_S = 30.0
"""Seconds of sales beside exports of one format, and as many alone. A CSV's 10 s are 500 answers, of which five decide the p99:
that ratio was 1.3 in one run, 2.9 in the next and 1.8 in the third."""

SETTLE_S = 5.0
"""For what an export has left to the disk: seconds alone that are not alone would flatter the ratio."""


async def measure(built: Rig, *, quick: bool) -> dict[str, float]:
    """Each export alone, for its seconds and the worker's memory, and again while sales come in, in turns with sales alone."""
    sink = await Sink(built.secret).listen(*built.sink_ports)
    figures: dict[str, float] = {}
    async with opened(load(built.environment)) as platform:
        until = platform.clock.now()
        await _give_up_on_the_gone(platform)
        await _caught_up(platform)
        await _sales(built, "warm", 5)
        before_mb = built.memory_mb("worker")
        for name in ("csv", "xlsx"):
            export, seconds, most_mb = await _export(built, platform, name, until)
            figures |= {f"{name}_s": seconds, f"{name}_growth_mb": most_mb - before_mb}
            await _verify(platform, export, until)
        quiet: list[float] = []
        for name in ("csv", "xlsx"):
            alone, during = await _in_turns(built, platform, name, until, 5 if quick else LEAST_S)
            figures[f"accept_p99_ratio_{name}"] = percentile(during, 0.99) / percentile(alone, 0.99)
            quiet += alone
        figures["accept_p99_ms_alone"] = percentile(quiet, 0.99)
    sink.close()
    sink.raw = [raw for raw in sink.raw if RUN.encode() in raw]  # sales of an earlier run may end in this one
    sink.check(("awaiting redirect result",))
    return figures


async def _give_up_on_the_gone(platform: Platform) -> None:
    """Callbacks of a run that was broken off: its endpoints are gone, and 3,700 sends tried again and again kept the next run
    waiting for half an hour."""
    async with platform.database.transaction() as tx:
        await tx.execute(
            "UPDATE callback SET state = 'failed', finished_at = $2 WHERE project_id = $1 AND state = 'waiting'",
            PROJECT_ID,
            platform.clock.now(),
        )


async def _caught_up(platform: Platform) -> None:
    """Waits until the worker has nothing left to do: in kept books the sales of the run before have all reached their limit time,
    and would be declined and told, ten thousands of them, while this run is measured."""
    while True:
        now = platform.clock.now()
        async with platform.database.read() as tx:
            if not await tx.fetchval(
                "SELECT EXISTS (SELECT FROM operation WHERE project_id = $1 AND wake_at <= $2) "
                "OR EXISTS (SELECT FROM callback WHERE project_id = $1 AND state = 'waiting' AND due_at <= $2)",
                PROJECT_ID,
                now,
            ):
                return
        await asyncio.sleep(LOOK_S)


async def _export(
    built: Rig, platform: Platform, format_: str, until: datetime
) -> tuple[Export, float, float]:
    """The export once it is ready, its seconds, and the most memory that the worker had meanwhile."""
    person = await people.find_by_login(platform, sandbox_login.USER)
    assert person is not None
    actor = Actor(person.person_id, person.login, "127.0.0.1", (PROJECT_ID,))
    wanted = Filter((PROJECT_ID,), until=until)
    order = Order("All", format_, "", wanted, COLUMNS, COLUMNS, "en", "Asia/Seoul")
    began, most_mb = time.monotonic(), 0.0
    export_id = await exporting.ask(platform, actor, person.person_id, order)
    assert export_id is not None
    while True:
        await asyncio.sleep(LOOK_S)
        most_mb = max(most_mb, built.memory_mb("worker"))
        export = await exporting.own(platform, person.person_id, export_id)
        assert export is not None
        assert export.state != "failed", export.error
        if export.state == "ready":
            return export, time.monotonic() - began, most_mb


async def _verify(platform: Platform, export: Export, until: datetime) -> None:
    """Opens the file with a reader that is not ours and adds it up."""
    content = await exporting.content(platform, export)
    found = await asyncio.to_thread(_csv_sums if export.format == "csv" else _xlsx_sums, content)
    async with platform.database.read() as tx:
        expected = await tx.fetchrow(
            "SELECT count(*), sum(amount), sum(refunded) FROM payment WHERE project_id = $1 AND created_at < $2",
            PROJECT_ID,
            until,
        )
    assert tuple(map(int, expected)) == found, f"the {export.format} holds other rows or sums"


def _csv_sums(content: bytes) -> tuple[int, int, int]:
    """Rows, won asked for, won that went back: as Python's csv module reads them."""
    rows = csv.reader(io.TextIOWrapper(io.BytesIO(content), "utf-8-sig", newline=""))
    next(rows)
    number, asked_for, back = 0, 0, 0
    for row in rows:
        number, asked_for, back = number + 1, asked_for + int(row[AMOUNT]), back + int(row[REFUNDED])
    return number, asked_for, back


def _xlsx_sums(content: bytes) -> tuple[int, int, int]:
    """The same as expat reads them; openpyxl, which the tests use, takes minutes for a million rows."""
    sums = dict.fromkeys((None, AMOUNT, REFUNDED), 0)
    place = -1

    def start(name: str, attributes: dict[str, str]) -> None:
        nonlocal place
        if name == "row":
            sums[None] += 1
        elif name == "c":
            place = -1 if "t" in attributes else ord(attributes["r"][0]) - ord("A")  # numbers say no type

    def text(value: str) -> None:
        if place in sums and value.isdecimal():
            sums[place] += int(value)

    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        sheets = [name for name in archive.namelist() if name.startswith("xl/worksheets/")]
        for name in sheets:
            parser = expat.ParserCreate()
            parser.buffer_text = True
            parser.StartElementHandler, parser.CharacterDataHandler = start, text
            with archive.open(name) as sheet:
                parser.ParseFile(sheet)
            sums[None] -= 1  # the heading
    return sums[None], sums[AMOUNT], sums[REFUNDED]


async def _sales(built: Rig, prefix: str, seconds: float) -> list[float]:
    """Milliseconds until each was accepted."""
    gate = Pool(built.gate)
    accepts: list[float] = []

    prefix = f"{prefix}-{RUN}-{time.time_ns()}"

    async def story(number: int, due: float) -> None:
        status, answer = await gate.send(orders.sale(built, f"{prefix}-{number}"))
        assert status == 200, answer
        accepts.append((time.perf_counter() - due) * 1000)

    await open_loop(RATE, seconds, story)
    gate.close()
    return accepts


async def _in_turns(
    built: Rig, platform: Platform, format_: str, until: datetime, least_s: float
) -> tuple[list[float], list[float]]:
    """Milliseconds of sales alone and beside exports, as many of the one as of the other: after each export, for as long as it
    took."""
    alone: list[float] = []
    during: list[float] = []
    while len(during) < least_s * RATE:
        beside = await _sales_during(built, platform, format_, until)
        await asyncio.sleep(SETTLE_S)
        alone += await _sales(built, "alone", len(beside) / RATE)
        during += beside
    return alone, during


async def _sales_during(built: Rig, platform: Platform, format_: str, until: datetime) -> list[float]:
    """The same while an export is made, second by second until it is ready."""
    making = asyncio.ensure_future(_export(built, platform, format_, until))
    accepts: list[float] = []
    while not making.done():
        accepts += await _sales(built, format_, 1)
    await making
    return accepts
