"""Durable intake of Gate sales against pgbench doing the same INSERTs, one transaction at a time, in the same minute."""

import json
from statistics import mean, median

import asyncpg
import uvloop

from bench import orders, pgbench
from bench.client import closed_loop, percentile
from bench.rig import Rig, rig

CLIENTS = 64
MODES = ("prepared", "simple")
"""Of pgbench; the sales are held against the simple one."""


def measure(*, quick: bool) -> dict[str, float]:
    """pgbench and sales in turns, medians. Raises AssertionError when an answer or a row is wrong: then there is no figure."""
    rounds, sales = (1, 3_000) if quick else (5, 15_000)
    with rig(worker=False) as built:
        uvloop.run(_load(built, "warm", 1_000))
        built.settle_down()
        found = _in_turns(built, rounds, sales)
        memory_mb = built.memory_mb("serve")
    return {name: median(one[name] for one in found) for name in found[0]} | {"server_memory_mb": memory_mb}


def _in_turns(built: Rig, rounds: int, sales: int) -> list[dict[str, float]]:
    """Each round of sales stands between two of pgbench and is held against their mean: what the machine does besides comes and
    goes within seconds."""
    found = []
    before = _pgbench(built)
    for number in range(rounds):
        round_ = _round(built, f"bench{number}", sales)
        after = _pgbench(built)
        for mode, one, other in zip(MODES, before, after, strict=True):
            round_[f"pgbench_{mode}"] = mean((one, other))
        round_["ratio"] = round_["per_second"] / round_["pgbench_simple"]
        round_["ratio_prepared"] = round_["per_second"] / round_["pgbench_prepared"]
        found.append(round_)
        before = after
    return found


def _pgbench(built: Rig) -> list[float]:
    return [pgbench.transactions_per_second(built, mode) for mode in MODES]


def _round(built: Rig, prefix: str, sales: int) -> dict[str, float]:
    before = built.cpu_s()
    seconds, latencies = uvloop.run(_load(built, prefix, sales))
    used = {part: (spent - before[part]) / sales * 1e6 for part, spent in built.cpu_s().items()}
    return {
        "per_second": sales / seconds,
        "p50_ms": percentile(latencies, 0.5),
        "p99_ms": percentile(latencies, 0.99),
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
