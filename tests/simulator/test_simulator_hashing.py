"""The seven formulas against the published and captured vectors, and the reasons given for a wrong hash."""

import base64
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from tests.simulator.shopkeeper import KEY, MID, OTHER_KEY, OTHER_MID, sha

from wongate_simulator import hashing
from wongate_simulator.words import hint_text

DATA = json.loads((Path(__file__).parents[1] / "vectors" / "nicepay-vectors.json").read_text("utf-8"))
FIELDS = {"MID": MID, "Amt": "1000", "EdiDate": "20201211174138", "Moid": "2"}


def test_all_27_vectors_are_there() -> None:
    assert 27 == len(DATA["vectors"])


@pytest.mark.parametrize("vector", DATA["vectors"], ids=lambda vector: vector["id"])
def test_a_vector_gives_its_hash(vector: dict[str, Any]) -> None:
    inputs = vector["inputs"]

    assert vector["expected"] == hashing.digest(vector["formula"], inputs, inputs["MerchantKey"])


@pytest.mark.parametrize(
    "vector", [v for v in DATA["vectors"] if v["use"] == "negative"], ids=lambda vector: vector["id"]
)
def test_the_hash_of_the_unpadded_amount_is_refused_for_the_padded_one(vector: dict[str, Any]) -> None:
    answered = vector["inputs"] | {"Amt": vector["inputs"]["Amt"].zfill(12)}

    assert not hashing.matches(vector["formula"], answered, answered["MerchantKey"], vector["expected"])


@pytest.mark.parametrize("letter", sorted(DATA["formulas"]))
def test_the_formulas_join_the_documented_fields(letter: str) -> None:
    assert DATA["formulas"][letter]["concat"] == [*hashing.FORMULAS[letter], "MerchantKey"]


def test_a_hash_with_characters_outside_ascii_is_wrong_and_breaks_nothing() -> None:
    assert not hashing.matches("a", FIELDS, KEY, "가나다\udcff")


@pytest.mark.parametrize(
    "given, hint",
    [
        ("", ("empty", "")),
        (sha("20201211174138", MID, "1000", KEY).upper(), ("case", "")),
        (sha("20201211174138", MID, "000000001000", KEY), ("padded", "Amt")),
        (sha("20201211174138", MID, "1000.00", KEY), ("decimals", "Amt")),
        (sha("20201211174138", MID, "100000", KEY), ("minor_units", "Amt")),
        (sha("20201211084138", MID, "1000", KEY), ("utc_date", "")),
        (sha("20201211170000", MID, "1000", KEY), ("old_date", "20201211170000")),
        (sha("20201211174138", MID, "1000", OTHER_KEY), ("other_key", OTHER_MID)),
        (sha("20201211174138", MID, "1000"), ("key_missing", "")),
        (sha("20201211174138", MID, "1000", KEY + "\n"), ("key_trimmed", "")),
        (sha("20201211174138", MID, KEY), ("left_out", "Amt")),
        (sha("20201211174138", MID, "1000 ", KEY), ("spaces", "Amt")),
        (sha(MID, "20201211174138", "1000", KEY), ("order", "MID + EdiDate + Amt + MerchantKey")),
        (sha("|".join(["20201211174138", MID, "1000", KEY])), ("separator", "|")),
        (hashlib.sha512(b"x").hexdigest(), ("sha512", "")),
        (base64.b64encode(hashlib.sha256(b"x").digest()).decode(), ("base64", "")),
        ("abc", ("shape", "3")),
        (sha("something else"), ("unknown", "EdiDate + MID + Amt + MerchantKey")),
    ],
)
def test_a_wrong_hash_explains_itself(given: str, hint: tuple[str, str]) -> None:
    hints = hashing.why_wrong("a", FIELDS, KEY, given, {MID: KEY, OTHER_MID: OTHER_KEY}, ["20201211170000"])

    assert hint in [(found.key, found.detail) for found in hints]


def test_a_request_signed_by_another_requests_formula_is_told_so() -> None:
    fields = FIELDS | {"AuthToken": "NICETOKN1", "TID": "t"}
    given = sha(MID, "1000", "20201211174138", KEY)  # the cancel formula, used for a net cancel

    [hint] = hashing.why_wrong("c", fields, KEY, given, {})

    assert ("other_formula", "MID + CancelAmt + EdiDate + MerchantKey") == (hint.key, hint.detail)


def test_every_hint_has_a_text_that_names_its_detail() -> None:
    assert "Amt" in hint_text("padded", "Amt", "ko")
