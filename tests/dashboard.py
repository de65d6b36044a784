"""The Dashboard inside one test: a real database, a clock that stands still, and browsers that keep their cookie."""

import asyncio
import base64
import re
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from html import unescape
from itertools import count
from typing import Any
from urllib.parse import urlencode

from starlette.applications import Starlette
from tests import statements

from wongate.commands import create_project, save_account
from wongate.connections.database import Database
from wongate.connections.http import Outbound
from wongate.connections.ids import Ids
from wongate.connections.vault import Vault
from wongate.domain import one_time
from wongate.domain.rights import Role
from wongate.flows import passwords, people
from wongate.flows.audit import OPERATOR
from wongate.flows.people import OPERATOR_MAY, Access
from wongate.flows.platform import Platform
from wongate.store import people as people_rows
from wongate.web.dashboard import Dashboard, dashboard

VAULT = Vault.from_text(base64.b64encode(b"k" * 32).decode())
SHOP, OTHER_SHOP = 1001, 2002
SECRETS = {SHOP: "secret of the shop", OTHER_SHOP: "secret of the other shop"}
PASSWORD = "correct horse battery staple"
ADDRESS = "203.0.113.7"
_nodes = count(1)


class StillClock:
    def __init__(self) -> None:
        self._now = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)

    def now(self) -> datetime:
        return self._now

    def advance(self, **by: float) -> None:
        self._now += timedelta(**by)


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    text: str

    @property
    def location(self) -> str:
        return self.headers.get("location", "")

    def field(self, name: str) -> str:
        """The value of a form's field on the page."""
        found = re.search(rf'name="{name}"[^>]* value="([^"]*)"', self.text)
        assert found, f"there is no field {name}: {self.text[-3000:]}"
        return unescape(found[1])


@dataclass(slots=True)
class Browser:
    """Sends what Chromium sends: cookies, where a form came from, and the form's token."""

    app: Starlette
    address: str = ADDRESS
    cookie: str = ""
    csrf: str = ""
    language: str = "en"

    async def get(self, path: str, **headers: str) -> Answer:
        answer = await self.send("GET", path, headers=headers)
        found = re.search(r'name="csrf" value="([^"]+)"', answer.text)
        if found:
            self.csrf = found[1]
        return answer

    async def post(
        self,
        path: str,
        fields: Mapping[str, Any] | Iterable[tuple[str, str]] = (),
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        pairs = list(fields.items()) if isinstance(fields, Mapping) else list(fields)
        body = urlencode([("csrf", self.csrf), *pairs]).encode()
        sent = {"content-type": "application/x-www-form-urlencoded", "sec-fetch-site": "same-origin"}
        return await self.send("POST", path, body, {**sent, **(headers or {})})

    async def send(
        self, method: str, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> Answer:
        path, _, query = path.partition("?")
        named = {"host": "127.0.0.1:8080", "accept-language": self.language, **(headers or {})}
        if self.cookie:
            named["cookie"] = self.cookie
        messages: list[Any] = []
        pieces = [{"type": "http.request", "body": body, "more_body": False}]

        async def receive() -> Any:
            if not pieces:
                await asyncio.Event().wait()  # the browser neither sends more nor hangs up
            return pieces.pop()

        async def keep(message: Any) -> None:
            messages.append(message)

        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "query_string": query.encode(),
            "root_path": "",
            "headers": [(name.lower().encode(), value.encode()) for name, value in named.items()],
            "client": (self.address, 40000),
            "server": ("127.0.0.1", 8080),
        }
        await self.app(scope, receive, keep)
        answered = {name.decode(): value.decode() for name, value in messages[0]["headers"]}
        if "set-cookie" in answered:
            self.cookie = answered["set-cookie"].partition(";")[0]
        text = b"".join(message.get("body", b"") for message in messages[1:]).decode(errors="replace")
        return Answer(messages[0]["status"], answered, text)


@dataclass(slots=True)
class Member:
    """Somebody made for a test."""

    person_id: int
    login: str
    totp_secret: str


@dataclass(slots=True)
class Office:
    """The Dashboard of one process, with two shops and whoever the test brings."""

    platform: Platform
    clock: StillClock
    app: Starlette
    board: Dashboard
    _numbers: Any = field(default_factory=lambda: count(1))

    def browser(self, **options: Any) -> Browser:
        return Browser(self.app, **options)

    async def member(
        self, *roles: Role, projects: Iterable[int] = (SHOP,), second_factor: bool = True, **access: Any
    ) -> Member:
        """A person with these roles, a password of his own and, if wished, a second factor."""
        login = f"user{next(self._numbers)}@shop.example"
        given = Access(frozenset(roles), frozenset(projects), **access)
        made = await people.create(self.platform, OPERATOR, OPERATOR_MAY, login, "Test Person", given)
        secret = one_time.spelled(bytes([made.person_id % 251]) * one_time.SECRET_BYTES)
        async with self.platform.database.transaction() as tx:
            now = self.clock.now()
            known = await _known_hash()
            await people_rows.save_password(tx, made.person_id, known, initial=False, now=now)
            if second_factor:
                sealed = VAULT.seal(secret, place=f"person/{made.person_id}/totp")
                await people_rows.save_second_factor(tx, made.person_id, sealed, 0, now)
        return Member(made.person_id, login, secret if second_factor else "")

    async def enter(self, member: Member, **options: Any) -> Browser:
        """A browser in which the member has signed in, second factor included."""
        browser = self.browser(**options)
        await self.give_password(browser, member)
        if member.totp_secret:
            self.clock.advance(
                seconds=one_time.STEP_S
            )  # a code works once, and the last one may be this step's
            answer = await browser.post("/dashboard/second-factor", {"code": self.code(member)})
            assert 303 == answer.status, answer.text
        await browser.get("/dashboard/profile")
        return browser

    async def give_password(self, browser: Browser, member: Member, password: str = PASSWORD) -> Answer:
        answer = await browser.post("/dashboard/sign-in", {"login": member.login, "password": password})
        if answer.location.startswith("/dashboard/second-factor"):
            await browser.get("/dashboard/second-factor")
        return answer

    def code(self, member: Member, steps: int = 0) -> str:
        return one_time.code_of(member.totp_secret, one_time.step_of(self.clock.now()) + steps)

    async def rows(self, statement: str, *arguments: Any) -> list[Any]:
        async with self.platform.database.read() as tx:
            return list(await tx.fetch(statement, *arguments))

    async def value(self, statement: str, *arguments: Any) -> Any:
        async with self.platform.database.read() as tx:
            return await tx.fetchval(statement, *arguments)

    async def deeds(self) -> list[str]:
        """What the audit log says was done, oldest first."""
        return [row["action"] for row in await self.rows("SELECT action FROM audit_entry ORDER BY seq")]

    async def fingerprint(self, *but: str) -> dict[str, str]:
        """Per table something that changes with any row of it."""
        tables = await self.rows("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        return {
            row[0]: str(
                await self.value(f"SELECT md5(string_agg(t::text, '|' ORDER BY t::text)) FROM {row[0]} t")
            )
            for row in tables
            if row[0] not in but
        }


_hashes: dict[str, str] = {}


async def _known_hash() -> str:
    """Hashing takes 50 ms: once for the whole run is enough."""
    if not _hashes:
        _hashes[PASSWORD] = await passwords.hashed(PASSWORD)
    return _hashes[PASSWORD]


@asynccontextmanager
async def open_office(url: str, *, page_url: str = "http://127.0.0.1:8080") -> AsyncIterator[Office]:
    """A second one on the same database is a second process of the platform."""
    statements.listen()
    database = await Database.connect(url, size=20)
    clock = StillClock()
    http = Outbound()
    platform = Platform(
        database=database,
        clock=clock,
        ids=Ids(next(_nodes) % 64),
        http=http,
        vault=VAULT,
        providers={},
        page_url=page_url,
        phones=clock,
    )
    try:
        async with database.transaction() as tx:
            if not await tx.fetchval("SELECT 1 FROM project LIMIT 1"):
                await save_account(tx, VAULT, 1, "wongate01m", "key", {})
                for project_id, secret in SECRETS.items():
                    await create_project(tx, VAULT, project_id, f"Shop {project_id}", secret, 1, {})
        yield Office(platform, clock, dashboard(platform), Dashboard(platform, sandbox=False))
        statements.check()
    finally:
        await http.close()
        await database.close()
