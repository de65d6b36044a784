"""Users from the command line, and the sandbox's ready login."""

import asyncio
import json
import re
from pathlib import Path

import pytest
from tests.dashboard import PASSWORD, SHOP, open_office

from wongate import sandbox, sandbox_login
from wongate.__main__ import main
from wongate.domain import one_time
from wongate.domain.rights import Role
from wongate.flows import people, sign_in
from wongate.flows.audit import OPERATOR
from wongate.flows.people import OPERATOR_MAY
from wongate.sandbox_login import Login

LOGIN = "anna@shop.example"


@pytest.fixture
def settings(database: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The environment of an operator whose database has two projects."""
    monkeypatch.setenv("WONGATE_DATABASE_URL", database)
    monkeypatch.setenv("WONGATE_MASTER_KEY", "a2tra2tra2tra2tra2tra2tra2tra2tra2tra2tra2s=")
    return database


async def _two_projects(url: str) -> None:
    async with open_office(url):
        pass


def said(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    code = main(arguments)
    out, error = capsys.readouterr()
    return code, out + error


def test_an_operator_makes_lists_and_locks_out_users(
    settings: str, capsys: pytest.CaptureFixture[str]
) -> None:
    asyncio.run(_two_projects(settings))
    command = ("user", "create", LOGIN, "--role", "merchant_admin", "--project", str(SHOP))
    code, text = said(capsys, *command)
    password = re.search(r"password  (\S+)", text)
    assert 0 == code
    assert password
    assert (2, "wongate: This login is taken.\n") == said(capsys, *command)

    code, text = said(capsys, "user", "list")
    assert re.search(rf"{LOGIN} .* merchant_admin  1001 +off +active", text)
    assert password[1] not in text
    assert "deactivated" in said(capsys, "user", "deactivate", LOGIN)[1]
    assert re.search(r"off +deactivated", said(capsys, "user", "list")[1])
    assert "active again" in said(capsys, "user", "deactivate", LOGIN, "--undo")[1]
    assert re.search(r"password  \S{20}\n", said(capsys, "user", "reset-password", LOGIN)[1])
    assert 0 == said(capsys, "user", "reset-second-factor", LOGIN)[0]
    code, text = said(capsys, "audit")
    assert 0 == code
    assert re.search(r"audit log: 5 rows, unbroken, head [0-9a-f]{64}", text)


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("user", "deactivate", "nobody"), "there is no user nobody"),
        (("user", "create", "ab", "--role", "support", "--project", "1001"), "3 to 100 characters"),
        (("user", "create", LOGIN, "--role", "support"), "at least one project"),
        (("user", "create", LOGIN, "--role", "support", "--project", "7"), "no such project"),
        (("user", "create", LOGIN, "--project", "1001"), "at least one role"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_two(
    settings: str, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], reason: str
) -> None:
    code, text = said(capsys, *arguments)
    assert (2, 1) == (code, text.count("\n"))
    assert reason in text


async def _break_row_two(url: str) -> None:
    async with open_office(url) as office:
        for _ in range(3):
            await people.create(
                office.platform,
                OPERATOR,
                OPERATOR_MAY,
                f"user{office.platform.ids.next()}",
                "",
                people.Access(frozenset({Role.SUPPORT}), frozenset({SHOP})),
            )
        async with office.platform.database.transaction() as tx:
            await tx.execute("UPDATE audit_entry SET actor = 'x' WHERE seq = 2")


def test_a_broken_log_is_exit_code_one_with_its_row(
    settings: str, capsys: pytest.CaptureFixture[str]
) -> None:
    asyncio.run(_break_row_two(settings))
    code, text = said(capsys, "audit")
    assert (1, True) == (code, "breaks at row 2" in text)


async def test_the_sandboxs_login_works_and_is_put_right_at_each_start(database: str) -> None:
    login = Login(sandbox_login.USER, PASSWORD, one_time.spelled(b"s" * one_time.SECRET_BYTES))
    async with open_office(database) as office:
        for _ in range(2):
            await sandbox_login.prepare(office.platform, login, SHOP)
        assert 1 == await office.value("SELECT count(*) FROM person")

        person = await people.find_by_login(office.platform, login.user)
        assert person
        await people.set_active(office.platform, OPERATOR, OPERATOR_MAY, person.person_id, active=False)
        await people.reset_password(office.platform, OPERATOR, OPERATOR_MAY, person.person_id)
        await people.reset_second_factor(office.platform, OPERATOR, OPERATOR_MAY, person.person_id)
        await sandbox_login.prepare(office.platform, login, SHOP)

        entered = await sign_in.sign_in(office.platform, login.user, login.password, "127.0.0.1", "")
        assert isinstance(entered, sign_in.Entered)
        who = await sign_in.visitor(office.platform, entered.token, "127.0.0.1")
        assert who
        code = one_time.code_of(login.totp_secret, one_time.step_of(office.clock.now()))
        assert isinstance(await sign_in.confirm(office.platform, who, code), sign_in.Entered)


def test_a_sandbox_keeps_its_login_over_restarts_and_an_old_folder_is_given_one(tmp_path: Path) -> None:
    path = tmp_path / "credentials.json"
    first = sandbox._credentials(path)
    assert first == sandbox._credentials(path)
    assert 0o600 == path.stat().st_mode & 0o777

    kept = json.loads(path.read_text())
    del kept["dashboard_password"], kept["totp_secret"]
    path.write_text(json.dumps(kept))
    second = sandbox._credentials(path)
    assert first.secret == second.secret
    assert second.dashboard_password not in ("", first.dashboard_password)
    assert second == sandbox._credentials(path)
