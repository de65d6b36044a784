"""A small Gate for the shop's tests: it checks signatures by itself and calls back when a test says so."""

import asyncio
import base64
import hashlib
import hmac
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import uvicorn
from aiohttp import web

from wongate_simulator.shop import ShopSettings, create_shop

SECRET = "비밀 key of the demo project"
PROJECT_ID = 1234
WINDOW_FIELDS = {"MID": "ABC123", "Amt": "1000", "ReturnURL": "http://127.0.0.1/back", "submit": "<'\"&>"}


def sign(message: dict[str, Any]) -> str:
    """The documented algorithm once more, written apart from the SDK."""
    lines: dict[str, str] = {}

    def flatten(path: tuple[str, ...], value: Any) -> None:
        if isinstance(value, dict | list):
            members = value.items() if isinstance(value, dict) else enumerate(value)
            for key, member in members:
                flatten((*path, str(key)), member)
        elif path[-1] != "signature":
            lines[":".join(path)] = str(value)

    flatten((), message)
    text = ";".join(f"{path}:{lines[path]}" for path in sorted(lines))
    return base64.b64encode(hmac.digest(SECRET.encode(), text.encode(), hashlib.sha512)).decode()


@dataclass
class FakeGate:
    """`refusal` makes it refuse what it receives; `has_page` makes it serve EPayWidget."""

    url: str = ""
    received: list[tuple[str, dict[str, Any], bytes]] = field(default_factory=list)
    refusal: tuple[int, dict[str, Any]] | None = None
    status: dict[str, Any] | None = None
    has_page: bool = False
    looked_for_page: int = 0

    async def take(self, request: web.Request) -> web.Response:
        body = await request.read()
        message = json.loads(body)
        self.received.append((request.path, message, body))
        assert request.content_type == "application/json"
        if message["general"]["signature"] != sign(message):
            return web.json_response(
                {"status": "error", "code": "3261", "message": "Invalid signature"}, status=400
            )
        if self.refusal:
            return web.json_response(self.refusal[1], status=self.refusal[0])
        if self.status is not None:
            return web.json_response(self.status | {"signature": sign(self.status)})
        accept = {"project_id": PROJECT_ID, "payment_id": message["general"]["payment_id"]}
        return web.json_response({"status": "success", "request_id": self.request_id} | accept)

    async def window(self, request: web.Request) -> web.Response:
        fields = {name: str(value) for name, value in (await request.post()).items()}
        return web.json_response({"window": fields})

    async def merchant_js(self, _request: web.Request) -> web.Response:
        self.looked_for_page += 1
        return web.Response(
            status=200 if self.has_page else 404, text=MERCHANT_JS, content_type="text/javascript"
        )

    async def nothing(self, _request: web.Request) -> web.Response:
        return web.Response(content_type="text/css")

    @property
    def request_id(self) -> str:
        """Of the request that came last."""
        return f"{len(self.received):040x}-{PROJECT_ID:040x}-00000001"

    @property
    def last(self) -> dict[str, Any]:
        return self.received[-1][1]


# Stands in for the platform's script: shows what it was given.
MERCHANT_JS = "window.EPayWidget = {run(config, way) { document.title = way + ' ' + config.payment_id; }};"


@dataclass
class Stage:
    """The fake Gate and the real shop, both on ports of their own, and a visitor without a browser."""

    gate: FakeGate
    shop_url: str
    settings: ShopSettings
    visitor: aiohttp.ClientSession

    async def order(self, amount: int = 1000, description: str = "테스트 주문") -> str:
        answer = await self.post_json("/api/orders", {"amount": amount, "description": description})
        return str(answer["payment_id"])

    async def paid_order(self, amount: int = 1000) -> str:
        payment_id = await self.order(amount)
        await self.call_back(sale_callback(payment_id, amount=amount))
        return payment_id

    async def call_back(self, message: dict[str, Any], signature: str | None = None) -> int:
        signed = message | {"signature": signature or sign(message)}
        async with self.visitor.post(self.settings.callback_url, json=signed) as response:
            return response.status

    async def story(self, payment_id: str) -> dict[str, Any]:
        async with self.visitor.get(f"{self.shop_url}/api/orders/{payment_id}") as response:
            assert response.status == 200
            story: dict[str, Any] = await response.json()
            return story

    async def post_json(self, path: str, members: Any) -> dict[str, Any]:
        async with self.visitor.post(self.shop_url + path, json=members) as response:
            answer: dict[str, Any] = await response.json()
            return answer | {"_http": response.status}

    async def page(self, path: str, **request: Any) -> str:
        async with self.visitor.get(self.shop_url + path, **request) as response:
            return await response.text()

    async def press(self, path: str, **fields: str) -> tuple[int, str]:
        """Posts a form: the status, and where it leads or else the page."""
        async with self.visitor.post(self.shop_url + path, data=fields, allow_redirects=False) as response:
            leads_to = response.headers.get("Location") or await response.text()
            return response.status, leads_to


def sale_callback(
    payment_id: str,
    status: str = "success",
    amount: int = 1000,
    operation_id: int = 1,
    second: int = 5,
    **more: Any,
) -> dict[str, Any]:
    """The source document's callback; `second` dates it."""
    date = f"2026-11-23T10:44:{second:02}+0000"
    code, message = {
        "success": ("0", "Success"),
        "decline": ("20301", "Account owner cancelled operation"),
    }.get(status, ("9999", "Awaiting processing"))
    money = {"amount": amount, "currency": "KRW"}
    return {
        "project_id": PROJECT_ID,
        "payment": {
            "id": payment_id, "type": "purchase", "status": status, "date": date, "method": "payco",
            "sum": money, "description": "테스트 주문",
        },
        "customer": {"id": "demo-customer"},
        "operation": {
            "id": operation_id, "type": "sale", "status": status, "date": date, "created_date": date,
            "request_id": "1-1-00000001", "sum_initial": money, "sum_converted": money,
            "code": code, "message": message,
            "provider": {"id": 12345, "payment_id": "", "auth_code": ""},
        },
    } | more  # fmt: skip


def redirect_callback(payment_id: str, window_url: str, **more: Any) -> dict[str, Any]:
    redirect_data = {"body": WINDOW_FIELDS, "method": "POST", "url": window_url}
    return sale_callback(
        payment_id, "awaiting redirect result", second=1, redirect_data=redirect_data, **more
    )


def refund_callback(
    payment_id: str, left: int, amount: int, request_id: str, operation_id: int = 2, declined: bool = False
) -> dict[str, Any]:
    payment_status = "refunded" if left == 0 else "partially refunded"
    message = sale_callback(payment_id, "success", left, operation_id, second=10 + operation_id)
    message["payment"]["status"] = "success" if declined else payment_status
    message["operation"] |= {"type": "refund", "request_id": request_id, "status": "success"}
    message["operation"]["sum_initial"] = {"amount": amount, "currency": "KRW"}
    if declined:
        message["operation"] |= {"status": "decline", "code": "20000", "message": "General decline"}
    return message


@asynccontextmanager
async def gate_on_stage() -> AsyncIterator[FakeGate]:
    gate = FakeGate()
    app = web.Application()
    app.router.add_post("/v2/{rest:.*}", gate.take)
    app.router.add_post("/window", gate.window)
    app.router.add_get("/shared/merchant.js", gate.merchant_js)
    app.router.add_get("/shared/merchant.css", gate.nothing)
    app.router.add_get("/favicon.ico", gate.nothing)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    gate.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield gate
    finally:
        await runner.cleanup()


@asynccontextmanager
async def shop_on_stage(gate_url: str, data_dir: Path) -> AsyncIterator[ShopSettings]:
    """The shop in a real HTTP server on a free port."""
    # With the protocol named, asyncio switches Nagle's delay off; without, each answer takes 44 ms.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.bind(("127.0.0.1", 0))
    settings = ShopSettings(
        gate_url=gate_url,
        page_url=f"{gate_url}/payment",
        own_url=f"http://127.0.0.1:{listener.getsockname()[1]}",
        simulator_url=gate_url,
        project_id=PROJECT_ID,
        secret=SECRET,
        data_dir=data_dir,
    )
    config = uvicorn.Config(
        create_shop(settings), log_level="warning", timeout_graceful_shutdown=1, timeout_keep_alive=600
    )
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    while not server.started:  # noqa: ASYNC110  # uvicorn has no event for it
        await asyncio.sleep(0.005)
    try:
        yield settings
    finally:
        server.should_exit = True
        await serving


@asynccontextmanager
async def stage(data_dir: Path, gate_url: str = "") -> AsyncIterator[Stage]:
    """`gate_url` points the shop elsewhere than at the fake Gate."""
    async with (
        gate_on_stage() as gate,
        shop_on_stage(gate_url or gate.url, data_dir) as settings,
        aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(), cookie_jar=aiohttp.CookieJar(unsafe=True)
        ) as visitor,  # "unsafe" jars keep cookies of IP addresses too, as browsers do
    ):
        yield Stage(gate, settings.own_url, settings, visitor)
