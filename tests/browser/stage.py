"""Everything that a payment in a real browser needs, once for the whole run: Chromium, the platform on a socket with its worker,
the simulated NICEPAY, the demo shop, and a merchant's site on a port of its own.

All of it lives on one event loop in a thread; tests are coroutines that run there (`conftest.py`).
"""

import asyncio
import base64
import json
import secrets
import socket
import threading
from collections.abc import AsyncIterator, Coroutine, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlencode

import uvicorn
from aiohttp import web
from payment_page_sdk.signature_handler import SignatureHandler
from playwright.async_api import Browser, BrowserContext, Frame, Page, ViewportSize, async_playwright, expect
from tests.browser import chromium
from tests.processes import until
from tests.world import MERCHANT_KEY, MID, Simulator

from wongate.app import Application
from wongate.commands import create_project, save_account
from wongate.connections.clock import MovableClock
from wongate.connections.database import Database
from wongate.connections.vault import Vault
from wongate.domain.signature import verify
from wongate.providers.nicepay.accounts import account_settings_for_simulator
from wongate.settings import Settings
from wongate.worker import work
from wongate_simulator.shop.app import create_shop
from wongate_simulator.shop.settings import ShopSettings

T = TypeVar("T")

PICTURES = Path(__file__).parents[2] / "build" / "screenshots"
SITE = Path(__file__).parent / "site"
MASTER_KEY = base64.b64encode(b"b" * 32).decode()
VAULT = Vault.from_text(MASTER_KEY)
FIRST_PROJECT = 2001
STORY_S = 600
SLOWEST_MS = 120_000
"""For what happens within a second where nothing else runs: two cores may be shared by six."""
PHONE = ViewportSize(width=360, height=740)
DESK = ViewportSize(width=1100, height=800)


@dataclass(frozen=True, slots=True)
class Shop:
    """A project of the platform, and how its merchant signs."""

    stage: "Stage"
    project_id: int
    secret: str

    def parameters(self, **changes: Any) -> dict[str, Any]:
        """Signed page parameters; each call is another payment unless it names its id."""
        asked = {
            "project_id": self.project_id,
            "payment_id": f"P{secrets.token_hex(5)}",
            "payment_amount": 1000,
            "payment_currency": "KRW",
            "customer_id": "1234",
            **changes,
        }
        return {**asked, "signature": SignatureHandler(self.secret).sign(dict(asked))}

    def url(self, **changes: Any) -> str:
        return f"{self.stage.page_url}/payment?{urlencode(self.parameters(**changes))}"

    async def told(self, payment_id: str) -> list[str]:
        """Payment statuses of the callbacks that have arrived, once the last one is final."""

        def statuses() -> list[str]:
            return [
                body["payment"]["status"]
                for body in self.stage.callbacks
                if body["payment"]["id"] == payment_id and verify(body, body["signature"], [self.secret])
            ]

        await until(lambda: {"success", "decline"} & set(statuses()[-1:]))
        return statuses()


@dataclass(slots=True)
class Stage:
    simulator: Simulator
    database_url: str
    loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.new_event_loop)
    page_url: str = ""
    merchant_url: str = ""
    shop_url: str = ""
    browser: Browser = None  # type: ignore[assignment]
    database: Database = None  # type: ignore[assignment]
    callbacks: list[dict[str, Any]] = field(default_factory=list)
    site: dict[str, str] = field(default_factory=dict)
    _parts: AsyncExitStack = field(default_factory=AsyncExitStack)
    _settings: Settings = None  # type: ignore[assignment]
    _projects: int = FIRST_PROJECT
    _thread: threading.Thread = None  # type: ignore[assignment]

    # --- the thread ---

    def start(self) -> None:
        self._thread = threading.Thread(target=self.loop.run_forever, name="stage", daemon=True)
        self._thread.start()
        self.run(self._open())

    def stop(self) -> None:
        self.run(self._parts.aclose())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(STORY_S)
        self.loop.close()

    def run(self, story: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(story, self.loop).result(STORY_S)

    # --- the parts ---

    async def _open(self) -> None:
        listeners = [_listener() for _ in range(3)]
        self.page_url, self.merchant_url, self.shop_url = map(_url, listeners)
        self.database = await Database.connect(self.database_url, size=2)
        self._parts.push_async_callback(self.database.close)
        shop = await self._prepare()
        settings = self._settings = Settings(
            database_url=self.database_url,
            master_key=MASTER_KEY,
            page_url=self.page_url,
            callback_allow=("127.0.0.0/8",),
            callback_http=True,
            clock_file=self.simulator.clock_file,
        )
        await self._serve(Application(settings), listeners[0], self._parts)
        await self._merchant(listeners[1])
        await self._serve(create_shop(shop), listeners[2], self._parts)
        await self._worker(settings)
        expect.set_options(timeout=SLOWEST_MS)
        playwright = await self._parts.enter_async_context(async_playwright())
        self.browser = await playwright.chromium.launch(
            executable_path=chromium.ensure(), args=list(chromium.SWITCHES)
        )
        self._parts.push_async_callback(self.browser.close)

    async def _prepare(self) -> ShopSettings:
        async with self.database.transaction() as tx:
            at_simulator = account_settings_for_simulator(self.simulator.url)
            await save_account(tx, VAULT, 1, MID, MERCHANT_KEY, at_simulator)
        shop = await self.project(callback_url=f"{self.shop_url}/callbacks")
        return ShopSettings(
            gate_url=self.page_url,
            page_url=f"{self.page_url}/payment",
            own_url=self.shop_url,
            simulator_url=self.simulator.url,
            project_id=shop.project_id,
            secret=shop.secret,
            data_dir=self.simulator.clock_file.parent / "browser-shop",
        )

    async def _serve(self, app: Any, listener: socket.socket, parts: AsyncExitStack) -> None:
        server = uvicorn.Server(uvicorn.Config(app, log_config=None, lifespan="on", ws="none"))
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        while not server.started:
            assert not serving.done(), "the server did not start"
            await asyncio.sleep(0.01)

        async def end() -> None:
            server.should_exit = True
            await serving

        parts.push_async_callback(end)

    async def _worker(self, settings: Settings) -> None:
        stop = asyncio.Event()
        duties = asyncio.create_task(work(settings, stop))

        async def end() -> None:
            stop.set()
            await duties

        self._parts.push_async_callback(end)

    async def _merchant(self, listener: socket.socket) -> None:
        runner = web.ServerRunner(web.Server(self._answer), shutdown_timeout=0)
        await runner.setup()
        await web.SockSite(runner, listener).start()
        self._parts.push_async_callback(runner.cleanup)

    async def _answer(self, request: web.BaseRequest) -> web.Response:
        """The merchant's site: pages that tests put there, a page for every other address, and the receiver of callbacks."""
        if request.path == "/callbacks":
            self.callbacks.append(json.loads(await request.read()))
            return web.Response()
        html = self.site.get(request.path, f"<!doctype html><title>shop</title><h1>{request.path}</h1>")
        return web.Response(text=html, content_type="text/html", headers={"Cache-Control": "no-store"})

    # --- what tests ask for ---

    async def project(self, *, account: Mapping[str, Any] | None = None, **settings: Any) -> Shop:
        """A project of its own, whose payment page this merchant's site may show in a frame; `account` changes its account."""
        self._projects += 1
        account_id = self._projects if account else 1
        shop = Shop(self, self._projects, f"secret of {self._projects}")
        known = {
            "callback_url": f"{self.merchant_url}/callbacks",
            "frame_origins": [self.merchant_url, self.shop_url],
        }
        async with self.database.transaction() as tx:
            if account:
                at_simulator = account_settings_for_simulator(self.simulator.url)
                await save_account(tx, VAULT, account_id, MID, MERCHANT_KEY, {**at_simulator, **account})
            await create_project(
                tx, VAULT, shop.project_id, "찻집 Tea House", shop.secret, account_id, {**known, **settings}
            )
        return shop

    @asynccontextmanager
    async def server_with_a_clock(self, clock_file: Path) -> AsyncIterator[tuple[str, MovableClock]]:
        """Another server of the platform, with a clock that no other test moves: where its pages are, and the clock."""
        clock = MovableClock(clock_file)
        async with AsyncExitStack() as parts:
            listener = _listener()
            settings = replace(self._settings, page_url=_url(listener), clock_file=clock_file)
            await self._serve(Application(settings), listener, parts)
            yield settings.page_url, clock

    async def confuse(self, *, rungs: int | None = None) -> None:
        """The next sale's outcome is unclear: for so many looks, or for good."""
        times = "always" if rungs is None else rungs
        moid = await self._newest_order()
        await self.simulator.fault("approve", "reset", moid=moid)
        for call in ("netcancel", "inquiry"):
            await self.simulator.fault(call, "http_500", moid=moid, times=times)

    async def _newest_order(self) -> str:
        async with self.database.read() as tx:
            newest = "SELECT order_number FROM operation ORDER BY operation_id DESC LIMIT 1"
            return str(await tx.fetchval(newest))

    def publish(self, path: str, html: str) -> str:
        """Puts a page on the merchant's site."""
        self.site[path] = html
        return f"{self.merchant_url}{path}"

    def publish_file(self, path: str, file: str, **filled: str) -> str:
        """The same with a file of `site/`, in which `/* NAME */` and `<!-- NAME -->` are filled in."""
        html = (SITE / file).read_text()
        for name, text in filled.items():
            html = html.replace(f"/* {name} */", text).replace(f"<!-- {name} -->", text)
        return self.publish(path, html)

    @asynccontextmanager
    async def visitor(
        self, *, size: ViewportSize = PHONE, expected: tuple[str, ...] = (), **context: Any
    ) -> AsyncIterator[Page]:
        """A page of a fresh browser profile. Whatever the browser complains about fails the test, except the `expected`."""
        complaints: list[str] = []
        options: dict[str, Any] = {"locale": "en-US", "viewport": size, **context}
        profile = await self.browser.new_context(**options)
        profile.set_default_timeout(SLOWEST_MS)
        profile.on("console", lambda said: complaints.append(said.text) if said.type == "error" else None)
        profile.on("weberror", lambda error: complaints.append(str(error.error)))
        try:
            yield await profile.new_page()
            assert [] == [text for text in complaints if not any(part in text for part in expected)]
            assert [] == [cookie for cookie in await profile.cookies() if self._is_ours(cookie)]
        except BaseException:
            await self._keep_picture(profile)
            raise
        finally:
            await profile.close()

    def _is_ours(self, cookie: Mapping[str, Any]) -> bool:
        return str(cookie.get("domain")) == "127.0.0.1"

    async def _keep_picture(self, profile: BrowserContext) -> None:
        PICTURES.mkdir(parents=True, exist_ok=True)
        for number, page in enumerate(profile.pages):
            await page.screenshot(path=PICTURES / f"failed-{number}.png", full_page=True)

    async def picture(self, page: Page, name: str) -> None:
        PICTURES.mkdir(parents=True, exist_ok=True)
        await page.screenshot(path=PICTURES / f"{name}.png", full_page=True, animations="disabled")


async def choose(window: Page | Frame, outcome: str = "card") -> None:
    """The payer's choice in the simulated window."""
    await window.wait_for_url("**/window/**")
    if outcome in ("card", "points", "mixed"):
        await window.check("[name=agree]")
    await window.click(f"button[value={outcome}]")


async def press_pay(page: Page | Frame) -> None:
    await page.click("#pay .main")


def _listener() -> socket.socket:
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(64)
    return listener


def _url(listener: socket.socket) -> str:
    return f"http://127.0.0.1:{listener.getsockname()[1]}"
