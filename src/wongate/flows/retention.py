"""How long history is kept: months to come get their partitions, months whose time is over lose them.
What pages were reported for and pushes that have ended go after days of their own."""

import logging
from collections.abc import Awaitable, Mapping
from datetime import UTC, date, datetime, timedelta

import asyncpg

from wongate.connections.database import Tx
from wongate.connections.ids import made_at_ms
from wongate.flows import push, violations
from wongate.flows.platform import Platform
from wongate.store import partitions

log = logging.getLogger(__name__)

EVERY_S = 3600.0
"""Seconds between looks."""


class Retention:
    """The duty of the worker. `keep_days` says for each table of history how many days its rows are kept at least."""

    def __init__(self, platform: Platform, keep_days: Mapping[str, int]) -> None:
        self._platform = platform
        self._keep_days = keep_days

    async def tick(self) -> int:
        today = self._today()
        async with self._platform.database.read() as tx:
            for table in partitions.TABLES:
                await _patiently(_make_ahead(tx, table, today))
                if table in self._keep_days:
                    await _patiently(_drop_over(tx, table, today - timedelta(days=self._keep_days[table])))
        await violations.forget_old(self._platform)
        await push.forget_old(self._platform)
        return 0

    def _today(self) -> date:
        """By the clock that numbers are made with, which the sandbox's moved clock does not move."""
        return datetime.fromtimestamp(made_at_ms(self._platform.ids.next()) / 1000, UTC).date()


async def _patiently(step: Awaitable[None]) -> None:
    """A lock that is not free at once, or another worker that did the same: the next look comes in an hour."""
    try:
        await step
    except (
        asyncpg.LockNotAvailableError,
        asyncpg.UndefinedTableError,
        asyncpg.ObjectNotInPrerequisiteStateError,
    ) as error:
        log.info("partition left for later", extra={"reason": str(error)})
    except asyncpg.InsufficientPrivilegeError as error:
        log.warning(
            "partitions cannot be made or dropped: run `wongate migrate` each month as the tables' owner",
            extra={"reason": str(error)},
        )


async def _make_ahead(tx: Tx, table: str, today: date) -> None:
    for name in await partitions.make_ahead(tx, table, today):
        log.info("partition made", extra={"partition": name})


async def _drop_over(tx: Tx, table: str, keep_from: date) -> None:
    """Drops the months that ended on or before `keep_from`."""
    for partition in await partitions.every(tx, table):
        if partition.until <= keep_from:
            await partitions.drop(tx, partition)
            log.info("partition dropped", extra={"partition": partition.name})
