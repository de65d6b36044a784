"""The Payments table: what it shows for which URL, added up a second time by the test."""

import re
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from html import unescape
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit
from zoneinfo import ZoneInfo

import pytest
from tests import books
from tests.books import Past
from tests.dashboard import OTHER_SHOP, SHOP, Browser, Office, open_office

from wongate.domain.rights import Role
from wongate.flows import roll_up
from wongate.reports.ends import ENDS
from wongate.web.dashboard_filters import ABOUT

TABLE = "/dashboard/payments"
SEOUL = ZoneInfo("Asia/Seoul")


@asynccontextmanager
async def shop(url: str, number: int = 180, days: float = 12) -> AsyncIterator[tuple[Office, Browser, Past]]:
    async with open_office(url) as office:
        past = books.draw(SHOP, office.clock.now(), days=days, number=number)
        others = books.draw(OTHER_SHOP, office.clock.now(), days=days, number=20, seed=3)
        await books.write(office.platform, past, others)
        yield office, await office.enter(await office.member(Role.OPERATIONS)), past


def ids_on(text: str) -> list[str]:
    return re.findall(rf'<a href="{TABLE}/{SHOP}/\d+">([^<]+)</a>', text)


def link(text: str, rel: str) -> str:
    found = re.search(rf'rel="{rel}" href="([^"]+)"', text)
    return unescape(found[1]) if found else ""


def expected(past: Past, keep: Any) -> list[str]:
    """Payment ids, newest first."""
    rows = [row for row in past.payments if keep(row)]
    return [
        row["payment_id"]
        for row in sorted(rows, key=lambda row: (row["created_at"], row["payment_no"]))[::-1]
    ]


async def test_pages_by_key_show_every_payment_once_and_lead_back_the_same_way(database: str) -> None:
    async with shop(database) as (_, browser, past):
        seen, pages, path = [], [], TABLE
        while path:
            answer = await browser.get(path)
            assert 200 == answer.status
            pages.append(ids_on(answer.text))
            seen += pages[-1]
            last, path = answer, link(answer.text, "next")
        assert expected(past, lambda row: True) == seen
        back = [ids_on(last.text)]
        path = link(last.text, "prev")
        while path:
            answer = await browser.get(path)
            back.append(ids_on(answer.text))
            path = link(answer.text, "prev")
        assert pages == back[::-1]


@pytest.mark.parametrize(
    "query, keep",
    [
        ("status=decline", lambda row, now: row["status"] == "decline"),
        ("status=decline&status=error", lambda row, now: row["status"] in ("decline", "error")),
        ("unfinished=1", lambda row, now: row["status"] == "awaiting redirect result"),
        ("refunds=1", lambda row, now: row["refunded"] > 0),
        ("flagged=1", lambda row, now: row["flag"] != ""),
        ("source=page&amount_min=40000", lambda row, now: row["source"] == "page" and row["amount"] >= 40000),
        (
            "weekday=7&hour=21",
            lambda row, now: row["created_at"].astimezone(SEOUL).strftime("%u %H") == "7 21",
        ),
        ("weekday=8&hour=24&about=evil&status=error", lambda row, now: row["status"] == "error"),
        ("customer_id=customer7", lambda row, now: row["customer_id"] == "customer7"),
        (
            "period=7d&status=success",
            lambda row, now: row["created_at"] >= _days_ago(now, 6) and row["status"] == "success",
        ),
    ],
)
async def test_a_filter_in_the_url_shows_what_it_names_and_adds_it_up(
    database: str, query: str, keep: Any
) -> None:
    async with shop(database) as (office, browser, past):
        now = office.clock.now()
        kept = [row for row in past.payments if keep(row, now)]
        answer = await browser.get(f"{TABLE}?{query}&totals=1")
        assert kept
        assert expected(past, lambda row: keep(row, now))[:50] == ids_on(answer.text)
        assert _totals(kept) == _shown_totals(answer.text)


def _days_ago(now: datetime, days: int) -> datetime:
    midnight = now.astimezone(ZoneInfo("Asia/Seoul")).replace(hour=0, minute=0, second=0, microsecond=0)
    return midnight - timedelta(days=days)


def _totals(rows: list[dict[str, Any]]) -> list[int]:
    captured, refunded = sum(row["captured"] for row in rows), sum(row["refunded"] for row in rows)
    return [len(rows), sum(row["amount"] for row in rows), captured, refunded, captured - refunded]


def _shown_totals(text: str) -> list[int]:
    return [int(re.sub(r"\D", "", found)) for found in re.findall(r"<dd>([^<]+)</dd>", text)[:5]]


async def test_totals_are_the_same_before_and_after_hours_are_added_up(database: str) -> None:
    async with shop(database, days=20) as (office, browser, past):
        since = office.clock.now() - timedelta(days=9, minutes=17, seconds=5)
        kept = [row for row in past.payments if row["created_at"] >= since.replace(microsecond=0)]
        local = since.astimezone(ZoneInfo("Asia/Seoul")).strftime("%Y-%m-%dT%H:%M:%S")
        path = f"{TABLE}/totals?since={quote(local)}"
        before = _shown_totals((await browser.get(path)).text)
        steps = 1
        while await roll_up.add_up(office.platform):
            steps += 1
        assert 3 <= steps
        assert _totals(kept) == before == _shown_totals((await browser.get(path)).text)
        assert 0 < await office.value("SELECT sum(payments) FROM payment_sum WHERE project_id = $1", SHOP)


async def test_totals_follow_a_refund_of_a_payment_whose_hour_is_closed(database: str) -> None:
    async with shop(database) as (office, browser, past):
        while await roll_up.add_up(office.platform):
            pass
        row = next(row for row in past.payments if row["status"] == "success")
        async with office.platform.database.transaction() as tx:
            key = (SHOP, row["payment_no"])
            await tx.execute(
                "UPDATE payment SET refunded = 100, status = 'partially refunded' WHERE project_id = $1 AND payment_no = $2",
                *key,
            )
            await tx.execute(
                "INSERT INTO operation (project_id, operation_id, payment_no, kind, status, stage, amount, currency, code, "
                "request_id, request_hash, description, account_id, order_number, return_key, created_at, changed_at) "
                "VALUES ($1, $3, $2, 'refund', 'success', 'done', 100, 'KRW', 0, '', '', '', 1, '', '', $4, $4)",
                *key,
                row["payment_no"] + 5,
                office.clock.now(),
            )
            await tx.execute(
                "INSERT INTO transition (project_id, operation_id, seq, event, status, stage, payment_status, code, final, at) "
                "VALUES ($1, $2, 1, 'approved', 'success', 'done', 'partially refunded', 0, true, $3)",
                SHOP,
                row["payment_no"] + 5,
                office.clock.now(),
            )
        refunded = sum(payment["refunded"] for payment in past.payments) + 100
        office.clock.advance(seconds=15)
        await roll_up.add_up(office.platform)
        assert refunded == _shown_totals((await browser.get(f"{TABLE}/totals")).text)[3]


async def test_the_period_is_exact_to_the_second_in_the_visitors_zone(database: str) -> None:
    async with shop(database) as (_, browser, past):
        row = past.payments[90]
        local = row["created_at"].astimezone(ZoneInfo("Asia/Seoul")).replace(tzinfo=None)
        until = local + timedelta(seconds=1)
        shown = ids_on(
            (await browser.get(f"{TABLE}?since={local.isoformat()}&until={until.isoformat()}")).text
        )
        assert [row["payment_id"]] == shown
        shown = ids_on((await browser.get(f"{TABLE}?since={until.isoformat()}")).text)
        assert row["payment_id"] not in shown


async def test_every_exact_id_jumps_to_its_payment(database: str) -> None:
    async with shop(database) as (_, browser, past):
        paid = next(row for row in past.payments if row["status"] == "success")
        operation = next(row for row in past.operations if row["payment_no"] == paid["payment_no"])
        place = f"{TABLE}/{SHOP}/{paid['payment_no']}"
        for text in (
            paid["payment_id"],
            paid["payment_id"].upper(),
            str(operation["operation_id"]),
            str(paid["payment_no"]),
            operation["request_id"],
            operation["reference"],
            f" {paid['payment_id']} ",
        ):
            assert place == (await browser.get(f"{TABLE}?q={quote(text)}")).location, text


async def test_a_customer_with_many_payments_becomes_a_filter_and_an_unknown_id_says_so(
    database: str,
) -> None:
    async with shop(database) as (_, browser, _past):
        assert f"{TABLE}?customer_id=customer7" == (await browser.get(f"{TABLE}?q=customer7")).location
        answer = await browser.get(f"{TABLE}?q=nothing-like-this")
        assert [] == ids_on(answer.text)
        assert "No payment fits" in answer.text


async def test_what_a_search_has_found_offers_nothing_that_would_take_all_payments(database: str) -> None:
    """Neither export nor resend knows the text that was searched: they would have taken the whole table."""
    async with shop(database) as (_, browser, _past):
        doors = ("/dashboard/exports?", f"{TABLE}/resend")
        everything = (await browser.get(f"{TABLE}?status=success")).text
        assert [True, True] == [f'class="button" href="{door}' in everything for door in doors]
        found = (await browser.get(f"{TABLE}?q=nothing-like-this")).text
        assert [False, False] == [f'class="button" href="{door}' in found for door in doors]


async def test_another_shops_payment_is_found_by_none_of_its_ids(database: str) -> None:
    async with shop(database) as (office, browser, _):
        row = (
            await office.rows("SELECT * FROM operation WHERE project_id = $1 AND reference <> ''", OTHER_SHOP)
        )[0]
        payment_id = await office.value(
            "SELECT payment_id FROM payment WHERE payment_no = $1", row["payment_no"]
        )
        for text in (payment_id, str(row["operation_id"]), row["request_id"], row["reference"]):
            assert 200 == (await browser.get(f"{TABLE}?q={quote(text)}")).status


async def test_chips_take_one_condition_away_each(database: str) -> None:
    async with shop(database) as (_, browser, _past):
        answer = await browser.get(f"{TABLE}?status=decline&status=error&period=7d&code=20105")
        block = re.search(r'<ul class="chips active".*?</ul>', answer.text, re.S)
        assert block
        urls = {unescape(url) for url in re.findall(r'href="([^"]+)"', block[0])}
        assert {
            f"{TABLE}?status=error&code=20105&period=7d",
            f"{TABLE}?status=decline&code=20105&period=7d",
            f"{TABLE}?status=decline&status=error&code=20105",
            f"{TABLE}?status=decline&status=error&period=7d",
        } == urls


def test_everything_that_a_period_may_be_about_has_words() -> None:
    assert {"", *ENDS} == set(ABOUT)


@pytest.mark.parametrize(
    "language, said",
    [
        ("en", ["Period: when it was paid", "Sunday"]),
        ("ko", ["기간: 결제 완료 시각", "일요일"]),
        ("ru", ["Период: по времени оплаты", "воскресенье"]),
    ],
)
async def test_an_hour_of_the_week_is_three_chips_in_each_language(
    database: str, language: str, said: list[str]
) -> None:
    async with shop(database, number=5) as (office, browser, _past):
        async with office.platform.database.transaction() as tx:
            await tx.execute("UPDATE person SET language = $1", language)
        text = (await browser.get(f"{TABLE}?about=paid&weekday=7&hour=9")).text
        block = re.search(r'<ul class="chips active".*?</ul>', text, re.S)
        assert block
        chips = [unescape(chip).strip() for chip in re.findall(r"<a [^>]*>(?:<[^>]*>)?([^<]+)", block[0])]
        assert [*said, "09:00 – 09:59"] == [chip for chip in chips if chip]
        for name, value in (("about", "paid"), ("weekday", "7"), ("hour", "9")):
            field = re.search(rf'<select id="{name}".*?</select>', text, re.S)
            assert field
            assert f'<option value="{value}" selected>' in field[0]


async def test_a_filter_set_is_kept_for_its_maker_alone(database: str) -> None:
    async with shop(database) as (office, browser, _):
        sent = {"name": "Bad <ones>", "query": "status=decline&evil=1&period=7d"}
        answer = await browser.post(f"{TABLE}/filters", sent)
        assert f"{TABLE}?status=decline&period=7d&said=filter-saved" == answer.location
        page = (await browser.get(TABLE)).text
        assert f'href="{TABLE}?status=decline&amp;period=7d">Bad &lt;ones&gt;</a>' in page
        other = await office.enter(await office.member(Role.OPERATIONS))
        assert "Bad &lt;ones&gt;" not in (await other.get(TABLE)).text
        await other.post(f"{TABLE}/filters/delete", {"name": "Bad <ones>"})
        assert "Bad &lt;ones&gt;" in (await browser.get(TABLE)).text
        await browser.post(f"{TABLE}/filters/delete", {"name": "Bad <ones>"})
        assert "Bad &lt;ones&gt;" not in (await browser.get(TABLE)).text


async def test_a_filter_set_without_a_name_is_refused_beside_its_field(database: str) -> None:
    async with shop(database) as (_, browser, _past):
        answer = await browser.post(f"{TABLE}/filters", {"name": " ", "query": "status=decline"})
        assert 400 == answer.status
        assert 'aria-invalid="true"' in answer.text


def headings(text: str) -> list[str]:
    return re.findall(r'<th scope="col"[^>]*>([^<]+)</th>', text)


async def test_columns_come_from_the_url_or_from_what_the_visitor_keeps(database: str) -> None:
    async with shop(database) as (_, browser, _past):
        assert ["Payment id", "Type", "Status", "Amount", "Currency"] == headings(
            (await browser.get(TABLE)).text
        )[:5]
        chosen = [("column", name) for name in ("amount", "payment_id", "evil", "code")]
        answer = await browser.post(
            f"{TABLE}/columns", [*chosen, ("move", "up:payment_id"), ("query", "status=decline")]
        )
        assert f"{TABLE}?status=decline&columns=payment_id%2Camount%2Ccode&arrange=1" == answer.location
        assert ["Payment id", "Amount", "Code"] == headings((await browser.get(TABLE)).text)
        assert ["Status"] == headings((await browser.get(f"{TABLE}?columns=status")).text)


async def test_amount_refunded_and_available_stand_side_by_side_in_won(database: str) -> None:
    async with shop(database) as (_, browser, past):
        row = next(row for row in past.payments if row["status"] == "partially refunded")
        path = f"{TABLE}?customer_id={row['customer_id']}&status=partially refunded"
        text = (await browser.get(path)).text
        cells = re.search(rf"{row['payment_id']}</a>.*?</tr>", text, re.S)
        assert cells
        shown = [int(found.replace(",", "")) for found in re.findall(r"₩([\d,]+)", cells[0])]
        assert [row["amount"], row["refunded"], row["amount"] - row["refunded"]] == shown


@pytest.mark.parametrize(
    "query",
    [
        "after=x",
        "after=2026-11-23~",
        "amount_min=-1",
        "since=never",
        "code=9e9",
        "columns=,,",
        "q=%00",
        "project_ids=,",
    ],
)
async def test_unreadable_parts_of_the_url_break_nothing(database: str, query: str) -> None:
    async with shop(database, number=3) as (_, browser, _past):
        assert 200 == (await browser.get(f"{TABLE}?{query}")).status


async def test_the_fragments_are_bare_and_keep_no_session_alive(database: str) -> None:
    async with shop(database) as (office, browser, past):
        answer = await browser.get(f"{TABLE}/rows?status=decline")
        assert "<html" not in answer.text
        assert expected(past, lambda row: row["status"] == "decline")[:50] == ids_on(answer.text)
        for _ in range(4):
            office.clock.advance(minutes=10)
            last = await browser.get(f"{TABLE}/rows")
        assert 303 == last.status


async def test_each_language_has_every_word_of_the_page(database: str) -> None:
    async with shop(database) as (office, browser, _):
        for language, paid in (("ko", "결제 완료"), ("ru", "Оплачено"), ("en", "Paid")):
            async with office.platform.database.transaction() as tx:
                await tx.execute("UPDATE person SET language = $1", language)
            text = (await browser.get(TABLE)).text
            assert f'lang="{language}"' in text
            assert paid in text


async def test_statuses_by_count_add_up_to_the_whole(database: str) -> None:
    async with shop(database) as (_, browser, past):
        text = (await browser.get(f"{TABLE}/totals")).text
        found = re.findall(r'<li><a class="plain" href="([^"]+)"><span.*?</span> (\d+)</a>', text)
        expected = Counter(row["status"] for row in past.payments)
        assert set(expected.values()) == {int(number) for _, number in found}
        for address, number in found:
            assert number == str(expected[parse_qs(urlsplit(unescape(address)).query)["status"][0]])
