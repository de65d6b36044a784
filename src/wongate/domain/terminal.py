"""The Payment Page's own shape of a payment (section 4.3): what a merchant's script handlers get, and `destination: terminal`."""

from collections.abc import Sequence
from typing import Any

from wongate.domain import codes
from wongate.domain.callback import wire_date
from wongate.domain.payment import Operation, Payment, Project
from wongate.domain.signature import sign


def terminal(
    project: Project, payment: Payment, operation: Operation, operations: Sequence[Operation]
) -> dict[str, Any]:
    """Signed under `general.signature`; `operation` is the one the message is about."""
    message: dict[str, Any] = {
        "general": {"project_id": project.project_id, "payment_id": payment.payment_id},
        "request_id": operation.request_id,
        "status": str(payment.status),
        "transaction": {
            "id": operation.operation_id,
            "date": wire_date(operation.changed_at),
            "type": str(operation.kind),
        },
        "payment": {
            "id": payment.payment_id,
            "method": payment.method,
            "date": wire_date(payment.changed_at),
            "result_code": str(operation.code),
            "result_message": codes.message(operation.code),
            "status": str(payment.status),
            "provider_id": operation.account_id,
        },
        "sum_request": {"amount": payment.amount, "currency": payment.currency},
        "sum_real": {"amount": payment.balance, "currency": payment.currency},
        "sum_refund": {"amount": payment.refunded, "currency": payment.currency},
        "description": payment.description,
        "customer": {"id": payment.customer_id},
        "operations": [_operation(item) for item in operations],
    }
    message["general"]["signature"] = sign(message, project.secret)
    return message


def _operation(operation: Operation) -> dict[str, Any]:
    return {
        "id": operation.operation_id,
        "type": str(operation.kind),
        "status": str(operation.status),
        "date": wire_date(operation.changed_at),
        "processing_time": int((operation.changed_at - operation.created_at).total_seconds()),
        "request_id": operation.request_id,
        "sum": {"amount": operation.amount, "currency": operation.currency},
        "code": str(operation.code),
        "message": codes.message(operation.code),
        "provider": {"id": operation.account_id},
    }
