"""PHP's natural order (`SORT_NATURAL`), in which every signed message of the ECommPay world is sorted (section 1.1).

Case-sensitive; runs of digits compare as numbers, runs that begin with a zero digit by digit; white space is passed over.
"""

import re
from collections.abc import Sequence
from functools import cmp_to_key

_SPACE = " \t\n\v\f\r"
_NUMBERS = re.compile(r"[0-9]+")
_NOT_AS_TEXT = re.compile(r"[0-9][0-9]|[ \t-\r]")
_NEEDS_PAIRS = re.compile(r"0[0-9]|[ \t-\r]")

Line = tuple[str, str]


def natural_sorted(lines: list[Line]) -> list[Line]:
    """The (path, value) pairs in the natural order of their paths; equal paths keep the order they came in.

    Three roads, because this runs for every request: without two digits in a row and without spaces natural order *is*
    text order (nearly every message); other numbers only need a longer key; leading zeros and spaces compare pair by
    pair, which is 30 times slower.
    """
    paths = "\n".join([path for path, _ in lines]).replace("\n", "")
    if not _NOT_AS_TEXT.search(paths):
        return sorted(lines)
    if not _NEEDS_PAIRS.search(paths):
        return sorted(lines, key=lambda line: _NUMBERS.sub(_longer_is_greater, line[0]))
    return sorted(lines, key=cmp_to_key(lambda one, other: compare(one[0], other[0])))


def _longer_is_greater(run: re.Match[str]) -> str:
    """Puts the length of a number before its digits, behind a zero that keeps it among the digits of the text order."""
    digits = run[0]
    return f"0{chr(len(digits))}{digits}"


def compare(one: str, other: str) -> int:
    """-1, 0 or 1 as PHP 8's `strnatcmp` answers for the same two texts."""
    if not one or not other:
        return (len(one) > len(other)) - (len(one) < len(other))
    here, there = _skip_zeros(one), _skip_zeros(other)
    while True:
        here, there = _skip_spaces(one, here), _skip_spaces(other, there)
        if _is_digit(one, here) and _is_digit(other, there):
            end_here, end_there = _run_end(one, here), _run_end(other, there)
            verdict = _compare_numbers(one[here:end_here], other[there:end_there])
            if verdict:
                return verdict
            here, there = end_here, end_there
        if here >= len(one) or there >= len(other):
            return (here < len(one)) - (there < len(other))
        if one[here] != other[there]:
            return -1 if one[here] < other[there] else 1
        here, there = here + 1, there + 1
        if here >= len(one) or there >= len(other):
            return (here < len(one)) - (there < len(other))


def _compare_numbers(one: str, other: str) -> int:
    left: Sequence[object] = (one,)
    right: Sequence[object] = (other,)
    if one[0] != "0" and other[0] != "0":
        left, right = (len(one), one), (len(other), other)
    return (left > right) - (left < right)  # type: ignore[operator]


def _skip_zeros(text: str) -> int:
    """Only at the very beginning: a zero before another digit does not count."""
    at = 0
    while text[at] == "0" and _is_digit(text, at + 1):
        at += 1
    return at


def _skip_spaces(text: str, at: int) -> int:
    while at < len(text) and text[at] in _SPACE:
        at += 1
    return at


def _run_end(text: str, at: int) -> int:
    while _is_digit(text, at):
        at += 1
    return at


def _is_digit(text: str, at: int) -> bool:
    return at < len(text) and "0" <= text[at] <= "9"
