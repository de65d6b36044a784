"""The Analytics board: tiles, their tables and links, what can be taken out, and who keeps what."""

import re
import xml.etree.ElementTree as ElementTree
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from html import unescape

import pytest
from tests import books
from tests.books import Past
from tests.dashboard import OTHER_SHOP, SHOP, Browser, Office, open_office

from wongate.domain.rights import Role
from wongate.flows import roll_up
from wongate.web.dashboard_drawings import Speech, growth
from wongate.web.dashboard_tiles import TEMPLATES

BOARD = "/dashboard/analytics"


@asynccontextmanager
async def board(url: str, number: int = 300) -> AsyncIterator[tuple[Office, Browser, Past]]:
    async with open_office(url) as office:
        past = books.draw(SHOP, office.clock.now(), days=10, number=number)
        await books.write(office.platform, past)
        yield office, await office.enter(await office.member(Role.FINANCE)), past


def test_what_has_not_changed_is_neither_better_nor_worse() -> None:
    say = Speech("en")
    assert [("±0.0%", None), ("+20.0%", True), ("−20.0%", False)] == [
        growth(now, 50, say) for now in (50, 60, 40)
    ]


def titles(text: str) -> list[str]:
    return re.findall(r'<h2 id="title-\d+"><a[^>]*>([^<]+)</a>', text)


async def test_conversion_is_success_by_finished_and_its_formula_is_shown(database: str) -> None:
    async with board(database) as (_office, browser, past):
        await browser.post(f"{BOARD}/tiles", {"template": "conversion", "period": "30d"})
        text = (await browser.get(f"{BOARD}/tiles/8")).text
        finals = [
            row["status"]
            for row in past.payments
            if row["status"] not in ("error", "awaiting redirect result")
        ]
        share = 100 * (len(finals) - finals.count("decline")) / len(finals)
        assert f"<strong>{share:.1f}%</strong>" in text
        assert "Successful purchases ÷ purchases with a final status" in text
        cell = r'<td class="number">([^<]+)</td>'
        rows = [(good, bad) for good, bad, _ in re.findall(cell * 3, text)]
        assert finals.count("decline") == sum(int(bad) for _, bad in rows)


async def test_every_chart_has_a_table_twin_and_each_of_its_shapes_leads_to_payments(database: str) -> None:
    async with board(database) as (_, browser, _past):
        text = (await browser.get(BOARD)).text
        charts = re.findall(r"<svg xmlns.*?</svg>(?=</div>)", text, re.S)
        assert len(charts) == text.count('<table class="twin">') == 7
        for chart in charts:
            shapes = ElementTree.fromstring(chart).findall(".//{*}rect")  # noqa: S314 - our own text
            links = ElementTree.fromstring(chart).findall(".//{*}a")  # noqa: S314
            assert shapes
            assert len(shapes) == len(links)
            assert "style=" not in chart
            assert 200 == (await browser.get(links[-1].attrib["href"])).status


async def test_a_bar_leads_to_the_payments_that_it_counts(database: str) -> None:
    async with board(database) as (_, browser, past):
        text = (await browser.get(f"{BOARD}/tiles/7")).text
        found = re.search(
            r'<a href="([^"]+)">20301</a></th><td[^>]*>[^<]*</td><td class="number">(\d+)</td>', text
        )
        assert found
        page = (await browser.get(unescape(found[1]) + "&totals=1")).text
        shown = re.search(r"<dt>Payments</dt><dd>(\d+)</dd>", page)
        expected = sum(operation["code"] == 20301 for operation in past.operations)
        assert shown
        assert expected == int(found[2]) == int(shown[1])


@pytest.mark.parametrize("added_up", [False, True])
@pytest.mark.parametrize(
    "form",
    [
        {"template": "hours"},
        {"template": "conversion"},
        {"template": "operations", "kind": "sale"},
        {"template": "operations", "kind": "refund"},
        {"template": "declines"},
    ],
    ids=lambda form: " ".join(form.values()),
)
async def test_each_shape_leads_to_as_many_payments_as_it_says(
    database: str, form: dict[str, str], added_up: bool
) -> None:
    """Also the ones that were paid, declined or given back long after they had been opened."""
    async with board(database) as (office, browser, _past):
        while added_up and await roll_up.add_up(office.platform):
            pass
        await browser.post(f"{BOARD}/tiles", {**form, "period": "30d"})
        text = (await browser.get(f"{BOARD}/tiles/8")).text
        shapes = re.findall(r'<a href="([^"]+)" tabindex="-1"><rect[^>]*><title>[^<]*?(\d+)</title>', text)
        said = [int(number) for _, number in shapes]
        assert any(said)
        some = sorted({*sorted(range(len(said)), key=lambda place: -said[place])[:5], said.index(min(said))})
        for place in some:
            page = (await browser.get(unescape(shapes[place][0]) + "&totals=1")).text
            found = re.search(r"<dt>Payments</dt><dd>(\d+)</dd>", page)
            assert said[place] == (int(found[1]) if found else 0), shapes[place][0]


async def test_each_cell_of_the_hours_table_leads_to_its_payments(database: str) -> None:
    async with board(database) as (_, browser, _past):
        text = (await browser.get(f"{BOARD}/tiles/5")).text
        cells = re.findall(r'<td class="number"><a href="([^"]+)">(\d+)</a>', text)
        assert 7 * 24 == len(cells)
        href, number = max(cells, key=lambda cell: int(cell[1]))
        page = (await browser.get(unescape(href) + "&totals=1")).text
        assert f"<dt>Payments</dt><dd>{number}</dd>" in page
        assert "Period: when it was paid" in page
        assert re.search(r"Monday|Tuesday|Wednesday|Thursday|Friday|Saturday|Sunday", page)


async def test_tiles_are_added_edited_moved_and_deleted_for_one_person_alone(database: str) -> None:
    async with board(database, number=5) as (office, browser, _):
        first = titles((await browser.get(BOARD)).text)
        form = {"template": "turnover", "title": "Won & <more>", "period": "30d", "wide": "1"}
        await browser.post(f"{BOARD}/tiles", form)
        assert [*first, "Won &amp; &lt;more&gt;"] == titles((await browser.get(BOARD)).text)
        for _ in range(2):
            await browser.post(f"{BOARD}/tiles/8/move", {"to": "ahead"})
        assert [*first[:5], "Won &amp; &lt;more&gt;", *first[5:]] == titles((await browser.get(BOARD)).text)
        await browser.post(f"{BOARD}/tiles/8/move", {"to": "back"})
        await browser.post(f"{BOARD}/tiles/8/move", {"place": "0"})
        assert ["Won &amp; &lt;more&gt;", *first] == titles((await browser.get(BOARD)).text)
        await browser.post(f"{BOARD}/tiles/8/move", {"place": "6"})
        await browser.post(f"{BOARD}/tiles/8", {"template": "codes", "period": "today"})
        assert [*first[:6], "Top 10 decline codes", first[6]] == titles((await browser.get(BOARD)).text)
        await browser.post(f"{BOARD}/tiles/8/delete")
        assert first == titles((await browser.get(BOARD)).text)
        await browser.post(f"{BOARD}/tiles/1/delete")
        other = await office.enter(await office.member(Role.FINANCE))
        assert first == titles((await other.get(BOARD)).text)
        assert 404 == (await browser.get(f"{BOARD}/tiles/1")).status


@pytest.mark.parametrize(
    "template, chart, shape",
    [
        ("turnover", "", "rect"),
        ("turnover", "lines", "circle"),
        ("conversion", "lines", "circle"),
        ("declines", "columns", "rect"),
        ("declines", "heat", "rect"),  # no such picture of reasons: drawn as its template has it
        ("pivot", "rows", "rect"),
        ("hours", "table", ""),
        ("turnover", "table", ""),
    ],
)
async def test_a_tile_is_drawn_as_its_maker_chose(
    database: str, template: str, chart: str, shape: str
) -> None:
    async with board(database, number=40) as (_, browser, _past):
        await browser.post(f"{BOARD}/tiles", {"template": template, "period": "30d", "chart": chart})
        assert f'<option value="{chart}" selected>' in (await browser.get(f"{BOARD}/tiles/8/edit")).text
        text = (await browser.get(f"{BOARD}/tiles/8")).text
        drawn = re.findall(r"<svg xmlns.*?</svg>(?=</div>)", text, re.S)
        assert (1 if shape else 0) == len(drawn)
        assert 1 == text.count('<table class="twin">')
        other = {"rect": "circle", "circle": "rect", "": "svg xmlns"}[shape]
        assert f"<{other} " not in "".join(drawn)
        assert all(f"<{shape} " in picture for picture in drawn)


def sums(text: str) -> list[list[str]]:
    """Cells of a tile's table as its CSV has them."""
    return [line.split(",") for line in text.removeprefix("\ufeff").splitlines()[1:]]


@pytest.mark.parametrize("down", ["time", "project", "source"])
@pytest.mark.parametrize("measure", ["operations", "amount"])
async def test_a_pivot_table_adds_up_by_type_and_result_whatever_its_rows(
    database: str, down: str, measure: str
) -> None:
    async with board(database, number=120) as (_, browser, past):
        form = {"template": "pivot", "period": "30d", "down": down, "measure": measure}
        await browser.post(f"{BOARD}/tiles", form)
        *lines, edge = sums((await browser.get(f"{BOARD}/tiles/8/csv")).text)
        ended = [row for row in past.operations if row["status"] in ("success", "decline")]
        invalid = {row["payment_no"] for row in past.payments if row["status"] == "error"}
        expected = [
            sum(
                row["amount"] if measure == "amount" else 1
                for row in ended
                if (row["kind"], row["status"]) == key and row["payment_no"] not in invalid
            )
            for key in (
                ("sale", "success"),
                ("sale", "decline"),
                ("refund", "success"),
                ("refund", "decline"),
            )
        ]
        assert [*expected, sum(expected)] == [int(cell) for cell in edge[1:]]
        assert [*expected, sum(expected)] == [
            sum(int(line[place]) for line in lines) for place in range(1, len(edge))
        ]
        assert {"time": 30, "project": 1, "source": 2}[down] == len(lines)


async def test_operations_of_one_type_are_counted_by_how_they_ended(database: str) -> None:
    async with board(database, number=120) as (_, browser, past):
        form = {"template": "operations", "period": "30d", "kind": "refund", "measure": "amount"}
        await browser.post(f"{BOARD}/tiles", form)
        lines = sums((await browser.get(f"{BOARD}/tiles/8/csv")).text)
        expected = sum(
            row["amount"] for row in past.operations if (row["kind"], row["status"]) == ("refund", "success")
        )
        assert 0 < expected == sum(int(line[1]) for line in lines)
        assert f"<strong>₩{expected:,}</strong>" in (await browser.get(f"{BOARD}/tiles/8")).text


async def test_one_column_and_two(database: str) -> None:
    async with board(database, number=5) as (_, browser, _past):
        await browser.post(f"{BOARD}/columns", {"columns": "1"})
        assert 7 == (await browser.get(BOARD)).text.count('class="card tile wide"')
        await browser.post(f"{BOARD}/columns", {"columns": "2"})
        assert 0 == (await browser.get(BOARD)).text.count('class="card tile wide"')


async def test_a_board_is_full_at_24_tiles(database: str) -> None:
    async with board(database, number=1) as (_, browser, _past):
        statuses = [(await browser.post(f"{BOARD}/tiles", {"template": "speed"})).status for _ in range(18)]
        assert [303] * 17 + [400] == statuses


@pytest.mark.parametrize("template", TEMPLATES)
async def test_a_tile_is_taken_out_as_csv_and_as_a_picture(database: str, template: str) -> None:
    async with board(database, number=60) as (_, browser, _past):
        await browser.post(f"{BOARD}/tiles", {"template": template, "period": "30d", "compare": "1"})
        page = (await browser.get(f"{BOARD}/tiles/8")).text
        answer = await browser.get(f"{BOARD}/tiles/8/csv")
        assert "attachment" in answer.headers["content-disposition"]
        lines = answer.text.removeprefix("\ufeff").splitlines()
        assert page.count('<th scope="row">') == len(lines) - 1
        picture = await browser.get(f"{BOARD}/tiles/8/svg")
        assert (404 if template == "pivot" else 200) == picture.status  # a table alone has no picture
        if template == "pivot":
            return
        assert "attachment" in picture.headers["content-disposition"]
        assert "svg" in ElementTree.fromstring(picture.text).tag  # noqa: S314 - our own text


async def test_a_customers_name_is_text_in_page_picture_and_csv(database: str) -> None:
    async with board(database, number=3) as (office, browser, _):
        async with office.platform.database.transaction() as tx:
            evil = '=1+1</text><script>alert("x")</script>'
            await tx.execute(
                "UPDATE payment SET customer_id = $2, captured = amount WHERE project_id = $1", SHOP, evil
            )
        await browser.post(f"{BOARD}/tiles", {"template": "customers", "period": "30d"})
        for path in ("", "/tiles/8", "/tiles/8/svg"):
            assert "<script>alert" not in (await browser.get(BOARD + path)).text
        assert "\"'=1+1" in (await browser.get(f"{BOARD}/tiles/8/csv")).text


async def test_a_tile_of_a_project_that_was_taken_away_shows_nothing_of_it(database: str) -> None:
    async with board(database, number=30) as (office, _, _past):
        others = books.draw(OTHER_SHOP, office.clock.now(), days=3, number=30, seed=4)
        await books.write(office.platform, others)
        member = await office.member(Role.FINANCE, projects=(SHOP, OTHER_SHOP))
        browser = await office.enter(member)
        form = {"template": "turnover", "period": "30d", "project_ids": str(OTHER_SHOP)}
        await browser.post(f"{BOARD}/tiles", form)
        whole = f"{sum(row['captured'] for row in others.payments):,}"
        assert whole in (await browser.get(f"{BOARD}/tiles/8")).text
        async with office.platform.database.transaction() as tx:
            await tx.execute(
                "DELETE FROM person_project WHERE project_id = $1 AND person_id = $2",
                OTHER_SHOP,
                member.person_id,
            )
        answer = await browser.get(f"{BOARD}/tiles/8")
        assert 200 == answer.status
        assert whole not in answer.text


@pytest.mark.parametrize(
    "form",
    [
        {},
        {"template": "evil", "period": "x", "since": "y"},
        {
            "template": "turnover",
            "period": "custom",
            "since": "2026-11-20T00:00",
            "until": "2026-11-01T00:00",
        },
        {"template": "turnover", "period": "custom", "since": "0202-11-01T00:00", "compare": "1"},
        {"template": "conversion", "period": "custom", "since": "0001-01-01T00:00", "compare": "1"},
        {
            "template": "customers",
            "period": "custom",
            "since": "0001-01-02T00:00",
            "until": "9999-12-31T23:00",
        },
    ],
)
async def test_odd_forms_make_a_tile_that_can_be_drawn(database: str, form: dict[str, str]) -> None:
    async with board(database, number=5) as (_, browser, _past):
        assert 303 == (await browser.post(f"{BOARD}/tiles", form)).status
        assert 200 == (await browser.get(BOARD)).status


@pytest.mark.parametrize("language", ["ko", "en", "ru"])
async def test_the_board_is_drawn_in_each_language(database: str, language: str) -> None:
    async with board(database, number=40) as (office, browser, _):
        async with office.platform.database.transaction() as tx:
            await tx.execute("UPDATE person SET language = $1", language)
        text = (await browser.get(f"{BOARD}?period=30d")).text
        expected = {
            "ko": ["전환율", "거래액"],
            "en": ["Conversion", "Turnover"],
            "ru": ["Конверсия", "Оборот"],
        }
        assert expected[language] == titles(text)[:2]


async def test_support_sees_no_analytics(database: str) -> None:
    async with board(database, number=1) as (office, _, _past):
        browser = await office.enter(await office.member(Role.SUPPORT))
        assert 403 == (await browser.get(BOARD)).status
