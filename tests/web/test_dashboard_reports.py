"""What people do on the pages of reports: files, schedules, and the sandbox's mailbox."""

import re
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.dashboard import OTHER_SHOP, SHOP, Answer, Browser, Office, open_office

from wongate.connections.mail import FolderMailer
from wongate.domain.rights import Role
from wongate.flows import schedules
from wongate.flows.export import Exporting
from wongate.flows.mailing import Mailing
from wongate.web.dashboard import dashboard
from wongate.web.report_mail import composer

HOME = "/dashboard/exports"
SCHEDULE = {
    "name": "Every morning",
    "every": "day",
    "weekday": "1",
    "monthday": "1",
    "hour": "9",
    "time_zone": "Asia/Seoul",
    "recipients": "a@shop.example, b@shop.example",
    "format": "csv",
    "active": "1",
    "query": "status=decline&period=7d",
    "columns": "payment_id,created_at",
}


@dataclass(slots=True)
class Worker:
    """The duties that reports lead to, with mails into a folder."""

    office: Office
    folder: Path

    async def work(self) -> None:
        platform = self.office.platform
        exporting = Exporting(platform)
        mailing = Mailing(platform, FolderMailer(self.folder), composer(platform.clock, "r@x.kr", "http://x"))
        while await schedules.tick(platform):
            pass
        while await exporting.tick():
            await exporting.drain()
        while await mailing.tick():
            await mailing.drain()


async def finance(office: Office) -> Browser:
    return await office.enter(await office.member(Role.FINANCE))


async def made(browser: Browser, format_: str = "csv", **fields: str) -> str:
    """The address of a new file's page."""
    answer = await browser.post(HOME, {"format": format_, **fields})
    assert 303 == answer.status, answer.text[-2000:]
    return answer.location


async def test_the_payments_tables_address_becomes_a_file_of_the_same_rows_and_columns(
    database: str, tmp_path: Path
) -> None:
    async with open_office(database) as office:
        browser = await finance(office)
        page = await browser.get(f"{HOME}?status=success&amount_min=500&columns=amount,payment_id,created_at")
        assert ("status=success&amount_min=500", "amount,payment_id,created_at") == (
            page.field("query"),
            page.field("columns"),
        )
        path = await made(browser, query=page.field("query"), columns=page.field("columns"))
        row = (await office.rows("SELECT * FROM export"))[0]
        assert {"project_ids": [SHOP], "statuses": ["success"], "amount_min": 500} == row["filter"]
        assert ["amount", "payment_id", "created_at"] == row["columns"]
        assert ["Amount", "Payment id", "Opened (Asia/Seoul)"] == row["headings"]
        assert 'data-state="waiting"' in (await browser.get(f"{path}/state")).text
        await Worker(office, tmp_path).work()
        assert 'data-state="ready"' in (await browser.get(path)).text
        file = await browser.get(f"{path}/file")
        assert "\ufeffAmount,Payment id,Opened (Asia/Seoul)\r\n" == file.text
        assert re.fullmatch(
            r'attachment; filename="payments-20261123-\d{4}\.csv"', file.headers["content-disposition"]
        )
        assert ["export asked for", "export downloaded"] == (await office.deeds())[-2:]


async def test_headings_are_in_the_readers_language(database: str) -> None:
    async with open_office(database) as office:
        browser = await finance(office)
        await browser.post("/dashboard/language", {"language": "ko", "next": HOME})
        await made(browser, columns="amount,created_at")
        headings = await office.value("SELECT headings FROM export")
        assert headings[0] == "금액"
        assert headings[1].endswith("(Asia/Seoul)")


async def test_somebody_elses_file_and_schedule_are_not_there(database: str, tmp_path: Path) -> None:
    async with open_office(database) as office:
        hers, his = await finance(office), await finance(office)
        path = await made(hers)
        await Worker(office, tmp_path).work()
        assert 303 == (await hers.post(f"{HOME}/schedules", SCHEDULE)).status
        schedule = f"{HOME}/schedules/{await office.value('SELECT schedule_id FROM schedule')}"
        before = await office.fingerprint("session")
        for answer in (
            *[await his.get(page) for page in (path, f"{path}/state", f"{path}/file", schedule)],
            await his.post(f"{path}/resend", {"recipients": "thief@x.kr"}),
            await his.post(schedule, SCHEDULE),
            await his.post(f"{schedule}/run"),
            await his.post(f"{schedule}/delete"),
        ):
            assert 404 == answer.status
        assert before == await office.fingerprint("session")
        assert 200 == (await hers.get(schedule)).status


@pytest.mark.parametrize("number", ["0", "9" * 30, "-1", "x", "１２"])
async def test_numbers_that_are_none_are_not_there(database: str, number: str) -> None:
    async with open_office(database) as office:
        browser = await finance(office)
        for path in (f"{HOME}/{number}", f"{HOME}/{number}/file", f"{HOME}/schedules/{number}"):
            assert 404 == (await browser.get(path)).status
        assert 200 == (await browser.get(f"{HOME}?before={number}")).status


async def test_another_shops_id_in_the_filter_is_refused(database: str) -> None:
    async with open_office(database) as office:
        browser = await finance(office)
        assert 404 == (await browser.get(f"{HOME}?project_ids={OTHER_SHOP}")).status
        form = {"format": "csv", "query": f"status=decline&project_ids={SHOP},{OTHER_SHOP}"}
        assert 404 == (await browser.post(HOME, form)).status
        assert 0 == await office.value("SELECT count(*) FROM export")


async def test_a_format_that_nobody_writes_is_refused(database: str) -> None:
    async with open_office(database) as office:
        browser = await finance(office)
        assert 400 == (await browser.post(HOME, {"format": "exe"})).status
        assert 0 == await office.value("SELECT count(*) FROM export")


async def test_twenty_waiting_files_are_enough(database: str) -> None:
    async with open_office(database) as office:
        browser = await finance(office)
        for _ in range(20):
            await made(browser)
        answer = await browser.post(HOME, {"format": "csv"})
        assert f"{HOME}?said=too-many-exports" == answer.location
        assert 20 == await office.value("SELECT count(*) FROM export")


async def test_a_schedule_is_made_changed_run_and_deleted(database: str, tmp_path: Path) -> None:
    async with open_office(database) as office:
        browser = await finance(office)
        form = await browser.get(f"{HOME}/schedules/new?status=decline&period=7d&columns=payment_id")
        assert ("status=decline", "payment_id") == (form.field("query"), form.field("columns"))
        assert f"{HOME}?said=schedule-saved" == (await browser.post(f"{HOME}/schedules", SCHEDULE)).location
        row = (await office.rows("SELECT * FROM schedule"))[0]
        assert ("day", 9, ["a@shop.example", "b@shop.example"], True) == (
            row["every"],
            row["hour"],
            row["recipients"],
            row["active"],
        )
        assert {"project_ids": [SHOP], "statuses": ["decline"]} == row["filter"], (
            "a run brings its own period"
        )
        path = f"{HOME}/schedules/{row['schedule_id']}"
        changed = {**SCHEDULE, "every": "week", "weekday": "7", "name": "Sundays", "active": ""}
        assert 303 == (await browser.post(path, changed)).status
        row = (await office.rows("SELECT * FROM schedule"))[0]
        assert ("week", 7, "Sundays", False) == (row["every"], row["day"], row["name"], row["active"])
        assert (await browser.post(f"{path}/run")).location.startswith(f"{HOME}/")
        await Worker(office, tmp_path).work()
        assert 2 == len(list(tmp_path.glob("*.eml")))
        page = await browser.get(path)
        assert ("b@shop.example" in page.text, "sent" in page.text) == (True, True)
        assert f"{HOME}?said=schedule-dropped" == (await browser.post(f"{path}/delete")).location
        assert 404 == (await browser.get(path)).status
        assert ["schedule made", "schedule changed", "schedule run by hand", "schedule deleted"] == (
            await office.deeds()
        )[-4:]


async def test_a_wrong_address_is_shown_beside_its_field_and_the_rest_is_kept(database: str) -> None:
    async with open_office(database) as office:
        browser = await finance(office)
        answer = await browser.post(f"{HOME}/schedules", {**SCHEDULE, "recipients": "nobody"})
        assert (400, "Every morning") == (answer.status, answer.field("name"))
        assert "One of the addresses is not an e-mail address." in answer.text
        assert "nobody</textarea>" in answer.text
        assert 0 == await office.value("SELECT count(*) FROM schedule")


async def test_mail_goes_to_new_addresses_only_with_a_fresh_second_factor(
    database: str, tmp_path: Path
) -> None:
    async with open_office(database) as office:
        browser = await finance(office)
        path = await made(browser)
        await Worker(office, tmp_path).work()
        office.clock.advance(minutes=6)
        for asked, fields in ((f"{HOME}/schedules", SCHEDULE), (f"{path}/resend", {"recipients": "c@x.kr"})):
            assert 403 == (await browser.post(asked, fields)).status
        assert (0, 0) == (
            await office.value("SELECT count(*) FROM schedule"),
            await office.value("SELECT count(*) FROM mail"),
        )


async def test_a_kept_file_is_sent_to_whom_one_likes(database: str, tmp_path: Path) -> None:
    async with open_office(database) as office:
        browser = await finance(office)
        path = await made(browser)
        assert 404 == (await browser.post(f"{path}/resend", {"recipients": "c@x.kr"})).status
        await Worker(office, tmp_path).work()
        assert 400 == (await browser.post(f"{path}/resend", {"recipients": "c"})).status
        assert (
            f"{path}?said=mail-begun"
            == (await browser.post(f"{path}/resend", {"recipients": "c@x.kr"})).location
        )
        await Worker(office, tmp_path).work()
        assert "To: c@x.kr" in next(tmp_path.glob("*.eml")).read_text()


async def test_only_who_may_make_reports_sees_them(database: str) -> None:
    async with open_office(database) as office:
        browser = await office.enter(await office.member(Role.DESIGNER))
        for path in (HOME, f"{HOME}/schedules/new"):
            assert 403 == (await browser.get(path)).status


async def test_the_mailbox_shows_what_would_have_been_sent(database: str, tmp_path: Path) -> None:
    async with open_office(database) as office:
        office.app = dashboard(office.platform, sandbox=True, can_mail=True, mailbox=tmp_path)
        browser = await finance(office)
        assert "No mail yet" in (await browser.get("/dashboard/mailbox")).text
        await browser.post(f"{HOME}/schedules", SCHEDULE)
        office.clock.advance(days=1)
        browser = await finance_again(office, browser)
        await Worker(office, tmp_path).work()
        page = await browser.get("/dashboard/mailbox")
        letters = re.findall(r'href="(/dashboard/mailbox/\d+\.eml)"', page.text)
        assert 2 == len(letters)
        letter: Answer = await browser.get(letters[0])
        assert ("Every morning: 2026-11-23" in letter.text, "b@shop.example" in letter.text) == (True, True)
        attached = await browser.get(f"{letters[0]}/0")
        assert "\ufeffPayment id,Opened (Asia/Seoul)\r\n" == attached.text
        for path in (
            f"{letters[0]}/1",
            "/dashboard/mailbox/none.eml",
            "/dashboard/mailbox/..%2fcredentials.json",
        ):
            assert 404 == (await browser.get(path)).status


@pytest.mark.parametrize(
    "head", ["", "Date: yesterday\n", "Date: Mon, 23 Nov 2026 09:00:00 -0000\nTo:\nSubject:\n"]
)
async def test_a_mail_that_lacks_what_a_mail_has_is_shown_all_the_same(
    database: str, tmp_path: Path, head: str
) -> None:
    (tmp_path / "1.eml").write_text(f"{head}X-Mailer: by hand\n\nHello\n")
    async with open_office(database) as office:
        office.app = dashboard(office.platform, sandbox=True, can_mail=True, mailbox=tmp_path)
        browser = await finance(office)
        assert "Without a subject" in (await browser.get("/dashboard/mailbox")).text
        assert "Hello" in (await browser.get("/dashboard/mailbox/1.eml")).text


async def finance_again(office: Office, browser: Browser) -> Browser:
    """Sessions end after a while: whoever comes back signs in again."""
    return browser if 200 == (await browser.get(HOME)).status else await finance(office)


async def test_there_is_no_mailbox_outside_the_sandbox(database: str) -> None:
    async with open_office(database) as office:
        assert 404 == (await (await finance(office)).get("/dashboard/mailbox")).status
