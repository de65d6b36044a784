"""Where the payer goes after the window (E-9), nothing appended."""

from typing import Any

import pytest
from tests.unit import nouns

from wongate.domain.landing import landing_url
from wongate.domain.payment import PaymentStatus

NAMED = {"success": "https://shop/ok?a=1", "decline": "https://shop/no", "return": "https://shop/back"}
PROJECT = {
    "success_url": "https://project/ok",
    "decline_url": "https://project/no",
    "return_url": "https://project/back",
}
PAID = (PaymentStatus.SUCCESS, PaymentStatus.PARTIALLY_REFUNDED, PaymentStatus.REFUNDED)
UNPAID = (PaymentStatus.DECLINE, PaymentStatus.ERROR)


def landing(status: PaymentStatus, asked: Any, **settings: Any) -> str | None:
    return landing_url(nouns.project(**settings), nouns.payment(status=status, request={"return_url": asked}))


@pytest.mark.parametrize(
    "left_out, paid, unpaid",
    [
        ((), "https://shop/ok?a=1", "https://shop/no"),
        (("success", "decline"), "https://shop/back", "https://shop/back"),
        (("success", "decline", "return"), "https://project/ok", "https://project/no"),
    ],
)
def test_the_named_member_then_return_then_the_project(left_out: tuple[str, ...], paid: str, unpaid: str):
    asked = {name: url for name, url in NAMED.items() if name not in left_out}
    assert {paid} == {landing(status, asked, **PROJECT) for status in PAID}
    assert {unpaid} == {landing(status, asked, **PROJECT) for status in UNPAID}


def test_the_projects_return_address_is_the_last_before_our_own_page():
    assert "https://project/back" == landing(PaymentStatus.SUCCESS, {}, return_url="https://project/back")
    assert landing(PaymentStatus.SUCCESS, {}) is None
    assert landing(PaymentStatus.SUCCESS, None) is None


@pytest.mark.parametrize("status", [PaymentStatus.PROCESSING, PaymentStatus.AWAITING])
def test_an_unfinished_payment_stays_with_us(status: PaymentStatus):
    assert landing(status, NAMED, **PROJECT) is None
