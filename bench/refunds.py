"""Refunds: accepted, cancelled at the provider, final callback delivered and verified."""

import asyncio
import time
from collections.abc import Iterator

import asyncpg
import uvloop

from bench import orders, pgbench
from bench.buyer import Buyer
from bench.client import Pool, percentile
from bench.rig import Rig, rig
from bench.sink import Sink

CLIENTS = 64
TOLD = ("awaiting redirect result", "success", "refunded")


def measure(*, quick: bool) -> dict[str, float]:
    """Full refunds of paid sales by 64 clients. Raises AssertionError when one is lost, doubled or wrong."""
    refunds = 300 if quick else 1_000
    with rig(worker=True) as built:
        seconds, latencies = uvloop.run(_load(built, refunds))
        uvloop.run(_all_back(built, refunds))
        beside = pgbench.beside(built, refunds / seconds, quick=quick)
    return {
        "per_second": refunds / seconds,
        "p50_ms": percentile(latencies, 0.5),
        "p99_ms": percentile(latencies, 0.99),
        **beside,
    }


async def _load(built: Rig, refunds: int) -> tuple[float, list[float]]:
    sink = await Sink(built.secret).listen(*built.sink_ports)
    buyer, gate = Buyer(built, sink), Pool(built.gate)

    async def paid(numbers: Iterator[int]) -> None:
        for number in numbers:
            await buyer.pay(f"back-{number}", time.perf_counter())

    to_pay = iter(range(refunds))
    await asyncio.gather(*(paid(to_pay) for _ in range(32)))
    await asyncio.to_thread(built.settle_down)
    latencies: list[float] = []

    async def refunded(numbers: Iterator[int]) -> None:
        for number in numbers:
            final = sink.expect(f"back-{number}", "refunded")
            began = time.perf_counter()
            status, answer = await gate.send(orders.refund(built, f"back-{number}"))
            assert status == 200, answer
            callback = await final
            latencies.append((time.perf_counter() - began) * 1000)
            assert callback["operation"]["status"] == "success", callback

    to_refund = iter(range(refunds))
    began = time.perf_counter()
    await asyncio.gather(*(refunded(to_refund) for _ in range(CLIENTS)))
    seconds = time.perf_counter() - began
    buyer.close()
    gate.close()
    sink.close()
    sink.check(TOLD)
    return seconds, latencies


async def _all_back(built: Rig, refunds: int) -> None:
    connection = await asyncpg.connect(built.database_url)
    back = await connection.fetchval(
        "SELECT count(*) FROM payment WHERE status = 'refunded' AND refunded = amount"
    )
    await connection.close()
    assert refunds == back, f"{back} of {refunds} refunds are done"
