"""`wongate migrate --distribute` against functions that stand in for Citus's own, write down what they are asked and refuse what
Citus refuses: a key or a unique index without the project, a foreign key to a table that is not there, or lies elsewhere."""

from pathlib import Path

import asyncpg
import pytest
from tests.database import CITUS_URL
from tests.statements import FAMILY
from tests.store.test_schema import REFERENCE

from wongate.__main__ import main
from wongate.store.distribute import NotDistributable, distribute

pytestmark = pytest.mark.skipif(bool(CITUS_URL), reason="the cluster has functions of its own")

STAND_IN = (Path(__file__).parent / "citus_stand_in.sql").read_text()


async def execute(url: str, *statements: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        for statement in statements:
            await connection.execute(statement)
    finally:
        await connection.close()


async def asked(url: str) -> list[tuple[str, str]]:
    """What was made of which table, in the order in which it was asked for."""
    connection = await asyncpg.connect(url)
    try:
        rows = await connection.fetch("SELECT kind, name::text FROM asked ORDER BY number")
    finally:
        await connection.close()
    return [tuple(row) for row in rows]


async def stand_in_for_citus(url: str) -> None:
    name = url.partition("@/")[2].partition("?")[0]
    await execute(url, STAND_IN, f"ALTER DATABASE {name} SET search_path = public, citus_stand_in")


async def test_every_table_of_the_payment_family_is_spread_and_every_other_is_copied(database: str):
    await stand_in_for_citus(database)
    number = await distribute(database)
    made = await asked(database)
    assert number == len(made)
    assert FAMILY == {name for kind, name in made if kind == "distributed"}
    others = {name for kind, name in made if kind == "reference"}
    assert REFERENCE | {"node", "account", "person", "session", "audit_entry"} <= others
    assert "schema_migration" not in others


async def test_what_others_refer_to_comes_first(database: str):
    """The stand-in refuses any other order; this shows the one that it was asked for."""
    await stand_in_for_citus(database)
    await distribute(database)
    names = [name for _, name in await asked(database)]
    for first, then in (
        ("account", "project"),
        ("person", "session"),
        ("project", "payment"),
        ("payment", "operation"),
        ("operation", "transition"),
        ("transition", "ledger_entry"),
        ("transition", "callback"),
    ):
        assert names.index(first) < names.index(then)


async def test_a_second_run_does_nothing_and_a_run_that_broke_off_is_taken_up_again(database: str):
    await stand_in_for_citus(database)
    whole = await distribute(database)
    assert 0 == await distribute(database)
    await execute(database, "DELETE FROM asked WHERE name::text IN ('exchange', 'attempt', 'mail')")
    assert 3 == await distribute(database)
    assert whole == len(await asked(database))


@pytest.mark.parametrize(
    "table, why",
    [
        (
            "CREATE TABLE strange (project_id bigint, no bigint UNIQUE, PRIMARY KEY (project_id, no))",
            "unique",
        ),
        (
            "CREATE TABLE strange (project_id bigint, no bigint, PRIMARY KEY (project_id, no));"
            "ALTER TABLE account ADD CONSTRAINT back FOREIGN KEY (account_id, account_id) REFERENCES strange",
            "foreign key",
        ),
        (
            "CREATE TABLE strange (project_id bigint, no bigint, PRIMARY KEY (no, project_id));"
            "ALTER TABLE payment ADD CONSTRAINT crossed FOREIGN KEY (project_id, payment_no) REFERENCES strange",
            "foreign key",
        ),
    ],
)
async def test_a_schema_that_cannot_be_spread_is_refused_in_one_line(database: str, table: str, why: str):
    await stand_in_for_citus(database)
    await execute(database, table)
    with pytest.raises(NotDistributable, match=f"the server refused: .*{why}"):
        await distribute(database)


@pytest.fixture
def operator(database: str, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("WONGATE_DATABASE_URL", database)
    return database


def test_a_server_without_citus_is_told_in_one_line(operator: str, capsys: pytest.CaptureFixture[str]):
    assert 2 == main(["migrate", "--distribute"])
    said = capsys.readouterr().err
    assert (1, True) == (said.count("\n"), said.startswith("wongate: this server has no Citus")), said
