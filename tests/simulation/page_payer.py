"""A payer on the Payment Page: presses Pay once or in two tabs, goes to the window, comes back, tries again, gives up."""

import asyncio
from collections.abc import Mapping
from random import Random
from typing import TYPE_CHECKING
from urllib.parse import urlencode, urljoin

from tests.simulation.merchant import Order
from tests.simulation.network import PAYER_IP
from tests.simulation.payer import FORM, Payer
from tests.web.payer import Form, Html

if TYPE_CHECKING:
    from tests.simulation.world import World

STEPS = 14
"""Pages after which a payer has had enough."""

RELOADS = 4
HAND_OVER = "handoff"


class PagePayer:
    """A browser without scripts. A page that does not come is asked for again, as people do."""

    def __init__(self, world: "World", order: Order) -> None:
        self._world = world
        self._order = order
        self._draw: Random = world.random("page payer", order.payment_id)
        self._payer = Payer(world, order)
        self._script = world.plan.payer
        self._place = ""

    def _does(self, share: float, scripted: bool) -> bool:
        """Chance decides, unless a script does."""
        return scripted if self._script[0] else self._draw.random() < share

    async def visit(self, parameters: Mapping[str, str]) -> None:
        page = await self._get(f"/payment?{urlencode(parameters)}")
        await asyncio.sleep(self._draw.uniform(1, 60))
        if page is not None and _form(page, "/payment/pay"):
            tabs = 2 if self._does(0.25, scripted=False) else 1
            shown = await asyncio.gather(*(self._press(page, "/payment/pay") for _ in range(tabs)))
            page = next((one for one in shown if one is not None and _is_handed_over(one)), shown[0])
        for _ in range(STEPS):
            page = await self._next(page) if page is not None else None

    async def _next(self, page: Html) -> Html | None:
        """What the payer does with the page at hand; None when that was all."""
        if _is_handed_over(page):
            return await self._at_window(page)
        for action, eager in (("/again", 0.7), ("/window", 0.3)):
            if _form(page, action):
                if self._does(eager, scripted=action == "/again"):
                    return await self._press(page, action)
                if self._does(0.2, scripted=False):
                    return await self._press(page, "/cancel")
        if page.body.get("data-page") != "waiting":
            return None
        await asyncio.sleep(self._draw.choice((2, 15, 120)))
        return await self._get(self._place)

    async def _at_window(self, page: Html) -> Html | None:
        window = page.forms[0].values()
        self._world.auditor.handed_over(page.body["data-request-id"], window["Moid"], self._order.payment_id)
        self._place = page.body["data-result"]
        if self._does(0.2, scripted=False):
            return await self._get(self._place)  # back at once, perhaps for another window
        await self._payer.pay({"body": window}, *self._script)
        return await self._get(self._place)

    # --- the browser ---------------------------------------------------------------------------------------------------------

    async def _get(self, url: str) -> Html | None:
        return await self._ask("GET", url, b"")

    async def _press(self, page: Html, action: str) -> Html | None:
        form = _form(page, action)
        assert form is not None
        return await self._ask("POST", form.action, urlencode(form.values()).encode())

    async def _ask(self, method: str, url: str, body: bytes) -> Html | None:
        for _ in range(RELOADS):
            answer = await self._world.network.to_platform(
                "page", url, body, method=method, content_type=FORM, caller_ip=PAYER_IP, wait_s=60
            )
            if answer is not None and answer.status == 303:
                method, url, body = "GET", urljoin(url, answer.headers["location"]), b""
                if url.startswith("https://shop.test/"):
                    return None
                self._place = url
            elif answer is not None and answer.status != 503:
                return Html(answer.body.decode())
            else:
                await asyncio.sleep(self._draw.uniform(1, 20))
        return None


def _form(page: Html, action: str) -> Form | None:
    return next((form for form in page.forms if form.action.endswith(action)), None)


def _is_handed_over(page: Html) -> bool:
    return page.body.get("data-page") == HAND_OVER
