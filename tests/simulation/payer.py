"""A payer with a browser: pays, cancels, walks away, comes back twice, reloads, or tampers with what the browser carries."""

import asyncio
from collections.abc import Mapping
from random import Random
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from tests.simulation.merchant import Order
from tests.simulation.network import PAYER_IP

from wongate_simulator.forms import write_form

if TYPE_CHECKING:
    from tests.simulation.world import World

CHOICES = (("card", 12), ("points", 3), ("mixed", 3), ("cancel", 2), ("fail", 2), ("abandon", 2))
MANNERS = (
    ("once", 10),
    ("twice", 4),  # a double click: two identical posts at once
    ("reload", 3),
    ("again after silence", 4),
    ("tampered", 1),
    ("swapped", 2),  # brings another order's result
    ("contradicting", 1),  # the window posts a success and a failure
)
FORM = "application/x-www-form-urlencoded"


class Payer:
    def __init__(self, world: "World", order: Order) -> None:
        self._world = world
        self._order = order
        self._random: Random = world.random("payer", order.payment_id)

    async def pay(self, redirect: Mapping[str, Any], choice: str = "", manner: str = "") -> None:
        draw = self._random
        await asyncio.sleep(draw.choice((1, 20, 120, 1790, 2500)) * draw.random() if not choice else 1.0)
        choice = choice or self._drawn(CHOICES)
        manner = manner or self._drawn(MANNERS)
        payment = self._world.provider.opened(redirect["body"])
        if payment is None:
            return
        await asyncio.sleep(draw.uniform(0.5, 30) if draw.random() < 0.9 else draw.uniform(30, 1900))
        if manner == "contradicting":
            first = draw.choice(("success", "failure"))
            arm = {"on": "window", "kind": "contradicting_result", "moid": payment.moid, "first": first}
            self._world.provider.sim.faults.arm(arm)
        deliveries = self._world.provider.chosen(payment, choice, "0" if draw.random() < 0.1 else "")
        returns = [
            (urlsplit(delivery.url).path, delivery.fields, delivery.charset) for delivery in deliveries
        ]
        self._world.returns += [
            (self._order.amount, fields) for _, fields, _ in returns if choice not in ("cancel", "fail")
        ]
        await self._come_back(returns, manner)

    def _drawn(self, weighted: tuple[tuple[str, int], ...]) -> str:
        names, weights = zip(*weighted, strict=True)
        return str(self._random.choices(names, weights)[0])

    async def _come_back(self, returns: list[tuple[str, list[tuple[str, str]], str]], manner: str) -> None:
        for path, fields, charset in returns:
            if manner == "tampered":
                await self._post(path, self._tampered(fields), charset)
            if manner == "swapped":
                await self._post(path, self._swapped(fields), charset)
            if manner == "twice":
                await asyncio.gather(self._post(path, fields, charset), self._post(path, fields, charset))
                continue
            arrived = await self._post(path, fields, charset)
            if manner == "reload" or (manner == "again after silence" and not arrived):
                await asyncio.sleep(self._random.choice((0.1, 5.0, 100.0)))
                await self._post(path, fields, charset)

    async def _post(self, path: str, fields: list[tuple[str, str]], charset: str) -> bool:
        answer = await self._world.network.to_platform(
            "return", path, write_form(fields, charset), content_type=FORM, caller_ip=PAYER_IP
        )
        return answer is not None

    def _tampered(self, fields: list[tuple[str, str]]) -> list[tuple[str, str]]:
        changes = {
            "Amt": "1",
            "Signature": "0" * 64,
            "NextAppURL": "https://nicepay.test.evil.example/webapi/pay_process.jsp",
            "Moid": "1W1",
            "AuthResultCode": "XXXX",
        }
        name = self._random.choice(sorted(changes))
        return [(key, changes[key] if key == name else value) for key, value in fields]

    def _swapped(self, fields: list[tuple[str, str]]) -> list[tuple[str, str]]:
        """Another payer's good result of the same amount, presented for this order: Moid is not signed."""
        others = [
            other for amount, other in self._world.returns if amount == self._order.amount and other != fields
        ]
        if not others:
            return fields
        own = dict(fields)
        return [
            (key, own.get("Moid", value) if key == "Moid" else value)
            for key, value in self._random.choice(others)
        ]
