"""Payments, operations and projects as tests of the rules need them; every argument changes a field."""

from datetime import UTC, datetime
from typing import Any

from wongate.domain.account import Account
from wongate.domain.lifecycle import Kind, Stage, Status
from wongate.domain.payment import Operation, Payment, PaymentStatus, Project, ProjectSettings

AT = datetime(2020, 12, 15, 11, 13, 54, tzinfo=UTC)
SECRET = "secret"


def project(project_id: int = 1234, account_id: int = 12345, **settings: Any) -> Project:
    account = Account(account_id, "nicepay", "wongate01m", "key")
    return Project(project_id, "Shop", (SECRET,), account, ProjectSettings.from_json(settings))


def payment(**changes: Any) -> Payment:
    values: dict[str, Any] = {
        "project_id": 1234,
        "payment_no": 1,
        "payment_id": "ABC123",
        "status": PaymentStatus.PROCESSING,
        "method": "payco",
        "source": "gate",
        "amount": 1000,
        "currency": "KRW",
        "captured": 0,
        "refunded": 0,
        "reserved": 0,
        "description": "",
        "customer_id": "customer1",
        "sale_id": 123,
        "flag": "",
        "created_at": AT,
        "changed_at": AT,
        "request": {},
    }
    return Payment(**{**values, **changes})


def operation(**changes: Any) -> Operation:
    values: dict[str, Any] = {
        "project_id": 1234,
        "operation_id": 123,
        "payment_no": 1,
        "kind": Kind.SALE,
        "status": Status.PROCESSING,
        "stage": Stage.NEW,
        "amount": 1000,
        "currency": "KRW",
        "code": 0,
        "request_id": "46d13cf0-bd729b81-0001",
        "request_hash": "",
        "description": "",
        "merchant_refund_id": None,
        "account_id": 12345,
        "order_number": "1234W123",
        "return_key": "",
        "authentication": {},
        "reference": "",
        "details": {},
        "request": {},
        "created_at": AT,
        "changed_at": AT,
        "limit_at": None,
        "wake_at": None,
    }
    return Operation(**{**values, **changes})
