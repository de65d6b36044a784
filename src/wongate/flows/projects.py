"""A project's settings and its secret, as people change them in the Dashboard: each change with who, before and after."""

import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from wongate.connections.database import Tx
from wongate.domain import project_rules
from wongate.domain.payment import CallbackRule, ProjectSettings
from wongate.domain.refusal import Unfit
from wongate.flows import audit
from wongate.flows.audit import Actor
from wongate.flows.platform import Platform
from wongate.store import projects
from wongate.store.projects import ProjectRow
from wongate.store.sealed import PROJECT_SECRET

SECRET_BYTES = 32
LOGO_SHOWN = 40  # characters of a logo in the audit log: which picture it was, not the picture


@dataclass(frozen=True, slots=True)
class Standing:
    """A project as people see it. `version` goes into forms and comes back: a change is based on what was seen."""

    project_id: int
    name: str
    secret_mask: str
    secret_version: str
    previous_until: datetime | None
    provider: str
    merchant_id: str
    created_at: datetime
    settings: ProjectSettings = field(repr=False)
    version: str


class Stale(Exception):
    """Somebody else has changed the project since the form was made."""


async def of(platform: Platform, project_ids: Sequence[int]) -> list[Standing]:
    """The projects of these numbers, in order."""
    async with platform.database.read() as tx:
        rows = [row for row in await projects.every(tx) if row.project_id in project_ids]
    return [_standing(platform, row) for row in rows]


async def find(platform: Platform, project_id: int) -> Standing:
    """The project; the caller knows that it exists."""
    (found,) = await of(platform, [project_id])
    return found


def _standing(platform: Platform, row: ProjectRow) -> Standing:
    secret = platform.vault.open(row.sealed_secret, place=PROJECT_SECRET.place_of(row.project_id))
    until = row.previous_secret_until
    return Standing(
        project_id=row.project_id,
        name=row.name,
        secret_mask=f"{secret[:3]}{'•' * 12}",
        secret_version=_version_of_secret(row),
        previous_until=until if until and until > platform.clock.now() else None,
        provider=row.provider,
        merchant_id=row.merchant_id,
        created_at=row.created_at,
        settings=ProjectSettings.from_json(row.settings),
        version=row.changed_at.isoformat(),
    )


Change = Callable[[ProjectSettings], Mapping[str, Any]]
"""From the settings as they are, the members that become different."""


async def change(
    platform: Platform, actor: Actor, project_id: int, what: str, change: Change, *, version: str = ""
) -> bool:
    """Saves what `change` gives, under the project's lock. False when nothing is different.

    Raises Unfit for a value that cannot be used, Stale where `version` is given and is not the present one.
    """

    async def story(tx: Tx) -> bool:
        row = await _locked(tx, project_id)
        if version and version != row.changed_at.isoformat():
            raise Stale
        stored = dict(row.settings)
        changed = dict(change(ProjectSettings.from_json(stored)))
        after = ProjectSettings.from_json({**stored, **changed})
        project_rules.check(after, platform.http.check_url)
        old, new = audit.changes(_described(row.settings, changed), _described(changed, changed))
        if not new:
            return False
        now = platform.clock.now()
        await projects.save_settings(tx, project_id, {**stored, **changed}, now)
        await _record(tx, actor, what, project_id, now, before=old, after=new)
        return True

    return await platform.database.run(story)


async def rename(platform: Platform, actor: Actor, project_id: int, name: str) -> bool:
    """Raises Unfit."""
    name = name.strip()
    if not 1 <= len(name) <= 100 or not name.isprintable():
        raise Unfit("A name has 1 to 100 characters.", "name")

    async def story(tx: Tx) -> bool:
        row = await _locked(tx, project_id)
        if row.name == name:
            return False
        now = platform.clock.now()
        await projects.rename(tx, project_id, name, now)
        await _record(
            tx, actor, "project renamed", project_id, now, before={"name": row.name}, after={"name": name}
        )
        return True

    return await platform.database.run(story)


async def reveal_secret(platform: Platform, actor: Actor, project_id: int) -> str:
    """The secret; that it was shown, and to whom, is written down."""

    async def story(tx: Tx) -> str:
        row = await _locked(tx, project_id)
        await _record(tx, actor, "project secret shown", project_id, platform.clock.now())
        return platform.vault.open(row.sealed_secret, place=PROJECT_SECRET.place_of(project_id))

    return await platform.database.run(story)


async def rotate_secret(
    platform: Platform, actor: Actor, project_id: int, overlap: timedelta, secret_version: str
) -> str:
    """The new secret. Both verify requests for `overlap`; what goes out is signed with the new one at once.

    Raises Stale when `secret_version` is not the present one: a page that is loaded again must not rotate again.
    """
    if not timedelta(0) <= overlap <= project_rules.OVERLAP_MAX:
        raise Unfit("Both secrets work together for at most 30 days.", "overlap")
    secret = secrets.token_urlsafe(SECRET_BYTES)
    sealed = platform.vault.seal(secret, place=PROJECT_SECRET.place_of(project_id))

    async def story(tx: Tx) -> None:
        row = await _locked(tx, project_id)
        if _version_of_secret(row) != secret_version:
            raise Stale
        now = platform.clock.now()
        await projects.rotate_secret(tx, project_id, sealed, now + overlap, now)
        after = {"both_work_until": (now + overlap).isoformat(timespec="seconds")}
        await _record(tx, actor, "project secret rotated", project_id, now, after=after)

    await platform.database.run(story)
    return secret


async def end_overlap(platform: Platform, actor: Actor, project_id: int) -> None:
    """The previous secret verifies nothing any more."""

    async def story(tx: Tx) -> None:
        await _locked(tx, project_id)
        now = platform.clock.now()
        await projects.end_overlap(tx, project_id, now)
        await _record(tx, actor, "previous project secret ended", project_id, now)

    await platform.database.run(story)


async def _locked(tx: Tx, project_id: int) -> ProjectRow:
    row = await projects.lock(tx, project_id)
    assert row is not None  # noqa: S101 - projects are never deleted
    return row


def _described(settings: Mapping[str, Any], members: Mapping[str, Any]) -> dict[str, Any]:
    """The named members as the audit log keeps them; what is not stored has its default."""
    default = ProjectSettings()
    described = {name: settings.get(name, getattr(default, name)) for name in members}
    described = {
        name: list(value) if isinstance(value, tuple) else value for name, value in described.items()
    }
    if "callback_rules" in described:
        described["callback_rules"] = [
            _rule_described(CallbackRule(**rule)) for rule in described["callback_rules"]
        ]
    if "page_logo_url" in described:
        described["page_logo_url"] = described["page_logo_url"][:LOGO_SHOWN]
    return described


def _rule_described(rule: CallbackRule) -> str:
    """On one line: `purchase, decline, any method: https://shop.example/x (off)`."""
    conditions = (rule.payment_type or "any type", rule.result or "any result", rule.method or "any method")
    return f"{', '.join(conditions)}: {rule.url}{'' if rule.enabled else ' (off)'}"


async def _record(
    tx: Tx,
    actor: Actor,
    action: str,
    project_id: int,
    now: datetime,
    *,
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
) -> None:
    await audit.record(
        tx, actor, action, f"project/{project_id}", now, project_ids=[project_id], before=before, after=after
    )


def _version_of_secret(row: ProjectRow) -> str:
    """Changes with the secret and says nothing about it: the end of the text that it is sealed in."""
    return row.sealed_secret[-12:]
