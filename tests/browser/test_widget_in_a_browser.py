"""merchant.js on a merchant's site of another origin: every way to open the page, handlers in order, and who is believed."""

import base64
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Frame, Page, expect
from tests.browser.stage import DESK, PHONE, Shop, Stage, choose, press_pay

from wongate.web.shared_files import RELEASED

SETTLED = "Payment complete"


def shop_page(stage: Stage, call: str, head: str = "") -> str:
    """A merchant's page that notes every handler's call, and then runs `call`."""
    head = head or f'<script src="{stage.page_url}/shared/merchant.js"></script>'
    return stage.publish_file("/checkout", "checkout.html", HEAD=head, CALL=call)


async def told(page: Page, url: str = "") -> list[tuple[str, Any]]:
    """Handlers that were called on the merchant's pages of this tab."""
    if url:
        await page.goto(url)
    noted = await page.evaluate("JSON.parse(sessionStorage.told || '[]')")
    return [(name, data) for name, data in noted]


async def names(page: Page) -> list[str]:
    return [name for name, _ in await told(page)]


async def heard(page: Page, name: str) -> Any:
    """Waits until the handler was called; its data."""
    noted = f"JSON.parse(sessionStorage.told || '[]').some(([told]) => told === '{name}')"
    await page.wait_for_function(noted)
    return next(data for told_name, data in await told(page) if told_name == name)


async def frame_of(page: Page) -> Frame:
    element = await page.wait_for_selector("iframe.ep-iframe")
    frame = await element.content_frame() if element else None
    assert frame is not None
    await frame.wait_for_selector("main")
    return frame


def run(shop: Shop, method: str = "get", **changes: Any) -> str:
    return f"window.widget = EPayWidget.run({{...{json.dumps(shop.parameters(**changes))}, ...handlers}}, '{method}');"


@pytest.mark.parametrize("method", ["get", "POST"])
async def test_the_source_documents_call_works_from_another_origin(stage: Stage, method: str):
    """The window over the shop; Payco takes the shop's whole tab, because foreign wallets refuse frames (E-28)."""
    shop = await stage.project()
    async with stage.visitor(size=DESK) as page:
        await page.goto(shop_page(stage, run(shop, method, payment_id=f"seed-{method}")))
        frame = await frame_of(page)
        assert "popup framed" == await frame.evaluate("document.body.className")
        await expect(page.locator("#ep-modal-wrap")).to_have_class("ep-modal-wrap loaded")
        await press_pay(frame)
        await choose(page)
        await expect(page.get_by_role("heading", level=1)).to_have_text(SETTLED)
        assert ["success"] == await shop.told(f"seed-{method}")
        expected = "onRun onLoaded onPaymentMethodSelect onPaymentSent onPaymentSubmitResult onAcsParentPageRedirectRun"
        shop_again = stage.publish("/empty", "<h1>Shop</h1>")
        assert expected.split() == [name for name, _ in await told(page, shop_again)]


@pytest.mark.parametrize(
    "outcome, handler, status",
    [("card", "onPaymentSuccess", "success"), ("cancel", "onPaymentFail", "decline")],
)
async def test_handlers_get_the_documented_object(stage: Stage, outcome: str, handler: str, status: str):
    shop = await stage.project()
    call = run(shop, payment_id="object", force_acs_new_window=1, payment_description="Tea")
    async with stage.visitor(size=DESK) as page:
        await page.goto(shop_page(stage, call))
        frame = await frame_of(page)
        async with page.context.expect_page() as opened:
            await press_pay(frame)
        await choose(await opened.value, outcome)
        data = await heard(page, handler)
        assert ("object", status, "payco") == tuple(
            data["payment"][part] for part in ("id", "status", "method")
        )
        assert {"amount": 1000, "currency": "KRW"} == data["sum_request"]
        assert "1234" == data["customer"]["id"]
        sent = await heard(page, "onPaymentSubmitResult")
        assert sent["request_id"] == data["request_id"] == data["operations"][0]["request_id"]
        await page.locator("#ep-modal-close").click()
        await expect(page.locator("#ep-modal-container")).to_be_hidden()
        expected = [
            "onRun",
            "onLoaded",
            "onPaymentMethodSelect",
            "onPaymentSent",
            "onPaymentSubmitResult",
            handler,
            "onExit",
        ]
        assert expected == await names(page)


async def test_payco_may_stay_inside_the_window(stage: Stage):
    """Offered, but off by default (E-28)."""
    shop = await stage.project(window_in_frame=True)
    async with stage.visitor(size=DESK) as page:
        await page.goto(shop_page(stage, run(shop, payment_id="inside")))
        frame = await frame_of(page)
        await press_pay(frame)
        await choose(frame)
        await heard(page, "onPaymentSuccess")
        await expect(page.frame_locator("iframe").get_by_role("heading", level=1)).to_have_text(SETTLED)
        expected = (
            "onRun onLoaded onPaymentMethodSelect onPaymentSent onPaymentSubmitResult onRedirectIframe "
            "onRedirectIframeComplete onPaymentSuccess"
        )
        assert expected.split() == await names(page)


@pytest.mark.parametrize("method", ["get", "post"])
async def test_the_page_inside_an_element_of_the_shop(stage: Stage, method: str):
    shop = await stage.project()
    call = run(shop, method, payment_id=f"element-{method}", target_element="place", force_acs_new_window=1)
    async with stage.visitor(size=DESK) as page:
        await page.goto(shop_page(stage, call))
        frame = await frame_of(page)
        assert "place" == await page.evaluate("document.querySelector('iframe').parentElement.id")
        await heard(page, "onLoaded")
        height = await frame.evaluate("Math.ceil(document.body.getBoundingClientRect().height)")
        await page.wait_for_function(f"document.querySelector('iframe').style.height === '{height}px'")
        async with page.context.expect_page() as opened:
            await page.evaluate("widget.externalSubmit()")
        await choose(await opened.value)
        await expect(frame.get_by_role("heading", level=1)).to_have_text(SETTLED)


async def test_the_embedded_page_is_submitted_by_the_shops_own_button(stage: Stage):
    shop = await stage.project()
    parameters = json.dumps(shop.parameters(payment_id="embedded", target_element="place"))
    call = f"window.widget = EPayWidget.runEmbedded({{...{parameters}, ...handlers}});"
    async with stage.visitor(size=DESK) as page:
        await page.goto(
            shop_page(stage, f"{call} document.getElementById('buy').onclick = () => widget.trySubmit();")
        )
        frame = await frame_of(page)
        assert "embedded framed" == await frame.evaluate("document.body.className")
        await heard(page, "onLoaded")
        await page.locator("#buy").click()
        await choose(page)
        await expect(page.get_by_role("heading", level=1)).to_have_text(SETTLED)


async def test_shop_plugins_that_speak_to_their_own_window_are_passed_on(stage: Stage):
    """What WooCommerce's and Magento's plugins do: validate, place the order, then submit with parameters signed anew."""
    shop = await stage.project()
    first = json.dumps(shop.parameters(payment_id="draft", target_element="place"))
    async with stage.visitor(size=DESK) as page:
        await page.goto(shop_page(stage, f"EPayWidget.runEmbedded({{...{first}, ...handlers}});"))
        await heard(page, "onLoaded")
        await page.evaluate("check()")
        assert {} == await heard(page, "onEmbeddedModeCheckValidationResponse")
        await page.evaluate("submit", shop.parameters(payment_id="final", target_element="place"))
        await choose(page)
        await expect(page.get_by_text("final")).to_be_visible()
        assert ["success"] == await shop.told("final")


@pytest.mark.parametrize("method", ["get", "post"])
async def test_the_page_in_place_of_the_shop(stage: Stage, method: str):
    shop = await stage.project()
    async with stage.visitor() as page:
        await page.goto(shop_page(stage, run(shop, method, payment_id="instead", redirect=1)))
        await page.wait_for_url(f"{stage.page_url}/payment")
        assert "" == await page.evaluate("document.body.className")


async def test_phones_get_the_page_in_place_of_the_shop_when_asked_for(stage: Stage):
    shop = await stage.project()
    call = run(shop, redirect_on_mobile=1)
    phone = "Mozilla/5.0 (Linux; Android 14) AppleWebKit/537.36 Chrome/130.0 Mobile Safari/537.36"
    async with stage.visitor(user_agent=phone) as page:
        await page.goto(shop_page(stage, call))
        await page.wait_for_url(f"{stage.page_url}/payment")
    async with stage.visitor(size=DESK) as page:
        await page.goto(shop_page(stage, call))
        await frame_of(page)


async def test_a_bound_button_opens_the_window_and_every_way_out_closes_it(stage: Stage):
    shop = await stage.project()
    parameters = json.dumps(shop.parameters(close_on_missclick=1))
    async with stage.visitor(size=DESK) as page:
        await page.goto(shop_page(stage, f"EPayWidget.bind('buy', {{...{parameters}, ...handlers}});"))
        container = page.locator("#ep-modal-container")
        for close in ("click", "Escape", "outside"):
            await page.locator("#buy").click()
            await frame_of(page)
            await expect(page.locator("#ep-modal-wrap.loaded")).to_be_visible()
            if close == "click":
                await page.locator("#ep-modal-close").click()
            elif close == "Escape":
                await page.keyboard.press("Escape")
            else:
                await page.mouse.click(5, 5)
            await expect(container).to_be_hidden()
            assert "buy" == await page.evaluate("document.activeElement.id")
        assert ["onRun", "onLoaded", "onPaymentMethodSelect", "onExit"] * 3 == await names(page)


async def test_a_click_outside_closes_nothing_by_default(stage: Stage):
    shop = await stage.project()
    async with stage.visitor(size=DESK) as page:
        await page.goto(shop_page(stage, run(shop)))
        await frame_of(page)
        await page.mouse.click(5, 5)
        await expect(page.locator("#ep-modal-container")).to_be_visible()


async def test_leaving_before_the_result_destroys_and_exits(stage: Stage):
    shop = await stage.project()
    async with stage.visitor(size=DESK) as page:
        await page.goto(shop_page(stage, run(shop)))
        frame = await frame_of(page)
        await frame.get_by_role("button", name="Cancel and return to the shop").click()
        await expect(page.locator("#ep-modal-container")).to_be_hidden()
        assert ["onDestroy", "onExit"] == (await names(page))[-2:]


@pytest.mark.parametrize("mode, where", [("", "parent"), ("parent_page", "parent"), ("iframe", "frame")])
async def test_the_way_back_leads_the_shops_page_on(stage: Stage, mode: str, where: str):
    shop = await stage.project()
    back = stage.publish("/back", "<h1>Welcome back</h1>")
    changes = {"merchant_return_url": back, **({"merchant_return_redirect_mode": mode} if mode else {})}
    async with stage.visitor(size=DESK) as page:
        await page.goto(shop_page(stage, run(shop, **changes)))
        frame = await frame_of(page)
        await frame.get_by_role("link", name="Cancel and return to the shop").click()
        place = page if where == "parent" else frame
        await expect(place.get_by_role("heading", name="Welcome back")).to_be_visible()


@pytest.mark.parametrize("mode, where", [("parent_page", "parent"), ("iframe", "frame")])
async def test_a_redirect_after_the_result_opens_where_it_should(stage: Stage, mode: str, where: str):
    shop = await stage.project()
    thanks = stage.publish("/thanks", "<h1>Thank you</h1>")
    call = run(shop, redirect_success_url=thanks, redirect_success_mode=mode, force_acs_new_window=1)
    async with stage.visitor(size=DESK) as page:
        await page.goto(shop_page(stage, call))
        frame = await frame_of(page)
        async with page.context.expect_page() as opened:
            await press_pay(frame)
        await choose(await opened.value)
        place = page if where == "parent" else frame
        await expect(place.get_by_role("heading", name="Thank you")).to_be_visible()
        assert "onPaymentSuccess" in await names(page)


async def test_a_refused_page_reports_once_and_says_why(stage: Stage):
    shop = await stage.project()
    parameters = {**shop.parameters(), "payment_amount": 999}
    call = f"window.widget = EPayWidget.run({{...{json.dumps(parameters)}, ...handlers}});"
    async with stage.visitor(size=DESK, expected=("400",)) as page:
        await page.clock.install()
        await page.goto(shop_page(stage, call))
        data = await heard(page, "onFailLoading")
        assert "3261 Invalid signature" == data["message"]
        assert parameters["payment_id"] == data["config"]["payment_id"]
        await page.clock.fast_forward(5300)  # the library's own patience is over by now
        assert 1 == (await names(page)).count("onFailLoading")


async def test_a_site_that_is_not_registered_gets_no_page(stage: Stage):
    shop = await stage.project(frame_origins=["https://elsewhere.example"])
    async with stage.visitor(size=DESK, expected=("frame-ancestors", "postMessage")) as page:
        await page.goto(shop_page(stage, run(shop)))
        data = await heard(page, "onFailLoading")
        assert "Network problem" == data["message"]


async def test_a_wildcard_port_lets_a_developers_page_in(stage: Stage):
    shop = await stage.project(frame_origins=["http://127.0.0.1:*"])
    async with stage.visitor(size=DESK) as page:
        await page.goto(shop_page(stage, run(shop)))
        await heard(page, "onLoaded")


async def test_a_call_that_cannot_work_throws_a_text(stage: Stage):
    async with stage.visitor(size=DESK) as page:
        await page.goto(shop_page(stage, ""))
        calls = {
            "{target_element: 'nowhere'}": "Invalid target_element",
            "{mode: 'purchase'}": "Payment not specified.",
        }
        for config, text in calls.items():
            thrown = f"(() => {{ try {{ EPayWidget.run({config}) }} catch (error) {{ return error }} }})()"
            assert text == await page.evaluate(thrown)


# --- who is believed ------------------------------------------------------------------------------------------------------------


async def test_the_shop_believes_no_frame_but_the_payment_page(stage: Stage):
    shop = await stage.project()
    hostile = stage.publish_file("/hostile", "hostile.html").replace("127.0.0.1", "localhost")
    async with stage.visitor(size=DESK) as page:
        await page.goto(shop_page(stage, run(shop)))
        await heard(page, "onLoaded")
        before = await names(page)
        add = "url => document.body.append(Object.assign(document.createElement('iframe'), {src: url}))"
        await page.evaluate(add, hostile)
        await page.wait_for_timeout(400)
        assert before == await names(page)
        assert page.url.endswith("/checkout")
        await expect(page.locator("#ep-modal-container")).to_be_visible()


async def test_the_page_obeys_no_window_but_its_registered_parent(stage: Stage):
    """An opener of another origin sends every order there is; the page does not even answer."""
    shop = await stage.project()
    url = stage.publish_file("/opener", "opener.html", URL=json.dumps(shop.url(payment_id="ordered")))
    async with stage.visitor(size=DESK) as page:
        await page.goto(url)
        async with page.context.expect_page() as opened:
            await page.locator("#go").click()
        payment = await opened.value
        await payment.wait_for_selector("#pay")
        await page.evaluate("order()")
        await payment.wait_for_timeout(400)
        assert f"{stage.page_url}/payment" == payment.url
        assert 0 == await page.evaluate("heard")


# --- other people's scripts and pages -------------------------------------------------------------------------------------------


async def test_a_script_that_shouts_to_everybody_drives_our_page(stage: Stage):
    shop = await stage.project()
    url = stage.publish_file("/foreign", "shouting.html", URL=json.dumps(shop.url(payment_id="foreign")))
    async with stage.visitor(size=DESK) as page:
        await page.goto(url)
        frame = await frame_of(page)
        await page.wait_for_function("got.some(({message}) => message === 'epframe.loaded')")
        assert {"0a1b-2c3d-4e5f-6071"} == set(await page.evaluate("got.map(({guid}) => guid)"))
        await page.evaluate("frames[0].postMessage(JSON.stringify({message: 'resize'}), '*')")
        await page.wait_for_function("got.some(({message}) => message === 'epframe.resize')")
        await press_pay(frame)
        await choose(page)
        await expect(page.get_by_role("heading", level=1)).to_have_text(SETTLED)
        assert ["success"] == await shop.told("foreign")


async def test_our_script_drives_a_page_of_the_same_protocol(stage: Stage):
    stage.publish_file("/payment", "page_of_others.html")
    config = json.dumps({"payment_id": "a", "baseUrl": stage.merchant_url, "css_modal_wrap": "own"})
    call = f"EPayWidget.run({{...{config}, ...handlers}});"
    async with stage.visitor(size=DESK) as page:
        await page.goto(shop_page(stage, call))
        frame = await frame_of(page)
        await heard(page, "onLoaded")
        query = await frame.evaluate("location.search")
        assert all(
            part in query
            for part in ("payment_id=a", "frame_mode=popup", "_referrer=", "_sw=1100", "_sh=800")
        )
        style = "document.querySelector('iframe').style.height"
        assert "333px" == await page.evaluate(style)
        await frame.evaluate(
            "say('resize', {width: 1, height: 444}); say('add_css_class', 'wide'); say('redirect_iframe')"
        )
        await page.wait_for_function(f"{style} === '444px'")
        assert "own shown wide" == " ".join(
            sorted((await page.locator("#ep-modal-container").get_attribute("class") or "").split())
        )
        assert "with-asc" in (await page.locator("#ep-modal-wrap").get_attribute("class") or "")
        await frame.evaluate("say('resize_from_another_src', undefined, {height: 555, width: 5})")
        await page.wait_for_function(f"{style} === '555px'")
        await frame.wait_for_function("orders.some(({formAnotherSrc}) => formAnotherSrc)")
        for url in ("javascript:alert(1)", "data:text/html,x", "vbscript:x", "relative"):
            await frame.evaluate("url => say('redirect', {url})", url)
        await page.wait_for_timeout(200)
        assert page.url.endswith("/checkout")
        await frame.evaluate("url => say('redirect', {url})", f"{stage.merchant_url}/done")
        await page.wait_for_url(f"{stage.merchant_url}/done")


async def test_changes_are_reported_only_when_something_changed(stage: Stage):
    stage.publish_file("/payment", "page_of_others.html")
    call = f"EPayWidget.run({{baseUrl: '{stage.merchant_url}', ...handlers}});"
    async with stage.visitor(size=DESK) as page:
        await page.goto(shop_page(stage, call))
        await heard(page, "onLoaded")
        frame = await frame_of(page)
        for value in (1, 1, 2):
            await frame.evaluate("value => say('amount_change', {value, currency: 'KRW'})", value)
        await frame.evaluate("say('exit')")
        await heard(page, "onExit")
        assert 2 == (await names(page)).count("onAmountChange")


async def test_the_pinned_name_works_with_its_hash(stage: Stage):
    shop = await stage.project()
    async with stage.visitor(size=DESK, expected=("integrity",)) as page:
        answer = await page.request.get(f"{stage.page_url}/shared/merchant.json")
        pinned = (await answer.json())["merchant.js"]
        tag = '<script src="{url}" integrity="{integrity}" crossorigin></script>'
        await page.goto(shop_page(stage, run(shop), head=tag.format(**pinned)))
        await heard(page, "onLoaded")
        wrong = {**pinned, "integrity": pinned["integrity"][:-4] + "AAA="}
        await page.goto(shop_page(stage, "", head=tag.format(**wrong)))
        assert "undefined" == await page.evaluate("typeof EPayWidget")


@pytest.mark.parametrize("file", sorted(RELEASED.glob("*.js")), ids=lambda file: file.name)
async def test_a_library_pinned_at_an_earlier_release_opens_the_page(stage: Stage, file: Path):
    shop = await stage.project()
    integrity = base64.b64encode(hashlib.sha384(file.read_bytes()).digest()).decode()
    head = f'<script src="{stage.page_url}/shared/{file.name}" integrity="sha384-{integrity}" crossorigin></script>'
    async with stage.visitor(size=DESK) as page:
        await page.goto(shop_page(stage, run(shop, payment_id=f"pinned-{file.stem}"), head=head))
        await heard(page, "onLoaded")
        await press_pay(await frame_of(page))
        await choose(page)
        await expect(page.get_by_role("heading", level=1)).to_have_text(SETTLED)


# --- the demo shop --------------------------------------------------------------------------------------------------------------


async def test_the_demo_shop_is_paid_through_the_page(stage: Stage):
    async with stage.visitor(size=PHONE, locale="ko-KR") as page:
        await order_in_shop(stage, page, "page")
        await page.locator("#pay .main").click()
        await choose(page)
        await page.wait_for_url(f"{stage.shop_url}/return/success*")
        await expect(page.locator("#verdict")).to_contain_text("결제 완료")


async def test_the_demo_shop_is_paid_through_the_window(stage: Stage):
    async with stage.visitor(size=DESK, locale="ko-KR") as page:
        await order_in_shop(stage, page, "widget")
        frame = await frame_of(page)
        await press_pay(frame)
        await choose(page)
        await page.wait_for_url(f"{stage.shop_url}/return/success*")
        await expect(page.locator("#verdict")).to_contain_text("결제 완료")


async def order_in_shop(stage: Stage, page: Page, way: str) -> None:
    await page.goto(f"{stage.shop_url}/checkout/tea")
    await page.locator(f"form:has([name=way][value={way}]) button").click()
