"""What merchants are told: the signed callback bodies, where they go, and when they are tried again."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from math import floor
from typing import Any

from wongate.domain import codes
from wongate.domain.lifecycle import Kind, Status
from wongate.domain.members import Flaw, is_web_url
from wongate.domain.natural_order import natural_sorted
from wongate.domain.outcome import Form
from wongate.domain.payment import Operation, Payment, PaymentStatus, Project
from wongate.domain.signature import canonical, digest, lines_of

RETRIES = 120
"""Retries after the first failure (section 4.6): 6 + 62 + 52 gaps, 10.24 days in all."""


def delay_after(failures: int) -> float | None:
    """Seconds until the next try after so many failed ones, None when it is time to give up (section 4.6).

    Six gaps of 10 s, then 62 that grow from 84 s to 3 h 57 min, then 4 h each.
    """
    if failures > RETRIES:
        return None
    if failures <= 6:
        return 10.0
    if failures <= 68:
        return 70 + 10 * 1.12 ** (failures - 4)
    return 4 * 3600.0


def wire_date(moment: datetime) -> str:
    """`YYYY-MM-DDThh:mm:ss+0000`, the only form that all clients read alike (section 1.4)."""
    return _wire_second(floor(moment.timestamp()))


@lru_cache(maxsize=64)  # each message tells several moments, and a busy second has many messages
def _wire_second(second: int) -> str:
    return datetime.fromtimestamp(second, UTC).isoformat(timespec="seconds")[:19] + "+0000"


def signed(message: dict[str, Any], secret: str) -> dict[str, Any]:
    """The message with its signature as the last root member."""
    text = standard_text(message) or canonical(message)
    return {**message, "signature": digest(text, secret).decode()}


_ROOT = ("project_id", "payment", "customer", "operation")
_ROOTS = (_ROOT, (*_ROOT, "redirect_data"))
_PAYMENT = ("id", "type", "status", "date", "method", "sum", "description")
_OPERATION = (
    *("id", "type", "status", "date", "created_date", "request_id", "sum_initial", "sum_converted"),
    *("code", "message", "provider"),
)


def standard_text(message: Mapping[str, Any]) -> str:
    """The string to sign of a callback with the standard members alone, written out; empty for any other message.

    Every sale and every change is told, and most messages are these: 3 us instead of 16 for the general way.
    """
    if tuple(message) not in _ROOTS:
        return ""
    payment, operation, form = message["payment"], message["operation"], message.get("redirect_data")
    if tuple(payment) != _PAYMENT or tuple(operation) != _OPERATION:
        return ""
    first, then, provider = operation["sum_initial"], operation["sum_converted"], operation["provider"]
    return (
        f"customer:id:{message['customer']['id']}"
        f";operation:code:{operation['code']}"
        f";operation:created_date:{operation['created_date']}"
        f";operation:date:{operation['date']}"
        f";operation:id:{operation['id']}"
        f";operation:message:{operation['message']}"
        f";operation:provider:auth_code:{provider['auth_code']}"
        f";operation:provider:id:{provider['id']}"
        f";operation:provider:payment_id:{provider['payment_id']}"
        f";operation:request_id:{operation['request_id']}"
        f";operation:status:{operation['status']}"
        f";operation:sum_converted:amount:{then['amount']}"
        f";operation:sum_converted:currency:{then['currency']}"
        f";operation:sum_initial:amount:{first['amount']}"
        f";operation:sum_initial:currency:{first['currency']}"
        f";operation:type:{operation['type']}"
        f";payment:date:{payment['date']}"
        f";payment:description:{payment['description']}"
        f";payment:id:{payment['id']}"
        f";payment:method:{payment['method']}"
        f";payment:status:{payment['status']}"
        f";payment:sum:amount:{payment['sum']['amount']}"
        f";payment:sum:currency:{payment['sum']['currency']}"
        f";payment:type:{payment['type']}"
        f";project_id:{message['project_id']}"
        f"{_form_lines(form) if form else ''}"
    )


def _form_lines(form: Mapping[str, Any]) -> str:
    body = form["body"]
    fields = "".join([f";{path}:{body[name]}" for path, name in _ordered(tuple(body))])
    return f"{fields};redirect_data:method:{form['method']};redirect_data:url:{form['url']}"


@lru_cache(maxsize=16)
def _ordered(names: tuple[str, ...]) -> list[tuple[str, str]]:
    """The (path, name) pairs of a form's fields in the order in which they are signed."""
    fields = {name: name for name in names}
    return natural_sorted(lines_of({"redirect_data": {"body": fields}}))


def body(
    project: Project,
    payment: Payment,
    operation: Operation,
    *,
    form: Form | None = None,
    flaws: Sequence[Flaw] = (),
) -> dict[str, Any]:
    """The standard callback (section 4.1), members in the source document's order; `form` makes it the intermediate one."""
    description = payment.description
    if operation.kind is Kind.REFUND and not project.settings.original_description:
        description = operation.description  # E-14
    message: dict[str, Any] = {
        "project_id": project.project_id,
        "payment": {
            "id": payment.payment_id,
            "type": "purchase",
            "status": str(payment.status),
            "date": wire_date(operation.changed_at),
            "method": payment.method,
            "sum": {"amount": payment.balance, "currency": payment.currency},
            "description": description,
        },
        "customer": {"id": payment.customer_id},
        "operation": operation_members(project, operation),
    }
    if project.settings.try_again and payment.source == "page" and operation.kind is Kind.SALE:
        message["payment"] |= _new_attempts(payment, operation)
    if form is not None:
        message["redirect_data"] = {"body": dict(form.body), "method": form.method, "url": form.url}  # E-17
    if flaws:
        message["errors"] = [_error(flaw) for flaw in flaws[:10]]  # E-1: no list longer than ten
    return message


def operation_members(project: Project, operation: Operation) -> dict[str, Any]:
    """An operation as callbacks show it, in the source document's order."""
    amount = {"amount": operation.amount, "currency": operation.currency}
    members: dict[str, Any] = {
        "id": operation.operation_id,
        "type": str(operation.kind),
        "status": str(operation.status),
        "date": wire_date(operation.changed_at),
        "created_date": wire_date(operation.created_at),
        "request_id": operation.request_id,
        "sum_initial": amount,
        "sum_converted": dict(amount),
        "code": str(operation.code),
        "message": codes.message(operation.code),
        "provider": _provider(project, operation),
    }
    if operation.kind is Kind.REFUND and project.settings.original_description:
        members["operation_description"] = operation.description
    return members


def status_answer(project: Project, payment: Payment, operations: Sequence[Operation]) -> dict[str, Any]:
    """The answer of /v2/payment/status (section 5.1, E-21): original description, operations oldest first."""
    return {
        "project_id": project.project_id,
        "payment": {
            "id": payment.payment_id,
            "type": "purchase",
            "status": str(payment.status),
            "date": wire_date(payment.changed_at),
            "method": payment.method,
            "sum": {"amount": payment.balance, "currency": payment.currency},
            "description": payment.description,
        },
        "operations": [_status_operation(project, operation) for operation in operations],
        "customer": {"id": payment.customer_id},
    }


def _status_operation(project: Project, operation: Operation) -> dict[str, Any]:
    """Section 5.1 shows the same members as the callback with request_id after the sums."""
    members = operation_members(project, operation)
    request_id = members.pop("request_id")
    order = ("id", "type", "status", "date", "created_date", "sum_initial", "sum_converted")
    return {**{name: members.pop(name) for name in order}, "request_id": request_id, **members}


def _provider(project: Project, operation: Operation) -> dict[str, Any]:
    """E-15: the TID belongs to a successful sale alone."""
    paid = operation.kind is Kind.SALE and operation.status is Status.SUCCESS
    return {
        "id": operation.account_id,
        "payment_id": operation.reference if paid else "",
        "auth_code": str(operation.details.get("AuthCode", ""))
        if paid and project.settings.auth_code
        else "",
    }


def _new_attempts(payment: Payment, operation: Operation) -> dict[str, Any]:
    """Whether the payer may try again, and for how many seconds (section 6.2): the only boolean ever sent (E-1)."""
    if payment.status is not PaymentStatus.AWAITING_CUSTOMER or operation.wake_at is None:
        return {"is_new_attempts_available": False}
    left_s = int((operation.wake_at - operation.changed_at).total_seconds())
    return {"is_new_attempts_available": True, "attempts_timeout": left_s}


def _error(flaw: Flaw) -> dict[str, Any]:
    members: dict[str, Any] = {"code": flaw.code, "message": codes.message(flaw.code)}
    if flaw.field:
        members["field"] = flaw.field
    if flaw.constraint:
        members["constraint"] = flaw.constraint
    return members


def urls(project: Project, payment: Payment, operation: Operation, request: Mapping[str, Any]) -> list[str]:
    """Every address that gets this callback, each once (section 4.5, E-18); none when the request switched them off.

    `request` is what opened the operation: a refund's own URL governs that refund, otherwise the sale's applies. A URL that
    made the payment an `error` cannot be told of it: then the project's addresses are.
    """
    sources = [source for source in (request, payment.request) if source]
    if any(_at(source, "callback", "force_disable") in (True, 1, "1") for source in sources):
        return []
    result = _result(payment, operation)
    for source in sources:
        url = result and _at(source, "general", f"merchant_{result}_callback_url")
        url = url or _at(source, "general", "merchant_callback_url")
        if is_web_url(url):
            return [str(url)]
    return _project_urls(project, payment, result)


def _result(payment: Payment, operation: Operation) -> str:
    """Empty while the payment is on its way, a declined attempt that the payer may repeat included."""
    if operation.status is Status.SUCCESS:
        return "success"
    if payment.status is PaymentStatus.AWAITING_CUSTOMER:
        return ""
    if operation.status is Status.DECLINE or payment.status is PaymentStatus.ERROR:
        return "decline"
    return ""


def _project_urls(project: Project, payment: Payment, result: str) -> list[str]:
    settings = project.settings
    matching = [
        rule.url
        for rule in settings.callback_rules
        if rule.enabled
        and rule.payment_type in ("", "purchase")
        and rule.result in ("", result)
        and rule.method in ("", payment.method)
    ]
    chosen = matching or ([settings.callback_url] if settings.callback_url else [])
    return list(dict.fromkeys(chosen))


def _at(source: Mapping[str, Any], outer: str, inner: str) -> Any:
    group = source.get(outer)
    return group.get(inner) if isinstance(group, Mapping) else None
