"""Where a payer's browser goes after the window (E-9, E-26): nothing is ever appended to a merchant's address."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from wongate.domain.payment import FINISHED, Payment, PaymentStatus, Project

IFRAME = "iframe"
PARENT_PAGE = "parent_page"
BLANK_PAGE = "blank_page"
MODES = (IFRAME, PARENT_PAGE, BLANK_PAGE)


@dataclass(frozen=True, slots=True)
class Exit:
    """A merchant's address and where it opens: in place of our page, around it (`parent_page`), in a new tab (`blank_page`)."""

    url: str
    mode: str


def landing_url(project: Project, payment: Payment) -> str | None:
    """The merchant's address for the state of a payment begun through Gate, None for our own page.

    Order: the named member of `return_url`, its `return`, the project's Redirect URLs. An unfinished payment stays with us,
    because the merchant's success and decline pages would both be wrong.
    """
    if payment.status not in FINISHED:
        return None
    paid = is_paid(payment.status)
    asked: Mapping[str, Any] = payment.request.get("return_url") or {}
    settings = project.settings
    candidates = (
        asked.get("success" if paid else "decline"),
        asked.get("return"),
        settings.success_url if paid else settings.decline_url,
        settings.return_url,
    )
    return next((str(url) for url in candidates if url), None)


def is_paid(status: PaymentStatus) -> bool:
    """Of a finished payment: whether the sale succeeded, whatever was refunded since."""
    return status not in (PaymentStatus.DECLINE, PaymentStatus.ERROR)


def automatic_exit(payment: Payment, status: PaymentStatus, *, framed: bool) -> Exit | None:
    """`redirect_success_url` or `redirect_fail_url`, which take the place of our result page unless they open a new tab (6.1).

    `framed` says whether our page stands inside the merchant's.
    """
    asked = page_parameters(payment)
    name = "redirect_success" if is_paid(status) else "redirect_fail"
    url = asked.get(f"{name}_url")
    if not url or not _is_enabled(asked.get(f"{name}_enabled"), framed):
        return None
    mode = asked.get(f"{name}_mode")
    return Exit(url, mode if mode in MODES else IFRAME)


def result_button(project: Project, payment: Payment, *, framed: bool) -> Exit | None:
    """The button of the result page: `merchant_success_url` or `merchant_fail_url`, else the way back to the shop."""
    asked, settings = page_parameters(payment), project.settings
    if is_paid(payment.status):
        own = _merchant_exit(asked, "merchant_success", settings.success_url, framed)
    else:
        own = _merchant_exit(asked, "merchant_fail", settings.decline_url, framed)
    return own or way_back(project, asked, framed=framed)


def way_back(project: Project, asked: Mapping[str, str], *, framed: bool) -> Exit | None:
    """`merchant_return_url`, the link on the page at any step."""
    return _merchant_exit(asked, "merchant_return", project.settings.return_url, framed)


def page_parameters(payment: Payment) -> Mapping[str, str]:
    """The Payment Page parameters that opened the payment; none for one begun through Gate."""
    parameters: Mapping[str, str] = payment.request.get("page") or {}
    return parameters


def _merchant_exit(asked: Mapping[str, str], name: str, default_url: str, framed: bool) -> Exit | None:
    """A framed page sends its parent on, unless the merchant says otherwise (E-26)."""
    url = asked.get(f"{name}_url") or default_url
    if not url or not _is_enabled(asked.get(f"{name}_enabled"), framed):
        return None
    mode = asked.get(f"{name}_redirect_mode")
    return Exit(url, mode if mode in MODES else PARENT_PAGE)


def _is_enabled(switch: str | None, framed: bool) -> bool:
    """0 never, 1 only where the page has a tab of its own, 2 (or nothing said) always."""
    return switch != "0" and not (switch == "1" and framed)
