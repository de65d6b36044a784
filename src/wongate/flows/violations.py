"""Reports of pages that broke their policy: kept so that people see them, never so many that they fill a table."""

from collections.abc import Sequence
from datetime import timedelta

from wongate.domain.violation import Kind, Violation
from wongate.flows.platform import Platform
from wongate.store import violations

KEPT = timedelta(days=30)
NEW_A_DAY = 200
"""Kinds. Whoever invents more of them hides what comes after for that day, from the page though not from the log."""

SHOWN = 100


async def note(platform: Platform, kind: Kind) -> None:
    now = platform.clock.now()
    await platform.database.run(
        lambda tx: violations.note(tx, kind, now, new_since=now - timedelta(days=1), new_max=NEW_A_DAY)
    )


async def latest(platform: Platform) -> Sequence[Violation]:
    """The kinds reported last, at most `SHOWN`."""
    async with platform.database.read() as tx:
        return await violations.latest(tx, SHOWN)


async def forget_old(platform: Platform) -> None:
    before = platform.clock.now() - KEPT
    await platform.database.run(lambda tx: violations.forget(tx, before), one_statement=True)
