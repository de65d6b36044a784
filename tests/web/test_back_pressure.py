"""More requests than fit in memory: who brings them is asked to come back before anything of theirs is read."""

import asyncio
from collections import Counter
from collections.abc import Mapping
from typing import Any

import pytest
from tests.processes import until
from tests.world import Answer, OpenWorld, ask

from wongate.app import DATA_MEMORY, GATE_MEMORY, PAGES_MEMORY
from wongate.domain.refusal import Refused
from wongate.domain.requests import BODY_MAX
from wongate.web.back_pressure import BODY_TIMES, REQUEST_BYTES, BackPressure
from wongate.web.http import Receive, Scope, Send, answer_json, read_body

MB = 1024 * 1024
MERCHANT, OTHER = ("203.0.113.5", 40000), ("203.0.113.6", 40000)
BIG = b"x" * BODY_MAX


class Slow:
    """A front that keeps every body until it is let go."""

    def __init__(self) -> None:
        self.go_on = asyncio.Event()
        self.read: list[bytes] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            self.read.append(await read_body(scope, receive))
            await self.go_on.wait()
            await answer_json(send, {})
        except Refused as refused:
            await answer_json(send, {}, refused.http_status)


async def busy(send: Send) -> None:
    await answer_json(send, {}, 503)


def post(app: Any, body: bytes, client: tuple[str, int] = MERCHANT) -> "asyncio.Task[Answer]":
    return asyncio.create_task(ask(app, "POST", "/", body, {"content-length": str(len(body))}, client=client))


async def statuses(answers: list["asyncio.Task[Answer]"]) -> Counter[int]:
    return Counter([answer.status for answer in await asyncio.gather(*answers)])


async def test_a_flood_of_big_bodies_is_turned_away_before_they_are_read():
    slow = Slow()
    app = BackPressure(slow, busy, memory_max=16 * MB)
    flood = [post(app, BIG) for _ in range(1000)]
    await asyncio.sleep(0)
    held = sum(map(len, slow.read))
    slow.go_on.set()
    assert Counter({200: len(slow.read), 503: 1000 - len(slow.read)}) == await statuses(flood)
    assert 16 * MB / 2 * 0.7 < held * 1.04 < 16 * MB / 2 * 0.8


async def test_another_caller_finds_room_beside_the_flood():
    slow = Slow()
    app = BackPressure(slow, busy, memory_max=16 * MB)
    flood = [post(app, BIG) for _ in range(1000)]
    others = [post(app, b"small", OTHER) for _ in range(100)]
    await asyncio.sleep(0)
    slow.go_on.set()
    assert Counter({200: 100}) == await statuses(others)
    assert (await statuses(flood))[503] > 900


async def test_room_that_was_given_back_is_there_for_the_next():
    slow = Slow()
    slow.go_on.set()
    app = BackPressure(slow, busy, memory_max=2 * MB)
    for _ in range(50):
        assert Counter({200: 2}) == await statuses([post(app, BIG), post(app, BIG)])


async def test_a_body_of_untold_length_counts_as_the_longest():
    slow = Slow()
    app = BackPressure(slow, busy, memory_max=10 * (REQUEST_BYTES + BODY_TIMES * BODY_MAX))
    chunked = {"transfer-encoding": "chunked"}
    flood = [asyncio.create_task(ask(app, "POST", "/", b"short", chunked)) for _ in range(20)]
    await asyncio.sleep(0)
    slow.go_on.set()
    assert Counter({200: 8, 503: 12}) == await statuses(flood)


async def never_complete() -> Mapping[str, Any]:
    await asyncio.Event().wait()
    raise AssertionError("unreachable")


async def send_nothing(app: Any) -> int:
    """Announces a body that never comes; the status of the answer."""
    told: list[int] = []

    async def send(message: Mapping[str, Any]) -> None:
        told.append(message.get("status", 0))

    scope = {
        "type": "http",
        "client": MERCHANT,
        "headers": [(b"content-length", str(BODY_MAX).encode())],
    }
    await app(scope, never_complete, send)
    return told[0]


async def test_who_sends_nothing_is_refused_once_half_the_memory_is_held():
    app = BackPressure(Slow(), busy, memory_max=16 * MB, body_within_s=0.05)
    silent = [asyncio.create_task(send_nothing(app)) for _ in range(1000)]

    def held() -> list["asyncio.Task[int]"]:
        return [task for task in silent if not task.done()]

    await until(lambda: len(held()) * (REQUEST_BYTES + BODY_TIMES * BODY_MAX) <= 8.6 * MB)
    assert {408, 503} == {task.result() for task in silent if task.done()}
    assert held()
    for task in held():
        task.cancel()
    await asyncio.gather(*silent, return_exceptions=True)


@pytest.mark.parametrize(
    ("path", "memory", "says"),
    [
        ("/v2/payment/wallet/payco/sale", GATE_MEMORY, '"601"'),
        ("/v1/operations/get", DATA_MEMORY, "Service Unavailable"),
        ("/return/nicepay/token", PAGES_MEMORY, "Please reload in a moment."),
    ],
)
async def test_each_front_says_in_its_own_way_when_to_come_back(
    open_world: OpenWorld, path: str, memory: int, says: str
):
    """Clients that announce big bodies and send none of them hold what there is for one address."""
    async with open_world() as world:
        fits = memory // (REQUEST_BYTES + BODY_TIMES * BODY_MAX)
        scope = {"type": "http", "method": "POST", "path": path, "query_string": b"", "client": MERCHANT}
        scope["headers"] = [(b"content-length", str(60_000).encode())]

        async def nobody_listens(message: Mapping[str, Any]) -> None:
            return

        silent = [
            asyncio.create_task(world.app({**scope}, never_complete, nobody_listens)) for _ in range(fits * 5)
        ]
        await asyncio.sleep(0.05)
        refused = await ask(world.app, "POST", path, BIG, {"content-length": str(BODY_MAX)})
        health = await ask(world.app, "GET", "/healthz")
        for task in silent:
            task.cancel()
        await asyncio.gather(*silent, return_exceptions=True)
        assert (503, "1", True) == (
            refused.status,
            refused.headers["retry-after"],
            says in refused.raw.decode(),
        )
        assert 200 == health.status
