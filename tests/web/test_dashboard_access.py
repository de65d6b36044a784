"""Who may call what: generated from the table of routes, so that a new page is tested the moment it exists."""

import asyncio
import re
from collections.abc import Iterable, Mapping
from typing import Any, cast

import pytest
from starlette.applications import Starlette
from tests.dashboard import OTHER_SHOP, SHOP, Answer, Browser, Member, Office, open_office

from wongate.domain.requests import BODY_MAX
from wongate.domain.rights import RIGHTS_OF, Open, Role
from wongate.flows.platform import Platform
from wongate.web.back_pressure import BODY_TIMES, REQUEST_BYTES, App, BackPressure
from wongate.web.dashboard import Dashboard
from wongate.web.dashboard_access import Entry
from wongate.web.http import Receive
from wongate.web.security import SAFE_METHODS

ENTRIES = Dashboard(cast(Platform, None), sandbox=False).entries  # only the table of routes is looked at
UNSAFE = [entry for entry in ENTRIES if entry.method not in SAFE_METHODS]
FRESH = 300
"""Seconds for which a second factor stands."""


def ids(entry: Entry) -> str:
    return f"{entry.method} {entry.path}"


def filled(path: str, project_id: int = SHOP, **values: Any) -> str:
    """The path with numbers in place of its parameters; unknown ones get a number that nothing has."""
    known = {"project_id": project_id, **values}
    return re.sub(r"\{(\w+)(?::\w+)?\}", lambda found: str(known.get(found[1], 7)), path)


async def call(browser: Browser, entry: Entry, path: str, fields: Iterable[tuple[str, str]] = ()) -> Answer:
    if entry.method in SAFE_METHODS:
        return await browser.get(path)
    return await browser.post(path, fields)


def test_every_route_names_its_right_and_no_route_stands_twice() -> None:
    assert all(entry.rights or isinstance(entry.right, Open) for entry in ENTRIES)
    routes = [(entry.method, entry.path) for entry in ENTRIES]
    assert len(set(routes)) == len(routes)
    open_to_all = {entry.path for entry in ENTRIES if entry.right is Open.ANYBODY}
    assert {"/dashboard/sign-in"} == open_to_all


@pytest.mark.parametrize("role", list(Role))
async def test_each_role_reaches_what_its_rights_name_and_nothing_else(database: str, role: Role) -> None:
    async with open_office(database) as office:
        browser = await office.enter(await office.member(role))
        for entry in ENTRIES:
            if entry.path in ("/dashboard/sign-out", "/dashboard/profile/sessions"):
                continue
            answer = await call(browser, entry, filled(entry.path))
            assert answer.status != 500, (ids(entry), answer.text)
            if entry.rights:
                allowed = not entry.rights.isdisjoint(RIGHTS_OF[role])
                assert allowed is (answer.status != 403), (ids(entry), answer.status)


async def test_nobody_comes_in_without_a_session(database: str) -> None:
    async with open_office(database) as office:
        before = await office.fingerprint()
        for entry in ENTRIES:
            if entry.right is not Open.ANYBODY:
                answer = await call(office.browser(), entry, filled(entry.path))
                assert 303 == answer.status, ids(entry)
                assert answer.location.startswith("/dashboard/sign-in"), ids(entry)
        assert before == await office.fingerprint()


async def _two_tenants(office: Office) -> tuple[Member, Browser]:
    victim = await office.member(Role.MERCHANT_ADMIN, projects=[SHOP])
    stranger = await office.member(Role.MERCHANT_ADMIN, projects=[OTHER_SHOP])
    return victim, await office.enter(stranger)


async def test_a_stranger_finds_nothing_of_another_project_and_changes_nothing(
    database: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with open_office(database) as office:
        victim, browser = await _two_tenants(office)
        before = await office.fingerprint("session")
        for entry in ENTRIES:
            if not {"{project_id:int}", "{person_id:int}"} & set(re.findall(r"\{.*?\}", entry.path)):
                continue
            caplog.clear()
            answer = await call(browser, entry, filled(entry.path, person_id=victim.person_id))
            assert 404 == answer.status, (ids(entry), answer.status)
            assert "another" in caplog.text, ids(entry)
        assert before == await office.fingerprint("session")


NAMING_IN_A_URL = (
    f"?project_id={SHOP}",
    f"?project_ids={OTHER_SHOP},{SHOP}",
    f"?project_ids={OTHER_SHOP}&project_ids={SHOP}",
    f"?query=status%3Ddecline%26project_ids%3D{SHOP}",
    f"?object=project/{SHOP}",
    f"?object=payment/{SHOP}/7",
)
JSON = "application/json"
BOUNDARY = "multipart/form-data; boundary=b"
NAMING_IN_A_BODY = (
    ("application/x-www-form-urlencoded", f"csrf=CSRF&project_id={SHOP}"),
    ("application/x-www-form-urlencoded", f"csrf=CSRF&project_ids={OTHER_SHOP}&project_ids={SHOP}"),
    (
        "application/x-www-form-urlencoded",
        f"csrf=CSRF&query=period%3D7d%26project_ids%3D{OTHER_SHOP}%2C{SHOP}",
    ),
    (JSON, f'{{"csrf":"CSRF","project_ids":[{OTHER_SHOP},{SHOP}]}}'),
    (JSON, f'{{"csrf":"CSRF","filter":{{"project_id":{SHOP}}}}}'),
    (
        BOUNDARY,
        "".join(
            f'--b\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
            for name, value in (("csrf", "CSRF"), ("project_id", SHOP))
        )
        + "--b--\r\n",
    ),
)


async def test_another_projects_id_in_query_or_form_answers_404_and_is_logged(
    database: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with open_office(database) as office:
        _, browser = await _two_tenants(office)
        before = await office.fingerprint("session")
        for entry in (entry for entry in ENTRIES if entry.rights):
            path = filled(entry.path, OTHER_SHOP)
            caplog.clear()
            asked = 0
            for query in NAMING_IN_A_URL:
                assert 404 == (await call(browser, entry, path + query)).status, (ids(entry), query)
                asked += 1
            for kind, body in NAMING_IN_A_BODY if entry.method not in SAFE_METHODS else ():
                headers = {"content-type": kind, "sec-fetch-site": "same-origin"}
                raw = body.replace("CSRF", browser.csrf).encode()
                answer = await browser.send("POST", path, raw, headers)
                assert 404 == answer.status, (ids(entry), body)
                asked += 1
            named = [record for record in caplog.records if record.message == "another project's id"]
            assert [SHOP] * asked == [record.project_id for record in named]  # type: ignore[attr-defined]
            assert {path} == {record.path for record in named}  # type: ignore[attr-defined]
        assert before == await office.fingerprint("session")


async def test_ids_of_strangers_look_like_ids_of_nobody(database: str) -> None:
    async with open_office(database) as office:
        victim, browser = await _two_tenants(office)
        for real, unknown in (
            (f"/dashboard/projects/{SHOP}", "/dashboard/projects/424242"),
            (f"/dashboard/team/{victim.person_id}", "/dashboard/team/424242"),
        ):
            answers = [await browser.get(path) for path in (real, unknown)]
            pages = {re.sub(r'nonce="[^"]*"|value="[^"]*"', "", answer.text) for answer in answers}
            assert 1 == len({page.replace(real, "").replace(unknown, "") for page in pages})


FORM = "application/x-www-form-urlencoded"
FOREIGN: tuple[dict[str, str], ...] = (
    {"sec-fetch-site": "cross-site", "origin": "https://evil.example"},
    {"sec-fetch-site": "same-site", "origin": "http://evil.127.0.0.1:8080"},
    {"sec-fetch-site": "cross-site", "origin": "http://127.0.0.1:8080"},
    {"sec-fetch-site": "none"},
    {"origin": "null"},
    {"origin": "http://127.0.0.1:9999"},
    {},
)


async def test_forms_of_foreign_pages_are_refused(database: str) -> None:
    async with open_office(database) as office:
        browser = await office.enter(await office.member(Role.MERCHANT_ADMIN))
        before = await office.fingerprint("session")
        body = f"csrf={browser.csrf}".encode()
        for entry in UNSAFE:
            for headers in FOREIGN:
                sent = {"content-type": FORM, **headers}
                answer = await browser.send("POST", filled(entry.path), body, sent)
                assert 403 == answer.status, (ids(entry), headers)
        assert before == await office.fingerprint("session")


async def test_forms_without_the_sessions_own_token_are_refused(database: str) -> None:
    async with open_office(database) as office:
        member = await office.member(Role.MERCHANT_ADMIN)
        browser, elsewhere = await office.enter(member), await office.enter(member)
        before = await office.fingerprint("session")
        for token in ("", "x" * 43, elsewhere.csrf):
            browser.csrf = token
            for entry in UNSAFE:
                assert 403 == (await browser.post(filled(entry.path))).status, ids(entry)
        assert before == await office.fingerprint("session")


async def test_an_old_browser_proves_its_origin_by_the_origin_header(database: str) -> None:
    async with open_office(database) as office:
        browser = await office.enter(await office.member(Role.SUPPORT))
        headers = {"origin": "http://127.0.0.1:8080", "content-type": "application/x-www-form-urlencoded"}
        body = f"csrf={browser.csrf}&language=ko".encode()
        assert 303 == (await browser.send("POST", "/dashboard/language", body, headers)).status


async def test_pages_that_are_looked_at_change_nothing(database: str) -> None:
    """Twice each, as the same person; only the session's own time moves."""
    async with open_office(database) as office:
        member = await office.member(Role.MERCHANT_ADMIN)
        browser = await office.enter(member)
        before = await office.fingerprint("session")
        for entry in ENTRIES:
            if entry.method in SAFE_METHODS:
                for _ in range(2):
                    await browser.get(filled(entry.path, person_id=member.person_id, number=0))
        assert before == await office.fingerprint("session")


async def test_money_secrets_and_rights_ask_for_a_fresh_second_factor(database: str) -> None:
    async with open_office(database) as office:
        browser = await office.enter(await office.member(Role.MERCHANT_ADMIN))
        before = await office.fingerprint("session")
        office.clock.advance(seconds=FRESH + 60)
        for entry in (entry for entry in UNSAFE if entry.confirm):
            answer = await browser.post(filled(entry.path), {"kept": 'a "value"'})
            assert 403 == answer.status, ids(entry)
            assert 'name="second_factor"' in answer.text
            assert 'a "value"' == answer.field("kept")
        assert before == await office.fingerprint("session")


def test_what_has_to_be_confirmed_is() -> None:
    """Refunds are listed by the page that offers them."""
    confirmed = {entry.path for entry in UNSAFE if entry.confirm}
    wanted = {
        "/dashboard/projects/{project_id:int}/secret",
        "/dashboard/projects/{project_id:int}/secret/rotate",
        "/dashboard/projects/{project_id:int}/callbacks",
        "/dashboard/projects/{project_id:int}/callbacks/default",
        "/dashboard/profile/api-token",
        "/dashboard/profile/second-factor",
        "/dashboard/team/new",
        "/dashboard/team/{person_id:int}",
    }
    assert wanted <= confirmed
    team = {entry.path for entry in UNSAFE if entry.path.startswith("/dashboard/team")}
    assert team <= confirmed


async def test_a_fresh_code_in_the_form_confirms_and_renews_the_session(database: str) -> None:
    async with open_office(database) as office:
        member = await office.member(Role.MERCHANT_ADMIN)
        browser = await office.enter(member)
        office.clock.advance(minutes=6)
        before = browser.cookie
        path = f"/dashboard/projects/{SHOP}/secret"

        wrong = await browser.post(path, {"second_factor": "000000"})
        assert (403, False) == (wrong.status, "secret of the shop" in wrong.text)
        right = await browser.post(path, {"second_factor": office.code(member)})
        assert (200, True) == (right.status, "secret of the shop" in right.text)
        assert before != browser.cookie
        assert 303 == (await office.browser(cookie=before).get("/dashboard/profile")).status

        office.clock.advance(seconds=FRESH)
        assert 200 == (await browser.post(path)).status
        office.clock.advance(seconds=1)
        assert 403 == (await browser.post(path)).status


async def test_every_page_carries_the_headers_that_keep_it_safe(database: str) -> None:
    async with open_office(database) as office:
        member = await office.member(Role.MERCHANT_ADMIN)
        browser = await office.enter(member)
        for entry in ENTRIES:
            if entry.method in SAFE_METHODS:
                path = filled(entry.path, person_id=member.person_id, number=0)
                _check_headers([await browser.get(path) for _ in range(2)])


def _check_headers(answers: list[Answer]) -> None:
    """Of the same page, asked for twice."""
    policies = [_directives(answer.headers["content-security-policy"]) for answer in answers]
    assert policies[0]["script-src"] != policies[1]["script-src"]
    for answer, policy in zip(answers, policies, strict=True):
        _check_policy(policy, answer)
        assert "no-store" == answer.headers["cache-control"]
        assert "nosniff" == answer.headers["x-content-type-options"]
        assert "no-referrer" == answer.headers["referrer-policy"]
        assert "same-origin" == answer.headers["cross-origin-opener-policy"]
        assert "access-control-allow-origin" not in answer.headers


def _directives(policy: str) -> dict[str, str]:
    return {part.split()[0]: " ".join(part.split()[1:]) for part in policy.split(";")}


def _check_policy(policy: dict[str, str], answer: Answer) -> None:
    for name in ("default-src", "frame-ancestors", "base-uri", "object-src"):
        assert "'none'" == policy[name]
    assert "unsafe" not in str(policy)
    assert "'self'" == policy["form-action"] == policy["connect-src"]
    assert not re.search(r"\sstyle=|\son\w+=|<script>|javascript:", answer.text)
    nonce = policy["script-src"].removeprefix("'nonce-").removesuffix("'")
    for tag in re.findall(r"<(?:script|link rel=\"stylesheet\")[^>]*>", answer.text):
        assert f'nonce="{nonce}"' in tag
        assert "integrity=" in tag
    assert not re.findall(r'(?:src|href)="(?:https?:)?//', answer.text)


async def test_every_deed_leaves_a_row_in_the_audit_log(database: str) -> None:
    """Each unsafe route, called so that it does something."""
    async with open_office(database) as office:
        office.clock.advance(days=1)
        told = _meaningful_forms()
        for entry in UNSAFE:
            if entry.path not in told:
                continue
            member = await office.member(Role.MERCHANT_ADMIN)
            other = await office.member(Role.SUPPORT)
            browser = await office.enter(member)
            await _bring_about(office, browser, entry)
            before = len(await office.deeds())
            path = filled(entry.path, person_id=other.person_id, number=0)
            answer = await browser.post(path, await told[entry.path](office, browser))
            assert answer.status in (200, 303), (ids(entry), answer.text)
            assert len(await office.deeds()) > before, ids(entry)
        ours = {e.path for e in UNSAFE if not e.path.startswith(_PAGES_OF_OTHERS)}
        assert ours == set(told) | _SILENT


_PAGES_OF_OTHERS = ("/dashboard/payments", "/dashboard/analytics", "/dashboard/exports")
_SILENT = {"/dashboard/second-factor", "/dashboard/sign-in", "/dashboard/new-password", "/dashboard/enrol"}
"""Proven in test_dashboard_sign_in."""


async def _bring_about(office: Office, browser: Browser, entry: Entry) -> None:
    if "{number:int}" in entry.path:
        deed = entry.path.rpartition("/")[2].strip("{}")
        sent = {"url": f"https://shop.example/{deed}", "result": "success"}
        assert 303 == (await browser.post(f"/dashboard/projects/{SHOP}/callbacks", sent)).status
    if entry.path.endswith("end-overlap"):
        page = await browser.get(f"/dashboard/projects/{SHOP}")
        version = page.field("secret_version")
        sent = {"overlap": "24", "secret_version": version}
        await browser.post(f"/dashboard/projects/{SHOP}/secret/rotate", sent)


def _meaningful_forms() -> dict[str, Any]:
    from wongate.domain import one_time

    one = "/dashboard/projects/{project_id:int}"

    def form(**fields: str) -> Any:
        async def fill(office: Office, browser: Browser) -> dict[str, str]:
            return fields

        return fill

    async def rotate(office: Office, browser: Browser) -> dict[str, str]:
        version = (await browser.get(f"/dashboard/projects/{SHOP}")).field("secret_version")
        return {"overlap": "1", "secret_version": version}

    async def enrol(office: Office, browser: Browser) -> dict[str, str]:
        secret = (await browser.get("/dashboard/profile/second-factor")).field("secret")
        return {"secret": secret, "code": one_time.code_of(secret, one_time.step_of(office.clock.now()))}

    limits = {"amount_max": "5000", "limit_time": "15", "base_time": "60"}
    rule = {"url": "https://shop.example/b", "method": "payco"}
    return {
        "/dashboard/sign-out": form(),
        "/dashboard/language": form(language="ru"),
        f"{one}": form(allowed_ips="203.0.113.0/24", refund_resend_window="60"),
        f"{one}/name": form(name="Another name"),
        f"{one}/secret": form(),
        f"{one}/secret/rotate": rotate,
        f"{one}/secret/end-overlap": form(),
        f"{one}/methods": form(methods="payco", currencies="KRW", amount_min="200", **limits),
        f"{one}/redirects": form(success_url="https://shop.example/thanks"),
        f"{one}/callbacks": form(**rule),
        f"{one}/callbacks/default": form(callback_url="https://shop.example/all"),
        f"{one}/callbacks/{{number:int}}": form(url="https://shop.example/c"),
        f"{one}/callbacks/{{number:int}}/switch": form(enabled="0"),
        f"{one}/callbacks/{{number:int}}/delete": form(),
        "/dashboard/page-design/{project_id:int}": form(page_name="Payer's name"),
        "/dashboard/page-design/{project_id:int}/conduct": form(
            frame_origins="https://shop.example", try_again_attempts="3", try_again_window="5"
        ),
        "/dashboard/team/new": form(login="fresh@shop.example", roles="support", project_ids=str(SHOP)),
        "/dashboard/team/{person_id:int}": form(roles="finance", project_ids=str(SHOP)),
        "/dashboard/team/{person_id:int}/reset-password": form(),
        "/dashboard/team/{person_id:int}/deactivate": form(),
        "/dashboard/team/{person_id:int}/activate": form(),
        "/dashboard/team/{person_id:int}/reset-second-factor": form(),
        "/dashboard/team/{person_id:int}/end-sessions": form(),
        "/dashboard/profile/password": form(
            current="correct horse battery staple", password="another long password"
        ),
        "/dashboard/profile/preferences": form(language="ko", time_zone="Europe/Moscow"),
        "/dashboard/profile/sessions": form(),
        "/dashboard/profile/second-factor": enrol,
        "/dashboard/profile/recovery-codes": form(),
        "/dashboard/profile/api-token": form(),
        "/dashboard/profile/api-token/end": form(),
        "/dashboard/audit/export": form(),
        "/dashboard/audit/verify": form(),
    }


async def test_what_breaks_shows_a_number_and_nothing_of_its_inside(
    database: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with open_office(database) as office:
        browser = await office.enter(await office.member(Role.MERCHANT_ADMIN))
        async with office.platform.database.transaction() as tx:
            await tx.execute("UPDATE project SET sealed_secret = 'broken'")
        answer = await browser.get("/dashboard/projects")
        assert 500 == answer.status
        assert "Traceback" not in answer.text
        assert "sealed" not in answer.text
        assert answer.headers["x-request-id"] in answer.text
        assert answer.headers["x-request-id"] == caplog.records[-1].request_id  # type: ignore[attr-defined]


ODD_ADDRESSES = (
    ("/dashboard/nothing", 404),
    ("/dashboard/static/0000000000000000/dashboard.css", 404),
    ("/dashboard/static/0000000000000000/..%2fdashboard_access.py", 404),
    (f"/dashboard/projects/{10**30}", 404),
    (f"/dashboard/team/{10**30}", 404),
    ("/dashboard/projects?project_id=" + "9" * 5000, 404),
    ("/dashboard/projects?project_id=%D9%A1", 404),
    ("/dashboard/sign-out", 405),
)


async def test_odd_addresses_get_a_page_that_says_so(database: str) -> None:
    async with open_office(database) as office:
        browser = await office.enter(await office.member(Role.MERCHANT_ADMIN))
        for path, status in ODD_ADDRESSES:
            answer = await browser.get(path)
            assert status == answer.status, path
            assert "text/html; charset=utf-8" == answer.headers["content-type"]
            assert "content-security-policy" in answer.headers


UNREADABLE: tuple[tuple[str, bytes, int], ...] = (
    (FORM, b"a=%00", 400),
    (FORM, b"\xff\xfe", 400),
    (FORM, b"a=%ff", 400),
    ("application/json", b"[1]", 400),
    ("application/json", b"{", 400),
    ("multipart/form-data", b"x", 400),
    ("text/plain", b"a=b", 415),
    (FORM, b"a=" + b"x" * 300_000, 413),
)


async def test_forms_that_cannot_be_read_are_refused(database: str) -> None:
    async with open_office(database) as office:
        browser = await office.enter(await office.member(Role.SUPPORT))
        for content_type, body, status in UNREADABLE:
            headers = {"content-type": content_type, "sec-fetch-site": "same-origin"}
            answer = await browser.send("POST", "/dashboard/language", body, headers)
            assert status == answer.status, (content_type, body[:20])


SLOWNESS = {
    "ko": "너무 천천히 도착했습니다",
    "en": "This came too slowly",
    "ru": "Данные пришли слишком медленно",
}


@pytest.mark.parametrize("language", SLOWNESS)
async def test_a_form_that_comes_too_slowly_is_told_so_and_changes_nothing(
    database: str, language: str
) -> None:
    async with open_office(database) as office:
        browser = await office.enter(await office.member(Role.MERCHANT_ADMIN), language=language)
        before = await office.fingerprint()
        request_bytes = REQUEST_BYTES + BODY_TIMES * BODY_MAX
        front = BackPressure(office.app, no_room, memory_max=request_bytes * 3 // 2, body_within_s=0.05)

        async def half_a_form(scope: Any, receive: Any, send: Any) -> None:
            await front(scope, after({"type": "http.request", "body": b"login=", "more_body": True}), send)

        browser.app = cast(Starlette, half_a_form)
        answer = await browser.post("/dashboard/team", headers={"content-length": str(BODY_MAX)})
        assert (408, "close") == (answer.status, answer.headers["connection"])
        assert SLOWNESS[language] in answer.text
        assert before == await office.fingerprint()


async def test_a_visitor_who_hangs_up_amid_a_form_is_no_fault_of_ours(
    database: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with open_office(database) as office:
        browser = await office.enter(await office.member(Role.SUPPORT))
        whole = cast(App, office.app)

        async def hung_up(scope: Any, receive: Any, send: Any) -> None:
            await whole(scope, after({"type": "http.disconnect"}), send)

        browser.app = cast(Starlette, hung_up)
        await browser.post("/dashboard/language")
        assert [] == [record.message for record in caplog.records if record.levelname == "ERROR"]


def after(message: Mapping[str, Any]) -> Receive:
    """What a server tells of a client from which nothing comes behind this."""
    told = [message]

    async def receive() -> Mapping[str, Any]:
        if not told:
            await asyncio.Event().wait()
        return told.pop()

    return receive


async def no_room(send: Any) -> None:
    raise AssertionError("there was room for one")
