"""Where a payer's browser goes after the window (E-9, E-26): nothing is ever appended to a merchant's address."""

from collections.abc import Mapping
from typing import Any

from wongate.domain.payment import FINISHED, Payment, PaymentStatus, Project


def landing_url(project: Project, payment: Payment) -> str | None:
    """The merchant's address for the payment's state, None for our own page.

    Order: the named member of `return_url`, its `return`, the project's Redirect URLs. An unfinished payment stays with us,
    because the merchant's success and decline pages would both be wrong.
    """
    if payment.status not in FINISHED:
        return None
    paid = payment.status not in (PaymentStatus.DECLINE, PaymentStatus.ERROR)
    asked: Mapping[str, Any] = payment.request.get("return_url") or {}
    settings = project.settings
    candidates = (
        asked.get("success" if paid else "decline"),
        asked.get("return"),
        settings.success_url if paid else settings.decline_url,
        settings.return_url,
    )
    return next((str(url) for url in candidates if url), None)
