"""Every page that a payer sees, in three languages and two widths: pictures, no violation that axe knows, no overflow."""

from collections.abc import Callable, Coroutine
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import pytest
from playwright.async_api import Page, ViewportSize
from tests.browser.stage import DESK, PHONE, Stage, choose, press_pay

AXE = (Path(__file__).parents[2] / "node_modules" / "axe-core" / "axe.min.js").read_text()
LANGUAGES = {"ko": "ko-KR", "en": "en-US", "ru": "ru-RU"}
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

Way = Callable[[Stage, Page, str], Coroutine[Any, Any, None]]


def in_minutes(minutes: float) -> str:
    return f"{datetime.now(UTC) + timedelta(minutes=minutes):%Y-%m-%dT%H:%M:%S}+00:00"


async def open_form(stage: Stage, page: Page, language: str, **changes: Any) -> None:
    shop = await stage.project(try_again="try_again" in changes)
    back = {"merchant_return_url": f"{stage.merchant_url}/"}
    words = {"language_code": language, "payment_description": TEXTS[language]}
    changes.pop("try_again", None)
    await page.goto(shop.url(**words, **back, **changes))


async def form(stage: Stage, page: Page, language: str) -> None:
    await open_form(stage, page, language, best_before=in_minutes(20))


async def form_preselected(stage: Stage, page: Page, language: str) -> None:
    await open_form(stage, page, language, force_payment_method="payco-wallet", best_before=in_minutes(4))


async def waiting(stage: Stage, page: Page, language: str) -> None:
    await open_form(stage, page, language)
    await press_pay(page)
    await page.wait_for_url("**/window/**")
    await page.go_back()
    await page.wait_for_url("**/result/**")


async def confirming(stage: Stage, page: Page, language: str) -> None:
    await open_form(stage, page, language)
    await press_pay(page)
    await page.wait_for_url("**/window/**")
    await stage.confuse()
    await choose(page)
    await page.wait_for_url("**/result/**")


async def success(stage: Stage, page: Page, language: str) -> None:
    await open_form(stage, page, language)
    await press_pay(page)
    await choose(page)
    await page.wait_for_url("**/result/**")


async def declined(stage: Stage, page: Page, language: str) -> None:
    await open_form(stage, page, language)
    await press_pay(page)
    await choose(page, "fail")
    await page.wait_for_url("**/result/**")


async def retry(stage: Stage, page: Page, language: str) -> None:
    await open_form(stage, page, language, try_again=True)
    await press_pay(page)
    await choose(page, "cancel")
    await page.wait_for_url("**/result/**")


async def over(stage: Stage, page: Page, language: str) -> None:
    await open_form(stage, page, language, best_before=in_minutes(-1))


async def refused(stage: Stage, page: Page, language: str) -> None:
    await page.goto(f"{stage.page_url}/payment?project_id=1&language_code={language}")


async def lost(stage: Stage, page: Page, language: str) -> None:
    await page.goto(f"{stage.page_url}/result/1.2.3?language={language}")


async def returned_in_new_tab(stage: Stage, page: Page, language: str) -> None:
    await success(stage, page, language)
    await page.goto(f"{page.url}?returned=1")


async def window_over_the_shop(stage: Stage, page: Page, language: str) -> None:
    shop = await stage.project()
    words = {"language_code": language, "payment_description": TEXTS[language]}
    call = f"EPayWidget.run({shop.parameters(**words)!r})"
    head = f'<script src="{stage.page_url}/shared/merchant.js"></script>'
    html = f'<!doctype html><html lang="{language}"><title>shop</title>{head}<main><h1>Shop</h1></main><script>{call}</script>'
    await page.goto(stage.publish("/modal", html))
    await page.wait_for_selector("#ep-modal-wrap.loaded")


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
    returned_in_new_tab,
    window_over_the_shop,
]
NAMES = [way.__name__ for way in WAYS]


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("way", WAYS, ids=NAMES)
async def test_everybody_can_use_the_page(stage: Stage, way: Way, language: str):
    unavoidable = ("400", "404", "Scripts may close only")
    async with stage.visitor(locale=LANGUAGES[language], expected=unavoidable) as page:
        await way(stage, page, language)
        assert language == await page.evaluate("document.documentElement.lang")
        await page.evaluate(AXE)
        for screen, (size, scheme) in SCREENS.items():
            await page.set_viewport_size(size)
            await page.emulate_media(color_scheme=scheme)
            await stage.picture(page, f"{way.__name__}-{language}-{screen}")
            found = await page.evaluate("axe.run(document, {resultTypes: ['violations']})")
            violations = {one["id"]: [node["html"] for node in one["nodes"]] for one in found["violations"]}
            assert {} == violations
            assert 5 < len(found["passes"])


@pytest.mark.parametrize("way", WAYS[:-1], ids=NAMES[:-1])
async def test_longer_words_still_fit(stage: Stage, way: Way):
    async with stage.visitor(size={"width": 320, "height": 640}, expected=("400", "404")) as page:
        await way(stage, page, "en")
        await page.evaluate(STRETCH)
        assert 320 == await page.evaluate("document.documentElement.scrollWidth")
        too_wide = "[...document.querySelectorAll('.sheet *')].filter((one) => one.getBoundingClientRect().right > 320)"
        assert [] == await page.evaluate(f"{too_wide}.map((one) => one.outerHTML)")
