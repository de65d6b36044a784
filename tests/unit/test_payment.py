"""What a payment becomes when one of its operations moves, and what a project may set."""

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit import nouns

from wongate.domain.lifecycle import Event, Kind, Stage, Status
from wongate.domain.payment import (
    PaymentStatus,
    ProjectSettings,
    payment_after,
    payment_key,
    status_after_refund,
)

LATER = nouns.AT + timedelta(minutes=1)
PAID = nouns.payment(status=PaymentStatus.SUCCESS, captured=1000)


def refund(amount: int, status: Status = Status.PROCESSING):
    return nouns.operation(kind=Kind.REFUND, amount=amount, status=status, stage=Stage.RESERVED)


@pytest.mark.parametrize(
    "status, event, expected",
    [
        (Status.AWAITING, Event.OPENED, (PaymentStatus.AWAITING, 0)),
        (Status.DECLINE, Event.INVALID, (PaymentStatus.ERROR, 0)),
        (Status.DECLINE, Event.REFUSED, (PaymentStatus.DECLINE, 0)),
        (Status.SUCCESS, Event.APPROVED, (PaymentStatus.SUCCESS, 1000)),
        (Status.DECLINE, Event.EXPIRED, (PaymentStatus.DECLINE, 0)),
    ],
)
def test_a_payment_follows_its_sale(status: Status, event: Event, expected: tuple[PaymentStatus, int]):
    after = payment_after(nouns.payment(), nouns.operation(status=status), event, LATER)
    assert (*expected, LATER) == (after.status, after.captured, after.changed_at)


def test_a_refund_reserves_then_takes_or_gives_back():
    opened = payment_after(PAID, refund(400), Event.OPENED, LATER)
    assert (400, 0, PaymentStatus.SUCCESS, 600) == (
        opened.reserved,
        opened.refunded,
        opened.status,
        opened.refundable,
    )
    taken = payment_after(opened, refund(400, Status.SUCCESS), Event.APPROVED, LATER)
    assert (0, 400, PaymentStatus.PARTIALLY_REFUNDED, 600) == (
        taken.reserved,
        taken.refunded,
        taken.status,
        taken.balance,
    )
    given_back = payment_after(opened, refund(400, Status.DECLINE), Event.DECLINED, LATER)
    assert PAID == given_back


@pytest.mark.parametrize("event", [Event.REFUSED, Event.SENT, Event.UNANSWERED, Event.NOT_SENT])
def test_other_events_of_a_refund_change_nothing_of_the_payment(event: Event):
    assert PAID == payment_after(PAID, refund(400), event, LATER)


@pytest.mark.parametrize(
    "refunded, expected",
    [(0, PaymentStatus.SUCCESS), (1, PaymentStatus.PARTIALLY_REFUNDED), (1000, PaymentStatus.REFUNDED)],
)
def test_the_status_follows_from_what_has_gone_back(refunded: int, expected: PaymentStatus):
    assert expected is status_after_refund(1000, refunded)


@given(
    steps=st.lists(
        st.tuples(st.integers(1, 1500), st.sampled_from(["open", "approve", "decline"])), max_size=40
    )
)
def test_whatever_refunds_do_the_sums_stay_within_what_was_captured(steps: list[tuple[int, str]]):
    """Refunds are opened only within the remainder, as the flow does under the payment's lock (I1)."""
    payment, open_refunds = PAID, list[int]()
    for amount, step in steps:
        if step == "open" and amount <= payment.refundable:
            payment = payment_after(payment, refund(amount), Event.OPENED, LATER)
            open_refunds.append(amount)
        elif step != "open" and open_refunds:
            event = Event.APPROVED if step == "approve" else Event.DECLINED
            payment = payment_after(payment, refund(open_refunds.pop(0)), event, LATER)
        assert 0 <= payment.refunded + payment.reserved <= payment.captured
        assert sum(open_refunds) == payment.reserved
        assert payment.balance == 1000 - payment.refunded


def test_ids_are_compared_without_case_in_every_script():
    for one, other in (("Order-1", "oRDER-1"), ("ЗАКАЗ", "заказ"), ("straße", "STRASSE")):
        assert payment_key(one) == payment_key(other)
    assert payment_key("주문 1") != payment_key("주문 2")


@pytest.mark.parametrize(
    "stored, complaint",
    [
        ({"limit_time": 5}, "unknown project setting 'limit_time'"),
        ({"limit_time_s": "5"}, "'limit_time_s' must be of type int"),
        ({"limit_time_s": True}, "'limit_time_s' must be of type int"),
        ({"blocked": 1}, "'blocked' must be of type bool"),
        ({"currencies": "KRW"}, "'currencies' must be a list"),
        ({"callback_rules": {"url": "x"}}, "'callback_rules' must be a list"),
        ({"callback_rules": [{"to": "x"}]}, "'callback_rules' must be a list of rules"),
        ({"callback_rules": [{"url": "x", "enabled": "yes"}]}, "'callback_rules' must be a list of rules"),
        ({"callback_rules": ["x"]}, "'callback_rules' must be a list of rules"),
        ({"allowed_ips": [5]}, "'allowed_ips' must be a list of texts"),
    ],
)
def test_a_setting_that_is_none_is_named(stored: dict[str, object], complaint: str):
    with pytest.raises(ValueError, match=complaint):
        ProjectSettings.from_json(stored)


def test_settings_left_out_have_the_documented_defaults():
    settings = ProjectSettings.from_json({"methods": ["payco"]})
    assert (1800, 120, 20602, 100, 10_000_000, ("KRW",), 600) == (
        settings.limit_time_s,
        settings.base_time_s,
        settings.limit_code,
        settings.amount_min,
        settings.amount_max,
        settings.currencies,
        settings.refund_resend_window_s,
    )


def test_a_project_never_shows_its_secrets():
    project = replace(nouns.project(), secrets=("very secret", "older secret"))
    assert "secret" not in repr(project).replace("secrets", "")
