"""Node numbers: each running process has one of 64 to itself, and those of killed processes come free by themselves."""

import asyncio
import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import pytest

from wongate import app
from wongate.connections.database import Database, Unavailable
from wongate.connections.ids import NODES
from wongate.settings import Settings, load
from wongate.store import nodes


@asynccontextmanager
async def all_leased(url: str) -> AsyncIterator[Database]:
    """By processes that were killed a moment ago."""
    database = await Database.connect(url, size=2)
    try:
        now = datetime.now(UTC)
        async with database.transaction() as tx:
            numbers = [await nodes.lease(tx, f"killed/{number}", now) for number in range(NODES)]
            assert list(range(NODES)) == numbers
            assert await nodes.lease(tx, "one too many", now) is None
        yield database
    finally:
        await database.close()


def settings(url: str) -> Settings:
    return load({"WONGATE_DATABASE_URL": url, "WONGATE_MASTER_KEY": base64.b64encode(b"k" * 32).decode()})


async def opened_once(url: str) -> None:
    async with app.opened(settings(url)):
        pass


async def test_a_process_that_finds_all_numbers_leased_waits_for_one(database: str):
    """Found by killing a worker at each of its seams, on a machine so quick that 64 processes died within a lease."""
    async with all_leased(database) as leased:
        opening = asyncio.create_task(opened_once(database))
        await asyncio.sleep(0.1)
        assert not opening.done()
        async with leased.transaction() as tx:
            await nodes.release(tx, 5, "killed/5", datetime.now(UTC))
        await opening
        async with leased.transaction() as tx:
            rest = await tx.fetch("SELECT node_id FROM node WHERE holder NOT LIKE 'killed/%'")
        assert [5] == [row["node_id"] for row in rest]


async def test_running_processes_that_have_all_numbers_are_named_in_one_line(
    database: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(app, "FREE_NODE_WAIT_S", 0.0)
    async with all_leased(database):
        with pytest.raises(Unavailable, match="all 64 node numbers are leased by running processes"):
            await opened_once(database)
