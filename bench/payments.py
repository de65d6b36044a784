"""Whole payments: accept, window, return, approval, final callback delivered and verified; simulator and sink on the same cores."""

import asyncio
import json
import time
from dataclasses import dataclass
from typing import Any

import uvloop

from bench.client import Connection, percentile, post
from bench.intake import PATH, sale_body
from bench.rig import Rig, rig
from wongate.domain.signature import verify


@dataclass(slots=True)
class Payments:
    """From the sale's request to the final callback's arrival."""

    per_second: float
    p50_ms: float
    p99_ms: float
    worker_memory_mb: float


class Sink:
    """The merchant's endpoint: verifies each callback and wakes whoever waits for it."""

    def __init__(self, built: Rig) -> None:
        self._built = built
        self._waiting: dict[tuple[str, str], asyncio.Future[dict[str, Any]]] = {}
        self.seen: dict[str, list[str]] = {}

    def expect(self, payment_id: str, status: str) -> asyncio.Future[dict[str, Any]]:
        future = asyncio.get_running_loop().create_future()
        self._waiting[payment_id, status] = future
        return future

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = next(
                    int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")
                )
                self._take(json.loads(await reader.readexactly(length)))
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nOK")
        except (asyncio.IncompleteReadError, asyncio.CancelledError, ConnectionError):
            writer.close()

    def _take(self, callback: dict[str, Any]) -> None:
        assert verify(callback, callback["signature"], [self._built.secret]), "a callback does not verify"
        payment = callback["payment"]
        self.seen.setdefault(payment["id"], []).append(payment["status"])
        future = self._waiting.pop((payment["id"], payment["status"]), None)
        if future is not None and not future.done():
            future.set_result(callback)


def measure(*, payments: int = 1500, clients: int = 32) -> Payments:
    """Raises AssertionError when a payment is lost, doubled or wrong: then there is no figure."""
    with rig(worker=True) as built:
        seconds, latencies = uvloop.run(_load(built, payments, clients))
        memory = built.memory_mb("worker")
    return Payments(
        per_second=payments / seconds,
        p50_ms=percentile(latencies, 0.5),
        p99_ms=percentile(latencies, 0.99),
        worker_memory_mb=memory,
    )


async def _load(built: Rig, payments: int, clients: int) -> tuple[float, list[float]]:
    sink = Sink(built)
    server = await asyncio.start_server(sink.serve, "127.0.0.1", built.sink_port)
    warm = iter(range(-100, 0))
    await asyncio.gather(*(_buyer(built, sink, warm, []) for _ in range(clients)))
    latencies: list[float] = []
    numbers = iter(range(payments))
    began = time.perf_counter()
    await asyncio.gather(*(_buyer(built, sink, numbers, latencies) for _ in range(clients)))
    seconds = time.perf_counter() - began
    server.close()
    wrong = {
        payment: seen for payment, seen in sink.seen.items() if seen != ["awaiting redirect result", "success"]
    }
    assert not wrong, f"{len(wrong)} payments saw other callbacks than one redirect and one success: {list(wrong.items())[:3]}"
    assert len(sink.seen) == payments + 100
    return seconds, latencies


async def _buyer(built: Rig, sink: Sink, numbers: Any, latencies: list[float]) -> None:
    gate = await Connection.open(built.gate)
    simulator = await Connection.open(built.simulator)
    for number in numbers:
        payment_id = f"whole-{number}"
        redirect = sink.expect(payment_id, "awaiting redirect result")
        final = sink.expect(payment_id, "success")
        began = time.perf_counter()
        status, answer = await gate.send(post(PATH, sale_body(built, payment_id)))
        assert status == 200, answer
        redirect_data = (await asyncio.wait_for(redirect, 60))["redirect_data"]
        order = json.dumps({"redirect_data": redirect_data, "outcome": "card"}).encode()
        status, answer = await simulator.send(post("/control/pay", order))
        assert status == 200, answer
        callback = await asyncio.wait_for(final, 60)
        latencies.append((time.perf_counter() - began) * 1000)
        assert callback["payment"]["sum"]["amount"] == 1000
    gate.close()
    simulator.close()
