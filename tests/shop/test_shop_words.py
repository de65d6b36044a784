"""Every language says everything, and writes amounts its own way."""

import re
from pathlib import Path
from string import Formatter

import pytest

from wongate_simulator.shop import rendering
from wongate_simulator.shop.goods import GOODS
from wongate_simulator.shop.speech import Speech, won
from wongate_simulator.shop.words import LANGUAGES, WORDS

TEMPLATES = sorted((Path(rendering.FOLDER) / "templates").glob("*.html"))


def placeholders(text: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(text) if name}


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_language_lacks_a_key_or_a_placeholder(language: str) -> None:
    said, expected = WORDS[language], WORDS["en"]

    assert expected.keys() == said.keys()
    assert {key: placeholders(text) for key, text in expected.items()} == {
        key: placeholders(text) for key, text in said.items()
    }


@pytest.mark.parametrize("language", ["ko", "ru"])
def test_nothing_is_left_in_english(language: str) -> None:
    letters = {"ko": "[가-힣]", "ru": "[а-яё]"}[language]
    same = [key for key, text in WORDS[language].items() if not re.search(letters, text)]

    assert ["reason"] == [key for key in same if language == "ko"] or [] == same


def test_every_key_that_a_template_says_exists() -> None:
    said = {key for path in TEMPLATES for key in re.findall(r'say\("([^"]+)"[,)]', path.read_text())}

    assert said - WORDS["en"].keys() == set()
    assert len(said) > 40


@pytest.mark.parametrize("prefix", ["good", "good_line"])
def test_every_good_has_a_name_and_a_description(prefix: str) -> None:
    assert {f"{prefix}.{name}" for name in GOODS} == {
        key for key in WORDS["en"] if key.startswith(prefix + ".")
    }


@pytest.mark.parametrize("language", LANGUAGES)
def test_descriptions_hold_no_semicolon_which_the_payment_page_forbids(language: str) -> None:
    assert [] == [name for name in GOODS if ";" in WORDS[language][f"good.{name}"]]


@pytest.mark.parametrize(
    ("language", "amount", "text"),
    [
        ("ko", 1000, "1,000원"),
        ("en", 1000, "₩1,000"),
        ("ru", 1000, "1\N{NO-BREAK SPACE}000\N{NO-BREAK SPACE}₩"),
        ("ru", 0, "0\N{NO-BREAK SPACE}₩"),
        ("ko", 10_000_000, "10,000,000원"),
    ],
)
def test_amounts_are_written_as_the_language_does(language: str, amount: int, text: str) -> None:
    assert text == won(amount, language)


def test_a_status_or_code_that_the_shop_does_not_know_is_shown_as_the_platform_wrote_it() -> None:
    say = Speech("ko")

    assert "awaiting finalization" == say.status("awaiting finalization")
    assert "Strange reason (코드 20999)" == say.reason("20999", "Strange reason")
