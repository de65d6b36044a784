"""Bounds what requests in work hold in memory: who brings more than there is room for is asked to come back in a moment."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from wongate.connections.shares import Overloaded, Shares
from wongate.domain import codes
from wongate.domain.refusal import Refused
from wongate.domain.requests import BODY_MAX
from wongate.web.http import Receive, Scope, Send, caller_ip

App = Callable[[Any, Any, Any], Awaitable[None]]
Busy = Callable[[Send], Awaitable[None]]

REQUEST_BYTES = 20 * 1024
"""What a sale that waits for its commit holds beside its body: 18 to 22 KB, measured with 1,500 of them."""

BODY_TIMES = 2
"""The body as it came, and what was read from it: 1.7 to 2.0 times its bytes, measured with bodies of 30 and of 250 KB."""

BODY_WITHIN_S = 20.0
"""A body that has not come by then never will: 256 KB over a bad mobile line take half of it."""


class BackPressure:
    """An application whose requests share `memory_max` bytes, each caller with its share of them; more is answered by `busy`
    and its body is thrown away.

    While more than half is in use, a body that takes longer than `body_within_s` is refused (408): who holds memory by
    sending nothing gets the other half at most.
    """

    def __init__(
        self,
        app: App,
        busy: Busy,
        *,
        memory_max: int,
        trusted_proxies: Sequence[str] = (),
        body_within_s: float = BODY_WITHIN_S,
    ) -> None:
        self._app = app
        self._busy = busy
        self._trusted_proxies = trusted_proxies
        self._body_within_s = body_within_s
        self._half = memory_max // 2
        self._memory: Shares[str] = Shares(memory_max)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        length = _announced(scope)
        caller, weight = caller_ip(scope, self._trusted_proxies), REQUEST_BYTES + BODY_TIMES * length
        try:
            self._memory.take(caller, weight)
        except Overloaded:
            await _drop(receive)
            await self._busy(send)
            return
        if length and self._memory.free < self._half:
            receive = _in_time(receive, self._body_within_s)
        try:
            await self._app(scope, receive, send)
        finally:
            self._memory.give_back(caller, weight)


def _announced(scope: Scope) -> int:
    """Bytes of body that a request may make us hold; no front that strangers reach takes more than `BODY_MAX`."""
    for name, value in scope["headers"]:
        if name == b"content-length":
            return min(int(value), BODY_MAX) if value.isdigit() else 0
        if name == b"transfer-encoding":
            return BODY_MAX
    return 0


async def _drop(receive: Receive) -> None:
    """Takes what has come of a body, and waits for no more: a server keeps it with the connection otherwise, 200 KB for each
    of a thousand clients that were turned away."""
    with suppress(TimeoutError):
        async with asyncio.timeout(0):
            await receive()


def _in_time(receive: Receive, seconds: float) -> Receive:
    """Raises Refused 702 with HTTP 408 where the body takes longer; news after it (that the client has gone) may."""
    deadline = asyncio.get_running_loop().time() + seconds
    complete = False

    async def receive_in_time() -> Mapping[str, Any]:
        nonlocal complete
        if complete:
            return await receive()
        try:
            async with asyncio.timeout_at(deadline):
                message = await receive()
        except TimeoutError:
            raise Refused(codes.MALFORMED_REQUEST, 408, constraint=f"body within {seconds:g} s") from None
        complete = not message.get("more_body")
        return message

    return receive_in_time
