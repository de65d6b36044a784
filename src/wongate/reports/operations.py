"""Finished operations as the Data API shows them (section 5.6, E-24): almost every value is a text, a missing one is empty."""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, tzinfo
from typing import Any
from zoneinfo import ZoneInfo

from wongate.connections.database import Tx
from wongate.domain.data_requests import OperationsRequest
from wongate.domain.lifecycle import FINAL, Kind, Status
from wongate.domain.payment import FINISHED, payment_key

Row = Mapping[str, Any]
Value = Callable[[Row, tzinfo], Any]

_COLUMNS = (
    "o.project_id, o.operation_id, o.payment_no, o.kind, o.status, o.amount, o.currency, o.reference, o.details, "
    "o.created_at, o.changed_at, p.payment_id, p.status AS payment_status, p.method, p.description, p.customer_id, "
    "p.captured, p.refunded, p.reserved, p.created_at AS payment_created_at, p.changed_at AS payment_changed_at, "
    "p.request -> 'customer' AS customer"
)
_JOINS = (
    "JOIN operation o ON o.project_id = t.project_id AND o.operation_id = t.operation_id "
    "JOIN payment p ON p.project_id = o.project_id AND p.payment_no = o.payment_no"
)

# What the provider said last, project and account: looked up for the rows of the answer alone.
_ABOUT = (
    "SELECT f.*, r.name AS project_name, a.merchant_id, said.code AS provider_code, said.message AS provider_message "
    "FROM found f JOIN project r ON r.project_id = f.project_id JOIN account a ON a.account_id = r.account_id "
    "LEFT JOIN LATERAL (SELECT coalesce(e.response ->> 'ResultCode', e.response ->> 'AuthResultCode') AS code, "
    "coalesce(e.response ->> 'ResultMsg', e.response ->> 'AuthResultMsg') AS message FROM exchange e "
    "WHERE e.project_id = f.project_id AND e.operation_id = f.operation_id ORDER BY e.exchange_no DESC LIMIT 1) said ON true"
)


async def find(tx: Tx, wanted: OperationsRequest) -> list[Row]:
    """The latest completed first; one read per project, merged, so that each uses its own index."""
    conditions, values = _conditions(wanted)
    most, skipped = int(wanted.limit), int(wanted.offset)
    rows = await tx.fetch(
        "WITH found AS (SELECT one.* FROM unnest($1::bigint[]) AS own(project_id) CROSS JOIN LATERAL ("
        f"SELECT t.at AS completed_at, {_COLUMNS} FROM transition t {_JOINS} "
        f"WHERE t.project_id = own.project_id AND t.final{conditions} "
        f"ORDER BY t.at DESC, t.operation_id DESC LIMIT {most + skipped}) one "
        f"ORDER BY one.completed_at DESC, one.operation_id DESC LIMIT {most} OFFSET {skipped}) "
        f"{_ABOUT} ORDER BY f.completed_at DESC, f.operation_id DESC",
        list(wanted.project_ids),
        *values,
    )
    return [dict(row) for row in rows]


def _conditions(wanted: OperationsRequest) -> tuple[str, list[Any]]:
    texts, values = [], []
    for text, value in (
        ("t.at >= {}", wanted.since),
        ("t.at < {}", wanted.until),
        ("o.kind = ANY({})", list(wanted.kinds) or None),
        ("o.status = ANY({})", list(wanted.statuses) or None),
        ("p.customer_id = ANY({})", list(wanted.customer_ids) or None),
        ("p.request #>> '{{customer,email}}' = {}", wanted.customer_email or None),
    ):
        if value is not None:
            values.append(value)
            texts.append(" AND " + text.format(f"${len(values) + 1}"))
    return "".join(texts), values


async def of_payment(tx: Tx, project_ids: Sequence[int], payment_id: str) -> list[Row]:
    """All operations of the payments that carry this id in these projects, oldest first, finished or not."""
    rows = await tx.fetch(
        f"WITH found AS (SELECT t.at AS completed_at, {_COLUMNS} FROM payment p "
        "JOIN operation o ON o.project_id = p.project_id AND o.payment_no = p.payment_no "
        "LEFT JOIN transition t ON t.project_id = o.project_id AND t.operation_id = o.operation_id AND t.final "
        f"WHERE p.project_id = ANY($1) AND p.payment_key = $2) {_ABOUT} ORDER BY f.operation_id",
        list(project_ids),
        payment_key(payment_id),
    )
    return [dict(row) for row in rows]


async def balances(tx: Tx, project_ids: Sequence[int]) -> list[Row]:
    """Per project and currency: what was captured, less what went back or is on its way back."""
    rows = await tx.fetch(
        "SELECT r.name, p.currency, sum(p.captured - p.refunded - p.reserved)::bigint AS amount FROM project r "
        "JOIN payment p ON p.project_id = r.project_id WHERE r.project_id = ANY($1) AND p.captured > 0 "
        "GROUP BY r.project_id, r.name, p.currency ORDER BY r.project_id, p.currency",
        list(project_ids),
    )
    return [dict(row) for row in rows]


def _stamp(at: datetime | None, zone: tzinfo) -> str:
    """`YYYY-MM-DDThh:mm:ss+hh:mm`: with a colon in the offset, unlike in callbacks."""
    return at.astimezone(zone).isoformat(timespec="seconds") if at else ""


def _text(column: str) -> Value:
    return lambda row, zone: "" if row[column] is None else str(row[column])


def _moment(column: str) -> Value:
    return lambda row, zone: _stamp(row[column], zone)


def _detail(name: str) -> Value:
    return lambda row, zone: str(row["details"].get(name) or "")


def _of_customer(name: str) -> Value:
    return lambda row, zone: str((row["customer"] or {}).get(name) or "")


def _constant(text: str) -> Value:
    return lambda row, zone: text


def _completed(row: Row, zone: tzinfo) -> str:
    return _stamp(row["changed_at"], zone) if row["status"] in FINAL else ""


def _payment_completed(row: Row, zone: tzinfo) -> str:
    return _stamp(row["payment_changed_at"], zone) if row["payment_status"] in FINISHED else ""


def _provider_date(row: Row, zone: tzinfo) -> str:
    """NICEPAY's own time of the approval or cancel, which is Korean time."""
    details = row["details"]
    text = str(details.get("AuthDate") or "")
    if row["kind"] == Kind.REFUND:
        text = str(details.get("CancelDate") or "")[2:] + str(details.get("CancelTime") or "")
    try:
        at = datetime.strptime(text, "%y%m%d%H%M%S").replace(tzinfo=ZoneInfo("Asia/Seoul"))
    except ValueError:
        return ""
    return _stamp(at.astimezone(UTC), zone)


def _reference(row: Row, zone: tzinfo) -> str:
    paid = row["kind"] == Kind.SALE and row["status"] == Status.SUCCESS
    return str(row["reference"]) if paid else ""  # E-15


def _remaining(row: Row, zone: tzinfo) -> str:
    return str(row["captured"] - row["refunded"] - row["reserved"])


def _amount(row: Row, zone: tzinfo) -> int:
    return int(row["amount"])


_SUM = {"amount": _amount, "currency": _text("currency")}
_NONE = _constant("")

DEFAULT: dict[str, Value] = {
    "project_id": _text("project_id"),
    "operation_id": _text("operation_id"),
    "payment_id": _text("payment_id"),
    "operation_type": _text("kind"),
    "operation_status": _text("status"),
    "account_number": _detail("CardNo"),
    "customer_ip": _of_customer("ip_address"),
    "payment_method_name": _text("method"),
    "payment_method_type": _text("method"),
    "payment_description": _text("description"),
    "operation_created_at": _moment("created_at"),
    "operation_completed_at": _completed,
    "provider_date": _provider_date,
    "shipment_date": _NONE,
    **{f"sum_initial.{name}": value for name, value in _SUM.items()},
    **{f"sum_converted.{name}": value for name, value in _SUM.items()},
    "arn": _NONE,
    "rrn": _NONE,
    "payment_provider_code": _text("provider_code"),
    "payment_provider_message": _text("provider_message"),
}
"""Members of an operation when `fields` names none, in the order of the answer; a dot leads into an object."""

_OPTIONAL: dict[str, Value] = {
    "acquirer_bank_name": _detail("AcquCardName"),
    "auth_code": _detail("AuthCode"),
    **dict.fromkeys(("avs_result", "avs_data", "avs_post_code", "avs_street_address"), _NONE),
    "balance_id": _NONE,
    "bank_name": _detail("CardName"),
    **dict.fromkeys(("bin", "card_enroll_check", "card_holder", "card_product_name", "card_token"), _NONE),
    "completed_refund": _text("refunded"),
    **dict.fromkeys(("country_by_ip", "country_by_bin"), _NONE),
    "currency_rate": _constant("1"),
    "customer_email": _of_customer("email"),
    "customer_id": _text("customer_id"),
    **dict.fromkeys(("eci", "expiration_date", "legal_entity_name"), _NONE),
    "merchant_id": _text("merchant_id"),
    "payment_currency": _text("currency"),
    "payment_type": _constant("3"),  # a one-step sale
    "project_name": _text("project_name"),
    "project_url": _NONE,
    "provider_payment_id": _reference,
    **dict.fromkeys(("recurring_id", "recurring_register", "recurring_valid_thru"), _NONE),
    "remaining_refund": _remaining,
    "secure_3ds_check": _NONE,
    "transaction_completed_at": _payment_completed,
    "transaction_created_at": _moment("payment_created_at"),
    "transaction_status": _text("payment_status"),
}
_FIELDS = {**DEFAULT, **_OPTIONAL}
_GROUPS = ("sum_initial", "sum_converted")

FIELD_NAMES = (*_FIELDS, *_GROUPS)
"""What `fields` may name; a group stands for its members."""


def shown(row: Row, zone: tzinfo, fields: Sequence[str] = ()) -> dict[str, Any]:
    """An operation as the answer has it: the wanted members, always in the same order."""
    members: dict[str, Any] = {}
    for name, value in (_FIELDS if fields else DEFAULT).items():
        group, dot, inner = name.partition(".")
        if fields and name not in fields and group not in fields:
            continue
        if dot:
            members.setdefault(group, {})[inner] = value(row, zone)
        else:
            members[name] = value(row, zone)
    return members


def shown_briefly(row: Row, zone: tzinfo) -> dict[str, Any]:
    """As `/v1/operations/get-by-payment` has it."""
    return {
        "operation_id": str(row["operation_id"]),
        "operation_type": row["kind"],
        "operation_created_at": _stamp(row["created_at"], zone),
        "operation_completed_at": _completed(row, zone),
        "amount": row["amount"],
        "currency": row["currency"],
        "arn": "",
        "rrn": "",
    }


def payment_of(row: Row, zone: tzinfo) -> dict[str, Any]:
    """The payment that an operation's row belongs to, for `/v1/payment/get`."""
    return {
        "project_id": str(row["project_id"]),
        "payment_id": row["payment_id"],
        "payment_type": "3",
        "transaction_status": row["payment_status"],
        "transaction_created_at": _stamp(row["payment_created_at"], zone),
        "transaction_completed_at": _payment_completed(row, zone),
        "payment_method_name": row["method"],
        "payment_method_type": row["method"],
        "payment_description": row["description"],
        "customer_id": row["customer_id"],
        "captured": str(row["captured"]),
        "completed_refund": str(row["refunded"]),
        "remaining_refund": _remaining(row, zone),
        "currency": row["currency"],
    }
