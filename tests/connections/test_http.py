"""The outbound client against peers that behave, misbehave, lie about their address or never stop talking."""

import asyncio
import contextlib
import datetime
import gzip
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path

import pytest
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from tests.processes import HANG_GUARD_S
from tests.world import free_port

from wongate.connections.http import Answer, Answered, Lookup, NeverLeft, NoAnswer, Outbound

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
LOOPBACK = ("127.0.0.1",)

Behaviour = Callable[[asyncio.StreamWriter], Awaitable[None]]


class Peer:
    """A raw server: keeps every request it has read, then does as told with the connection."""

    def __init__(self, behave: Behaviour) -> None:
        self.behave = behave
        self.requests: list[bytes] = []
        self.connections = 0
        self.arrived = asyncio.Event()  # a request has been read
        self.hung_up = asyncio.Event()  # the client has ended a connection
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/callback"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while not writer.is_closing():
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
                self.requests.append(head + await reader.readexactly(length))
                self.arrived.set()
                await self.behave(writer)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError, ssl.SSLError):
            self.hung_up.set()
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()


@contextlib.asynccontextmanager
async def listening(
    behave: Behaviour, host: str = "127.0.0.1", port: int = 0, tls: ssl.SSLContext | None = None
) -> AsyncIterator[Peer]:
    peer = Peer(behave)
    serving: set[asyncio.Task[None]] = set()

    def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        serving.add(asyncio.create_task(peer.serve(reader, writer)))

    server = await asyncio.start_server(connected, host, port, ssl=tls)
    peer.port = server.sockets[0].getsockname()[1]
    try:
        yield peer
    finally:
        server.close()
        for task in serving:
            task.cancel()
        if serving:
            await asyncio.wait(serving)


@contextlib.asynccontextmanager
async def outbound(
    allow: Sequence[str] = LOOPBACK,
    ports: Sequence[int] = (80, 443),
    lookup: Lookup | None = None,
    tls: ssl.SSLContext | None = None,
) -> AsyncIterator[Outbound]:
    client = Outbound(allow=allow, allow_http=True, ports=ports, lookup=lookup, tls=tls)
    try:
        async with asyncio.timeout(HANG_GUARD_S):  # no peer may hold a call for ever
            yield client
    finally:
        await client.close()


def saying(*parts: bytes, then_close: bool = False) -> Behaviour:
    async def say(writer: asyncio.StreamWriter) -> None:
        writer.writelines(parts)
        if then_close:
            writer.close()

    return say


def saying_for_ever(start: bytes, part: bytes, pause_s: float = 0) -> Behaviour:
    async def say(writer: asyncio.StreamWriter) -> None:
        writer.write(start)
        while True:
            writer.write(part)
            await writer.drain()
            await asyncio.sleep(pause_s)

    return say


async def resetting(writer: asyncio.StreamWriter) -> None:
    link = writer.get_extra_info("socket")
    link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def silent(writer: asyncio.StreamWriter) -> None:
    await asyncio.sleep(3600)


SOON_S = 3.0
"""For calls that must run out of time, and not before their request has left: a machine may stall for a second."""


async def post_form(client: Outbound, url: str, total_s: float = HANG_GUARD_S) -> Answer:
    return await client.post_form(url, {"TID": "1"}, connect_s=total_s, total_s=total_s)


async def post_json(client: Outbound, url: str, total_s: float = HANG_GUARD_S) -> Answer:
    return await client.post_json(url, b"{}", total_s=total_s)


class Endless:
    """A name server that hears the question and never answers."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()

    async def __call__(self, host: str, port: int) -> list[str]:
        self.asked.set()
        return await asyncio.Future()


BOTH = pytest.mark.parametrize("post", [post_form, post_json])
Post = Callable[..., Awaitable[Answer]]


# --- What is sent and what comes back ---


async def test_a_callback_arrives_as_it_was_signed() -> None:
    arrived: list[tuple[str, str, dict[str, str], bytes]] = []

    async def receive(request: web.Request) -> web.Response:
        arrived.append((request.method, request.path_qs, dict(request.headers), await request.read()))
        return web.Response(status=201, text="수락", headers={"X-Request-Id": "r1"})

    app = web.Application()
    app.router.add_post("/callback", receive)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port := free_port()).start()
    async with outbound() as client:
        answer = await client.post_json(
            f"http://127.0.0.1:{port}/callback?shop=1",
            '{"a":"가"}'.encode(),
            {"Webhook-Id": "msg_1"},
            total_s=10,
        )
    await runner.cleanup()

    ((method, path, headers, body),) = arrived
    assert ("POST", "/callback?shop=1", '{"a":"가"}'.encode()) == (method, path, body)
    assert ("application/json", "msg_1") == (headers["Content-Type"], headers["Webhook-Id"])
    assert "identity" == headers["Accept-Encoding"]
    assert isinstance(answer, Answered)
    assert (201, "수락".encode(), "r1") == (answer.status, answer.body, answer.headers["x-request-id"])
    assert 0 <= answer.duration_ms <= 10_000


async def test_a_form_carries_text_as_utf8_and_bytes_as_they_are() -> None:
    async with listening(saying(OK)) as peer, outbound() as client:
        fields: dict[str, str | bytes] = {
            "CancelMsg": "환불".encode("euc-kr"),
            "GoodsName": "책 & 컵",
            "Amt": "1000",
        }
        answer = await client.post_form(peer.url, fields, connect_s=5, total_s=10)

    head, _, body = peer.requests[0].partition(b"\r\n\r\n")
    assert b"CancelMsg=%C8%AF%BA%D2&GoodsName=%EC%B1%85+%26+%EC%BB%B5&Amt=1000" == body
    assert b"Content-Type: application/x-www-form-urlencoded" in head
    assert isinstance(answer, Answered)
    assert (200, b"ok") == (answer.status, answer.body)


@BOTH
async def test_calls_share_a_connection_that_stays_open(post: Post) -> None:
    async with listening(saying(OK)) as peer, outbound() as client:
        for _ in range(3):
            assert isinstance(await post(client, peer.url), Answered)

    assert (3, 1) == (len(peer.requests), peer.connections)


@BOTH
async def test_cookies_are_neither_kept_nor_sent(post: Post) -> None:
    cookie = b"HTTP/1.1 200 OK\r\nSet-Cookie: id=1\r\nContent-Length: 0\r\n\r\n"
    async with listening(saying(cookie)) as peer, outbound() as client:
        await post(client, peer.url)
        await post(client, peer.url)

    assert b"cookie" not in peer.requests[1].lower()


@BOTH
async def test_proxies_from_the_environment_are_ignored(post: Post, monkeypatch: pytest.MonkeyPatch) -> None:
    async with listening(saying(OK)) as proxy, listening(saying(OK)) as peer, outbound() as client:
        for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        await post(client, peer.url)

    assert (0, 1) == (proxy.connections, peer.connections)


@BOTH
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_to_the_metadata_address_is_an_answer_and_is_not_followed(
    post: Post, status: int
) -> None:
    redirect = (
        f"HTTP/1.1 {status} Go\r\nLocation: http://169.254.169.254/\r\nContent-Length: 0\r\n\r\n".encode()
    )
    async with listening(saying(redirect)) as peer, outbound() as client:
        answer = await post(client, peer.url)

    assert isinstance(answer, Answered)
    assert (status, 1) == (answer.status, len(peer.requests))


async def test_header_bytes_that_are_not_text_become_text_that_a_database_takes() -> None:
    odd = b"HTTP/1.1 200 OK\r\nServer: caf\xe9 \xed\x95\x9c\r\nContent-Length: 0\r\n\r\n"
    async with listening(saying(odd)) as peer, outbound() as client:
        answer = await post_json(client, peer.url)

    assert isinstance(answer, Answered)
    assert "caf\ufffd 한" == answer.headers["server"]


# --- What never left ---


@BOTH
async def test_a_refused_connection_never_left(post: Post) -> None:
    async with outbound() as client:
        answer = await post(client, f"http://127.0.0.1:{free_port()}/")

    assert NeverLeft("no connection: Connection refused") == answer


@BOTH
@pytest.mark.parametrize("url", ["", "no url", "ftp://127.0.0.1/", "http://", "http://[::1"])
async def test_a_bad_url_never_left(post: Post, url: str) -> None:
    async with outbound() as client:
        assert isinstance(await post(client, url), NeverLeft)


async def test_a_name_that_is_not_found_never_left() -> None:
    async def not_found(host: str, port: int) -> list[str]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    async with outbound(lookup=not_found) as client:
        answer = await post_json(client, "http://shop.example/")

    assert NeverLeft("the name of the host was not found") == answer


async def test_a_name_server_that_never_answers_holds_a_call_only_for_its_time() -> None:
    async with outbound(lookup=Endless()) as client:
        assert NeverLeft("no connection in time") == await post_json(client, "http://shop.example/", 0.5)


@BOTH
async def test_a_tls_handshake_that_stalls_never_left(post: Post) -> None:
    async with listening(silent) as peer, outbound() as client:
        answer = await post(client, f"https://127.0.0.1:{peer.port}/", 0.5)

    assert NeverLeft("no connection in time") == answer


@BOTH
async def test_a_peer_that_speaks_no_tls_never_left(post: Post) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(OK)
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server, outbound() as client:
        answer = await post(client, f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}/")

    assert isinstance(answer, NeverLeft)


# --- What may have arrived ---


@BOTH
@pytest.mark.parametrize(
    "behave, reason",
    [
        (saying(then_close=True), "the connection was closed without an answer"),
        (saying(b"HTTP/1.1 200 O", then_close=True), "the connection was closed without an answer"),
        (saying(b"220 mail.example ESMTP\r\n\r\n"), "the answer is not HTTP, or its headers are too large"),
        (resetting, "the connection broke: Connection reset by peer"),
    ],
)
async def test_a_request_that_met_no_whole_answer_may_have_been_taken(
    post: Post, behave: Behaviour, reason: str
) -> None:
    async with listening(behave) as peer, outbound() as client:
        answer = await post(client, peer.url)

    assert NoAnswer(reason) == answer
    assert 1 == len(peer.requests)


async def test_a_request_that_met_silence_may_have_been_taken() -> None:
    async with listening(silent) as peer, outbound() as client:
        answers = await asyncio.gather(*(post(client, peer.url, SOON_S) for post in (post_form, post_json)))

    assert [NoAnswer("no answer in time")] * 2 == answers
    assert 2 == len(peer.requests)


@BOTH
@pytest.mark.parametrize("leave", [saying(then_close=True), resetting])
async def test_a_kept_connection_that_ends_under_the_request_is_not_tried_again(
    post: Post, leave: Behaviour
) -> None:
    async with listening(saying(OK)) as peer, outbound() as client:
        assert isinstance(await post(client, peer.url), Answered)
        peer.behave = leave
        answer = await post(client, peer.url)

    assert isinstance(answer, NoAnswer)
    assert (2, 1) == (len(peer.requests), peer.connections)


@BOTH
async def test_a_kept_connection_that_has_ended_before_is_replaced(post: Post) -> None:
    async with listening(saying(OK, then_close=True)) as peer, outbound() as client:
        assert isinstance(await post(client, peer.url), Answered)
        for _ in range(20):  # until the end of the connection has been read here
            await asyncio.sleep(0.002)
        assert isinstance(await post(client, peer.url), Answered)

    assert (2, 2) == (len(peer.requests), peer.connections)


async def test_closing_the_client_leaves_open_calls_without_an_answer() -> None:
    async with listening(silent) as one, listening(silent) as two, outbound() as client:
        calls = [
            asyncio.create_task(post_form(client, one.url)),
            asyncio.create_task(post_json(client, two.url)),
        ]
        await asyncio.gather(one.arrived.wait(), two.arrived.wait())
        await client.close()

        for call in calls:
            assert isinstance(await call, NoAnswer)


async def test_closing_the_client_ends_a_call_that_still_looks_up_its_name() -> None:
    names = Endless()
    async with outbound(lookup=names) as client:
        call = asyncio.create_task(post_json(client, "http://shop.example/"))
        await names.asked.wait()
        await client.close()

        assert NoAnswer("this server was stopping") == await call


async def test_a_cancelled_call_is_cancelled() -> None:
    names = Endless()
    async with outbound(lookup=names) as client:
        call = asyncio.create_task(post_json(client, "http://shop.example/"))
        await names.asked.wait()
        call.cancel()

        with pytest.raises(asyncio.CancelledError):
            await call


# --- Answers that never end ---

LONG = b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
UNTIL_CLOSED = b"HTTP/1.1 200 OK\r\n\r\n"


@pytest.mark.parametrize(
    "start, part", [(LONG, b"x" * 9000), (CHUNKED, b"1\r\nx\r\n" * 1000), (UNTIL_CLOSED, b"x" * 9000)]
)
async def test_an_endless_body_is_cut_at_64_kb_and_the_connection_with_it(start: bytes, part: bytes) -> None:
    async with listening(saying_for_ever(start, part)) as peer, outbound() as client:
        from_merchant = await post_json(client, peer.url)
        await peer.hung_up.wait()
        peer.hung_up.clear()
        from_provider = await post_form(client, peer.url)
        await peer.hung_up.wait()

    assert isinstance(from_merchant, Answered)
    assert (200, b"x" * 65536) == (from_merchant.status, from_merchant.body)
    assert NoAnswer("the answer is larger than 64 kB") == from_provider


@BOTH
async def test_a_body_of_exactly_64_kb_is_whole(post: Post) -> None:
    full = b"HTTP/1.1 200 OK\r\nContent-Length: 65536\r\n\r\n" + b"x" * 65536
    async with listening(saying(full)) as peer, outbound() as client:
        answers = [await post(client, peer.url) for _ in range(2)]

    assert [65536, 65536] == [len(answer.body) for answer in answers if isinstance(answer, Answered)]
    assert 1 == peer.connections


@pytest.mark.parametrize("start", [LONG, UNTIL_CLOSED])
async def test_a_body_that_drips_ends_with_the_time(start: bytes) -> None:
    async with listening(saying_for_ever(start, b"x", 0.02)) as peer, outbound() as client:
        from_merchant, from_provider = await asyncio.gather(
            post_json(client, peer.url, SOON_S), post_form(client, peer.url, SOON_S)
        )

    assert isinstance(from_merchant, Answered)
    assert 200 == from_merchant.status
    assert 1 <= len(from_merchant.body) < 65536
    assert NoAnswer("the answer was not complete in time") == from_provider


async def test_a_body_that_breaks_off_is_an_answer_from_a_merchant_and_none_from_a_provider() -> None:
    part = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\npart"
    async with listening(saying(part, then_close=True)) as peer, outbound() as client:
        from_merchant = await post_json(client, peer.url)
        from_provider = await post_form(client, peer.url)

    assert isinstance(from_merchant, Answered)
    assert (200, b"part") == (from_merchant.status, from_merchant.body)
    assert NoAnswer("the answer broke off") == from_provider


IN_TIME = "no answer in time"
TOO_LARGE = "the answer is not HTTP, or its headers are too large"


@BOTH
@pytest.mark.parametrize(
    "start, part",
    [
        (b"HTTP/1.1 200 ", b"O" * 9000),
        (b"HTTP/1.1 200 OK\r\nX: ", b"x" * 9000),
        (b"HTTP/1.1 200 OK\r\nX", b"x" * 9000),
        (b"HTTP/1.1 200 OK\r\n", b"X: x\r\n" * 1000),
    ],
)
async def test_headers_that_grow_without_an_end_are_no_answer(post: Post, start: bytes, part: bytes) -> None:
    async with listening(saying_for_ever(start, part)) as peer, outbound() as client:
        answer = await post(client, peer.url)

    assert NoAnswer(TOO_LARGE) == answer


async def test_headers_that_drip_end_with_the_time() -> None:
    async def called(start: bytes, part: bytes) -> list[Answer]:
        async with listening(saying_for_ever(start, part, 0.02)) as peer, outbound() as client:
            return await asyncio.gather(*(post(client, peer.url, SOON_S) for post in (post_form, post_json)))

    answers = await asyncio.gather(
        called(b"HTTP/1.1 200 ", b"O"),
        called(b"HTTP/1.1 200 OK\r\nX: ", b"x"),
        called(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 100),
        called(b"", b"\r\n" * 1000),
    )
    assert [[NoAnswer(IN_TIME)] * 2] * 4 == list(answers)


@BOTH
@pytest.mark.parametrize("lines, accepted", [(15, True), (16, False)])
async def test_headers_may_be_16_kb_together(post: Post, lines: int, accepted: bool) -> None:
    head = b"HTTP/1.1 200 OK\r\n" + (b"X: " + b"x" * 1019 + b"\r\n") * lines + b"Content-Length: 0\r\n\r\n"
    async with listening(saying(head)) as peer, outbound() as client:
        answer = await post(client, peer.url)

    assert accepted == isinstance(answer, Answered)
    if not accepted:
        assert NoAnswer("the headers of the answer are larger than 16 kB") == answer


@BOTH
async def test_a_compressed_body_stays_compressed(post: Post) -> None:
    bomb = gzip.compress(bytes(20_000_000))
    head = f"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {len(bomb)}\r\n\r\n".encode()
    async with listening(saying(head, bomb)) as peer, outbound() as client:
        answer = await post(client, peer.url)

    assert isinstance(answer, Answered)
    assert bomb == answer.body


# --- Where merchants may lead us ---


class Names:
    """A name server with one list of addresses per question, the last of them for good."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self.answers = answers
        self.asked = 0

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        self.asked += 1
        return self.answers[min(self.asked, len(self.answers)) - 1]


@contextlib.asynccontextmanager
async def shop_and_intranet() -> AsyncIterator[tuple[Peer, Peer]]:
    """Two peers on one port; only 127.0.0.1, the shop, is allowed in the tests below."""
    closing = saying(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n", then_close=True)
    async with listening(closing) as shop, listening(closing, "127.0.0.2", shop.port) as intranet:
        yield shop, intranet


async def test_the_connection_goes_to_the_address_that_was_checked() -> None:
    names = Names(["127.0.0.1"], ["127.0.0.2"])
    async with shop_and_intranet() as (shop, intranet), outbound(ports=[shop.port], lookup=names) as client:
        answers = [await post_json(client, f"http://shop.example:{shop.port}/") for _ in range(3)]

    assert [200, 200, 200] == [answer.status for answer in answers if isinstance(answer, Answered)]
    assert (3, 0) == (shop.connections, intranet.connections)


@pytest.mark.parametrize(
    "addresses", [["127.0.0.2"], ["127.0.0.1", "127.0.0.2"], ["127.0.0.2", "127.0.0.1"], ["::ffff:127.0.0.2"]]
)
async def test_a_good_url_whose_name_turns_bad_never_leaves(addresses: list[str]) -> None:
    names = Names(addresses)
    async with shop_and_intranet() as (shop, intranet), outbound(ports=[shop.port], lookup=names) as client:
        url = f"http://shop.example:{shop.port}/"
        assert client.check_url(url) is None
        answer = await post_json(client, url)

    assert NeverLeft("the host stands for an internal address (loopback)") == answer
    assert (0, 0) == (shop.connections, intranet.connections)


async def test_a_name_that_turns_good_again_is_called_again() -> None:
    names = Names(["127.0.0.2"], ["127.0.0.1"])
    async with shop_and_intranet() as (shop, _), outbound(ports=[shop.port], lookup=names) as client:
        first, second = [await post_json(client, f"http://shop.example:{shop.port}/") for _ in range(2)]

    assert isinstance(first, NeverLeft)
    assert isinstance(second, Answered)


@pytest.mark.parametrize(
    "host", ["127.0.0.2", "127.0.0.1", "127.0.0.2.", "[::ffff:127.0.0.2]", "127.2", "2130706434"]
)
async def test_an_internal_address_in_the_url_never_leaves(host: str) -> None:
    async with shop_and_intranet() as (shop, intranet), outbound(allow=[], ports=[shop.port]) as client:
        url = f"http://{host}:{shop.port}/"
        answer = await post_json(client, url)

    assert isinstance(answer, NeverLeft)
    assert answer.reason == client.check_url(url)
    assert (0, 0) == (shop.connections, intranet.connections)


async def test_the_systems_names_are_checked_and_called() -> None:
    async with listening(saying(OK)) as peer, outbound(allow=["127.0.0.0/8", "::1"]) as sandbox:
        assert isinstance(await post_json(sandbox, f"http://localhost:{peer.port}/"), Answered)


async def test_provider_hosts_are_not_judged() -> None:
    async with listening(saying(OK)) as peer, outbound(allow=[]) as client:
        for url in (peer.url, f"http://localhost:{peer.port}/"):
            assert isinstance(await post_form(client, url), Answered)
            assert isinstance(await post_json(client, url), NeverLeft)


# --- TLS ---


def certificate_for(name: str, folder: Path) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """The server's context with a certificate for `name`, and a client's context that trusts it."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    today = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(today - datetime.timedelta(days=1))
        .not_valid_after(today + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    file = folder / "certificate.pem"
    file.write_bytes(
        certificate.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server.load_cert_chain(file)
    return server, ssl.create_default_context(cafile=str(file))


async def test_a_certificate_is_checked_against_the_name_although_an_address_is_called(
    tmp_path: Path,
) -> None:
    server, trust = certificate_for("shop.example", tmp_path)
    names = Names(["127.0.0.1"])
    async with listening(saying(OK), tls=server) as peer:
        async with outbound(ports=[peer.port], lookup=names, tls=trust) as client:
            right = await post_json(client, f"https://shop.example.:{peer.port}/")
            wrong = await post_json(client, f"https://other.example:{peer.port}/")
        async with outbound(ports=[peer.port], lookup=names) as client:
            untrusted = await post_json(client, f"https://shop.example:{peer.port}/")

    assert isinstance(right, Answered)
    assert isinstance(wrong, NeverLeft)
    assert "certificate was not accepted: Hostname mismatch" in wrong.reason
    assert isinstance(untrusted, NeverLeft)
    assert "certificate was not accepted: self-signed" in untrusted.reason.replace(
        "self signed", "self-signed"
    )
    assert 1 == len(peer.requests)
    assert f"host: shop.example:{peer.port}\r\n".encode() in peer.requests[0].lower()
