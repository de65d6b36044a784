"""A new master key: every stored secret is sealed anew with it, in batches, beside servers that go on."""

import asyncio
import base64
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import pytest
from tests.dashboard import SECRETS, SHOP, VAULT, Member, Office, open_office
from tests.processes import until

from wongate.__main__ import main
from wongate.app import opened
from wongate.commands import create_project, save_account
from wongate.connections.vault import Vault, VaultError, new_master_key
from wongate.domain.rights import Role
from wongate.flows import audit, profile, projects
from wongate.flows.audit import OPERATOR
from wongate.flows.platform import Platform
from wongate.flows.rekey import AT_ONCE, Resealed, rekey
from wongate.settings import Settings
from wongate.store import projects as project_rows
from wongate.store import tokens
from wongate.store.sealed import SEALED

OLD, NEW, LOST = base64.b64encode(b"k" * 32).decode(), new_master_key(), new_master_key()
BOTH, NEW_ALONE, LOST_VAULT = (Vault.from_text(text) for text in (f"{NEW},{OLD}", NEW, LOST))
TOKEN = "A" * 30
ENDED_TOKEN = "B" * 30
COLUMNS = [f"{where.table}.{where.column}" for where in SEALED]


@dataclass(frozen=True, slots=True)
class Sealed:
    """An office with one secret in each sealed column, all under the old key, and a platform that knows both."""

    office: Office
    platform: Platform
    member: Member
    rotated: str

    async def rekey(self) -> list[Resealed]:
        return await rekey(self.platform, OPERATOR, lambda done, total: None)

    async def texts(self) -> list[tuple[str, str]]:
        """Each sealed text with its column."""
        return [
            (f"{where.table}.{where.column}", row[0])
            for where in SEALED
            for row in await self.office.rows(
                f"SELECT {where.column} FROM {where.table} WHERE {where.column} IS NOT NULL ORDER BY {where.key}"
            )
        ]


@asynccontextmanager
async def sealed_office(database: str) -> AsyncIterator[Sealed]:
    async with open_office(database) as office:
        member = await office.member(Role.MERCHANT_ADMIN)
        (shop,) = await projects.of(office.platform, [SHOP])
        rotated = await projects.rotate_secret(
            office.platform, OPERATOR, SHOP, timedelta(days=30), shop.secret_version
        )
        await keep_token(office, member, TOKEN)
        yield Sealed(office, replace(office.platform, vault=BOTH, _projects={}), member, rotated)


async def keep_token(office: Office, member: Member, token: str) -> None:
    sealed = VAULT.seal(f"secret of {token}", place=f"api_token/{token}/secret")
    async with office.platform.database.transaction() as tx:
        await tokens.create(tx, token, member.person_id, sealed, office.clock.now())


async def opens_with_the_new_key_alone(stage: Sealed) -> None:
    """Read through the flows that use the secrets, by a process that never knew the old key."""
    platform = replace(stage.platform, vault=NEW_ALONE, _projects={})
    project = await platform.project(SHOP)
    assert project
    assert (stage.rotated, SECRETS[SHOP]) == project.secrets
    assert "key" == project.account.merchant_key
    holder = await profile.by_api_token(platform, TOKEN)
    assert holder
    assert f"secret of {TOKEN}" == holder.secret
    assert stage.member.totp_secret == NEW_ALONE.open(
        str(holder.person.sealed_totp), place=f"person/{stage.member.person_id}/totp"
    )


def counts(results: list[Resealed]) -> list[tuple[int, int, int]]:
    return [(one.resealed, one.fresh, one.left) for one in results]


async def test_every_secret_opens_with_the_new_key_alone(database: str):
    async with sealed_office(database) as stage:
        assert COLUMNS == list(dict.fromkeys(name for name, _ in await stage.texts()))
        assert [(1, 0, 0), (2, 0, 0), (1, 0, 0), (1, 0, 0), (1, 0, 0)] == counts(await stage.rekey())
        await opens_with_the_new_key_alone(stage)


async def test_no_row_of_any_table_holds_what_the_old_key_sealed(database: str):
    """Also not one in a column of another name, which the list of columns would not have."""
    async with sealed_office(database) as stage:
        tables = await stage.office.rows("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")

        async def under_old_key() -> int:
            return sum(
                [
                    await stage.office.value(
                        f"SELECT count(*) FROM {row[0]} t WHERE strpos(t::text, $1) > 0", VAULT.current_header
                    )
                    for row in tables
                ]
            )

        assert 5 == await under_old_key()  # rows: an account, two projects, a person, a token
        await stage.rekey()
        assert 0 == await under_old_key()


async def test_a_second_run_changes_nothing(database: str):
    async with sealed_office(database) as stage:
        await stage.rekey()
        before = await stage.office.fingerprint()
        assert [(0, 1, 0), (0, 2, 0), (0, 1, 0), (0, 1, 0), (0, 1, 0)] == counts(await stage.rekey())
        assert before == await stage.office.fingerprint()


async def test_nothing_but_the_sealed_texts_changes(database: str):
    async with sealed_office(database) as stage:
        statement = "SELECT to_jsonb(t) - $1::text[] AS row FROM {} t"
        texts = [where.column for where in SEALED]

        async def others() -> list[Any]:
            tables = ("account", "project", "person", "api_token")
            return [await stage.office.rows(statement.format(table), texts) for table in tables]

        before = await others()
        await stage.rekey()
        assert before == await others()


async def test_a_run_that_breaks_off_is_taken_up_by_the_next(database: str):
    class Killed(Exception):
        pass

    commits: list[str] = []

    def die(name: str) -> None:
        commits.append(name)
        if commits.count("commit") == 3:
            raise Killed

    async with sealed_office(database) as stage:
        stage.platform.database.seam = die
        with pytest.raises(Killed):
            await stage.rekey()
        stage.platform.database.seam = lambda name: None
        assert 3 == sum(text.startswith(BOTH.current_header) for _, text in await stage.texts())
        assert [(0, 1, 0), (0, 2, 0), (1, 0, 0), (1, 0, 0), (1, 0, 0)] == counts(await stage.rekey())
        await opens_with_the_new_key_alone(stage)


async def test_many_secrets_go_in_batches_and_say_how_far(database: str):
    async with sealed_office(database) as stage:
        async with stage.platform.database.transaction() as tx:
            for account_id in range(2, 2 * AT_ONCE + 2):
                await save_account(tx, VAULT, account_id, "wongate01m", f"key {account_id}", {})
        told: list[tuple[int, int]] = []
        results = await rekey(stage.platform, OPERATOR, lambda done, total: told.append((done, total)))
        total = 2 * AT_ONCE + 6
        assert 2 * AT_ONCE + 1 == results[0].resealed
        assert [AT_ONCE, 2 * AT_ONCE, 2 * AT_ONCE + 1] == [done for done, _ in told[:3]]
        assert {total} == {of for _, of in told}
        assert (total, total) == told[-1]
        for row in await project_rows.accounts(stage.office.platform.database._pool):
            key = NEW_ALONE.open(row["sealed_key"], place=f"account/{row['account_id']}/key")
            assert key == ("key" if row["account_id"] == 1 else f"key {row['account_id']}")


# --- what opens with none of the keys ---

NAMES = {
    "account.sealed_key": "MerchantKey of account 1 (project 1001, 2002): ",
    "project.sealed_secret": "secret of project 1001: ",
    "project.previous_sealed_secret": "previous secret of project 1001: ",
    "person.sealed_totp": "second factor of person {person} (project 1001): ",
    "api_token.sealed_secret": "secret of Data API token AAAA…AA (project 1001): ",
}
ROWS = {"account": "account_id = 1", "project": "project_id = 1001", "person": "true", "api_token": "true"}


async def put(stage: Sealed, column: str, text: str) -> None:
    table, _, name = column.partition(".")
    async with stage.platform.database.transaction() as tx:
        await tx.execute(f"UPDATE {table} SET {name} = $1 WHERE {ROWS[table]}", text)


@pytest.mark.parametrize("column", COLUMNS)
async def test_a_secret_that_no_key_opens_is_named_and_nothing_is_changed(database: str, column: str):
    async with sealed_office(database) as stage:
        await put(stage, column, LOST_VAULT.seal("hunter2", place="anywhere"))
        before = await stage.office.fingerprint()
        with pytest.raises(VaultError) as refusal:
            await stage.rekey()
        reason = (
            f"sealed with master key {LOST_VAULT.current_key}, which is not configured. Nothing was changed"
        )
        said = str(refusal.value)
        assert said.startswith(NAMES[column].format(person=stage.member.person_id) + reason), said
        assert TOKEN not in said
        assert before == await stage.office.fingerprint()


async def test_a_fresh_secret_that_was_damaged_is_found_too(database: str):
    async with sealed_office(database) as stage:
        await stage.rekey()
        await put(stage, "account.sealed_key", NEW_ALONE.seal("key", place="account/2/key"))
        with pytest.raises(VaultError, match=r"MerchantKey of account 1 .*: this secret was changed"):
            await stage.rekey()


async def test_many_that_do_not_open_are_named_in_part_and_counted(database: str):
    async with sealed_office(database) as stage:
        async with stage.platform.database.transaction() as tx:
            for account_id in range(2, 9):
                await save_account(tx, LOST_VAULT, account_id, "wongate01m", "key", {})
        with pytest.raises(VaultError, match=r"account 2: .* account 6: .*configured; and 2 more\. "):
            await stage.rekey()


async def test_what_is_of_no_use_any_more_stands_in_nobodys_way(database: str):
    async with sealed_office(database) as stage:
        await put(stage, "project.previous_sealed_secret", LOST_VAULT.seal("old", place="anywhere"))
        await put(stage, "api_token.sealed_secret", LOST_VAULT.seal("old", place="anywhere"))
        async with stage.platform.database.transaction() as tx:
            await tokens.end_of_person(tx, stage.member.person_id, stage.office.clock.now())
        stage.office.clock.advance(days=30, seconds=-1)
        with pytest.raises(VaultError, match=r"^previous secret of project 1001: .*configured. Nothing"):
            await stage.rekey()
        stage.office.clock.advance(seconds=1)
        assert [(1, 0, 0), (2, 0, 0), (0, 0, 1), (1, 0, 0), (0, 0, 1)] == counts(await stage.rekey())


async def test_a_token_that_has_ended_is_sealed_anew_where_it_opens(database: str):
    async with sealed_office(database) as stage:
        async with stage.platform.database.transaction() as tx:
            await tokens.end_of_person(tx, stage.member.person_id, stage.office.clock.now())
        await keep_token(stage.office, stage.member, ENDED_TOKEN)
        assert (2, 0, 0) == counts(await stage.rekey())[-1]


# --- beside servers that go on ---


async def waits_for_a_lock(office: Office) -> bool:
    return bool(
        await office.value(
            "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
        )
    )


async def test_a_secret_that_is_rotated_meanwhile_is_sealed_anew_where_it_went(database: str):
    """The lock is waited for, and what is read under it is what the rotation left."""
    async with sealed_office(database) as stage:
        database_of_server = stage.office.platform.database
        async with database_of_server.transaction() as tx:
            row = await project_rows.lock(tx, SHOP)
            assert row
            running = asyncio.create_task(stage.rekey())
            await until(lambda: waits_for_a_lock(stage.office))
            sealed, now = BOTH.seal("newest", place=f"project/{SHOP}/secret"), stage.office.clock.now()
            await project_rows.rotate_secret(tx, SHOP, sealed, now + timedelta(days=1), now)
        await running
        kept = await project_rows.load(database_of_server._pool, SHOP)
        assert kept
        place = f"project/{SHOP}/secret"
        assert ("newest", stage.rotated) == (
            NEW_ALONE.open(kept.sealed_secret, place=place),
            NEW_ALONE.open(str(kept.previous_sealed_secret), place=place),
        )


async def test_a_secret_that_comes_meanwhile_and_does_not_open_ends_the_run_with_its_name(database: str):
    async with sealed_office(database) as stage:
        async with stage.office.platform.database.transaction() as tx:
            await project_rows.lock(tx, SHOP)
            running = asyncio.create_task(stage.rekey())
            await until(lambda: waits_for_a_lock(stage.office))
            await tx.execute(
                "UPDATE project SET sealed_secret = $1 WHERE project_id = 1001",
                LOST_VAULT.seal("hunter2", place="anywhere"),
            )
        with pytest.raises(VaultError, match=r"^secret of project 1001: sealed with master key "):
            await running


async def test_requests_are_served_while_secrets_are_sealed_anew(database: str):
    """A server that knows both keys opens each secret before and after, whichever it has just read."""
    async with sealed_office(database) as stage:
        server = replace(stage.platform, _projects={})
        running = asyncio.create_task(stage.rekey())
        reads = 0
        while not running.done() or not reads:
            server._projects.clear()
            project = await server.project(SHOP)
            assert project
            assert (stage.rotated, SECRETS[SHOP]) == project.secrets
            reads += 1
        await running


# --- the audit log ---


async def test_each_batch_is_written_down_with_its_projects_and_without_secrets(database: str):
    async with sealed_office(database) as stage:
        before = len(await stage.office.deeds())
        await stage.rekey()
        rows = (await stage.office.rows("SELECT * FROM audit_entry ORDER BY seq"))[before:]
        assert [
            {"what": column, "rows": 2 if column == "project.sealed_secret" else 1} for column in COLUMNS
        ] == [row["after"] for row in rows]
        assert [[1001, 2002], [1001, 2002], [1001], [1001], [1001]] == [row["project_ids"] for row in rows]
        told = {(row["actor"], row["action"], row["object"]) for row in rows}
        assert {("operator", "secrets sealed anew", f"master key/{BOTH.current_key}")} == told
        assert None is (await audit.verify(stage.platform.database)).bad_seq


# --- the command line ---


@dataclass(frozen=True, slots=True)
class CommandLine:
    """`wongate rekey` in a thread of its own, as it has an event loop of its own."""

    environment: pytest.MonkeyPatch
    output: pytest.CaptureFixture[str]
    database: str

    async def rekey(self, master_key: str) -> tuple[int, str]:
        self.environment.setenv("WONGATE_DATABASE_URL", self.database)
        self.environment.setenv("WONGATE_MASTER_KEY", master_key)
        self.output.readouterr()
        code = await asyncio.to_thread(main, ["rekey"])
        printed = self.output.readouterr()
        return code, printed.out + printed.err


@pytest.fixture
def wongate(
    database: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> CommandLine:
    return CommandLine(monkeypatch, capsys, database)


async def test_the_command_says_what_it_did_and_what_was_done_before(wongate: CommandLine):
    async with sealed_office(wongate.database) as stage:
        for resealed, fresh in (("1", "0"), ("0", "1")):
            code, said = await wongate.rekey(f"{NEW},{OLD}")
            assert 0 == code, said
            for column in set(COLUMNS) - {"project.sealed_secret"}:
                assert re.search(rf"^{column} +{resealed} +{fresh}$", said, re.MULTILINE), said
            assert said.endswith(
                f"master key {BOTH.current_key} opens all of them: the others may leave WONGATE_MASTER_KEY\n"
            )
            assert all(secret not in said for secret in (NEW, OLD, TOKEN, stage.rotated))
        await opens_with_the_new_key_alone(stage)
    async with opened(Settings(database_url=wongate.database, master_key=NEW)) as platform:
        assert await platform.project(SHOP)


async def test_without_the_old_key_the_command_refuses_in_one_line(wongate: CommandLine):
    async with sealed_office(wongate.database) as stage:
        before = await stage.texts()
        code, said = await wongate.rekey(NEW)
        assert (2, 1, True) == (
            code,
            said.count("\n"),
            said.startswith("wongate: MerchantKey of account 1"),
        ), said
        assert "add the key to WONGATE_MASTER_KEY" in said
        assert before == await stage.texts()


async def test_a_server_that_still_seals_with_the_old_key_is_told(wongate: CommandLine):
    """It makes a project while the people, who come after projects, are waited for."""
    async with sealed_office(wongate.database) as stage:
        database = stage.office.platform.database
        async with database.transaction() as holding:
            await holding.fetch("SELECT 1 FROM person FOR UPDATE")
            running = asyncio.create_task(wongate.rekey(f"{NEW},{OLD}"))
            await until(lambda: waits_for_a_lock(stage.office))
            async with database.transaction() as tx:
                await create_project(tx, VAULT, 3003, "Late", "secret", 1, {})
        code, said = await running
        assert (1, True) == (
            code,
            "\n1 were sealed with another key meanwhile: start every server" in said,
        ), said
        code, said = await wongate.rekey(f"{NEW},{OLD}")
        assert 0 == code
        assert re.search(r"^project.sealed_secret +1 +2$", said, re.MULTILINE), said


async def test_what_was_left_is_counted(wongate: CommandLine):
    async with sealed_office(wongate.database) as stage:
        await put(stage, "api_token.sealed_secret", LOST_VAULT.seal("old", place="anywhere"))
        async with stage.platform.database.transaction() as tx:
            await tokens.end_of_person(tx, stage.member.person_id, stage.office.clock.now())
            await tx.execute("UPDATE api_token SET ended_at = '2020-01-01Z'")
        code, said = await wongate.rekey(f"{NEW},{OLD}")
        assert (0, True) == (code, "\n1 of no use any more open with none of the keys" in said), said
