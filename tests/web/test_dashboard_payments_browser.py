"""The live Payments pages in a real Chromium: rows and totals come by themselves, and nothing is torn from under the reader."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import uvicorn
from playwright.async_api import Page, async_playwright
from tests import books
from tests.books import Past
from tests.dashboard import SHOP, Office, open_office
from tests.world import free_port

from wongate.domain.rights import Role

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
SWITCHES = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
            "--disable-component-update", "--disable-sync"]  # fmt: skip

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is missing: apt-get install chromium"),
]


@asynccontextmanager
async def page_of(office: Office, width: int = 1280) -> AsyncIterator[tuple[Page, list[str]]]:
    """A page that has signed in, and what its console complained about."""
    browser = await office.enter(await office.member(Role.MERCHANT_ADMIN))
    config = uvicorn.Config(
        office.app, host="127.0.0.1", port=free_port(), log_level="warning", lifespan="off"
    )
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve())
    while not server.started:  # noqa: ASYNC110 - uvicorn offers no event
        await asyncio.sleep(0.02)
    base = f"http://127.0.0.1:{config.port}"
    async with async_playwright() as playwright:
        chromium = await playwright.chromium.launch(executable_path=CHROMIUM, args=SWITCHES)
        context = await chromium.new_context(base_url=base, viewport={"width": width, "height": 800})
        name, _, value = browser.cookie.partition("=")
        await context.add_cookies([{"name": name, "value": value, "url": base}])
        context.set_default_timeout(120_000)
        page = await context.new_page()
        complaints: list[str] = []
        page.on(
            "console", lambda message: complaints.append(message.text) if message.type == "error" else None
        )
        page.on("pageerror", lambda error: complaints.append(str(error)))
        yield page, complaints
        await chromium.close()
    server.should_exit = True
    await serving


async def write(office: Office, number: int, **options: Any) -> Past:
    past = books.draw(SHOP, office.clock.now(), days=2, number=number, **options)
    await books.write(office.platform, past)
    return past


async def test_a_new_payment_appears_without_a_reload_and_the_keyboard_stays_where_it_was(
    database: str,
) -> None:
    async with open_office(database) as office, page_of(office) as (page, complaints):
        past = await write(office, 3)
        await page.goto("/dashboard/payments")
        await page.wait_for_selector(".sums")
        row = page.locator("table.payments tbody tr")
        assert 3 == await row.count()
        await page.locator("table.payments tbody a").last.focus()
        focused = await page.evaluate("document.activeElement.textContent")

        new = books.draw(SHOP, office.clock.now(), days=0.001, number=1, seed=99)
        new.payments[0] |= {"payment_id": "New one", "payment_key": "new one"}
        await books.write(office.platform, new)
        await page.get_by_role("link", name="New one").wait_for()
        assert 4 == await row.count()
        assert focused == await page.evaluate("document.activeElement.textContent")
        await page.get_by_role("button", name="Live").click()
        assert "false" == await page.get_by_role("button", name="Live").get_attribute("aria-pressed")
        assert [] == complaints
        assert 3 == len(past.payments)


async def test_the_pages_reflow_at_320_pixels_and_obey_their_own_policy(database: str) -> None:
    async with open_office(database) as office, page_of(office, width=320) as (page, complaints):
        past = await write(office, 60)
        number = past.payments[0]["payment_no"]
        for path in (
            "payments",
            f"payments/{SHOP}/{number}",
            "payments/resend",
            "analytics",
            "analytics/new",
        ):
            await page.goto(f"/dashboard/{path}")
            await page.wait_for_load_state("networkidle")
            assert 320 >= await page.evaluate("document.documentElement.scrollWidth"), path
        assert [] == complaints


async def test_a_menu_and_every_bar_are_reached_by_keyboard(database: str) -> None:
    async with open_office(database) as office, page_of(office) as (page, complaints):
        await write(office, 60)
        await page.goto("/dashboard/analytics")
        await page.locator("#tile-2 .menu > summary").focus()
        await page.keyboard.press("Enter")
        await page.locator("#tile-2").get_by_role("button", name="Move ahead").focus()
        await page.keyboard.press("Enter")
        await page.wait_for_url("**/dashboard/analytics#tile-2")
        assert "Turnover" == await page.locator(".tile h2").first.text_content()
        await page.locator("#tile-2 .fold-out > summary").press("Enter")
        await page.locator("#tile-2 table.twin a").last.press("Enter")
        await page.wait_for_url("**/dashboard/payments?**")
        assert [] == complaints
