"""The Dashboard of a sandbox as people use it: the story of one refund, the keyboard alone, and what the pages keep for them."""

import asyncio
import csv
import io
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit
from zoneinfo import ZoneInfo

import openpyxl
import pytest
import xlrd
from aiohttp import web
from playwright.async_api import Download, Page, expect
from tests.browser.dashboard_stage import Furnished, House, told
from tests.processes import HANG_GUARD_S
from tests.world import Merchant, Received, listening_merchant

from wongate.connections.clock import SystemClock

ZONE = ZoneInfo("Asia/Seoul")
DAY_S = 86_400


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with Furnished(tmp_path_factory.mktemp("dashboard") / "data") as sandbox:
        yield House(sandbox)


def merchant_of(house: House) -> Any:
    return listening_merchant(SystemClock(), house.sandbox.announced["secret"])


def read_csv(content: bytes) -> list[list[Any]]:
    return list(csv.reader(io.StringIO(content.decode("utf-8-sig"), newline="")))


def read_xlsx(content: bytes) -> list[list[Any]]:
    sheet = openpyxl.load_workbook(io.BytesIO(content)).active
    return [list(row) for row in sheet.iter_rows(values_only=True)]


def read_xls(content: bytes) -> list[list[Any]]:
    sheets = xlrd.open_workbook(file_contents=content).sheets()
    return [sheet.row_values(number) for sheet in sheets for number in range(sheet.nrows)]


READERS = {"csv": read_csv, "xlsx": read_xlsx, "xls": read_xls}
SUMMED = ("Amount", "Refunded", "Available for refund")


async def content_of(download: Download) -> bytes:
    return Path(await download.path()).read_bytes()


def rows_and_sums(rows: Sequence[Sequence[Any]]) -> tuple[int, list[int]]:
    """How many payments a file holds, and the sums of its columns with amounts."""
    headings, *lines = rows
    places = [list(headings).index(name) for name in SUMMED]
    return len(lines), [sum(int(line[place]) for line in lines) for place in places]


async def test_a_refund_from_the_search_to_the_report_in_the_mailbox(house: House):
    async with merchant_of(house) as merchant, house.page() as page:
        sold = await house.sell(merchant, "STORY-1")
        sold_at = datetime.fromisoformat(sold["operation"]["date"]).astimezone(ZONE)
        await house.enter(page)
        await every_id_leads_to_the_payment(page, sold)
        await give_back_400_of_1000(page, merchant)
        await a_bar_leads_to_the_days_payments(page, sold_at)
        shown = await each_format_holds_what_is_shown(page)
        await schedule(page, sold_at.hour)
        await house.advance(DAY_S)
        await house.enter(page)
        assert shown == await mailed(page)


async def every_id_leads_to_the_payment(page: Page, sold: Any) -> None:
    await find(page, "STORY-1")
    ids = dict(
        zip(
            await page.locator(".ids dt").all_text_contents(),
            await page.locator(".ids dd code").all_text_contents(),
            strict=False,
        )
    )
    assert str(sold["operation"]["id"]) == ids["Operation id"]
    assert sold["operation"]["request_id"] == ids["Request id"]
    for name in ("Payment id", "Operation id", "Request id", "TID", "Moid", "Customer"):
        await find(page, ids[name])


async def find(page: Page, text: str) -> None:
    """By the search box; lands on the page of the story's payment."""
    await page.goto("/dashboard/payments")
    await page.fill("#q", text)
    await page.press("#q", "Enter")
    await page.wait_for_url("**/dashboard/payments/1001/*")
    assert "STORY-1" in await page.title()


async def give_back_400_of_1000(page: Page, merchant: Merchant) -> None:
    """The merchant answers the callback only when the page is open: what happens then comes without a reload."""
    taken = asyncio.Event()

    async def hesitate(_: Received) -> web.StreamResponse:
        await taken.wait()
        return web.Response()

    merchant.answers["/callbacks"] = hesitate
    await page.get_by_role("link", name="Refund").click()
    await page.fill("#amount", "400")
    await page.fill("#reason", "손님이 취소")
    await page.get_by_role("button", name="Go on").click()
    await expect(page.get_by_role("heading", name="Give ₩400 back?")).to_be_visible()
    await page.get_by_role("button", name="Give ₩400 back").click()
    await page.wait_for_url("**/dashboard/payments/1001/*")
    await page.evaluate("window.loadedOnce = true")
    await expect(page.locator(".payment-head .badge")).to_have_text("Partially refunded")
    refunded = await told(merchant, "STORY-1", "partially refunded")
    assert {"amount": 600, "currency": "KRW"} == refunded["payment"]["sum"]
    delivered = page.locator(".time-line .is-attempt", has_text="HTTP 200")
    before = await delivered.count()

    taken.set()
    await expect(delivered).to_have_count(before + 1)
    assert await page.evaluate("window.loadedOnce")
    assert ["₩1,000", "₩1,000", "₩400", "₩600"] == await page.locator(".money dd").all_text_contents()


async def a_bar_leads_to_the_days_payments(page: Page, day: datetime) -> None:
    await page.get_by_role("link", name="Analytics").click()
    since = quote(f"since={day:%Y-%m-%d}T00:00:00", safe="=")
    await page.locator(f'#tile-2 svg a[href*="{since}"] rect').click()
    await page.wait_for_url("**/dashboard/payments?*")
    assert f"{day:%Y-%m-%d}T00:00:00" == parse_qs(urlsplit(page.url).query)["since"][0]
    await expect(page.get_by_role("link", name="STORY-1", exact=True)).to_be_visible()


async def each_format_holds_what_is_shown(page: Page) -> tuple[int, list[int]]:
    """As many rows and the same sums as the page says, whatever the format and whoever reads it."""
    numbers = page.locator(".sums dd")
    await expect(numbers).to_have_count(5)
    payments, _, paid, refunded, left = [_number(text) for text in await numbers.all_text_contents()]
    await page.get_by_role("link", name="Export").click()
    reports = page.url
    for format_, read in READERS.items():
        await page.goto(reports)
        await page.check(f"[name=format][value={format_}]")
        await page.get_by_role("button", name="Make the file").click()
        async with page.expect_download() as download:
            await page.get_by_role("link", name="Download payments").click()
        rows = read(await content_of(await download.value))
        assert (payments, [paid, refunded, left]) == rows_and_sums(rows)
    await page.goto(reports)
    return payments, [paid, refunded, left]


def _number(text: str) -> int:
    return int(text.replace("₩", "").replace(",", ""))


async def schedule(page: Page, hour: int) -> None:
    """At the hour that has begun: it comes round tomorrow and reports today, whenever the test runs."""
    await page.get_by_role("link", name="New schedule").click()
    await page.fill("#name", "Paid yesterday")
    await page.select_option("#hour", str(hour))
    await page.select_option("#format", "xlsx")
    await page.fill("#recipients", "finance@shop.example")
    await page.get_by_role("button", name="Save schedule").click()
    await expect(page.get_by_role("link", name="Paid yesterday")).to_be_visible()


async def mailed(page: Page) -> tuple[int, list[int]]:
    """What the only mail carries."""
    letter = page.get_by_role("link", name="Paid yesterday")
    async with asyncio.timeout(HANG_GUARD_S):
        while not await letter.count():
            await page.goto("/dashboard/mailbox")
    assert 1 == await letter.count()
    await letter.click()
    assert "finance@shop.example" in str(await page.locator(".pairs").text_content())
    async with page.expect_download() as download:
        await page.get_by_role("link", name="payments-").click()
    return rows_and_sums(read_xlsx(await content_of(await download.value)))


async def test_somebody_signs_in_finds_a_payment_and_gives_money_back_by_keyboard_alone(house: House):
    async with merchant_of(house) as merchant, house.page() as page:
        await house.sell(merchant, "KEYS-1")
        await page.goto("/dashboard/sign-in")
        for field, text in (("#login", house.login["user"]), ("#password", house.login["password"])):
            await tab_to(page, field)
            await page.keyboard.type(text)
        await page.keyboard.press("Enter")
        await page.wait_for_url("**/second-factor*")
        await tab_to(page, "#code")
        await page.keyboard.type(await house.code())
        await page.keyboard.press("Enter")

        await page.wait_for_url("**/dashboard/payments")
        await tab_to(page, ".skip")
        await page.keyboard.press("Enter")
        await tab_to(page, "#q")
        await page.keyboard.type("KEYS-1")
        await page.keyboard.press("Enter")
        await page.wait_for_url("**/dashboard/payments/1001/*")
        await tab_to(page, ".payment-head .button")
        await page.keyboard.press("Enter")
        await page.wait_for_url("**/refund")
        await tab_to(page, "#amount")
        await page.keyboard.press("Control+A")
        await page.keyboard.type("400")
        await tab_to(page, "#reason")
        await page.keyboard.type("by keyboard")
        await page.keyboard.press("Enter")
        await page.wait_for_url("**/refund/check")
        await tab_to(page, "form .button.main")
        await page.keyboard.press("Enter")
        await page.wait_for_url("**/dashboard/payments/1001/*")
        assert 600 == (await told(merchant, "KEYS-1", "partially refunded"))["payment"]["sum"]["amount"]


async def tab_to(page: Page, selector: str) -> None:
    """By the Tab key, as a reader without a mouse; where he stands is seen."""
    for _ in range(60):
        await page.keyboard.press("Tab")
        focused = await page.evaluate(f"document.activeElement.matches('main {selector}, body > {selector}')")
        if focused:
            break
    else:
        raise AssertionError(f"Tab does not reach {selector}")
    outline = "(({outlineStyle, outlineWidth}) => outlineStyle + outlineWidth)(getComputedStyle(document.activeElement))"
    assert "solid3px" == await page.evaluate(outline)
    box = "document.activeElement.getBoundingClientRect()"
    assert await page.evaluate(f"(({{top, bottom}}) => top >= 0 && bottom <= innerHeight)({box})")


async def test_what_somebody_arranges_is_kept_and_stands_in_the_address(house: House):
    async with house.page() as page:
        await house.enter(page)
        await a_filter_set_is_kept(page)
        await columns_are_chosen_and_moved(page)
        await older_pages_lead_back(page)
        await ids_are_copied(page)
        await tiles_are_dragged(page)


async def a_filter_set_is_kept(page: Page) -> None:
    await page.get_by_text("Filters", exact=True).click()
    await page.fill("#amount_min", "5000")
    await page.fill("#since", "2020-01-02T03:04:05")
    await page.check("[name=status][value=success]")
    await page.locator(".tools form[method=get] .button.main").click()
    await page.wait_for_url("**amount_min=5000**")
    chips = page.locator(".chips.active .chip")
    assert 3 == await chips.count()
    address = page.url
    await page.get_by_text("Filters", exact=True).click()
    await page.fill("#name", "Large ones")
    await page.get_by_role("button", name="Save filter set").click()
    await page.goto("/dashboard/payments")
    await page.locator(".chip.own", has_text="Large ones").click()
    assert parse_qs(urlsplit(address).query) == parse_qs(urlsplit(page.url).query)
    await chips.filter(has_text="From").click()
    assert 2 == await chips.count()
    assert "since" not in page.url


async def columns_are_chosen_and_moved(page: Page) -> None:
    await page.goto("/dashboard/payments?status=success")
    await page.get_by_text("Columns", exact=True).click()
    await page.uncheck("[name=column][value=currency]")
    await page.check("[name=column][value=reference]")
    await page.locator(".tools form[method=post] .actions .button.main").click()
    await page.get_by_text("Columns", exact=True).click()
    await page.get_by_role("button", name="Move Amount ahead").click()
    await page.wait_for_url("**columns=**")
    address, headings = page.url, await page.locator("table.payments th[scope=col]").all_text_contents()
    assert ["Payment id", "Type", "Amount", "Status"] == headings[:4]
    assert "TID" in headings
    assert "Currency" not in headings
    await page.goto("/dashboard/payments")  # kept for the person
    assert headings == await page.locator("table.payments th[scope=col]").all_text_contents()
    await page.goto(address)  # and in the address
    assert headings == await page.locator("table.payments th[scope=col]").all_text_contents()
    await page.get_by_role("button", name="As at first").click()


async def older_pages_lead_back(page: Page) -> None:
    await page.goto("/dashboard/payments?status=success")
    ids = page.locator("table.payments tbody th a")
    first = await ids.all_text_contents()
    await page.get_by_role("link", name="Older").click()
    await page.wait_for_url("**after=**")
    second = await ids.all_text_contents()
    assert not set(first) & set(second)
    assert "status=success" in page.url
    await page.get_by_role("link", name="Newer").click()
    await page.wait_for_url("**before=**")
    assert first == await ids.all_text_contents()


async def ids_are_copied(page: Page) -> None:
    await page.locator("table.payments tbody th a").first.click()
    for button in await page.locator(".ids button.copy").all():
        text = await button.locator("xpath=../code").text_content()
        await button.click()
        await expect(button).to_have_text("Copied")
        assert text == await page.evaluate("navigator.clipboard.readText()")
    raw = page.locator("details", has=page.locator("pre.raw")).first
    await raw.locator("summary").click()
    await raw.locator("button.copy").click()
    assert await raw.locator("pre").text_content() == await page.evaluate("navigator.clipboard.readText()")


async def tiles_are_dragged(page: Page) -> None:
    """With the mouse; by keyboard they move in tests/web/test_dashboard_payments_browser.py."""
    await page.goto("/dashboard/analytics")
    titles = page.locator(".board > .tile h2")
    before = await titles.all_text_contents()
    await page.locator("#tile-1 .grip").hover()
    await page.mouse.down()
    for tile in ("#tile-2", "#tile-4"):
        box = await page.locator(tile).bounding_box()
        assert box
        await page.mouse.move(box["x"] + 40, box["y"] + 40, steps=4)
    async with page.expect_response("**/tiles/1/move"):
        await page.mouse.up()
    dragged = await titles.all_text_contents()
    assert before != dragged
    assert before[0] == dragged[3]
    await page.reload()
    assert dragged == await titles.all_text_contents()
