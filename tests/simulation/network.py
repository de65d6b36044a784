"""Every wire of the simulated world. A message is delivered, or one of the faults of its edge happens to it.

Nothing but a notice is delivered later than `LATE_S` after it was sent: a request that a dead connection left behind is worked
on within that time or never. The platform's second look (60 s, N-10) rests on the same bound.
"""

import asyncio
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote_to_bytes, urlencode

from tests.simulation.process import Parcel, Process, Response

from wongate.connections.http import Answer, Answered, NeverLeft, NoAnswer

if TYPE_CHECKING:
    from tests.simulation.world import World

LATE_S = 45.0
NOTICE_LATE_S = (60.0, 3000.0)
LOSES_ANSWER = ("drop answer", "truncate", "garbage", "wrong charset")
"""A line that spoils what it carries brings no answer back either: the sender has reason to send again."""

GARBAGE = (
    (502, b"<html><body>502 Bad Gateway</body></html>"),
    (200, b"<html><body>\xbd\xc3\xbd\xba\xc5\xdb</body></html>"),
    (200, b""),
    (200, b"[]"),
    (500, b'{"ResultCode":"3001"}'),
)
PAYER_IP, MERCHANT_IP, NOTICE_IP = "203.0.113.7", "198.51.100.4", "121.133.126.10"


class Network:
    def __init__(self, world: "World") -> None:
        self._world = world
        self._random = world.random("network")

    def _way_s(self, kind: str) -> float:
        """How long one direction takes."""
        if kind in ("delay", "slow"):
            return self._random.uniform(1, LATE_S)
        if kind == "reorder":
            return self._random.uniform(0.1, 3)
        if kind == "late":
            return self._random.uniform(*NOTICE_LATE_S)
        return self._random.uniform(0.002, 0.08)

    # --- outbound: the platform calls ---------------------------------------------------------------------------------------

    async def to_provider(
        self, process: Process, url: str, fields: Mapping[str, str | bytes], connect_s: float, total_s: float
    ) -> Answer:
        body = urlencode(fields).encode("ascii")
        self._world.auditor.calls_provider(process, url, body)
        kind = self._world.swarm.of_edge("provider")
        if kind == "duplicate" and b"CancelMsg" in body:
            kind = (
                "delay"  # TCP delivers a POST once; only what the provider itself takes once may come twice
            )
        self._world.tell("network", f"provider {kind}")
        if kind == "refuse":
            await asyncio.sleep(self._random.uniform(0.001, connect_s))
            return NeverLeft("no connection: Connection refused")
        answered: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._world.spawn(self._at_provider(url, body, kind, answered))
        try:
            return await asyncio.wait_for(answered, total_s)
        except TimeoutError:
            return NoAnswer("no answer in time")

    async def _at_provider(
        self, url: str, body: bytes, kind: str, answered: "asyncio.Future[Answer]"
    ) -> None:
        if kind == "drop request":
            return await self._lost(answered)
        await asyncio.sleep(self._way_s(kind))
        if kind == "duplicate":
            self._world.spawn(self._again_at_provider(url, body))
        status, content = await self._world.provider.answer(url, body)
        await asyncio.sleep(self._way_s("slow" if kind == "slow" else ""))
        if kind == "drop answer" or status == 0:
            return await self._lost(answered)
        if not answered.done():
            answered.set_result(self._spoilt(kind, status, content))
        return None

    async def _again_at_provider(self, url: str, body: bytes) -> None:
        await asyncio.sleep(self._random.uniform(0.001, LATE_S))
        await self._world.provider.answer(url, body)

    async def _lost(self, answered: "asyncio.Future[Answer]") -> None:
        """Half of the lost answers end with a closed connection, the others with silence."""
        if self._random.random() < 0.5:
            await asyncio.sleep(self._random.uniform(0.001, 5))
            if not answered.done():
                answered.set_result(NoAnswer("the connection was closed without an answer"))

    def _spoilt(self, kind: str, status: int, content: bytes) -> Answer:
        if kind == "truncate":
            content = content[: self._random.randrange(len(content) + 1)]
            if self._random.random() < 0.5:
                return NoAnswer("the answer broke off")
        if kind == "garbage":
            status, content = self._random.choice(GARBAGE)
        if kind == "wrong charset":
            content = content.decode("utf-8", "replace").encode("cp949", "replace")
        return Answered(status, content, {}, 1)

    async def to_merchant(self, process: Process, url: str, body: bytes, total_s: float) -> Answer:
        kind = self._world.swarm.of_edge("merchant")
        self._world.tell("network", f"merchant {kind}")
        self._world.auditor.callback_sent(process, url, body)
        answer = await self._callback(url, body, kind, total_s)
        self._world.auditor.callback_ended(url, body, answer.status if isinstance(answer, Answered) else None)
        return answer

    async def _callback(self, url: str, body: bytes, kind: str, total_s: float) -> Answer:
        if kind == "refuse" or self._world.merchant.is_dead(url):
            await asyncio.sleep(self._random.uniform(0.001, 2))
            return NeverLeft("no connection: Connection refused")
        way_s = self._way_s("" if kind == "slow" else kind)
        if kind == "drop request" or way_s >= total_s:
            await asyncio.sleep(total_s)
            return NoAnswer("no answer in time")
        await asyncio.sleep(way_s)
        status = self._world.merchant.receive(url, body, kind)
        if kind == "duplicate":
            self._world.merchant.receive(url, body, kind)
        back_s = self._random.uniform(1, LATE_S) if kind == "slow" else self._random.uniform(0.002, 0.05)
        if kind == "drop answer" or way_s + back_s >= total_s:
            await asyncio.sleep(total_s - way_s)
            return NoAnswer("no answer in time")
        await asyncio.sleep(back_s)
        return self._spoilt_by_shop(kind, status)

    def _spoilt_by_shop(self, kind: str, status: int) -> Answer:
        """Only the status counts (E-19): what cannot be read as HTTP has none, whatever the body is like."""
        if kind == "garbage":
            return NoAnswer("the answer is not HTTP, or its headers are too large")
        if kind == "truncate" and self._random.random() < 0.5:
            return NoAnswer("the connection was closed without an answer")
        body = "접수했습니다\0".encode("cp949") if kind == "wrong charset" else b""
        return Answered(status, body, {}, 1)

    # --- inbound: somebody calls the platform --------------------------------------------------------------------------------

    async def to_platform(
        self,
        edge: str,
        path: str,
        body: bytes,
        *,
        method: str = "POST",
        content_type: str = "application/json",
        caller_ip: str,
        wait_s: float = 120.0,
    ) -> Response | None:
        """None when there is no answer; whether anything was done is not known then."""
        kind = self._world.swarm.of_edge(edge)
        self._world.tell("network", f"{edge} {kind}")
        headers = {"content-type": content_type, "host": "pay.wongate.test"}
        path, _, query = path.partition("?")
        mail = Parcel(method, path, self._mangled(kind, body), headers, caller_ip, query=query)
        mail.broken_off = kind == "truncate" and self._random.random() < 0.5
        answered: asyncio.Future[Response | None] = asyncio.get_running_loop().create_future()

        async def deliver() -> None:
            await asyncio.sleep(self._way_s(kind))
            server = self._world.a_server()
            response = await server.answer(mail) if server else None
            if kind in LOSES_ANSWER:
                return
            await asyncio.sleep(self._way_s("slow" if kind == "slow" else ""))
            if not answered.done():
                answered.set_result(response)

        if kind == "refuse":
            await asyncio.sleep(self._random.uniform(0.001, 2))
            return None
        if kind != "drop request":
            self._world.spawn(deliver())
        if kind == "duplicate":
            self._world.spawn(deliver())
        if kind == "forged":
            self._world.spawn(self._world.forge_notice(body))
        try:
            return await asyncio.wait_for(answered, wait_s)
        except TimeoutError:
            return None

    def _mangled(self, kind: str, body: bytes) -> bytes:
        if kind == "truncate":
            return body[: self._random.randrange(len(body) + 1)]
        if kind == "garbage":
            return self._random.randbytes(50)
        return in_another_charset(body) if kind == "wrong charset" else body


def in_another_charset(body: bytes) -> bytes:
    """Raw text and percent-encoded text, in EUC-KR where it was UTF-8 and the other way round."""
    if not body.isascii():
        return _recoded(body)
    return re.sub(
        rb"(%[0-9A-Fa-f]{2})+", lambda found: quote(_recoded(unquote_to_bytes(found[0]))).encode(), body
    )


def _recoded(text: bytes) -> bytes:
    try:
        return text.decode("utf-8").encode("cp949", "replace")
    except UnicodeDecodeError:
        return text.decode("cp949", "replace").encode("utf-8")
