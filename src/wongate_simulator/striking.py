"""What an armed fault does to a request: waits, broken connections, garbage, and codes, before or after the commit."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

from starlette.responses import Response

from wongate_simulator.codes import Refused
from wongate_simulator.connections import Dropped
from wongate_simulator.faults import Fault

GARBAGE = {
    "html": b"<html><head><title>502 Bad Gateway</title></head><body>Bad Gateway</body></html>",
    "half": b'{"ResultCode":"3001","ResultMsg":"\xc4\xab\xb5',
    "empty": b"",
    "bytes": bytes(range(128, 256)),
}
# These replace the answer; `committed` says whether the money was moved before.
REPLACING = ("reset", "http_500", "garbage", "code")


async def strike(
    fault: Fault | None, act: Callable[[], Awaitable[Response]], refuse: Callable[[Refused], Response]
) -> Response:
    """Runs `act`, which commits and answers, as the fault allows; `refuse` gives the answer of a chosen code."""
    if fault is None:
        return await act()
    if fault.kind == "hang_before":
        await _hang(fault)
    if fault.kind not in REPLACING:
        answer = await act()
        if fault.kind == "hang_after":
            await _hang(fault)
        return answer
    if fault.committed:
        await act()
    return refuse(Refused(fault.code, text=fault.text)) if fault.kind == "code" else _broken(fault)


async def _hang(fault: Fault) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(fault.seconds):
            await fault.lifted.wait()


def _broken(fault: Fault) -> Response:
    if fault.kind == "reset":
        return Dropped()
    if fault.kind == "http_500":
        return Response("Internal Server Error", fault.status, media_type="text/html")
    return Response(GARBAGE[fault.style], headers={"content-type": "text/html"})
