"""Posts a result to the return URL from the server: for payers without a browser, and for doubled results."""

from dataclasses import asdict, dataclass

import aiohttp

from wongate_simulator.forms import write_form
from wongate_simulator.results import Delivery
from wongate_simulator.simulator import Simulator

# The return endpoint approves in the same request, and hanging faults must be able to unfold behind it.
RETURN_LIMIT_S = 120
SHOWN_BODY = 2000


@dataclass(frozen=True, slots=True)
class Returned:
    """What the return URL answered; `status` is None when it could not be reached."""

    status: int | None
    location: str | None
    body: str
    error: str = ""

    def public(self) -> dict[str, object]:
        shown = asdict(self)
        if not self.error:
            del shown["error"]
        return shown


async def deliver(sim: Simulator, delivery: Delivery, origin: str) -> Returned:
    """One form POST as a browser on `origin` would send it; redirects are reported, not followed."""
    if sim.http is None:
        raise RuntimeError("the simulator is not serving")
    try:
        async with sim.http.post(
            delivery.url,
            data=write_form(delivery.fields, delivery.charset),
            headers={"Content-Type": "application/x-www-form-urlencoded", "Origin": origin},
            allow_redirects=False,
            timeout=aiohttp.ClientTimeout(total=RETURN_LIMIT_S),
        ) as answer:
            return Returned(answer.status, answer.headers.get("Location"), await _start(answer.content))
    except (aiohttp.ClientError, OSError, ValueError) as trouble:
        return Returned(None, None, "", f"{type(trouble).__name__}: {trouble}")


async def _start(content: aiohttp.StreamReader) -> str:
    pieces: list[bytes] = []
    size = 0
    # UTF-8 takes at most four bytes for a character.
    while size < SHOWN_BODY * 4 and (piece := await content.read(SHOWN_BODY * 4)):
        pieces.append(piece)
        size += len(piece)
    return b"".join(pieces).decode("utf-8", "replace")[:SHOWN_BODY]
