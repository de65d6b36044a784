"""How the Dashboard's pages are drawn: one shell around them, words in the visitor's language, times in his zone."""

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from babel.dates import format_datetime, format_timedelta
from babel.numbers import format_decimal
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.responses import HTMLResponse, Response

from wongate.domain.rights import Right, Role
from wongate.web import words as catalogue
from wongate.web.dashboard_access import Visit

STATIC = Path(__file__).parent / "static" / "dashboard"
ASSET_PATH = "/dashboard/static"
KOREAN_MOMENT = "y. M. d. HH:mm:ss"
"""CLDR's own would read `PM 7:07:31`, which nobody in Korea writes."""
LANGUAGE_NAMES = {"ko": "한국어", "en": "English", "ru": "Русский"}


def N_(text: str) -> str:
    """Marks an English text that is translated where it is shown."""
    return text


_ENVIRONMENT = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


@dataclass(frozen=True, slots=True)
class Section:
    """One place of the main navigation, shown to whoever has the right, and not `but_for`; None is for everybody.

    `also` is where a page of this section lives elsewhere.
    """

    path: str
    title: str
    right: Right | None = None
    but_for: Right | None = None
    also: str = ""

    def holds(self, path: str) -> bool:
        homes = [self.path, self.also] if self.also else [self.path]
        return any(path == home or path.startswith(f"{home}/") for home in homes)


SECTIONS = (
    Section("/dashboard/payments", N_("Payments"), Right.PAYMENTS),
    Section("/dashboard/analytics", N_("Analytics"), Right.ANALYTICS),
    Section("/dashboard/exports", N_("Reports"), Right.REPORTS, also="/dashboard/mailbox"),
    Section("/dashboard/projects", N_("Projects"), Right.VIEW_PROJECTS, also="/dashboard/page-design"),
    Section("/dashboard/page-design", N_("Payment Page"), Right.PAGE_DESIGN, but_for=Right.VIEW_PROJECTS),
    Section("/dashboard/team", N_("My team"), Right.USERS),
    Section("/dashboard/audit", N_("Audit log"), Right.USERS),
    Section("/dashboard/profile", N_("My profile")),
)

MESSAGES: dict[str, str] = {
    "saved": N_("Saved."),
    "nothing": N_("Nothing was changed."),
    "stale": N_("Somebody has changed this meanwhile. Please look again and repeat your change."),
}
"""What pages say once after a redirect, by the name in `?said=`; page modules add their own."""

REFUSALS = {
    400: (N_("This request cannot be read"), N_("Something in it is missing or malformed.")),
    401: (N_("Please sign in"), N_("Your session has ended.")),
    403: (
        N_("You may not do this"),
        N_("Your role lacks the right. A Merchant admin can add it in My team."),
    ),
    404: (N_("There is nothing here"), N_("The address may be mistyped, or the thing is not yours to see.")),
    405: (N_("This cannot be done here"), N_("The page does not take this kind of request.")),
    408: (
        N_("This came too slowly"),
        N_("Nothing was changed. Please check your connection and try again."),
    ),
    413: (N_("This is too large"), N_("Please send less at once.")),
    415: (N_("This request cannot be read"), N_("Something in it is missing or malformed.")),
    421: (
        N_("The Dashboard needs https"),
        N_(
            "Plain http is only for a sandbox opened on its own machine. Set WONGATE_PAGE_URL to an https address."
        ),
    ),
    429: (N_("Too many tries"), N_("Please wait a moment and try again.")),
    500: (
        N_("Something broke"),
        N_("Nothing was changed. If it happens again, tell your operator this number:"),
    ),
    503: (N_("The database is not available"), N_("Nothing was changed. Please try again in a moment.")),
}

ROLE_NAMES = {
    Role.DESIGNER: N_("Designer"),
    Role.SUPPORT: N_("Support"),
    Role.OPERATIONS: N_("Operations"),
    Role.FINANCE: N_("Finance"),
    Role.RISKS: N_("Risks"),
    Role.MERCHANT_ADMIN: N_("Merchant admin"),
}
RIGHT_NAMES = {
    Right.PAYMENTS: N_("See payments"),
    Right.REPORTS: N_("Make reports"),
    Right.API_TOKENS: N_("Manage API tokens"),
    Right.VIEW_PROJECTS: N_("See projects"),
    Right.REFUNDS: N_("Issue refunds"),
    Right.BALANCES: N_("See balances"),
    Right.ANALYTICS: N_("See analytics"),
    Right.RISKS: N_("Manage risk lists and chargebacks"),
    Right.USERS: N_("Manage users"),
    Right.PROJECT_SETTINGS: N_("Change project settings"),
    Right.PAGE_DESIGN: N_("Design the Payment Page"),
}


class Shell:
    """Renders templates of `templates/dashboard/` with everything that the shell and the macros ask for."""

    def __init__(self, *, sandbox: bool) -> None:
        self._sandbox = sandbox

    def page(self, visit: Visit, template: str, status: int = 200, **values: Any) -> Response:
        words = catalogue.words("dashboard", visit.language)
        said = MESSAGES.get(visit.request.query_params.get("said", ""))
        html = _ENVIRONMENT.get_template(f"dashboard/{template}").render(
            visit=visit,
            person=visit.visitor.person if visit.visitor else None,
            sections=[] if visit.visitor is None else sections_of(visit),
            sandbox=self._sandbox,
            language=visit.language,
            language_names=LANGUAGE_NAMES,
            role_names=ROLE_NAMES,
            right_names=RIGHT_NAMES,
            nonce=visit.nonce,
            csrf=visit.csrf,
            asset=asset,
            said=said,
            here=visit.request.url.path,
            _=words.gettext,
            ngettext=words.ngettext,
            moment=lambda at: moment(at, visit.language, visit.zone),
            stamp=lambda at: stamp(at, visit.language, visit.zone),
            ago=lambda at: ago(at, visit.platform.clock.now(), visit.language),
            won=lambda amount: catalogue.won(amount, visit.language),
            number=lambda value: format_decimal(value, locale=visit.language),
            words_of=lambda pairs: [(value, words.gettext(text)) for value, text in pairs],
            **values,
        )
        return HTMLResponse(html, status_code=status)

    def refuse(
        self, visit: Visit, status: int, *, message: str = "", confirm: str | None = None, seconds: float = 0
    ) -> Response:
        """The page that says no. With `confirm` it asks for the second factor and keeps the form that was sent."""
        if confirm is not None:
            return self.page(
                visit,
                "confirm.html",
                status,
                state=confirm,
                seconds=round(seconds) + 1,
                kept=confirm_values(visit),
            )
        if message == "stale form":
            title, text = (
                N_("This form is out of date"),
                N_("Please go back, load the page again and repeat."),
            )
        else:
            title, text = REFUSALS.get(status, REFUSALS[500])
            text = message or text
        return self.page(visit, "refused.html", status, title=title, text=text, broken=status == 500)


def sections_of(visit: Visit) -> list[Section]:
    """What the main navigation shows to this visitor."""
    return [
        section
        for section in SECTIONS
        if (section.right is None or visit.may(section.right))
        and not (section.but_for and visit.may(section.but_for))
    ]


@dataclass(frozen=True, slots=True)
class Asset:
    """A file of ours: its address changes with its content, so that browsers may keep it for good."""

    url: str
    integrity: str


@cache
def asset(name: str) -> Asset:
    content = (STATIC / name).read_bytes()
    digest = hashlib.sha256(content).digest()
    version = digest.hex()[:16]
    return Asset(f"{ASSET_PATH}/{version}/{name}", f"sha256-{base64.b64encode(digest).decode()}")


def moment(at: datetime, language: str, zone: str) -> str:
    """To the second, with the zone written out."""
    return f"{stamp(at, language, zone)} ({zone})"


def stamp(at: datetime, language: str, zone: str) -> str:
    """The same for a column whose heading names the zone."""
    pattern = KOREAN_MOMENT if language == "ko" else "medium"
    return format_datetime(at, pattern, tzinfo=ZoneInfo(zone), locale=language)


def ago(at: datetime, now: datetime, language: str) -> str:
    """`3 minutes ago`; a moment ahead of us reads `in 3 minutes`."""
    delta: timedelta = at - now
    return str(format_timedelta(delta, add_direction=True, locale=language))


def confirm_values(visit: Visit) -> Mapping[str, list[str]]:
    """The fields of a form that waits for its confirmation."""
    kept: dict[str, list[str]] = {}
    for name, value in visit.fields:
        if name not in ("csrf", "second_factor"):
            kept.setdefault(name, []).append(value)
    return kept
