"""A million sales and their callbacks: memory of each process after the first tenth and after all of them."""

import asyncio
import sys
import time
from collections.abc import Iterable
from typing import Any

import asyncpg
import uvloop

from bench import orders
from bench.client import Pool
from bench.rig import PROJECT_ID, SINKS, Rig, rig
from bench.sink import Sink

SALES = 1_000_000
PARTS = 10
CLIENTS = 64
PROCESSES = ("serve", "worker")


def measure(*, quick: bool) -> dict[str, float]:
    """MB. Raises AssertionError when a sale is not accepted or its callback not delivered.

    The simulator keeps what it has decided, in a file of its own; sales alone do not reach it.
    """
    part = (20_000 if quick else SALES) // PARTS
    with rig(worker=True) as built:
        return uvloop.run(_endure(built, part))


class _Forgetting(Sink):
    """Keeps no body: a million of them are more than a gigabyte."""

    def take(self, raw: bytes) -> None:
        return


async def _endure(built: Rig, part: int) -> dict[str, float]:
    sink = await _Forgetting(built.secret).listen(*built.sink_ports)
    connection = await asyncpg.connect(built.database_url, command_timeout=600)
    memory: dict[str, list[float]] = {name: [] for name in PROCESSES}
    resent = 0
    for number in range(PARTS):
        resent += await _sales(built, range(number * part, (number + 1) * part))
        await _delivered(connection, (number + 1) * part)
        await connection.execute("ANALYZE")
        for name in PROCESSES:
            memory[name].append(built.memory_mb(name))
        print(
            f"{(number + 1) * part:,} sales: {[round(one[-1], 1) for one in memory.values()]} MB",
            file=sys.stderr,
            flush=True,
        )
    await connection.close()
    sink.close()
    return {"sales": PARTS * part, "resent": resent} | {
        f"{name}_{key}": value
        for name, mb in memory.items()
        for key, value in (("first_mb", mb[0]), ("last_mb", mb[-1]), ("growth_mb", mb[-1] - mb[0]))
    }


async def _sales(built: Rig, numbers: Iterable[int]) -> int:
    """Answers how many times one was sent again. Within the hour that this takes a connection may be lost, or the platform be too
    busy (503): a merchant's identical resend is answered as the first would have been."""
    gate, waiting = Pool(built.gate), iter(numbers)
    resent = 0

    async def run() -> None:
        nonlocal resent
        for number in waiting:
            port = built.sink_ports[number % SINKS]
            request = orders.sale(built, f"endurance-{number}", callback_port=port)
            while await _status(gate, request) != 200:
                resent += 1
                await asyncio.sleep(1)

    await asyncio.gather(*(run() for _ in range(CLIENTS)))
    gate.close()
    return resent


async def _status(gate: Pool, request: bytes) -> int:
    try:
        status, answer = await gate.send(request)
    except ConnectionError:
        return 0
    assert status in (200, 503), answer
    return status


async def _delivered(connection: Any, sales: int) -> None:
    """Waits until everybody has been told of so many sales."""
    deadline = time.monotonic() + 600
    while await connection.fetchval("SELECT EXISTS (SELECT FROM callback WHERE state = 'waiting')"):
        assert time.monotonic() < deadline, "callbacks are still waiting after ten minutes"
        await asyncio.sleep(0.5)
    told = await connection.fetchval(
        "SELECT count(*) FROM callback WHERE project_id = $1 AND intermediate AND state = 'delivered'",
        PROJECT_ID,
    )
    assert sales == told, f"of {sales} sales {told} were told of"
