"""Reports of pages that broke their policy: heard, told apart, without secrets, and never a flood."""

import json
from typing import Any

import pytest
from tests.web.payer import Payer, page_path
from tests.world import OpenWorld, World, ask

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
