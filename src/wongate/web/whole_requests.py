"""HTTP of the machine interfaces under uvicorn: a small request is read whole before its story begins, and answered at once.

uvicorn serves streams: for each request an event to wait on, each header checked by a pattern, two writes. For the requests of
`/v2`, which fit in memory and whose answers are ours, that was 15 of 37 us a request of a process that has a core to itself.
Everything else, and every request that is out of the ordinary, goes uvicorn's own way.
"""

import asyncio
import logging
from collections.abc import Mapping
from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

log = logging.getLogger(__name__)

PREFIX = b"/v2/"

WHOLE_MAX = 16 * 1024
"""Bytes of the largest body that is collected here, before anything bounds it: sales have a few hundred, with receipt data 2,000.
uvicorn itself holds 64 KB of each connection."""

CLOSE = (b"connection", b"close")

_NOBODY_WAITS = asyncio.Event()


class WholeRequest:
    """One request with its body, and its answer; what uvicorn's protocol asks of a cycle."""

    __slots__ = (
        "_head",
        "_protocol",
        "_scope",
        "body",
        "disconnected",
        "keep_alive",
        "response_complete",
    )

    message_event = _NOBODY_WAITS

    def __init__(self, protocol: "Protocol", scope: Mapping[str, Any]) -> None:
        self._protocol = protocol
        self._scope = scope
        self._head = b""
        self.body = b""
        self.keep_alive = True
        self.disconnected = False
        self.response_complete = False

    def begin(self, app: Any) -> None:
        task = self._protocol.loop.create_task(self._run(app))
        self._protocol.tasks.add(task)  # what a server that stops waits for
        task.add_done_callback(self._protocol.tasks.discard)

    async def _run(self, app: Any) -> None:
        """The story answers whatever happens; one that does not leaves a connection of which nobody knows where it stands."""
        try:
            await app(self._scope, self.receive, self.send)
        except Exception:
            log.exception("a request's story broke", extra={"path": self._scope["path"]})
        finally:
            if not self.response_complete:
                self._protocol.transport.close()

    async def receive(self) -> Mapping[str, Any]:
        if self.disconnected or self.response_complete:
            return {"type": "http.disconnect"}
        return {"type": "http.request", "body": self.body, "more_body": False}

    async def send(self, message: Mapping[str, Any]) -> None:
        """Keeps the head until the body is there, then writes both."""
        if message["type"] == "http.response.start":
            headers = (*self._protocol.server_state.default_headers, *message["headers"])
            if CLOSE in headers:
                self.keep_alive = False
            elif not self.keep_alive:
                headers = (*headers, CLOSE)
            lines = [b"%b: %b\r\n" % header for header in headers]
            self._head = b"".join((STATUS_LINE[message["status"]], *lines, b"\r\n"))
        elif not self.disconnected:
            self._protocol.transport.write(self._head + message["body"])
            self.response_complete = True
            if not self.keep_alive:
                self._protocol.transport.close()
            self._protocol.on_response_complete()


class Protocol(HttpToolsProtocol):
    """uvicorn's protocol with a short way for whole requests."""

    cycle: Any  # one of theirs or one of ours

    def on_headers_complete(self) -> None:
        if not self._is_whole():
            super().on_headers_complete()
            return
        path = self.url.decode("ascii")
        self.scope |= {"method": "POST", "path": path, "raw_path": self.url, "query_string": b""}
        self.cycle = WholeRequest(self, self.scope)

    def _is_whole(self) -> bool:
        """A POST of a length that is told and small, on a connection that goes on, and no other request under way."""
        return (
            self.url.startswith(PREFIX)
            and b"%" not in self.url
            and b"?" not in self.url
            and self.parser.get_method() == b"POST"
            and self.parser.get_http_version() == "1.1"
            and self.parser.should_keep_alive()
            and not self.parser.should_upgrade()
            and not self.expect_100_continue
            and (self.cycle is None or self.cycle.response_complete)
            and not self.flow.write_paused  # a client that reads no answers is waited for by uvicorn's way
            and _length(self.headers) <= WHOLE_MAX
        )

    def on_body(self, body: bytes) -> None:
        if type(self.cycle) is WholeRequest:
            self.cycle.body += body
        else:
            super().on_body(body)

    def on_message_complete(self) -> None:
        if type(self.cycle) is WholeRequest:
            self.cycle.begin(self.app)
        else:
            super().on_message_complete()


def _length(headers: list[tuple[bytes, bytes]]) -> int:
    """The announced length of the body in bytes; more than any where none is announced."""
    for name, value in headers:
        if name == b"content-length":
            return int(value)
    return WHOLE_MAX + 1
