"""Wongate and another sandbox in turns, by the same client at the same concurrency, each through its own API.

Of the sandboxes on PyPI that can be driven this way, localstripe is the one that takes payments on Python 3.11: moto has no
payment service, and python-getpaid-simulator needs Python 3.12.
"""

import asyncio
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median

import uvloop
from tests.story.sandbox import Sandbox

from bench import localstripe, orders
from bench.buyer import Buyer
from bench.client import closed_loop
from bench.localstripe import Localstripe
from bench.payments import CLIENTS as BUYERS
from bench.payments import TOLD
from bench.rig import Rig, rig
from bench.sink import Sink

NAMES = (f"{localstripe.NAME} {localstripe.VERSION}",)
CLIENTS, WARM = 64, 100


def measure(*, quick: bool) -> dict[str, float]:
    """Rounds of the one and the other, medians. Raises NotMeasured when there is no peer, AssertionError when either is wrong."""
    python = localstripe.installed()
    rounds, count = (1, 200) if quick else (3, 600)
    figures = _cold_start()
    with rig(worker=True) as built, localstripe.running(python) as peer:
        figures["localstripe_start_s"] = peer.start_s
        found = uvloop.run(_rounds(built, peer, rounds, count))
        figures["localstripe_memory_mb"] = memory_mb(peer.pid)
    return {name: median(one[name] for one in found) for name in found[0]} | figures


def _cold_start() -> dict[str, float]:
    """Of `wongate sandbox` in an empty folder: seconds until it answers, and what all of its processes hold then."""
    with tempfile.TemporaryDirectory(prefix="wongate-bench-") as folder:
        began = time.monotonic()
        with Sandbox(Path(folder) / "data") as sandbox:
            start_s = time.monotonic() - began
            assert sandbox.process is not None
            return {"wongate_start_s": start_s, "wongate_memory_mb": memory_mb(sandbox.process.pid)}


async def _rounds(built: Rig, peer: Localstripe, rounds: int, count: int) -> list[dict[str, float]]:
    whole = await Sink(built.secret).listen(built.sink_ports[0])
    accepted = await Sink(built.secret).listen(built.sink_ports[1])
    await _round(built, peer, (accepted, whole), "warm", WARM)
    await asyncio.to_thread(built.settle_down)
    found = [await _round(built, peer, (accepted, whole), str(number), count) for number in range(rounds)]
    for sink, told in ((accepted, TOLD[:1]), (whole, TOLD)):
        sink.close()
        sink.check(told)
    return found


async def _round(
    built: Rig, peer: Localstripe, sinks: tuple[Sink, Sink], name: str, count: int
) -> dict[str, float]:
    sales = await _sales_per_second(built, sinks[0], name, count * 4)
    their_sales = await peer.sales_per_second(count, CLIENTS)
    payments = await _payments_per_second(built, sinks[1], name, count)
    their_payments = await peer.payments_per_second(count // 2, BUYERS)
    return {
        "wongate_sales_per_second": sales,
        "localstripe_sales_per_second": their_sales,
        "sales_ratio": sales / their_sales,
        "wongate_payments_per_second": payments,
        "localstripe_payments_per_second": their_payments,
        "payments_ratio": payments / their_payments,
    }


async def _sales_per_second(built: Rig, sink: Sink, name: str, sales: int) -> float:
    """Comes back when their callbacks are delivered, so that they burden nobody's turn but ours."""
    port, before = built.sink_ports[1], len(sink.raw)
    requests = [orders.sale(built, f"sale-{name}-{index}", callback_port=port) for index in range(sales)]
    seconds, _, answers = await closed_loop(built.gate, requests, CLIENTS)
    assert all(status == 200 for status, _ in answers), "a sale was not accepted"
    await sink.until(before + sales)
    return sales / seconds


async def _payments_per_second(built: Rig, sink: Sink, name: str, payments: int) -> float:
    buyer = Buyer(built, sink)

    async def run(numbers: Iterator[int]) -> None:
        for number in numbers:
            await buyer.pay(f"whole-{name}-{number}", time.perf_counter())

    numbers, began = iter(range(payments)), time.perf_counter()
    await asyncio.gather(*(run(numbers) for _ in range(BUYERS)))
    seconds = time.perf_counter() - began
    buyer.close()
    return payments / seconds


def memory_mb(pid: int) -> float:
    """Of a process and everything it started; what several share counts once."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    own = next(int(line.split()[1]) / 1024 for line in lines if line.startswith("Pss:"))
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return own + sum(memory_mb(int(child)) for child in children)
