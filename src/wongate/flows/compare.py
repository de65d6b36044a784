"""`wongate reconcile`: our books compared with the provider's, by inquiry of each transaction or against a list of its own."""

import asyncio
from collections.abc import Callable, Mapping
from datetime import datetime

from wongate.connections.database import Tx
from wongate.domain.comparison import Difference, Ours, Theirs, differences
from wongate.domain.outcome import Standing
from wongate.flows.platform import Platform
from wongate.store import comparisons

AT_ONCE = 16
"""Inquiries under way at the same time: a guest at the provider, not a load test."""

Progress = Callable[[int, int], None]


async def with_list(
    platform: Platform, theirs: Mapping[str, Theirs], since: datetime | None
) -> list[Difference]:
    """Compares with what the provider lists (its settlement file, the simulator's books), and keeps what differs."""
    async with platform.database.read() as tx:
        ours = await comparisons.ours(tx, since)
    return await _kept(platform, differences(ours, theirs))


async def by_inquiry(platform: Platform, since: datetime | None, progress: Progress) -> list[Difference]:
    """Asks the provider about each transaction of ours. An inquiry tells no amount: a partly cancelled one reads as approved
    (N-11), and what only the provider knows cannot be asked for."""
    async with platform.database.read() as tx:
        ours = await comparisons.ours(tx, since)
    theirs: dict[str, Theirs] = {}
    waiting = iter(ours)
    done = 0

    async def ask() -> None:
        nonlocal done
        for sale in waiting:
            theirs[sale.reference] = await _standing(platform, sale)
            done += 1
            progress(done, len(ours))

    await asyncio.gather(*(ask() for _ in range(AT_ONCE)))
    return await _kept(platform, differences(ours, theirs))


async def _standing(platform: Platform, sale: Ours) -> Theirs:
    project = await platform.project(sale.project_id)
    if project is None:
        return Theirs(sale.reference, sale.order_number, None)
    standing, _ = await platform.provider(project).inquire(project.account, sale.reference)
    left = {Standing.APPROVED: None, Standing.CANCELLED: 0, Standing.ABSENT: 0}.get(standing)
    if standing is Standing.UNCLEAR:
        left = -1  # no answer is a difference too: nobody can say that the books agree
    return Theirs(sale.reference, sale.order_number, left)


async def _kept(platform: Platform, found: list[Difference]) -> list[Difference]:
    run_no, now = platform.ids.next(), platform.clock.now()

    async def story(tx: Tx) -> None:
        await comparisons.keep(tx, run_no, found, now)

    if found:
        await platform.database.run(story)
    return found
