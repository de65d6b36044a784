"""The nouns: a project's payment, its operations, and what follows from them.

Payments and operations are named tuples: a change makes a new one, and does so in a sixth of a frozen dataclass's time.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime
from enum import StrEnum
from typing import Any, NamedTuple, Self

from wongate.domain.account import Account
from wongate.domain.lifecycle import Event, Kind, Stage, Status


class PaymentStatus(StrEnum):
    """Statuses of a Payco payment, on the wire (section 3.2)."""

    ERROR = "error"
    PROCESSING = "processing"
    AWAITING = "awaiting redirect result"
    AWAITING_CUSTOMER = "awaiting customer"
    DECLINE = "decline"
    SUCCESS = "success"
    PARTIALLY_REFUNDED = "partially refunded"
    REFUNDED = "refunded"


REFUNDABLE = frozenset({PaymentStatus.SUCCESS, PaymentStatus.PARTIALLY_REFUNDED})
FINISHED = REFUNDABLE | {PaymentStatus.REFUNDED, PaymentStatus.DECLINE, PaymentStatus.ERROR}


@dataclass(frozen=True, slots=True)
class CallbackRule:
    """One line of Dashboard's callback rules: empty conditions match everything (section 4.5)."""

    url: str
    payment_type: str = ""
    result: str = ""
    method: str = ""
    enabled: bool = True

    @classmethod
    def from_json(cls, stored: Any) -> Self:
        """Raises ValueError."""
        kinds = {f.name: f.type for f in fields(cls)}
        sound = isinstance(stored, Mapping) and stored.keys() <= kinds.keys() and "url" in stored
        if not sound or any(type(value) is not kinds[name] for name, value in stored.items()):
            raise ValueError("project setting 'callback_rules' must be a list of rules, each with a url")
        return cls(**stored)


@dataclass(frozen=True, slots=True)
class ProjectSettings:
    """What a project may set for itself; the defaults are decisions E-5 to E-45."""

    callback_url: str = ""
    callback_rules: tuple[CallbackRule, ...] = ()
    redirect_callback_on_page: bool = False  # E-17
    success_url: str = ""
    decline_url: str = ""
    return_url: str = ""
    limit_time_s: int = 1800  # E-37
    limit_code: int = 20602  # E-37
    base_time_s: int = 120  # E-37
    amount_min: int = 100  # E-38
    amount_max: int = 10_000_000  # E-38
    currencies: tuple[str, ...] = ("KRW",)
    methods: tuple[str, ...] = ("payco",)
    customer_id_required: bool = True  # E-5 step 10
    allowed_ips: tuple[str, ...] = ()
    blocked: bool = False
    refund_resend_window_s: int = 600  # E-6
    original_description: bool = False  # E-14
    auth_code: bool = False  # E-15
    dashboard_refunds: bool = True  # E-31
    try_again: bool = False  # E-43
    try_again_attempts: int = 5
    try_again_window_s: int = 600
    frame_origins: tuple[
        str, ...
    ] = ()  # who may show the Payment Page in a frame: origins, a port may be `*`
    window_in_frame: bool = False  # E-28
    language_menu: bool = True  # E-43
    page_name: str = ""
    page_logo_url: str = ""
    page_color: str = ""

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Self:
        """Raises ValueError that names the first unknown setting or wrong type."""
        known = {f.name: f for f in fields(cls)}
        values: dict[str, Any] = {}
        for name, value in stored.items():
            if name not in known:
                raise ValueError(f"unknown project setting {name!r}; known are {', '.join(sorted(known))}")
            default = known[name].default
            if name == "callback_rules":
                value = tuple(CallbackRule.from_json(rule) for rule in _listed(name, value))
            elif isinstance(default, tuple):
                value = tuple(_listed(name, value))
                if not all(isinstance(item, str) for item in value):
                    raise ValueError(f"project setting {name!r} must be a list of texts")
            elif type(value) is not type(default):
                raise ValueError(f"project setting {name!r} must be of type {type(default).__name__}")
            values[name] = value
        return cls(**values)


def _listed(name: str, value: object) -> list[Any] | tuple[Any, ...]:
    if isinstance(value, list | tuple):
        return value
    raise ValueError(f"project setting {name!r} must be a list")


@dataclass(frozen=True, slots=True)
class Project:
    """`secrets`: the current one first, then the previous one while a rotation's overlap lasts."""

    project_id: int
    name: str
    secrets: tuple[str, ...] = field(repr=False)
    account: Account
    settings: ProjectSettings

    @property
    def secret(self) -> str:
        return self.secrets[0]


class Payment(NamedTuple):
    """`payment_no` is ours, `payment_id` the merchant's. Money in whole won; `captured` is 0 until the sale succeeds."""

    project_id: int
    payment_no: int
    payment_id: str
    status: PaymentStatus
    method: str
    source: str
    amount: int
    currency: str
    captured: int
    refunded: int
    reserved: int
    description: str
    customer_id: str
    sale_id: int
    flag: str
    created_at: datetime
    changed_at: datetime
    request: Mapping[str, Any]

    @property
    def balance(self) -> int:
        """`payment.sum.amount` on the wire: what was asked for, less what has gone back (section 3.4)."""
        return self.amount - self.refunded

    @property
    def refundable(self) -> int:
        """What a new refund may take (E-41)."""
        return self.captured - self.refunded - self.reserved


BY_HAND = "dashboard:"
"""How the request hash of a refund begins that somebody gave in the Dashboard, where others are hexadecimal."""


class Operation(NamedTuple):
    """A sale or a refund. `reference` is the provider's id (TID), `order_number` our name there (Moid)."""

    project_id: int
    operation_id: int
    payment_no: int
    kind: Kind
    status: Status
    stage: Stage
    amount: int
    currency: str
    code: int
    request_id: str
    request_hash: str
    description: str
    merchant_refund_id: str | None
    account_id: int
    order_number: str
    return_key: str
    authentication: Mapping[str, str]
    reference: str
    details: Mapping[str, Any]
    request: Mapping[str, Any]
    created_at: datetime
    changed_at: datetime
    limit_at: datetime | None
    wake_at: datetime | None
    attempt: int = 0
    seq: int = 0


def status_after_refund(captured: int, refunded: int) -> PaymentStatus:
    """The payment's status once `refunded` of `captured` won have gone back (section 3.4)."""
    if refunded == 0:
        return PaymentStatus.SUCCESS
    return PaymentStatus.REFUNDED if refunded == captured else PaymentStatus.PARTIALLY_REFUNDED


def status_of_new(event: Event, status: Status) -> PaymentStatus:
    """The payment's status when its sale, just opened, has gone through its first event to `status`."""
    return PaymentStatus.ERROR if event is Event.INVALID else PaymentStatus(status)


def payment_after(payment: Payment, operation: Operation, event: Event, at: datetime) -> Payment:
    """The payment once its operation has gone through the event; `operation` is the one after it.

    A refund holds its amount in `reserved` from its opening to its end (E-41).
    """
    change = _after_sale if operation.kind is Kind.SALE else _after_refund
    changes = change(payment, operation, event)
    if changes.get("status", payment.status) is not payment.status:
        changes["changed_at"] = at
    return payment._replace(**changes) if changes else payment


def _after_refund(payment: Payment, operation: Operation, event: Event) -> dict[str, Any]:
    if event is Event.OPENED:
        return {"reserved": payment.reserved + operation.amount}
    if event is Event.DECLINED:
        return {"reserved": payment.reserved - operation.amount}
    if event is Event.APPROVED:
        refunded = payment.refunded + operation.amount
        status = status_after_refund(payment.captured, refunded)
        return {"refunded": refunded, "reserved": payment.reserved - operation.amount, "status": status}
    return {}


def _after_sale(payment: Payment, operation: Operation, event: Event) -> dict[str, Any]:
    if event is Event.DECLINED_FOR_NOW:
        return {"status": PaymentStatus.AWAITING_CUSTOMER}
    if event is Event.OPENED:
        return {"status": status_of_new(event, operation.status), "sale_id": operation.operation_id}
    if operation.status is Status.SUCCESS:
        return {"status": PaymentStatus.SUCCESS, "captured": operation.amount}
    return {"status": status_of_new(event, operation.status)}


def payment_key(payment_id: str) -> str:
    """How payment ids are compared: without regard to case (section 2.1)."""
    return payment_id.casefold()
