"""The sandbox's ready login: a Merchant admin whose password and second factor stand in `sandbox.json`."""

from dataclasses import dataclass, field

from wongate.connections.database import Tx
from wongate.domain.person import Person
from wongate.domain.rights import Role
from wongate.flows import passwords, people
from wongate.flows.audit import OPERATOR
from wongate.flows.people import OPERATOR_MAY, Access
from wongate.flows.platform import Platform
from wongate.store import people as people_rows
from wongate.store.sealed import SECOND_FACTOR

USER = "admin@sandbox"


@dataclass(frozen=True, slots=True)
class Login:
    """Member `dashboard_login` of `sandbox.json`; `totp_secret` in base32."""

    user: str
    password: str = field(repr=False)
    totp_secret: str = field(repr=False)


async def prepare(platform: Platform, login: Login, project_id: int) -> None:
    """Makes the person once; later starts put back what was changed in the Dashboard, so that the file stays true."""
    person = await people.find_by_login(platform, login.user)
    if person is None:
        access = Access(frozenset({Role.MERCHANT_ADMIN}), frozenset({project_id}))
        await people.create(platform, OPERATOR, OPERATOR_MAY, login.user, "Sandbox admin", access)
        person = await people.find_by_login(platform, login.user)
        assert person is not None  # noqa: S101 - it was made a moment ago
    if not await _is_as_announced(platform, person, login):
        await _put_right(platform, person, login)


async def _is_as_announced(platform: Platform, person: Person, login: Login) -> bool:
    if person.sealed_totp is None or person.password_initial or not person.active:
        return False
    seed = platform.vault.open(person.sealed_totp, place=SECOND_FACTOR.place_of(person.person_id))
    return seed == login.totp_secret and await passwords.fits(login.password, person.password_hash)


async def _put_right(platform: Platform, person: Person, login: Login) -> None:
    password_hash = await passwords.hashed(login.password)
    sealed = platform.vault.seal(login.totp_secret, place=SECOND_FACTOR.place_of(person.person_id))

    async def story(tx: Tx) -> None:
        now = platform.clock.now()
        await people_rows.save_password(tx, person.person_id, password_hash, initial=False, now=now)
        await people_rows.save_second_factor(tx, person.person_id, sealed, 0, now)
        await people_rows.save_active(tx, person.person_id, True, now)

    await platform.database.run(story)
