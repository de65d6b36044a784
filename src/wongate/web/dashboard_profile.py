"""My profile: password, second factor, own sessions, language and time zone, Data API token."""

from functools import cache
from typing import TYPE_CHECKING, Any
from zoneinfo import available_timezones

from starlette.responses import Response

from wongate.domain.refusal import Unfit
from wongate.domain.rights import Open, Right
from wongate.flows import profile, sign_in
from wongate.web.dashboard_access import Entry, Visit
from wongate.web.dashboard_shell import MESSAGES, N_
from wongate.web.dashboard_sign_in import enrolment_values
from wongate.web.words import LANGUAGES

if TYPE_CHECKING:
    from wongate.web.dashboard import Dashboard

HOME = "/dashboard/profile"
FACTOR = f"{HOME}/second-factor"

MESSAGES |= {
    "sessions-ended": N_("The sessions have ended."),
    "token-ended": N_("The token works no more."),
}

# The first name that a browser's own description contains; a Chrome calls itself Safari, an Edge calls itself Chrome.
_BROWSERS = (
    ("Edg/", "Edge"),
    ("OPR/", "Opera"),
    ("SamsungBrowser", "Samsung Internet"),
    ("Whale/", "Whale"),
    ("Firefox/", "Firefox"),
    ("Chrome/", "Chrome"),
    ("Safari/", "Safari"),
    ("curl/", "curl"),
)
_SYSTEMS = (
    ("Android", "Android"),
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Windows", "Windows"),
    ("Mac OS X", "macOS"),
    ("CrOS", "ChromeOS"),
    ("Linux", "Linux"),
)


def routes(dashboard: "Dashboard") -> list[Entry]:
    pages = Profile(dashboard)
    return [
        Entry(HOME, "GET", Open.SIGNED_IN, pages.show),
        Entry(f"{HOME}/password", "POST", Open.SIGNED_IN, pages.change_password),
        Entry(f"{HOME}/preferences", "POST", Open.SIGNED_IN, pages.save_preferences),
        Entry(f"{HOME}/sessions", "POST", Open.SIGNED_IN, pages.end_sessions),
        Entry(FACTOR, "GET", Open.SIGNED_IN, pages.show_second_factor),
        Entry(FACTOR, "POST", Open.SIGNED_IN, pages.save_second_factor, confirm=True),
        Entry(f"{HOME}/recovery-codes", "POST", Open.SIGNED_IN, pages.renew_codes, confirm=True),
        Entry(f"{HOME}/api-token", "POST", Right.API_TOKENS, pages.create_token, confirm=True),
        Entry(f"{HOME}/api-token/end", "POST", Right.API_TOKENS, pages.end_token),
    ]


class Profile:
    def __init__(self, dashboard: "Dashboard") -> None:
        self._platform = dashboard.platform
        self._page = dashboard.shell.page

    async def show(self, visit: Visit) -> Response:
        return await self._profile(visit)

    async def _profile(self, visit: Visit, status: int = 200, unfit: Unfit | None = None) -> Response:
        person_id = visit.who.person.person_id
        found = await sign_in.own_sessions(self._platform, person_id)
        values: dict[str, Any] = {
            "sessions": [(session, device(session.device)) for session in found],
            "codes_left": await profile.recovery_codes_left(self._platform, person_id),
            "token": await profile.own_api_token(self._platform, person_id),
            "masked": profile.masked,
            "zones": zones(),
        }
        return self._page(visit, "profile.html", status, unfit=unfit, **values)

    async def change_password(self, visit: Visit) -> Response:
        current, wished = visit.form.get("current", ""), visit.form.get("password", "")
        try:
            await profile.change_password(self._platform, visit.who, current, wished)
        except Unfit as unfit:
            return await self._profile(visit, 400, unfit)
        return visit.go(HOME, "password-changed")

    async def save_preferences(self, visit: Visit) -> Response:
        language = visit.form.get("language", "")
        if language not in LANGUAGES:
            raise Unfit("This language is not offered.")
        await profile.save_preferences(self._platform, visit.who, language, visit.form.get("time_zone", ""))
        return visit.go(HOME, "saved")

    async def end_sessions(self, visit: Visit) -> Response:
        """One, or all but this one."""
        wished = visit.form.get("session_id", "")
        chosen = [int(wished)] if wished.isdecimal() else None
        await profile.end_sessions(self._platform, visit.who, chosen)
        return visit.go(HOME, "sessions-ended")

    async def show_second_factor(self, visit: Visit) -> Response:
        return self._second_factor(visit, profile.new_second_factor(self._platform))

    async def save_second_factor(self, visit: Visit) -> Response:
        secret = visit.form.get("secret", "")
        enrolled = await profile.enrol(self._platform, visit.who, secret, visit.form.get("code", ""))
        if enrolled is None:
            return self._second_factor(visit, secret, 400)
        visit.token = enrolled.token
        return self._page(visit, "recovery_codes.html", codes=enrolled.codes, onward=HOME)

    def _second_factor(self, visit: Visit, secret: str, status: int = 200) -> Response:
        values = enrolment_values(visit.who.person.login, secret)
        return self._page(
            visit, "profile_factor.html", status, wrong=status != 200, action=FACTOR, home=HOME, **values
        )

    async def renew_codes(self, visit: Visit) -> Response:
        if not visit.who.person.has_second_factor:
            raise Unfit("There is no second factor yet.")
        codes = await profile.renew_recovery_codes(self._platform, visit.who)
        return self._page(visit, "recovery_codes.html", codes=codes, onward=HOME)

    async def create_token(self, visit: Visit) -> Response:
        made = await profile.create_api_token(self._platform, visit.who)
        return self._page(visit, "profile_token.html", made=made, home=HOME)

    async def end_token(self, visit: Visit) -> Response:
        await profile.end_api_token(self._platform, visit.who)
        return visit.go(HOME, "token-ended")


def device(description: str) -> str:
    """`Chrome, Windows` from what a browser says about itself; nobody reads the rest."""
    names = [
        next((name for mark, name in table if mark in description), "") for table in (_BROWSERS, _SYSTEMS)
    ]
    return ", ".join(name for name in names if name) or description[:40] or "?"


@cache
def zones() -> list[tuple[str, str]]:
    """Regions and cities, without the old abbreviations beside them."""
    names = sorted(
        name
        for name in available_timezones()
        if "/" in name and not name.startswith(("Etc/", "posix", "right"))
    )
    return [(name, name.replace("_", " ")) for name in ["UTC", *names]]
