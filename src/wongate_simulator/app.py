"""Builds the simulator's ASGI application: the only place that knows all its parts."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from typing import Any

import aiohttp
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from wongate_simulator import cancellation, control, pages, webapi, window_pages
from wongate_simulator.control import in_json
from wongate_simulator.rendering import STATIC, language, page
from wongate_simulator.security import Guard
from wongate_simulator.simulator import Simulator


def create_app(
    data_dir: Path,
    *,
    clock_file: Path | None = None,
    merchants: Iterable[dict[str, Any]] = (),
    exposed: bool = False,
) -> Starlette:
    """The simulator with its books in `data_dir`. Raises Mistake for a bad merchant setting.

    `exposed` answers to any host name; otherwise only to the names of this machine, against DNS rebinding.
    """
    app = Starlette(
        routes=ROUTES,
        middleware=[Middleware(Guard, exposed=exposed)],
        lifespan=_serving,
        exception_handlers={HTTPException: _error},
    )
    app.state.simulator = Simulator.build(data_dir, clock_file, merchants)
    return app


@contextlib.asynccontextmanager
async def _serving(app: Starlette) -> AsyncIterator[None]:
    sim: Simulator = app.state.simulator
    # No limit on connections per host: one return endpoint may be waiting for hundreds of approvals.
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=30), cookie_jar=aiohttp.DummyCookieJar()
    ) as sim.http:
        watchers = [
            asyncio.create_task(sim.notices.run(sim.http)),
            asyncio.create_task(cancellation.watch(sim)),
        ]
        yield
        for watcher in watchers:
            watcher.cancel()
        await asyncio.gather(*watchers, return_exceptions=True)
    sim.books.close()


async def _error(request: Request, trouble: Exception) -> Response:
    """A page for people who mistyped an address, one line of JSON for programs."""
    assert isinstance(trouble, HTTPException)  # noqa: S101
    if trouble.status_code == 404 and "text/html" in request.headers.get("accept", ""):
        return page(request, "lost.html", language(request), status=404, anywhere=True)
    return JSONResponse({"error": trouble.detail}, trouble.status_code)


async def healthz(request: Request) -> Response:
    return JSONResponse({"status": "ok"})


ROUTES = [
    # The busiest first: Starlette tries routes in order.
    Route("/webapi/pay_process.jsp", webapi.pay_process, methods=["POST"]),
    Route("/control/pay", in_json(control.pay), methods=["POST"]),
    Route("/webapi/cancel_process.jsp", webapi.cancel_process, methods=["POST"]),
    Route("/webapi/inquery/trans_status.jsp", webapi.trans_status, methods=["POST"]),
    Route("/control/books", in_json(control.get_books), methods=["GET"]),
    Route("/control/clock", in_json(control.get_clock), methods=["GET"]),
    Route("/control/clock", in_json(control.set_clock), methods=["POST"]),
    Route("/control/outcomes", in_json(control.get_outcomes), methods=["GET"]),
    Route("/control/outcomes", in_json(control.set_outcome), methods=["POST"]),
    Route("/control/outcomes", in_json(control.clear_outcomes), methods=["DELETE"]),
    Route("/control/faults", in_json(control.get_faults), methods=["GET"]),
    Route("/control/faults", in_json(control.arm_fault), methods=["POST"]),
    Route("/control/faults", in_json(control.clear_faults), methods=["DELETE"]),
    Route("/control/exchanges", in_json(control.get_exchanges), methods=["GET"]),
    Route("/control/notices", in_json(control.get_notices), methods=["GET"]),
    Route("/control/merchants", in_json(control.get_merchants), methods=["GET"]),
    Route("/control/merchants", in_json(control.set_merchant), methods=["POST"]),
    Route("/control/reset", in_json(control.reset), methods=["POST"]),
    Route("/v3/v3Payment.jsp", window_pages.open_page, methods=["POST"]),
    Route("/v3/v3Payment.jsp", window_pages.opened_by_link, methods=["GET"]),
    Route("/window/{token}", window_pages.show_window, methods=["GET"]),
    Route("/window/{token}", window_pages.act, methods=["POST"]),
    Route("/", pages.home, methods=["GET"]),
    Route("/exchanges", pages.exchanges, methods=["GET"]),
    Route("/admin", pages.transactions, methods=["GET"]),
    Route("/admin/{token}", pages.transaction, methods=["GET"]),
    Route("/admin/{token}", pages.cancel_by_hand, methods=["POST"]),
    Route("/control", pages.control_manual, methods=["GET"]),
    Mount("/static", StaticFiles(directory=STATIC)),
    Route("/healthz", healthz, methods=["GET"]),
]
