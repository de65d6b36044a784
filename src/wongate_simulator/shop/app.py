"""Puts the shop together: its parts, its addresses, its end."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from wongate_simulator.shop import api, pages
from wongate_simulator.shop.bodies import BodyTooLarge
from wongate_simulator.shop.callbacks import receive_callback
from wongate_simulator.shop.gate_client import GateClient
from wongate_simulator.shop.orders import Clock, Orders
from wongate_simulator.shop.payment_page import PaymentPage
from wongate_simulator.shop.rendering import FOLDER
from wongate_simulator.shop.security import Guard
from wongate_simulator.shop.selling import Shop
from wongate_simulator.shop.settings import ShopSettings
from wongate_simulator.shop.watching import Watchers

# A payment id of a sale made elsewhere may hold a slash, hence `:path`; the longer addresses come first.
ORDER = "/orders/{payment_id:path}"

ROUTES = [
    Route("/", pages.catalogue),
    Route("/checkout/{good}", pages.checkout),
    Route("/orders", pages.list_orders),
    Route("/orders", pages.make_order, methods=["POST"]),
    Route(ORDER + "/pay", pages.pay),
    Route(ORDER + "/widget", pages.widget),
    Route(ORDER + "/events", pages.watch),
    Route(ORDER + "/refund", pages.ask_refund),
    Route(ORDER + "/refund", pages.refund, methods=["POST"]),
    Route(ORDER + "/status", pages.ask_status, methods=["POST"]),
    Route(ORDER + "/requests/{number:int}", pages.send_again, methods=["POST"]),
    Route(ORDER, pages.show_order),
    Route("/return/{outcome}", pages.come_back),
    Route("/callbacks", receive_callback, methods=["POST"]),
    Route("/api/orders", api.make_order, methods=["POST"]),
    Route("/api" + ORDER + "/refunds", api.refund_order, methods=["POST"]),
    Route("/api" + ORDER + "/status", api.ask_status, methods=["POST"]),
    Route("/api" + ORDER, api.show_order),
    Mount("/static", StaticFiles(directory=FOLDER / "static")),
]


def utc_now() -> datetime:
    return datetime.now(UTC)


def create_shop(settings: ShopSettings, clock: Clock = utc_now) -> Starlette:
    """The shop as an ASGI application. It keeps its orders in `data_dir/shop.sqlite`, made if need be."""
    gate = GateClient(settings)
    orders = Orders(settings.data_dir / "shop.sqlite", clock)

    @asynccontextmanager
    async def life(_app: Starlette) -> AsyncIterator[None]:
        yield
        await gate.close()
        orders.close()

    app = Starlette(
        routes=ROUTES,
        lifespan=life,
        middleware=[Middleware(Guard)],
        exception_handlers={404: pages.not_found, BodyTooLarge: pages.refuse},
    )
    app.state.shop = Shop(settings, orders, gate, PaymentPage(settings, gate), Watchers())
    return app
