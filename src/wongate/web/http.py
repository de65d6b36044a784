"""The thin layer under the machine interfaces: bodies in, JSON out. Pages use Starlette."""

import ipaddress
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from wongate.connections.json_text import octets
from wongate.domain import codes
from wongate.domain.refusal import Refused
from wongate.domain.requests import BODY_MAX

Scope = Mapping[str, Any]
Receive = Callable[[], Awaitable[Mapping[str, Any]]]
Send = Callable[[Mapping[str, Any]], Awaitable[None]]


class ClientGone(Exception):
    """The client hung up before its request was complete."""


async def read_body(scope: Scope, receive: Receive, limit: int = BODY_MAX) -> bytes:
    """Raises Refused 702 with HTTP 413 for a body over the limit, without reading all of it."""
    announced = header(scope, b"content-length")
    if announced.isdigit() and int(announced) > limit:
        raise Refused(codes.MALFORMED_REQUEST, 413, constraint=f"body up to {limit} bytes")
    chunks: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        chunk = message.get("body", b"")
        size += len(chunk)
        if size > limit:
            raise Refused(codes.MALFORMED_REQUEST, 413, constraint=f"body up to {limit} bytes")
        chunks.append(chunk)
        if not message.get("more_body"):
            return b"".join(chunks)


def header(scope: Scope, name: bytes) -> str:
    """The first header of that lower-case name, an empty text where there is none."""
    for key, value in scope["headers"]:
        if key == name:
            return str(value, "latin-1")
    return ""


def caller_ip(scope: Scope, trusted_proxies: Sequence[str]) -> str:
    """The address of who calls: the last hop that is not one of ours (X-Forwarded-For counts only behind trusted proxies)."""
    client = scope.get("client")
    address = str(client[0]) if client else ""
    if not trusted_proxies:
        return address
    forwarded = header(scope, b"x-forwarded-for")
    for hop in reversed(forwarded.split(",") if forwarded else ()):
        if not hop.strip() or not in_networks(address, trusted_proxies):
            break
        address = hop.strip()
    return address


def in_networks(address: str, networks: Sequence[str]) -> bool:
    try:
        ip = ipaddress.ip_address(address)
        return any(ip in ipaddress.ip_network(network, strict=False) for network in networks)
    except ValueError:
        return False


async def answer_json(
    send: Send, body: Mapping[str, Any], status: int = 200, headers: Sequence[tuple[bytes, bytes]] = ()
) -> None:
    await answer_octets(send, octets(body), status, headers)


async def answer_text(
    send: Send, text: str, status: int = 200, headers: Sequence[tuple[bytes, bytes]] = ()
) -> None:
    """JSON that is written already: bodies whose text was signed."""
    await answer_octets(send, text.encode(), status, headers)


async def answer_octets(send: Send, raw: bytes, status: int, headers: Sequence[tuple[bytes, bytes]]) -> None:
    await send(
        {
            "type": "http.response.start",
            "status": status,
            "headers": [
                (b"content-type", b"application/json; charset=utf-8"),
                (b"content-length", str(len(raw)).encode()),
                (b"cache-control", b"no-store"),
                (b"x-content-type-options", b"nosniff"),
                *headers,
            ],
        }
    )
    await send({"type": "http.response.body", "body": raw})
