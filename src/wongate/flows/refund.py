"""A refund: reserved under the payment's lock, sent to the provider by the worker, settled like everything else."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta

import asyncpg

from wongate.domain import codes
from wongate.domain.lifecycle import Event, Kind, Stage, Status
from wongate.domain.payment import REFUNDABLE, Operation, Payment, Project, payment_key
from wongate.domain.refusal import Refused
from wongate.domain.requests import RefundRequest
from wongate.flows.platform import Platform
from wongate.flows.sale import REQUEST_CHANCE, request_id
from wongate.flows.settle import Case, Door
from wongate.store import payments


@dataclass(frozen=True, slots=True)
class RefundAccepted:
    """`status` is `processing`, or `decline` for a refund that the rules refused (E-40)."""

    request_id: str
    operation_id: int
    status: Status
    code: int


async def begin_refund(
    platform: Platform,
    door: Door,
    project: Project,
    request: RefundRequest,
    *,
    request_hash: str,
) -> RefundAccepted:
    """Reserves the money, or declines the refund with its code and callback. Raises Refused 3061 for an unknown payment."""
    async with platform.database.read() as tx:
        payment = await payments.by_key(tx, project.project_id, payment_key(request.payment_id))
    if payment is None:
        raise Refused(codes.NOT_FOUND, field="general.payment_id", constraint="exists")
    operation_id = platform.ids.next()
    opening = _Opening(platform, project, request, operation_id, request_hash)
    try:
        return await door.settle(project, payment.payment_no, opening.decide)
    except asyncpg.UniqueViolationError:
        # Another payment's refund has this merchant_refund_id: the schema is the guard, the second try knows (3230).
        return await door.settle(project, payment.payment_no, opening.decide_repeated_id)


@dataclass(frozen=True, slots=True)
class _Opening:
    platform: Platform
    project: Project
    request: RefundRequest
    operation_id: int
    request_hash: str

    def decide_repeated_id(self, case: Case) -> RefundAccepted:
        done = self._done_before(case)
        return _accepted(done) if done else self._open(case, codes.REFUND_ID_EXISTS)

    def decide(self, case: Case) -> RefundAccepted:
        done = self._done_before(case) or self._first_of_resends(case)
        return _accepted(done) if done else self._open(case, self._refusal(case))

    def _done_before(self, case: Case) -> Operation | None:
        """What this very change opened, when it runs again after a connection lost during COMMIT."""
        return case.operations.get(self.operation_id)

    def _first_of_resends(self, case: Case) -> Operation | None:
        """What a byte-identical request opened: unfinished, younger than the window, or named by the merchant (E-6)."""
        since = case.now - timedelta(seconds=self.project.settings.refund_resend_window_s)
        for operation in reversed(case.operations.values()):
            same = operation.kind is Kind.REFUND and operation.request_hash == self.request_hash
            unfinished = operation.status is Status.PROCESSING
            if same and (unfinished or operation.created_at > since or self.request.merchant_refund_id):
                return operation
        return None

    def _refusal(self, case: Case) -> int | None:
        """The business checks in the order of section 10; the first that fails declines the refund (E-40)."""
        payment = case.payment
        if self.request.currency not in (None, payment.currency):
            return codes.REFUND_CURRENCY
        if self._id_taken(case.operations.values()):
            return codes.REFUND_ID_EXISTS
        if payment.status not in REFUNDABLE:
            return codes.WRONG_STATUS
        amount = self._amount(payment)
        if amount == 0:
            return codes.LOCKED if payment.reserved else codes.WRONG_STATUS  # E-41
        if amount > payment.refundable:
            return codes.REFUND_ABOVE_REMAINDER
        if amount < payment.captured and case.sale.details.get("CcPartCl") == "0":
            return codes.FULL_AMOUNT_ONLY  # N-15
        return None

    def _id_taken(self, operations: Iterable[Operation]) -> bool:
        wanted = self.request.merchant_refund_id
        return wanted is not None and any(operation.merchant_refund_id == wanted for operation in operations)

    def _amount(self, payment: Payment) -> int:
        return payment.refundable if self.request.amount is None else self.request.amount

    def _open(self, case: Case, refusal: int | None) -> RefundAccepted:
        repeated = refusal == codes.REFUND_ID_EXISTS
        operation = self._operation(case, refusal, None if repeated else self.request.merchant_refund_id)
        return _accepted(case.open(operation, Event.REFUSED if refusal else Event.OPENED))

    def _operation(self, case: Case, refusal: int | None, merchant_refund_id: str | None) -> Operation:
        """A refused refund without an amount is shown with what it would have taken at most, the captured amount."""
        amount = self._amount(case.payment) or case.payment.captured
        return Operation(
            project_id=self.project.project_id,
            operation_id=self.operation_id,
            payment_no=case.payment.payment_no,
            kind=Kind.REFUND,
            status=Status.PROCESSING,
            stage=Stage.NEW,
            amount=amount,
            currency=self.request.currency or case.payment.currency,
            code=refusal or codes.AWAITING,
            request_id=request_id(self.operation_id, self.platform.chance(REQUEST_CHANCE)),
            request_hash=self.request_hash,
            description=self.request.description,
            merchant_refund_id=merchant_refund_id,
            account_id=case.sale.account_id,
            order_number=case.sale.order_number,
            return_key="",
            authentication={},
            reference="",
            details={},
            request=self.request.kept,
            created_at=case.now,
            changed_at=case.now,
            limit_at=None,
            wake_at=None if refusal else case.now,
        )


def _accepted(operation: Operation) -> RefundAccepted:
    return RefundAccepted(operation.request_id, operation.operation_id, operation.status, operation.code)
