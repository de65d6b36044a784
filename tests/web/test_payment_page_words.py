"""The payer's languages: catalogues without a gap, and who decides which one is read."""

import ast
import re
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.web.payer import Payer, page_path
from tests.world import OpenWorld

import wongate.web
from wongate.web.words import Words, moment, won

WEB = Path(wongate.web.__file__).parent
SOURCES = ["results.py", "checkout.py", "payment_page.py", "trouble.py"]
_IN_TEMPLATE = re.compile(r'\b_\("((?:[^"\\]|\\.)*)"')


def texts() -> set[str]:
    """Everything that the pages hand to gettext: `_("...")` in templates, `_("...")` and `say("...")` in code."""
    found = set()
    for path in (WEB / "templates" / "checkout").glob("*.html"):
        found |= set(_IN_TEMPLATE.findall(path.read_text()))
    for name in SOURCES:
        for node in ast.walk(ast.parse((WEB / name).read_text())):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Name)
                and node.func.id in ("_", "say")
            ):
                argument = node.args[0]
                assert isinstance(argument, ast.Constant), ast.unparse(node)
                found.add(argument.value)
    assert 40 < len(found)
    return found


def catalogue(language: str) -> Words:
    return Words("checkout", language)


@pytest.mark.parametrize("language", ["ko", "ru"])
def test_no_text_is_missing_and_none_is_left_over(language: str) -> None:
    known = catalogue(language)
    assert set() == {text for text in texts() if text not in known}
    assert set() == set(known._texts) - texts()


@pytest.mark.parametrize("language", ["ko", "ru"])
def test_translations_keep_the_gaps_and_are_in_their_own_script(language: str) -> None:
    script = {"ko": "[가-힣]", "ru": "[а-яА-Я]"}[language]
    for text in texts():
        translated = catalogue(language).gettext(text)
        assert re.findall(r"%\(\w+\)s", text) == re.findall(r"%\(\w+\)s", translated)
        assert re.search(script, translated), text


@pytest.mark.parametrize(
    "signed, browser, expected",
    [
        ("ko", "ru", "ko"),
        ("", "ru-RU,ru;q=0.9,en;q=0.8", "ru"),
        ("", "fr,ko;q=0.5", "ko"),
        ("", "", "en"),
        ("ja", "ko", "en"),
        ("KO", "en", "ko"),
        ("ru-RU", "en", "ru"),
    ],
)
async def test_the_language_is_the_merchants_then_the_browsers(
    open_world: OpenWorld, signed: str, browser: str, expected: str
):
    async with open_world() as world:
        changes = {"language_code": signed} if signed else {}
        payer = Payer(world, {"accept-language": browser} if browser else {})
        page = await payer.get(page_path(**changes))
        assert (expected, expected) == (page.language, payer.answer.headers["content-language"])


async def test_the_payers_own_choice_stays_until_the_end(open_world: OpenWorld):
    async with open_world() as world:
        payer = Payer(world, {"accept-language": "en"})
        await payer.get(page_path(language_code="en"))
        page = await payer.press("/payment/again", language="ru")
        assert "ru" == page.language
        page = await payer.choose(await payer.pay())
        assert ("ru", "Оплата прошла") == (page.language, page.texts[page.texts.index("Оплата прошла")])


async def test_the_menu_of_languages_can_be_switched_off(open_world: OpenWorld):
    async with open_world(language_menu=False) as world:
        page = await Payer(world).get(page_path())
        assert "Русский" not in page.texts


@pytest.mark.parametrize(
    "language, expected",
    [("ko", "1,234,567원"), ("en", "₩1,234,567"), ("ru", "1\u00a0234\u00a0567\u00a0₩")],
)
def test_won_are_written_as_the_language_writes_them(language: str, expected: str) -> None:
    assert expected == won(1_234_567, language)


def test_dates_name_their_zone() -> None:
    at = datetime(2026, 3, 1, 15, 4, 5, tzinfo=UTC)
    assert "2026. 3. 2. 00:04:05 Asia/Seoul" == moment(at, "ko")
    assert "2 мар. 2026\u202fг., 00:04:05 Asia/Seoul" == moment(at, "ru")
