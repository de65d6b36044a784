"""Calls that leave this server: to payment providers at fixed hosts, and to URLs that merchants have chosen.

A call never raises because of the other side. Its answer is one of three values, and the difference between
the last two is money: what never left may be sent again, what got no answer may have been done.
"""

import asyncio
import os
import socket
import ssl
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from urllib.parse import urlencode

from aiohttp import (
    ClientConnectorCertificateError,
    ClientConnectorError,
    ClientError,
    ClientOSError,
    ClientResponse,
    ClientResponseError,
    ClientSession,
    ClientTimeout,
    ConnectionTimeoutError,
    DummyCookieJar,
    InvalidURL,
    NonHttpUrlClientError,
    ServerDisconnectedError,
    TCPConnector,
)
from aiohttp.abc import AbstractResolver, ResolveResult
from multidict import CIMultiDict
from yarl import URL

from wongate.connections.addresses import AddressRefused, Destinations

_BODY_MAX = 64 * 1024  # bytes of an answer that are read; what follows is cut off with the connection
_HEADERS_MAX = 16 * 1024  # bytes of all header lines together
_HEADER_LINES_MAX = 64
_HEADER_LINE_MAX = 8 * 1024  # bytes; with the number of lines this bounds what a parser may hold in memory
_CONNECTIONS_MAX = 512  # at one moment, waiting callers included: they wait inside their connect time
_MERCHANT_CONNECT_S = 5
# Servers close an idle connection after 5 s (Apache, Node, uvicorn) or later. Dropping ours before avoids the
# race in which an approval meets a closing connection, gets no answer and is taken back for nothing.
_IDLE_S = 4
_NAMES_KEPT_S = 10  # checked answers of the name service; long enough for a burst of callbacks to one host
# Threads of our own for merchants' names: a silent name server holds one for some 10 s, and the event loop's
# pool (4 threads with uvloop) also looks up the provider and the database.
_LOOKUPS_MAX = 32


@dataclass(frozen=True, slots=True)
class Answered:
    """A complete status line and headers came back. `body` ends at 64 kB; header names match in any case."""

    status: int
    body: bytes
    headers: Mapping[str, str]
    duration_ms: int


@dataclass(frozen=True, slots=True)
class NeverLeft:
    """No byte of the request left this server: it may be sent again without danger."""

    reason: str


@dataclass(frozen=True, slots=True)
class NoAnswer:
    """The other side may have received the request and acted on it."""

    reason: str


Answer = Answered | NeverLeft | NoAnswer
Lookup = Callable[[str, int], Awaitable[Sequence[str]]]


class Outbound:
    """The HTTP client of one process, bound to the event loop of its first call.

    `allow`, `allow_http` and `ports` say where merchant URLs may lead (see `Destinations`); by default https
    to public addresses. `lookup` replaces the system's resolver for merchants' hosts: it turns host and port
    into addresses. `tls` replaces the system's trusted certificates.
    """

    def __init__(
        self,
        *,
        allow: Sequence[str] = (),
        allow_http: bool = False,
        ports: Sequence[int] = (80, 443),
        lookup: Lookup | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._destinations = Destinations(allow=allow, allow_http=allow_http, ports=ports)
        self._read_url = lru_cache(maxsize=4096)(self._destinations.read)
        self._tls = tls
        self._threads = ThreadPoolExecutor(_LOOKUPS_MAX, thread_name_prefix="lookup")
        self._lookup = lookup or self._system_lookup
        self._to_providers: ClientSession | None = None
        self._to_merchants: ClientSession | None = None

    def check_url(self, url: str) -> str | None:
        """Why `url` can never be a merchant's, for a settings form; None when it may. Looks no name up."""
        return self._destinations.why_not(url)

    async def post_form(
        self, url: str, fields: Mapping[str, str | bytes], *, connect_s: float, total_s: float
    ) -> Answer:
        """Calls a payment provider at a URL from configuration (N-22): no repetition, redirect or proxy.

        Strings are sent as UTF-8, bytes percent-encoded as they are. An answer that breaks off, is over 64 kB
        or not complete after `total_s` is NoAnswer.
        """
        if self._to_providers is None:
            self._to_providers = _session(self._tls)
        body = urlencode(fields).encode("ascii")
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        return await _post(
            self._to_providers, url, body, headers, _time_limits(connect_s, total_s), whole_answer=True
        )

    async def post_json(
        self, url: str, body: bytes, headers: Mapping[str, str] = {}, *, total_s: float
    ) -> Answer:
        """Calls a merchant's URL where `Destinations` allows it (E-19): no repetition, redirect or proxy.

        Answered once the headers have come; the body is read on to keep the connection, at most 64 kB
        and until `total_s`.
        """
        try:
            target = self._read_url(url)
        except AddressRefused as refusal:
            return NeverLeft(str(refusal))
        if self._to_merchants is None:
            self._to_merchants = _session(self._tls, _CheckedResolver(self._lookup, self._destinations))
        headers = {"Content-Type": "application/json", **headers}
        limits = _time_limits(_MERCHANT_CONNECT_S, total_s)
        return await _post(self._to_merchants, target, body, headers, limits, whole_answer=False)

    async def close(self) -> None:
        """Ends all connections; calls still under way get NoAnswer."""
        for session in (self._to_providers, self._to_merchants):
            if session is not None:
                await session.close()
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _system_lookup(self, host: str, port: int) -> list[str]:
        loop = asyncio.get_running_loop()
        found = await loop.run_in_executor(
            self._threads, lambda: socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        )
        return [str(address[0]) for *_, address in found]


class _CheckedResolver(AbstractResolver):
    """Hands a connector judged addresses only, so that what was checked is what is connected to (pinning)."""

    def __init__(self, lookup: Lookup, destinations: Destinations) -> None:
        self._lookup = lookup
        self._destinations = destinations

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        addresses = await self._lookup(host, port)
        self._destinations.check(host, addresses)
        return [
            ResolveResult(
                hostname=host, host=address, port=port, family=family, proto=0, flags=socket.AI_NUMERICHOST
            )
            for address in addresses
        ]

    async def close(self) -> None:
        """Nothing to end: the lookup threads belong to Outbound."""


def _session(tls: ssl.SSLContext | None, resolver: AbstractResolver | None = None) -> ClientSession:
    """A session without cookies, proxies and decompression; answers are taken as they come."""
    return ClientSession(
        connector=TCPConnector(
            resolver=resolver,
            limit=_CONNECTIONS_MAX,
            keepalive_timeout=_IDLE_S,
            ttl_dns_cache=_NAMES_KEPT_S,
            ssl=tls or True,
        ),
        cookie_jar=DummyCookieJar(),
        trust_env=False,
        auto_decompress=False,
        headers={"User-Agent": "Wongate", "Accept": "*/*", "Accept-Encoding": "identity"},
        read_bufsize=_BODY_MAX,
        max_line_size=_HEADER_LINE_MAX,
        max_field_size=_HEADER_LINE_MAX,
        max_headers=_HEADER_LINES_MAX,
    )


@lru_cache
def _time_limits(connect_s: float, total_s: float) -> ClientTimeout:
    # The connect limit rings well before the other, so that a call which never left is known as one. aiohttp
    # would round long limits up to whole seconds; ours are promises, so the threshold for that is out of reach.
    return ClientTimeout(total=total_s, connect=min(connect_s, total_s / 2), ceil_threshold=float("inf"))


async def _post(
    session: ClientSession,
    url: str | URL,
    body: bytes,
    headers: Mapping[str, str],
    limits: ClientTimeout,
    *,
    whole_answer: bool,
) -> Answer:
    started = time.perf_counter()
    try:
        response = await session.post(url, data=body, headers=headers, timeout=limits, allow_redirects=False)
    except (ClientConnectorError, ConnectionTimeoutError, InvalidURL, NonHttpUrlClientError) as error:
        return NeverLeft(_why_never_left(error))
    except (ClientError, TimeoutError) as error:
        return NoAnswer(_why_no_answer(error))
    except asyncio.CancelledError:
        if _is_being_cancelled():
            raise
        return NoAnswer("this server was stopping")  # closing a session cancels what waits for a connection
    try:
        lines = b"".join(chain.from_iterable(response.raw_headers))
        if len(lines) + len(": \r\n") * len(response.raw_headers) > _HEADERS_MAX:
            return NoAnswer("the headers of the answer are larger than 16 kB")
        content, defect = await _read(response)
    finally:
        response.release()  # keeps the connection only if the answer was read to its end
    if defect is not None and whole_answer:
        return NoAnswer(defect)
    duration_ms = round((time.perf_counter() - started) * 1000)
    return Answered(response.status, content, _text_headers(response, lines), duration_ms)


def _is_being_cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


async def _read(response: ClientResponse) -> tuple[bytes, str | None]:
    """At most 64 kB of the body, and what is missing or wrong about it."""
    content = bytearray()
    try:
        while not response.content.at_eof():
            content += await response.content.read(_BODY_MAX + 1 - len(content))
            if len(content) > _BODY_MAX:
                return bytes(content[:_BODY_MAX]), "the answer is larger than 64 kB"
    except TimeoutError:
        return bytes(content), "the answer was not complete in time"
    except ClientError:
        return bytes(content), "the answer broke off"
    return bytes(content), None


def _text_headers(response: ClientResponse, lines: bytes) -> Mapping[str, str]:
    """The headers (all `lines` of them); bytes that are not UTF-8 are replaced, since no database takes their surrogates."""
    if lines.isascii():
        return response.headers
    return CIMultiDict(
        (name, value.encode("utf-8", "surrogateescape").decode("utf-8", "replace"))
        for name, value in response.headers.items()
    )


def _why_never_left(error: ClientError) -> str:
    match error:
        case ConnectionTimeoutError():
            return "no connection in time"
        case ClientConnectorCertificateError(certificate_error=ssl.SSLCertVerificationError() as flaw):
            return f"the certificate was not accepted: {flaw.verify_message}"
        case ClientConnectorError(os_error=AddressRefused() as refusal):
            return str(refusal)
        case ClientConnectorError(os_error=socket.gaierror()):
            return "the name of the host was not found"
        case ClientConnectorError(os_error=ssl.SSLError()):
            return "no TLS connection"
        case ClientConnectorError(os_error=OSError(errno=int() as number)):
            return f"no connection: {os.strerror(number)}"
        case InvalidURL() | NonHttpUrlClientError():
            return "this is not an HTTP URL"
    return "no connection"


def _why_no_answer(error: ClientError | TimeoutError) -> str:
    match error:
        case TimeoutError():
            return "no answer in time"
        case ClientResponseError():
            return "the answer is not HTTP, or its headers are too large"
        case ServerDisconnectedError():
            return "the connection was closed without an answer"
        case ClientOSError(errno=int() as number):
            return f"the connection broke: {os.strerror(number)}"
    return "the connection broke"
