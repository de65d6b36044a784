"""The schema: one sum of migrations, spread by project, and a second guard behind every rule about money."""

import asyncio
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from tests.statements import FAMILY
from tests.store.schema import dump

from wongate.store.migrate import FILES, migrate, pending

ROOT = Path(__file__).parents[2]
REFERENCE = {"project", "person_project", "history", "history_day"}
"""Tables with a project_id that are small and the same on every node."""


async def test_the_committed_schema_is_the_sum_of_the_migrations(database: str):
    committed = (ROOT / "docs" / "schema.sql").read_text()
    assert committed == await dump(database), "run `make schema` and commit docs/schema.sql"


async def test_migrations_apply_once(empty_database: str):
    names = [path.stem for path in sorted(FILES.glob("*.sql"))]
    assert names == await migrate(empty_database)
    before = await dump(empty_database)
    assert [] == await migrate(empty_database)
    assert before == await dump(empty_database)


async def test_five_starters_at_once_apply_each_migration_once(empty_database: str):
    applied = await asyncio.gather(*(migrate(empty_database) for _ in range(5)))
    names = [path.stem for path in sorted(FILES.glob("*.sql"))]
    assert names == sorted(name for done in applied for name in done)


async def test_pending_migrations_are_known_before_and_after(empty_database: str):
    connection = await asyncpg.connect(empty_database)
    try:
        assert [path.stem for path in sorted(FILES.glob("*.sql"))] == await pending(connection)
        await migrate(empty_database)
        assert [] == await pending(connection)
    finally:
        await connection.close()


def test_migrations_are_numbered_without_gaps_and_wait_for_no_lock():
    """A migration that waits behind a long statement would hold up every payment behind it."""
    files = sorted(FILES.glob("*.sql"))
    assert list(range(1, len(files) + 1)) == [int(path.name[:4]) for path in files]
    for path in files:
        statements = [line for line in path.read_text().splitlines() if line and not line.startswith("--")]
        assert statements[0].startswith("SET lock_timeout"), path.name


async def rows(url: str, query: str) -> list[Any]:
    connection = await asyncpg.connect(url)
    try:
        return list(await connection.fetch(query))
    finally:
        await connection.close()


async def test_the_list_of_distributed_tables_is_complete(database: str):
    """A new table with a project_id goes to tests/statements.py, or, if it is small and copied everywhere, into REFERENCE."""
    found = await rows(
        database,
        "SELECT c.relname FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid "
        "WHERE a.attname = 'project_id' AND c.relkind IN ('r', 'p') AND NOT c.relispartition "
        "AND c.relnamespace = 'public'::regnamespace",
    )
    assert FAMILY | REFERENCE == {row[0] for row in found}


async def test_every_key_and_unique_index_of_distributed_tables_begins_with_the_project(database: str):
    found = await rows(
        database,
        "SELECT i.indrelid::regclass::text, i.indexrelid::regclass::text, i.indisprimary, "
        "(SELECT attname FROM pg_attribute WHERE attrelid = i.indrelid AND attnum = i.indkey[0]) AS first "
        "FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid AND c.relnamespace = 'public'::regnamespace "
        "WHERE i.indisunique",
    )
    ours = [row for row in found if row[0] in FAMILY]
    assert FAMILY == {row[0] for row in ours if row[2]}, "a table without primary key"
    assert [] == [row[1] for row in ours if row["first"] != "project_id"]


async def test_every_foreign_key_among_distributed_tables_carries_the_project(database: str):
    found = await rows(
        database,
        "SELECT conname, conrelid::regclass::text AS table, confrelid::regclass::text AS target, condeferrable, "
        "(SELECT attname FROM pg_attribute WHERE attrelid = conrelid AND attnum = conkey[1]) AS own, "
        "(SELECT attname FROM pg_attribute WHERE attrelid = confrelid AND attnum = confkey[1]) AS theirs "
        "FROM pg_constraint WHERE contype = 'f'",
    )
    ours = [row for row in found if row["table"] in FAMILY]
    assert ours
    for row in ours:
        assert ("project_id", "project_id", False) == (row["own"], row["theirs"], row["condeferrable"]), row
        assert row["target"] in FAMILY, f"{row['conname']} leads to a table that is not distributed with it"


async def test_nothing_in_the_schema_is_shared_by_all_projects_or_runs_by_itself(database: str):
    """No sequence, identity, trigger, function or clock of the database on the write path."""
    sequences = await rows(database, "SELECT relname FROM pg_class WHERE relkind = 'S'")
    triggers = await rows(database, "SELECT tgname FROM pg_trigger WHERE NOT tgisinternal")
    functions = await rows(
        database, "SELECT proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace"
    )
    assert ([], [], []) == (sequences, triggers, functions)
    defaults = await rows(
        database,
        "SELECT adrelid::regclass::text, pg_get_expr(adbin, adrelid) FROM pg_attrdef "
        "WHERE adrelid::regclass::text <> 'schema_migration'",
    )
    assert [] == [row for row in defaults if "(" in row[1].replace("()", "(")], "a default that computes"


# --- the second guard: what the schema refuses whatever the program does ---

NOW = "'2026-01-01T00:00:00Z'"


def payment(**changes: str) -> str:
    values = {
        "project_id": "1",
        "payment_no": "1",
        "payment_id": "'a'",
        "payment_key": "'a'",
        "status": "'success'",
        "method": "'payco'",
        "source": "'gate'",
        "amount": "1000",
        "currency": "'KRW'",
        "captured": "1000",
        "refunded": "0",
        "reserved": "0",
        "description": "''",
        "customer_id": "''",
        "sale_id": "1",
        "created_at": NOW,
        "changed_at": NOW,
        "request": "'{}'",
        **changes,
    }
    return f"INSERT INTO payment ({', '.join(values)}) VALUES ({', '.join(values.values())})"


def operation(number: int, **changes: str) -> str:
    values = {
        "project_id": "1",
        "operation_id": str(number),
        "payment_no": "1",
        "kind": "'sale'",
        "status": "'success'",
        "stage": "'done'",
        "amount": "1000",
        "currency": "'KRW'",
        "code": "0",
        "request_id": "''",
        "request_hash": "''",
        "description": "''",
        "account_id": "1",
        "order_number": "''",
        "return_key": "''",
        "created_at": NOW,
        "changed_at": NOW,
        **changes,
    }
    return f"INSERT INTO operation ({', '.join(values)}) VALUES ({', '.join(values.values())})"


def transition(seq: int, final: str, project_id: int = 1) -> str:
    values = f"{project_id}, 1, {seq}, 'approved', 'success', 'done', 'success', 0, {final}, '', {NOW}"
    return f"INSERT INTO transition VALUES ({values})"


FORBIDDEN = {
    "a payment of nothing": [payment(amount="0", captured="0")],
    "a negative payment": [payment(amount="-1", captured="0")],
    "more captured than asked for": [payment(captured="1001")],
    "more refunded than captured": [payment(refunded="1001")],
    "more refunded and reserved than captured": [payment(refunded="600", reserved="401")],
    "a negative refund": [payment(refunded="-1")],
    "a negative reservation": [payment(reserved="-1")],
    "a refund of an unpaid payment": [payment(captured="0", reserved="1")],
    "one payment id twice": [payment(), payment(payment_no="2")],
    "an operation of nothing": [payment(), operation(1, amount="0")],
    "a negative operation": [payment(), operation(1, kind="'refund'", amount="-100")],
    "an operation without its payment": [operation(1)],
    "an operation of another project's payment": [payment(), operation(1, project_id="2")],
    "one provider's reference on two sales": [
        payment(),
        operation(1, reference="'T'"),
        operation(2, reference="'T'"),
    ],
    "one refund id twice": [
        payment(),
        operation(1, kind="'refund'", merchant_refund_id="'R'"),
        operation(2, kind="'refund'", merchant_refund_id="'R'"),
    ],
    "two final transitions": [payment(), operation(1), transition(1, "true"), transition(2, "true")],
    "one transition twice": [payment(), operation(1), transition(1, "false"), transition(1, "false")],
    "a ledger entry of nothing": [
        payment(),
        operation(1),
        transition(1, "true"),
        f"INSERT INTO ledger_entry VALUES (1, 1, 1, 'payer', 'provider', 0, {NOW})",
    ],
    "a ledger entry from an account to itself": [
        payment(),
        operation(1),
        transition(1, "true"),
        f"INSERT INTO ledger_entry VALUES (1, 1, 1, 'payer', 'payer', 5, {NOW})",
    ],
    "money that moves without a transition": [
        payment(),
        operation(1),
        f"INSERT INTO ledger_entry VALUES (1, 1, 1, 'payer', 'provider', 5, {NOW})",
    ],
}


@pytest.mark.parametrize("name", FORBIDDEN)
async def test_the_schema_itself_refuses(database: str, name: str):
    *sound, last = FORBIDDEN[name]
    connection = await asyncpg.connect(database)
    try:
        for statement in sound:
            await connection.execute(statement)
        with pytest.raises(asyncpg.IntegrityConstraintViolationError):
            await connection.execute(last)
    finally:
        await connection.close()


async def test_the_statements_of_these_tests_are_sound_where_they_should_be(database: str):
    """Else the tests above could fail for a reason of their own and nobody would notice."""
    connection = await asyncpg.connect(database)
    try:
        for statement in (
            payment(refunded="600", reserved="400"),
            payment(project_id="2"),
            payment(
                payment_no="3",
                payment_id="'b'",
                payment_key="'b'",
                status="'error'",
                amount="0",
                captured="0",
            ),
            operation(1, reference="'T'"),
            operation(2, kind="'refund'", reference="'T'", merchant_refund_id="'R'"),
            operation(3, kind="'refund'", status="'decline'", amount="0"),
            operation(1, project_id="2", reference="'T'", merchant_refund_id="'R'"),
            transition(1, "false"),
            transition(2, "true"),
            transition(3, "false"),
            f"INSERT INTO ledger_entry VALUES (1, 1, 1, 'payer', 'provider', 1, {NOW})",
        ):
            await connection.execute(statement)
    finally:
        await connection.close()
