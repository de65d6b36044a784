"""Callback bodies against the source document, where they go, and when they are tried again."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit import nouns
from tests.unit.nouns import SECRET, project

from wongate.connections.json_text import dumps
from wongate.domain import callback
from wongate.domain.lifecycle import Kind, Stage, Status
from wongate.domain.members import Flaw
from wongate.domain.outcome import Form
from wongate.domain.payment import Operation, Payment, PaymentStatus
from wongate.domain.signature import sign, verify

NOW = datetime(2020, 12, 10, 10, 44, 49, tzinfo=UTC)
CREATED = datetime(2020, 12, 10, 10, 44, 41, tzinfo=UTC)


def payment(**changes: Any) -> Payment:
    """The paid payment of the source document."""
    return nouns.payment(**{"status": PaymentStatus.SUCCESS, "captured": 1000, "changed_at": NOW, **changes})


def operation(**changes: Any) -> Operation:
    """Its sale."""
    paid = {
        "status": Status.SUCCESS,
        "stage": Stage.DONE,
        "request_id": "46d13cf06a05f023ab53dd2d3d5c266a31c537a7-bd729b81-00000001",
        "reference": "ABC12345",
        "created_at": CREATED,
        "changed_at": NOW,
    }
    return nouns.operation(**{**paid, **changes})


def shape(value: Any) -> Any:
    """Members, their order and their types: what a parser sees."""
    if isinstance(value, dict):
        return [(name, shape(item)) for name, item in value.items()]
    return type(value).__name__


def documented(status: str, operation_members: dict[str, Any], **payment_members: Any) -> dict[str, Any]:
    """A callback of the source document, with its members in its order."""
    return {
        "project_id": 1234,
        "payment": {
            "id": "ABC123",
            "type": "purchase",
            "status": status,
            "date": "2020-12-10T10:44:49+0000",
            "method": "payco",
            "sum": {"amount": 1000, "currency": "KRW"},
            "description": "",
            **payment_members,
        },
        "customer": {"id": "customer1"},
        "operation": {
            "id": 123,
            "type": "sale",
            "status": "success",
            "date": "2020-12-10T10:44:49+0000",
            "created_date": "2020-12-10T10:44:41+0000",
            "request_id": "46d13cf06a05f023ab53dd2d3d5c266a31c537a7-bd729b81-00000001",
            "sum_initial": {"amount": 1000, "currency": "KRW"},
            "sum_converted": {"amount": 1000, "currency": "KRW"},
            "code": "0",
            "message": "Success",
            "provider": {"id": 12345, "payment_id": "ABC12345", "auth_code": ""},
            **operation_members,
        },
    }


DECLINED = {"status": "decline", "code": "20000", "message": "General decline"}
NO_REFERENCE = {"provider": {"id": 12345, "payment_id": "", "auth_code": ""}}


@pytest.mark.parametrize(
    ("expected", "made"),
    [
        pytest.param(
            documented("success", {}), callback.body(project(), payment(), operation()), id="success"
        ),
        pytest.param(
            documented("decline", {**DECLINED, **NO_REFERENCE}),
            callback.body(
                project(),
                payment(status=PaymentStatus.DECLINE, captured=0),
                operation(status=Status.DECLINE, code=20000),
            ),
            id="decline",
        ),
        pytest.param(
            documented(
                "refunded",
                {"type": "refund", **NO_REFERENCE},
                sum={"amount": 0, "currency": "KRW"},
                description="refund",
            ),
            callback.body(
                project(),
                payment(status=PaymentStatus.REFUNDED, refunded=1000),
                operation(kind=Kind.REFUND, description="refund"),
            ),
            id="refund",
        ),
        pytest.param(
            documented("success", {"type": "refund", **DECLINED, **NO_REFERENCE}, description="refund"),
            callback.body(
                project(),
                payment(),
                operation(kind=Kind.REFUND, status=Status.DECLINE, code=20000, description="refund"),
            ),
            id="declined refund",
        ),
    ],
)
def test_callbacks_are_those_of_the_source_document(expected: dict[str, Any], made: dict[str, Any]) -> None:
    assert expected == made
    assert shape(expected) == shape(made)


def test_the_intermediate_callback_carries_the_form_and_the_waiting_code() -> None:
    form = Form("http://example.test/", {"MID": "ABC123", "Amt": "1000"})
    waiting = operation(status=Status.AWAITING, code=9999, reference="")

    made = callback.body(project(), payment(status=PaymentStatus.AWAITING, captured=0), waiting, form=form)

    assert ["body", "method", "url"] == list(made["redirect_data"])
    assert {"MID": "ABC123", "Amt": "1000"} == made["redirect_data"]["body"]
    assert ("POST", "http://example.test/") == (made["redirect_data"]["method"], made["redirect_data"]["url"])
    assert ("9999", "Awaiting processing") == (made["operation"]["code"], made["operation"]["message"])
    assert "awaiting redirect result" == made["payment"]["status"] == made["operation"]["status"]


def test_an_error_callback_keeps_the_standard_shape_and_names_its_errors() -> None:
    flaws = [Flaw(2426, "customer.email", "e-mail address"), Flaw(502)]
    wrong = operation(status=Status.DECLINE, code=2426)

    made = callback.body(project(), payment(status=PaymentStatus.ERROR, captured=0), wrong, flaws=flaws)

    assert ["project_id", "payment", "customer", "operation", "errors"] == list(made)
    assert (("error", "decline", "2426")) == (
        made["payment"]["status"],
        made["operation"]["status"],
        made["operation"]["code"],
    )
    assert [
        {"code": 2426, "message": "Invalid Email", "field": "customer.email", "constraint": "e-mail address"},
        {"code": 502, "message": "Validation error"},
    ] == made["errors"]


def test_a_signed_callback_verifies_and_ends_with_its_signature() -> None:
    body = callback.body(project(), payment(description="1;2 한글"), operation())
    text = dumps(callback.signed(body, SECRET))

    message = json.loads(text)

    assert verify(message, message["signature"], [SECRET])
    assert "signature" == list(message)[-1]
    assert "한글" in text


def test_the_original_description_stays_where_the_project_asks_for_it() -> None:
    refund = operation(kind=Kind.REFUND, description="size")
    made = callback.body(project(original_description=True), payment(description="shoes"), refund)
    assert ("shoes", "size") == (made["payment"]["description"], made["operation"]["operation_description"])


def test_the_approval_number_is_shown_only_where_the_project_asks_for_it() -> None:
    paid = operation(details={"AuthCode": "30001234"})
    shown = callback.body(project(auth_code=True), payment(), paid)["operation"]["provider"]
    hidden = callback.body(project(), payment(), paid)["operation"]["provider"]
    assert ("30001234", "") == (shown["auth_code"], hidden["auth_code"])


def test_the_status_answer_shows_the_original_description_and_the_oldest_operation_first() -> None:
    refund = operation(kind=Kind.REFUND, operation_id=124, amount=400, description="size")
    made = callback.status_answer(project(), payment(description="shoes"), [operation(), refund])
    assert ["project_id", "payment", "operations", "customer"] == list(made)
    assert ("shoes", [123, 124]) == (made["payment"]["description"], [op["id"] for op in made["operations"]])


# --- when -----------------------------------------------------------------------------------------------------------------


def test_retries_follow_the_documented_gaps_for_ten_days() -> None:
    gaps = [callback.delay_after(failures) for failures in range(1, 122)]

    assert [10.0] * 6 == gaps[:6]
    assert 84 == round(gaps[6] or 0)
    assert 14_194 == round(gaps[67] or 0)
    assert [4 * 3600.0] * 52 == gaps[68:120]
    assert gaps[120] is None
    assert 10.24 == round(sum(gap or 0 for gap in gaps) / 86_400, 2)


# --- where ----------------------------------------------------------------------------------------------------------------

OWN = {"general": {"merchant_callback_url": "https://own.example/"}}
BY_RESULT = {
    "general": {
        "merchant_callback_url": "https://own.example/",
        "merchant_success_callback_url": "https://yes.example/",
        "merchant_decline_callback_url": "https://no.example/",
    }
}
RULES = (
    {"url": "https://all.example/"},
    {"url": "https://good.example/", "result": "success"},
    {"url": "https://off.example/", "enabled": False},
    {"url": "https://other.example/", "method": "kakaopay"},
    {"url": "https://all.example/", "payment_type": "purchase"},
)


@pytest.mark.parametrize(
    ("expected", "settings", "request_members", "status"),
    [
        (["https://default.example/"], {"callback_url": "https://default.example/"}, {}, Status.SUCCESS),
        ([], {}, {}, Status.SUCCESS),
        (["https://all.example/", "https://good.example/"], {"callback_rules": RULES}, {}, Status.SUCCESS),
        (["https://all.example/"], {"callback_rules": RULES}, {}, Status.DECLINE),
        (["https://own.example/"], {"callback_rules": RULES}, OWN, Status.SUCCESS),
        (["https://yes.example/"], {}, BY_RESULT, Status.SUCCESS),
        (["https://no.example/"], {}, BY_RESULT, Status.DECLINE),
        (["https://own.example/"], {}, BY_RESULT, Status.AWAITING),
        (
            [],
            {"callback_url": "https://default.example/"},
            {"callback": {"force_disable": 1}},
            Status.SUCCESS,
        ),
    ],
)
def test_a_callback_goes_to_every_address_that_it_is_meant_for(
    expected: list[str], settings: dict[str, Any], request_members: dict[str, Any], status: Status
) -> None:
    sale = operation(status=status)
    found = callback.urls(project(**settings), payment(request=request_members), sale, request_members)
    assert expected == found


def test_a_refunds_own_address_governs_its_callbacks_alone() -> None:
    sold = payment(request=OWN)
    refund = operation(kind=Kind.REFUND)
    own = {"general": {"merchant_callback_url": "https://refunds.example/"}}
    assert ["https://refunds.example/"] == callback.urls(project(), sold, refund, own)
    assert ["https://own.example/"] == callback.urls(project(), sold, refund, {})


def test_dates_go_out_in_utc_with_a_plain_offset() -> None:
    assert "2020-12-10T10:44:49+0000" == callback.wire_date(NOW)
    assert "2020-12-10T10:44:41+0000" == callback.wire_date(CREATED.replace(microsecond=999_999))
    seoul = datetime.fromisoformat("2020-12-10T19:44:49+09:00")
    assert "2020-12-10T10:44:49+0000" == callback.wire_date(seoul.astimezone(UTC))


FORMS = st.none() | st.builds(
    Form, url=st.text(), body=st.dictionaries(st.text(min_size=1), st.text(), max_size=20)
)


@given(
    texts=st.tuples(*[st.text()] * 4),
    amount=st.integers(1, 10**13),
    form=FORMS,
    flaws=st.sampled_from([(), (Flaw(3001, "a", "b"),)]),
    own_words=st.booleans(),
    kind=st.sampled_from([Kind.SALE, Kind.REFUND]),
)
def test_the_signature_written_out_is_the_general_one(
    texts: tuple[str, ...], amount: int, form: Form | None, flaws: Any, own_words: bool, kind: Kind
) -> None:
    """Messages with the standard members are signed by a shorter way, which must lead to the same place."""
    payment_id, description, customer_id, reference = texts
    told = callback.body(
        project(original_description=own_words),
        payment(payment_id=payment_id, description=description, customer_id=customer_id, amount=amount),
        operation(kind=kind, reference=reference, description=description),
        form=form,
        flaws=flaws,
    )

    assert sign(told, SECRET) == callback.signed(told, SECRET)["signature"]


def test_the_shorter_way_is_taken_for_what_is_sent_most() -> None:
    form = Form(url="https://window.example/", body={"Amt": "1000", "EdiDate": "20201210194449"})
    assert callback.standard_text(callback.body(project(), payment(), operation()))
    assert callback.standard_text(callback.body(project(), payment(), operation(), form=form))
    flawed = callback.body(project(), payment(), operation(), flaws=[Flaw(3001, "a", "b")])
    assert callback.standard_text(flawed) == ""


@pytest.mark.parametrize("message", [{}, {"operations": []}, {"payment": {"id": "a"}}])
def test_other_messages_are_signed_the_general_way(message: dict[str, Any]) -> None:
    """The Data API's answers are among them."""
    assert sign(message, SECRET) == callback.signed(message, SECRET)["signature"]
