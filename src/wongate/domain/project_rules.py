"""What a project's settings may be: checked when somebody saves them, so that nothing has to be doubted later."""

import ipaddress
import re
from collections.abc import Callable
from datetime import timedelta
from urllib.parse import urlsplit

from wongate.domain.methods import METHODS
from wongate.domain.payment import CallbackRule, ProjectSettings
from wongate.domain.refusal import Unfit

CheckUrl = Callable[[str], str | None]
"""Why the server may not call that URL, None when it may."""

RULES_MAX = 100
LIST_MAX = 50
URL_MAX = 2048
AMOUNT_CEILING = 100_000_000_000
LIMIT_TIME = (60, 24 * 3600)
"""Seconds: the payer needs a minute, and NICEPAY's window does not live longer than a day."""

OVERLAP_MAX = timedelta(days=30)
_COLOR = re.compile(r"#[0-9a-fA-F]{6}")
_ORIGIN = re.compile(r"https?://[A-Za-z0-9.-]+(?::(?:[0-9]{1,5}|\*))?")
_LOGO = re.compile(r"data:image/(?:png|jpeg|webp);base64,[A-Za-z0-9+/=]{1,40000}")
_PAYMENT_TYPES = ("", "purchase")
_RESULTS = ("", "success", "decline")


def check(settings: ProjectSettings, check_url: CheckUrl) -> None:
    """Raises Unfit for the first member that cannot be used."""
    _check_amounts(settings)
    _check_times(settings)
    _check_callbacks(settings, check_url)
    for field in ("success_url", "decline_url", "return_url"):
        _check_page_url(getattr(settings, field), field)
    _check_lists(settings)
    _check_page(settings)


def _check_amounts(settings: ProjectSettings) -> None:
    if not 1 <= settings.amount_min <= AMOUNT_CEILING:
        raise Unfit("The smallest amount is at least 1 won.", "amount_min")
    if not settings.amount_min <= settings.amount_max <= AMOUNT_CEILING:
        raise Unfit("The largest amount is not below the smallest.", "amount_max")
    if not settings.methods or not set(settings.methods) <= set(METHODS):
        raise Unfit("Please choose at least one payment method.", "methods")
    carried = {currency for name in settings.methods for currency in METHODS[name].currencies}
    if not settings.currencies or not set(settings.currencies) <= carried:
        raise Unfit("The chosen methods carry other currencies.", "currencies")


def _check_times(settings: ProjectSettings) -> None:
    if not LIMIT_TIME[0] <= settings.limit_time_s <= LIMIT_TIME[1]:
        raise Unfit("The limit time is from 1 minute to 24 hours.", "limit_time")
    if not 1 <= settings.base_time_s <= settings.limit_time_s:
        raise Unfit("The usual time is shorter than the limit time.", "base_time")
    if not 0 <= settings.refund_resend_window_s <= 24 * 3600:
        raise Unfit("The time for an identical refund is from 0 seconds to 24 hours.", "refund_resend_window")
    if not 1 <= settings.try_again_attempts <= 20:
        raise Unfit("Attempts are from 1 to 20.", "try_again_attempts")
    if not 60 <= settings.try_again_window_s <= 24 * 3600:
        raise Unfit("The time for trying again is from 1 minute to 24 hours.", "try_again_window")


def _check_callbacks(settings: ProjectSettings, check_url: CheckUrl) -> None:
    if settings.callback_url:
        check_callback_url(settings.callback_url, "callback_url", check_url)
    if len(settings.callback_rules) > RULES_MAX:
        raise Unfit("A project has room for 100 callback rules.", "url")
    conditions = [(r.payment_type, r.result, r.method, r.url) for r in settings.callback_rules]
    if len(set(conditions)) < len(conditions):
        raise Unfit("There is such a rule already.", "url")
    for rule in settings.callback_rules:
        _check_rule(rule, check_url)


def _check_rule(rule: CallbackRule, check_url: CheckUrl) -> None:
    check_callback_url(rule.url, "url", check_url)
    known = rule.payment_type in _PAYMENT_TYPES and rule.result in _RESULTS and rule.method in ("", *METHODS)
    if not known:
        raise Unfit("This condition is not known.", "url")


def check_callback_url(url: str, field: str, check_url: CheckUrl) -> None:
    """E-19. Raises Unfit with the reason."""
    problem = check_url(url) if url else "empty"
    if problem:
        raise Unfit("Callbacks cannot be sent to this address. It has to be a public https URL.", field)


def _check_page_url(url: str, field: str) -> None:
    """Where browsers go (E-9): http or https, absolute, without a user in front of the host."""
    if not url:
        return
    try:
        parts = urlsplit(url)
        good = parts.scheme in ("http", "https") and parts.hostname and parts.username is None
    except ValueError:
        good = False
    if not good or len(url) > URL_MAX or not url.isprintable() or any(c in url for c in ' \\"<>'):
        raise Unfit("This is not an http or https address.", field)


def _check_lists(settings: ProjectSettings) -> None:
    if len(settings.allowed_ips) > LIST_MAX or len(settings.frame_origins) > LIST_MAX:
        raise Unfit("A list has room for 50 lines.", "allowed_ips")
    for text in settings.allowed_ips:
        try:
            ipaddress.ip_network(text, strict=False)
        except ValueError:
            raise Unfit(
                "Please write one address or network a line, such as 203.0.113.0/24.", "allowed_ips"
            ) from None
    if not all(_ORIGIN.fullmatch(origin) for origin in settings.frame_origins):
        raise Unfit("Please write one origin a line, such as https://shop.example.", "frame_origins")


def _check_page(settings: ProjectSettings) -> None:
    if len(settings.page_name) > 60 or not settings.page_name.isprintable():
        raise Unfit("A name has at most 60 characters.", "page_name")
    if settings.page_color and not _COLOR.fullmatch(settings.page_color):
        raise Unfit("A colour is written as #rrggbb.", "page_color")
    if settings.page_logo_url and not _LOGO.fullmatch(settings.page_logo_url):
        raise Unfit("A logo is a PNG, JPEG or WebP picture of at most 30 kB.", "page_logo")
