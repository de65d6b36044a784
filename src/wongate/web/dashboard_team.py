"""My team: the people of my projects, what they may do, and the ways to lock one out."""

import logging
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING

from starlette.responses import Response

from wongate.domain.person import Person
from wongate.domain.refusal import Unfit
from wongate.domain.rights import RIGHTS_OF, Right, Role
from wongate.flows import people, projects
from wongate.flows.audit import Actor
from wongate.flows.people import Access, Allowance
from wongate.flows.platform import Platform
from wongate.web.dashboard_access import Entry, NotFound, Visit
from wongate.web.dashboard_shell import MESSAGES, N_

if TYPE_CHECKING:
    from wongate.web.dashboard import Dashboard

log = logging.getLogger(__name__)

HOME = "/dashboard/team"
ONE = f"{HOME}/{{person_id:int}}"

MESSAGES |= {
    "deactivated": N_("The user is locked out."),
    "activated": N_("The user may sign in again."),
    "factor-reset": N_("The user sets up a new second factor at the next sign-in."),
    "rights-saved": N_("Saved. The user signs in again with the new rights."),
}

Deed = Callable[[Platform, Actor, Allowance, int], Awaitable[object]]


def routes(dashboard: "Dashboard") -> list[Entry]:
    pages = Team(dashboard)
    deeds: dict[str, tuple[Deed, str]] = {
        "deactivate": (partial(people.set_active, active=False), "deactivated"),
        "activate": (partial(people.set_active, active=True), "activated"),
        "reset-second-factor": (people.reset_second_factor, "factor-reset"),
        "end-sessions": (people.end_sessions, "sessions-ended"),
    }
    return [
        Entry(HOME, "GET", Right.USERS, pages.show),
        Entry(f"{HOME}/new", "GET", Right.USERS, pages.show_new),
        Entry(f"{HOME}/new", "POST", Right.USERS, pages.create, confirm=True),
        Entry(ONE, "GET", Right.USERS, pages.show_one),
        Entry(ONE, "POST", Right.USERS, pages.save, confirm=True),
        Entry(f"{ONE}/reset-password", "POST", Right.USERS, pages.reset_password, confirm=True),
        *(
            Entry(f"{ONE}/{path}", "POST", Right.USERS, partial(pages.do, deed, said), confirm=True)
            for path, (deed, said) in deeds.items()
        ),
    ]


class Team:
    def __init__(self, dashboard: "Dashboard") -> None:
        self._platform = dashboard.platform
        self._page = dashboard.shell.page
        self._offered = dashboard.offered_rights

    async def show(self, visit: Visit) -> Response:
        members = await people.team(self._platform, visit.project_ids)
        allowance = Allowance.of(visit.who.person)
        return self._page(
            visit,
            "team.html",
            members=[(member, allowance.covers(member)) for member in members],
            seen=set(visit.project_ids),
        )

    async def show_new(self, visit: Visit) -> Response:
        return await self._form(visit, None)

    async def create(self, visit: Visit) -> Response:
        login, name = visit.form.get("login", ""), visit.form.get("name", "")
        try:
            made = await people.create(
                self._platform,
                visit.actor,
                Allowance.of(visit.who.person),
                login,
                name,
                _access(visit),
                language=visit.language,
                time_zone=visit.zone,
            )
        except Unfit as unfit:
            return await self._form(visit, None, unfit)
        return self._page(visit, "team_password.html", login=login, password=made.password, home=HOME)

    async def show_one(self, visit: Visit) -> Response:
        return await self._form(visit, await self._member(visit))

    async def save(self, visit: Visit) -> Response:
        member = await self._member(visit)
        try:
            changed = await people.change_access(
                self._platform,
                visit.actor,
                Allowance.of(visit.who.person),
                member.person_id,
                _access(visit),
            )
        except Unfit as unfit:
            return await self._form(visit, member, unfit)
        return visit.go(f"{HOME}/{member.person_id}", "rights-saved" if changed else "nothing")

    async def reset_password(self, visit: Visit) -> Response:
        member = await self._member(visit)
        password = await people.reset_password(
            self._platform, visit.actor, Allowance.of(visit.who.person), member.person_id
        )
        return self._page(visit, "team_password.html", login=member.login, password=password, home=HOME)

    async def do(self, deed: Deed, said: str, visit: Visit) -> Response:
        member = await self._member(visit)
        await deed(self._platform, visit.actor, Allowance.of(visit.who.person), member.person_id)
        return visit.go(f"{HOME}/{member.person_id}", said)

    async def _member(self, visit: Visit) -> Person:
        """Somebody of one of my projects. Raises NotFound, and writes the attempt down, for anybody else."""
        person_id = visit.request.path_params["person_id"]
        person = await people.find(self._platform, person_id) if person_id < 2**63 else None
        if person is None or not set(person.project_ids) & set(visit.project_ids):
            extra = {"person_id": visit.who.person.person_id, "wanted": person_id, "address": visit.address}
            log.warning("another team's person", extra=extra)
            raise NotFound
        return person

    async def _form(self, visit: Visit, member: Person | None, unfit: Unfit | None = None) -> Response:
        """What was just sent, else what is kept, else nothing."""
        access = (
            _access(visit)
            if visit.form
            else people.access_of(member)
            if member
            else Access(frozenset(), frozenset(visit.project_ids))
        )
        own = visit.who.person.rights
        return self._page(
            visit,
            "team_member.html",
            400 if unfit else 200,
            member=member,
            mine=member is None or Allowance.of(visit.who.person).covers(member),
            access=access,
            roles=[(role, RIGHTS_OF[role] <= own) for role in Role],
            rights=[right for right in Right if right in self._offered() and right in own],
            projects=await projects.of(self._platform, visit.project_ids),
            unfit=unfit,
            home=HOME,
        )


def _access(visit: Visit) -> Access:
    """What the form gives: roles, and per right `added`, `removed` or as the roles have it. Raises Unfit for unknown words."""
    try:
        single = {Right(name[6:]): value for name, value in visit.fields if name.startswith("right_")}
        return Access(
            roles=frozenset(Role(name) for name in visit.several("roles")),
            project_ids=frozenset(int(text) for text in visit.several("project_ids")),
            rights_added=frozenset(right for right, value in single.items() if value == "added"),
            rights_removed=frozenset(right for right, value in single.items() if value == "removed"),
        )
    except ValueError:
        raise Unfit("This role or right does not exist.", "roles") from None
