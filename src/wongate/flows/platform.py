"""Everything a story needs, handed in by the composition root."""

import secrets
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TypeVar

from wongate.connections.clock import Clock, SystemClock
from wongate.connections.database import Database, Tx
from wongate.connections.http import Outbound
from wongate.connections.ids import Ids
from wongate.connections.replica import Away, Replica
from wongate.connections.vault import Vault
from wongate.domain.account import Account
from wongate.domain.payment import Project, ProjectSettings
from wongate.providers.contract import Provider
from wongate.store import projects
from wongate.store.sealed import ACCOUNT_KEY, PREVIOUS_SECRET, PROJECT_SECRET

T = TypeVar("T")

PROJECT_KEPT_S = 2.0
"""Seconds for which a loaded project is believed: a changed setting works everywhere after that long."""


@dataclass(slots=True)
class Platform:
    """`page_url` is the base of our own pages as payers reach them; `chance` gives unguessable bytes.

    `phones` is the clock that people's authenticator apps go by: real time, also where the sandbox's clock was moved.
    """

    database: Database
    clock: Clock
    ids: Ids
    http: Outbound
    vault: Vault
    providers: Mapping[str, Provider]
    page_url: str
    callback_timeout_s: float = 15.0
    chance: Callable[[int], bytes] = secrets.token_bytes
    monotonic: Callable[[], float] = time.monotonic
    phones: Clock = field(default_factory=SystemClock)
    replica: Replica | None = None
    lanes: set[tuple[int, str]] = field(default_factory=set)
    _projects: dict[int, tuple[float, Project]] = field(default_factory=dict)

    async def look_up(self, story: Callable[[Tx], Awaitable[T]]) -> T:
        """Reads that may be a moment late: lists, sums, exports, the Data API. Never a payment's own page, a person's rights or
        what decides about money. The replica answers where there is one; where it does not, the story begins anew.
        """
        if self.replica is not None:
            with suppress(Away):
                return await self.replica.read(story)
        async with self.database.read() as tx:
            return await story(tx)

    async def project(self, project_id: int) -> Project | None:
        """The project with its secrets opened, None when there is none."""
        kept = self._projects.get(project_id)
        if kept and kept[0] > self.monotonic():
            return kept[1]
        async with self.database.read() as tx:
            row = await projects.load(tx, project_id)
        if row is None:
            self._projects.pop(project_id, None)
            return None
        project = self._opened(row)
        self._projects[project_id] = (self.monotonic() + PROJECT_KEPT_S, project)
        return project

    def _opened(self, row: projects.ProjectRow) -> Project:
        secret_texts = [self.vault.open(row.sealed_secret, place=PROJECT_SECRET.place_of(row.project_id))]
        if (
            row.previous_sealed_secret
            and row.previous_secret_until
            and row.previous_secret_until > self.clock.now()
        ):
            secret_texts.append(
                self.vault.open(row.previous_sealed_secret, place=PREVIOUS_SECRET.place_of(row.project_id))
            )
        key = self.vault.open(row.sealed_key, place=ACCOUNT_KEY.place_of(row.account_id))
        return Project(
            project_id=row.project_id,
            name=row.name,
            secrets=tuple(secret_texts),
            account=Account(row.account_id, row.provider, row.merchant_id, key, row.account_settings),
            settings=ProjectSettings.from_json(row.settings),
        )

    def provider(self, project: Project) -> Provider:
        return self.providers[project.account.provider]
