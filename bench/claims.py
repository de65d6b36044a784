"""What waits costs nothing: claims out of 1,000 waiting callbacks and operations against claims out of 1,000,000."""

import os
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from statistics import median
from typing import TypeVar

import asyncpg
import uvloop

from bench import orders
from bench.client import closed_loop
from bench.rig import PROJECT_ID, Rig, rig
from wongate.app import opened
from wongate.connections.database import Tx
from wongate.flows.platform import Platform
from wongate.settings import load
from wongate.store import callbacks, payments
from wongate.store.callbacks import Due, Sent

SALES = 1_000
WAITING = 1_000_000
CLAIMS, CLAIMED = 40, 16
WARM = 20
"""Claims that do not count: the first after the copies write pages of these to the disk, for want of free ones."""

DRAINED = 300
"""Claims one after the other out of a full queue, each recorded as delivered: what they leave behind must not slow the next."""

LEASE = timedelta(minutes=1)
LATER = timedelta(hours=1)
"""Sales wake after half an hour: by then all of them are due. Half of what is copied waits for longer."""

Found = TypeVar("Found")
Claim = Callable[[Tx], Awaitable[Sequence[object]]]

# 2^34 is some 70 minutes of numbers: no two sales lie exactly so far apart.
_COPIED = {
    "callback": {
        "callback_id": "callback_id - (k::bigint << 34)",
        "due_at": "created_at",
        "state": "'waiting'",
    },
    "operation": {"operation_id": "operation_id - (k::bigint << 34)", "wake_at": "limit_at"},
}


def measure(*, quick: bool) -> dict[str, float]:
    """Medians in milliseconds, of looking for who has something due and of the claim itself. Raises AssertionError when a claim
    takes fewer than it may, or takes something twice."""
    with rig(worker=False) as built:
        uvloop.run(_accept(built))
        built.settle_down()
        few = uvloop.run(_claims(built))
        uvloop.run(_copy(built, (20_000 if quick else WAITING) // SALES))
        built.settle_down()
        many = uvloop.run(_claims(built))
        first_ms, last_ms = uvloop.run(_drain(built, 50 if quick else DRAINED))
    return {
        **{f"{kind}_ms_of_1000": took for kind, took in few.items()},
        **{f"{kind}_ms": took for kind, took in many.items()},
        **{f"{kind}_ratio": many[kind] / few[kind] for kind in few},
        "drained_ms": last_ms,
        "drained_ratio": last_ms / first_ms,
    }


async def _accept(built: Rig) -> None:
    sales = [orders.sale(built, f"waiting-{number}") for number in range(SALES)]
    _, _, answers = await closed_loop(built.gate, sales, 64)
    assert all(status == 200 for status, _ in answers), "a sale was not accepted"


async def _copy(built: Rig, times: int) -> None:
    """Each waiting row so many times under numbers of its own, every second one not due yet."""
    connection = await asyncpg.connect(built.database_url, command_timeout=600)
    for table, changed in _COPIED.items():
        due = next(name for name in ("due_at", "wake_at") if name in changed)
        later = f"{changed[due]} + CASE WHEN k % 2 = 0 THEN interval '0' ELSE interval '1 day' END"
        columns = await connection.fetchval(
            "SELECT array_agg(attname ORDER BY attnum) FROM pg_attribute "
            "WHERE attrelid = $1::text::regclass AND attnum > 0 AND NOT attisdropped",
            table,
        )
        values = ", ".join({**changed, due: later}.get(name, name) for name in columns)
        await connection.execute(
            f"INSERT INTO {table} ({', '.join(columns)}) SELECT {values} FROM {table}, generate_series(1, {times - 1}) k "
            "WHERE project_id = $1",
            PROJECT_ID,
        )
    await connection.close()
    os.sync()


async def _claims(built: Rig) -> dict[str, float]:
    async with opened(load(built.environment)) as platform:
        return {
            "callback_claim": median(await _timed(platform, CLAIMS, _claim_callbacks(platform))),
            "wake_claim": median(await _timed(platform, CLAIMS, _claim_operations(platform))),
        }


async def _timed(platform: Platform, times: int, claim: Claim) -> list[float]:
    taken: list[object] = []
    took: list[float] = []
    for _ in range(WARM + times):
        found, took_ms = await platform.database.run(_clocked(claim))
        taken += found
        took.append(took_ms)
    assert (WARM + times) * CLAIMED == len(set(taken)), "claims took fewer than they may, or the same twice"
    return took[WARM:]


def _clocked(claim: Callable[[Tx], Awaitable[Found]]) -> Callable[[Tx], Awaitable[tuple[Found, float]]]:
    """The milliseconds without the commit: that waits for the disk, to which the copies, 3 GB, are on their way (3.3 ms then, 0.3
    later)."""

    async def clocked(tx: Tx) -> tuple[Found, float]:
        began = time.perf_counter()
        found = await claim(tx)
        return found, (time.perf_counter() - began) * 1000

    return clocked


def _claim_callbacks(platform: Platform) -> Claim:
    async def claim(tx: Tx) -> Sequence[object]:
        return [due.callback_id for due in await _take(platform, tx, CLAIMED)]

    return claim


async def _take(platform: Platform, tx: Tx, number: int) -> list[Due]:
    """What the worker does for one lane."""
    now = platform.clock.now()
    (project_id, lane), *_ = await callbacks.lanes_due(tx, now)
    return await callbacks.claim(tx, project_id, lane, now, now + LEASE, number)


def _claim_operations(platform: Platform) -> Claim:
    async def claim(tx: Tx) -> Sequence[object]:
        now = platform.clock.now() + LATER
        project_id, *_ = await payments.projects_to_wake(tx, now)
        operations = await payments.claim_to_wake(tx, project_id, now, now + LEASE, CLAIMED)
        return [operation.operation_id for operation in operations]

    return claim


async def _drain(built: Rig, times: int) -> tuple[float, float]:
    """Milliseconds of the first and of the last claims, a tenth of all each."""
    async with opened(load(built.environment)) as platform:
        took = [await _take_and_deliver(platform) for _ in range(times)]
    return median(took[: times // 10]), median(took[-times // 10 :])


async def _take_and_deliver(platform: Platform) -> float:
    """Milliseconds of the claim alone."""
    due, took_ms = await platform.database.run(_clocked(lambda tx: _take(platform, tx, 128)))
    now = platform.clock.now()
    sent = [Sent(one, now, 5, 200, "", "", "delivered", now) for one in due]
    await platform.database.run(lambda tx: callbacks.record(tx, sent))
    return took_ms
