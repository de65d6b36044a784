"""People with buttons: refunds and resends in the Dashboard, cancels in the provider's own pages, a hand on the clock."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from random import Random
from typing import TYPE_CHECKING, Any

from tests.simulation.merchant import PROJECT_ID

from wongate.domain.payment import Payment, Project
from wongate.domain.refusal import Unfit
from wongate.flows import by_hand, resend
from wongate.flows.audit import Actor
from wongate.flows.by_hand import Verdict
from wongate.flows.platform import Platform
from wongate.flows.refund import RefundAccepted
from wongate.flows.settle import Door
from wongate.store import payments

if TYPE_CHECKING:
    from tests.simulation.world import World

ACTOR = Actor(person_id=None, login="operator", address="198.51.100.20", project_ids=(PROJECT_ID,))
CLOCK_JUMPS_S = (-3600, -60, 60, 400, 4000)
PATIENCE_S = 600.0
"""How long somebody lets a refund be open before looking into the provider's pages: no message is on its way any more."""

HABITS = {"cancels at the provider": 0.15, "refunds": 0.4, "settles open refunds": 0.4, "resends": 0.3}
"""What people of this shop do at all, and in what share of the seeds."""


class Operators:
    def __init__(self, world: "World") -> None:
        self._world = world
        self._draw: Random = world.random("operator")
        self._forms = 0
        self._open_since_s: dict[int, float] = {}

    async def work(self) -> None:
        """Until the faults stop."""
        draw = self._draw
        habits = [habit for habit, share in HABITS.items() if draw.random() < share]
        deeds: Mapping[str, Callable[[], Awaitable[None]]] = {
            "cancels at the provider": self.cancel_at_provider,
            "refunds": self.refund,
            "settles open refunds": self.settle_open_refund,
            "resends": self.resend,
        }
        while not self._world.swarm.calm:
            await asyncio.sleep(draw.uniform(30, 900))
            self._move_clock()
            if habits:
                await deeds[draw.choice(habits)]()

    def _move_clock(self) -> None:
        if self._world.swarm.strikes("clock jump"):
            self._world.jump_s += self._draw.choice(CLOCK_JUMPS_S)
            self._tell(f"moves the clock to {self._world.jump_s:+.0f} s")
            self._world.changed()

    def _tell(self, what: str) -> None:
        self._world.tell("operator", what)
        self._world.count("deeds of operators")

    # --- at the provider -----------------------------------------------------------------------------------------------------

    async def cancel_at_provider(self) -> None:
        """The platform learns of it from a notice at best (N-16)."""
        books = self._world.provider.sim.books
        paid = [payment for payment in books.latest("", 100) if payment.state == "approved"]
        if paid:
            payment = self._draw.choice(paid)
            amount = self._draw.choice((payment.remain, max(1, payment.remain // 3)))
            done = self._world.provider.cancelled_by_hand(payment, amount)
            self._tell(f"cancels {amount} of {payment.moid} by hand: {done}")

    # --- in the Dashboard ----------------------------------------------------------------------------------------------------

    async def refund(self) -> None:
        """All, a part, or more than there is; the button pressed once or twice, at any two servers."""
        row = self._drawn("SELECT * FROM payment WHERE captured > 0 ORDER BY payment_no")
        if row is None:
            return
        rest = row["captured"] - row["refunded"] - row["reserved"]
        amount = self._draw.choice((rest, max(1, rest // 3), row["captured"]))
        self._forms += 1
        form_key = f"form-{self._forms}"
        self._tell(f"refunds {amount} of {row['payment_id']}")

        async def story(
            platform: Platform, door: Door, project: Project, payment: Payment
        ) -> RefundAccepted | None:
            try:
                return await by_hand.refund(
                    platform,
                    door,
                    ACTOR,
                    project,
                    payment,
                    amount=amount,
                    reason="asked by phone",
                    form_key=form_key,
                )
            except Unfit:
                return None

        presses = self._draw.choice((1, 1, 2))
        for accepted in await asyncio.gather(*(self._press(row, story) for _ in range(presses))):
            if accepted is not None:
                self._world.auditor.pressed(form_key, accepted.request_id)

    async def settle_open_refund(self) -> None:
        """Somebody looks up an open refund at the provider and books what stands there (N-12)."""
        row = self._long_open()
        done = self._stands_at_provider(row) if row is not None else None
        if row is None or done is None:
            return
        self._tell(f"books refund {row['operation_id']} as {'done' if done else 'not done'}")

        async def story(platform: Platform, door: Door, project: Project, payment: Payment) -> Verdict:
            return await by_hand.settle_refund(
                platform, door, ACTOR, project, payment, row["operation_id"], seq=row["seq"], done=done
            )

        await self._press(row, story)

    def _long_open(self) -> Any:
        rows = self._world.postgres.fetch(
            "SELECT * FROM operation WHERE stage = 'asking' ORDER BY operation_id"
        )
        now_s = self._world.loop.time()
        self._open_since_s = {
            row["operation_id"]: self._open_since_s.get(row["operation_id"], now_s) for row in rows
        }
        long = [row for row in rows if now_s - self._open_since_s[row["operation_id"]] > PATIENCE_S]
        return self._draw.choice(long) if long else None

    def _stands_at_provider(self, refund: Any) -> bool | None:
        """Was it carried out? None while the provider itself is still at it."""
        books = self._world.provider.sim.books
        name = f"{refund['order_number']}R{refund['operation_id']}"
        theirs = next(p for p in books.latest("", 10_000) if p.moid == refund["order_number"])
        states = {c.state for c in books.cancellations(theirs) if c.cancel_moid == name}
        return None if "pending" in states else "done" in states

    async def resend(self) -> None:
        row = self._drawn("SELECT * FROM callback ORDER BY callback_id")
        if row is None:
            return
        self._tell(f"sends callback {row['callback_id']} again")
        self._world.auditor.resent.add(row["callback_id"])

        async def story(platform: Platform, door: Door, project: Project, payment: Payment) -> bool:
            key = (PROJECT_ID, row["payment_no"], row["operation_id"], row["callback_id"])
            return await resend.ask_for_one(platform, ACTOR, *key)

        await self._press(row, story)

    def _drawn(self, statement: str) -> Any:
        rows = self._world.postgres.fetch(statement)
        return self._draw.choice(rows) if rows else None

    async def _press(
        self, row: Any, story: Callable[[Platform, Door, Project, Payment], Awaitable[Any]]
    ) -> Any:
        server = self._world.a_server()

        async def pressed(platform: Platform, door: Door) -> Any:
            project = await platform.project(PROJECT_ID)
            async with platform.database.read() as tx:
                payment, _ = await payments.with_operations(tx, PROJECT_ID, payment_no=row["payment_no"]) or (
                    None,
                    [],
                )
            assert project is not None
            assert payment is not None
            return await story(platform, door, project, payment)

        return await server.operate(pressed) if server is not None else None
