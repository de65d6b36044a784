"""HTTP of the machine interfaces over real sockets: the short way answers as uvicorn's own way does."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from random import Random
from typing import Any, cast

import pytest
import uvicorn
from tests.processes import until
from uvicorn.server import ServerState

from wongate.web.http import Receive, Scope, Send, answer_json, read_body
from wongate.web.whole_requests import Protocol

PATH = "/v2/payment/status"


class Echo:
    """An application that says what came in; `shut` holds its answers back."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        self.open = asyncio.Event()
        self.open.set()
        self.came = asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = await read_body(scope, receive)
        self.bodies.append(body)
        self.came.set()
        await self.open.wait()
        if body == b"break":
            raise ValueError("broken story")
        headers = [(b"connection", b"close")] if body == b"close" else []
        said = {
            "path": scope["path"],
            "method": scope["method"],
            "bytes": len(body),
            "text": body[:20].decode(),
        }
        await answer_json(send, said, 200, headers)


@asynccontextmanager
async def serving(app: Any, http: type[Protocol] = Protocol) -> AsyncIterator[tuple[uvicorn.Server, int]]:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        config = uvicorn.Config(app, http=http, lifespan="off", log_config=None, access_log=False)
        server = uvicorn.Server(config)
        running = asyncio.create_task(server.serve(sockets=[listening]))
        while not server.started:  # noqa: ASYNC110 - uvicorn has a flag only
            await asyncio.sleep(0.01)
        try:
            yield server, listening.getsockname()[1]
        finally:
            server.should_exit = True
            await running


def post(body: bytes, *headers: str, path: str = PATH, version: str = "1.1") -> bytes:
    lines = [f"POST {path} HTTP/{version}", "Host: gate", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join([*lines, "", ""]).encode() + body


class Caller:
    """One connection of a client."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def answer(self) -> tuple[int, dict[str, str], dict[str, Any]]:
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in head[1:] if line)
        body = await self.reader.readexactly(int(headers["content-length"]))
        return int(head[0].split()[1]), headers, json.loads(body)

    async def ask(self, raw: bytes) -> dict[str, Any]:
        self.writer.write(raw)
        status, _, said = await self.answer()
        assert 200 == status
        return said


@asynccontextmanager
async def calling(port: int) -> AsyncIterator[Caller]:
    caller = Caller(*await asyncio.open_connection("127.0.0.1", port))
    try:
        yield caller
    finally:
        caller.writer.close()
        with suppress(ConnectionError):
            await caller.writer.wait_closed()


async def is_well(port: int) -> None:
    async with calling(port) as caller:
        assert 4 == (await caller.ask(post(b"next")))["bytes"]


async def test_requests_follow_each_other_on_one_connection() -> None:
    async with serving(Echo()) as (_, port), calling(port) as caller:
        for text in (b"one", b"", b"three"):
            said = await caller.ask(post(text))
            assert {"path": PATH, "method": "POST", "bytes": len(text), "text": text.decode()} == said


async def test_the_head_says_what_uvicorn_says() -> None:
    async with serving(Echo()) as (_, port), calling(port) as caller:
        caller.writer.write(post(b"short way"))
        _, short, _ = await caller.answer()
        caller.writer.write(post(b"short way", path=PATH + "?long=way"))
        _, long, _ = await caller.answer()
        differing = {"date", "content-length"}
        assert {n: v for n, v in long.items() if n not in differing} == {
            n: v for n, v in short.items() if n not in differing
        }
        assert "date" in short


async def test_a_body_in_pieces_is_put_together_before_the_story_begins() -> None:
    app = Echo()
    async with serving(app) as (_, port), calling(port) as caller:
        whole = post(b"in three pieces")
        for piece in (whole[:30], whole[30:-5]):
            caller.writer.write(piece)
            await caller.writer.drain()
            await asyncio.sleep(0.02)
        assert [] == app.bodies
        assert 15 == (await caller.ask(whole[-5:]))["bytes"]


async def test_pipelined_requests_are_answered_in_their_order() -> None:
    async with serving(Echo()) as (_, port), calling(port) as caller:
        caller.writer.write(b"".join(post(text) for text in (b"first", b"second", b"third")))
        assert ["first", "second", "third"] == [(await caller.answer())[2]["text"] for _ in range(3)]


class Counting(Protocol):
    """Counts the headers that are read."""

    read = 0

    def on_header(self, name: bytes, value: bytes) -> None:
        Counting.read += 1
        super().on_header(name, value)


async def test_a_head_that_was_read_before_is_not_read_again() -> None:
    Counting.read = 0
    head = f"X-Of-This-Test: {id(head_of)}"
    async with serving(Echo(), Counting) as (_, port), calling(port) as caller, calling(port) as other:
        for text in (b"one", b"two", b"6ix"):
            assert text.decode() == (await caller.ask(post(text, head)))["text"]
        assert "one" == (await other.ask(post(b"one", head)))["text"]
        assert 3 == Counting.read
        assert "three" == (await caller.ask(post(b"three", head)))["text"]
        assert 6 == Counting.read


def head_of(raw: bytes) -> bytes:
    return raw[: raw.index(b"\r\n\r\n") + 4]


async def test_a_known_head_is_its_own_bytes_and_nothing_near_them() -> None:
    """A head that ends otherwise, or says another length, is read anew: what is body to us is body to the parser."""
    async with serving(Echo()) as (_, port), calling(port) as caller:
        known = post(b"known")
        for _ in range(2):
            assert "known" == (await caller.ask(known))["text"]
        assert 8 == (await caller.ask(post(b"\r\n\r\nknow")))["bytes"]
        assert 4 == (await caller.ask(known.replace(b"Length: 5", b"Length: 4")[:-1]))["bytes"]
        caller.writer.write(head_of(known) + b"kno")
        await caller.writer.drain()
        await asyncio.sleep(0.02)
        assert "known" == (await caller.ask(b"wn"))["text"]
        caller.writer.write(known + post(b"GET / HTTP/1.1\r\n\r\n"))
        assert ["known", "GET / HTTP/1.1\r\n\r\n"] == [(await caller.answer())[2]["text"] for _ in range(2)]
        caller.writer.write(b"POST /v2/other HTTP/1.1\r\nX-Header: ")
        await caller.writer.drain()
        await asyncio.sleep(0.02)
        assert "/v2/other" == (await caller.ask(known))["path"]  # the rest of a head that looks like another
        caller.writer.write(b"\r\n" + known)
        assert "known" == (await caller.answer())[2]["text"]
        caller.writer.write(known.replace(b"\r\n", b"\n"))
        assert b"HTTP/1.1 400" == (await caller.reader.readuntil(b"\r\n"))[:12]


@pytest.mark.parametrize("seed", range(20))
async def test_requests_are_the_same_however_their_bytes_arrive(seed: int) -> None:
    chance = Random(seed)
    texts = [
        chance.choice((b"one", b"two", b"a longer one", b"", b"\r\n\r\n", known_body())) for _ in range(30)
    ]
    stream = b"".join(post(text, path=chance.choice((PATH, PATH, PATH + "?a"))) for text in texts)
    async with serving(app := Echo()) as (_, port), calling(port) as caller:
        while stream:
            size = chance.choice((1, 40, 68, len(head_of(post(b"one"))) + 3, 200))
            caller.writer.write(stream[:size])
            stream = stream[size:]
            await caller.writer.drain()
            await asyncio.sleep(0)
        answers = [(await caller.answer())[2]["text"] for _ in texts]
    assert [text.decode()[:20] for text in texts] == answers
    assert texts == app.bodies


def known_body() -> bytes:
    """A body that looks like the next request."""
    return post(b"one")


@pytest.mark.parametrize(
    ("raw", "length"),
    [
        (post(b"query", path=PATH + "?a=b"), 5),
        (post(b"quoted", path="/v2/payment%2Fstatus"), 6),
        (post(b"old", version="1.0"), 3),
        (post(b"last", "Connection: close"), 4),
        (post(b"x" * 70_000), 70_000),
        (post(b"page", path="/payment"), 4),
        (
            b"POST /v2/a HTTP/1.1\r\nHost: g\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n4\r\ndefg\r\n0\r\n\r\n",
            7,
        ),
    ],
    ids=["query", "quoted path", "HTTP/1.0", "last request", "big", "page", "chunked"],
)
async def test_what_is_out_of_the_ordinary_goes_the_usual_way(raw: bytes, length: int) -> None:
    async with serving(Echo()) as (_, port), calling(port) as caller:
        assert length == (await caller.ask(raw))["bytes"]


async def test_a_client_that_waits_to_be_asked_for_its_body_is_asked() -> None:
    async with serving(Echo()) as (_, port), calling(port) as caller:
        whole = post(b"patient", "Expect: 100-continue")
        caller.writer.write(whole[:-7])
        assert b"HTTP/1.1 100 Continue\r\n\r\n" == await caller.reader.readuntil(b"\r\n\r\n")
        assert 7 == (await caller.ask(b"patient"))["bytes"]


async def test_an_answer_that_says_so_closes_the_connection() -> None:
    async with serving(Echo()) as (_, port), calling(port) as caller:
        caller.writer.write(post(b"close"))
        _, headers, _ = await caller.answer()
        assert "close" == headers["connection"]
        assert b"" == await caller.reader.read()


async def test_a_client_that_leaves_in_the_middle_of_its_body_starts_nothing() -> None:
    app = Echo()
    async with serving(app) as (_, port):
        async with calling(port) as leaving:
            leaving.writer.write(post(b"unfinished")[:-3])
            await leaving.writer.drain()
        await is_well(port)
    assert [b"next"] == app.bodies


async def test_a_client_that_leaves_before_the_answer_harms_nobody() -> None:
    app = Echo()
    async with serving(app) as (_, port):
        app.open.clear()
        async with calling(port) as leaving:
            leaving.writer.write(post(b"gone"))
            await app.came.wait()
        app.open.set()
        await is_well(port)


async def test_a_client_that_reads_nothing_is_waited_for() -> None:
    """Its answers pile up until the connection is full, not until the server is."""
    handled = 0

    async def generous(scope: Scope, receive: Receive, send: Send) -> None:
        nonlocal handled
        await read_body(scope, receive)
        handled += 1
        came.set()
        await answer_json(send, {"text": "x" * 200_000})

    came = asyncio.Event()
    async with serving(generous) as (_, port), calling(port) as caller:
        for _ in range(300):
            came.clear()
            caller.writer.write(post(b"more"))
            try:
                await asyncio.wait_for(came.wait(), 1)
            except TimeoutError:
                break
        assert 300 > handled
        caller.writer.transport.abort()


async def test_a_story_that_breaks_leaves_no_half_answer() -> None:
    async with serving(Echo()) as (_, port), calling(port) as caller:
        caller.writer.write(post(b"break"))
        assert b"" == await caller.reader.read()
        await is_well(port)


async def test_a_server_that_stops_ends_what_it_has_begun() -> None:
    app = Echo()
    async with serving(app) as (server, port), calling(port) as caller:
        app.open.clear()
        caller.writer.write(post(b"under way"))
        await app.came.wait()
        server.should_exit = True
        await until(lambda: not any(accepting.is_serving() for accepting in server.servers))
        app.open.set()
        status, headers, said = await caller.answer()
        assert (200, "close", "under way") == (status, headers["connection"], said["text"])


class Timer:
    """A call to come, which `cancel` takes out of those that are due."""

    def __init__(self, due: "list[Timer]", at_s: float, call: Callable[[], None]) -> None:
        self.due, self.at_s, self.call = due, at_s, call
        due.append(self)

    def cancel(self) -> None:
        if self in self.due:
            self.due.remove(self)


class Timers:
    """A loop whose clock stands still until it is moved; tasks run on the real one."""

    def __init__(self) -> None:
        self.now_s = 1000.0
        self.due: list[Timer] = []

    def time(self) -> float:
        return self.now_s

    def call_later(self, seconds: float, call: Callable[[], None]) -> Timer:
        return Timer(self.due, self.now_s + seconds, call)

    def create_task(self, story: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        return asyncio.get_running_loop().create_task(story)

    def pass_by(self, seconds: float) -> None:
        """Each call comes at its own moment, the ones that it asks for too."""
        end_s = self.now_s + seconds
        while self.due and (first := min(self.due, key=lambda timer: timer.at_s)).at_s <= end_s:
            first.cancel()
            self.now_s = first.at_s
            first.call()
        self.now_s = end_s


class Line(asyncio.Transport):
    """The server's end of a connection."""

    closed = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        pass

    def close(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return default

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass


def connected(app: Any) -> tuple[Protocol, Line, Timers]:
    config = uvicorn.Config(app, http=Protocol, log_config=None, timeout_keep_alive=75)
    config.load()
    timers, line = Timers(), Line()
    protocol = Protocol(config, ServerState(), {}, cast(asyncio.AbstractEventLoop, timers))
    protocol.connection_made(line)
    return protocol, line, timers


async def test_a_connection_on_which_nothing_is_asked_is_closed() -> None:
    protocol, line, timers = connected(Echo())
    for seconds, data in ((70, post(b"one")), (70, post(b"one")), (74, post(b"page", path="/payment"))):
        timers.pass_by(seconds)
        protocol.data_received(data)
        await until(lambda: bool(protocol.cycle.response_complete))
        assert not line.closed
    timers.pass_by(74)
    assert not line.closed
    timers.pass_by(1)
    assert line.closed


@pytest.mark.parametrize(
    "raw", [b"POST /v2/payment/st", head_of(post(b"body")) + b"bo", b"GET / HTTP/1.1\r\nHost: g"]
)
async def test_a_request_that_does_not_end_is_not_waited_for(raw: bytes) -> None:
    protocol, line, timers = connected(Echo())
    protocol.data_received(post(b"before"))
    await until(lambda: bool(protocol.cycle.response_complete))
    timers.pass_by(60)
    protocol.data_received(raw)
    timers.pass_by(74)  # from the request's beginning, not from the last answer
    assert not line.closed
    timers.pass_by(1)
    assert line.closed


async def test_an_answer_is_waited_for_however_long_it_takes() -> None:
    app = Echo()
    protocol, line, timers = connected(app)
    app.open.clear()
    protocol.data_received(post(b"slow"))
    await app.came.wait()
    timers.pass_by(1000)
    assert not line.closed
    app.open.set()
    await until(lambda: bool(protocol.cycle.response_complete))
    timers.pass_by(74)  # from the answer, not from the request's beginning
    assert not line.closed
    timers.pass_by(1)
    assert line.closed


@pytest.mark.parametrize("reason", [None, ConnectionResetError()], ids=["closed", "reset"])
async def test_a_connection_that_is_gone_is_not_looked_at_again(reason: Exception | None) -> None:
    protocol, _, timers = connected(Echo())
    protocol.data_received(post(b"before"))
    await until(lambda: bool(protocol.cycle.response_complete))
    assert 1 == len(timers.due)
    protocol.connection_lost(reason)
    assert [] == timers.due
