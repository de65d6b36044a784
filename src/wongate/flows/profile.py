"""What people do with their own account: password, second factor, recovery codes, sessions, language, Data API token."""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from zoneinfo import available_timezones

from wongate.connections.database import Tx
from wongate.domain import one_time
from wongate.domain.person import Person
from wongate.domain.refusal import Unfit
from wongate.domain.rights import Right
from wongate.flows import audit, passwords
from wongate.flows.platform import Platform
from wongate.flows.sign_in import (
    Visitor,
    new_recovery_codes,
    new_token,
    recovery_hash,
    token_hash,
)
from wongate.store import people, sessions, tokens
from wongate.store.sealed import API_SECRET, SECOND_FACTOR

API_TOKEN_LENGTH = 30  # section 5.6
API_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
API_SECRET_BYTES = 32


async def change_password(platform: Platform, who: Visitor, current: str, wished: str) -> None:
    """Ends every other session of the person. Raises Unfit for a wrong present password and for a weak new one."""
    person = who.person
    passwords.check(wished, (person.login, person.name))
    if not await passwords.fits(current, person.password_hash):
        raise Unfit("The present password is not right.", "current")
    if await passwords.fits(wished, person.password_hash):
        raise Unfit("The new password is the old one.", "password")
    new_hash = await passwords.hashed(wished)

    async def story(tx: Tx) -> None:
        now = platform.clock.now()
        await people.lock(tx, person.person_id)
        await people.save_password(tx, person.person_id, new_hash, initial=False, now=now)
        await sessions.end_all(tx, person.person_id, now, but=who.session.session_id)
        await _record(tx, who, "password changed", now)

    await platform.database.run(story)


def new_second_factor(platform: Platform) -> str:
    """A seed for an authenticator app; it counts once `enrol` has seen a code of it."""
    return one_time.spelled(platform.chance(one_time.SECRET_BYTES))


@dataclass(frozen=True, slots=True)
class Enrolled:
    """The session's new token, and the recovery codes, which are shown this once."""

    token: str = field(repr=False)
    codes: Sequence[str] = field(repr=False)


async def enrol(platform: Platform, who: Visitor, secret: str, code: str) -> Enrolled | None:
    """Turns the second factor on, or moves it to another phone. Ends every other session of the person.

    None when the code is not of that seed.
    """
    try:
        step = one_time.matching_step(secret, code, platform.phones.now())
    except ValueError:
        raise Unfit("This request cannot be read") from None
    if step is None or len(secret) != len(one_time.spelled(bytes(one_time.SECRET_BYTES))):
        return None
    person_id = who.person.person_id
    codes = new_recovery_codes(platform)
    token = new_token(platform)
    sealed = platform.vault.seal(secret, place=SECOND_FACTOR.place_of(person_id))

    async def story(tx: Tx) -> None:
        now = platform.clock.now()
        await people.lock(tx, person_id)
        await people.save_second_factor(tx, person_id, sealed, step, now)
        await people.replace_recovery_codes(tx, person_id, [recovery_hash(person_id, code) for code in codes])
        await sessions.confirm(tx, who.session.session_id, token_hash(token), now)
        await sessions.end_all(tx, person_id, now, but=who.session.session_id)
        await _record(tx, who, "second factor turned on", now)

    await platform.database.run(story)
    return Enrolled(token, codes)


async def renew_recovery_codes(platform: Platform, who: Visitor) -> list[str]:
    """The old ones work no more."""
    person_id = who.person.person_id
    codes = new_recovery_codes(platform)

    async def story(tx: Tx) -> None:
        await people.replace_recovery_codes(tx, person_id, [recovery_hash(person_id, code) for code in codes])
        await _record(tx, who, "recovery codes renewed", platform.clock.now())

    await platform.database.run(story)
    return codes


async def end_sessions(platform: Platform, who: Visitor, session_ids: Sequence[int] | None) -> int:
    """Ends the given ones, or all but the present one. The number that was ended."""

    async def story(tx: Tx) -> int:
        now = platform.clock.now()
        person_id = who.person.person_id
        if session_ids is None:
            ended = await sessions.end_all(tx, person_id, now, but=who.session.session_id)
        else:
            ended = await sessions.end(tx, person_id, session_ids, now)
        await _record(tx, who, "sessions ended", now, after={"ended": ended})
        return ended

    return await platform.database.run(story)


async def save_preferences(platform: Platform, who: Visitor, language: str, time_zone: str) -> None:
    """Raises Unfit for a zone that nobody knows."""
    if time_zone not in available_timezones():
        raise Unfit("This time zone is not known.", "time_zone")
    before = {"language": who.person.language, "time_zone": who.person.time_zone}
    old, new = audit.changes(before, {"language": language, "time_zone": time_zone})

    async def story(tx: Tx) -> None:
        now = platform.clock.now()
        await people.save_preferences(tx, who.person.person_id, language, time_zone, now)
        await _record(tx, who, "preferences changed", now, before=old, after=new)

    if new:
        await platform.database.run(story)


@dataclass(frozen=True, slots=True)
class ApiToken:
    token: str
    secret: str = field(repr=False)


async def create_api_token(platform: Platform, who: Visitor) -> ApiToken:
    """A token of 30 characters and its secret, shown this once; the person's earlier token works no more (section 5.6)."""
    made = ApiToken(
        "".join(secrets.choice(API_ALPHABET) for _ in range(API_TOKEN_LENGTH)),
        secrets.token_urlsafe(API_SECRET_BYTES),
    )
    sealed = platform.vault.seal(made.secret, place=API_SECRET.place_of(made.token))

    async def story(tx: Tx) -> None:
        now = platform.clock.now()
        await people.lock(tx, who.person.person_id)
        await tokens.end_of_person(tx, who.person.person_id, now)
        await tokens.create(tx, made.token, who.person.person_id, sealed, now)
        await _record(tx, who, "API token made", now, after={"token": masked(made.token)})

    await platform.database.run(story)
    return made


async def end_api_token(platform: Platform, who: Visitor) -> None:
    """It never comes back."""

    async def story(tx: Tx) -> None:
        now = platform.clock.now()
        ended = await tokens.end_of_person(tx, who.person.person_id, now)
        await _record(tx, who, "API token ended", now, before={"token": masked(ended)} if ended else None)

    await platform.database.run(story)


@dataclass(frozen=True, slots=True)
class TokenHolder:
    """Whose token it is: he lends it his projects and rights."""

    person: Person
    secret: str = field(repr=False)


async def by_api_token(platform: Platform, token: str) -> TokenHolder | None:
    """None for a token that is unknown or ended, or whose person is gone or lacks the right to have one."""
    async with platform.database.read() as tx:
        row = await tokens.living(tx, token)
        person = await people.load(tx, row.person_id) if row else None
        if row is None or person is None or not person.active or Right.API_TOKENS not in person.rights:
            return None
    return TokenHolder(person, platform.vault.open(row.sealed_secret, place=API_SECRET.place_of(token)))


async def own_api_token(platform: Platform, person_id: int) -> tokens.TokenRow | None:
    async with platform.database.read() as tx:
        return await tokens.of_person(tx, person_id)


async def recovery_codes_left(platform: Platform, person_id: int) -> int:
    async with platform.database.read() as tx:
        return await people.recovery_codes_left(tx, person_id)


def masked(secret: str) -> str:
    """Enough to tell one from another."""
    return f"{secret[:4]}…{secret[-2:]}"


async def _record(
    tx: Tx,
    who: Visitor,
    action: str,
    now: datetime,
    *,
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
) -> None:
    await audit.record(
        tx,
        who.actor,
        action,
        f"person/{who.person.person_id}",
        now,
        project_ids=who.person.project_ids,
        before=before,
        after=after,
    )
