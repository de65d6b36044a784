"""The sandbox as one command starts it, with a past of its own, and somebody who signs in to its Dashboard in a real Chromium."""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

from playwright.async_api import Browser, Page, ViewportSize, async_playwright, expect
from tests.browser import chromium
from tests.story.sandbox import SALE, Sandbox
from tests.world import Merchant

from wongate.domain import one_time

DESK = ViewportSize(width=1280, height=900)
PHONE = ViewportSize(width=360, height=740)
WAIT_MS = 120_000
"""Ends a test that hangs; nothing here takes a second on a machine that has nothing else to do."""
TYPED_WITHIN_S = 15
expect.set_options(timeout=WAIT_MS)


class Furnished(Sandbox):
    """With some days of payments, so that every page has something to show."""

    @property
    def command(self) -> list[str]:
        return [*super().command, "--history", "3", "--per-day", "40"]


@dataclass(slots=True)
class House:
    """One sandbox for a whole file; each code of its only user's phone works once."""

    sandbox: Sandbox
    _used: int = field(default=0)

    @property
    def url(self) -> str:
        return str(self.sandbox.announced["dashboard_url"])

    @property
    def project_id(self) -> int:
        return int(self.sandbox.announced["project_id"])

    @property
    def login(self) -> Mapping[str, str]:
        login: Mapping[str, str] = self.sandbox.announced["dashboard_login"]
        return login

    async def code(self) -> str:
        """The next code that has not been used and is good for a while: the platform takes those of thirty seconds around."""
        step = max(int(time.time() + TYPED_WITHIN_S) // one_time.STEP_S - 1, self._used + 1)
        await asyncio.sleep((step - 1) * one_time.STEP_S - time.time())
        self._used = step
        return one_time.code_of(self.login["totp_secret"], step)

    @asynccontextmanager
    async def page(
        self,
        *,
        size: ViewportSize = DESK,
        scheme: Literal["light", "dark"] = "light",
        expected: tuple[str, ...] = (),
    ) -> AsyncIterator[Page]:
        """A page of a fresh browser. Whatever the browser complains about fails the test, except the `expected`."""
        async with async_playwright() as playwright:
            browser: Browser = await playwright.chromium.launch(
                executable_path=chromium.ensure(), args=list(chromium.SWITCHES)
            )
            context = await browser.new_context(
                base_url=self.url.removesuffix("/dashboard"),
                viewport=size,
                color_scheme=scheme,
                locale="en-US",
                accept_downloads=True,
                permissions=["clipboard-read", "clipboard-write"],
            )
            context.set_default_timeout(WAIT_MS)
            page = await context.new_page()
            complaints: list[str] = []
            context.on("console", lambda said: complaints.append(said.text) if said.type == "error" else None)
            context.on("weberror", lambda error: complaints.append(str(error.error)))
            yield page
            assert [] == [text for text in complaints if not any(part in text for part in expected)]
            await browser.close()

    async def enter(self, page: Page) -> None:
        """Password and second factor, as somebody types them."""
        await page.goto("/dashboard/sign-in")
        await page.fill("#login", self.login["user"])
        await page.fill("#password", self.login["password"])
        await page.click("form .button.main")
        await page.wait_for_url("**/dashboard/second-factor*")
        await page.fill("#code", await self.code())
        await page.click("form .button.main")
        await page.wait_for_url("**/dashboard/payments*")

    async def sell(self, merchant: Merchant, payment_id: str, amount: int = 1000) -> Mapping[str, Any]:
        """A purchase over Gate, paid in the simulated window; answers the callback that tells its success."""
        body = self.sandbox.sale(payment_id, f"{merchant.url}/callbacks", amount)
        body["customer"]["id"] = f"customer of {payment_id}"
        status, _ = await asyncio.to_thread(self.sandbox.post, SALE, body)
        assert 200 == status
        form = (await told(merchant, payment_id, "awaiting redirect result"))["redirect_data"]
        await self.sandbox.simulator.control("POST", "pay", {"redirect_data": form, "outcome": "card"})
        return await told(merchant, payment_id, "success")

    async def advance(self, seconds: float) -> None:
        await self.sandbox.simulator.control("POST", "clock", {"advance_s": seconds})


async def told(merchant: Merchant, payment_id: str, status: str) -> dict[str, Any]:
    def found() -> dict[str, Any] | None:
        bodies = (item.body for item in merchant.received)
        return next(
            (b for b in bodies if (b["payment"]["id"], b["payment"]["status"]) == (payment_id, status)), None
        )

    body: dict[str, Any] = await merchant.until(found)
    return body
