"""Whole payments: accept, window, return, approval, final callback delivered and verified; all of it on these cores."""

import asyncio
import time
from collections.abc import Iterator

import asyncpg
import uvloop

from bench import pgbench
from bench.buyer import Buyer, Took
from bench.client import open_loop, percentile
from bench.rig import Rig, rig
from bench.sink import Sink

CLIENTS = 32
WARM = 200
TOLD = ("awaiting redirect result", "success")


def measure(*, quick: bool) -> dict[str, float]:
    """Throughput by a closed loop of 32 buyers. Raises AssertionError when a payment is lost, doubled or wrong."""
    payments = 500 if quick else 2_000
    with rig(worker=True) as built:
        seconds, used, took = uvloop.run(_closed(built, payments))
        uvloop.run(_all_paid(built, payments + WARM))
        memory_mb = built.memory_mb("worker")
        beside = pgbench.beside(built, payments / seconds, quick=quick)
    whole = [one.whole_ms for one in took]
    return {
        "per_second": payments / seconds,
        "p50_ms": percentile(whole, 0.5),
        "p99_ms": percentile(whole, 0.99),
        "worker_memory_mb": memory_mb,
        **{f"{part}_cpu_us": spent / payments * 1e6 for part, spent in used.items()},
        **beside,
    }


async def _closed(built: Rig, payments: int) -> tuple[float, dict[str, float], list[Took]]:
    sink = await Sink(built.secret).listen(*built.sink_ports)
    buyer = await _warmed_up(built, sink)
    buyer.prepare(f"whole-{number}" for number in range(payments))
    before, began = built.cpu_s(), time.perf_counter()
    took = await _buyers(buyer, iter(range(payments)))
    seconds = time.perf_counter() - began
    used = {part: spent - before[part] for part, spent in built.cpu_s().items()}
    buyer.close()
    sink.close()
    sink.check(TOLD)
    return seconds, used, took


async def _warmed_up(built: Rig, sink: Sink) -> Buyer:
    buyer = Buyer(built, sink)
    await _buyers(buyer, iter(range(-WARM, 0)))
    await asyncio.to_thread(built.settle_down)
    return buyer


async def _buyers(buyer: Buyer, numbers: Iterator[int]) -> list[Took]:
    took: list[Took] = []

    async def run() -> None:
        for number in numbers:
            one = await buyer.pay(f"whole-{number}", time.perf_counter())
            took.append(one)

    await asyncio.gather(*(run() for _ in range(CLIENTS)))
    return took


async def _all_paid(built: Rig, payments: int) -> None:
    connection = await asyncpg.connect(built.database_url)
    paid = await connection.fetchval(
        "SELECT count(*) FROM payment WHERE status = 'success' AND captured = amount"
    )
    await connection.close()
    assert payments == paid, f"{paid} of {payments} payments are paid"


def latency(*, quick: bool) -> dict[str, float]:
    """Open arrivals at 100 and 200 payments a second; and what we add to the time of the provider's approval."""
    seconds = 4 if quick else 10
    with rig(worker=True) as built:
        return uvloop.run(_open(built, seconds))


async def _open(built: Rig, seconds: float) -> dict[str, float]:
    sink = await Sink(built.secret).listen(*built.sink_ports)
    buyer = await _warmed_up(built, sink)
    found: dict[str, float] = {}
    for rate in (100, 200):
        took: dict[str, Took] = {}

        async def story(number: int, due: float, rate: int = rate, took: dict[str, Took] = took) -> None:
            payment_id = f"open{rate}-{number}"
            took[payment_id] = await buyer.pay(payment_id, due)

        buyer.prepare(f"open{rate}-{number}" for number in range(int(rate * seconds)))
        await open_loop(rate, seconds, story)
        accept, whole = ([getattr(one, name) for one in took.values()] for name in ("accept_ms", "whole_ms"))
        found |= {
            f"accept_p50_ms_at_{rate}": percentile(accept, 0.5),
            f"accept_p99_ms_at_{rate}": percentile(accept, 0.99),
            f"whole_p99_ms_at_{rate}": percentile(whole, 0.99),
        }
        if rate == 100:
            found |= await _overhead(built, took)
    buyer.close()
    sink.close()
    sink.check(TOLD)
    return found


async def _overhead(built: Rig, took: dict[str, Took]) -> dict[str, float]:
    """The return's answer less the approval call inside it, whose duration stands with the payment in whole milliseconds."""
    connection = await asyncpg.connect(built.database_url)
    rows = await connection.fetch(
        "SELECT p.payment_id, e.duration_ms FROM payment p "
        "JOIN exchange e ON e.project_id = p.project_id AND e.operation_id = p.sale_id "
        "WHERE e.kind = 'approve' AND p.payment_id = ANY($1)",
        list(took),
    )
    await connection.close()
    assert len(took) == len(rows), "an approval is missing, or there are two"
    added = [took[row["payment_id"]].return_ms - row["duration_ms"] for row in rows]
    return {"overhead_p50_ms": percentile(added, 0.5), "overhead_p99_ms": percentile(added, 0.99)}
