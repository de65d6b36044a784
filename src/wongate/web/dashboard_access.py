"""Who may call what in the Dashboard, decided in one place before a page's own code runs.

A page module offers `routes() -> list[Entry]`; each entry names one right. `Guard` refuses everything else: no session, a
missing second factor, a forged form, a missing right, another project's id anywhere in path, query or form.
"""

import json
import logging
import re
import secrets
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, quote

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from wongate.connections.database import Unavailable
from wongate.domain.refusal import Refused, Unfit
from wongate.domain.rights import Access, Open, Right
from wongate.flows import sign_in
from wongate.flows.audit import Actor
from wongate.flows.platform import Platform
from wongate.flows.sign_in import Entered, Visitor, Wait
from wongate.web import security
from wongate.web.http import ClientGone, caller_ip, read_body
from wongate.web.trouble import BODY_UNREAD, END_CONNECTION
from wongate.web.uploads import Upload, read_multipart

log = logging.getLogger(__name__)

FORM_MAX = 256 * 1024
"""Bytes of a form: the longest, a callback rule beside a page's settings, is under 20 KB."""

PROJECT_FIELDS = ("project_id", "project_ids")
CARRIED_FIELD = "query"
"""Conditions of the Payments table, as its address has them."""
AUDITED_FIELD = "object"
_AUDITED_PROJECT = re.compile(r"(?:project|payment)/\d+(?:/|$)")
ID_DIGITS_MAX = 19
CONFIRM_FIELD = "second_factor"
"""A form may carry the code that freshens the session, so that nobody types a form twice."""

Handler = Callable[["Visit"], Awaitable[Response]]


class NotFound(Exception):
    """No such thing, or not for this person: the two look the same from outside."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One route. `confirm`: only with a second factor shown in the last five minutes. `passive`: a page's own polling,
    which does not keep a session alive."""

    path: str
    method: str
    right: Access
    handler: Handler
    confirm: bool = False
    passive: bool = False
    body_max: int = FORM_MAX

    @property
    def rights(self) -> frozenset[Right]:
        """One of these opens it; none are asked for where it is `Open`."""
        if isinstance(self.right, Open):
            return frozenset()
        return frozenset({self.right}) if isinstance(self.right, Right) else self.right


@dataclass(slots=True)
class Visit:
    """One request of somebody, as pages see it."""

    request: Request
    platform: Platform
    entry: Entry
    nonce: str
    request_id: str
    address: str
    language: str
    secure: bool
    visitor: Visitor | None = None
    form: Mapping[str, str] = field(default_factory=dict)
    fields: Sequence[tuple[str, str]] = ()
    files: Mapping[str, Upload] = field(default_factory=dict)
    token: str = ""  # a new one for the cookie

    @property
    def who(self) -> Visitor:
        """The signed-in visitor; only entries with `Open.ANYBODY` are called without one."""
        assert self.visitor is not None  # noqa: S101 - the guard has seen to it
        return self.visitor

    @property
    def project_ids(self) -> tuple[int, ...]:
        return self.who.person.project_ids

    @property
    def csrf(self) -> str:
        return self.visitor.session.csrf if self.visitor else ""

    @property
    def actor(self) -> Actor:
        return self.who.actor

    @property
    def zone(self) -> str:
        return self.visitor.person.time_zone if self.visitor else "Asia/Seoul"

    def may(self, *rights: Right) -> bool:
        """Whether the visitor has one of these."""
        return self.visitor is not None and not self.visitor.person.rights.isdisjoint(rights)

    def several(self, name: str) -> list[str]:
        """All values of a form's field: ticked boxes."""
        return [value for key, value in self.fields if key == name]

    def own_project(self, project_id: int) -> int:
        """The id, if it is one of the visitor's projects. Raises NotFound, and writes the attempt down, if it is not."""
        if project_id not in self.project_ids:
            extra = {
                "person_id": self.who.person.person_id,
                "project_id": project_id,
                "path": self.request.url.path,
                "address": self.address,
                "request_id": self.request_id,
            }
            log.warning("another project's id", extra=extra)
            raise NotFound
        return project_id

    def go(self, path: str, said: str = "") -> Response:
        """To another page of ours; `said` names one of the messages that pages show once."""
        if said:
            path += ("&" if "?" in path else "?") + f"said={quote(said)}"
        return RedirectResponse(path, status_code=303)


class Guard:
    """Turns entries into endpoints. `refuse` draws the pages that say no."""

    def __init__(
        self,
        platform: Platform,
        *,
        secure: bool,
        trusted_proxies: Sequence[str],
        refuse: Callable[..., Response],
        choose_language: Callable[[Request], str],
    ) -> None:
        self._platform = platform
        self._secure = secure
        self._trusted_proxies = trusted_proxies
        self._refuse = refuse
        self._choose_language = choose_language

    def endpoint(self, entry: Entry) -> Callable[[Request], Awaitable[Response]]:
        async def endpoint(request: Request) -> Response:
            visit = self._visit(request, entry)
            response = await self._answered(visit)
            response.headers.update(security.headers(visit.nonce, secure=self._secure))
            response.headers["X-Request-Id"] = visit.request_id
            if response.status_code in BODY_UNREAD:
                response.headers.update(END_CONNECTION)
            if visit.token:
                security.set_cookie(response, visit.token, secure=self._secure)
            return response

        return endpoint

    def _visit(self, request: Request, entry: Entry) -> Visit:
        return Visit(
            request=request,
            platform=self._platform,
            entry=entry,
            nonce=secrets.token_urlsafe(16),
            request_id=secrets.token_hex(16),
            address=caller_ip(request.scope, self._trusted_proxies),
            language=self._choose_language(request),
            secure=self._secure,
        )

    async def _answered(self, visit: Visit) -> Response:
        """The handler's answer, or the page for whatever went wrong: nothing of a fault's inside leaves."""
        try:
            return await self._admitted(visit)
        except NotFound:
            return self._refuse(visit, 404)
        except ClientGone:
            return self._refuse(visit, 400)  # which nobody reads
        except HTTPException as error:
            return self._refuse(visit, error.status_code)
        except Refused as refusal:
            return self._refuse(visit, refusal.http_status)
        except Unfit as unfit:
            return self._refuse(visit, 400, message=unfit.message)
        except Unavailable:
            return self._refuse(visit, 503)
        except Exception:
            log.exception(
                "page broke", extra={"request_id": visit.request_id, "path": visit.request.url.path}
            )
            return self._refuse(visit, 500)

    async def _admitted(self, visit: Visit) -> Response:
        entry, request = visit.entry, visit.request
        unsafe = request.method not in security.SAFE_METHODS
        if not self._secure and not security.is_loopback(request):
            return self._refuse(visit, 421)
        if unsafe and not security.is_from_our_pages(request):
            self._note(visit, "request from a foreign page")
            return self._refuse(visit, 403)
        if unsafe:
            await _read_form(visit)
        await self._recognise(visit)
        if visit.visitor is None:
            return await entry.handler(visit) if entry.right is Open.ANYBODY else _to_sign_in(visit)
        if unsafe and not security.is_right_token(visit.form.get("csrf", ""), visit.csrf):
            self._note(visit, "form without its token")
            return self._refuse(visit, 403, message="stale form")
        detour = _unfinished(visit)
        if detour:
            return visit.go(detour)
        if entry.rights and not visit.may(*entry.rights):
            self._note(visit, "right missing")
            return self._refuse(visit, 403)
        for project_id in _named_projects(visit):
            visit.own_project(project_id)
        if entry.confirm and not visit.who.confirmed:
            asked = await self._confirm(visit)
            if asked:
                return asked
        return await entry.handler(visit)

    async def _recognise(self, visit: Visit) -> None:
        token = visit.request.cookies.get(security.cookie_name(self._secure), "")
        if token:
            visit.visitor = await sign_in.visitor(
                self._platform, token, visit.address, passive=visit.entry.passive
            )
        if visit.visitor:
            visit.language = visit.visitor.person.language

    async def _confirm(self, visit: Visit) -> Response | None:
        """Takes the code that came with the form; without one, or with a wrong one, asks and keeps the form meanwhile."""
        code = visit.form.get(CONFIRM_FIELD, "").strip()
        if not code:
            return self._refuse(visit, 403, confirm="")
        outcome = await sign_in.confirm(self._platform, visit.who, code)
        if isinstance(outcome, Wait):
            return self._refuse(visit, 429, confirm="wait", seconds=outcome.seconds)
        if not isinstance(outcome, Entered):
            return self._refuse(visit, 403, confirm="wrong")
        visit.token = outcome.token
        visit.visitor = await sign_in.visitor(self._platform, outcome.token, visit.address)
        return None if visit.visitor else _to_sign_in(visit)

    def _note(self, visit: Visit, event: str) -> None:
        person_id = visit.visitor.person.person_id if visit.visitor else None
        log.warning(
            event,
            extra={
                "path": visit.request.url.path,
                "address": visit.address,
                "person_id": person_id,
                "request_id": visit.request_id,
            },
        )


async def _read_form(visit: Visit) -> None:
    """Fields of a posted form; a JSON object's members count as fields too, lists as several of one name."""
    raw = await read_body(visit.request.scope, visit.request.receive, visit.entry.body_max)
    content_type = visit.request.headers.get("content-type", "")
    kind = content_type.split(";")[0].strip().lower()
    try:
        if kind == "application/json":
            visit.fields = list(_members(json.loads(raw)))
        elif kind == "multipart/form-data":
            visit.fields, visit.files = read_multipart(raw, content_type)
        elif kind in ("application/x-www-form-urlencoded", ""):
            visit.fields = parse_qsl(
                raw.decode(), keep_blank_values=True, max_num_fields=2000, errors="strict"
            )
        else:
            raise HTTPException(415)
    except (ValueError, AttributeError):
        raise HTTPException(400) from None
    if any("\x00" in value for _, value in visit.fields):
        raise HTTPException(400)
    visit.form = dict(visit.fields)


def _members(message: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    for name, value in message.items():
        for item in value if isinstance(value, list) else [value]:
            if isinstance(item, Mapping):
                yield from _members(item)
            else:
                yield name, item if isinstance(item, str) else json.dumps(item)


def _to_sign_in(visit: Visit) -> Response:
    request = visit.request
    if request.method not in security.SAFE_METHODS or visit.entry.passive:
        return visit.go("/dashboard/sign-in")
    path = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    return visit.go(f"/dashboard/sign-in?next={quote(path, safe='')}")


def _unfinished(visit: Visit) -> str:
    """Where somebody has to go first: the second factor, a password of his own, the enrolment his rights ask for."""
    if isinstance(visit.entry.right, Open) and visit.entry.right is not Open.SIGNED_IN:
        return ""
    if not visit.who.passed:
        return "/dashboard/second-factor"
    if visit.who.person.password_initial:
        return "/dashboard/new-password"
    return "/dashboard/enrol" if visit.who.person.must_enrol else ""


def _named_projects(visit: Visit) -> Iterable[int]:
    """Every project id in the path, the query and the form, also in the address of a filtered table that a form carries."""
    pairs = [
        *visit.request.path_params.items(),
        *visit.request.query_params.multi_items(),
        *visit.fields,
    ]
    carried = [pair for name, value in pairs if name == CARRIED_FIELD for pair in parse_qsl(str(value))]
    for name, value in (*pairs, *carried):
        if name in PROJECT_FIELDS:
            yield from map(_project_id, filter(str.strip, str(value).split(",")))
        elif name == AUDITED_FIELD and _AUDITED_PROJECT.match(str(value)):
            yield _project_id(str(value).split("/")[1])


def _project_id(text: str) -> int:
    """What is no number is no project of anybody's."""
    return int(text) if text.strip().isdecimal() and len(text) < ID_DIGITS_MAX else -1
