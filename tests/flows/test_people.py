"""People, their rights, and the audit log that nobody can change unnoticed."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from tests.dashboard import OTHER_SHOP, SHOP, Office, open_office

from wongate.domain.refusal import Unfit
from wongate.domain.rights import Right, Role
from wongate.flows import audit, people, profile, sign_in
from wongate.flows.audit import OPERATOR, Actor
from wongate.flows.people import OPERATOR_MAY, Access, Allowance
from wongate.flows.sign_in import Visitor

ACTOR = Actor(7, "anna@shop.example", "203.0.113.7", (SHOP,))


async def fill_log(office: Office, entries: int) -> None:
    for number in range(entries):
        after = {"number": number, "text": 'Ünï "코드"', "list": [1, "2"], "nothing": None, "half": 0.5}
        await audit.note(office.platform, ACTOR, "something done", after=after)


async def test_twenty_parallel_writers_keep_one_unbroken_chain(database: str) -> None:
    async with open_office(database) as office, open_office(database) as other:

        async def write(number: int) -> None:
            for _ in range(5):
                await audit.note((office, other)[number % 2].platform, ACTOR, f"writer {number}")

        await asyncio.gather(*(write(number) for number in range(20)))
        verdict = await audit.verify(office.platform.database)
        assert (100, None) == (verdict.entries, verdict.bad_seq)
        assert verdict.head == await office.value("SELECT hash FROM audit_entry WHERE seq = 100")


async def test_an_empty_log_is_unbroken(database: str) -> None:
    async with open_office(database) as office:
        assert audit.Verdict(0, "") == await audit.verify(office.platform.database)


FORGERIES = (
    ("UPDATE audit_entry SET actor = 'somebody else' WHERE seq = 5", 5),
    ("UPDATE audit_entry SET after = after || '{\"number\": 99}' WHERE seq = 5", 5),
    ("UPDATE audit_entry SET before = '{}' WHERE seq = 5", 5),
    ("UPDATE audit_entry SET at = at + interval '1 microsecond' WHERE seq = 5", 5),
    ("UPDATE audit_entry SET project_ids = '{}' WHERE seq = 5", 5),
    ("UPDATE audit_entry SET confirmed = true WHERE seq = 5", 5),
    ("UPDATE audit_entry SET person_id = NULL WHERE seq = 1", 1),
    ("UPDATE audit_entry SET hash = repeat('0', 64) WHERE seq = 5", 5),
    ("DELETE FROM audit_entry WHERE seq = 5", 5),
    ("DELETE FROM audit_entry WHERE seq = 1", 1),
    ("DELETE FROM audit_entry WHERE seq = 10", 10),
    ("DELETE FROM audit_entry", 1),
    ("UPDATE audit_entry SET seq = seq + 100 WHERE seq = 5", 5),
    (
        "UPDATE audit_entry a SET actor = b.actor, after = b.after, hash = b.hash FROM audit_entry b "
        "WHERE (a.seq, b.seq) IN ((5, 6), (6, 5))",
        5,
    ),
    (
        "INSERT INTO audit_entry SELECT 0, at, person_id, actor, address, action, object, project_ids, before, "
        "after, confirmed, hash FROM audit_entry WHERE seq = 5",
        0,
    ),
    (
        "INSERT INTO audit_entry SELECT 11, at, person_id, actor, address, action, object, project_ids, before, "
        "after, confirmed, hash FROM audit_entry WHERE seq = 5",
        11,
    ),
    ("DELETE FROM audit_head", 1),
    ("UPDATE audit_head SET hash = repeat('0', 64)", 11),
)


async def test_a_change_past_the_program_is_found_at_its_first_row(database: str) -> None:
    """As the tables' owner, one forgery after another on the same ten rows."""
    async with open_office(database) as office:
        await fill_log(office, 10)
        for statement, bad_seq in FORGERIES:
            assert (await audit.verify(office.platform.database)).bad_seq is None
            await _run(office, *KEEP, statement)
            assert bad_seq == (await audit.verify(office.platform.database)).bad_seq, statement
            await _run(office, *RESTORE)


KEEP = ("CREATE TABLE kept_entry AS TABLE audit_entry", "CREATE TABLE kept_head AS TABLE audit_head")
RESTORE = (
    "DELETE FROM audit_entry",
    "DELETE FROM audit_head",
    "INSERT INTO audit_entry TABLE kept_entry",
    "INSERT INTO audit_head TABLE kept_head",
    "DROP TABLE kept_entry, kept_head",
)


async def _run(office: Office, *statements: str) -> None:
    async with office.platform.database.transaction() as tx:
        for statement in statements:
            await tx.execute(statement)


async def test_a_row_that_is_sealed_anew_breaks_the_chain_at_the_next(database: str) -> None:
    async with open_office(database) as office:
        await fill_log(office, 10)
        from wongate.domain.audit import Entry

        rows = [Entry.of(row) for row in await office.rows("SELECT * FROM audit_entry ORDER BY seq")]
        forged = replace(rows[4], actor="somebody else")
        forged = replace(forged, hash=forged.expected_hash(rows[3].hash))
        async with office.platform.database.transaction() as tx:
            await tx.execute(
                "UPDATE audit_entry SET actor = $1, hash = $2 WHERE seq = 5", forged.actor, forged.hash
            )
        assert 6 == (await audit.verify(office.platform.database)).bad_seq


async def test_a_deed_that_is_rolled_back_leaves_no_row(database: str) -> None:
    async with open_office(database) as office:
        member = await office.member(Role.SUPPORT)
        before = await office.deeds()
        outsider = Allowance(1, frozenset(Right), frozenset({OTHER_SHOP}))
        with pytest.raises(Unfit):
            await people.set_active(office.platform, ACTOR, outsider, member.person_id, active=False)
        assert before == await office.deeds()


def access(*roles: Role, projects: tuple[int, ...] = (SHOP,), **more: Any) -> Access:
    return Access(frozenset(roles), frozenset(projects), **more)


async def allowance_of(office: Office, *roles: Role, **more: Any) -> Allowance:
    member = await office.member(*roles, **more)
    person = await people.find(office.platform, member.person_id)
    assert person
    return Allowance.of(person)


async def test_nobody_gives_more_than_he_has(database: str) -> None:
    async with open_office(database) as office:
        manager = await allowance_of(office, Role.SUPPORT, rights_added=frozenset({Right.USERS}))
        for given in (
            access(Role.MERCHANT_ADMIN),
            access(Role.OPERATIONS),
            access(Role.SUPPORT, rights_added=frozenset({Right.REFUNDS})),
            access(Role.SUPPORT, projects=(SHOP, OTHER_SHOP)),
        ):
            with pytest.raises(Unfit, match="does not have"):
                await people.create(office.platform, ACTOR, manager, "new@shop.example", "", given)
        await people.create(office.platform, ACTOR, manager, "new@shop.example", "", access(Role.SUPPORT))


async def test_an_account_that_reaches_further_than_ones_own_is_not_touched(database: str) -> None:
    """Otherwise a reset password would be a way into other people's projects and rights."""
    async with open_office(database) as office:
        mine = await allowance_of(office, Role.SUPPORT, rights_added=frozenset({Right.USERS}))
        further = [
            await office.member(Role.SUPPORT, projects=[SHOP, OTHER_SHOP]),
            await office.member(Role.SUPPORT, projects=[OTHER_SHOP]),
            await office.member(Role.OPERATIONS),
        ]
        targets = [member.person_id for member in further] + [mine.person_id or 0]
        for person_id in targets:
            for deed in (
                people.reset_password,
                people.reset_second_factor,
                people.end_sessions,
            ):
                with pytest.raises(Unfit):
                    await deed(office.platform, ACTOR, mine, person_id)
            with pytest.raises(Unfit):
                await people.change_access(office.platform, ACTOR, mine, person_id, access(Role.SUPPORT))


async def test_what_was_changed_is_written_down_without_secrets(database: str) -> None:
    async with open_office(database) as office:
        made = await people.create(
            office.platform, OPERATOR, OPERATOR_MAY, "new@shop.example", "New", access(Role.SUPPORT)
        )
        await people.change_access(
            office.platform, OPERATOR, OPERATOR_MAY, made.person_id, access(Role.FINANCE, Role.SUPPORT)
        )
        password = await people.reset_password(office.platform, OPERATOR, OPERATOR_MAY, made.person_id)
        entries = await office.rows("SELECT action, before, after, object FROM audit_entry ORDER BY seq")
        assert ["user created", "user's rights changed", "user's password reset"] == [
            entry["action"] for entry in entries
        ]
        assert {"roles": ["support"]} == entries[1]["before"]
        assert {"roles": ["finance", "support"]} == entries[1]["after"]
        assert {f"person/{made.person_id}"} == {entry["object"] for entry in entries}
        dump = str(entries)
        assert made.password not in dump
        assert password not in dump


async def test_a_login_is_taken_in_any_case(database: str) -> None:
    async with open_office(database) as office:
        for login, fits in (
            ("Anna@shop.example", True),
            (" anna@SHOP.example", False),
            ("a b", False),
            ("ab", False),
        ):
            creating = people.create(office.platform, OPERATOR, OPERATOR_MAY, login, "", access(Role.SUPPORT))
            if fits:
                await creating
            else:
                with pytest.raises(Unfit):
                    await creating


async def visitor_of(office: Office, *roles: Role) -> Visitor:
    browser = await office.enter(await office.member(*roles))
    who = await sign_in.visitor(office.platform, browser.cookie.partition("=")[2], browser.address)
    assert who
    return who


async def test_an_api_token_lends_its_persons_projects_and_only_the_newest_works(database: str) -> None:
    async with open_office(database) as office:
        who = await visitor_of(office, Role.SUPPORT)
        first = await profile.create_api_token(office.platform, who)
        second = await profile.create_api_token(office.platform, who)
        assert 30 == len(first.token) == len(second.token)
        assert await profile.by_api_token(office.platform, first.token) is None
        holder = await profile.by_api_token(office.platform, second.token)
        assert holder
        assert (second.secret, (SHOP,)) == (holder.secret, holder.person.project_ids)
        assert second.secret not in str(await office.rows("SELECT t::text FROM api_token t"))


async def test_two_tokens_made_at_once_leave_one_that_works(database: str) -> None:
    async with open_office(database) as office:
        who = await visitor_of(office, Role.SUPPORT)
        made = await asyncio.gather(*(profile.create_api_token(office.platform, who) for _ in range(4)))
        working = [await profile.by_api_token(office.platform, token.token) for token in made]
        assert 1 == sum(holder is not None for holder in working)


async def test_a_token_ends_with_its_persons_right_or_account_and_never_comes_back(database: str) -> None:
    async with open_office(database) as office:
        who = await visitor_of(office, Role.SUPPORT)
        token = (await profile.create_api_token(office.platform, who)).token
        person_id = who.person.person_id

        async def works() -> bool:
            return await profile.by_api_token(office.platform, token) is not None

        without = access(Role.SUPPORT, rights_removed=frozenset({Right.API_TOKENS}))
        await people.change_access(office.platform, OPERATOR, OPERATOR_MAY, person_id, without)
        assert not await works()
        await people.change_access(office.platform, OPERATOR, OPERATOR_MAY, person_id, access(Role.SUPPORT))
        assert await works()
        await people.set_active(office.platform, OPERATOR, OPERATOR_MAY, person_id, active=False)
        await people.set_active(office.platform, OPERATOR, OPERATOR_MAY, person_id, active=True)
        assert not await works()
