"""A neighbour at ten times its load, all of whose endpoints are dead: what the other projects feel of it.

Measured by turns in three ways: alone; beside the neighbour; and with the same neighbour on another installation of this
machine, which shares nothing with the first but processors and a disk. What the third way costs is the machine's part of what
the second does. The neighbour's client is a process of its own: on the loop that takes the times it added to them.
"""

import asyncio
import multiprocessing
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection
from statistics import median

import uvloop

from bench import orders
from bench.client import Pool, open_loop, percentile
from bench.rig import NEIGHBOUR_ID, Rig, rig
from bench.sink import Sink

RATE = 20
"""What is normal for a project, in sales a second."""

OTHERS = 3
NEIGHBOUR_RATE = 10 * RATE
RAMP_S = 1.0
NOBODY_LISTENS = 1
"""A port that refuses connections; the other half of the neighbour's callbacks goes to one that never answers."""


@dataclass(slots=True)
class Felt:
    """Milliseconds from the moment a sale was due until its answer, and until its callback; a list for each round."""

    accepts: list[list[float]] = field(default_factory=list)
    callbacks: list[list[float]] = field(default_factory=list)

    def figures(self) -> dict[str, float]:
        """Medians over the rounds: a stall of the machine spoils a round and no more."""
        return {
            f"{name}_p{round(share * 100)}": median(percentile(values, share) for values in rounds)
            for name, rounds in (("accept", self.accepts), ("callback", self.callbacks))
            for share in (0.5, 0.99)
        }


def measure(*, quick: bool) -> dict[str, float]:
    """Accepting and the delay until the callback arrives: p99 alone, and ratios to it. Raises AssertionError when a callback is
    lost or doubled."""
    rounds, seconds = (1, 4) if quick else (5, 5)
    with rig(worker=True) as built, rig(worker=True) as elsewhere:
        felt = uvloop.run(_in_turns(built, elsewhere, rounds, seconds))
    alone, beside, apart = (felt[way].figures() for way in ("alone", "beside", "elsewhere"))
    return {
        **{f"{name}_ms_alone": value for name, value in alone.items()},
        **{f"{name}_ratio": beside[name] / value for name, value in alone.items()},
        **{f"{name}_ratio_elsewhere": apart[name] / value for name, value in alone.items()},
    }


async def _in_turns(built: Rig, elsewhere: Rig, rounds: int, seconds: float) -> dict[str, Felt]:
    sink = await Sink(built.secret).listen(*built.sink_ports)
    await _others(built, sink, "warm", 2, Felt())
    await asyncio.to_thread(built.settle_down)
    felt = {"alone": Felt(), "beside": Felt(), "elsewhere": Felt()}
    for number in range(rounds):
        await _others(built, sink, f"alone {number}", seconds, felt["alone"])
        for way, home in (("beside", built), ("elsewhere", elsewhere)):
            async with _neighbour(home, f"loud {way} {number}", seconds):
                await _others(built, sink, f"{way} {number}", seconds, felt[way])
    sink.close()
    sink.check(("awaiting redirect result",))
    return felt


async def _others(built: Rig, sink: Sink, name: str, seconds: float, felt: Felt) -> None:
    gate = Pool(built.gate)
    accepts: list[float] = []
    callbacks: list[float] = []

    async def story(number: int, due: float) -> None:
        told = sink.expect(f"{name} {number}", "awaiting redirect result")
        status, answer = await gate.send(orders.sale(built, f"{name} {number}"))
        accepted = time.perf_counter()
        assert status == 200, answer
        await told
        accepts.append((accepted - due) * 1000)
        callbacks.append((time.perf_counter() - due) * 1000)

    await open_loop(OTHERS * RATE, seconds, story)
    gate.close()
    felt.accepts.append(accepts)
    felt.callbacks.append(callbacks)


@asynccontextmanager
async def _neighbour(built: Rig, name: str, seconds: float) -> AsyncIterator[None]:
    """Loud before the measuring begins, and until after it ends."""
    spawn = multiprocessing.get_context("spawn")
    ready, tell_ready = spawn.Pipe(duplex=False)
    loud_s = RAMP_S + seconds + 0.5
    process = spawn.Process(target=be_loud, args=(replace(built, processes={}), name, loud_s, tell_ready))
    process.start()
    await asyncio.to_thread(ready.recv)
    await asyncio.sleep(RAMP_S)
    yield
    await asyncio.to_thread(process.join)
    assert process.exitcode == 0, "a sale of the neighbour was not accepted"


def be_loud(built: Rig, name: str, seconds: float, tell_ready: Connection) -> None:
    uvloop.run(_be_loud(built, name, seconds, tell_ready))


async def _be_loud(built: Rig, name: str, seconds: float, tell_ready: Connection) -> None:
    tarpit = await Sink(built.secret, answering=False).listen(built.neighbour_port)
    gate = Pool(built.gate)
    sales = [
        orders.sale(built, f"{name} {number}", NEIGHBOUR_ID, callback_port=(None, NOBODY_LISTENS)[number % 2])
        for number in range(round(NEIGHBOUR_RATE * seconds))
    ]

    async def story(number: int, due: float) -> None:
        status, answer = await gate.send(sales[number])
        assert status == 200, answer

    tell_ready.send(True)
    await open_loop(NEIGHBOUR_RATE, seconds, story)
    gate.close()
    tarpit.close()
