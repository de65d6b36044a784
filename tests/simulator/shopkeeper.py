"""A merchant for the simulator's tests: speaks NICEPAY by hand, so that nothing of the simulator checks itself."""

import contextlib
import hashlib
import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode

import aiohttp
import uvicorn
from aiohttp import web
from tests.processes import until

from wongate_simulator.app import create_app
from wongate_simulator.connections import CuttableProtocol
from wongate_simulator.serving import address, listen

MID = "nicepay00m"
# NICEPAY's public demonstration key.
KEY = "EYzu8jGGMfqaDEp76gSckuvnaHHu+bC4opsSN6lHv3b2lurNYkVXrZ7Z1AoqQnXI3eLuaUFyoRNC6FkrzVjceg=="
OTHER_MID, OTHER_KEY = (
    "nictest04m",
    "b+zhZ4yOZ7FsH8pm5lhDfHZEb79tIwnjsdA0FBXh86yLc6BJeFVrZFXhAoJ3gEWgrWwN+lJMV0W4hvDdbe4Sjw==",
)
KEYLESS_MID = "nokeynokem"


def sha(*pieces: str) -> str:
    return hashlib.sha256("".join(pieces).encode()).hexdigest()


@dataclass
class Answer:
    status: int
    headers: Mapping[str, str]
    raw: bytes

    def text(self, charset: str = "utf-8") -> str:
        return self.raw.decode(charset)

    def json(self, charset: str = "utf-8") -> Any:
        return json.loads(self.text(charset))


@dataclass
class Shopkeeper:
    """One merchant, with a return URL and a notification URL of its own."""

    url: str
    sink_url: str
    http: aiohttp.ClientSession
    app: Any
    received: list[tuple[str, bytes]] = field(default_factory=list)  # path and body of what the sink got
    sink_answers: list[str] = field(default_factory=list)  # bodies for the next answers of the sink; then OK
    offset_s: float = 0.0
    orders: int = 0

    # requests

    def edi_date(self, shift_s: float = 0) -> str:
        return (datetime.now(UTC) + timedelta(hours=9, seconds=self.offset_s + shift_s)).strftime(
            "%Y%m%d%H%M%S"
        )

    def window_body(self, key: str = KEY, **changes: str) -> dict[str, str]:
        """The form of the source document; SignData fits the changed fields unless it is given."""
        self.orders += 1
        body = {
            "MID": MID,
            "EdiDate": self.edi_date(),
            "Moid": f"order{self.orders}",
            "CharSet": "utf-8",
            "Amt": "1000",
            "GoodsName": "Test sale",
            "DirectShowOpt": "CARD",
            "NicepayReserved": "DirectPayco=Y",
            "PayMethod": "CARD",
            "ReturnUrl": f"{self.sink_url}/return",
            "NpDirectYn": "Y",
            "NpDirectLayer": "Y",
            "NpSvcType": "WEBSTD",
        } | changes
        return {"SignData": sha(body["EdiDate"], body["MID"], body["Amt"], key), **body}

    async def post(
        self, path: str, fields: dict[str, str] | bytes, charset: str = "utf-8", **headers: str
    ) -> Answer:
        body = fields if isinstance(fields, bytes) else urlencode(fields, encoding=charset).encode()
        sent = {"Content-Type": "application/x-www-form-urlencoded"} | headers
        async with self.http.post(self.url + path, data=body, headers=sent, allow_redirects=False) as answer:
            return Answer(answer.status, answer.headers, await answer.read())

    async def get(self, path: str, **headers: str) -> Answer:
        async with self.http.get(self.url + path, headers=headers, allow_redirects=False) as answer:
            return Answer(answer.status, answer.headers, await answer.read())

    async def control(self, method: str, path: str, body: Any = None) -> Answer:
        async with self.http.request(method, f"{self.url}/control/{path}", json=body) as answer:
            return Answer(answer.status, answer.headers, await answer.read())

    async def pay(self, outcome: Any = "card", deliver: bool = False, **changes: str) -> dict[str, Any]:
        """The result fields of a window that was paid (or not) without a browser."""
        wanted = {
            "redirect_data": self.redirect_data(self.window_body(**changes)),
            "outcome": outcome,
            "deliver": deliver,
        }
        answer = await self.control("POST", "pay", wanted)
        assert 200 == answer.status, answer.text()
        played: dict[str, Any] = answer.json()
        return played

    def redirect_data(self, body: dict[str, str]) -> dict[str, Any]:
        return {"method": "POST", "url": f"{self.url}/v3/v3Payment.jsp", "body": body}

    def approval_body(self, result: dict[str, str], key: str = KEY, **changes: str) -> dict[str, str]:
        names = {"TID": "TxTid", "AuthToken": "AuthToken", "MID": "MID", "Amt": "Amt"}
        body = {name: result[source] for name, source in names.items()}
        body |= {"EdiDate": self.edi_date(), "CharSet": "utf-8"} | changes
        return {"SignData": sha(body["AuthToken"], body["MID"], body["Amt"], body["EdiDate"], key), **body}

    async def approve(self, result: dict[str, str], **changes: str) -> dict[str, str]:
        answer = await self.post("/webapi/pay_process.jsp", self.approval_body(result, **changes))
        fields: dict[str, str] = answer.json()
        return fields

    async def net_cancel(self, result: dict[str, str], **changes: str) -> dict[str, str]:
        body = self.approval_body(result, **({"NetCancel": "1"} | changes))
        fields: dict[str, str] = (await self.post("/webapi/cancel_process.jsp", body)).json()
        return fields

    def cancel_body(
        self, tid: str, amount: int | str, partial: bool, key: str = KEY, **changes: str
    ) -> dict[str, str]:
        body = {
            "TID": tid,
            "MID": MID,
            "Moid": "cancel1",
            "CancelAmt": str(amount),
            "CancelMsg": "refund",
            "PartialCancelCode": "1" if partial else "0",
            "EdiDate": self.edi_date(),
            "CharSet": "utf-8",
        } | changes
        return {"SignData": sha(body["MID"], body["CancelAmt"], body["EdiDate"], key), **body}

    async def cancel(
        self, tid: str, amount: int | str, partial: bool = False, **changes: str
    ) -> dict[str, str]:
        answer = await self.post(
            "/webapi/cancel_process.jsp", self.cancel_body(tid, amount, partial, **changes)
        )
        fields: dict[str, str] = answer.json()
        return fields

    async def inquire(self, tid: str, key: str = KEY, **changes: str) -> dict[str, str]:
        body = {"TID": tid, "MID": MID, "EdiDate": self.edi_date(), "CharSet": "utf-8"} | changes
        body = {"SignData": sha(body["TID"], body["MID"], body["EdiDate"], key), **body}
        fields: dict[str, str] = (await self.post("/webapi/inquery/trans_status.jsp", body)).json()
        return fields

    # shortcuts

    async def paid(self, outcome: Any = "card", **changes: str) -> dict[str, str]:
        """The result fields of an approved payment."""
        result: dict[str, str] = (await self.pay(outcome, False, **changes))["result"]
        assert "3001" == (await self.approve(result))["ResultCode"]
        return result

    async def fault(self, on: str, kind: str, **options: Any) -> None:
        answer = await self.control("POST", "faults", {"on": on, "kind": kind, **options})
        assert 201 == answer.status, answer.text()

    async def hangs(self, on: str) -> None:
        """Waits until a call of that type has come and a fault has struck it."""

        async def struck() -> list[str]:
            log = (await self.control("GET", f"exchanges?kind={on}")).json()["exchanges"]
            return [exchange["fault"] for exchange in log if exchange["fault"]]

        await until(struck)

    async def lift_faults(self) -> None:
        """What hangs goes on."""
        assert 200 == (await self.control("DELETE", "faults")).status

    async def advance(self, seconds: float) -> None:
        assert 200 == (await self.control("POST", "clock", {"advance_s": seconds})).status
        self.offset_s += seconds

    async def set_clock(self, moment: str) -> None:
        moved = (await self.control("POST", "clock", {"now": moment})).json()
        self.offset_s = moved["offset_s"]

    async def set_merchant(self, **settings: Any) -> None:
        answer = await self.control("POST", "merchants", {"mid": MID, **settings})
        assert 200 == answer.status, answer.text()

    async def book(self, moid: str) -> dict[str, Any]:
        [entry] = (await self.control("GET", f"books?moid={moid}")).json()["books"]
        return dict(entry)

    def arrived(self, path: str, charset: str = "utf-8") -> list[dict[str, str]]:
        return [
            dict(parse_qsl(body.decode("ascii"), keep_blank_values=True, encoding=charset))
            for came_to, body in self.received
            if came_to == path
        ]

    async def arrives(self, path: str, count: int) -> list[bytes]:
        """Waits until `count` bodies have come to the path."""

        def come() -> list[bytes]:
            return [body for came_to, body in self.received if came_to == path]

        await until(lambda: len(come()) >= count)
        return come()

    async def sink(self, request: web.Request) -> web.Response:
        self.received.append((request.path, await request.read()))
        if request.path == "/return":
            return web.Response(status=303, headers={"Location": "http://shop.test/success"})
        return web.Response(text=self.sink_answers.pop(0) if self.sink_answers else "OK")


@contextlib.asynccontextmanager
async def simulator(data_dir: Path, **settings: Any) -> AsyncIterator[Shopkeeper]:
    """A simulator on a free port with the shopkeeper's merchant, another one, and one without a key."""
    merchants: list[dict[str, Any]] = [
        {"mid": MID, "key": KEY, "name": "달빛 상점", **settings},
        {"mid": OTHER_MID, "key": OTHER_KEY},
        {"mid": KEYLESS_MID},
    ]
    app = create_app(data_dir, merchants=merchants)
    patience = aiohttp.ClientTimeout()  # none at all: a machine that stalls is no mistake of the simulator's
    async with (
        serving(app) as url,
        aiohttp.ClientSession(auto_decompress=False, timeout=patience) as http,
    ):
        keeper = Shopkeeper(url, "", http, app)
        async with _sink(keeper):
            yield keeper


@contextlib.asynccontextmanager
async def serving(app: Any) -> AsyncIterator[str]:
    """uvicorn without its main loop, which looks only every 0.1 s whether it is over: 200 tests feel that."""
    listener = listen("127.0.0.1", 0)
    config = uvicorn.Config(
        app,
        http=CuttableProtocol,
        lifespan="on",
        log_config=None,
        proxy_headers=False,
        timeout_keep_alive=600,  # not to be closed just as a test that was held up writes to it
    )
    config.load()
    server = uvicorn.Server(config)
    server.lifespan = config.lifespan_class(config)
    await server.startup([listener])
    try:
        yield address(*listener.getsockname())
    finally:
        for accepting in server.servers:
            accepting.close()
        for task in server.server_state.tasks:
            task.cancel()
        await server.lifespan.shutdown()
        listener.close()


@contextlib.asynccontextmanager
async def _sink(keeper: Shopkeeper) -> AsyncIterator[None]:
    app = web.Application()
    app.router.add_post("/{path:.*}", keeper.sink)
    runner = web.AppRunner(app)
    await runner.setup()
    listener = listen("127.0.0.1", 0)
    await web.SockSite(runner, listener).start()
    keeper.sink_url = address(*listener.getsockname())
    try:
        yield
    finally:
        await runner.cleanup()
