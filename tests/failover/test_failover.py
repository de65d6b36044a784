"""The leader of a Patroni cluster is killed under load: what was acknowledged is kept, and everything ends.

`make test-failover` runs this. How often the leader is killed: WONGATE_FAILOVERS.
"""

import asyncio
import os
import random
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count, pairwise
from pathlib import Path
from typing import Any

import pytest
from tests.failover.cluster import HEALTHY_S, Cluster, running
from tests.faults.shop import Shop, shop_of
from tests.faults.stage import Stage, opened
from tests.faults.test_real_processes import afterwards

from wongate.connections.database import Tx
from wongate.connections.replica import AWAY_S, Away, Replica

pytestmark = pytest.mark.faults

TIMES = int(os.environ.get("WONGATE_FAILOVERS", "3"))
CUSTOMERS = 8
BUSINESS_BETWEEN = 100
"""Acknowledged requests and callbacks between two disturbances."""

Post = tuple[str, Mapping[str, Any], Mapping[str, Any]]


@dataclass
class Merchant(Shop):
    """Keeps every answer with its request, and when it came."""

    answers: list[Post] = field(default_factory=list)
    answered_at: list[float] = field(default_factory=list)

    async def post(self, path: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        status, answer = await super().post(path, body)
        self.answers.append((path, body, answer))
        self.answered_at.append(time.monotonic())
        return status, answer

    async def trade_until(self, closed: asyncio.Event) -> None:
        """Payers come one after another; one in four of the payments is refunded, in whole."""
        chance, numbers = random.Random(1), count()

        async def serve_customers() -> None:
            while not closed.is_set():
                payment_id = await self.sale(next(numbers))
                await self.pay(payment_id)
                if chance.random() < 0.25:
                    await self.refund(payment_id)

        await asyncio.gather(*(serve_customers() for _ in range(CUSTOMERS)))

    def longest_silence_s(self, since: float) -> float:
        """Seconds between two acknowledgements since that moment."""
        moments = [since, *(at for at in self.answered_at if at >= since)]
        return max(later - earlier for earlier, later in pairwise(moments))

    async def resends_are_answered_alike(self) -> None:
        answers, self.answers = self.answers, []
        for path, body, first in answers:
            status, again = await super().post(path, dict(body))
            assert (200, first) == (status, again)


@pytest.fixture(scope="module")
def shared_stage() -> Iterator[Stage]:
    """The platform as real processes on the URL of three hosts."""
    with (
        tempfile.TemporaryDirectory(prefix="wongate-failover-") as name,
        opened(Path(name), running) as stage,
    ):
        yield stage


@pytest.fixture
def stage(shared_stage: Stage, record_property: Callable[[str, str], None]) -> Stage:
    assert isinstance(shared_stage.server, Cluster)
    shared_stage.server.start_who_is_down()
    shared_stage.server.wait_until_whole()
    shared_stage.measured = record_property
    return shared_stage


Disturb = Callable[[Cluster], None]


def lose_the_leader(cluster: Cluster) -> None:
    """kill -9 of Patroni, PostgreSQL and every backend at once; the machine comes back when another one leads."""
    leader = cluster.node_with("leader")
    leader.kill()
    cluster.wait_for_another("leader", leader)


def lose_the_synchronous_standby(cluster: Cluster) -> None:
    standby = cluster.node_with("sync_standby")
    standby.kill()
    cluster.wait_for_another("sync_standby", standby)


def switch_over(cluster: Cluster) -> None:
    """As `patronictl switchover` does before maintenance."""
    leader = cluster.node_with("leader")
    leader.ask("/switchover", {"leader": leader.name})
    cluster.wait_for_another("leader", leader)


@pytest.mark.parametrize("disturb", [lose_the_leader, lose_the_synchronous_standby, switch_over])
async def test_no_acknowledged_payment_is_lost_with_a_machine(stage: Stage, disturb: Disturb):
    cluster = stage.server
    assert isinstance(cluster, Cluster)
    silences_s = []
    async with shop_of(Merchant, stage) as merchant:
        closed = asyncio.Event()
        async with asyncio.TaskGroup() as business:
            business.create_task(merchant.trade_until(closed))
            for _ in range(TIMES):
                await merchant.progresses(by=BUSINESS_BETWEEN)
                since = time.monotonic()
                await asyncio.to_thread(disturb, cluster)
                cluster.start_who_is_down()
                await merchant.progresses(by=BUSINESS_BETWEEN)
                silences_s.append(merchant.longest_silence_s(since))
                await asyncio.to_thread(cluster.wait_until_whole)
            closed.set()
        await afterwards(stage, merchant, disturb.__name__.replace("_", " "))
        await merchant.resends_are_answered_alike()
        stage.measured("seconds without a commit", ", ".join(f"{silence_s:.1f}" for silence_s in silences_s))


async def standby_and_projects(tx: Tx) -> tuple[bool, int]:
    """Whether a standby answers, and how many projects it knows."""
    row = await tx.fetchrow("SELECT pg_is_in_recovery() AS standby, count(*) AS projects FROM project")
    return row["standby"], row["projects"]


async def test_questions_go_to_a_standby_and_to_the_other_one_when_it_is_lost(stage: Stage):
    cluster = stage.server
    assert isinstance(cluster, Cluster)
    seconds = count(0, AWAY_S)
    replica = Replica(cluster.read_url, size=2, monotonic=lambda: next(seconds))

    async def answer() -> tuple[bool, int]:
        """Questions that meet the loss are for the main database, which is not asked here."""
        async with asyncio.timeout(HEALTHY_S):
            while True:
                with suppress(Away):
                    return await replica.read(standby_and_projects)

    try:
        for role in ("sync_standby", "replica"):
            assert (True, 1) == await answer()
            standby = await asyncio.to_thread(cluster.node_with, role)
            await asyncio.to_thread(standby.kill)
            assert (True, 1) == await answer()
            cluster.start_who_is_down()
            await asyncio.to_thread(cluster.wait_until_whole)
    finally:
        await replica.close()
