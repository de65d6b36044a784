"""The merchant's side of callbacks: takes them as fast as it can, and judges all of them afterwards."""

import asyncio
import json
import time
from collections import Counter
from collections.abc import Sequence
from typing import Any, cast

import orjson

from bench.client import length_in
from wongate.domain.signature import verify

_OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nOK"


class Sink:
    """Endpoints on this process's loop. `expect` waits for one callback; `check` verifies every one that came."""

    def __init__(self, secret: str, *, answering: bool = True) -> None:
        self._secret = secret
        self._answering = answering
        self._waiting: dict[tuple[str, str], asyncio.Future[dict[str, Any]]] = {}
        self._servers: list[asyncio.Server] = []
        self._enough = asyncio.Event()
        self._wanted = 0
        self.raw: list[bytes] = []
        self.times: list[float] = []

    async def listen(self, *ports: int) -> "Sink":
        loop = asyncio.get_running_loop()
        for port in ports:
            self._servers.append(
                await loop.create_server(
                    lambda: _Endpoint(self, self._answering), "127.0.0.1", port, backlog=1024
                )
            )
        return self

    def close(self) -> None:
        for server in self._servers:
            server.close()

    def expect(self, payment_id: str, status: str) -> asyncio.Future[dict[str, Any]]:
        future: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._waiting[payment_id, status] = future
        return future

    def take(self, raw: bytes) -> None:
        self.times.append(time.perf_counter())
        self.raw.append(raw)
        if len(self.raw) == self._wanted:
            self._enough.set()
        if self._waiting:
            body = orjson.loads(raw)
            future = self._waiting.pop((body["payment"]["id"], body["payment"]["status"]), None)
            if future is not None and not future.done():
                future.set_result(body)

    async def until(self, count: int, limit_s: float = 120) -> None:
        """Waits for so many callbacks in all. Raises TimeoutError."""
        self._enough, self._wanted = asyncio.Event(), count
        if len(self.raw) < count:
            async with asyncio.timeout(limit_s):
                await self._enough.wait()

    def check(self, expected: Sequence[str]) -> None:
        """Raises AssertionError when a signature is wrong, or any payment has seen other statuses than `expected`, each once."""
        seen: dict[str, Counter[str]] = {}
        for raw in self.raw:
            body = json.loads(raw)
            assert verify(body, body["signature"], [self._secret]), f"a callback does not verify: {raw!r}"
            seen.setdefault(body["payment"]["id"], Counter())[body["payment"]["status"]] += 1
        wrong = {payment: dict(told) for payment, told in seen.items() if told != Counter(expected)}
        assert not wrong, f"{len(wrong)} payments saw other callbacks: {list(wrong.items())[:3]}"


class _Endpoint(asyncio.Protocol):
    def __init__(self, sink: Sink, answering: bool) -> None:
        self._sink = sink
        self._answering = answering
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's do not say so

    def data_received(self, data: bytes) -> None:
        self._buffer = self._buffer + data if self._buffer else data
        head_end = self._buffer.find(b"\r\n\r\n")
        if head_end < 0 or not self._answering:
            return
        body = self._buffer[head_end + 4 :]
        if len(body) >= length_in(self._buffer[:head_end]):
            self._buffer = b""
            self._sink.take(body)
            self._transport.write(_OK)
