"""Days of the past, filled one by one: each is one transaction of COPYs, so that a filling that was cut off goes on where it
stopped, and a second start with the same wish adds nothing."""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from random import Random
from typing import Any

import asyncpg

from wongate.connections.ids import EPOCH_MS
from wongate.connections.json_text import dumps
from wongate.domain.payment import Project, payment_key
from wongate.flows.platform import Platform
from wongate.history import chances
from wongate.history.chances import SEOUL
from wongate.history.stories import PastIds, Teller, Told
from wongate.store import roll_ups

DETAILED = timedelta(days=14)
"""So far back payments have their intermediate callbacks and exchanges too; older ones go without, a third of the rows."""

QUIET = timedelta(minutes=45)
"""The past ends this long before now: everything in it is finished."""

CONNECTIONS = 2
"""Days on their way at the same time: PostgreSQL works on one while the next is made up."""

TABLES = ("payment", "operation", "transition", "ledger_entry", "exchange", "callback", "attempt")
_JSON = frozenset({"request", "response", "authentication", "details"})

Progress = Callable[[int, int], None]
"""Told after each day: days done, days in all."""


class TooLong(Exception):
    """The past would begin before our numbers do."""


@dataclass(frozen=True, slots=True)
class Wish:
    """`per_day` is an average."""

    days: int
    per_day: int = 300


async def fill(platform: Platform, project: Project, url: str, wish: Wish, progress: Progress) -> int:
    """Fills what is missing of the wished past and answers how many payments were made up. Raises TooLong.

    Days are counted back from the first filling ever, so that a repeated start finds all of them there.
    """
    pool = await asyncpg.create_pool(
        url, min_size=1, max_size=CONNECTIONS, server_settings={"timezone": "UTC"}
    )
    try:
        until = await _first_filling(pool, project, platform.clock.now() - QUIET)
        missing = await _missing(pool, project, until, wish.days)
        filler = _Filler(platform, project, pool, until, wish.per_day)
        made = await filler.fill(missing, progress)
        if made:
            await roll_ups.forget(pool, [project.project_id])
            # So many rows at once: with the statistics of empty tables a join of four of them took over a minute.
            await pool.execute(f"ANALYZE {', '.join(TABLES)}")
        return made
    finally:
        await pool.close()


async def _first_filling(pool: Any, project: Project, until: datetime) -> datetime:
    await pool.execute(
        "INSERT INTO history (project_id, until) VALUES ($1, $2) ON CONFLICT DO NOTHING",
        project.project_id,
        until,
    )
    first: datetime = await pool.fetchval(
        "SELECT until FROM history WHERE project_id = $1", project.project_id
    )
    return first


async def _missing(pool: Any, project: Project, until: datetime, days: int) -> list[date]:
    """Newest first, so that the last days are there first."""
    last = until.astimezone(SEOUL).date()
    epoch = datetime.fromtimestamp(EPOCH_MS / 1000, UTC).date()
    if last - timedelta(days=days) <= epoch:
        raise TooLong(f"the past goes back to {epoch} at most, that is {(last - epoch).days - 1} days")
    rows = await pool.fetch("SELECT day FROM history_day WHERE project_id = $1", project.project_id)
    done = {row["day"] for row in rows}
    wished = (last - timedelta(days=number) for number in range(days))
    return [day for day in wished if day not in done]


class _Filler:
    def __init__(
        self, platform: Platform, project: Project, pool: Any, until: datetime, per_day: int
    ) -> None:
        self._platform = platform
        self._project = project
        self._pool = pool
        self._until = until
        self._last = until.astimezone(SEOUL).date()
        self._per_day = per_day

    async def fill(self, days: Sequence[date], progress: Progress) -> int:
        waiting = iter(days)
        made = done = 0

        async def work() -> None:
            nonlocal made, done
            for day in waiting:
                payments = await self._fill_day(day)
                made += payments
                done += 1
                progress(done, len(days))

        await asyncio.gather(*(work() for _ in range(CONNECTIONS)))
        return made

    async def _fill_day(self, day: date) -> int:
        rows = _rows(self._tell(day))
        async with self._pool.acquire() as connection, connection.transaction():
            for table in TABLES:
                await _copy(connection, table, rows[table])
            await connection.execute(
                "INSERT INTO history_day (project_id, day, payments) VALUES ($1, $2, $3)",
                self._project.project_id,
                day,
                len(rows["payment"]),
            )
        return len(rows["payment"])

    def _tell(self, day: date) -> Iterable[Told]:
        """The same day is made up alike each time."""
        chance = Random(f"{self._project.project_id} {day}")  # noqa: S311 - a made-up past, nothing secret
        teller = Teller(
            self._platform,
            self._project,
            chance,
            PastIds(day.toordinal()),
            chances.outages(day, chance),
            until=self._until,
            detailed=self._last - day < DETAILED,
        )
        number = chances.payments_of(day, self._per_day, self._last, chance)
        # A sale that nobody comes back to ends with its limit time: what began later could not be finished by now.
        latest = self._until - timedelta(seconds=self._project.settings.limit_time_s)
        for at in chances.moments(day, number, latest, chance):
            yield teller.tell(at.astimezone(UTC))


def _rows(stories: Iterable[Told]) -> dict[str, list[Mapping[str, Any]]]:
    rows: dict[str, list[Mapping[str, Any]]] = {table: [] for table in TABLES}
    for told in stories:
        written, payment = told.case.written, told.case.payment
        rows["payment"].append(payment._asdict() | {"payment_key": payment_key(payment.payment_id)})
        rows["operation"] += [operation._asdict() for operation in told.case.operations.values()]
        rows["transition"] += written.transitions
        rows["ledger_entry"] += written.entries
        rows["exchange"] += written.exchanges
        rows["callback"] += told.callbacks
        rows["attempt"] += told.attempts
    return rows


async def _copy(connection: Any, table: str, rows: Sequence[Mapping[str, Any]]) -> None:
    if not rows:
        return
    names = list(rows[0])
    texts = [dumps if name in _JSON else None for name in names]
    records = [
        [text(row[name]) if text else row[name] for name, text in zip(names, texts, strict=True)]
        for row in rows
    ]
    await connection.copy_records_to_table(table, records=records, columns=names)
