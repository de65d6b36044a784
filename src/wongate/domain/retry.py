"""Trying again (E-43): whether the payer of a declined sale may have another go on the Payment Page, and until when."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from wongate.domain.landing import BLANK_PAGE, automatic_exit
from wongate.domain.lifecycle import Kind, Status
from wongate.domain.members import read_moment
from wongate.domain.payment import Operation, Payment, PaymentStatus, Project


def retry_until(
    project: Project, payment: Payment, operations: Sequence[Operation], now: datetime
) -> datetime | None:
    """The end of the time for further attempts if a sale failed now, None when this was the last one.

    The time runs from the first failure and covers all attempts; `best_before` shortens it. A project whose payers are sent on
    automatically after a failure never shows the page that would offer it.
    """
    settings = project.settings
    sales = [operation for operation in operations if operation.kind is Kind.SALE]
    if not settings.try_again or payment.source != "page" or len(sales) >= settings.try_again_attempts:
        return None
    leaving = automatic_exit(payment, PaymentStatus.DECLINE, framed=False)
    if leaving is not None and leaving.mode != BLANK_PAGE:
        return None
    failures = [sale.changed_at for sale in sales if sale.status is Status.DECLINE]
    until = min(failures, default=now) + timedelta(seconds=settings.try_again_window_s)
    best_before = read_moment(payment.request.get("payment", {}).get("best_before"))
    if best_before is not None:
        until = min(until, best_before)
    return until if until > now else None
