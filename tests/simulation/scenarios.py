"""Short scripted worlds for the crash points: one server, one worker, one order, no fault but the one that is written here."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

from tests.simulation.page_payer import PagePayer
from tests.simulation.swarm import Swarm
from tests.simulation.world import Plan, World

Fault = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Scenario:
    """`faults` are armed at the simulated NICEPAY before the order is placed. `by_page`: paid on the Payment Page. `pressed` is
    what somebody does in the Dashboard a minute later: a refund, or a callback sent again."""

    name: str
    payer: tuple[str, str] = ("card", "once")
    refunds: str = "none"
    faults: Sequence[Fault] = ()
    notices: bool = False
    refusals: int = 0
    broken_first: bool = False
    by_page: bool = False
    pressed: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)

    def plan(
        self, *, crash_at: tuple[int, ...] = (), freeze_at: tuple[int, ...] = (), traced: bool = False
    ) -> Plan:
        return Plan(
            story=self.story,
            swarm=self._swarm,
            servers=1,
            workers=2 if freeze_at else 1,  # somebody has to take over
            crash_at=crash_at,
            freeze_at=freeze_at,
            traced=traced,
            settings=self.settings,
            payer=self.payer,
            refunds=self.refunds,
            refusals=self.refusals,
        )

    def _swarm(self, random: Random) -> Swarm:
        """Nothing goes wrong by itself; a late approval finds its token alive, which is the harder world."""
        on = {"nicepay: tokens outlive net cancels": 1.0}
        return Swarm(random, on | ({"nicepay: notices": 1.0} if self.notices else {}))

    async def story(self, world: World) -> None:
        for fault in self.faults:
            world.provider.sim.faults.arm(dict(fault))
        if self.by_page:
            order, parameters = world.merchant.page_order(10_000)
            world.spawn(PagePayer(world, order).visit(parameters))
        else:
            await world.merchant.sell(10_000, broken_first=self.broken_first)
        await asyncio.sleep(100)
        if self.pressed:
            await {"refund": world.operators.refund, "resend": world.operators.resend}[self.pressed]()
        await asyncio.sleep(100)


def _lost(on: str, committed: bool, times: Any = 1) -> Fault:
    return {"on": on, "kind": "reset", "committed": committed, "times": times}


def _code(on: str, code: str) -> Fault:
    return {"on": on, "kind": "code", "code": code}


_SILENCE = [_lost(on, False, 6) for on in ("netcancel", "inquiry")]

SCENARIOS = (
    Scenario("paid at once"),
    Scenario("paid, with the provider's notice", notices=True),
    Scenario("refused by the provider", faults=[_code("approve", "3095")]),
    Scenario("cancelled by the payer", payer=("cancel", "once")),
    Scenario("the payer comes back twice", payer=("card", "twice")),
    Scenario("failure and success from one window", payer=("card", "contradicting")),
    Scenario("a double result, then reload", payer=("points", "reload")),
    Scenario("limit time reached", payer=("abandon", "once"), settings={"limit_time_s": 60}),
    Scenario("sent again after an error", broken_first=True),
    Scenario("approval done, its answer lost", faults=[_lost("approve", True)]),
    Scenario("approval not done, its answer lost", faults=[_lost("approve", False)]),
    Scenario("approval unclear", faults=[_code("approve", "1620")]),
    Scenario("approval of unknown signature", faults=[{"on": "approve", "kind": "wrong_signature"}]),
    Scenario(
        "notice before the answer",
        notices=True,
        faults=[{"on": "approve", "kind": "hang_after", "seconds": 25.0}],
    ),
    Scenario("net cancel done, its answer lost", faults=[_lost("approve", True), _lost("netcancel", True)]),
    Scenario(
        "net cancel not done, its answer lost", faults=[_lost("approve", True), _lost("netcancel", False)]
    ),
    Scenario(
        "late success: the limit passes in silence",
        faults=[_lost("approve", True), *_SILENCE],
        settings={"limit_time_s": 40},
    ),
    Scenario("full refund", refunds="full"),
    Scenario("two partial refunds", refunds="two partials"),
    Scenario("refunds at once", refunds="two halves and more", notices=True),
    Scenario("refund button pressed twice", refunds="twice the whole"),
    Scenario("refund above the payment", refunds="too much"),
    Scenario("refund refused by the provider", refunds="full", faults=[_code("cancel", "2026")]),
    Scenario("full refund done, its answer lost", refunds="full", faults=[_lost("cancel", True)]),
    Scenario("full refund not done, its answer lost", refunds="full", faults=[_lost("cancel", False)]),
    Scenario(
        "full refund in progress",
        refunds="full",
        faults=[{"on": "cancel", "kind": "in_progress", "after_s": 90.0}],
    ),
    Scenario(
        "partial refund done, its answer lost",
        refunds="one partial",
        notices=True,
        faults=[_lost("cancel", True)],
    ),
    Scenario(
        "partial refund, asked to cancel again", refunds="one partial", faults=[_code("cancel", "2056")]
    ),
    Scenario("callback refused three times", refusals=3),
    Scenario("callback sent again by hand", refusals=3, pressed="resend"),
    Scenario("refund from the Dashboard", pressed="refund"),
    Scenario("paid on the Payment Page", by_page=True),
    Scenario(
        "refused, then tried again on the Payment Page",
        by_page=True,
        faults=[_code("approve", "3095")],
        settings={"try_again": True},
    ),
)
