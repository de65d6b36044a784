"""One-time codes against the vectors of RFC 6238, appendix B (SHA-1, last six of eight digits)."""

from datetime import UTC, datetime, timedelta

import pytest

from wongate.domain import one_time

SECRET = one_time.spelled(b"12345678901234567890")
VECTORS = {
    59: "287082",
    1111111109: "081804",
    1111111111: "050471",
    1234567890: "005924",
    2000000000: "279037",
    20000000000: "353130",
}


@pytest.mark.parametrize(("at", "code"), VECTORS.items())
def test_codes_are_those_of_the_standard(at: int, code: str) -> None:
    assert code == one_time.code_of(SECRET, at // 30)
    assert at // 30 == one_time.matching_step(SECRET, code, datetime.fromtimestamp(at, UTC))


def test_a_code_counts_one_step_early_and_late_and_no_further() -> None:
    at = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
    code = one_time.code_of(SECRET, one_time.step_of(at))
    found = {
        seconds: one_time.matching_step(SECRET, code, at + timedelta(seconds=seconds))
        for seconds in (-31, -30, 0, 29, 59, 60)
    }
    step = one_time.step_of(at)
    assert {-31: None, -30: step, 0: step, 29: step, 59: step, 60: None} == found


@pytest.mark.parametrize("typed", ["", "28708", "2870822", "28708x", "٢٨٧٠٨٢", "null"])
def test_what_is_no_code_matches_nothing(typed: str) -> None:
    assert one_time.matching_step(SECRET, typed, datetime.fromtimestamp(59, UTC)) is None


def test_a_code_may_be_typed_in_two_groups() -> None:
    assert 1 == one_time.matching_step(SECRET, "287 082", datetime.fromtimestamp(59, UTC))


def test_the_address_for_the_app_names_account_issuer_and_secret() -> None:
    uri = one_time.enrolment_uri(SECRET, "anna@shop.example", "Wongate")
    assert f"otpauth://totp/Wongate%3Aanna%40shop.example?secret={SECRET}&issuer=Wongate" == uri
