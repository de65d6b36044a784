"""The bridge page in a real Chromium, with a stand-in for NICEPAY: nothing leaves the machine (N-1, N-28)."""

from typing import Any
from urllib.parse import parse_qs

import pytest
from playwright.async_api import Page, Route, expect
from tests.browser.stage import DESK, PHONE, Shop, Stage, press_pay

WINDOW = "https://web.nicepay.co.kr/v3/v3Payment.jsp"
SCRIPT = "https://pg-web.nicepay.co.kr/v3/common/js/nicepay-pgweb.js"
# Believes every message, as the real one does.
STAND_IN = """
window.heard = [];
addEventListener("message", (event) => heard.push(event.data));
function goPay(form) { window.opened = form; document.title = "layer"; }
"""


async def shop_at_nicepay(stage: Stage) -> Shop:
    return await stage.project(account={"bridge": True, "window_url": WINDOW, "simulator": False})


async def play_nicepay(page: Page, script: str | None = STAND_IN) -> list[Any]:
    """Answers in NICEPAY's place; what was posted to its window."""
    posted: list[Any] = []

    async def answer(route: Route) -> None:
        request = route.request
        if request.url != SCRIPT:
            posted.append(request)
            await route.fulfill(body="<title>window</title>", content_type="text/html")
        elif script is None:
            await route.abort()
        else:
            await route.fulfill(body=script, content_type="text/javascript")

    await page.route("https://*.nicepay.co.kr/**", answer)
    return posted


async def test_nicepays_script_opens_the_window_and_hands_the_result_back(stage: Stage):
    shop = await shop_at_nicepay(stage)
    async with stage.visitor(size=DESK) as page:
        await play_nicepay(page)
        await page.goto(shop.url(payment_id="bridge"))
        await press_pay(page)
        await expect(page).to_have_title("layer")
        assert "/return/nicepay/" in await page.evaluate("opened.action")
        assert "1000" == await page.evaluate("opened.elements.Amt.value")
        async with page.expect_request("**/return/nicepay/**") as returning:
            await page.evaluate("nicepaySubmit()")
        fields = parse_qs((await returning.value).post_data or "")
        assert ["1000"] == fields["Amt"]
        # Nothing in it is signed by NICEPAY, so nobody has paid.
        await expect(page.get_by_role("heading", level=1)).to_have_text("Finish the payment in Payco")


async def test_closing_the_layer_leads_to_the_page_that_waits(stage: Stage):
    shop = await shop_at_nicepay(stage)
    async with stage.visitor(size=DESK) as page:
        await play_nicepay(page)
        await page.goto(shop.url())
        await press_pay(page)
        await expect(page).to_have_title("layer")
        await page.evaluate("nicepayClose()")
        await expect(page.get_by_role("heading", level=1)).to_have_text("Finish the payment in Payco")


async def test_only_nicepays_own_hosts_are_heard(stage: Stage):
    shop = await shop_at_nicepay(stage)
    async with stage.visitor(size=DESK) as page:
        await play_nicepay(page)
        await page.goto(shop.url())
        await press_pay(page)
        await expect(page).to_have_title("layer")
        say = "([origin, data]) => dispatchEvent(new MessageEvent('message', {origin, data}))"
        for origin in (
            "https://evil.example",
            "https://nicepay.co.kr.evil.example",
            "http://pg-web.nicepay.co.kr",
            "https://pg-web.nicepay.co.kr:8443",
            "https://evilnicepay.co.kr",
            "null",
            stage.merchant_url,
        ):
            await page.evaluate(say, [origin, "forged"])
        await page.evaluate(say, ["https://pg-web.nicepay.co.kr", "genuine"])
        assert ["genuine"] == await page.evaluate("heard")


@pytest.mark.parametrize("device", ["phone", "script unreachable"])
async def test_the_form_itself_goes_to_the_window_in_its_own_charset(stage: Stage, device: str):
    shop = await shop_at_nicepay(stage)
    phone = {
        "size": PHONE,
        "user_agent": "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) Mobile/15E148",
    }
    options: dict[str, Any] = phone if device == "phone" else {"size": DESK}
    async with stage.visitor(**options, expected=("ERR_FAILED", "400")) as page:
        posted = await play_nicepay(page, None)
        await page.goto(shop.url())
        await press_pay(page)
        await page.wait_for_url(WINDOW)
        fields = parse_qs(posted[-1].post_data)
        assert (["1000"], ["CARD"], ["DirectPayco=Y"]) == (
            fields["Amt"],
            fields["PayMethod"],
            fields["NicepayReserved"],
        )
        await page.go_back()
        await expect(page.get_by_role("heading", level=1)).to_have_text("Finish the payment in Payco")
