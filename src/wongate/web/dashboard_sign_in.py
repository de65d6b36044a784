"""The way in: password, second factor, a password of one's own, enrolment; and the way out."""

from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode, urlsplit

from starlette.responses import Response

from wongate.domain import one_time
from wongate.domain.refusal import Unfit
from wongate.domain.rights import Open
from wongate.domain.square_code import as_path, square_code
from wongate.flows import profile, sign_in
from wongate.flows.sign_in import Entered, Wait
from wongate.web import security
from wongate.web.dashboard_access import Entry, Visit
from wongate.web.dashboard_shell import MESSAGES, N_
from wongate.web.words import LANGUAGES

if TYPE_CHECKING:
    from wongate.web.dashboard import Dashboard

ISSUER = "Wongate"
START = "/dashboard"

MESSAGES |= {
    "signed-out": N_("You are signed out."),
    "password-changed": N_("The password is changed. Your other sessions have ended."),
}


def routes(dashboard: "Dashboard") -> list[Entry]:
    pages = SignIn(dashboard)
    return [
        Entry("/dashboard/sign-in", "GET", Open.ANYBODY, pages.show),
        Entry("/dashboard/sign-in", "POST", Open.ANYBODY, pages.enter),
        Entry("/dashboard/sign-out", "POST", Open.PASSWORD, pages.leave),
        Entry("/dashboard/second-factor", "GET", Open.PASSWORD, pages.show_second_factor),
        Entry("/dashboard/second-factor", "POST", Open.PASSWORD, pages.confirm),
        Entry("/dashboard/new-password", "GET", Open.PASSWORD, pages.show_new_password),
        Entry("/dashboard/new-password", "POST", Open.PASSWORD, pages.save_new_password),
        Entry("/dashboard/enrol", "GET", Open.PASSWORD, pages.show_enrolment),
        Entry("/dashboard/enrol", "POST", Open.PASSWORD, pages.enrol),
        Entry("/dashboard/language", "POST", Open.SIGNED_IN, pages.switch_language),
    ]


class SignIn:
    def __init__(self, dashboard: "Dashboard") -> None:
        self._platform = dashboard.platform
        self._page = dashboard.shell.page

    async def show(self, visit: Visit) -> Response:
        if visit.visitor and visit.visitor.passed:
            return visit.go(START)
        return self._sign_in(visit)

    async def enter(self, visit: Visit) -> Response:
        login, password = visit.form.get("login", ""), visit.form.get("password", "")
        device = visit.request.headers.get("user-agent", "")
        outcome = await sign_in.sign_in(self._platform, login, password, visit.address, device)
        if isinstance(outcome, Wait):
            return self._sign_in(visit, 429, seconds=round(outcome.seconds) + 1)
        if not isinstance(outcome, Entered):
            return self._sign_in(visit, 403, wrong=True)
        visit.token = outcome.token
        return visit.go(
            _with_next(START if not outcome.person.has_second_factor else "/dashboard/second-factor", visit)
        )

    def _sign_in(self, visit: Visit, status: int = 200, *, wrong: bool = False, seconds: int = 0) -> Response:
        return self._page(
            visit,
            "sign_in.html",
            status,
            wrong=wrong,
            seconds=seconds,
            login=visit.form.get("login", ""),
            next=_next(visit),
        )

    async def leave(self, visit: Visit) -> Response:
        await sign_in.sign_out(self._platform, visit.who)
        response = visit.go("/dashboard/sign-in", "signed-out")
        security.clear_cookie(response, secure=visit.secure)
        return response

    async def show_second_factor(self, visit: Visit) -> Response:
        if visit.who.passed:
            return visit.go(START)
        return self._second_factor(visit)

    async def confirm(self, visit: Visit) -> Response:
        outcome = await sign_in.confirm(self._platform, visit.who, visit.form.get("code", ""))
        if isinstance(outcome, Wait):
            return self._second_factor(visit, 429, seconds=round(outcome.seconds) + 1)
        if not isinstance(outcome, Entered):
            return self._second_factor(visit, 403, wrong=True)
        visit.token = outcome.token
        return visit.go(_next(visit))

    def _second_factor(
        self, visit: Visit, status: int = 200, *, wrong: bool = False, seconds: int = 0
    ) -> Response:
        values = {"wrong": wrong, "seconds": seconds, "next": _next(visit)}
        return self._page(visit, "second_factor.html", status, **values)

    async def show_new_password(self, visit: Visit) -> Response:
        if not visit.who.passed:
            return visit.go("/dashboard/second-factor")
        return self._page(visit, "new_password.html", unfit=None)

    async def save_new_password(self, visit: Visit) -> Response:
        if not visit.who.passed:
            return visit.go("/dashboard/second-factor")
        try:
            await profile.change_password(
                self._platform, visit.who, visit.form.get("current", ""), visit.form.get("password", "")
            )
        except Unfit as unfit:
            return self._page(visit, "new_password.html", 400, unfit=unfit)
        return visit.go(START, "password-changed")

    async def show_enrolment(self, visit: Visit) -> Response:
        if visit.who.person.has_second_factor:
            return visit.go(START)
        return self._enrolment(visit, profile.new_second_factor(self._platform))

    async def enrol(self, visit: Visit) -> Response:
        """Only for somebody without a second factor: whoever has one changes it in the profile, where it is asked for."""
        if visit.who.person.has_second_factor:
            return visit.go(START)
        secret = visit.form.get("secret", "")
        enrolled = await profile.enrol(self._platform, visit.who, secret, visit.form.get("code", ""))
        if enrolled is None:
            return self._enrolment(visit, secret, 400)
        visit.token = enrolled.token
        return self._page(visit, "recovery_codes.html", codes=enrolled.codes, onward=START)

    def _enrolment(self, visit: Visit, secret: str, status: int = 200) -> Response:
        values = enrolment_values(visit.who.person.login, secret)
        wrong = status != 200
        return self._page(visit, "enrol.html", status, wrong=wrong, action="/dashboard/enrol", **values)

    async def switch_language(self, visit: Visit) -> Response:
        language = visit.form.get("language", "")
        if language not in LANGUAGES:
            raise Unfit("This language is not offered.")
        await profile.save_preferences(self._platform, visit.who, language, visit.zone)
        return visit.go(_next(visit))


def enrolment_values(login: str, secret: str) -> dict[str, Any]:
    """What the part of a page that shows a new second factor asks for; a login too long for a square code goes without."""
    uri = one_time.enrolment_uri(secret, login, ISSUER)
    matrix = square_code(uri)
    return {
        "secret": secret,
        "uri": uri,
        "size": len(matrix or ()),
        "path": as_path(matrix) if matrix else "",
    }


def _next(visit: Visit) -> str:
    """Where the visitor wanted to go: a page of ours and nothing else."""
    wished = visit.form.get("next") or visit.request.query_params.get("next", "")
    parts = urlsplit(wished)
    inside = wished == START or wished.startswith((f"{START}/", f"{START}?"))
    if parts.scheme or parts.netloc or "\\" in wished or not inside or not wished.isprintable():
        return START
    return wished


def _with_next(path: str, visit: Visit) -> str:
    wished = _next(visit)
    if path == START:
        return wished
    return path if wished == START else f"{path}?{urlencode({'next': wished})}"
