"""Pages of the Dashboard over a million payments, each compared with what plain SQL says."""

import re
from collections import defaultdict
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import asyncpg

from bench.browser import Browser
from bench.client import percentile
from bench.rig import PROJECT_ID, Rig
from wongate.web.dashboard_tiles import FIRST_BOARD

TABLE = "/dashboard/payments"
SALE = "JOIN operation o ON o.project_id = p.project_id AND o.operation_id = p.sale_id"
FILTERS: Mapping[str, str] = {
    "": "true",
    "status=success": "p.status = 'success'",
    "status=decline": "p.status = 'decline'",
    "status=error": "p.status = 'error'",
    "status=decline&source=page": "p.status = 'decline' AND p.source = 'page'",
    "code=20105": "o.code = 20105",
    "code=20401": "o.code = 20401",
    "code=20503": "o.code = 20503",
    "refunds=1": "p.refunded + p.reserved > 0",
    "flagged=1": "p.flag <> ''",
    "unfinished=1": "p.status IN ('processing', 'awaiting redirect result', 'awaiting customer')",
    "customer_id=user1": "p.customer_id = 'user1'",
    "amount_min=100000&amount_max=200000": "p.amount BETWEEN 100000 AND 200000",
    "until=2026-06-01T00:00:00": "p.created_at < '2026-05-31 15:00Z'",
}
"""What people ask for, as the URL has it and as SQL; the last is in the middle of the year."""

PAGE = 50


class Watch:
    """The browser with a clock: of each kind of page how long every answer took, and what it cost servers and PostgreSQL."""

    def __init__(self, built: Rig, browser: Browser) -> None:
        self._built = built
        self._browser = browser
        self._took_ms: defaultdict[str, list[float]] = defaultdict(list)
        self._spent_s: defaultdict[str, float] = defaultdict(float)

    async def get(self, kind: str, path: str) -> tuple[int, str]:
        before = self._built.cpu_s()
        status, page, took_ms = await self._browser.get(path)
        after = self._built.cpu_s()
        self._took_ms[kind].append(took_ms)
        self._spent_s[kind] += sum(after[part] - before[part] for part in ("serve", "postgres"))
        return status, page

    def figures(self) -> dict[str, float]:
        p95 = {f"{kind}_p95_ms": percentile(took, 0.95) for kind, took in self._took_ms.items()}
        cpu = {
            f"{kind}_cpu_ms": self._spent_s[kind] / len(took) * 1e3 for kind, took in self._took_ms.items()
        }
        return p95 | cpu


async def measure(built: Rig, browser: Browser, times: int) -> dict[str, float]:
    """p95 in milliseconds of each kind of page, asked for one after the other, and the processor time of one."""
    connection = await asyncpg.connect(built.database_url, command_timeout=600)
    watch = Watch(built, browser)
    await _tables(watch, connection, times)
    await _single(watch, connection, times)
    for tile in FIRST_BOARD:
        await _tile(watch, connection, tile.number, tile.template, times)
    browser.close()
    await connection.close()
    return watch.figures()


async def _tables(watch: Watch, connection: Any, times: int) -> None:
    sums = await _sums(connection)
    for query, condition in FILTERS.items():
        rows = await connection.fetch(
            f"SELECT p.payment_no FROM payment p {SALE} WHERE p.project_id = $1 AND {condition} "
            f"ORDER BY p.created_at DESC, p.payment_no DESC LIMIT {PAGE}",
            PROJECT_ID,
        )
        for _ in range(times):
            status, page = await watch.get("table", f"{TABLE}?{query}")
            assert (status, [row["payment_no"] for row in rows]) == (200, _listed(page)), f"rows of {query!r}"
            status, page = await watch.get("totals", f"{TABLE}/totals?{query}")
            assert (status, sums[query]) == (200, _summed(page)), f"totals of {query!r}"


async def _sums(connection: Any) -> dict[str, list[int]]:
    """Payments, won asked for, paid and gone back under each filter: all in one pass over the books."""
    sums = [
        f"{what} FILTER (WHERE {condition})"
        for condition in FILTERS.values()
        for what in ("count(*)", "sum(p.amount)", "sum(p.captured)", "sum(p.refunded)")
    ]
    row = await connection.fetchrow(
        f"SELECT {', '.join(sums)} FROM payment p {SALE} WHERE p.project_id = $1", PROJECT_ID
    )
    found = [int(value or 0) for value in row]
    return {query: found[4 * place : 4 * place + 4] for place, query in enumerate(FILTERS)}


def _listed(page: str) -> list[int]:
    return [int(number) for number in re.findall(rf'href="{TABLE}/{PROJECT_ID}/(\d+)">', page)]


def _summed(page: str) -> list[int]:
    return [int(re.sub(r"\D", "", text)) for text in re.findall(r"<dd>([^<]+)</dd>", page)[:4]]


async def _single(watch: Watch, connection: Any, times: int) -> None:
    """Payments all over the year, each by one of its ids and then by its own page."""
    rows = await connection.fetch(
        "SELECT p.payment_no, p.payment_id, p.sale_id, o.reference, o.order_number, o.request_id "
        f"FROM payment p TABLESAMPLE SYSTEM (1) REPEATABLE (1) {SALE} WHERE p.project_id = $1 AND o.reference <> '' "
        "ORDER BY md5(p.payment_id) LIMIT $2",
        PROJECT_ID,
        4 * times,
    )
    for place, row in enumerate(rows):
        ids = (row["payment_id"], row["sale_id"], row["reference"], row["order_number"], row["request_id"])
        status, _ = await watch.get("search", f"{TABLE}?q={quote(str(ids[place % len(ids)]))}")
        assert status == 303, f"{ids[place % len(ids)]} leads to no payment but to {status}"
        status, page = await watch.get("detail", f"{TABLE}/{PROJECT_ID}/{row['payment_no']}")
        assert status == 200, f"a payment's page was answered with {status}"
        assert row["payment_id"] in page, "another payment's page"


async def _tile(watch: Watch, connection: Any, number: int, template: str, times: int) -> None:
    """A tile over the whole year."""
    path = f"/dashboard/analytics/tiles/{number}"
    for _ in range(times):
        status, page = await watch.get(f"tile_{template}", f"{path}?period=365d")
        assert status == 200, f"tile {template} was answered with {status}"
        assert "<svg" in page, f"tile {template} shows nothing"
    if template == "turnover":
        _, lines = await watch.get("tile_csv", f"{path}/csv?period=365d")
        paid = sum(int(line.split(",")[1]) for line in lines.splitlines()[1:])
        captured = await _captured(connection)
        assert paid == captured, f"{captured} won were paid, the tile says {paid}"


async def _captured(connection: Any) -> int:
    """All won that were paid, less those of before the tile's year: copies of its first minutes lie there."""
    return int(
        await connection.fetchval(
            "SELECT (SELECT sum(captured) FROM payment WHERE project_id = $1) - (SELECT coalesce(sum(o.amount), 0) "
            "FROM transition t JOIN operation o USING (project_id, operation_id) WHERE t.project_id = $1 AND t.final "
            "AND t.status = 'success' AND o.kind = 'sale' AND t.at < "
            "(date_trunc('day', now() AT TIME ZONE 'Asia/Seoul') - interval '364 days') AT TIME ZONE 'Asia/Seoul')",
            PROJECT_ID,
        )
    )
