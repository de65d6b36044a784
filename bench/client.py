"""A lean HTTP client for load: keep-alive connections that send prepared bytes and time each answer."""

import asyncio
import time
from collections.abc import Sequence


class Connection:
    """One keep-alive connection, one request at a time."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def open(cls, address: tuple[str, int]) -> "Connection":
        return cls(*await asyncio.open_connection(*address))

    async def send(self, request: bytes) -> tuple[int, bytes]:
        """Status and body of the answer."""
        self._writer.write(request)
        head = await self._reader.readuntil(b"\r\n\r\n")
        length = next(
            int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")
        )
        return int(head[9:12]), await self._reader.readexactly(length)

    def close(self) -> None:
        self._writer.close()


def post(path: str, body: bytes) -> bytes:
    head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


async def closed_loop(
    address: tuple[str, int], requests: Sequence[bytes], clients: int, warm_up: int
) -> tuple[float, list[float], list[tuple[int, bytes]]]:
    """All requests by so many clients at once. Answers with seconds, latencies in ms, and answers; the first `warm_up` are not timed."""
    waiting = iter(requests)
    answers: list[tuple[int, bytes]] = []
    latencies: list[float] = []
    began = time.perf_counter()

    async def run() -> None:
        nonlocal began
        connection = await Connection.open(address)
        for request in waiting:
            sent = time.perf_counter()
            answer = await connection.send(request)
            answers.append(answer)
            if len(answers) == warm_up:
                began = time.perf_counter()
            elif len(answers) > warm_up:
                latencies.append((time.perf_counter() - sent) * 1000)
        connection.close()

    await asyncio.gather(*(run() for _ in range(clients)))
    return time.perf_counter() - began, latencies, answers


def percentile(values: Sequence[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
