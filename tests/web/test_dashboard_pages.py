"""What people do on the pages of projects, team, profile and audit log."""

import asyncio
import csv
import io
import json
import os
import re
from datetime import timedelta

import pytest
from tests.dashboard import OTHER_SHOP, SECRETS, SHOP, Answer, Browser, Office, open_office

from wongate.domain.rights import Right, Role
from wongate.flows import audit, people
from wongate.flows.audit import Actor
from wongate.web.dashboard_profile import device
from wongate.web.uploads import Upload, read_multipart

HOME = f"/dashboard/projects/{SHOP}"
DESIGN = f"/dashboard/page-design/{SHOP}"


async def settings_of(office: Office, project_id: int = SHOP) -> dict[str, object]:
    settings: dict[str, object] = await office.value(
        "SELECT settings FROM project WHERE project_id = $1", project_id
    )
    return settings


async def admin(office: Office) -> Browser:
    return await office.enter(await office.member(Role.MERCHANT_ADMIN))


@pytest.mark.parametrize(
    ("path", "section"),
    [(HOME, "Projects"), (DESIGN, "Projects"), ("/dashboard/exports/schedules/new", "Reports")],
)
async def test_the_navigation_shows_where_a_page_belongs(database: str, path: str, section: str) -> None:
    async with open_office(database) as office:
        text = (await (await admin(office)).get(path)).text
        assert {section} == set(re.findall(r'aria-current="true">([^<]+)</a>', text))


# --- projects ---


async def test_somebody_sees_his_own_projects_and_no_others(database: str) -> None:
    async with open_office(database) as office:
        browser = await office.enter(await office.member(Role.SUPPORT))
        page = (await browser.get("/dashboard/projects")).text
        assert (True, False) == (f"Shop {SHOP}" in page, f"Shop {OTHER_SHOP}" in page)


async def test_a_secret_is_masked_until_it_is_asked_for_and_that_is_written_down(database: str) -> None:
    async with open_office(database) as office:
        browser = await admin(office)
        for path in ("/dashboard/projects", HOME, f"{HOME}/callbacks"):
            assert SECRETS[SHOP] not in (await browser.get(path)).text
        assert SECRETS[SHOP] in (await browser.post(f"{HOME}/secret")).text
        assert "project secret shown" == (await office.deeds())[-1]
        assert SECRETS[SHOP] not in str(await office.rows("SELECT a::text FROM audit_entry a"))


async def test_a_renewed_secret_works_beside_the_old_one_for_the_overlap(database: str) -> None:
    async with open_office(database) as office:
        browser = await admin(office)
        version = (await browser.get(HOME)).field("secret_version")
        page = await browser.post(f"{HOME}/secret/rotate", {"overlap": "24", "secret_version": version})
        project = await office.platform.project(SHOP)
        assert project
        assert SECRETS[SHOP] == project.secrets[1]
        assert project.secret in page.text

        office.clock.advance(hours=24, seconds=1)
        office.platform._projects.clear()
        project = await office.platform.project(SHOP)
        assert project
        assert 1 == len(project.secrets)


async def test_loading_the_page_again_does_not_renew_the_secret_again(database: str) -> None:
    async with open_office(database) as office:
        browser = await admin(office)
        sent = {"overlap": "0", "secret_version": (await browser.get(HOME)).field("secret_version")}
        answers = await asyncio.gather(*(browser.post(f"{HOME}/secret/rotate", sent) for _ in range(3)))
        assert [200, 303, 303] == sorted(answer.status for answer in answers)
        assert 1 == (await office.deeds()).count("project secret rotated")


async def test_limits_are_saved_in_the_forms_units(database: str) -> None:
    async with open_office(database) as office:
        browser = await admin(office)
        page = await browser.get(f"{HOME}/methods")
        sent = {
            "version": page.field("version"),
            "methods": "payco",
            "currencies": "KRW",
            "amount_min": "1,000",
            "amount_max": "2 000 000",
            "limit_time": "15",
            "base_time": "90",
        }
        assert f"{HOME}/methods?said=saved" == (await browser.post(f"{HOME}/methods", sent)).location
        assert {
            "methods": ["payco"],
            "currencies": ["KRW"],
            "amount_min": 1000,
            "amount_max": 2_000_000,
            "limit_time_s": 900,
            "base_time_s": 90,
        } == await settings_of(office)
        entry = (await office.rows("SELECT before, after FROM audit_entry ORDER BY seq DESC LIMIT 1"))[0]
        assert 100 == entry["before"]["amount_min"]
        assert 1000 == entry["after"]["amount_min"]
        assert "methods" not in entry["after"]  # as they were
        assert "Saved." in (await browser.get(f"{HOME}/methods?said=saved")).text


GOOD = {
    "methods": {
        "methods": "payco",
        "currencies": "KRW",
        "amount_min": "100",
        "amount_max": "1000",
        "limit_time": "30",
        "base_time": "120",
    },
    "redirects": {"success_url": "", "decline_url": "", "return_url": ""},
    "general": {"allowed_ips": "", "refund_resend_window": "600"},
}


BAD_VALUES = (
    ("methods", "amount_min", "0", "at least 1 won"),
    ("methods", "amount_min", "1001", "not below the smallest"),
    ("methods", "amount_min", "-5", "whole number"),
    ("methods", "amount_max", "1e3", "whole number"),
    ("methods", "amount_max", "9" * 16, "whole number"),
    ("methods", "limit_time", "0", "from 1 minute"),
    ("methods", "limit_time", "1441", "24 hours"),
    ("methods", "base_time", "1801", "shorter than the limit"),
    ("methods", "methods", "paypal", "at least one payment method"),
    ("methods", "currencies", "USD", "other currencies"),
    ("redirects", "success_url", "javascript:alert(1)", "not an http or https"),
    ("redirects", "success_url", "//evil.example", "not an http or https"),
    ("redirects", "decline_url", "data:text/html,x", "not an http or https"),
    ("redirects", "decline_url", "https://user@shop.example/", "not an http or https"),
    ("redirects", "return_url", "https://shop.example/a b", "not an http or https"),
    ("redirects", "return_url", "https://[", "not an http or https"),
    ("general", "allowed_ips", "203.0.113.0/33", "one address or network a line"),
    ("general", "allowed_ips", "anywhere", "one address or network a line"),
    ("general", "refund_resend_window", "86401", "24 hours"),
)


async def test_values_that_cannot_be_used_are_named_and_change_nothing(database: str) -> None:
    async with open_office(database) as office:
        browser = await admin(office)
        before = await office.fingerprint("session")
        for tab, field, value, reason in BAD_VALUES:
            path = HOME if tab == "general" else f"{HOME}/{tab}"
            answer = await browser.post(path, {**GOOD[tab], field: value})
            assert (400, True) == (answer.status, reason in answer.text), (field, value)
        assert before == await office.fingerprint("session")


async def test_a_form_that_is_based_on_an_older_state_is_refused(database: str) -> None:
    async with open_office(database) as office:
        first, second = await admin(office), await admin(office)
        version = (await first.get(f"{HOME}/redirects")).field("version")
        office.clock.advance(seconds=1)
        for browser, url, said in ((first, "a", "saved"), (second, "b", "stale")):
            sent = {"version": version, "success_url": f"https://shop.example/{url}"}
            answer = await browser.post(f"{HOME}/redirects", sent)
            assert f"{HOME}/redirects?said={said}" == answer.location
        assert "https://shop.example/a" == (await settings_of(office))["success_url"]


async def test_changes_of_different_tabs_at_once_all_stay(database: str) -> None:
    async with open_office(database) as office:
        browser = await admin(office)
        await asyncio.gather(
            browser.post(f"{HOME}/methods", GOOD["methods"]),
            browser.post(f"{HOME}/redirects", {"success_url": "https://shop.example/a"}),
            browser.post(f"{HOME}/callbacks", {"url": "https://shop.example/b"}),
            browser.post(f"{HOME}/callbacks", {"url": "https://shop.example/c"}),
        )
        settings = await settings_of(office)
        assert (1000, "https://shop.example/a") == (settings["amount_max"], settings["success_url"])
        assert 2 == len(settings["callback_rules"])  # type: ignore[arg-type]


async def test_somebody_without_the_right_sees_settings_and_cannot_save_them(database: str) -> None:
    async with open_office(database) as office:
        browser = await office.enter(await office.member(Role.SUPPORT))
        for tab in ("", "/methods", "/redirects", "/callbacks"):
            page = await browser.get(HOME + tab)
            assert 200 == page.status
            forms = re.findall(r'<form [^>]*action="([^"]*)"', page.text)
            assert {"/dashboard/language", "/dashboard/sign-out"} == set(forms)


async def test_callback_rules_are_added_changed_switched_and_deleted(database: str) -> None:
    async with open_office(database) as office:
        browser = await admin(office)
        rules = f"{HOME}/callbacks"
        await browser.post(rules, {"url": "https://shop.example/a", "result": "success"})
        await browser.post(rules, {"url": "https://shop.example/b", "result": "decline", "method": "payco"})
        assert "https://shop.example/b" == (await browser.get(f"{rules}/1")).field("url")

        version = (await browser.get(rules)).field("version")
        await browser.post(f"{rules}/1", {"url": "https://shop.example/c", "version": version})
        version = (await browser.get(rules)).field("version")
        await browser.post(f"{rules}/0/switch", {"enabled": "0", "version": version})
        assert [("https://shop.example/a", "success", False), ("https://shop.example/c", "", True)] == [
            (rule["url"], rule["result"], rule["enabled"])
            for rule in (await settings_of(office))["callback_rules"]  # type: ignore[attr-defined]
        ]

        stale = await browser.post(f"{rules}/0/delete", {"version": version})
        office.clock.advance(seconds=1)
        fresh = (await browser.get(rules)).field("version")
        await browser.post(f"{rules}/0/delete", {"version": fresh})
        assert f"{rules}?said=rule-deleted" == stale.location or f"{rules}?said=stale" == stale.location
        assert 404 == (await browser.get(f"{rules}/7")).status


INSIDE = (
    "",
    "http://shop.example/",
    "https://127.0.0.1/",
    "https://[::1]/",
    "https://2130706433/",
    "https://169.254.169.254/latest/meta-data",
    "https://localhost/",
    "https://user:password@shop.example/",
    "https://shop.example:22/",
    "ftp://shop.example/",
    "javascript:alert(1)",
    "https://shop.example/" + "x" * 3000,
)


async def test_callbacks_never_lead_inside(database: str) -> None:
    async with open_office(database) as office:
        browser = await admin(office)
        for url in INSIDE:
            answer = await browser.post(f"{HOME}/callbacks", {"url": url})
            assert (400, True) == (answer.status, "Callbacks cannot be sent" in answer.text), url
            if url:
                sent = {"callback_url": url}
                assert 400 == (await browser.post(f"{HOME}/callbacks/default", sent)).status
        assert {} == await settings_of(office)


# --- Payment Page ---

PNG = b"\x89PNG\r\n\x1a\n" + os.urandom(3000)


async def upload(browser: Browser, content: bytes, name: str = "logo.png", **fields: str) -> Answer:
    boundary = "----boundary7"
    parts = [
        f'--{boundary}\r\nContent-Disposition: form-data; name="{key}"\r\n\r\n{value}\r\n'.encode()
        for key, value in {"csrf": browser.csrf, **fields}.items()
    ]
    parts.append(
        f'--{boundary}\r\nContent-Disposition: form-data; name="page_logo"; filename="{name}"\r\n'
        "Content-Type: application/octet-stream\r\n\r\n".encode()
        + content
        + b"\r\n"
    )
    body = b"".join(parts) + f"--{boundary}--\r\n".encode()
    headers = {"content-type": f"multipart/form-data; boundary={boundary}", "sec-fetch-site": "same-origin"}
    return await browser.send("POST", DESIGN, body, headers)


async def test_a_designer_gives_the_page_a_name_a_colour_and_a_logo(database: str) -> None:
    async with open_office(database) as office:
        browser = await office.enter(await office.member(Role.DESIGNER, second_factor=False))
        answer = await upload(browser, PNG, page_name="가게", page_color="#aa2200")
        assert f"{DESIGN}?said=saved" == answer.location
        settings = await settings_of(office)
        assert ("가게", "#aa2200") == (settings["page_name"], settings["page_color"])
        assert str(settings["page_logo_url"]).startswith("data:image/png;base64,iVBORw0KGg")
        assert 'src="data:image/png;base64,' in (await browser.get(DESIGN)).text

        entry = await office.value("SELECT after FROM audit_entry ORDER BY seq DESC LIMIT 1")
        assert len(json.dumps(entry)) < 300
        kept = await upload(browser, b"", name="", page_name="가게", page_color="")
        assert f"{DESIGN}?said=saved" == kept.location
        assert settings["page_logo_url"] == (await settings_of(office))["page_logo_url"]
        await upload(browser, b"", name="", page_name="가게", without_logo="1")
        assert "" == (await settings_of(office))["page_logo_url"]


async def test_only_small_pictures_are_logos(database: str) -> None:
    others = (b"<svg onload=alert(1)>", b"GIF89a", PNG + bytes(30_000), b"\x89PNG", b"RIFF0000WAVE")
    async with open_office(database) as office:
        browser = await admin(office)
        for content in others:
            answer = await upload(browser, content)
            assert (400, True) == (answer.status, "at most 30 kB" in answer.text), content[:20]
        assert {} == await settings_of(office)


async def test_who_may_frame_the_page_is_not_the_designers_to_say(database: str) -> None:
    async with open_office(database) as office:
        designer = await office.enter(await office.member(Role.DESIGNER, second_factor=False))
        sent = {"try_again_attempts": "5", "try_again_window": "10"}
        good, bad = "https://shop.example\nhttp://127.0.0.1:*", "https://*.example"
        assert 403 == (await designer.post(f"{DESIGN}/conduct", {**sent, "frame_origins": good})).status
        browser = await admin(office)
        assert 400 == (await browser.post(f"{DESIGN}/conduct", {**sent, "frame_origins": bad})).status
        assert 303 == (await browser.post(f"{DESIGN}/conduct", {**sent, "frame_origins": good})).status
        assert good.split() == (await settings_of(office))["frame_origins"]


def test_files_survive_a_form_byte_by_byte() -> None:
    content = bytes(range(256)) * 3 + b"\r\n\n\r--boundary7x\r\n" + os.urandom(5000)
    head = (
        b'--boundary7\r\nContent-Disposition: form-data; name="file"; filename="a \xea\xb0\x80.bin"\r\n\r\n'
    )
    field = b'--boundary7\r\nContent-Disposition: form-data; name="text"\r\n\r\n\xea\xb0\x80\r\n\xea\r\n'
    raw = head + content + b"\r\n" + field.replace(b"\xea\r\n", b"\r\n") + b"--boundary7--\r\n"
    fields, files = read_multipart(raw, "multipart/form-data; boundary=boundary7")
    assert content == files["file"].content
    assert "text" == fields[0][0]
    assert isinstance(files["file"], Upload)


# --- team ---


async def test_a_new_user_gets_a_password_that_is_shown_once(database: str) -> None:
    async with open_office(database) as office:
        browser = await admin(office)
        sent = [
            ("login", "new@shop.example"),
            ("name", "<b>New</b>"),
            ("roles", "operations"),
            ("roles", "finance"),
            ("project_ids", str(SHOP)),
            ("right_refunds", "removed"),
            ("right_balances", "added"),
        ]
        page = await browser.post("/dashboard/team/new", sent)
        password = re.search(r'class="secret">([^<]+)<', page.text)
        assert password
        person = await people.find_by_login(office.platform, "new@shop.example")
        assert person
        assert {Role.OPERATIONS, Role.FINANCE} == person.roles
        assert Right.REFUNDS not in person.rights
        listed = (await browser.get("/dashboard/team")).text
        assert "&lt;b&gt;New&lt;/b&gt;" in listed
        assert password[1] not in listed
        form = (await browser.get(f"/dashboard/team/{person.person_id}")).text
        assert re.search(r'value="finance" checked', form)
        assert re.search(r'value="removed" selected', form)
        assert re.search(r'name="right_balances".*?value="added" selected', form, re.DOTALL)


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"login": "x"}, "3 to 100 characters"),
        ({"login": "user1@shop.example"}, "taken"),
        ({"roles": ""}, "does not exist"),
        ({"roles": "root"}, "does not exist"),
        ({"right_everything": "added"}, "does not exist"),
        ({"project_ids": None}, "at least one project"),
        ({"roles": None}, "at least one role"),
    ],
)
async def test_a_user_form_says_what_is_wrong_and_keeps_what_was_typed(
    database: str, fields: dict[str, str | None], reason: str
) -> None:
    async with open_office(database) as office:
        browser = await admin(office)
        good = {
            "login": "new@shop.example",
            "name": "Kept Name",
            "roles": "support",
            "project_ids": str(SHOP),
        }
        sent = {key: value for key, value in {**good, **fields}.items() if value is not None}
        answer = await browser.post("/dashboard/team/new", sent)
        assert 400 == answer.status
        assert reason in answer.text
        assert 1 == await office.value("SELECT count(*) FROM person")


async def test_somebody_of_two_worlds_is_seen_and_not_changed(database: str) -> None:
    """His other projects are not told either."""
    async with open_office(database) as office:
        browser = await admin(office)
        both = await office.member(Role.SUPPORT, projects=[SHOP, OTHER_SHOP])
        home = f"/dashboard/team/{both.person_id}"
        pages = [(await browser.get(path)).text for path in ("/dashboard/team", home)]
        assert all(both.login in page and str(OTHER_SHOP) not in page for page in pages)
        before = await office.fingerprint("session")
        for deed in ("", "/deactivate", "/reset-password", "/reset-second-factor", "/end-sessions"):
            sent = {"roles": "support", "project_ids": str(SHOP)}
            assert 400 == (await browser.post(home + deed, sent)).status
        assert before == await office.fingerprint("session")


async def test_nobody_locks_himself_out_or_makes_himself_more(database: str) -> None:
    async with open_office(database) as office:
        member = await office.member(Role.MERCHANT_ADMIN)
        browser = await office.enter(member)
        assert 400 == (await browser.post(f"/dashboard/team/{member.person_id}/deactivate")).status


# --- profile ---


async def test_a_persons_language_and_zone_are_kept(database: str) -> None:
    async with open_office(database) as office:
        browser = await office.enter(await office.member(Role.SUPPORT))
        assert '<html lang="en">' in (await browser.get("/dashboard/profile")).text
        await browser.post("/dashboard/language", {"language": "ko", "next": "/dashboard/projects"})
        page = (await browser.get("/dashboard/projects")).text
        assert '<html lang="ko">' in page
        sent = {"language": "ru", "time_zone": "Nowhere/Else"}
        assert 400 == (await browser.post("/dashboard/profile/preferences", sent)).status
        await browser.post("/dashboard/profile/preferences", {**sent, "time_zone": "Europe/Moscow"})
        assert "(Europe/Moscow)" in (await browser.get("/dashboard/profile")).text


async def test_one_session_of_several_can_be_ended(database: str) -> None:
    async with open_office(database) as office:
        member = await office.member(Role.SUPPORT)
        browsers = [await office.enter(member) for _ in range(3)]
        page = await browsers[0].get("/dashboard/profile")
        other = page.field("session_id")
        await browsers[0].post("/dashboard/profile/sessions", {"session_id": other})
        alive = [(await browser.get("/dashboard/profile")).status for browser in browsers]
        assert [200, 200, 303] == sorted(alive)
        assert 200 == alive[0]


async def test_sessions_of_others_cannot_be_ended(database: str) -> None:
    async with open_office(database) as office:
        victim = await office.enter(await office.member(Role.SUPPORT))
        session_id = await office.value("SELECT max(session_id) FROM session")
        browser = await office.enter(await office.member(Role.SUPPORT))
        await browser.post("/dashboard/profile/sessions", {"session_id": str(session_id)})
        assert 200 == (await victim.get("/dashboard/profile")).status


async def test_an_api_token_is_shown_once(database: str) -> None:
    async with open_office(database) as office:
        browser = await office.enter(await office.member(Role.SUPPORT))
        made = await browser.post("/dashboard/profile/api-token")
        token, secret = re.findall(r'class="secret">([^<]+)<', made.text)
        assert 30 == len(token)
        page = (await browser.get("/dashboard/profile")).text
        assert (False, False, True) == (token in page, secret in page, token[:4] in page)


@pytest.mark.parametrize(
    ("description", "name"),
    [
        (
            "Mozilla/5.0 (Windows NT 10.0) AppleWebKit/537.36 Chrome/140.0 Safari/537.36 Edg/140.0",
            "Edge, Windows",
        ),
        ("Mozilla/5.0 (Macintosh; Intel Mac OS X 14_0) Version/18.0 Safari/605.1.15", "Safari, macOS"),
        ("Mozilla/5.0 (Linux; Android 15) Chrome/140.0 Mobile Safari/537.36", "Chrome, Android"),
        ("curl/8.0", "curl"),
        ("", "?"),
        ("something else entirely", "something else entirely"),
    ],
)
def test_devices_are_called_by_browser_and_system(description: str, name: str) -> None:
    assert name == device(description)


# --- audit log ---


async def test_the_audit_log_shows_what_concerns_ones_own_projects(database: str) -> None:
    async with open_office(database) as office:
        browser = await admin(office)
        theirs = await office.enter(await office.member(Role.MERCHANT_ADMIN, projects=[OTHER_SHOP]))
        await theirs.post(f"/dashboard/projects/{OTHER_SHOP}/name", {"name": "Their new name"})
        await browser.post(f"{HOME}/name", {"name": "My new name"})
        both = await office.member(Role.SUPPORT, projects=[SHOP, OTHER_SHOP])

        page = (await browser.get("/dashboard/audit")).text
        assert "My new name" in page
        assert "Their new name" not in page
        assert both.login in page
        assert "also concerns projects that are not yours" in page
        assert str(OTHER_SHOP) not in page


async def test_the_audit_log_is_filtered_and_paged(database: str) -> None:
    async with open_office(database) as office:
        browser = await admin(office)
        for number in range(60):
            await browser.post(f"{HOME}/name", {"name": f"Name no. {number}"})
        page = await browser.get("/dashboard/audit?action=project+renamed")
        assert 50 == len(re.findall("<ins>Name no. ", page.text))
        later = re.search(r'rel="next" href="([^"]+)"', page.text)
        assert later
        rest = (await browser.get(later[1].replace("&amp;", "&"))).text
        assert 10 == len(re.findall("<ins>Name no. ", rest))

        office.clock.advance(minutes=20)
        now = office.clock.now() + timedelta(hours=9)  # the visitor's zone is Seoul's
        await browser.post(f"{HOME}/name", {"name": "The last name"})
        since = f"{now:%Y-%m-%dT%H:%M:%S}"
        assert 1 == (await browser.get(f"/dashboard/audit?since={since}&object=PROJECT")).text.count("<ins>")
        nothing = (await browser.get("/dashboard/audit?actor=nobody")).text
        assert "Nothing found" in nothing
        for odd in ("before=x", "before=" + "9" * 40, "since=yesterday", "until=0001-01-01T00:00"):
            assert 200 == (await browser.get(f"/dashboard/audit?{odd}")).status


async def test_the_exported_log_is_read_by_a_spreadsheet_and_runs_nothing(database: str) -> None:
    async with open_office(database) as office:
        browser = await admin(office)
        formula = Actor(None, "=cmd()", "-1+2", (SHOP,))
        await audit.note(office.platform, formula, "@sum", after={"text": "plain"})
        answer = await browser.post("/dashboard/audit/export", {"action": "@sum"})
        assert answer.headers["content-type"] == "text/csv; charset=utf-8"
        assert "attachment" in answer.headers["content-disposition"]
        assert answer.text.startswith("\ufeff")
        rows = list(csv.DictReader(io.StringIO(answer.text.removeprefix("\ufeff"))))
        assert ["'@sum"] == [row["action"] for row in rows]
        assert ("'=cmd()", "'-1+2") == (rows[0]["actor"], rows[0]["address"])
        assert not any(cell.startswith(tuple("=+-@")) for row in rows for cell in row.values())
        assert "at (Asia/Seoul)" in rows[0]
        assert "audit log exported" == (await office.deeds())[-1]


async def test_the_chain_is_verified_by_a_button(database: str) -> None:
    async with open_office(database) as office:
        browser = await admin(office)
        assert "the chain is unbroken" in (await browser.post("/dashboard/audit/verify")).text
        async with office.platform.database.transaction() as tx:
            await tx.execute("UPDATE audit_entry SET actor = 'x' WHERE seq = 2")
        assert "The chain breaks at entry 2" in (await browser.post("/dashboard/audit/verify")).text
