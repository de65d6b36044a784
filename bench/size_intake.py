"""Intake of sales into full books beside empty ones, in turns: what the number of payments costs each new one."""

import json
from collections.abc import Mapping, Sequence
from statistics import median

import asyncpg
import uvloop

from bench import orders, pgbench
from bench.client import closed_loop
from bench.rig import PROJECT_ID, Rig, rig
from wongate.connections.ids import Ids

CLIENTS = 64
WARM = 1_000
ORDERS = ("full", "empty"), ("empty", "full")
"""Whoever comes first in a round comes right after pgbench, whose pages are still on their way to the disk: with the full books
always first their ratio was 0.86, by turns 0.95 to 1.06 in the four rounds in the middle of six."""


def measure(full: Rig, *, quick: bool) -> dict[str, float]:
    """Medians of rounds. Raises AssertionError when a sale is not accepted or not there.

    Ratios are to one pgbench, over the empty books: its ids fall anywhere, so that over full ones it would measure its own
    misses.
    """
    rounds, sales = (1, 1_000) if quick else (6, 5_000)
    with rig(worker=False) as empty:
        both = {"full": full, "empty": empty}
        for built in both.values():
            uvloop.run(_sales(built, WARM))
            built.settle_down()
        found = [_round(both, sales, ORDERS[number % 2]) for number in range(rounds)]
    figures = {key: median(one[key] for one in found) for key in found[0]}
    return figures | {
        "intake_ratio_of_empty": median(one["intake_full"] / one["intake_empty"] for one in found)
    }


def _round(both: Mapping[str, Rig], sales: int, order: Sequence[str]) -> dict[str, float]:
    figures: dict[str, float] = {}
    for name in order:
        built = both[name]
        before = built.cpu_s()
        figures[f"intake_{name}"] = sales / uvloop.run(_sales(built, sales))
        spent = {part: (after - before[part]) / sales * 1e6 for part, after in built.cpu_s().items()}
        figures[f"intake_{name}_cpu_us"] = spent["serve"] + spent["postgres"]
    pgbench_s = pgbench.transactions_per_second(both["empty"], "simple")
    return figures | {f"intake_{name}_ratio": figures[f"intake_{name}"] / pgbench_s for name in both}


async def _sales(built: Rig, sales: int) -> float:
    """Seconds."""
    first = Ids(0).next()
    requests = [orders.sale(built, f"into-{first}-{number}") for number in range(sales)]
    seconds, _, answers = await closed_loop(built.gate, requests, CLIENTS)
    accepted = {json.loads(body)["payment_id"] for status, body in answers if status == 200}
    connection = await asyncpg.connect(built.database_url)
    there = await connection.fetchval(
        "SELECT count(DISTINCT p.payment_id) FROM payment p JOIN callback c USING (project_id, payment_no) "
        "WHERE p.project_id = $1 AND p.payment_no >= $2 AND c.operation_id >= $2",
        PROJECT_ID,
        first,
    )
    await connection.close()
    assert (sales, sales) == (len(accepted), there), (
        f"{len(accepted)} of {sales} sales were accepted, {there} are there"
    )
    return seconds
