"""Every page that a payer sees, in three languages and two widths: pictures, nothing that axe objects to, no overflow."""

from collections.abc import Callable, Coroutine
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.async_api import Page, ViewportSize
from tests.browser.stage import DESK, PHONE, Stage, choose, press_pay

AXE = (Path(__file__).parents[2] / "node_modules" / "axe-core" / "axe.min.js").read_text()
TEXTS = {
    "ko": "첫물 녹차 100g",
    "en": "First-flush green tea, 100 g",
    "ru": "Зелёный чай первого сбора, 100 г",
}
SCREENS: dict[str, tuple[ViewportSize, Literal["light", "dark"]]] = {
    "phone": (PHONE, "light"),
    "desk": (DESK, "dark"),
}
# Pseudo-localisation: every text of a page a third longer, with accents, as the longest language might have it.
STRETCH = """() => {
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    const text = node.data.trim();
    const more = " ẅörd".repeat(Math.ceil(text.length / 15));
    if (text) node.data = `[${text.replace(/[aeiou]/g, (letter) => letter + "\\u0301")}${more}]`;
  }
}"""

NARROW = ViewportSize(width=320, height=640)

Addresses = dict[str, str]
"""A page's address in each language."""

Way = Callable[[Stage, Page], Coroutine[Any, Any, Addresses]]
"""How a payer gets to a page."""


def in_minutes(minutes: float) -> str:
    return f"{datetime.now(UTC) + timedelta(minutes=minutes):%Y-%m-%dT%H:%M:%S}+00:00"


async def a_form(stage: Stage, *, settings: dict[str, Any] | None = None, **changes: Any) -> dict[str, str]:
    """Links to a form in each language."""
    shop = await stage.project(**(settings or {}))
    back = f"{stage.merchant_url}/"
    return {
        language: shop.url(
            language_code=language, payment_description=text, merchant_return_url=back, **changes
        )
        for language, text in TEXTS.items()
    }


async def form(stage: Stage, page: Page) -> Addresses:
    return await a_form(stage, best_before=in_minutes(20))


async def form_preselected(stage: Stage, page: Page) -> Addresses:
    return await a_form(stage, force_payment_method="payco-wallet", best_before=in_minutes(4))


async def over(stage: Stage, page: Page) -> Addresses:
    return await a_form(stage, best_before=in_minutes(-1))


async def refused(stage: Stage, page: Page) -> Addresses:
    return {language: f"{stage.page_url}/payment?language={language}&x=1" for language in TEXTS}


async def lost(stage: Stage, page: Page) -> Addresses:
    return in_each_language(f"{stage.page_url}/result/1.2.3")


def in_each_language(url: str) -> Addresses:
    return {language: f"{url}?language={language}" for language in TEXTS}


async def at_the_window(stage: Stage, page: Page, **settings: Any) -> None:
    await page.goto((await a_form(stage, settings=settings))["en"])
    await press_pay(page)
    await page.wait_for_url("**/window/**")


async def result_of(stage: Stage, page: Page, outcome: str, **settings: Any) -> Addresses:
    await at_the_window(stage, page, **settings)
    await choose(page, outcome)
    await page.wait_for_url("**/result/**")
    return in_each_language(page.url)


async def waiting(stage: Stage, page: Page) -> Addresses:
    await at_the_window(stage, page)
    await page.go_back()
    await page.wait_for_url("**/result/**")
    return in_each_language(page.url)


async def confirming(stage: Stage, page: Page) -> Addresses:
    await at_the_window(stage, page)
    await stage.confuse()
    await choose(page)
    await page.wait_for_url("**/result/**")
    return in_each_language(page.url)


async def success(stage: Stage, page: Page) -> Addresses:
    return await result_of(stage, page, "card")


async def declined(stage: Stage, page: Page) -> Addresses:
    return await result_of(stage, page, "fail")


async def retry(stage: Stage, page: Page) -> Addresses:
    return await result_of(stage, page, "cancel", try_again=True)


async def returned_in_a_new_tab(stage: Stage, page: Page) -> Addresses:
    addresses = await success(stage, page)
    return {language: f"{url}&returned=1" for language, url in addresses.items()}


async def window_over_the_shop(stage: Stage, page: Page) -> Addresses:
    shop = await stage.project()
    head = f'<script src="{stage.page_url}/shared/merchant.js"></script>'
    addresses = {}
    for language, text in TEXTS.items():
        call = f"EPayWidget.run({shop.parameters(language_code=language, payment_description=text)!r})"
        title = f'<!doctype html><html lang="{language}"><title>shop</title><link rel="icon" href="data:,">'
        html = f"{title}{head}<main><h1>Shop</h1></main><script>{call}</script>"
        addresses[language] = stage.publish(f"/modal/{language}", html)
    return addresses


WAYS: list[Way] = [
    form,
    form_preselected,
    waiting,
    confirming,
    success,
    declined,
    retry,
    over,
    refused,
    lost,
    returned_in_a_new_tab,
    window_over_the_shop,
]
UNAVOIDABLE = ("400", "404", "Scripts may close only")


@pytest.mark.parametrize("way", WAYS, ids=[way.__name__ for way in WAYS])
async def test_everybody_can_use_the_page(stage: Stage, way: Way):
    async with stage.visitor(expected=UNAVOIDABLE) as page:
        addresses = await way(stage, page)
        for language, url in addresses.items():
            await page.goto(url)
            if way is window_over_the_shop:
                await page.wait_for_selector("#ep-modal-wrap.loaded")
            await look_at(stage, page, f"{way.__name__}-{language}")
        await page.goto(addresses["en"])
        await longer_words_fit(page)


@pytest.mark.parametrize("locale", ["ko-KR", "en-US", "ru-RU"])
async def test_everybody_can_use_the_shop_and_the_simulated_window(stage: Stage, locale: str):
    """One order through Gate: each page on its way, and those beside it."""
    language = locale[:2]
    async with stage.visitor(locale=locale) as page:
        for name, path in {"catalogue": "/", "checkout": "/checkout/tea"}.items():
            await page.goto(f"{stage.shop_url}{path}")
            await look_at(stage, page, f"shop_{name}-{language}")
        await page.locator("form:has([name=way][value=gate]) button").click()
        await page.wait_for_url("**/window/**")
        await look_at(stage, page, f"window-{language}")
        await choose(page)
        await page.wait_for_url(f"{stage.shop_url}/return/success*")
        order = parse_qs(urlsplit(page.url).query)["order"][0]
        for name, path in {"order": f"/{order}", "refund": f"/{order}/refund", "orders": ""}.items():
            await page.goto(f"{stage.shop_url}/orders{path}")
            await look_at(stage, page, f"shop_{name}-{language}")


async def look_at(stage: Stage, page: Page, name: str) -> None:
    """A picture of each screen, and axe's opinion of it."""
    assert name.endswith(await page.evaluate("document.documentElement.lang"))
    await page.evaluate(AXE)
    for screen, (size, scheme) in SCREENS.items():
        await page.set_viewport_size(size)
        await page.emulate_media(color_scheme=scheme)
        await stage.picture(page, f"{name}-{screen}")
        await no_violation(page)


async def no_violation(page: Page) -> None:
    found = await page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    violations = {one["id"]: [node["html"] for node in one["nodes"]] for one in found["violations"]}
    assert {} == violations
    assert 5 < len(found["passes"])


async def longer_words_fit(page: Page) -> None:
    await page.set_viewport_size(NARROW)
    await page.evaluate(STRETCH)
    assert NARROW["width"] == await page.evaluate("document.documentElement.scrollWidth")
    too_wide = "[...document.querySelectorAll('.sheet *')].filter((one) => one.getBoundingClientRect().right > innerWidth)"
    assert [] == await page.evaluate(f"{too_wide}.map((one) => one.outerHTML)")
