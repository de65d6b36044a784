"""Which passwords are taken (ASVS 6.2): long enough and not among the common ones. Any characters, no composition rules."""

from collections.abc import Collection
from enum import StrEnum
from itertools import pairwise
from unicodedata import normalize

LENGTH_MIN = 12
LENGTH_MAX = 256
"""Characters; argon2id reads any length, but a megabyte of password would only keep a processor busy."""


class Weakness(StrEnum):
    SHORT = "short"
    LONG = "long"
    COMMON = "common"
    PERSONAL = "personal"  # contains the person's own login or name
    REPEATED = "repeated"  # a short piece over and over, or a run such as abcdefghijkl


def spelled(password: str) -> str:
    """One spelling for what looks the same: keyboards of different systems compose Korean letters differently."""
    return normalize("NFC", password)


def weakness(password: str, common: Collection[str], personal: Collection[str] = ()) -> Weakness | None:
    """Why this password is refused, None when it is good. `common` holds folded texts."""
    text = spelled(password)
    folded = text.casefold()
    if len(text) < LENGTH_MIN:
        return Weakness.SHORT
    if len(text) > LENGTH_MAX:
        return Weakness.LONG
    if folded in common or folded.strip("0123456789!@#$%^&*.?-_ ") in common:
        return Weakness.COMMON
    if any(len(word) >= 4 and word.casefold() in folded for word in personal):
        return Weakness.PERSONAL
    if _is_repeated(folded) or _is_run(folded):
        return Weakness.REPEATED
    return None


def _is_repeated(text: str) -> bool:
    """Whether a piece of at most six characters makes up the whole text."""
    return any(text == (text[:size] * len(text))[: len(text)] for size in range(1, 7))


def _is_run(text: str) -> bool:
    """Whether each character follows its neighbour by the same step: abcdefghijkl, 987654321098."""
    steps = {ord(after) - ord(before) for before, after in pairwise(text)}
    return steps <= {1, -9} or steps <= {-1, 9}
