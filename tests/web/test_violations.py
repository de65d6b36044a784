"""Reports of pages that broke their policy: heard, told apart, without secrets, and never a flood."""

import json
from typing import Any

import asyncpg
import pytest
from tests.dashboard import Office, open_office
from tests.web.payer import Payer, page_path
from tests.world import OpenWorld, World, ask

from wongate.domain.rights import Role
from wongate.domain.violation import Kind, kind_of
from wongate.flows import violations
from wongate.flows.retention import Retention
from wongate.web.violations import KINDS_MAX, PATH, REPORT_MAX

FOREIGN = {
    "document-uri": "https://pay.example/result/1001.77.0123456789abcdef?language=ko",
    "violated-directive": "script-src 'nonce-x'",
    "blocked-uri": "https://evil.example/x.js?card=4111",
}
INLINE = {
    "document-uri": "https://pay.example/payment?customer_email=kim%40example.com&signature=c2VjcmV0",
    "effective-directive": "script-src-elem",
    "blocked-uri": "inline",
}


async def report(world: World, told: Any) -> None:
    raw = told if isinstance(told, bytes) else json.dumps(told).encode()
    answer = await ask(world.app, "POST", PATH, raw, {"content-type": "application/csp-report"})
    assert (204, b"") == (answer.status, answer.raw)


def written(caplog: pytest.LogCaptureFixture) -> list[tuple[str, str, str]]:
    found = [vars(record) for record in caplog.records if record.message == "a page broke its policy"]
    return [(one["directive"], one["blocked"], one["page"]) for one in found]


async def test_a_report_is_written_without_anything_secret(
    open_world: OpenWorld, caplog: pytest.LogCaptureFixture
):
    async with open_world() as world:
        await report(world, {"csp-report": FOREIGN})
        await report(world, {"csp-report": INLINE})
        expected = [
            ("script-src", "https://evil.example", "/result"),
            ("script-src-elem", "inline", "/payment"),
        ]
        assert expected == written(caplog)
        everything = str([vars(record) for record in caplog.records])
        for secret in ("0123456789abcdef", "4111", "kim%40", "c2VjcmV0"):
            assert secret not in everything


async def test_a_report_is_written_once_an_hour(open_world: OpenWorld, caplog: pytest.LogCaptureFixture):
    async with open_world() as world:
        for _ in range(50):
            await report(world, {"csp-report": FOREIGN})
        assert 1 == len(written(caplog))


async def test_a_flood_of_invented_reports_ends(open_world: OpenWorld, caplog: pytest.LogCaptureFixture):
    async with open_world() as world:
        for number in range(2 * KINDS_MAX):
            await report(world, {"csp-report": {**INLINE, "blocked-uri": f"https://{number}.example/"}})
        assert KINDS_MAX == len(written(caplog))


@pytest.mark.parametrize(
    "told",
    [
        b"",
        b"{",
        b"[" * 2000,
        b"null",
        b'"x"',
        b"[[], 1, null]",
        b'{"csp-report": []}',
        b" " * (REPORT_MAX + 1),
    ],
    ids=["empty", "cut", "deep", "null", "text", "list", "no object", "too large"],
)
async def test_what_is_no_report_leaves_nothing(
    open_world: OpenWorld, caplog: pytest.LogCaptureFixture, told: bytes
):
    async with open_world() as world:
        await report(world, told)
        assert [] == written(caplog)


async def test_pages_say_where_to_report(open_world: OpenWorld):
    async with open_world() as world:
        payer = Payer(world)
        await payer.get(page_path())
        assert f"report-uri {PATH}" in payer.answer.headers["content-security-policy"]


@pytest.mark.parametrize(
    "told, kind",
    [
        (FOREIGN, ("script-src", "https://evil.example", "/result")),
        (INLINE, ("script-src-elem", "inline", "/payment")),
        ({"blocked-uri": "https://kim:secret@evil.example:8443/x"}, "https://evil.example:8443"),
        ({"blocked-uri": "https://EVIL.example/"}, "https://evil.example"),
        ({"blocked-uri": "data"}, "data"),
        ({"blocked-uri": "https://evil\u202e.example/"}, "unreadable"),
        ({"blocked-uri": f"https://{'x' * 81}.example/"}, "unreadable"),
        ({"blocked-uri": "https://[::1/"}, "unreadable"),
        ({"blocked-uri": "https://evil.example:99999/"}, "unreadable"),
        ({"blocked-uri": ["https://evil.example/"]}, "unreadable"),
        ({"effective-directive": "<b>\x00"}, ("unreadable", "unreadable", "/")),
        (
            {"document-uri": "https://pay.example/dashboard/payments/1001/77?lang=ko"},
            ("unreadable", "unreadable", "/dashboard/payments"),
        ),
        ({"document-uri": "https://pay.example/%00kim/x"}, ("unreadable", "unreadable", "/unreadable")),
    ],
    ids=str,
)
def test_a_kind_holds_plain_words_and_no_secret(told: dict[str, Any], kind: Any):
    assert kind == (kind_of(told) if isinstance(kind, tuple) else kind_of(told).blocked)


async def test_a_report_is_kept_for_the_dashboard_and_a_lost_database_loses_it_quietly(open_world: OpenWorld):
    def lose(name: str) -> None:
        raise asyncpg.ConnectionDoesNotExistError("connection was closed in the middle of operation")

    async with open_world() as world:
        await report(world, {"csp-report": FOREIGN})
        world.platform.database.seam = lose
        await report(world, {"csp-report": INLINE})
        world.platform.database.seam = lambda name: None
        rows = await world.rows("SELECT directive, blocked, page FROM violation")
        assert [("script-src", "https://evil.example", "/result")] == [tuple(row) for row in rows]


async def fill(office: Office, number: int) -> None:
    for one in range(number):
        await violations.note(office.platform, Kind("img-src", f"https://{one}.example", "/payment"))


async def test_each_kind_is_shown_once_to_those_who_read_the_audit_log(database: str):
    async with open_office(database) as office:
        kind = Kind("script-src", "https://evil.example", "/payment")
        for _ in range(2):
            await violations.note(office.platform, kind)
            office.clock.advance(hours=1)
        browser = await office.enter(await office.member(Role.MERCHANT_ADMIN))
        text = (await browser.get("/dashboard/audit/violations")).text
        for part in kind:
            assert 1 == text.count(f"<code>{part}</code>")
        assert "2 hours ago" in text
        assert "1 hour ago" in text
        assert 'href="/dashboard/audit/violations"' in (await browser.get("/dashboard/audit")).text
        other = await office.enter(await office.member(Role.SUPPORT))
        assert 403 == (await other.get("/dashboard/audit/violations")).status


async def kinds_shown(office: Office) -> list[Kind]:
    return [Kind(one.directive, one.blocked, one.page) for one in await violations.latest(office.platform)]


async def test_the_kind_reported_last_stands_first_and_equal_ones_by_their_words(database: str):
    async with open_office(database) as office:
        again = Kind("img-src", "inline", "/result")
        others = [
            Kind("img-src", "inline", "/payment"),
            Kind("img-src", "eval", "/result"),
            Kind("connect-src", "inline", "/result"),
        ]
        for kind in (again, *others):
            await violations.note(office.platform, kind)
        office.clock.advance(hours=1)
        await violations.note(office.platform, again)
        assert [again, *sorted(others)] == await kinds_shown(office)


async def test_reports_never_fill_the_table(database: str):
    async with open_office(database) as office:
        counted = "SELECT count(*) FROM violation"
        for hours in (0, 23):  # what is reported again is not new, and makes no day longer
            office.clock.advance(hours=hours)
            await fill(office, violations.NEW_A_DAY + 50)
            assert violations.NEW_A_DAY == await office.value(counted)
        office.clock.advance(hours=1)
        await violations.note(office.platform, Kind("script-src", "inline", "/payment"))
        assert violations.NEW_A_DAY + 1 == await office.value(counted)
        assert violations.SHOWN == len(await violations.latest(office.platform))


async def test_a_kind_goes_thirty_days_after_its_latest_report(database: str):
    async with open_office(database) as office:
        retention = Retention(office.platform, {})
        known, gone = Kind("img-src", "inline", "/payment"), Kind("img-src", "inline", "/result")
        await violations.note(office.platform, gone)
        await violations.note(office.platform, known)
        office.clock.advance(days=29)
        await violations.note(office.platform, known)
        office.clock.advance(days=1)
        await retention.tick()
        assert [known, gone] == await kinds_shown(office)
        office.clock.advance(seconds=1)
        await retention.tick()
        assert [known] == await kinds_shown(office)


async def test_the_dashboards_pages_say_where_to_report_too(database: str):
    async with open_office(database) as office:
        answer = await office.browser().get("/dashboard/sign-in")
        assert f"report-uri {PATH}" in answer.headers["content-security-policy"]
