"""The same rows by PostgreSQL's own load generator, one transaction for each sale: the machine's ceiling without gathering."""

import asyncio
import os
import subprocess
import tempfile
from datetime import UTC, datetime
from pathlib import Path

import asyncpg

from bench import orders
from bench.client import closed_loop
from bench.rig import Rig
from wongate.connections.binaries import tool
from wongate.connections.ids import first_made_at

CLIENTS = 16
IDS_MAX = first_made_at(datetime(2026, 1, 1, tzinfo=UTC))
"""Below what the servers make, and in a partition that is there."""
SECONDS = 4


def beside(built: Rig, per_second: float, *, quick: bool) -> dict[str, float]:
    """What was just measured by the second as a ratio to pgbench in the same database, right after. Ends the worker, which would
    deliver what pgbench leaves behind; its rows are those of a new sale, as in the bench of intake."""
    built.end("worker")
    _, _, ((status, answer),) = asyncio.run(closed_loop(built.gate, [orders.sale(built, "yardstick")], 1))
    assert status == 200, answer
    simple = transactions_per_second(built, "simple", 1 if quick else SECONDS)
    return {"pgbench_simple": simple, "ratio_pgbench": per_second / simple}


def transactions_per_second(built: Rig, mode: str, seconds: int = SECONDS) -> float:
    """The INSERTs of one sale by 16 clients; `mode` is `simple` (as most applications send statements) or `prepared`."""
    with tempfile.NamedTemporaryFile("w", suffix=".sql") as file:
        file.write(asyncio.run(_script(built)))
        file.flush()
        command = [*tool("pgbench"), "-n", "-M", mode, "-c", str(CLIENTS), "-j", "2", "-T", str(seconds)]
        command += ["-f", file.name, built.database_url]
        output = subprocess.run(
            command, capture_output=True, text=True, env=_library_path(), check=True
        ).stdout
    return float(next(line for line in output.splitlines() if line.startswith("tps")).split()[2])


def _library_path() -> dict[str, str]:
    library = Path(tool("pgbench")[0]).parent.parent / "lib"
    return os.environ | {"LD_LIBRARY_PATH": str(library)}


async def _script(built: Rig) -> str:
    """The newest sale's rows exactly as they were written, with ids drawn anew for each transaction."""
    connection = await asyncpg.connect(built.database_url)
    statements = [
        await _insert(connection, table, changed)
        for table, changed in (
            (
                "payment",
                {"payment_no": ":a", "payment_id": "'p' || :a", "payment_key": "'p' || :a", "sale_id": ":a"},
            ),
            ("operation", {"payment_no": ":a", "operation_id": ":a", "order_number": "'1001W' || :a"}),
            ("transition", {"operation_id": ":a"}),
            ("callback", {"operation_id": ":a", "payment_no": ":a", "callback_id": ":a"}),
        )
    ]
    await connection.close()
    return "\n".join([f"\\set a random(1, {IDS_MAX})", "BEGIN;", *statements, "COMMIT;"])


async def _insert(connection: asyncpg.Connection, table: str, changed: dict[str, str]) -> str:
    columns = [
        row["attname"]
        for row in await connection.fetch(
            "SELECT attname FROM pg_attribute WHERE attrelid = $1::text::regclass AND attnum > 0 "
            "AND NOT attisdropped ORDER BY attnum",
            table,
        )
    ]
    newest = "payment_no" if table == "payment" else "operation_id"
    quoted = ", ".join(f"quote_nullable({column}::text) AS {column}" for column in columns)
    row = await connection.fetchrow(f"SELECT {quoted} FROM {table} ORDER BY {newest} DESC LIMIT 1")
    values = ", ".join(changed.get(column) or row[column].replace("\\", "\\\\") for column in columns)
    return f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({values});"
