"""A lean HTTP client for load: keep-alive connections that send prepared bytes and time each answer."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import cast

Answer = tuple[int, bytes]
"""HTTP status and body."""


class Connection(asyncio.Protocol):
    """One keep-alive connection, one request at a time. A protocol, not a stream: the client shares the cores with the server."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport
        self._buffer = b""
        self._waiting: asyncio.Future[Answer] | None = None
        self.closed = False

    @classmethod
    async def open(cls, address: tuple[str, int]) -> "Connection":
        _, connection = await asyncio.get_running_loop().create_connection(cls, *address)
        return connection

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's do not say so

    def data_received(self, data: bytes) -> None:
        self._buffer = self._buffer + data if self._buffer else data
        answer = answer_in(self._buffer)
        if answer is not None and self._waiting is not None:
            self._buffer, waiting, self._waiting = b"", self._waiting, None
            if not waiting.done():
                waiting.set_result(answer)

    def connection_lost(self, error: Exception | None) -> None:
        self.closed = True
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_exception(error or ConnectionError("closed without an answer"))

    async def send(self, request: bytes) -> Answer:
        """Raises ConnectionError when the server hangs up."""
        self._waiting = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return await self._waiting

    def close(self) -> None:
        self._transport.close()


def answer_in(received: bytes) -> Answer | None:
    """The answer that has come so far, None while some of it is missing."""
    head_end = received.find(b"\r\n\r\n")
    if head_end < 0 or len(received) < head_end + 4 + length_in(received[:head_end]):
        return None
    return int(received[9:12]), received[head_end + 4 :]


def length_in(head: bytes) -> int:
    """The content length that a head announces, 0 where it announces none."""
    at = head.find(b"content-length:")  # as our servers spell it
    if at < 0:
        at = head.lower().find(b"content-length:")
    return int(head[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0


def post(path: str, body: bytes, kind: str = "application/json") -> bytes:
    head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def get(path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept-Encoding: gzip\r\n\r\n".encode()


class Caller(asyncio.Protocol):
    """One client of a closed loop: sends its next request from within the answer to the last. Futures and tasks took 40 % of
    what such a client costs the machine under test."""

    def __init__(self, requests: Iterator[bytes], latencies: list[float], answers: list[Answer]) -> None:
        self._requests = requests
        self._latencies = latencies
        self._answers = answers
        self._transport: asyncio.Transport
        self._buffer = b""
        self._sent = 0.0
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def send_next(self) -> None:
        request = next(self._requests, None)
        if request is None:
            self.done.set_result(None)
            self._transport.close()
        else:
            self._sent = time.perf_counter()
            self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._buffer = self._buffer + data if self._buffer else data
        answer = answer_in(self._buffer)
        if answer is not None:
            self._latencies.append((time.perf_counter() - self._sent) * 1000)
            self._answers.append(answer)
            self._buffer = b""
            self.send_next()

    def connection_lost(self, error: Exception | None) -> None:
        if not self.done.done():
            self.done.set_exception(error or ConnectionError("closed without an answer"))


async def closed_loop(
    address: tuple[str, int], requests: Sequence[bytes], clients: int
) -> tuple[float, list[float], list[Answer]]:
    """All requests by so many clients, each sending when it has its answer: seconds, latencies in ms, answers.

    Raises ConnectionError when the server hangs up.
    """
    waiting, answers, latencies = iter(requests), list[Answer](), list[float]()
    loop = asyncio.get_running_loop()
    callers = [
        (await loop.create_connection(lambda: Caller(waiting, latencies, answers), *address))[1]
        for _ in range(clients)
    ]
    began = time.perf_counter()
    for caller in callers:
        caller.send_next()
    await asyncio.gather(*(caller.done for caller in callers))
    return time.perf_counter() - began, latencies, answers


@dataclass(slots=True)
class Pool:
    """Connections to one address, as many as are in use at once."""

    address: tuple[str, int]
    _free: list[Connection] = field(default_factory=list)

    async def send(self, request: bytes) -> Answer:
        connection = self._idle() or await Connection.open(self.address)
        answer = await connection.send(request)
        self._free.append(connection)
        return answer

    def _idle(self) -> Connection | None:
        while self._free:
            connection = self._free.pop()
            if not connection.closed:  # servers close what has been idle
                return connection
        return None

    def close(self) -> None:
        for connection in self._free:
            connection.close()


async def open_loop(
    per_second: float, seconds: float, story: Callable[[int, float], Awaitable[None]]
) -> None:
    """Starts story(number, due) at an even pace whatever the answers do; `due` is the moment on perf_counter at which it was to
    start, from which latencies count: a client that waits for its turn would hide what it waited for."""
    began = time.perf_counter()
    tasks = []
    for number in range(int(per_second * seconds)):
        due = began + number / per_second
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        tasks.append(asyncio.ensure_future(story(number, due)))
    await asyncio.gather(*tasks)


def percentile(values: Sequence[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
