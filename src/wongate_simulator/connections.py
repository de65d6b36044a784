"""Raw HTTP: capped bodies, and connections that break on purpose."""

import socket
import struct
from typing import Any
from urllib.parse import urlsplit

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

BODY_LIMIT = 256 * 1024
TRANSPORT = "wongate.transport"


class CuttableProtocol(HttpToolsProtocol):
    """Lets a handler reach its own connection: ASGI itself has no way to break one off."""

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope["extensions"] = {TRANSPORT: {"transport": self.transport}}


class Dropped(Response):
    """No answer at all: the connection is reset (RST), as by a crashed server or a firewall."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        held: dict[str, Any] = scope.get("extensions", {}).get(TRANSPORT, {})
        if not held:
            raise ConnectionResetError("the fault switch breaks the connection off")
        transport = held["transport"]
        # Without lingering, closing sends RST instead of an orderly FIN.
        transport.get_extra_info("socket").setsockopt(
            socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
        )
        transport.abort()
        while (await receive())["type"] != "http.disconnect":
            pass


def origin_of(url: str) -> str:
    """Scheme and host of a web address, or "" when it is none."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return ""
    return f"{parts.scheme}://{parts.netloc}" if parts.scheme in ("http", "https") and parts.netloc else ""


def own_url(request: Request) -> str:
    """This program's address as the caller sees it; the host name was checked by the guard."""
    return str(request.base_url).rstrip("/")


async def read_body(request: Request) -> bytes:
    """At most 256 KB; more is answered with 413 before it is read."""
    pieces: list[bytes] = []
    size = 0
    async for piece in request.stream():
        size += len(piece)
        if size > BODY_LIMIT:
            raise HTTPException(413, f"the body is larger than {BODY_LIMIT} bytes")
        pieces.append(piece)
    return b"".join(pieces)
