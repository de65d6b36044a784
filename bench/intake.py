"""Durable intake of Gate sales against pgbench doing the same INSERTs, one transaction at a time, in the same minute."""

import asyncio
import json
import os
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import asyncpg
import uvloop

from bench.client import closed_loop, percentile, post
from bench.rig import PROJECT_ID, Rig, rig
from wongate.connections.binaries import tool
from wongate.domain.signature import sign

CLIENTS = 64
PGBENCH_CLIENTS = 16
PGBENCH_S = 6
PATH = "/v2/payment/wallet/payco/sale"


@dataclass(slots=True)
class Intake:
    """`ratio` is our requests per second over pgbench's transactions per second."""

    per_second: float
    p50_ms: float
    p99_ms: float
    pgbench_per_second: float
    ratio: float
    server_memory_mb: float


def measure(*, rounds: int = 3, sales: int = 12_000) -> Intake:
    """Interleaved rounds, medians. Raises AssertionError when an answer or a row is wrong: then there is no figure."""
    with rig(worker=False) as built:
        figures, latencies, ceilings = [], [], []
        for number in range(rounds):
            ceilings.append(_pgbench(built))
            per_second, spent = uvloop.run(_load(built, number, sales))
            figures.append(per_second)
            latencies.append(spent)
        memory = built.memory_mb("serve")
    return Intake(
        per_second=median(figures),
        p50_ms=median(percentile(spent, 0.5) for spent in latencies),
        p99_ms=median(percentile(spent, 0.99) for spent in latencies),
        pgbench_per_second=median(ceilings),
        ratio=median(figure / ceiling for figure, ceiling in zip(figures, ceilings, strict=True)),
        server_memory_mb=memory,
    )


async def _load(built: Rig, number: int, sales: int) -> tuple[float, list[float]]:
    requests = [post(PATH, sale_body(built, f"bench-{number}-{index}")) for index in range(sales)]
    warm_up = sales // 10
    seconds, latencies, answers = await closed_loop(built.gate, requests, CLIENTS, warm_up)
    accepted = {json.loads(body)["payment_id"] for status, body in answers if status == 200}
    assert len(accepted) == sales, f"{sales - len(accepted)} sales were not accepted"
    await _all_there(built, number, sales)
    return (sales - warm_up) / seconds, latencies


def sale_body(built: Rig, payment_id: str) -> bytes:
    body = {
        "general": {"project_id": PROJECT_ID, "payment_id": payment_id},
        "payment": {"amount": 1000, "currency": "KRW", "description": "테스트 주문"},
        "customer": {"id": "customer1", "ip_address": "203.0.113.9"},
        "return_url": {
            "success": "https://shop.example/ok",
            "decline": "https://shop.example/no",
            "return": "https://shop.example/back",
        },
    }
    body["general"]["signature"] = sign(body, built.secret)  # type: ignore[index]
    return json.dumps(body, ensure_ascii=False).encode()


async def _all_there(built: Rig, number: int, sales: int) -> None:
    connection = await asyncpg.connect(built.database_url)
    counts = await connection.fetchrow(
        "SELECT count(*), count(DISTINCT p.payment_key), count(o.operation_id), count(c.callback_id) FROM payment p "
        "LEFT JOIN operation o USING (project_id, payment_no) LEFT JOIN callback c USING (project_id, operation_id) "
        "WHERE p.payment_key LIKE $1",
        f"bench-{number}-%",
    )
    await connection.close()
    assert set(counts) == {sales}, f"rows differ from the {sales} accepted sales: {tuple(counts)}"


def _pgbench(built: Rig) -> float:
    """Transactions per second of the four INSERTs of one sale, by 16 clients with prepared statements."""
    script = asyncio.run(_script(built))
    with tempfile.NamedTemporaryFile("w", suffix=".sql") as file:
        file.write(script)
        file.flush()
        command = [*tool("pgbench"), "-n", "-M", "prepared", "-c", str(PGBENCH_CLIENTS), "-j", "2"]
        command += ["-T", str(PGBENCH_S), "-f", file.name, built.database_url]
        output = subprocess.run(command, capture_output=True, text=True, env=_library_path(), check=True).stdout
    return float(next(line for line in output.splitlines() if line.startswith("tps")).split()[2])


def _library_path() -> dict[str, str]:
    library = Path(tool("pgbench")[0]).parent.parent / "lib"
    return os.environ | {"LD_LIBRARY_PATH": str(library)}


async def _script(built: Rig) -> str:
    """One sale's rows exactly as they were written, with ids drawn anew for each transaction."""
    connection = await asyncpg.connect(built.database_url)
    if not await connection.fetchval("SELECT count(*) FROM payment"):
        await connection.close()
        await _one_sale(built)
        connection = await asyncpg.connect(built.database_url)
    statements = [
        await _insert(connection, table, changed)
        for table, changed in (
            ("payment", {"payment_no": ":a", "payment_id": "'p' || :a", "payment_key": "'p' || :a", "sale_id": ":a"}),
            ("operation", {"payment_no": ":a", "operation_id": ":a", "order_number": "'1001W' || :a"}),
            ("transition", {"operation_id": ":a"}),
            ("callback", {"operation_id": ":a", "payment_no": ":a", "callback_id": ":a"}),
        )
    ]
    await connection.close()
    return "\n".join(["\\set a random(1, 9000000000000000)", "BEGIN;", *statements, "COMMIT;"])


async def _one_sale(built: Rig) -> None:
    await closed_loop(built.gate, [post(PATH, sale_body(built, "pattern"))], 1, 0)


async def _insert(connection: asyncpg.Connection, table: str, changed: dict[str, str]) -> str:
    columns = [
        row["attname"]
        for row in await connection.fetch(
            "SELECT attname FROM pg_attribute WHERE attrelid = $1::text::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum",
            table,
        )
    ]
    quoted = ", ".join(f"quote_nullable({column}::text) AS {column}" for column in columns)
    row = await connection.fetchrow(f"SELECT {quoted} FROM {table} ORDER BY project_id LIMIT 1")
    values = ", ".join(changed.get(column) or row[column].replace("\\", "\\\\") for column in columns)
    return f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({values});"
