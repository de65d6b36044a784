"""A thousand clients that send big bodies slowly: memory stays where it is, they are asked to come back, others are served."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.faults.stage import HANG_GUARD_S, Stage
from tests.world import PROJECT_ID, signed_bytes

SALE = "/v2/payment/wallet/payco/sale"
CLIENTS = 900
"""Of 1,024 open files that a process may have where nobody said otherwise. Held as they come, their bodies are 230 MB."""

BODY = b"x" * 255_000
HELD_MAX = 80
"""So many of these fit into what one caller may hold of a process's memory."""

GROWTH_MAX_MB = 100
"""20 to 54 were measured; a process that takes most of the clients would grow by 200 if it kept what they send."""
FLOODING, QUIET = "127.0.0.1", "127.0.0.2"

Client = tuple[asyncio.StreamReader, asyncio.StreamWriter]


def memory_mb(stage: Stage) -> int:
    """Resident memory of the biggest server process."""
    statuses = [Path(f"/proc/{pid}/status").read_text() for pid in stage.programs["serve"].children()]
    lines = [line for status in statuses for line in status.splitlines()]
    return max(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) // 1024


async def connected(stage: Stage, address: str) -> Client:
    return await asyncio.open_connection(
        "127.0.0.1", int(stage.gate_url.rpartition(":")[2]), local_addr=(address, 0)
    )


def head(length: int) -> bytes:
    return f"POST {SALE} HTTP/1.1\r\nHost: pay.example\r\nContent-Length: {length}\r\n\r\n".encode()


async def answer_to(client: Client) -> str:
    """Status line and headers."""
    return (await client[0].readuntil(b"\r\n\r\n")).decode().lower()


@contextlib.asynccontextmanager
async def flood(stage: Stage) -> AsyncIterator[list[Client]]:
    """Clients who have sent their bodies but for the last bytes."""
    clients = [await connected(stage, FLOODING) for _ in range(CLIENTS)]

    async def begin(client: Client) -> None:
        client[1].write(head(len(BODY) + 10) + BODY)
        with contextlib.suppress(TimeoutError):  # one that is held writes on, as far as it may
            await asyncio.wait_for(client[1].drain(), 1)

    await asyncio.gather(*map(begin, clients))
    try:
        yield clients
    finally:
        for _, writer in clients:
            writer.transport.abort()


async def turned_away(clients: list[Client], number: int) -> None:
    """Waits until so many have been asked to come back; those that are held may be told that they are too slow."""
    answers = [asyncio.create_task(answer_to(client)) for client in clients]
    try:
        for answered in asyncio.as_completed(answers):
            answer = await answered
            number -= "503" in answer and "\r\nretry-after: 1\r\n" in answer
            if number == 0:
                return
            assert "503" in answer or "408" in answer, answer
    finally:
        for task in answers:
            task.cancel()


async def sell(stage: Stage, address: str, payment_id: str) -> str:
    customer = {"id": "customer1", "ip_address": "1.1.1.1"}
    body = {
        "general": {"project_id": PROJECT_ID, "payment_id": payment_id},
        "payment": {"amount": 1000, "currency": "KRW"},
        "customer": customer,
    }
    raw = signed_bytes(SALE, body)
    client = await connected(stage, address)
    client[1].write(head(len(raw)) + raw)
    answer = await answer_to(client)
    client[1].close()
    return answer


@pytest.mark.faults
async def test_a_flood_of_big_slow_bodies_is_asked_to_come_back(stage: Stage):
    async with asyncio.timeout(HANG_GUARD_S):
        await sell(stage, QUIET, "before-the-flood")
        before_mb = memory_mb(stage)
        async with flood(stage) as clients:
            assert "200 ok" in await sell(stage, QUIET, "beside-the-flood")
            await turned_away(clients, CLIENTS - HELD_MAX * stage.processes)
            growth_mb = memory_mb(stage) - before_mb
        stage.measured("flood of 900 slow bodies", f"{growth_mb} MB more")
        assert growth_mb < GROWTH_MAX_MB
        assert "200 ok" in await sell(stage, FLOODING, "after-the-flood")
    found = await stage.rows(
        "SELECT count(*) FROM payment WHERE project_id = $1 AND payment_id LIKE '%-the-flood'", PROJECT_ID
    )
    assert 3 == found[0][0]
