"""The merchant and its payers over HTTP: what was not answered is sent again, as merchants are told to."""

import asyncio
import random
import time
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass, field
from itertools import count
from typing import Any, TypeVar

import aiohttp
from aiohttp import web
from tests.faults.stage import HANG_GUARD_S, Stage
from tests.world import PROJECT_ID, signed_bytes

SALE = "/v2/payment/wallet/payco/sale"
REFUND = "/v2/payment/wallet/payco/refund"
PAYER_PATIENCE_S = 20
"""A payer who sees no window for so long leaves, and the payment is declined at its limit time."""

_runs = count(1)


@dataclass(slots=True)
class Shop:
    """The merchant and its payers. `accepted` is its own log of what Gate has acknowledged (I7)."""

    stage: Stage
    http: aiohttp.ClientSession
    name: str
    accepted: dict[str, str] = field(default_factory=dict)
    callbacks: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    unanswered: int = 0
    busy: int = 0
    progress: int = 0
    """Acknowledged requests and received callbacks."""

    _arrived: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def receive(self, request: web.BaseRequest) -> web.StreamResponse:
        body = await request.json()
        self.callbacks.setdefault(body["payment"]["id"], []).append(body)
        await self._progressed()
        return web.Response()

    async def _progressed(self) -> None:
        self.progress += 1
        async with self._arrived:
            self._arrived.notify_all()

    async def progresses(self, by: int) -> None:
        """Waits until business has gone on by so much."""
        wanted = self.progress + by
        async with self._arrived:
            await self._arrived.wait_for(lambda: self.progress >= wanted)

    async def post(self, path: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        """Sends the same bytes again until there is an answer that is none of 5xx."""
        raw, deadline = signed_bytes(path, body), time.monotonic() + HANG_GUARD_S
        while time.monotonic() < deadline:
            try:
                async with self.http.post(f"{self.stage.gate_url}{path}", data=raw) as answer:
                    if answer.status < 500:
                        return answer.status, await answer.json()
                    assert 503 == answer.status, self.stage.programs["serve"].said()[-6000:]
                    self.busy += 1
            except (aiohttp.ClientError, TimeoutError):
                self.unanswered += 1
            await asyncio.sleep(0.2)
        raise AssertionError(
            f"no answer from {path} within {HANG_GUARD_S} s; {self.stage.programs['serve'].said()[-6000:]}"
        )

    async def sale(self, number: int, **changes: Any) -> str:
        """The id of an acknowledged payment."""
        payment_id = f"{self.name}-{number}"
        body = {
            "general": {"project_id": PROJECT_ID, "payment_id": payment_id},
            "payment": {"amount": 1000, "currency": "KRW"},
            "customer": {"id": "customer1", "ip_address": "1.1.1.1"},
            **changes,
        }
        status, answer = await self.post(SALE, body)
        assert 200 == status, answer
        self.accepted[answer["request_id"]] = payment_id
        await self._progressed()
        return payment_id

    async def refund(self, payment_id: str, **payment: Any) -> dict[str, Any]:
        body = {
            "general": {"project_id": PROJECT_ID, "payment_id": payment_id},
            "payment": {"description": "refund", **payment},
        }
        status, answer = await self.post(REFUND, body)
        assert 200 == status, answer
        self.accepted[answer["request_id"]] = payment_id
        await self._progressed()
        return answer

    async def callback(
        self, payment_id: str, status: str, limit_s: float = HANG_GUARD_S
    ) -> dict[str, Any] | None:
        """The callback that tells this payment status, None when it does not come."""

        def told() -> dict[str, Any] | None:
            bodies = self.callbacks.get(payment_id, [])
            return next((body for body in bodies if body["payment"]["status"] == status), None)

        with suppress(TimeoutError):
            async with asyncio.timeout(limit_s), self._arrived:
                await self._arrived.wait_for(lambda: told() is not None)
        return told()

    async def pay(self, payment_id: str, outcome: str = "card") -> None:
        """The payer's way through the window and back. Whoever meets a dead window gives up; a dead page is loaded again."""
        told = await self.callback(payment_id, "awaiting redirect result", PAYER_PATIENCE_S)
        if told is None:
            return
        wanted = {"redirect_data": told["redirect_data"], "outcome": outcome, "deliver": False}
        try:
            async with self.http.post(f"{self.stage.simulator_url}/control/pay", json=wanted) as answer:
                played = await answer.json()
        except aiohttp.ClientError:
            return
        if played.get("result"):
            await self._come_back(told["redirect_data"]["body"]["ReturnURL"], played["result"])

    async def _come_back(self, url: str, result: dict[str, str]) -> None:
        for _ in range(40):
            try:
                async with self.http.post(url, data=result, allow_redirects=False) as answer:
                    if answer.status < 500:
                        return
            except (aiohttp.ClientError, TimeoutError):
                self.unanswered += 1
            await asyncio.sleep(0.3)

    async def trade(self, number: int, *, seed: int = 1, at_once: int = 8) -> None:
        """So many payments; one in five declined or left by the payer, one in four of the paid refunded, in whole or in part."""
        chance = random.Random(seed)
        fates = [(n, chance.random(), chance.random()) for n in range(number)]
        waiting = iter(fates)

        async def serve_customers() -> None:
            for n, way, back in waiting:
                payment_id = await self.sale(n)
                if way < 0.1:
                    continue
                await self.pay(payment_id, "cancel" if way < 0.2 else "card")
                if way >= 0.2 and back < 0.25:
                    part = {"amount": 300, "currency": "KRW"} if back < 0.12 else {}
                    await self.refund(payment_id, **part)

        await asyncio.gather(*(serve_customers() for _ in range(at_once)))

    async def books(self) -> list[dict[str, Any]]:
        """The provider's."""
        async with self.http.get(f"{self.stage.simulator_url}/control/books") as answer:
            books: list[dict[str, Any]] = (await answer.json())["books"]
            return books

    async def nothing_is_lost(self) -> None:
        """Every acknowledged request is there (I7), and every payment's last word has reached the shop."""
        rows = await self.stage.rows(
            "SELECT o.request_id, p.payment_id, p.status FROM operation o JOIN payment p USING (project_id, payment_no)"
        )
        kept = {row["request_id"]: row["payment_id"] for row in rows}
        lost = {request_id for request_id in self.accepted if request_id not in kept}
        assert set() == lost, f"I7: {len(lost)} of {len(self.accepted)} acknowledged requests are lost"
        for row in rows:
            if row["payment_id"].startswith(f"{self.name}-"):
                told = [body["payment"]["status"] for body in self.callbacks.get(row["payment_id"], [])]
                assert row["status"] in told, (row["payment_id"], row["status"], told)


AnyShop = TypeVar("AnyShop", bound=Shop)


def shop(stage: Stage) -> AbstractAsyncContextManager[Shop]:
    return shop_of(Shop, stage)


@asynccontextmanager
async def shop_of(kind: type[AnyShop], stage: Stage) -> AsyncIterator[AnyShop]:
    """A shop under the project's callback address, and a client that waits 10 s for an answer."""
    timeout = aiohttp.ClientTimeout(total=10)
    async with aiohttp.ClientSession(
        timeout=timeout, connector=aiohttp.TCPConnector(limit=0, force_close=True)
    ) as http:
        opened = kind(stage, http, f"run{next(_runs)}")
        runner = web.ServerRunner(web.Server(opened.receive), shutdown_timeout=0)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", stage.shop_port, backlog=1024, reuse_address=True).start()
        try:
            yield opened
        finally:
            await runner.cleanup()
