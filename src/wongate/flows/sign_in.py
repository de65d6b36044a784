"""Signing in: password, second factor, and the session that lives on the server (security items of ASVS 6 and 7)."""

import base64
import hashlib
import logging
import re
from dataclasses import dataclass
from datetime import datetime, timedelta

from wongate.connections.database import Tx
from wongate.domain import one_time
from wongate.domain.person import Person, Session
from wongate.flows import audit, guessing, passwords
from wongate.flows.audit import Actor
from wongate.flows.platform import Platform
from wongate.store import people, sessions
from wongate.store.sealed import SECOND_FACTOR

log = logging.getLogger(__name__)

IDLE = timedelta(minutes=30)
ABSOLUTE = timedelta(hours=12)
FRESH = timedelta(minutes=5)
"""How long a shown second factor stands for money, secrets and rights (ASVS 7.5.3)."""

TOKEN_BYTES = 32
RECOVERY_CODES = 10
RECOVERY_BYTES = 15
"""120 bits: over the 112 from which a plain hash is enough for a secret made by a machine (ASVS 6.5.2)."""

DEVICE_MAX = 200

GUESSES_KEPT = timedelta(days=1)
SESSIONS_KEPT = timedelta(days=30)
"""Swept at each sign-in. The longest wait after a guess is a quarter of an hour, a session lives for half a day."""


@dataclass(frozen=True, slots=True)
class Entered:
    """The right password or second factor; the token goes to the browser and nowhere else."""

    token: str
    person: Person


@dataclass(frozen=True, slots=True)
class Wrong:
    """Unknown login, wrong password, deactivated, wrong or used code: they all look the same."""


@dataclass(frozen=True, slots=True)
class Wait:
    seconds: float


@dataclass(frozen=True, slots=True)
class Visitor:
    """Somebody with a living session."""

    person: Person
    session: Session
    address: str
    now: datetime

    @property
    def passed(self) -> bool:
        """Whether everything that signing in asks of this person was shown."""
        return not self.person.has_second_factor or self.session.confirmed_at is not None

    @property
    def confirmed(self) -> bool:
        """Whether the second factor, or the password of somebody without one, was shown in the last five minutes."""
        shown = self.session.confirmed_at or (
            None if self.person.has_second_factor else self.session.created_at
        )
        return shown is not None and self.now - shown <= FRESH

    @property
    def actor(self) -> Actor:
        return Actor(
            self.person.person_id, self.person.login, self.address, self.person.project_ids, self.confirmed
        )


async def sign_in(
    platform: Platform, login: str, password: str, address: str, device: str
) -> Entered | Wrong | Wait:
    """The first step. A person with a second factor is let in no further than its page."""
    against = guessing.subjects(address, login=login)
    wait = await guessing.take_try(platform, against)
    if wait:
        log.warning("sign-in slowed down", extra={"address": address})
        return Wait(wait)
    async with platform.database.read() as tx:
        person = await people.by_login(tx, login)
    known_hash = person.password_hash if person else passwords.nobodys_hash()
    right = await passwords.fits(password, known_hash)
    if not right or person is None or not person.active:
        await _note_failure(platform, person, address)
        return Wrong()
    new_hash = await passwords.hashed(password) if passwords.is_outdated(known_hash) else known_hash
    token = new_token(platform)

    async def story(tx: Tx) -> Person | None:
        now = platform.clock.now()
        current = await people.lock(tx, person.person_id)
        if current is None or not current.active or current.password_hash != known_hash:
            return None
        if new_hash != known_hash:
            await people.save_password(
                tx, current.person_id, new_hash, initial=current.password_initial, now=now
            )
        await _open_session(platform, tx, current, token, address, device)
        await guessing.give_back(tx, against, now)
        await sessions.sweep(tx, now - GUESSES_KEPT, now - SESSIONS_KEPT)
        await _record(tx, current, address, "password accepted", now)
        return current

    entered = await platform.database.run(story)
    if entered is None:
        return Wrong()
    log.info("password accepted", extra={"address": address, "person_id": entered.person_id})
    return Entered(token, entered)


async def _open_session(
    platform: Platform, tx: Tx, person: Person, token: str, address: str, device: str
) -> None:
    await sessions.create(
        tx,
        session_id=platform.ids.next(),
        token_hash=token_hash(token),
        csrf=new_token(platform),
        person_id=person.person_id,
        address=address,
        device=device[:DEVICE_MAX],
        now=platform.clock.now(),
    )


async def _note_failure(platform: Platform, person: Person | None, address: str) -> None:
    """Both kinds leave a row, or the time it takes would tell known logins from unknown ones."""
    log.warning("sign-in failed", extra={"address": address})

    async def story(tx: Tx) -> None:
        login, projects = (person.login, person.project_ids) if person else ("unknown", ())
        actor = Actor(person.person_id if person else None, login, address)
        await audit.record(tx, actor, "sign-in failed", "sign-in", platform.clock.now(), project_ids=projects)

    await platform.database.run(story)


async def visitor(platform: Platform, token: str, address: str, *, passive: bool = False) -> Visitor | None:
    """Who holds this token, None when it is unknown, ended or too old. `passive` looks do not count as use."""
    now = platform.clock.now()
    async with platform.database.read() as tx:
        session = await sessions.by_token(tx, token_hash(token), now - IDLE, now - ABSOLUTE)
        person = await people.load(tx, session.person_id) if session else None
        if session is None or person is None or not person.active:
            return None
        if not passive:
            await sessions.touch(tx, session.session_id, now)
    return Visitor(person, session, address, now)


async def confirm(platform: Platform, who: Visitor, code: str) -> Entered | Wrong | Wait:
    """The second factor, at sign-in and again before money, secrets and rights: a new token for the session.

    Takes a one-time code or a recovery code; from somebody without a second factor, the password.
    """
    against = guessing.subjects(who.address, person_id=who.person.person_id)
    wait = await guessing.take_try(platform, against)
    if wait:
        return Wait(wait)
    by_password = not who.person.has_second_factor
    if by_password and not await passwords.fits(code, who.person.password_hash):
        await _note_wrong_code(platform, who)
        return Wrong()
    token = new_token(platform)

    async def story(tx: Tx) -> str:
        now = platform.clock.now()
        person = await people.lock(tx, who.person.person_id)
        if person is None or not person.active or person.has_second_factor is by_password:
            return ""
        how = "password" if by_password else await _use_code(tx, platform, person, code, now)
        if not how or not await sessions.confirm(tx, who.session.session_id, token_hash(token), now):
            return ""
        await guessing.give_back(tx, against, now)
        await _record(tx, person, who.address, f"confirmed with {how}", now, confirmed=True)
        return how

    how = await platform.database.run(story)
    if not how:
        await _note_wrong_code(platform, who)
        return Wrong()
    return Entered(token, who.person)


async def _use_code(tx: Tx, platform: Platform, person: Person, code: str, now: datetime) -> str:
    """What kind of code it was; an empty text for a wrong or used one."""
    assert person.sealed_totp is not None  # noqa: S101 - asked by the caller
    secret = platform.vault.open(person.sealed_totp, place=SECOND_FACTOR.place_of(person.person_id))
    step = one_time.matching_step(secret, code, platform.phones.now())
    if step is not None:
        return "one-time code" if await people.take_step(tx, person.person_id, step) else ""
    used = await people.use_recovery_code(tx, person.person_id, recovery_hash(person.person_id, code), now)
    return "recovery code" if used else ""


async def _note_wrong_code(platform: Platform, who: Visitor) -> None:
    log.warning("wrong second factor", extra={"address": who.address, "person_id": who.person.person_id})

    async def story(tx: Tx) -> None:
        await _record(tx, who.person, who.address, "second factor failed", platform.clock.now())

    await platform.database.run(story)


async def sign_out(platform: Platform, who: Visitor) -> None:
    async def story(tx: Tx) -> None:
        now = platform.clock.now()
        await sessions.end(tx, who.person.person_id, [who.session.session_id], now)
        await _record(tx, who.person, who.address, "signed out", now)

    await platform.database.run(story)


async def own_sessions(platform: Platform, person_id: int) -> list[Session]:
    now = platform.clock.now()
    async with platform.database.read() as tx:
        return await sessions.living(tx, person_id, now - IDLE, now - ABSOLUTE)


async def _record(
    tx: Tx, person: Person, address: str, action: str, now: datetime, *, confirmed: bool = False
) -> None:
    actor = Actor(person.person_id, person.login, address, person.project_ids, confirmed)
    await audit.record(tx, actor, action, f"person/{person.person_id}", now, project_ids=person.project_ids)


def new_recovery_codes(platform: Platform) -> list[str]:
    """Ten codes of six groups of four letters and digits."""
    texts = [
        base64.b32encode(platform.chance(RECOVERY_BYTES)).decode().lower() for _ in range(RECOVERY_CODES)
    ]
    return ["-".join(re.findall("....", text)) for text in texts]


def recovery_hash(person_id: int, code: str) -> str:
    letters = re.sub(r"[\s-]", "", code).lower()
    return hashlib.sha256(f"{person_id}:{letters}".encode()).hexdigest()


def new_token(platform: Platform) -> str:
    return base64.urlsafe_b64encode(platform.chance(TOKEN_BYTES)).rstrip(b"=").decode()


def token_hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
