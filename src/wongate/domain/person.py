"""The people of the Dashboard and their login sessions."""

from dataclasses import dataclass, field
from datetime import datetime

from wongate.domain.rights import Right, Role, needs_second_factor, rights_of


@dataclass(frozen=True, slots=True)
class Person:
    person_id: int
    login: str
    name: str
    password_hash: str = field(repr=False)
    password_initial: bool
    roles: frozenset[Role]
    rights_added: frozenset[Right]
    rights_removed: frozenset[Right]
    sealed_totp: str | None = field(repr=False)
    totp_step: int
    language: str
    time_zone: str
    active: bool
    created_at: datetime
    project_ids: tuple[int, ...]

    @property
    def rights(self) -> frozenset[Right]:
        return rights_of(self.roles, self.rights_added, self.rights_removed)

    @property
    def has_second_factor(self) -> bool:
        return self.sealed_totp is not None

    @property
    def must_enrol(self) -> bool:
        """The person's rights ask for a second factor that is not there yet."""
        return not self.has_second_factor and needs_second_factor(self.rights)


@dataclass(frozen=True, slots=True)
class Session:
    """`confirmed_at`: the last time the second factor was shown; None while the password alone was right."""

    session_id: int
    csrf: str
    person_id: int
    address: str
    device: str
    created_at: datetime
    seen_at: datetime
    confirmed_at: datetime | None


@dataclass(frozen=True, slots=True)
class SavedFilter:
    """A filter set that somebody keeps: `query` is a page's state as in its URL, without `?`."""

    name: str
    query: str
