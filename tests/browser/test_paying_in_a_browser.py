"""The Payment Page in a real Chromium, in a tab of its own: paying, not paying, and everything that payers do besides."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Page, expect
from tests.browser.stage import DESK, PHONE, Stage, choose, press_pay
from tests.processes import until


async def test_a_payer_on_a_korean_phone_pays_and_lands_on_the_shops_page(stage: Stage):
    shop = await stage.project()
    success = f"{stage.merchant_url}/paid?order=1"
    url = shop.url(payment_id="korean", payment_description="첫물 녹차 100g", redirect_success_url=success)
    async with stage.visitor(locale="ko-KR", has_touch=True, is_mobile=True) as page:
        await page.goto(url)
        await expect(page.get_by_role("button", name="1,000원 결제하기")).to_be_visible()
        await page.get_by_role("button", name="1,000원 결제하기").tap()
        await choose(page)
        await page.wait_for_url(success)
        assert ["success"] == await shop.told("korean")


@pytest.mark.parametrize(
    "outcome, text",
    [
        ("cancel", "You cancelled the payment. Nothing has been charged."),
        ("fail", "Payco did not approve the payment. Nothing has been charged."),
    ],
)
async def test_a_payer_who_does_not_pay_reads_why(stage: Stage, outcome: str, text: str):
    shop = await stage.project()
    async with stage.visitor() as page:
        await page.goto(shop.url(payment_id="declined", merchant_fail_url=f"{stage.merchant_url}/no"))
        await press_pay(page)
        await choose(page, outcome)
        await expect(page.get_by_role("heading", level=1)).to_have_text("Payment not completed")
        await expect(page.get_by_role("status").first).to_have_text(text)
        await page.get_by_role("link", name="Return to the shop").click()
        await page.wait_for_url(f"{stage.merchant_url}/no")
        assert ["decline"] == await shop.told("declined")


async def test_a_payer_without_javascript_pays(stage: Stage):
    shop = await stage.project()
    async with stage.visitor(java_script_enabled=False) as page:
        await page.goto(shop.url(payment_id="plain"))
        await press_pay(page)
        await page.get_by_role("button", name="Continue to Payco").click()
        await choose(page)
        await page.locator("form button").first.click()  # the window's own way back
        await expect(page.get_by_role("heading", level=1)).to_have_text("Payment complete")
        assert ["success"] == await shop.told("plain")


async def test_a_whole_payment_by_keyboard(stage: Stage):
    shop = await stage.project()
    async with stage.visitor(size=DESK) as page:
        await page.goto(shop.url(payment_id="keys", merchant_success_url=f"{stage.merchant_url}/done"))
        await reach(page, "button.main")
        await page.keyboard.press("Enter")
        await page.wait_for_url("**/window/**")
        await reach(page, "[name=agree]")
        await page.keyboard.press("Space")
        await reach(page, "button[value=card]")
        await page.keyboard.press("Enter")
        await page.wait_for_url("**/result/**")
        await reach(page, "a.main")
        await page.keyboard.press("Enter")
        await page.wait_for_url(f"{stage.merchant_url}/done")


async def reach(page: Page, selector: str) -> None:
    """By the Tab key alone, and the focus can be seen."""
    for _ in range(30):
        await page.keyboard.press("Tab")
        if await page.evaluate("selector => document.activeElement.matches(selector)", selector):
            outline = "getComputedStyle(document.activeElement).outlineStyle"
            assert "none" != await page.evaluate(outline)
            return
    raise AssertionError(f"{selector} cannot be reached by keyboard")


async def test_the_signature_leaves_the_address_bar_and_a_reload_keeps_the_page(stage: Stage):
    shop = await stage.project()
    async with stage.visitor(expected=("400",)) as page:
        await page.goto(shop.url(payment_id="reloaded", payment_description="Tea"))
        assert f"{stage.page_url}/payment" == page.url
        await page.reload()
        await expect(page.get_by_text("reloaded")).to_be_visible()
        assert f"{stage.page_url}/payment" == page.url
        await press_pay(page)
        await choose(page)
        await expect(page.get_by_role("heading", level=1)).to_have_text("Payment complete")


async def test_the_payer_changes_the_language_at_every_step(stage: Stage):
    shop = await stage.project()
    async with stage.visitor() as page:
        await page.goto(shop.url(language_code="en"))
        await page.get_by_role("button", name="Русский").click()
        await expect(page.get_by_role("button", name="Оплатить")).to_be_visible()
        await press_pay(page)
        await choose(page, "cancel")
        await expect(page.get_by_role("heading", level=1)).to_have_text("Оплата не прошла")
        await page.get_by_role("link", name="한국어").click()
        await expect(page.get_by_role("heading", level=1)).to_have_text("결제가 완료되지 않았습니다")


async def test_going_back_from_the_window_leads_to_a_page_that_goes_on(stage: Stage):
    """Back at the form, which is known to have been sent: the address without parameters (400) finds it in the history."""
    shop = await stage.project()
    async with stage.visitor(expected=("400",)) as page:
        await page.goto(shop.url(payment_id="back"))
        await press_pay(page)
        await page.wait_for_url("**/window/**")
        await page.go_back()
        await expect(page.get_by_role("heading", level=1)).to_have_text("Finish the payment in Payco")
        await page.get_by_role("button", name="Continue to Payco").click()
        await choose(page)
        await expect(page.get_by_role("heading", level=1)).to_have_text("Payment complete")
        assert ["success"] == await shop.told("back")


async def test_a_payer_who_went_back_may_give_up(stage: Stage):
    shop = await stage.project()
    async with stage.visitor(expected=("400",)) as page:
        await page.goto(shop.url(payment_id="given-up"))
        await press_pay(page)
        await page.wait_for_url("**/window/**")
        await page.go_back()
        await expect(page.get_by_role("heading", level=1)).to_have_text("Finish the payment in Payco")
        await page.get_by_role("button", name="Cancel the payment").click()
        await expect(page.get_by_role("heading", level=1)).to_have_text("Payment not completed")
        assert ["decline"] == await shop.told("given-up")


async def test_a_double_click_pays_once(stage: Stage):
    shop = await stage.project()
    async with stage.visitor() as page:
        posts: list[str] = []
        page.on("request", lambda request: posts.append(request.url) if request.method == "POST" else None)
        await page.goto(shop.url(payment_id="double"))
        await page.dblclick("#pay .main")
        await choose(page)
        await expect(page.get_by_role("heading", level=1)).to_have_text("Payment complete")
        assert 1 == sum(url.endswith("/payment/pay") for url in posts)


async def test_a_second_tab_moves_on_by_itself(stage: Stage):
    shop = await stage.project()
    parameters = {"payment_id": "tabs"}
    async with stage.visitor() as first:
        second = await first.context.new_page()
        await first.goto(shop.url(**parameters))
        await second.goto(shop.url(**parameters))
        await press_pay(first)
        await press_pay(second)
        await expect(second.get_by_role("heading", level=1)).to_have_text("Finish the payment in Payco")
        await choose(first)
        await expect(first.get_by_role("heading", level=1)).to_have_text("Payment complete")
        await expect(second.get_by_role("heading", level=1)).to_have_text("Payment complete")


async def test_payco_in_a_new_tab_closes_it_and_the_page_shows_the_result(stage: Stage):
    shop = await stage.project()
    async with stage.visitor(size=DESK) as page:
        await page.goto(shop.url(payment_id="new-tab", force_acs_new_window=1))
        async with page.context.expect_page() as opened:
            await press_pay(page)
        window = await opened.value
        async with window.expect_event("close"):
            await choose(window)
        await expect(page.get_by_role("heading", level=1)).to_have_text("Payment complete")


async def test_a_payer_who_closes_payco_opens_it_again_and_pays(stage: Stage):
    shop = await stage.project()
    async with stage.visitor(size=DESK) as page:
        await page.goto(shop.url(payment_id="closed", force_acs_new_window=1))
        async with page.context.expect_page() as opened:
            await press_pay(page)
        await (await opened.value).close()
        await expect(page.get_by_role("heading", level=1)).to_have_text("Finish the payment in Payco")
        async with page.context.expect_page() as opened_again:
            await page.get_by_role("button", name="Continue to Payco").click()
        window = await opened_again.value
        async with window.expect_event("close"):
            await choose(window)
        await expect(page.get_by_role("heading", level=1)).to_have_text("Payment complete")
        assert ["success"] == await shop.told("closed")


async def test_the_time_runs_out_on_an_open_page(stage: Stage, tmp_path: Path):
    """Ten minutes pass at once, in the browser and on a server of this test's own."""
    shop = await stage.project()
    async with stage.server_with_a_clock(tmp_path / "clock") as (page_url, clock), stage.visitor() as page:
        limit = clock.now() + timedelta(minutes=10)
        await page.clock.install()
        url = shop.url(best_before=f"{limit:%Y-%m-%dT%H:%M:%S}+00:00", payment_id="too-late")
        await page.goto(url.replace(stage.page_url, page_url))
        await expect(page.locator("[data-face]")).to_have_text(re.compile("(10:00|09:[345]\\d)"))
        await page.clock.fast_forward(6 * 60_000)
        await expect(page.locator(".clock")).to_have_class("clock runs short")
        await expect(page.locator("[data-say]")).to_have_text("Five minutes left to pay.")
        clock.advance(601)
        await page.clock.fast_forward(5 * 60_000)
        await page.clock.run_for(2_000)
        await expect(page.get_by_role("heading", level=1)).to_have_text("The time to pay is over")
        await expect(page.get_by_text("too-late")).to_be_visible()
        await expect(page.locator("#pay")).to_have_count(0)


async def test_a_payer_tries_again_and_pays(stage: Stage):
    shop = await stage.project(try_again=True)
    async with stage.visitor() as page:
        await page.goto(shop.url(payment_id="again"))
        await press_pay(page)
        await choose(page, "cancel")
        await expect(page.locator(".clock b")).to_have_text(re.compile("(10:00|09:5\\d)"))
        await page.get_by_role("button", name="Try again").click()
        await choose(page)
        await expect(page.get_by_role("heading", level=1)).to_have_text("Payment complete")
        assert ["awaiting customer", "success"] == await shop.told("again")


async def test_an_unclear_outcome_is_waited_for(stage: Stage):
    """Nobody knows whether the money was taken: the page says so, and moves on when the worker has found out (N-10)."""
    shop = await stage.project()
    async with stage.visitor() as page:
        await page.goto(shop.url(payment_id="unclear"))
        await press_pay(page)
        await page.wait_for_url("**/window/**")
        await stage.confuse(rungs=1)
        await choose(page)
        await expect(page.get_by_role("heading", level=1)).to_have_text("Confirming your payment")
        await expect(page.get_by_role("heading", level=1)).to_have_text("Payment not completed")
        await expect(page.get_by_text("If money was taken from your account")).to_be_visible()
        assert ["decline"] == await shop.told("unclear")


async def test_a_lost_network_is_said_and_mended(stage: Stage):
    shop = await stage.project()
    async with stage.visitor(expected=("ERR_INTERNET_DISCONNECTED", "400")) as page:
        await page.goto(shop.url(payment_id="offline"))
        if not await page.evaluate("navigator.onLine"):
            pytest.skip("this machine has no network, and the browser takes itself for offline all the time")
        await press_pay(page)
        await page.wait_for_url("**/window/**")
        await page.go_back()
        await page.context.set_offline(True)
        await expect(page.get_by_text("You are offline.")).to_be_visible()
        await page.context.set_offline(False)
        await expect(page.get_by_text("You are offline.")).to_have_count(0)
        await page.get_by_role("button", name="Continue to Payco").click()
        await choose(page)
        await expect(page.get_by_role("heading", level=1)).to_have_text("Payment complete")


async def test_the_first_view_is_light_still_and_all_our_own(stage: Stage):
    shop = await stage.project()
    answers: list[Any] = []
    async with stage.visitor() as page:
        page.on("response", lambda answer: answers.append(answer))
        await page.add_init_script(
            "window.shifts = []; new PerformanceObserver(list => shifts.push(...list.getEntries()))"
            ".observe({type: 'layout-shift', buffered: true})"
        )
        later = datetime.now(UTC) + timedelta(minutes=20)
        await page.goto(shop.url(best_before=f"{later:%Y-%m-%dT%H:%M:%S}+00:00"), wait_until="networkidle")
        weight = sum([len(await answer.body()) for answer in answers])
        assert 5_000 < weight <= 40 * 1024
        assert {stage.page_url} == {answer.url[: len(stage.page_url)] for answer in answers}
        assert 0 == await page.evaluate("shifts.reduce((sum, shift) => sum + shift.value, 0)")


async def test_a_page_that_breaks_its_policy_is_reported(stage: Stage, caplog: pytest.LogCaptureFixture):
    shop = await stage.project()
    async with stage.visitor(expected=("Content Security Policy",)) as page:
        await page.goto(shop.url())
        await page.evaluate(
            "document.body.append(Object.assign(document.createElement('script'), {text: '1'}))"
        )
        await until(lambda: "a page broke its policy" in caplog.text)


@pytest.mark.parametrize("width", [320, 360, 1100])
async def test_nothing_is_wider_than_the_screen(stage: Stage, width: int):
    shop = await stage.project()
    long = {"payment_id": "N" * 255, "payment_description": "Зелёный чай " * 20}
    async with stage.visitor(size={**PHONE, "width": width}, locale="ru-RU") as page:
        await page.goto(shop.url(**long, merchant_return_url=f"{stage.merchant_url}/"))
        assert width >= await page.evaluate("document.documentElement.scrollWidth")
