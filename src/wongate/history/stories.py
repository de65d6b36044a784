"""One made-up payment: the real state machine, played at moments that have gone by. What it writes is therefore what a sale of
those days would have left: transitions, ledger entries, signed callbacks with their attempts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

from wongate.connections.ids import EPOCH_MS, Ids
from wongate.domain import codes
from wongate.domain.callback import delay_after
from wongate.domain.lifecycle import Event, Kind, Stage, Status
from wongate.domain.outcome import Exchange
from wongate.domain.payment import Operation, Payment, PaymentStatus, Project
from wongate.domain.requests import SaleRequest
from wongate.flows.platform import Platform
from wongate.flows.sale import REQUEST_CHANCE, new_operation, request_id, window
from wongate.flows.settle import UNRESOLVED, Case
from wongate.history import chances
from wongate.history.chances import SEOUL, Outage

_MINUTE = timedelta(minutes=1)
_ASKED_ABOUT_AFTER = timedelta(days=30)
"""No provider knows this past: what is unresolved stays so for people to look at, and yet is not forgotten (I7)."""


class PastIds(Ids):
    """Numbers as they would have been made at `at`. Each of 32 days in a row has a node number of its own, from the upper half
    that no living process is given, so that a refund days later meets no number of that day."""

    def __init__(self, day_number: int) -> None:
        super().__init__(32 + day_number % 32)
        self._node_bits = (32 + day_number % 32) << 6
        self._used: dict[int, int] = {}
        self.at = datetime.fromtimestamp(EPOCH_MS / 1000, UTC)

    def next(self) -> int:
        ms = round(self.at.timestamp() * 1000)
        while (count := self._used.get(ms, 0)) == 64:
            ms += 1
        self._used[ms] = count + 1
        return (ms - EPOCH_MS) << 12 | self._node_bits | count


@dataclass(slots=True)
class Told:
    """A payment with everything that it left behind."""

    case: Case
    callbacks: list[dict[str, Any]] = field(default_factory=list)
    attempts: list[dict[str, Any]] = field(default_factory=list)


class Teller:
    """Tells the payments of one day. `detailed`: with intermediate callbacks and exchanges, which an older past goes without."""

    def __init__(
        self,
        platform: Platform,
        project: Project,
        chance: Random,
        ids: PastIds,
        outages: Sequence[Outage],
        *,
        until: datetime,
        detailed: bool,
    ) -> None:
        self._platform = replace(platform, ids=ids, chance=chance.randbytes)
        self._project = project
        self._chance = chance
        self._ids = ids
        self._outages = outages
        self._until = until
        self._detailed = detailed
        self._references = 0

    def tell(self, at: datetime) -> Told:
        case, sale = self._opened(at)
        self._decide(case, sale)
        if case.payment.captured and self._chance.random() < chances.REFUND_SHARE:
            self._refunds(case)
        told = Told(case)
        self._deliver(told)
        return told

    def _opened(self, at: datetime) -> tuple[Case, Operation]:
        chance = self._chance
        self._ids.at = at
        payment_no = self._ids.next()
        request = _request(payment_no, chance)
        operation = new_operation(self._platform, self._project, request, payment_no, "", codes.AWAITING, at)
        source = "page" if chance.random() < chances.PAGE_SHARE else "gate"
        payment = _payment(self._project, request, operation, source, at)
        case = Case(self._platform, self._project, payment, (), at)
        form = window(self._platform, self._project, payment, operation, at) if self._detailed else None
        return case, case.open(operation, Event.OPENED, form=form)

    def _decide(self, case: Case, sale: Operation) -> None:
        chance = self._chance
        if chance.random() < chances.UNRESOLVED_SHARE:
            self._leave_unresolved(case, sale)
            return
        code = 0 if chance.random() < chances.SUCCESS_SHARE else chances.decline_code(chance)
        if code == codes.TIMED_OUT:
            assert sale.limit_at is not None  # noqa: S101 - a new sale has one
            self._go_to(case, sale.limit_at)
            case.move(sale, Event.EXPIRED, code=code)
            return
        self._pass(case, chance.uniform(12, 150))
        if code in chances.BEFORE_APPROVAL:
            case.move(sale, Event.DECLINED, code=code)
            return
        sale = self._confirmed(case, sale)
        asked_at = case.now
        self._pass(case, chance.uniform(0.25, 1.9))
        if code:
            sale = case.move(sale, Event.DECLINED, code=code)
        else:
            sale = case.move(sale, Event.APPROVED, code=codes.SUCCESS, details=self._details(case.now))
        self._note(case, sale, "approve", asked_at, "3001" if not code else "3011")

    def _confirmed(self, case: Case, sale: Operation) -> Operation:
        reference = self._reference(case.now)
        return case.move(sale, Event.CONFIRMED, reference=reference, code=codes.AWAITING_PROVIDER)

    def _leave_unresolved(self, case: Case, sale: Operation) -> None:
        """It is not known whether the provider took the money, and a worker is long in asking."""
        self._pass(case, 60)
        sale = self._confirmed(case, sale)
        self._pass(case, 35)
        sale = case.move(sale, Event.UNANSWERED, wake_at=None)
        assert sale.limit_at is not None  # noqa: S101 - a new sale has one
        self._go_to(case, sale.limit_at)
        case.move(sale, Event.EXPIRED, code=codes.TIMED_OUT, wake_at=self._until + _ASKED_ABOUT_AFTER)
        case.flag(UNRESOLVED)

    def _refunds(self, case: Case) -> None:
        """One for everything, or one or two for parts."""
        chance = self._chance
        captured = case.payment.captured
        if chance.random() < chances.REFUND_FULL_SHARE:
            amounts = [captured]
        else:
            part = max(100, captured * chance.randrange(2, 6) // 10 // 100 * 100)
            amounts = [part] * chance.choice((1, 1, 2))
        for amount in amounts:
            at = case.now + chance.random() ** 2 * chances.REFUND_WITHIN
            if at > self._until - _MINUTE or amount > case.payment.refundable:
                return
            self._refund(case, amount, at)

    def _refund(self, case: Case, amount: int, at: datetime) -> None:
        self._go_to(case, at)
        refund = case.open(self._new_refund(case, amount), Event.OPENED)
        self._pass(case, 0.2)
        refund = case.move(refund, Event.SENT)
        asked_at = case.now
        self._pass(case, self._chance.uniform(0.3, 1.5))
        if self._chance.random() < chances.REFUND_DECLINED_SHARE:
            refund = case.move(refund, Event.DECLINED, code=20504)
            self._note(case, refund, "cancel", asked_at, "2032")
            return
        local = case.now.astimezone(SEOUL)
        details = {"CancelDate": f"{local:%Y%m%d}", "CancelTime": f"{local:%H%M%S}"}
        refund = case.move(
            refund, Event.APPROVED, code=codes.SUCCESS, reference=case.sale.reference, details=details
        )
        self._note(case, refund, "cancel", asked_at, "2001")

    def _new_refund(self, case: Case, amount: int) -> Operation:
        operation_id = self._ids.next()
        return Operation(
            project_id=self._project.project_id,
            operation_id=operation_id,
            payment_no=case.payment.payment_no,
            kind=Kind.REFUND,
            status=Status.PROCESSING,
            stage=Stage.NEW,
            amount=amount,
            currency=case.payment.currency,
            code=codes.AWAITING,
            request_id=request_id(operation_id, self._platform.chance(REQUEST_CHANCE)),
            request_hash="",
            description="고객 요청",
            merchant_refund_id=None,
            account_id=case.sale.account_id,
            order_number=case.sale.order_number,
            return_key="",
            authentication={},
            reference="",
            details={},
            request={},
            created_at=case.now,
            changed_at=case.now,
            limit_at=None,
            wake_at=None,
        )

    def _pass(self, case: Case, seconds: float) -> None:
        self._go_to(case, case.now + timedelta(seconds=seconds))

    def _go_to(self, case: Case, at: datetime) -> None:
        case.now = at
        self._ids.at = at

    def _reference(self, at: datetime) -> str:
        """As NICEPAY spells a TID: merchant, method, second, and four digits that count."""
        self._references = (self._references + 1) % 10_000
        return (
            f"{self._project.account.merchant_id}0101{at.astimezone(SEOUL):%y%m%d%H%M%S}{self._references:04}"
        )

    def _details(self, at: datetime) -> dict[str, str]:
        code, name = self._chance.choices(chances.CARDS, chances.CARD_WEIGHTS)[0]
        return {
            "AuthCode": f"{self._chance.randrange(10**8):08}",
            "AuthDate": f"{at.astimezone(SEOUL):%y%m%d%H%M%S}",
            "CardCode": code,
            "CardName": name,
            "CardNo": f"{self._chance.randrange(400_000, 560_000)}******{self._chance.randrange(10**4):04}",
            "CardQuota": "00",
        }

    def _note(self, case: Case, operation: Operation, kind: str, at: datetime, code: str) -> None:
        if self._detailed:
            duration_ms = round((case.now - at).total_seconds() * 1000)
            request = {"TID": operation.reference, "Amt": str(operation.amount)}
            case.note(
                operation,
                Exchange(kind, at, duration_ms, request, {"ResultCode": code}, str(operation.status)),
            )

    # --- how the shop was told ---

    def _deliver(self, told: Told) -> None:
        """Sends each callback by the real schedule; an intermediate one is dropped once the final one has arrived (E-20)."""
        arrived: dict[int, datetime] = {}
        for enqueued in reversed(told.case.written.callbacks):
            is_lost = not enqueued["intermediate"] and self._chance.random() < chances.CALLBACK_LOST_SHARE
            attempts = self._attempts(
                enqueued, is_lost=is_lost, stop_at=arrived.get(enqueued["operation_id"])
            )
            delivered = bool(attempts) and attempts[-1]["http_status"] == 200
            finished_at = attempts[-1]["at"] if attempts else enqueued["created_at"]
            told.callbacks.append(
                {
                    **enqueued,
                    "state": "delivered"
                    if delivered
                    else "dropped"
                    if enqueued["intermediate"]
                    else "failed",
                    "attempt": len(attempts),
                    "failures": len(attempts) - delivered,
                    "finished_at": finished_at,
                    "due_at": finished_at,
                }
            )
            told.attempts += attempts
            if delivered:
                arrived[enqueued["operation_id"]] = finished_at

    def _attempts(
        self, row: Mapping[str, Any], *, is_lost: bool, stop_at: datetime | None
    ) -> list[dict[str, Any]]:
        attempts: list[dict[str, Any]] = []
        at = row["created_at"]
        while stop_at is None or at < stop_at:
            outage = next((outage for outage in self._outages if outage.covers(at)), None)
            status = 404 if is_lost else outage.http_status if outage else 200
            attempts.append(self._attempt(row, len(attempts) + 1, at, status))
            delay_s = delay_after(len(attempts))
            if status == 200 or delay_s is None or at + timedelta(seconds=delay_s) > self._until:
                break
            at += timedelta(seconds=delay_s)
        return attempts

    def _attempt(
        self, row: Mapping[str, Any], number: int, at: datetime, status: int | None
    ) -> dict[str, Any]:
        return {
            "project_id": row["project_id"],
            "operation_id": row["operation_id"],
            "callback_id": row["callback_id"],
            "attempt": number,
            "at": at,
            "duration_ms": 15_000 if status is None else self._chance.randrange(18, 400),
            "http_status": status,
            "error": "no answer in time" if status is None else "",
            "response": "",
        }


def _request(payment_no: int, chance: Random) -> SaleRequest:
    """Marked as made up, for whoever compares these books with a provider's."""
    amount, customer_id = chances.price(chance), chances.customer(chance)
    description = chance.choice(chances.GOODS)
    kept = {
        "payment": {"amount": amount, "currency": "KRW", "description": description},
        "customer": {"id": customer_id, "ip_address": f"203.0.113.{chance.randrange(1, 255)}"},
        "made_up": True,
    }
    return SaleRequest(f"H{payment_no}", amount, "KRW", customer_id, description, None, 0, kept)


def _payment(
    project: Project, request: SaleRequest, operation: Operation, source: str, at: datetime
) -> Payment:
    return Payment(
        project_id=project.project_id,
        payment_no=operation.payment_no,
        payment_id=request.payment_id,
        status=PaymentStatus.PROCESSING,
        method="payco",
        source=source,
        amount=request.amount,
        currency=request.currency,
        captured=0,
        refunded=0,
        reserved=0,
        description=request.description,
        customer_id=request.customer_id,
        sale_id=operation.operation_id,
        flag="",
        created_at=at,
        changed_at=at,
        request=request.kept,
    )
