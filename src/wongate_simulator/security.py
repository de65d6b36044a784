"""Guards around the whole application: host names, foreign origins, and headers that every answer carries."""

import ipaddress
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

# A page on the internet must not steer a simulator on the developer's machine.
STEERING = ("/control", "/admin")

MARKS = (
    (b"x-simulator", b"NICEPAY stand-in; no money moves"),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"strict-origin"),
)


def is_loopback(host: str) -> bool:
    """Whether the name or address, as in a URL or on a command line, is this machine's own."""
    if host.lower() in ("localhost", "127.0.0.1"):
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


class Guard:
    """Answers only to this machine's names (DNS rebinding) and lets no other origin steer (request forgery)."""

    def __init__(self, app: ASGIApp, exposed: bool) -> None:
        self.app = app
        self.exposed = exposed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        trouble = self._trouble(scope)

        async def send_marked(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *MARKS]
            await send(message)

        answer = JSONResponse({"error": trouble}, 403) if trouble else self.app
        await answer(scope, receive, send_marked)

    def _trouble(self, scope: Scope) -> str:
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        name = host.rpartition(":")[0] if host.rpartition(":")[2].isdigit() else host
        if not (self.exposed or is_loopback(name)):
            return "this simulator answers to 127.0.0.1 and localhost only; start it with --unsafe-expose for other names"
        origin = headers.get("origin", "")
        steers = scope["method"] != "GET" and scope["path"].startswith(STEERING)
        if steers and origin and urlsplit(origin).netloc != host:
            return "a page of another origin may not steer the simulator"
        return ""
