"""Pages of the Dashboard over a million payments, each compared with what plain SQL says."""

import re
from collections.abc import Mapping, Sequence
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


async def measure(built: Rig, browser: Browser, times: int) -> dict[str, float]:
    """p95 in milliseconds of each kind of page, asked for one after the other."""
    connection = await asyncpg.connect(built.database_url, command_timeout=600)
    tables, totals = await _tables(browser, connection, times)
    search, detail = await _single(browser, connection, times)
    figures = {
        "table_p95_ms": percentile(tables, 0.95),
        "totals_p95_ms": percentile(totals, 0.95),
        "search_p95_ms": percentile(search, 0.95),
        "detail_p95_ms": percentile(detail, 0.95),
    }
    for tile in FIRST_BOARD:
        took = await _tile(browser, connection, tile.number, tile.template, times)
        figures[f"tile_{tile.template}_p95_ms"] = percentile(took, 0.95)
    browser.close()
    await connection.close()
    return figures


async def _tables(browser: Browser, connection: Any, times: int) -> tuple[list[float], list[float]]:
    tables: list[float] = []
    totals: list[float] = []
    sums = await _sums(connection)
    for query, condition in FILTERS.items():
        rows = await connection.fetch(
            f"SELECT p.payment_no FROM payment p {SALE} WHERE p.project_id = $1 AND {condition} "
            f"ORDER BY p.created_at DESC, p.payment_no DESC LIMIT {PAGE}",
            PROJECT_ID,
        )
        for _ in range(times):
            status, page, took_ms = await browser.get(f"{TABLE}?{query}")
            tables.append(took_ms)
            assert (status, [row["payment_no"] for row in rows]) == (200, _listed(page)), f"rows of {query!r}"
            status, page, took_ms = await browser.get(f"{TABLE}/totals?{query}")
            totals.append(took_ms)
            assert (status, sums[query]) == (200, _summed(page)), f"totals of {query!r}"
    return tables, totals


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


async def _single(browser: Browser, connection: Any, times: int) -> tuple[list[float], list[float]]:
    """Payments all over the year, each by one of its ids and then by its own page."""
    rows = await connection.fetch(
        "SELECT p.payment_no, p.payment_id, p.sale_id, o.reference, o.order_number, o.request_id "
        f"FROM payment p {SALE} WHERE p.project_id = $1 AND o.reference <> '' ORDER BY md5(p.payment_id) LIMIT $2",
        PROJECT_ID,
        4 * times,
    )
    search: list[float] = []
    detail: list[float] = []
    for place, row in enumerate(rows):
        ids = (row["payment_id"], row["sale_id"], row["reference"], row["order_number"], row["request_id"])
        status, _, took_ms = await browser.get(f"{TABLE}?q={quote(str(ids[place % len(ids)]))}")
        search.append(took_ms)
        assert status == 303, f"{ids[place % len(ids)]} leads to no payment but to {status}"
        status, page, took_ms = await browser.get(f"{TABLE}/{PROJECT_ID}/{row['payment_no']}")
        detail.append(took_ms)
        assert status == 200, f"a payment's page was answered with {status}"
        assert row["payment_id"] in page, "another payment's page"
    return search, detail


async def _tile(browser: Browser, connection: Any, number: int, template: str, times: int) -> Sequence[float]:
    """A tile over the whole year."""
    path = f"/dashboard/analytics/tiles/{number}"
    found: list[float] = []
    for _ in range(times):
        status, page, took_ms = await browser.get(f"{path}?period=365d")
        found.append(took_ms)
        assert status == 200, f"tile {template} was answered with {status}"
        assert "<svg" in page, f"tile {template} shows nothing"
    if template == "turnover":
        _, lines, _ = await browser.get(f"{path}/csv?period=365d")
        paid = sum(int(line.split(",")[1]) for line in lines.splitlines()[1:])
        captured = await connection.fetchval(
            "SELECT sum(captured) FROM payment WHERE project_id = $1", PROJECT_ID
        )
        assert paid == captured, f"{captured} won were paid, the tile says {paid}"
    return found
