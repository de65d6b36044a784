"""NICEPAY in the simulated world: the core of `wongate_simulator` on the virtual clock, in memory, with seeded tokens.

It never imports the platform and the platform never imports it; here its handlers are called without a socket between.
"""

import asyncio
import hashlib
import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

from starlette.requests import Request

from wongate_simulator import cancellation, webapi
from wongate_simulator.books import Books
from wongate_simulator.codes import Refused
from wongate_simulator.connections import Dropped
from wongate_simulator.merchants import merge
from wongate_simulator.notices import REPEAT_S, TRIES, NoticeSender
from wongate_simulator.outcomes import Outcome
from wongate_simulator.records import AUTHENTICATED, REFUSED, Notice, Payment
from wongate_simulator.results import choose
from wongate_simulator.simulator import Simulator
from wongate_simulator.window import open_window

if TYPE_CHECKING:
    from tests.simulation.world import World

MID = "wongate01m"
KEY = "EYzu8jGGMfqaDEp76gSckuvnaHHu+bC4opsSN6lHv3b2lurNYkVXrZ7Z1AoqQnXI3eLuaUFyoRNC6FkrzVjceg=="
HOST = "https://nicepay.test"
NOTICE_PATH = "/notice/nicepay"
HANDLERS = {
    "/webapi/pay_process.jsp": webapi.pay_process,
    "/webapi/cancel_process.jsp": webapi.cancel_process,
    "/webapi/inquery/trans_status.jsp": webapi.trans_status,
}
HANG_S = (5.0, 44.0)
SILENT_S = (60.0, 3000.0)


class ProviderClock:
    """The world's time; the provider keeps it right."""

    def __init__(self, world: "World") -> None:
        self._world = world

    def now(self) -> float:
        return self._world.moment(0.0).timestamp()


class Provider:
    def __init__(self, world: "World") -> None:
        self._world = world
        self._random = world.random("provider")
        clock: Any = ProviderClock(world)
        books = Books(Path(":memory:"))
        self.sim = Simulator(clock, books, {}, NoticeSender(clock, books))
        self._app = SimpleNamespace(state=SimpleNamespace(simulator=self.sim))
        self._silent_until_s = 0.0
        self._woken = asyncio.Event()
        swarm = world.swarm
        settings = {
            "mid": MID,
            "key": KEY,
            "net_cancel_window_s": 20 if swarm.has("nicepay: window over") else 300,
            "notices": swarm.has("nicepay: notices"),
            "notice_url": f"https://pay.wongate.test{NOTICE_PATH}",
        }
        self.sim.merchants[MID] = merge(None, settings)
        if swarm.has("nicepay: tokens outlive net cancels"):
            books.kill = lambda payment: None  # type: ignore[method-assign]

    def close(self) -> None:
        self.sim.books.close()

    # --- calls -----------------------------------------------------------------------------------------------------------------

    async def answer(self, url: str, body: bytes) -> tuple[int, bytes]:
        """Status and body; status 0 when the connection breaks without an answer."""
        if self._is_silent():
            return 0, b""
        fields = dict(parse_qsl(body.decode("ascii"), encoding="cp949", keep_blank_values=True))
        kind = kind_of(urlsplit(url).path, fields)
        trouble = self._trouble(kind, fields)
        if trouble == "hang before":
            await asyncio.sleep(self._random.uniform(*HANG_S))
        status, content = await self._handled(urlsplit(url).path, body)
        if trouble == "declined":
            self._burn(fields.get("AuthToken", ""))
        if trouble == "other amount":
            content = self._with_other_amount(content)
        self._woken.set()
        self._world.auditor.provider_answered(kind, fields, status, content)
        if trouble == "hang after":
            await asyncio.sleep(self._random.uniform(*HANG_S))
        return status, content

    def _is_silent(self) -> bool:
        now_s = self._world.loop.time()
        if now_s >= self._silent_until_s and self._world.swarm.strikes("nicepay: silent"):
            self._silent_until_s = now_s + self._random.uniform(*SILENT_S)
        return now_s < self._silent_until_s and not self._world.swarm.calm

    def _trouble(self, kind: str, fields: Mapping[str, str]) -> str:
        """At most one fault for one call; those that the simulator knows itself are armed there."""
        swarm = self._world.swarm
        for fault in ("hang before", "hang after", "other amount"):
            if (fault != "other amount" or kind == "approve") and swarm.strikes(f"nicepay: {fault}"):
                return fault
        for fault, wanted in self._armable(kind, fields):
            if swarm.strikes(f"nicepay: {fault}"):
                self.sim.faults.arm({"on": kind, "tid": fields.get("TID", ""), **wanted})
                return fault
        return ""

    def _burn(self, token: str) -> None:
        """An explicit refusal is the end of an authentication, also for a second copy of the request."""
        payment = self.sim.books.by_token(token)
        if payment is not None and payment.state == AUTHENTICATED:
            self.sim.books.db.execute("UPDATE payment SET state = ? WHERE id = ?", (REFUSED, payment.id))

    def _armable(self, kind: str, fields: Mapping[str, str]) -> list[tuple[str, dict[str, Any]]]:
        draw, committed = self._random, self._random.random() < 0.5
        unclear = {"kind": "code", "code": draw.choice(("1620", "A299", "9002")), "committed": committed}
        page = {"kind": "http_500", "status": draw.choice((500, 502, 503)), "committed": committed}
        faults: list[tuple[str, dict[str, Any]]] = [("code unclear", unclear), ("error page", page)]
        faults += [("euc-kr", {"kind": "euc_kr"})]
        if kind != "inquiry":
            faults += [("wrong signature", {"kind": "wrong_signature"}), ("unpadded", {"kind": "unpadded"})]
        if kind == "approve":
            faults += [("declined", {"kind": "code", "code": draw.choice(("3095", "3011", "1523"))})]
        if kind == "cancel":
            whole = fields.get("PartialCancelCode") == "0"
            settles = {"settles": draw.choice(("done", "failed")), "after_s": draw.uniform(1, 900)}
            faults += [
                ("in progress", {"kind": "in_progress", **settles}),
                ("cancel again", {"kind": "code", "code": "2056", "committed": whole and committed}),
                ("cancel failed", {"kind": "code", "code": draw.choice(("2026", "2028", "2016"))}),
            ]
        return faults

    async def _handled(self, path: str, body: bytes) -> tuple[int, bytes]:
        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": body, "more_body": False}

        scope = {
            "type": "http",
            "method": "POST",
            "path": path,
            "headers": [],
            "query_string": b"",
            "app": self._app,
        }
        response = await HANDLERS[path](Request(scope, receive))
        if isinstance(response, Dropped):
            return 0, b""
        return response.status_code, bytes(response.body)

    def _with_other_amount(self, content: bytes) -> bytes:
        """An approval of less than was asked for, rightly signed (E-13)."""
        answer = json.loads(content) if content.startswith(b"{") else {}
        if answer.get("ResultCode") != "3001":
            return content
        answer["Amt"] = f"{int(answer['Amt']) - 10:012d}"
        signed = answer["TID"] + MID + answer["Amt"] + KEY
        answer["Signature"] = hashlib.sha256(signed.encode()).hexdigest()
        return json.dumps(answer, ensure_ascii=False).encode()

    # --- the window -------------------------------------------------------------------------------------------------------

    def opened(self, form: Mapping[str, str]) -> Payment | None:
        """None when the window refuses to open."""
        try:
            return open_window(self.sim, dict(form), HOST)
        except Refused:
            return None

    def chosen(self, payment: Payment, outcome: str, cc_part_cl: str) -> list[Any]:
        """What goes to the return URL."""
        return list(choose(self.sim, payment, Outcome(outcome, cc_part_cl=cc_part_cl)))

    def cancelled_by_hand(self, payment: Payment, amount: int) -> bool:
        """What the shop's staff does in NICEPAY's own pages."""
        try:
            cancellation.cancel_by_hand(self.sim, payment, amount, "by hand")
        except Refused:
            return False
        return True

    # --- notices ----------------------------------------------------------------------------------------------------------

    async def send_notices(self) -> None:
        """`NoticeSender.run` on the virtual clock: until the world ends."""
        sending: set[int] = set()
        while True:
            cancellation.settle_in_progress(self.sim)
            for notice in self.sim.books.due_notices(self.sim.clock.now(), 20):
                if notice.id not in sending:
                    sending.add(notice.id)
                    self._world.spawn(self._send_notice(notice, sending))
            self._woken.clear()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._woken.wait(), self._pause_s())

    def _pause_s(self) -> float | None:
        """Until the next notice, or the end of the next cancel in progress."""
        pending = "SELECT min(settles_at) FROM cancellation WHERE state = 'pending'"
        dues = [
            self.sim.books.db.execute(query).fetchone()[0]
            for query in ("SELECT min(next_at) FROM notice", pending)
        ]
        waits = [due - self.sim.clock.now() for due in dues if due is not None]
        return max(0.5, min(waits)) if waits else None

    async def _send_notice(self, notice: Notice, sending: set[int]) -> None:
        text = await self._world.post_notice(notice.body)
        tries = notice.tries + 1
        done = text == "OK" or tries >= TRIES
        self.sim.books.note_try(notice, text, None if done else self.sim.clock.now() + REPEAT_S)
        self._world.auditor.notice_answered(notice.tid, notice.body, text)
        sending.discard(notice.id)
        self._woken.set()


def kind_of(path: str, fields: Mapping[str, str]) -> str:
    if path.endswith("pay_process.jsp"):
        return "approve"
    if path.endswith("trans_status.jsp"):
        return "inquiry"
    return "netcancel" if fields.get("NetCancel") == "1" else "cancel"
