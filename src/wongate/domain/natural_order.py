"""PHP's natural order (`SORT_NATURAL`), in which the lines of every signed message are sorted (section 1.1).

Case-sensitive; runs of digits compare as numbers, those that begin with a zero digit by digit; white space is
passed over.
"""

import re
from functools import cmp_to_key

_SPACES = " \t\n\v\f\r"
_NUMBER = re.compile(r"[0-9]+")
_NOT_AS_TEXT = re.compile(r"[0-9 \t-\r]")
_PAIR_BY_PAIR = re.compile(r"0[0-9]|[ \t-\r]")

_MOST_LINES_IN_PAIRS = 500
"""Nobody signs so many odd keys; 64 kB of them, sent by anybody, would hold the processor for 0.3 s."""

Line = tuple[str, str]


def natural_sorted(lines: list[Line]) -> list[Line]:
    """The (path, value) pairs in the natural order of their paths.

    Three roads, because this runs for every request: without digits and spaces natural order *is* text order
    (nearly every message); plain numbers only need a longer key; leading zeros and spaces have to be compared
    pair by pair.
    """
    paths = ";".join([path for path, _ in lines])
    if not _NOT_AS_TEXT.search(paths):
        return sorted(lines)
    if len(lines) > _MOST_LINES_IN_PAIRS or not _PAIR_BY_PAIR.search(paths):
        return sorted(lines, key=lambda line: _NUMBER.sub(_length_first, line[0]))
    pairwise = cmp_to_key(compare)
    return sorted(lines, key=lambda line: pairwise(line[0]))


def _length_first(number: re.Match[str]) -> str:
    """The longer number is the greater; the zero in front keeps it where digits stand in the text order."""
    return f"0{chr(len(number[0]))}{number[0]}"


def compare(one: str, other: str) -> int:
    """Below, at or above 0 as PHP 8's `strnatcmp` answers for the same two texts."""
    here, there = _after_zeros(one), _after_zeros(other)
    while True:
        here, there = _after_spaces(one, here), _after_spaces(other, there)
        if _is_digit(one, here) and _is_digit(other, there):
            start, here = here, _after_digits(one, here)
            other_start, there = there, _after_digits(other, there)
            if verdict := _compare_numbers(one[start:here], other[other_start:there]):
                return verdict
        if here == len(one) or there == len(other):
            return (here < len(one)) - (there < len(other))
        if one[here] != other[there]:
            return -1 if one[here] < other[there] else 1
        here, there = here + 1, there + 1


def _compare_numbers(one: str, other: str) -> int:
    if one[0] == "0" or other[0] == "0":
        return (one > other) - (one < other)
    return (len(one) - len(other)) or (one > other) - (one < other)


def _after_zeros(text: str) -> int:
    """Past the zeros before another digit, which PHP drops at the beginning of a text and nowhere else."""
    at = 0
    while text.startswith("0", at) and _is_digit(text, at + 1):
        at += 1
    return at


def _after_spaces(text: str, at: int) -> int:
    while at < len(text) and text[at] in _SPACES:
        at += 1
    return at


def _after_digits(text: str, at: int) -> int:
    while _is_digit(text, at):
        at += 1
    return at


def _is_digit(text: str, at: int) -> bool:
    return at < len(text) and "0" <= text[at] <= "9"
