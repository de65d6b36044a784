"""One whole payment as the outside world plays it: the merchant asks, the payer pays, the merchant is told."""

import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import orjson

from bench import orders
from bench.client import Pool, post
from bench.rig import Rig
from bench.sink import Sink

FORM = "application/x-www-form-urlencoded"


@dataclass(slots=True)
class Took:
    """Milliseconds: the accept answer, the return's answer (the provider's call included), all until the final callback."""

    accept_ms: float
    return_ms: float
    whole_ms: float


class Buyer:
    def __init__(self, built: Rig, sink: Sink) -> None:
        self._built = built
        self._sink = sink
        self._gate = Pool(built.gate)
        self._simulator = Pool(built.simulator)
        self._prepared: dict[str, bytes] = {}

    def prepare(self, payment_ids: Iterable[str]) -> None:
        """Writes and signs the sales of these payments before the clock runs."""
        self._prepared |= {payment_id: orders.sale(self._built, payment_id) for payment_id in payment_ids}

    async def pay(self, payment_id: str, due: float) -> Took:
        """Raises AssertionError for any answer or callback that is not as it must be; times count from `due` (perf_counter)."""
        redirect = self._sink.expect(payment_id, "awaiting redirect result")
        final = self._sink.expect(payment_id, "success")
        sale = self._prepared.pop(payment_id, None) or orders.sale(self._built, payment_id)
        status, answer = await self._gate.send(sale)
        accepted = time.perf_counter()
        assert status == 200, answer
        form = (await redirect)["redirect_data"]
        returned = await self._through_the_window(form)
        came_back = time.perf_counter()
        status, answer = await self._gate.send(post(_path(form["body"]["ReturnURL"]), returned, FORM))
        sent_on = time.perf_counter()
        assert status == 303, (status, answer)
        callback = await final
        told = time.perf_counter()
        assert callback["payment"]["sum"]["amount"] == orders.AMOUNT, callback
        return Took((accepted - due) * 1000, (sent_on - came_back) * 1000, (told - due) * 1000)

    async def _through_the_window(self, form: dict[str, Any]) -> bytes:
        order = {"redirect_data": form, "outcome": "card", "deliver": False}
        status, answer = await self._simulator.send(post("/control/pay", orjson.dumps(order)))
        assert status == 200, answer
        return urlencode(orjson.loads(answer)["result"]).encode()

    def close(self) -> None:
        self._gate.close()
        self._simulator.close()


def _path(url: str) -> str:
    return "/" + url.split("/", 3)[3]
