"""What operators do about people from the command line: the first Merchant admin is made here (E-34)."""

import argparse
from collections.abc import Awaitable, Callable

from wongate.app import with_platform
from wongate.commands import table
from wongate.domain.person import Person
from wongate.domain.refusal import Unfit
from wongate.domain.rights import Right, Role
from wongate.flows import people
from wongate.flows.audit import OPERATOR
from wongate.flows.people import OPERATOR_MAY, Access
from wongate.flows.platform import Platform
from wongate.mistake import Mistake


def user_create(options: argparse.Namespace) -> int:
    access = Access(
        roles=frozenset(Role(name) for name in options.role),
        project_ids=frozenset(options.project),
        rights_added=frozenset(Right(name) for name in options.right),
    )

    async def story(platform: Platform) -> str:
        made = await people.create(
            platform, OPERATOR, OPERATOR_MAY, options.login, options.name, access, language=options.language
        )
        return (
            f"login     {options.login}\npassword  {made.password}\n\n"
            "The password is not shown again, and is replaced at the first sign-in."
        )

    return _told(story)


def user_list(options: argparse.Namespace) -> int:
    async def story(platform: Platform) -> str:
        rows = [_described(person) for person in await people.everybody(platform)]
        return table(("login", "name", "roles", "projects", "second factor", "state"), rows)

    return _told(story)


def user_reset_password(options: argparse.Namespace) -> int:
    async def story(platform: Platform) -> str:
        person = await _existing(platform, options.login)
        password = await people.reset_password(platform, OPERATOR, OPERATOR_MAY, person.person_id)
        return f"password  {password}\n\nAll sessions of {person.login} have ended."

    return _told(story)


def user_reset_second_factor(options: argparse.Namespace) -> int:
    async def story(platform: Platform) -> str:
        person = await _existing(platform, options.login)
        await people.reset_second_factor(platform, OPERATOR, OPERATOR_MAY, person.person_id)
        return f"{person.login} sets up a new second factor at the next sign-in"

    return _told(story)


def user_deactivate(options: argparse.Namespace) -> int:
    async def story(platform: Platform) -> str:
        person = await _existing(platform, options.login)
        await people.set_active(platform, OPERATOR, OPERATOR_MAY, person.person_id, options.activate)
        return f"{person.login} is {'active again' if options.activate else 'deactivated, sessions ended'}"

    return _told(story)


def _described(person: Person) -> tuple[str, ...]:
    return (
        person.login,
        person.name,
        ", ".join(sorted(person.roles)),
        ", ".join(map(str, person.project_ids)),
        "on" if person.has_second_factor else "off",
        "active" if person.active else "deactivated",
    )


async def _existing(platform: Platform, login: str) -> Person:
    person = await people.find_by_login(platform, login)
    if person is None:
        raise Mistake(f"there is no user {login}; see `wongate user list`")
    return person


def _told(story: Callable[[Platform], Awaitable[str]]) -> int:
    try:
        print(with_platform(story))
    except Unfit as unfit:
        raise Mistake(unfit.message) from None
    return 0
