import asyncio
import threading

import pytest

from wongate.domain.passwords import Weakness, weakness
from wongate.flows.passwords import common_passwords, fits, hashed, is_outdated

COMMON = common_passwords()


def test_the_list_of_common_passwords_has_more_than_three_thousand() -> None:
    assert len(COMMON) > 3000
    assert {"password", "qwertyuiop", "123456789", "iloveyou"} <= COMMON
    assert all(text == text.casefold().strip() for text in COMMON)


@pytest.mark.parametrize(
    ("password", "reason"),
    [
        ("", Weakness.SHORT),
        ("elevenchars", Weakness.SHORT),
        ("x" * 257, Weakness.LONG),
        ("counterstrike", Weakness.COMMON),
        ("CounterStrike", Weakness.COMMON),
        ("password1234", Weakness.COMMON),
        ("!!Qwertyuiop99", Weakness.COMMON),
        ("aaaaaaaaaaaaaa", Weakness.REPEATED),
        ("abcabcabcabcab", Weakness.REPEATED),
        ("abcdefghijklmnop", Weakness.REPEATED),
        ("890123456789012", Weakness.REPEATED),
        ("I am anna@shop.example", Weakness.PERSONAL),
        ("it is Anna Kim here", Weakness.PERSONAL),
        ("correct horse battery staple", None),
        ("다람쥐 헌 쳇바퀴에 타고파", None),
        ("            x          y", None),
        ("<script>alert(1)</script>", None),
    ],
)
def test_weak_passwords_are_named(password: str, reason: Weakness | None) -> None:
    assert reason == weakness(password, COMMON, ("anna@shop.example", "Anna Kim"))


async def test_two_hashes_of_one_password_differ_and_carry_their_parameters() -> None:
    first, second = await hashed("correct horse"), await hashed("correct horse")
    assert first != second
    assert first.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert not is_outdated(first)
    assert is_outdated(first.replace("m=19456", "m=9728"))


def test_many_hashes_at_once_take_two_threads_in_any_event_loop() -> None:
    """A server has one loop, commands and tests one after another: those that wait belong to none."""

    async def many() -> list[bool]:
        known = await hashed("correct horse battery staple")
        wished = ["correct horse battery staple", "another one", "a third one", "a fourth one"]
        fitting = await asyncio.gather(*(fits(password, known) for password in wished))
        assert None is asyncio.get_running_loop()._default_executor, "hashed where everything else waits"  # type: ignore[attr-defined]
        return fitting

    for _ in range(2):
        assert [True, False, False, False] == asyncio.run(many())
    assert sum(thread.name.startswith("password") for thread in threading.enumerate()) in (1, 2)
