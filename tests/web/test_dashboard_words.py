"""Every text of the Dashboard in Korean and Russian: what stands in templates and modules is looked up in the catalogues."""

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from babel.messages.extract import extract_from_file
from tests.dashboard import SHOP, open_office

import wongate
from wongate.domain.rights import Right, Role
from wongate.web.dashboard_audit import ACTIONS
from wongate.web.dashboard_shell import MESSAGES, REFUSALS, RIGHT_NAMES, ROLE_NAMES
from wongate.web.words import CATALOGUES, words

SOURCES = Path(wongate.__file__).parent
MARKS = {"_": None, "ngettext": (1, 2), "N_": None, "Unfit": None}
PLACES = re.compile(r"%\(\w+\)[ds]|%[ds]|\{\w*\}")
FORMS = {"ko": 1, "ru": 3}


@cache
def sources() -> list[tuple[str, str]]:
    """Each text with the file it stands in; of a plural the form for one."""
    return sorted(set(_extracted()))


def _extracted() -> Iterator[tuple[str, str]]:
    pages = sorted((SOURCES / "web/templates/dashboard").glob("*.html"))
    modules = [*(SOURCES / "web").glob("dashboard*.py"), *(SOURCES / "flows").glob("*.py")]
    modules += sorted((SOURCES / "domain").glob("*.py"))
    for path, method in [(p, "jinja2.ext:babel_extract") for p in pages] + [(m, "python") for m in modules]:
        options = {"silent": "false"} if method != "python" else {}
        for _, text, _, _ in extract_from_file(method, path, keywords=MARKS, options=options):
            yield (text if isinstance(text, str) else text[0]), path.name


def test_there_are_texts() -> None:
    assert len(sources()) > 300


@pytest.mark.parametrize("language", ["ko", "ru"])
def test_no_text_is_without_a_translation(language: str) -> None:
    known = words("dashboard", language)
    assert [] == [(place, text) for text, place in sources() if text not in known]


@pytest.mark.parametrize("language", ["ko", "ru"])
def test_translations_keep_what_is_filled_in(language: str) -> None:
    known = words("dashboard", language)
    for text, _ in sources():
        assert set(PLACES.findall(text)) == set(PLACES.findall(known.gettext(text))), text


@pytest.mark.parametrize("language", ["ko", "ru"])
def test_the_catalogue_holds_nothing_that_nobody_says(language: str) -> None:
    """Catalogues of page modules beside it may also hold machine values that their pages explain."""
    said = {text for text, _ in sources()}
    kept = re.findall(r'^msgid "(.+)"$', (CATALOGUES / language / "dashboard.po").read_text(), re.MULTILINE)
    assert [] == [text for text in kept if text.replace('\\"', '"') not in said]


def test_russian_counts_in_three_forms_and_korean_in_one() -> None:
    russian, korean = words("dashboard", "ru"), words("dashboard", "ko")
    one, many = "%(num)d hour", "%(num)d hours"
    assert ["час", "часа", "часов", "часов", "час"] == [
        russian.ngettext(one, many, number).removeprefix("%(num)d ") for number in (1, 2, 5, 11, 21)
    ]
    assert {"%(num)d시간"} == {korean.ngettext(one, many, number) for number in (1, 2, 5)}


def test_every_role_right_and_refusal_has_a_name() -> None:
    assert set(Role) == set(ROLE_NAMES)
    assert set(Right) == set(RIGHT_NAMES)
    assert {400, 403, 404, 405, 413, 421, 429, 500, 503} <= set(REFUSALS)
    assert all(MESSAGES.values())


def test_every_deed_that_is_written_down_has_words() -> None:
    """Pages of others name their deeds in their own modules."""
    recorded = set()
    for module in ("sign_in", "profile", "people", "projects"):
        text = (SOURCES / f"flows/{module}.py").read_text()
        recorded |= set(
            re.findall(r'(?:_record\(\s*tx, (?:who|actor|person[^"]*),|tx, actor,)\s*"([^"]+)"', text)
        )
    assert len(recorded) > 10
    assert recorded <= set(ACTIONS)


@pytest.mark.parametrize("language", ["ko", "ru"])
async def test_pages_are_wholly_in_their_language(database: str, language: str) -> None:
    """No English sentence is left on a page: what stands there in Latin letters is a name or a machine value."""
    async with open_office(database) as office:
        member = await office.member(Role.MERCHANT_ADMIN)
        browser = await office.enter(member)
        await browser.post("/dashboard/language", {"language": language})
        for path in (
            "/dashboard/profile",
            "/dashboard/projects",
            f"/dashboard/projects/{SHOP}",
            f"/dashboard/projects/{SHOP}/methods",
            f"/dashboard/projects/{SHOP}/redirects",
            f"/dashboard/projects/{SHOP}/callbacks",
            f"/dashboard/page-design/{SHOP}",
            "/dashboard/team",
            "/dashboard/team/new",
            "/dashboard/audit",
            "/dashboard/nothing",
        ):
            page = (await browser.get(path)).text
            text = re.sub(
                r"<script.*?</script>|<option.*?</option>|<code.*?</code>|<[^>]+>",
                "\n",
                page,
                flags=re.DOTALL,
            )
            assert f'<html lang="{language}">' in page
            assert [] == re.findall(r"^.*\b(?:the|your|is|of|and|to)\b.*$", text, re.MULTILINE), path
