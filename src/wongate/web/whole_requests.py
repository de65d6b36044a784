"""HTTP of the machine interfaces under uvicorn: a small request is read whole before its story begins, and answered at once.

uvicorn serves streams: for each request an event to wait on, each header checked by a pattern, two writes. For the requests of
`/v2`, which fit in memory and whose answers are ours, that was 15 of 37 us a request of a process that has a core to itself.
Everything else, and every request that is out of the ordinary, goes uvicorn's own way.
"""

import asyncio
import logging
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, ClassVar, NamedTuple

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

log = logging.getLogger(__name__)

PREFIX = b"/v2/"
POST = b"POST " + PREFIX
END = b"\r\n\r\n"

WHOLE_MAX = 16 * 1024
"""Bytes of the largest body that is collected here, before anything bounds it: sales have a few hundred, with receipt data 2,000.
uvicorn itself holds 64 KB of each connection."""

CLOSE = (b"connection", b"close")

KNOWN_MAX = 1024
KNOWN_BYTES_MAX = 2048
"""So many heads are remembered, each of at most so many bytes: 2 MB in a process. A client's heads differ by the length alone."""

_NOBODY_WAITS = asyncio.Event()


class Head(NamedTuple):
    """What a head says that was read before."""

    size: int  # bytes, the empty line included
    body_size: int
    path: str
    raw_path: bytes
    headers: tuple[tuple[bytes, bytes], ...]


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
            self._head = _written_head(message["status"], headers)
        elif not self.disconnected:
            self._protocol.transport.write(self._head + message["body"])
            self.response_complete = True
            if not self.keep_alive:
                self._protocol.transport.close()
            self._protocol.on_response_complete()


class Protocol(HttpToolsProtocol):
    """uvicorn's protocol with a short way for whole requests."""

    cycle: Any  # one of theirs or one of ours

    _known: ClassVar[dict[bytes, Head]] = {}  # one for all connections of the process
    _between_messages = True
    _head = b""
    _since_s = 0.0  # when the last request began or was answered, on the loop's clock; 0: there was none

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._look_again_in(self.timeout_keep_alive)

    def connection_lost(self, exc: Exception | None) -> None:
        if self.timeout_keep_alive_task is not None:
            self.timeout_keep_alive_task.cancel()
        super().connection_lost(exc)

    def _look_again_in(self, seconds: float) -> None:
        self.timeout_keep_alive_task = self.loop.call_later(seconds, self._close_if_idle)

    def _close_if_idle(self) -> None:
        """Ends a connection on which nothing was asked for so long, or on which a request does not come to its end (uvicorn
        waits for ever for the rest of a head). One timer a connection: one set and taken back for each request costs 2 us."""
        answering = self.cycle is not None and not self.cycle.response_complete
        if self._between_messages and answering:
            self._look_again_in(self.timeout_keep_alive)  # the story has limits of its own
            return
        left_s = self._since_s + self.timeout_keep_alive - self.loop.time()
        if left_s > 0:
            self._look_again_in(left_s)
        else:
            self.transport.close()

    def _unset_keepalive_if_required(self) -> None:
        """The timer goes on, and looks for itself."""

    def on_response_complete(self) -> None:
        self._since_s = self.loop.time()
        if self.pipeline:
            super().on_response_complete()
            return
        self.server_state.total_requests += 1
        if not self.transport.is_closing():
            self.flow.resume_reading()

    def data_received(self, data: bytes) -> None:
        """A head that was read before, byte for byte, is not read again: clients on kept connections repeat theirs."""
        self._head = b""
        if self._between_messages and data.startswith(POST):
            self._head = data[: data.find(END) + len(END)]
            known = self._known.get(self._head)
            if known and known.size + known.body_size == len(data) and self._takes_another():
                self.on_message_begin()
                self._begin_whole(known).body = data[known.size :]
                self.on_message_complete()
                return
        super().data_received(data)

    def on_message_begin(self) -> None:
        self._between_messages = False
        self._since_s = self.loop.time()
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        length = self._is_whole() and _length(self.headers)
        if not length or length > WHOLE_MAX:
            super().on_headers_complete()
            return
        head = Head(len(self._head), length, self.url.decode("ascii"), self.url, tuple(self.headers))
        self._remember(head)
        self._begin_whole(head)

    def _begin_whole(self, head: Head) -> WholeRequest:
        self.scope |= {
            "method": "POST",
            "path": head.path,
            "raw_path": head.raw_path,
            "query_string": b"",
            "headers": head.headers,
        }
        self.cycle = request = WholeRequest(self, self.scope)
        return request

    def _remember(self, head: Head) -> None:
        """One header a line and nothing else: what the parser saw as the head's end is then what we take for it. Bare line
        feeds, which would end it elsewhere, it refuses today."""
        text = self._head
        self._head = b""  # a request further on in the same bytes has another one
        lines = len(head.headers) + 2
        if len(text) <= KNOWN_BYTES_MAX and text.count(b"\n") == text.count(b"\r\n") == lines:
            if len(self._known) >= KNOWN_MAX:
                self._known.clear()
            self._known[text] = head

    def _takes_another(self) -> bool:
        """No other request is under way, and the client reads its answers: otherwise uvicorn's way waits for it."""
        return (self.cycle is None or self.cycle.response_complete) and not self.flow.write_paused

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
            and self._takes_another()
        )

    def on_body(self, body: bytes) -> None:
        if type(self.cycle) is WholeRequest:
            self.cycle.body += body
        else:
            super().on_body(body)

    def on_message_complete(self) -> None:
        self._between_messages = True
        if type(self.cycle) is WholeRequest:
            self.cycle.begin(self.app)
        else:
            super().on_message_complete()


@lru_cache(maxsize=512)  # what differs is the length, and once a second the date
def _written_head(status: int, headers: tuple[tuple[bytes, bytes], ...]) -> bytes:
    lines = [b"%b: %b\r\n" % header for header in headers]
    return b"".join((STATUS_LINE[status], *lines, b"\r\n"))


def _length(headers: list[tuple[bytes, bytes]]) -> int:
    """The announced length of the body in bytes; more than any where none is announced."""
    for name, value in headers:
        if name == b"content-length":
            return int(value)
    return WHOLE_MAX + 1
