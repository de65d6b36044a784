"""The shop in a real Chromium: with and without JavaScript, live, by keyboard, on a narrow screen."""

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Page, async_playwright, expect
from tests.shop.fake_gate import (
    WINDOW_FIELDS,
    Stage,
    redirect_callback,
    refund_callback,
    sale_callback,
    stage,
)

from wongate_simulator.shop.words import WORDS

SLOWEST_MS = 120_000
expect.set_options(timeout=SLOWEST_MS)
CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
SWITCHES = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
            "--disable-component-update", "--disable-sync"]  # fmt: skip

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is missing: apt-get install chromium"),
]


@asynccontextmanager
async def browsing(data_dir: Path, **context: Any) -> AsyncIterator[tuple[Stage, Page]]:
    """A page on the shop. Whatever the browser complains about, a refused script say, fails the test."""
    complaints: list[str] = []
    async with stage(data_dir) as shop, async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=SWITCHES)
        page = await browser.new_page(base_url=shop.shop_url, **({"locale": "en"} | context))
        page.set_default_timeout(SLOWEST_MS)
        page.on("console", lambda said: complaints.append(said.text) if said.type == "error" else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        yield shop, page
        await browser.close()
    assert [] == complaints


def window_of(shop: Stage) -> str:
    return f"{shop.gate.url}/window"


async def test_a_payer_is_carried_to_payco_the_moment_the_callback_comes(tmp_path: Path) -> None:
    async with browsing(tmp_path) as (shop, page):
        await page.goto("/")
        await page.get_by_role("link", name="Pay with Payco First-flush green tea").click()
        await page.get_by_role("button", name="Pay ₩1,000 with Payco").click()
        await expect(page.get_by_role("heading")).to_have_text("Taking you to Payco")
        payment_id = shop.gate.last["general"]["payment_id"]
        await shop.call_back(redirect_callback(payment_id, window_of(shop)))
        await page.wait_for_url(window_of(shop))

        assert {"window": WINDOW_FIELDS} == await page.evaluate("JSON.parse(document.body.innerText)")


async def test_going_back_from_payco_does_not_throw_the_payer_there_again(tmp_path: Path) -> None:
    async with browsing(tmp_path) as (shop, page):
        payment_id = await shop.order()
        await shop.call_back(redirect_callback(payment_id, window_of(shop)))
        await page.goto(f"/orders/{payment_id}")
        await page.get_by_role("link", name="Go on paying").click()
        await page.wait_for_url(window_of(shop))
        await page.goto(f"/orders/{payment_id}/pay")
        await page.wait_for_timeout(200)

        await expect(page.get_by_role("button", name="Continue to Payco")).to_be_visible()


async def test_without_javascript_the_page_renews_itself_and_continue_leads_on(tmp_path: Path) -> None:
    async with browsing(tmp_path, java_script_enabled=False) as (shop, page):
        await page.goto("/checkout/tea")
        await page.get_by_role("button", name="Pay ₩1,000 with Payco").click()
        payment_id = shop.gate.last["general"]["payment_id"]
        await shop.call_back(redirect_callback(payment_id, window_of(shop)))
        await page.get_by_role("button", name="Continue to Payco").click()
        await page.wait_for_url(window_of(shop))


async def test_callbacks_appear_as_they_arrive_and_disturb_nothing(tmp_path: Path) -> None:
    async with browsing(tmp_path) as (shop, page):
        payment_id = await shop.paid_order(1000)
        await page.goto(f"/orders/{payment_id}")
        await page.get_by_text("Sale request").click()
        await page.get_by_label("Won to refund").fill("25")
        await shop.call_back(refund_callback(payment_id, left=600, amount=400, request_id="r"))

        await expect(page.locator("#story li")).to_have_count(3)
        await expect(page.locator("#verdict")).to_contain_text("Partly refunded")
        await expect(page.locator("#heard")).to_have_text("Callback · refund: Done")
        await expect(page.get_by_label("Won to refund")).to_have_value("25")
        await expect(page.locator("#story details").first).to_have_attribute("open", "")


async def test_a_whole_refund_by_keyboard(tmp_path: Path) -> None:
    async with browsing(tmp_path) as (shop, page):
        payment_id = await shop.paid_order(1000)
        await page.goto(f"/orders/{payment_id}")
        await page.get_by_label("Won to refund").focus()
        await page.keyboard.type("300")
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("heading")).to_have_text("Check the refund")
        await page.get_by_role("button", name="Ask for the refund").focus()
        await page.keyboard.press("Enter")
        await page.wait_for_url(f"**/orders/{payment_id}")

        await expect(page.locator("#standing")).to_contain_text("Being refunded₩300")
        assert 300 == shop.gate.last["payment"]["amount"]


async def test_the_widget_is_run_with_the_signed_parameters(tmp_path: Path) -> None:
    async with browsing(tmp_path) as (shop, page):
        shop.gate.has_page = True
        await page.goto("/checkout/cup")
        await page.get_by_role("button", name="Open a payment window").click()
        await page.wait_for_url("**/widget")
        payment_id = page.url.split("/")[-2]

        assert f"get {payment_id}" == await page.title()
        await expect(page.get_by_role("button", name="Open the payment window")).to_be_visible()


@pytest.mark.parametrize("language", WORDS)
async def test_nothing_is_wider_than_a_small_telephone(tmp_path: Path, language: str) -> None:
    narrow = {"width": 320, "height": 640}
    async with browsing(tmp_path, viewport=narrow, locale=language) as (shop, page):
        paid, waiting = await shop.paid_order(10_000_000), await shop.order()
        await shop.call_back(sale_callback(paid, amount=5), "forged")
        paths = ["/", "/checkout/candle", "/orders", f"/orders/{paid}", f"/orders/{waiting}/pay",
                 f"/orders/{paid}/refund"]  # fmt: skip
        for path in paths:
            await page.goto(path)
            for summary in await page.locator("#story summary").all():
                await summary.click()

            assert 320 == await page.evaluate("document.documentElement.scrollWidth"), path
