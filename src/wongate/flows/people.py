"""Making people and changing what they may do: by a Merchant admin in My team, by the operator at the command line.

Nobody gives away more than he has, or touches somebody who also works for projects that are not his: a reset password of such
a person would open those too.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from wongate.connections.database import Tx
from wongate.domain.person import Person
from wongate.domain.refusal import Unfit
from wongate.domain.rights import Right, Role, rights_of
from wongate.flows import audit, passwords
from wongate.flows.audit import Actor
from wongate.flows.platform import Platform
from wongate.store import people, projects, sessions, tokens

LOGIN_MAX = 100
NAME_MAX = 100


@dataclass(frozen=True, slots=True)
class Allowance:
    """What somebody may do to others; `everything` for the operator."""

    person_id: int | None = None
    rights: frozenset[Right] = frozenset()
    project_ids: frozenset[int] = frozenset()
    everything: bool = False

    @classmethod
    def of(cls, person: Person) -> "Allowance":
        return cls(person.person_id, person.rights, frozenset(person.project_ids))

    def covers(self, person: Person) -> bool:
        """Whether that person's account may be changed: all of its projects and rights are one's own, and it is not oneself."""
        return self.everything or (
            person.person_id != self.person_id
            and bool(person.project_ids)
            and frozenset(person.project_ids) <= self.project_ids
            and person.rights <= self.rights
        )


OPERATOR_MAY = Allowance(everything=True)


@dataclass(frozen=True, slots=True)
class Access:
    """What a person is given."""

    roles: frozenset[Role]
    project_ids: frozenset[int]
    rights_added: frozenset[Right] = frozenset()
    rights_removed: frozenset[Right] = frozenset()

    @property
    def rights(self) -> frozenset[Right]:
        return rights_of(self.roles, self.rights_added, self.rights_removed)

    def described(self) -> Mapping[str, Any]:
        return {
            "roles": sorted(self.roles),
            "projects": sorted(self.project_ids),
            "rights_added": sorted(self.rights_added),
            "rights_removed": sorted(self.rights_removed),
        }


@dataclass(frozen=True, slots=True)
class Created:
    person_id: int
    password: str = field(repr=False)  # shown once; the person replaces it at the first sign-in


async def create(
    platform: Platform,
    actor: Actor,
    allowance: Allowance,
    login: str,
    name: str,
    access: Access,
    *,
    language: str = "en",
    time_zone: str = "Asia/Seoul",
) -> Created:
    """Raises Unfit."""
    login, name = login.strip(), name.strip() or login.strip()
    _check_login(login, name)
    created = Created(platform.ids.next(), passwords.initial_password())
    password_hash = await passwords.hashed(created.password)

    async def story(tx: Tx) -> None:
        await _check_access(tx, allowance, access)
        now = platform.clock.now()
        new = await people.create(
            tx,
            person_id=created.person_id,
            login=login,
            name=name,
            password_hash=password_hash,
            password_initial=True,
            roles=access.roles,
            language=language,
            time_zone=time_zone,
            now=now,
        )
        if not new:
            raise Unfit("This login is taken.", "login")
        await people.save_access(
            tx, created.person_id, access.roles, access.rights_added, access.rights_removed, now
        )
        await people.save_projects(tx, created.person_id, access.project_ids)
        after = {"login": login, "name": name, **access.described()}
        await audit.record(
            tx,
            actor,
            "user created",
            f"person/{created.person_id}",
            now,
            project_ids=sorted(access.project_ids),
            after=after,
        )

    await platform.database.run(story)
    return created


async def change_access(
    platform: Platform, actor: Actor, allowance: Allowance, person_id: int, access: Access
) -> bool:
    """Ends the person's sessions, so that new rights start with a new sign-in. False when nothing was different."""

    async def story(tx: Tx) -> bool:
        person = await _changeable(tx, allowance, person_id)
        await _check_access(tx, allowance, access)
        old, new = audit.changes(access_of(person).described(), access.described())
        if not new:
            return False
        now = platform.clock.now()
        await people.save_access(tx, person_id, access.roles, access.rights_added, access.rights_removed, now)
        await people.save_projects(tx, person_id, access.project_ids)
        await sessions.end_all(tx, person_id, now)
        concerned = sorted({*person.project_ids, *access.project_ids})
        await audit.record(
            tx,
            actor,
            "user's rights changed",
            f"person/{person_id}",
            now,
            project_ids=concerned,
            before=old,
            after=new,
        )
        return True

    return await platform.database.run(story)


async def set_active(
    platform: Platform, actor: Actor, allowance: Allowance, person_id: int, active: bool
) -> None:
    """Deactivation ends sessions at once and the API token for good (section 5.6)."""

    async def story(tx: Tx) -> None:
        person = await _changeable(tx, allowance, person_id)
        now = platform.clock.now()
        await people.save_active(tx, person_id, active, now)
        if not active:
            await sessions.end_all(tx, person_id, now)
            await tokens.end_of_person(tx, person_id, now)
        await _record(tx, actor, "user activated" if active else "user deactivated", person, now)

    await platform.database.run(story)


async def reset_password(platform: Platform, actor: Actor, allowance: Allowance, person_id: int) -> str:
    """The new initial password, shown once."""
    password = passwords.initial_password()
    password_hash = await passwords.hashed(password)

    async def story(tx: Tx) -> None:
        person = await _changeable(tx, allowance, person_id)
        now = platform.clock.now()
        await people.save_password(tx, person_id, password_hash, initial=True, now=now)
        await sessions.end_all(tx, person_id, now)
        await _record(tx, actor, "user's password reset", person, now)

    await platform.database.run(story)
    return password


async def reset_second_factor(platform: Platform, actor: Actor, allowance: Allowance, person_id: int) -> None:
    """The person sets up a new one at the next sign-in."""

    async def story(tx: Tx) -> None:
        person = await _changeable(tx, allowance, person_id)
        now = platform.clock.now()
        await people.save_second_factor(tx, person_id, None, 0, now)
        await people.replace_recovery_codes(tx, person_id, [])
        await sessions.end_all(tx, person_id, now)
        await _record(tx, actor, "user's second factor reset", person, now)

    await platform.database.run(story)


async def end_sessions(platform: Platform, actor: Actor, allowance: Allowance, person_id: int) -> int:
    async def story(tx: Tx) -> int:
        person = await _changeable(tx, allowance, person_id)
        now = platform.clock.now()
        ended = await sessions.end_all(tx, person_id, now)
        await _record(tx, actor, "user's sessions ended", person, now)
        return ended

    return await platform.database.run(story)


async def team(platform: Platform, project_ids: Collection[int]) -> list[Person]:
    async with platform.database.read() as tx:
        return await people.of_projects(tx, sorted(project_ids))


async def find(platform: Platform, person_id: int) -> Person | None:
    async with platform.database.read() as tx:
        return await people.load(tx, person_id)


async def find_by_login(platform: Platform, login: str) -> Person | None:
    async with platform.database.read() as tx:
        return await people.by_login(tx, login)


async def everybody(platform: Platform) -> list[Person]:
    async with platform.database.read() as tx:
        return await people.every(tx)


def access_of(person: Person) -> Access:
    return Access(person.roles, frozenset(person.project_ids), person.rights_added, person.rights_removed)


def _check_login(login: str, name: str) -> None:
    if not 3 <= len(login) <= LOGIN_MAX or not login.isprintable() or " " in login:
        raise Unfit("A login has 3 to 100 characters without spaces, such as an e-mail address.", "login")
    if len(name) > NAME_MAX or not name.isprintable():
        raise Unfit("A name has at most 100 characters.", "name")


async def _check_access(tx: Tx, allowance: Allowance, access: Access) -> None:
    if not access.project_ids:
        raise Unfit("Please choose at least one project.", "project_ids")
    if not access.rights:
        raise Unfit("Please choose at least one role or right.", "roles")
    if allowance.everything:
        known = {row.project_id for row in await projects.every(tx)}
        if not access.project_ids <= known:
            raise Unfit("There is no such project.", "project_ids")
    elif not access.project_ids <= allowance.project_ids or not access.rights <= allowance.rights:
        raise Unfit("Nobody gives rights or projects that he does not have.", "roles")


async def _changeable(tx: Tx, allowance: Allowance, person_id: int) -> Person:
    """The person, locked. Raises Unfit."""
    person = await people.lock(tx, person_id)
    if person is None or not allowance.covers(person):
        raise Unfit("This person's account is not yours to change.")
    return person


async def _record(tx: Tx, actor: Actor, action: str, person: Person, now: datetime) -> None:
    await audit.record(
        tx,
        actor,
        action,
        f"person/{person.person_id}",
        now,
        project_ids=person.project_ids,
        after={"login": person.login},
    )
