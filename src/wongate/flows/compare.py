"""`wongate reconcile`: our books compared with the provider's, by inquiry of each transaction or against a list of its own."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from wongate.connections.database import Tx
from wongate.domain.comparison import Difference, Ours, Theirs, differences, newer_than_list
from wongate.domain.outcome import Standing
from wongate.flows.platform import Platform
from wongate.store import comparisons

AT_ONCE = 16
"""Inquiries under way at the same time: a guest at the provider, not a load test."""

SECOND_LOOK_S = 1.0
"""Payments go on while books are compared: what differs is looked at again after so long."""

Progress = Callable[[int, int], None]
Source = Callable[[Sequence[Ours]], Awaitable[Mapping[str, Theirs]]]
"""What the provider says: about the given sales, and of whatever else the source lists."""


@dataclass(frozen=True, slots=True)
class Compared:
    """What differs, and how many sales are newer than the list, so that it says nothing of them."""

    differences: list[Difference]
    newer: int = 0


async def with_list(
    platform: Platform,
    read: Callable[[], Mapping[str, Theirs]],
    since: datetime | None,
    complete_until: datetime | None = None,
) -> Compared:
    """Compares with what the provider lists (its settlement file, the simulator's books), and keeps what differs.

    `complete_until`: what was done after it is not in the list; None for one that is read as it is at this moment.
    """

    async def source(ours: Sequence[Ours]) -> Mapping[str, Theirs]:
        return await asyncio.to_thread(read)

    return await _compared(platform, source, since, complete_until)


async def by_inquiry(platform: Platform, since: datetime | None, progress: Progress) -> Compared:
    """Asks the provider about each transaction of ours. An inquiry tells no amount: a partly cancelled one reads as approved
    (N-11), and what only the provider knows cannot be asked for."""

    async def source(ours: Sequence[Ours]) -> Mapping[str, Theirs]:
        return await _asked(platform, ours, progress)

    return await _compared(platform, source, since)


async def _compared(
    platform: Platform, source: Source, since: datetime | None, complete_until: datetime | None = None
) -> Compared:
    """Only what differs both times is a difference; the rest was a payment on its way."""
    first = await _look(platform, source, since, complete_until, None)
    suspects = {found.reference for found in first.differences}
    if not suspects:
        return first
    await asyncio.sleep(SECOND_LOOK_S)
    second = await _look(platform, source, since, complete_until, suspects)
    return Compared(await _kept(platform, second.differences), first.newer)


async def _look(
    platform: Platform,
    source: Source,
    since: datetime | None,
    complete_until: datetime | None,
    only: set[str] | None,
) -> Compared:
    async with platform.database.read() as tx:
        ours = await comparisons.ours(tx, since, None if only is None else sorted(only), complete_until)
    theirs = await source(ours)
    strangers = theirs.keys() - {sale.reference for sale in ours}
    async with platform.database.read() as tx:
        older = await comparisons.known(tx, sorted(strangers))  # ours, but from before `since`
    told = {
        reference: theirs[reference]
        for reference in theirs.keys() - older
        if only is None or reference in only
    }
    return Compared(differences(ours, told), newer_than_list(ours, told))


async def _asked(platform: Platform, ours: Sequence[Ours], progress: Progress) -> Mapping[str, Theirs]:
    theirs: dict[str, Theirs] = {}
    waiting = iter(ours)

    async def ask() -> None:
        for sale in waiting:
            theirs[sale.reference] = await _standing(platform, sale)
            progress(len(theirs), len(ours))

    await asyncio.gather(*(ask() for _ in range(AT_ONCE)))
    return theirs


async def _standing(platform: Platform, sale: Ours) -> Theirs:
    """No answer is a difference too: nobody can say that the books agree."""
    project = await platform.project(sale.project_id)
    if project is None:
        return Theirs(sale.reference, sale.order_number, None, "cannot be asked for")
    standing, _ = await platform.provider(project).inquire(project.account, sale.reference)
    if standing is Standing.APPROVED:
        return Theirs(sale.reference, sale.order_number, None, "approved", approved=True)
    if standing is Standing.UNCLEAR:
        return Theirs(sale.reference, sale.order_number, None, "without an answer")
    return Theirs(sale.reference, sale.order_number, 0)


async def _kept(platform: Platform, found: list[Difference]) -> list[Difference]:
    run_no, now = platform.ids.next(), platform.clock.now()

    async def story(tx: Tx) -> None:
        await comparisons.keep(tx, run_no, found, now)

    if found:
        await platform.database.run(story)
    return found
