"""The window in a real Chromium: policy, redirects to other origins, frames, no JavaScript, keyboard, narrow screens."""

import contextlib
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote

import pytest
from aiohttp import web
from playwright.async_api import Browser, Page, async_playwright
from tests.simulator.shopkeeper import Shopkeeper, simulator

from wongate_simulator.serving import address, listen

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine"),
]
# A browser that speaks to nobody but us.
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


class Street:
    """A shop page that posts the form, the platform's return URL, and the merchant's page: three origins."""

    def __init__(self, keeper: Shopkeeper) -> None:
        self.keeper = keeper
        self.returned: list[bytes] = []
        self.shop = self.platform = self.merchant = ""
        self.body: dict[str, str] = {}
        self.framed = False

    async def shop_page(self, request: web.Request) -> web.Response:
        inputs = "".join(
            f'<input type="hidden" name="{name}" value="{value}">' for name, value in self.body.items()
        )
        frame = '<iframe name="pay" width="720" height="645"></iframe>' if self.framed else ""
        target = ' target="pay"' if self.framed else ""
        listener = (
            "<script>window.told=[];addEventListener('message',e=>told.push([e.origin,e.data]))</script>"
        )
        form = f'<form method="post" action="{self.keeper.url}/v3/v3Payment.jsp"{target}>{inputs}<button>Pay</button></form>'
        page = f'<!doctype html><link rel="icon" href="data:,">{listener}{form}{frame}'
        return web.Response(text=page, content_type="text/html", charset="utf-8")

    async def take_result(self, request: web.Request) -> web.Response:
        self.returned.append(await request.read())
        return web.Response(status=303, headers={"Location": f"{self.merchant}/thanks"})

    async def thanks(self, request: web.Request) -> web.Response:
        return web.Response(text='<link rel="icon" href="data:,">', content_type="text/html")

    def field(self, name: str) -> str:
        return parse_qs(self.returned[-1].decode("ascii"), encoding="utf-8")[name][0]


@contextlib.asynccontextmanager
async def street(tmp_path: Path, **changes: str) -> AsyncIterator[tuple[Street, Browser, list[str]]]:
    """The three origins, a browser, and the list of everything that its console complained about."""
    async with simulator(tmp_path) as keeper, async_playwright() as playwright:
        scene = Street(keeper)
        runners = []
        for name in ("shop", "platform", "merchant"):
            app = web.Application()
            app.add_routes(
                [
                    web.get("/", scene.shop_page),
                    web.post("/return", scene.take_result),
                    web.get("/thanks", scene.thanks),
                ]
            )
            runners.append(runner := web.AppRunner(app))
            await runner.setup()
            listener = listen("127.0.0.1", 0)
            await web.SockSite(runner, listener).start()
            setattr(scene, name, address(*listener.getsockname()))
        scene.body = keeper.window_body(**({"ReturnUrl": f"{scene.platform}/return"} | changes))
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        try:
            yield scene, browser, []
        finally:
            await browser.close()
            for runner in runners:
                await runner.cleanup()


async def _page(browser: Browser, complaints: list[str], **options: Any) -> Page:
    page = await (await browser.new_context(**({"locale": "ko-KR"} | options))).new_page()
    page.set_default_timeout(120_000)
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    return page


async def test_a_payer_agrees_pays_and_arrives_at_the_merchant(tmp_path: Path) -> None:
    async with street(tmp_path) as (scene, browser, complaints):
        page = await _page(browser, complaints)
        await page.goto(scene.shop)
        await page.click("text=Pay")
        await page.click(
            "button[value=card]"
        )  # the terms are not accepted yet: the browser holds the form back
        held_back = page.url
        await page.check("input[name=agree]")
        await page.click("button[value=card]")
        await page.wait_for_url("**/thanks")

        assert "/window/NICETOKN" in held_back
        assert f"{scene.merchant}/thanks" == page.url
        assert "0000" == scene.field("AuthResultCode")
        assert [] == complaints


async def test_everything_works_without_javascript(tmp_path: Path) -> None:
    async with street(tmp_path) as (scene, browser, complaints):
        page = await _page(browser, complaints, java_script_enabled=False)
        await page.goto(scene.shop)
        await page.click("text=Pay")
        await page.check("input[name=agree]")
        await page.click("button[value=points]")
        waits = page.url
        await page.click("text=계속하기")

        assert "/window/" in waits
        assert f"{scene.merchant}/thanks" == page.url
        assert "0000" == scene.field("AuthResultCode")


async def test_the_keyboard_is_enough(tmp_path: Path) -> None:
    async with street(tmp_path) as (scene, browser, complaints):
        page = await _page(browser, complaints)
        await page.goto(scene.shop)
        await page.keyboard.press("Tab")
        await page.keyboard.press("Enter")
        await page.wait_for_url("**/window/*")
        await page.keyboard.press("Tab")
        await page.keyboard.press("Space")
        await page.keyboard.press("Tab")
        await page.keyboard.press("Enter")
        await page.wait_for_url("**/thanks")

        assert "0000" == scene.field("AuthResultCode")


async def test_the_browser_sends_euc_kr_when_the_merchant_has_not_asked_for_utf_8(tmp_path: Path) -> None:
    async with street(tmp_path, CharSet="euc-kr") as (scene, browser, complaints):
        page = await _page(browser, complaints)
        await page.goto(scene.shop)
        await page.click("text=Pay")
        await page.click("button[value=cancel]")
        await page.wait_for_url("**/thanks")

        assert quote("사용자", encoding="cp949").encode() in scene.returned[0]
        assert "TxTid" not in scene.returned[0].decode()


async def test_a_window_whose_time_has_run_out_waits_for_the_payer(tmp_path: Path) -> None:
    async with street(tmp_path) as (scene, browser, complaints):
        page = await _page(browser, complaints)
        await page.goto(scene.shop)
        await page.click("text=Pay")
        await page.click("button[value=expire]")
        sent_by_itself = list(scene.returned)
        await page.click("text=계속하기")
        await page.wait_for_url("**/thanks")

        assert [] == sent_by_itself
        assert "W111" == scene.field("AuthResultCode")


async def test_a_closed_window_sends_nothing_and_can_be_opened_again(tmp_path: Path) -> None:
    async with street(tmp_path) as (scene, browser, complaints):
        page = await _page(browser, complaints)
        await page.goto(scene.shop)
        await page.click("text=Pay")
        await page.click("button[value=abandon]")
        await page.click("text=창으로 돌아가기")
        await page.reload()

        assert [] == scene.returned
        assert 7 == await page.locator("button[name=outcome]").count()


async def test_in_a_frame_the_embedding_page_is_told(tmp_path: Path) -> None:
    async with street(tmp_path) as (scene, browser, complaints):
        scene.framed = True
        page = await _page(browser, complaints)
        await page.goto(scene.shop)
        await page.click("text=Pay")
        frame = page.frame_locator("iframe")
        await frame.locator("input[name=agree]").check()
        await frame.locator("button[value=card]").click()
        await page.wait_for_function("told.length >= 2")
        told = await page.evaluate("told")

        assert [scene.keeper.url] * 2 == [origin for origin, _ in told]
        assert ["10", "0"] == [message["code"] for _, message in told]
        assert {"width": 720, "height": 645} == told[0][1]["result"]
        assert told[1][1]["result"]["TxTid"].startswith(scene.body["MID"])


@pytest.mark.parametrize("language", ["ko-KR", "en-US", "ru-RU"])
async def test_nothing_is_wider_than_320_pixels(language: str, tmp_path: Path) -> None:
    async with street(tmp_path, Amt="50000", Moid="A" * 64) as (scene, browser, complaints):
        page = await _page(browser, complaints, viewport={"width": 320, "height": 640}, locale=language)
        await page.goto(scene.shop)
        await page.click("text=Pay")
        widths = {}
        for place in (
            page.url,
            *(scene.keeper.url + path for path in ("/", "/exchanges", "/admin", "/control")),
        ):
            await page.goto(place)
            for summary in await page.locator("summary").all():
                await summary.click()
            widths[place] = await page.evaluate("document.documentElement.scrollWidth")

        assert {320} == set(widths.values()), widths
        assert [] == complaints
