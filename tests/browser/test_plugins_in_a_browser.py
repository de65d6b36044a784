"""The calls that shop plugins make of merchant.js, in the forms in which published ones make them: WooCommerce (two generations),
Magento, PrestaShop, Salesforce Commerce Cloud, nopCommerce, and single-page shops. Every plugin is played in our own words."""

import json
from typing import Any

import pytest
from playwright.async_api import Page, expect
from tests.browser.stage import DESK, Shop, Stage, choose, press_pay
from tests.browser.test_widget_in_a_browser import SETTLED, frame_of, heard, names, shop_page, told
from tests.processes import until

PLACE = {"target_element": "place"}


def embedded(shop: Shop, **changes: Any) -> str:
    return json.dumps(shop.parameters(**PLACE, frame_mode="embedded", **changes))


async def paid(page: Page, shop: Shop, payment_id: str) -> None:
    await choose(page)
    await expect(page.get_by_role("heading", level=1)).to_have_text(SETTLED)
    assert ["success"] == await shop.told(payment_id)


# --- how the script gets into the page ------------------------------------------------------------------------------------------

LOADERS = {
    "a tag with a version": '<script src="{src}?ver=5.0.0"></script>',
    "appended by a script": (
        "<script>document.head.append(Object.assign(document.createElement('script'), {{src: '{src}'}}))</script>"
    ),
    "fetched and evaluated": (
        "<script type='text/plain' src='{src}'></script>"
        "<script>fetch('{src}').then((answer) => answer.text()).then((text) => {{"
        " document.head.append(Object.assign(document.createElement('script'), {{text}})) }})</script>"
    ),
}


@pytest.mark.parametrize("loader", LOADERS.values(), ids=LOADERS.keys())
async def test_the_library_finds_its_host_however_it_was_loaded(stage: Stage, loader: str):
    shop = await stage.project()
    head = loader.format(src=f"{stage.page_url}/shared/merchant.js")
    async with stage.visitor(size=DESK) as page:
        await page.goto(shop_page(stage, "", head=head))
        await page.wait_for_function("window.EPayWidget")
        await page.evaluate(
            "config => void EPayWidget.run({...config, ...handlers}, 'POST')", shop.parameters()
        )
        await heard(page, "onLoaded")


# --- a window over the shop -----------------------------------------------------------------------------------------------------


async def test_a_plugin_that_listens_to_the_raw_messages_of_its_window(stage: Stage):
    """The older WooCommerce plugin and nopCommerce: no handlers, every message of the window is parsed."""
    shop = await stage.project()
    listen = "window.raw = []; addEventListener('message', (event) => raw.push(JSON.parse(event.data)));"
    call = f"{listen} EPayWidget.run({json.dumps(shop.parameters())}, 'post');"
    async with stage.visitor(size=DESK) as page:
        await page.goto(shop_page(stage, call))
        await page.wait_for_function("raw.some(({message}) => message === 'epframe.loaded')")
        frame = await frame_of(page)
        await frame.get_by_role("button", name="Cancel and return to the shop").click()
        await page.wait_for_function("raw.some(({message}) => message === 'epframe.exit')")
        told = await page.evaluate("raw.map(({message}) => message)")
        assert ["epframe.destroy", "epframe.exit"] == [
            name for name in told if name.endswith(("destroy", "exit"))
        ]


async def test_parameters_taken_from_a_finished_page_address(stage: Stage):
    """The older PrestaShop plugin takes the SDK's address apart and runs what it finds, all of it texts."""
    shop = await stage.project()
    apart = "Object.fromEntries(new URL(address).searchParams)"
    async with stage.visitor(size=DESK) as page:
        await page.goto(shop_page(stage, ""))
        run = f"address => void EPayWidget.run({{...{apart}, ...handlers}})"
        await page.evaluate(run, shop.url(payment_id="apart", frame_mode="popup"))
        await press_pay(await frame_of(page))
        await paid(page, shop, "apart")


# --- embedded, with the shop's own button ---------------------------------------------------------------------------------------

CHECK = {"message": "epframe.embedded_mode.check_validation", "from_another_domain": True}
SUBMIT = {"message": "epframe.embedded_mode.submit", "from_another_domain": True}


@pytest.mark.parametrize("fields", [None, {}], ids=["Magento", "PrestaShop"])
async def test_a_shop_that_submits_what_it_had_signed_before(stage: Stage, fields: dict[str, str] | None):
    shop = await stage.project()
    call = f"window.widget = EPayWidget.run({{...{embedded(shop, payment_id='as-it-was')}, ...handlers}}, 'POST');"
    submit = SUBMIT if fields is None else {**SUBMIT, "fields": fields}
    async with stage.visitor(size=DESK) as page:
        await page.goto(shop_page(stage, call))
        await heard(page, "onLoaded")
        await page.evaluate("check => widget.sendPostMessage(check)", CHECK)
        assert {} == await heard(page, "onEmbeddedModeCheckValidationResponse")
        await page.evaluate("submit => widget.sendPostMessage(submit)", submit)
        await paid(page, shop, "as-it-was")


async def test_a_shop_that_renames_what_is_about_the_payer(stage: Stage):
    """WooCommerce and Magento sign the order, and then rename fields; a country is added that nobody signed."""
    shop = await stage.project()
    about = {"customer_email": "kim@example.com", "customer_first_name": "민수", "billing_country": "KR"}
    signed = shop.parameters(payment_id="renamed", **PLACE, **about)
    fields = {f"BillingInfo[{name}]" if name in about else name: value for name, value in signed.items()}
    fields |= {"BillingInfo[country]": "KR", "frame_mode": "iframe"}
    async with stage.visitor(size=DESK) as page:
        await page.goto(shop_page(stage, f"EPayWidget.run({{...{embedded(shop)}, ...handlers}}, 'POST');"))
        await heard(page, "onLoaded")
        await page.evaluate("text => window.postMessage(text)", json.dumps({**SUBMIT, "fields": fields}))
        await paid(page, shop, "renamed")


async def test_fields_that_were_changed_after_signing_pay_nothing(stage: Stage):
    shop = await stage.project()
    fields = {**shop.parameters(payment_id="changed", **PLACE), "payment_amount": "1"}
    async with stage.visitor(size=DESK, expected=("400",)) as page:
        await page.goto(shop_page(stage, f"EPayWidget.run({{...{embedded(shop)}, ...handlers}}, 'POST');"))
        await heard(page, "onLoaded")
        await page.evaluate("text => window.postMessage(text)", json.dumps({**SUBMIT, "fields": fields}))
        assert "3261 Invalid signature" == (await heard(page, "onFailLoading"))["message"]


async def test_a_cart_that_changes_opens_the_page_anew_in_the_same_element(stage: Stage):
    """Salesforce and Magento run the widget again, PrestaShop after emptying the element; only the last page is obeyed."""
    shop = await stage.project()
    async with stage.visitor(size=DESK) as page:
        await page.goto(shop_page(stage, ""))
        run = "config => void EPayWidget.run({...config, ...handlers}, 'GET')"
        for payment_id in ("cart-1", "cart-2"):
            await page.evaluate(run, shop.parameters(payment_id=payment_id, **PLACE))
            await page.frame_locator("#place iframe").get_by_text(payment_id).wait_for()
        await page.evaluate("document.getElementById('place').innerHTML = ''")
        await page.evaluate(run, shop.parameters(payment_id="cart-3", **PLACE))
        await page.frame_locator("#place iframe").get_by_text("cart-3").wait_for()
        assert 1 == await page.locator("#place iframe").count()

        async def loaded() -> bool:
            return (await names(page)).count("onLoaded") >= 3

        await until(loaded)
        await page.wait_for_timeout(300)
        assert 3 == (await names(page)).count("onLoaded")


# --- the shop has the last word -------------------------------------------------------------------------------------------------

ASKING = "onCheckSubmit: async (data, resolve, reject) => { note('onCheckSubmit', data); (window.agrees ? resolve : reject)(); }"


@pytest.mark.parametrize("agrees", [True, False])
async def test_a_shop_is_asked_before_its_own_button_pays(stage: Stage, agrees: bool):
    shop = await stage.project()
    config = f"{{...{embedded(shop, payment_id=f'asked-{agrees}')}, ...handlers, {ASKING}}}"
    async with stage.visitor(size=DESK) as page:
        checkout = shop_page(stage, f"window.widget = EPayWidget.runEmbedded({config}, 'POST');")
        await page.goto(checkout)
        await heard(page, "onLoaded")
        await page.evaluate("agrees => { window.agrees = agrees; widget.trySubmit(); }", agrees)
        if agrees:  # the page leaves in the same moment, so it is asked afterwards
            await paid(page, shop, "asked-True")
            assert "onCheckSubmit" in [name for name, _ in await told(page, checkout)]
        else:
            await heard(page, "onCheckSubmit")
            await page.wait_for_timeout(400)
            assert page.url.endswith("/checkout")
            assert "onPaymentSent" not in await names(page)


async def test_of_two_forms_on_a_page_one_pays(stage: Stage):
    """A shop with two embedded pages: while one is paid the other's button does nothing, and comes back with a new try."""
    shop = await stage.project()
    # The window of the first stays unopened, because no click of a payer asked for it: nothing but the buttons is looked at.
    other = "document.body.append(Object.assign(document.createElement('div'), {id: 'other'}));"
    second = json.dumps(shop.parameters(target_element="other"))
    run = (
        f"{other} window.first = EPayWidget.runEmbedded({{...{embedded(shop, force_acs_new_window=1)}}});"
        f"window.second = EPayWidget.runEmbedded({{...{second}}});"
    )
    async with stage.visitor(size=DESK, expected=("Blocked",)) as page:
        await page.goto(shop_page(stage, run))
        button = page.frame_locator("#other iframe").locator("#pay .main")
        await expect(button).to_be_visible()
        await page.wait_for_function("first.loaded && second.loaded")
        await page.evaluate("first.trySubmit()")
        await expect(button).to_have_attribute("aria-disabled", "true")
        await page.evaluate(
            "EPayWidget.broadcastToOtherWidgets('epframe.embedded_mode.buttons_enable', first.guid)"
        )
        await expect(button).not_to_have_attribute("aria-disabled", "true")


async def test_a_shop_may_leave_the_full_screen(stage: Stage):
    stage.publish_file("/payment", "page_of_others.html")
    call = f"window.widget = EPayWidget.run({{baseUrl: '{stage.merchant_url}', target_element: 'place', ...handlers}});"
    async with stage.visitor(size=DESK) as page:
        await page.goto(shop_page(stage, call))
        await heard(page, "onLoaded")
        frame = await frame_of(page)
        await frame.evaluate("say('acs_redirect_iframe')")
        await expect(page.locator("iframe.fullscreen-iframe")).to_have_count(1)
        await page.evaluate("widget.exitIframeFullscren()")
        await expect(page.locator("iframe.fullscreen-iframe")).to_have_count(0)
