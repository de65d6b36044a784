"""The seven hash formulas (nicepay 12), and the detective work that tells a developer why a hash is wrong."""

import base64
import hashlib
import hmac
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from itertools import permutations

from wongate_simulator.clock import kst, read_edi_date

# Field names in the order of concatenation; the MerchantKey always comes last, as literal text.
FORMULAS: dict[str, tuple[str, ...]] = {
    "a": ("EdiDate", "MID", "Amt"),
    "b": ("AuthToken", "MID", "Amt"),
    "c": ("AuthToken", "MID", "Amt", "EdiDate"),
    "d": ("TID", "MID", "Amt"),
    "e": ("MID", "CancelAmt", "EdiDate"),
    "f": ("TID", "MID", "CancelAmt"),
    "g": ("TID", "MID", "EdiDate"),
}
AMOUNTS = ("Amt", "CancelAmt")


@dataclass(frozen=True, slots=True)
class Hint:
    """Why a hash is wrong: a key of the word list (`hint_<key>`) and what fills its text."""

    key: str
    detail: str = ""


def digest(formula: str, fields: Mapping[str, str], key: str) -> str:
    """Lower-case hexadecimal SHA-256 of the joined fields and the key."""
    return _sha256("".join([*(fields.get(name, "") for name in FORMULAS[formula]), key]))


def matches(formula: str, fields: Mapping[str, str], key: str, given: str) -> bool:
    return hmac.compare_digest(digest(formula, fields, key).encode(), given.encode("utf-8", "replace"))


def spoiled(signature: str) -> str:
    """A wrong hash of the same look, for the fault switches."""
    return signature[::-1] if signature != signature[::-1] else "0" * len(signature)


def hash_input(formula: str, fields: Mapping[str, str]) -> list[tuple[str, str]]:
    """The pieces that were joined, without the key."""
    return [(name, fields.get(name, "")) for name in FORMULAS[formula]]


def why_wrong(
    formula: str,
    fields: Mapping[str, str],
    key: str,
    given: str,
    other_keys: Mapping[str, str],
    seen_dates: Iterable[str] = (),
) -> list[Hint]:
    """Looks for the change of one piece that would give the hash that was sent; an unknown cause gives an honest hint.

    `other_keys` maps MID to key; `seen_dates` are EdiDates of earlier requests of the same payment.
    """
    given = given.strip()
    if not given:
        return [Hint("empty")]
    if digest(formula, fields, key) == given.lower():
        return [Hint("case")]
    for hint, text in _suspects(formula, fields, key, other_keys, seen_dates):
        if _sha256(text) == given.lower():
            return [hint]
    return [*_shape_hints(given), Hint("unknown", _spelled(FORMULAS[formula]))]


def _suspects(
    formula: str,
    fields: Mapping[str, str],
    key: str,
    other_keys: Mapping[str, str],
    seen_dates: Iterable[str],
) -> Iterator[tuple[Hint, str]]:
    names = FORMULAS[formula]
    # Requests of different kinds name their amount differently; a mixed-up formula would have used the one it had.
    values = {"CancelAmt": fields.get("Amt", ""), "Amt": fields.get("CancelAmt", ""), **fields}
    for other in FORMULAS.values():
        yield (
            Hint("other_formula", _spelled(other)),
            "".join([*(values.get(name, "") for name in other), key]),
        )

    def joined(changed: Mapping[str, str] | None = None, secret: str = key) -> str:
        values = {**fields, **(changed or {})}
        return "".join([*(values.get(name, "") for name in names), secret])

    for name in names:
        value = fields.get(name, "")
        for hint, variant in _variants(name, value, seen_dates):
            yield hint, joined({name: variant})
        yield Hint("left_out", name), joined({name: ""})
    for mid, secret in other_keys.items():
        if secret != key:
            yield Hint("other_key", mid), joined(secret=secret)
    yield Hint("key_missing"), joined(secret="")
    for variant in (key + "\n", key + " ", key.rstrip("=")):
        yield Hint("key_trimmed"), joined(secret=variant)
    yield from _rearranged(formula, fields, key)


def _variants(name: str, value: str, seen_dates: Iterable[str]) -> Iterator[tuple[Hint, str]]:
    yield Hint("spaces", name), value + "\n"
    yield Hint("spaces", name), value + " "
    if name in AMOUNTS:
        yield Hint("padded", name), value.zfill(12)
        yield Hint("unpadded", name), value.lstrip("0") or "0"
        yield Hint("decimals", name), value + ".00"
        yield Hint("minor_units", name), value + "00"
    if name == "EdiDate":
        moment = read_edi_date(value)
        if moment is not None:
            yield Hint("utc_date"), (kst(moment) - timedelta(hours=9)).strftime("%Y%m%d%H%M%S")
        for date in seen_dates:
            yield Hint("old_date", date), date


def _rearranged(formula: str, fields: Mapping[str, str], key: str) -> Iterator[tuple[Hint, str]]:
    pieces = {**{name: fields.get(name, "") for name in FORMULAS[formula]}, "MerchantKey": key}
    for order in permutations(pieces):
        yield Hint("order", " + ".join(order)), "".join(pieces[name] for name in order)
    for separator in ("&", "|", ",", ":", ";", " ", "-", "+"):
        yield Hint("separator", separator), separator.join(pieces.values())


def _spelled(names: Iterable[str]) -> str:
    return " + ".join([*names, "MerchantKey"])


def _shape_hints(given: str) -> list[Hint]:
    if len(given) == 64 and all(letter in "0123456789abcdef" for letter in given.lower()):
        return []
    if len(given) == 128:
        return [Hint("sha512")]
    try:
        is_base64 = len(base64.b64decode(given, validate=True)) == 32
    except ValueError:
        is_base64 = False
    return [Hint("base64")] if is_base64 else [Hint("shape", str(len(given)))]


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()
