"""A neighbour with ten times the load and an endpoint that never answers: what the others feel of it."""

import asyncio
import time

import uvloop

from bench import orders
from bench.client import Pool, open_loop, percentile
from bench.rig import NEIGHBOUR_ID, Rig, rig
from bench.sink import Sink

RATE = 20
NEIGHBOUR_RATE = 10 * RATE


def measure(*, quick: bool) -> dict[str, float]:
    """Accept p99 and the delay until the callback arrives, alone and beside the neighbour; ratios of the two."""
    seconds = 4 if quick else 10
    with rig(worker=True) as built:
        return uvloop.run(_compare(built, seconds))


async def _compare(built: Rig, seconds: float) -> dict[str, float]:
    sink = await Sink(built.secret).listen(*built.sink_ports)
    tarpit = await Sink(built.secret, answering=False).listen(built.neighbour_port)
    await _healthy(built, sink, "warm", 2)
    await asyncio.to_thread(built.settle_down)
    alone = await _healthy(built, sink, "alone", seconds)
    neighbour = asyncio.ensure_future(_neighbour(built, seconds + 2))
    await asyncio.sleep(2)
    beside = await _healthy(built, sink, "beside", seconds)
    await neighbour
    sink.close()
    tarpit.close()
    sink.check(("awaiting redirect result",))
    names = ("accept", "callback")
    p99 = [[percentile(values, 0.99) for values in one] for one in (alone, beside)]
    ratios = {f"{name}_p99_ratio": b / a for name, a, b in zip(names, *p99, strict=True)}
    return {**{f"{name}_p99_ms_alone": a for name, a in zip(names, p99[0], strict=True)}, **ratios}


async def _healthy(built: Rig, sink: Sink, prefix: str, seconds: float) -> tuple[list[float], list[float]]:
    gate = Pool(built.gate)
    accepts: list[float] = []
    delays: list[float] = []

    async def story(number: int, due: float) -> None:
        told = sink.expect(f"{prefix}-{number}", "awaiting redirect result")
        status, answer = await gate.send(orders.sale(built, f"{prefix}-{number}"))
        accepted = time.perf_counter()
        assert status == 200, answer
        await told
        accepts.append((accepted - due) * 1000)
        delays.append((time.perf_counter() - due) * 1000)

    await open_loop(RATE, seconds, story)
    gate.close()
    return accepts, delays


async def _neighbour(built: Rig, seconds: float) -> None:
    gate = Pool(built.gate)

    async def story(number: int, due: float) -> None:
        status, answer = await gate.send(orders.sale(built, f"neighbour-{number}", NEIGHBOUR_ID))
        assert status == 200, answer

    await open_loop(NEIGHBOUR_RATE, seconds, story)
    gate.close()
