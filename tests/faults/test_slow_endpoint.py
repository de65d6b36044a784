"""One endpoint that never answers among 99 healthy ones (F14): what the healthy ones feel of it."""

import asyncio
import statistics
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import count

import pytest
from aiohttp import web
from tests.faults.shop import Shop, shop
from tests.faults.stage import HANG_GUARD_S, Stage
from tests.world import PROJECT_ID, free_port

SALE = "/v2/payment/wallet/payco/sale"
HEALTHY = [f"127.0.1.{number}" for number in range(1, 100)]
TARPIT = "127.0.1.100"
TARPIT_CALLBACKS = 300
"""In each round, beside one for each healthy endpoint: enough to fill both workers' widest lanes (128 sends each), if they were
one lane."""

ROUNDS = 5
ATTEMPTS = 3
RATIO_MAX = 1.2
NOISE_MAX = 3.0
"""A ratio beyond it is no noise of the machine."""

_numbers = count(1)


@dataclass(slots=True)
class Endpoints:
    """A hundred merchants' servers, one of which holds every call for as long as it is told to."""

    port: int = field(default_factory=free_port)
    may_answer: asyncio.Event = field(default_factory=asyncio.Event)
    arrived_s: dict[str, float] = field(default_factory=dict)
    _news: asyncio.Event = field(default_factory=asyncio.Event)

    async def receive(self, request: web.BaseRequest) -> web.StreamResponse:
        body = await request.json()
        if request.host.startswith(f"{TARPIT}:"):
            await self.may_answer.wait()
        self.arrived_s.setdefault(body["payment"]["id"], time.perf_counter())
        self._news.set()
        return web.Response()

    async def have(self, payment_ids: set[str]) -> None:
        async with asyncio.timeout(HANG_GUARD_S):
            while not payment_ids <= self.arrived_s.keys():
                self._news.clear()
                await self._news.wait()


@asynccontextmanager
async def listening() -> AsyncIterator[Endpoints]:
    endpoints = Endpoints()
    runner = web.ServerRunner(web.Server(endpoints.receive), shutdown_timeout=0)
    await runner.setup()
    try:
        for host in (*HEALTHY, TARPIT):
            await web.TCPSite(runner, host, endpoints.port, backlog=1024).start()
        yield endpoints
    finally:
        endpoints.may_answer.set()
        await runner.cleanup()


async def sell(merchant: Shop, endpoints: Endpoints, host: str) -> tuple[str, float]:
    """A sale below the minimum, which ends at once with a single callback; its id, and when it was accepted."""
    payment_id = f"slow-{next(_numbers)}"
    general = {
        "project_id": PROJECT_ID,
        "payment_id": payment_id,
        "merchant_callback_url": f"http://{host}:{endpoints.port}/",
    }
    customer = {"id": "customer1", "ip_address": "1.1.1.1"}
    status, _ = await merchant.post(
        SALE, {"general": general, "payment": {"amount": 50, "currency": "KRW"}, "customer": customer}
    )
    assert 200 == status
    return payment_id, time.perf_counter()


async def p99_s(merchant: Shop, endpoints: Endpoints, *, held: bool) -> float:
    """From the acceptance of a sale to the arrival of its callback at a healthy endpoint, of which one in 99 takes longer."""
    if held:
        endpoints.may_answer.clear()
    else:
        endpoints.may_answer.set()
    slow = await asyncio.gather(*(sell(merchant, endpoints, TARPIT) for _ in range(TARPIT_CALLBACKS)))
    healthy = dict(await asyncio.gather(*(sell(merchant, endpoints, host) for host in HEALTHY)))
    await endpoints.have(set(healthy))
    delays_s = sorted(endpoints.arrived_s[payment_id] - at_s for payment_id, at_s in healthy.items())
    assert not held or not dict(slow).keys() & endpoints.arrived_s.keys()
    endpoints.may_answer.set()
    await merchant.stage.settle()  # the next round begins with nothing on its way
    return delays_s[-2]


async def measured_ratio(merchant: Shop, endpoints: Endpoints) -> float:
    """Rounds with and without the tarpit by turns; their medians, since a stall of the machine spoils a round and no more."""
    with_it, without = [], []
    for _ in range(ROUNDS):
        without.append(await p99_s(merchant, endpoints, held=False))
        with_it.append(await p99_s(merchant, endpoints, held=True))
    return statistics.median(with_it) / statistics.median(without)


@pytest.mark.faults
async def test_one_endpoint_that_never_answers_costs_99_healthy_ones_nothing(stage: Stage):
    """Noise may spoil a measurement, so the best of three counts: a tarpit that costs something costs it every time."""
    ratios: list[float] = []
    async with shop(stage) as merchant, listening() as endpoints:
        for _ in range(ATTEMPTS):
            ratios.append(await measured_ratio(merchant, endpoints))
            if not RATIO_MAX < ratios[-1] < NOISE_MAX:
                break
    told = ", ".join(f"{ratio:.2f}" for ratio in ratios)
    stage.measured("healthy endpoints' p99 beside a tarpit", f"{told} times the one without it")
    assert min(ratios) <= RATIO_MAX, told
