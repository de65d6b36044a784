"""Opening the Payment Page: 100 a second, and the database round trips that one opening costs."""

import time
from typing import Any
from urllib.parse import urlencode

import uvloop
from tests.world import ask

from bench.client import Pool, get, open_loop, percentile
from bench.rig import PROJECT_ID, Rig, rig
from wongate.app import Application, opened
from wongate.domain.signature import sign
from wongate.settings import load

RATE = 100


def measure(*, quick: bool) -> dict[str, float]:
    """Raises AssertionError when an opening shows anything but the page of its payment."""
    with rig(worker=False) as built:
        latencies = uvloop.run(_open(built, 4 if quick else 10))
        round_trips = uvloop.run(_round_trips(built, 50))
    return {
        "p50_ms": percentile(latencies, 0.5),
        "p95_ms": percentile(latencies, 0.95),
        "round_trips": round_trips,
    }


def _path(built: Rig, payment_id: str) -> str:
    asked = {
        "project_id": str(PROJECT_ID),
        "payment_id": payment_id,
        "payment_amount": "1000",
        "payment_currency": "KRW",
        "customer_id": "1234",
    }
    return f"/payment?{urlencode(asked | {'signature': sign(asked, built.secret)})}"


async def _open(built: Rig, seconds: float) -> list[float]:
    pool = Pool(built.gate)
    latencies: list[float] = []

    async def story(number: int, due: float) -> None:
        status, body = await pool.send(get(_path(built, f"page-{number}")))
        latencies.append((time.perf_counter() - due) * 1000)
        assert status == 200, f"a page was answered with {status}"
        assert body, "a page is empty"

    await open_loop(RATE, 2, story)
    latencies.clear()
    await open_loop(RATE, seconds, story)
    pool.close()
    return latencies


async def _round_trips(built: Rig, openings: int) -> float:
    """Statements that an application in this process executes for one opening, counted by a hook on its only connection."""
    heard: list[Any] = []
    settings = load({**built.environment, "WONGATE_POOL_SIZE": "1"})
    async with opened(settings) as platform:
        application = Application(settings)
        application.compose(platform)
        await ask(application, "GET", _path(built, "counted"))
        async with platform.database.read() as connection:
            connection._con.add_query_logger(heard.append)
        for number in range(openings):
            answer = await ask(application, "GET", _path(built, f"counted-{number}"))
            assert answer.status == 200, answer.raw
            assert f"counted-{number}".encode() in answer.raw, "another payment's page"
        return len(heard) / openings
