"""Durable intake of Gate sales against pgbench doing the same INSERTs, one transaction at a time, in the same minute."""

import json
from statistics import median

import asyncpg
import uvloop

from bench import orders, pgbench
from bench.client import closed_loop, percentile
from bench.rig import Rig, rig

CLIENTS = 64


def measure(*, quick: bool) -> dict[str, float]:
    """Interleaved rounds, medians. Raises AssertionError when an answer or a row is wrong: then there is no figure."""
    rounds, sales = (1, 3_000) if quick else (3, 10_000)
    with rig(worker=False) as built:
        uvloop.run(_load(built, "warm", 1_000))
        built.settle_down()
        found = [_round(built, number, sales) for number in range(rounds)]
        memory_mb = built.memory_mb("serve")
    return {name: median(one[name] for one in found) for name in found[0]} | {"server_memory_mb": memory_mb}


def _round(built: Rig, number: int, sales: int) -> dict[str, float]:
    simple = pgbench.transactions_per_second(built, "simple")
    prepared = pgbench.transactions_per_second(built, "prepared")
    before = built.cpu_s()
    seconds, latencies = uvloop.run(_load(built, f"bench{number}", sales))
    used = {part: (spent - before[part]) / sales * 1e6 for part, spent in built.cpu_s().items()}
    per_second = sales / seconds
    return {
        "per_second": per_second,
        "p50_ms": percentile(latencies, 0.5),
        "p99_ms": percentile(latencies, 0.99),
        "pgbench_simple": simple,
        "pgbench_prepared": prepared,
        "ratio": per_second / simple,
        "ratio_prepared": per_second / prepared,
        "serve_cpu_us": used["serve"],
        "postgres_cpu_us": used["postgres"],
    }


async def _load(built: Rig, prefix: str, sales: int) -> tuple[float, list[float]]:
    requests = [orders.sale(built, f"{prefix}-{index}") for index in range(sales)]
    seconds, latencies, answers = await closed_loop(built.gate, requests, CLIENTS)
    accepted = {json.loads(body)["payment_id"] for status, body in answers if status == 200}
    assert len(accepted) == sales, f"{sales - len(accepted)} sales were not accepted"
    await _all_there(built, prefix, sales)
    return seconds, latencies


async def _all_there(built: Rig, prefix: str, sales: int) -> None:
    connection = await asyncpg.connect(built.database_url)
    counts = await connection.fetchrow(
        "SELECT count(*), count(DISTINCT p.payment_key), count(o.operation_id), count(c.callback_id) FROM payment p "
        "LEFT JOIN operation o USING (project_id, payment_no) LEFT JOIN callback c USING (project_id, operation_id) "
        "WHERE p.payment_key LIKE $1",
        f"{prefix}-%",
    )
    await connection.close()
    assert set(counts) == {sales}, f"rows differ from the {sales} accepted sales: {tuple(counts)}"
