"""Every page of the Dashboard in Korean, English and Russian, light and dark, on a phone and on a desk: axe objects to nothing,
and nothing is wider than the phone. Pages come from the table of routes, so that a new one is looked at the moment it exists.

A run looks at each page once, in the next of three languages and on the next of four screens; WONGATE_EVERY_SCREEN=1 looks at
each page in every language on every screen.
"""

import asyncio
import os
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from email.message import EmailMessage
from email.utils import format_datetime
from pathlib import Path
from typing import Any, Literal

import uvicorn
from playwright.async_api import Page, ViewportSize, async_playwright, expect
from tests import books
from tests.browser import chromium
from tests.browser.dashboard_stage import DESK, PHONE, WAIT_MS
from tests.dashboard import PASSWORD, SHOP, Browser, Member, Office, open_office
from tests.world import free_port

from wongate.connections.mail import FolderMailer
from wongate.domain import one_time
from wongate.domain.rights import Role
from wongate.domain.violation import Kind
from wongate.flows import violations
from wongate.flows.export import Exporting
from wongate.web.dashboard import Dashboard, dashboard
from wongate.web.dashboard_access import Entry

AXE = (Path(__file__).parents[2] / "node_modules" / "axe-core" / "axe.min.js").read_text()
SCREENS: Sequence[tuple[ViewportSize, Literal["light", "dark"]]] = (
    (PHONE, "light"),
    (DESK, "dark"),
    (PHONE, "dark"),
    (DESK, "light"),
)
UNFOLD = "for (const fold of document.querySelectorAll('main details')) fold.open = true"
EVERY_SCREEN = bool(os.environ.get("WONGATE_EVERY_SCREEN"))
LANGUAGES = ("ko", "en", "ru")
NO_PAGES = ("/csv", "/svg", "/file", "/live", "/state", "/rows", "/totals", "/{part}")
"""Ends of routes that answer with a file or with a piece of a page that is looked at whole."""
STATES = (
    "/dashboard/payments?status=decline&period=30d&arrange=1",
    "/dashboard/payments?q=nobody+has+this",
    "/dashboard/payments?totals=1&after=x",
    "/dashboard/exports?status=decline",
    "/dashboard/audit?actor=nobody",
    "/dashboard/projects?said=saved",
    "/dashboard/nowhere",
)


@dataclass(slots=True)
class Eyes:
    """Looks at the page that is open, and counts."""

    page: Page
    looks: int = 0
    pages: dict[str, int] = field(default_factory=dict)
    faults: dict[str, Any] = field(default_factory=dict)

    async def at(self, name: str, language: str) -> None:
        assert language == await self.page.evaluate("document.documentElement.lang"), name
        turn = self.pages.setdefault(name, len(self.pages))
        if not EVERY_SCREEN and language != LANGUAGES[turn % len(LANGUAGES)]:
            return
        for size, scheme in SCREENS if EVERY_SCREEN else [SCREENS[turn % len(SCREENS)]]:
            await self.page.set_viewport_size(size)
            await self.page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
            await self._look(f"{name} in {language}, {size['width']} px, {scheme}", size["width"])

    async def _look(self, what: str, width: int) -> None:
        await self.page.evaluate(f"if (!window.axe) {{ {AXE} }}")
        found = await self.page.evaluate("axe.run(document, {resultTypes: ['violations']})")
        assert 10 < len(found["passes"]), what
        violations = {one["id"]: [node["html"] for node in one["nodes"]] for one in found["violations"]}
        if await self.page.evaluate("document.documentElement.scrollWidth") > width:
            violations["wider than the screen"] = []
        if violations:
            self.faults[what] = violations
        self.looks += 1

    def judge(self, record_property: Callable[[str, Any], None]) -> None:
        record_property("Dashboard pages under axe", len(self.pages))
        record_property("looks of axe at them", self.looks)
        assert not self.faults, "\n".join(f"{what}: {fault}" for what, fault in self.faults.items())


@dataclass(slots=True)
class Served:
    """An office whose Dashboard listens, with a mailbox and something of everything in it."""

    office: Office
    board: Dashboard
    member: Member
    browser: Browser
    url: str
    addresses: dict[str, str]

    async def speak(self, language: str) -> None:
        async with self.office.platform.database.transaction() as tx:
            await tx.execute("UPDATE person SET language = $1", language)


@asynccontextmanager
async def served(database: str, mailbox: Path) -> AsyncIterator[Served]:
    async with open_office(database) as office:
        platform = office.platform
        app = dashboard(platform, sandbox=True, can_mail=True, mailbox=mailbox)
        furnished = replace(office, app=app)
        member = await furnished.member(Role.MERCHANT_ADMIN)
        browser = await furnished.enter(member)
        board = Dashboard(platform, sandbox=True, can_mail=True, mailbox=mailbox)
        addresses = await furnish(furnished, member, browser, mailbox)
        config = uvicorn.Config(app, host="127.0.0.1", port=free_port(), log_config=None, lifespan="off")
        server = uvicorn.Server(config)
        serving = asyncio.create_task(server.serve())
        while not server.started:  # noqa: ASYNC110 - uvicorn offers no event
            await asyncio.sleep(0.02)
        try:
            yield Served(furnished, board, member, browser, f"http://127.0.0.1:{config.port}", addresses)
        finally:
            server.should_exit = True
            await serving


async def furnish(office: Office, member: Member, browser: Browser, mailbox: Path) -> dict[str, str]:
    """One of each thing that has a page; answers what stands for the parameters of routes."""
    past = books.draw(SHOP, office.clock.now(), days=6, number=45)
    await books.write(office.platform, past)
    paid = next(row for row in past.payments if row["status"] == "partially refunded")
    await office.member(Role.SUPPORT)
    await violations.note(office.platform, Kind("script-src", "https://evil.example", "/payment"))
    await browser.post(f"/dashboard/projects/{SHOP}/callbacks", {"url": "https://shop.example/declines"})
    await browser.post("/dashboard/payments/filters", {"query": "status=decline", "name": "Declined"})
    await browser.post("/dashboard/analytics/tiles", {"template": "pivot", "period": "7d"})
    await browser.post("/dashboard/analytics/tiles", {"template": "operations", "chart": "lines"})
    schedule = {"name": "Daily", "every": "day", "hour": "9", "time_zone": "Asia/Seoul", "active": "1"}
    schedule |= {"format": "csv", "recipients": "finance@shop.example", "query": "status=decline"}
    await browser.post("/dashboard/exports/schedules", schedule)
    ready = (await browser.post("/dashboard/exports", {"format": "csv"})).location.rpartition("/")[2]
    exporting = Exporting(office.platform)
    await exporting.tick()
    await exporting.drain()
    await browser.post("/dashboard/exports", {"format": "xlsx"})  # still waiting
    letter = EmailMessage()
    letter["Subject"], letter["From"], letter["To"] = "Daily", "reports@shop.example", "finance@shop.example"
    letter["Date"], letter["Message-ID"] = format_datetime(office.clock.now()), "<1@shop.example>"
    letter.set_content("A report.")
    letter.add_attachment(b"a;b", maintype="text", subtype="csv", filename="payments.csv")
    await FolderMailer(mailbox).send(letter)
    return {
        "project_id": str(SHOP),
        "payment_no": str(paid["payment_no"]),
        "person_id": str(member.person_id),
        "tile": "1",
        "number": "0",
        "schedule_id": str(await office.value("SELECT schedule_id FROM schedule")),
        "export_id": ready,
        "name": next(mailbox.glob("*.eml")).name,
    }


def is_page(entry: Entry) -> bool:
    return entry.method == "GET" and not entry.path.endswith(NO_PAGES)


def address_of(entry: Entry, known: dict[str, str]) -> str:
    return re.sub(r"\{(\w+)(?::\w+)?\}", lambda found: known[found[1]], entry.path)


@asynccontextmanager
async def eyes_of(house: Served) -> AsyncIterator[Eyes]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=chromium.ensure(), args=list(chromium.SWITCHES)
        )
        context = await browser.new_context(base_url=house.url, locale="en-US")
        context.set_default_timeout(WAIT_MS)
        yield Eyes(await context.new_page())
        await browser.close()


async def come_in(house: Served, eyes: Eyes) -> None:
    name, _, value = house.browser.cookie.partition("=")
    await eyes.page.context.add_cookies([{"name": name, "value": value, "url": house.url}])


async def test_everybody_can_use_every_page_that_has_an_address(
    database: str, tmp_path: Path, record_property: Callable[[str, Any], None]
) -> None:
    async with served(database, tmp_path) as house, eyes_of(house) as eyes:
        await come_in(house, eyes)
        entries = [entry for entry in house.board.entries if is_page(entry)]
        addresses = [*(address_of(entry, house.addresses) for entry in entries), *STATES]
        for language in LANGUAGES:
            await house.speak(language)
            for address in addresses:
                answer = await eyes.page.goto(address)
                assert answer
                assert answer.status == (404 if address == "/dashboard/nowhere" else 200), address
                if not answer.url.endswith(address):
                    continue  # for somebody who is in, it leads to a page that is looked at anyway
                await eyes.page.evaluate(UNFOLD)
                await eyes.at(address, language)
        eyes.judge(record_property)


Step = Callable[[Served, Page], Awaitable[None]]


async def _refund_that_cannot_be(house: Served, page: Page) -> None:
    await page.goto(f"/dashboard/payments/{SHOP}/{house.addresses['payment_no']}/refund")
    await page.fill("#amount", "999999999")
    await page.fill("#reason", "too much")
    await page.click("main form .main")
    await expect(page.locator("[aria-invalid]")).to_have_count(1)


async def _refund_to_be_confirmed(house: Served, page: Page) -> None:
    await page.goto(f"/dashboard/payments/{SHOP}/{house.addresses['payment_no']}/refund")
    await page.fill("#amount", "1")
    await page.fill("#reason", "a won")
    await page.click("main form .main")
    await page.wait_for_url("**/check")


async def _secret_shown(_: Served, page: Page) -> None:
    await page.goto(f"/dashboard/projects/{SHOP}")
    await page.click("form[action$='/secret'] button")
    await page.locator("code.secret").wait_for()


async def _recovery_codes(_: Served, page: Page) -> None:
    await page.goto("/dashboard/profile")
    await page.click("form[action$='/recovery-codes'] button")
    await page.locator(".codes").wait_for()


async def _token_made(_: Served, page: Page) -> None:
    await page.goto("/dashboard/profile")
    await page.click("form[action$='/api-token'] button")
    await page.locator("code.secret").first.wait_for()


async def _chain_verified(_: Served, page: Page) -> None:
    await page.goto("/dashboard/audit")
    await page.click("form[action$='/verify'] button")
    await page.locator(".notice.good").wait_for()


async def _is_it_you(house: Served, page: Page) -> None:
    house.office.clock.advance(minutes=6)
    await page.goto(f"/dashboard/projects/{SHOP}")
    await page.click("form[action$='/secret'] button")
    await page.locator("#second_factor").wait_for()


STEPS: Sequence[Step] = (
    _refund_that_cannot_be,
    _refund_to_be_confirmed,
    _secret_shown,
    _recovery_codes,
    _token_made,
    _chain_verified,
    _is_it_you,
)


async def test_everybody_can_use_what_a_button_leads_to(
    database: str, tmp_path: Path, record_property: Callable[[str, Any], None]
) -> None:
    async with served(database, tmp_path) as house, eyes_of(house) as eyes:
        for language in LANGUAGES:
            house.browser.cookie = ""
            house.browser = await house.office.enter(house.member)
            await come_in(house, eyes)
            await house.speak(language)
            for step in STEPS:
                await step(house, eyes.page)
                await eyes.at(step.__name__, language)
        eyes.judge(record_property)


async def test_everybody_can_sign_in_and_set_up_an_account(
    database: str, tmp_path: Path, record_property: Callable[[str, Any], None]
) -> None:
    async with served(database, tmp_path) as house, eyes_of(house) as eyes:
        page = eyes.page
        for language in LANGUAGES:
            await page.context.clear_cookies()
            await page.goto(f"/dashboard/sign-in?lang={language}")
            await eyes.at("sign-in", language)
            await page.fill("#login", house.member.login)
            await page.fill("#password", "not my password")
            await page.click(".main")
            await page.locator(".notice.bad").wait_for()
            await eyes.at("wrong password", language)
            await house.speak(language)
            await _sign_in(page, house.member.login, PASSWORD)
            await page.wait_for_url("**/second-factor*")
            await eyes.at("second factor", language)
            await page.fill("#code", "000000")
            await page.click(".main")
            await page.locator(".notice.bad").wait_for()
            await eyes.at("wrong code", language)
            await _set_up(house, eyes, language)
        eyes.judge(record_property)


async def _set_up(house: Served, eyes: Eyes, language: str) -> None:
    """A new colleague: made in My team, then a password and a second factor of his own."""
    page, login = eyes.page, f"new.{language}@shop.example"
    await page.context.clear_cookies()
    house.browser = await house.office.enter(house.member)
    await come_in(house, eyes)
    await page.goto("/dashboard/team/new")
    await page.fill("#login", login)
    await page.check("[name=roles][value=support]")
    await page.click("main form .main")
    password = str(await page.locator("code.secret").last.text_content())
    await eyes.at("password made", language)

    await page.context.clear_cookies()
    await page.goto("/dashboard/sign-in")
    await house.speak(language)
    await _sign_in(page, login, password)
    await page.wait_for_url("**/new-password")
    await eyes.at("password of one's own", language)
    await page.fill("#current", password)
    await page.fill("#password", "a long enough password")
    await page.click(".main")
    await page.wait_for_url("**/enrol*")
    await eyes.at("enrolment", language)
    secret = str(await page.locator("code.secret").text_content())
    await page.fill("#code", one_time.code_of(secret, one_time.step_of(house.office.clock.now())))
    await page.click(".main")
    await page.locator(".codes").wait_for()
    await eyes.at("recovery codes", language)


async def _sign_in(page: Page, login: str, password: str) -> None:
    await page.fill("#login", login)
    await page.fill("#password", password)
    await page.click(".main")
