"""Listening and serving: one or two applications in one process, ended together and cleanly by a signal."""

import asyncio
import contextlib
import logging
import os
import signal
import socket
from collections.abc import Callable, Iterator

import uvicorn
from starlette.types import ASGIApp

from wongate_simulator.connections import CuttableProtocol

BACKLOG = 2048
GRACE_S = 2  # hanging faults must not hold up the end
log = logging.getLogger("wongate_simulator")


def address(host: str, port: int) -> str:
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def listen(host: str, port: int) -> socket.socket:
    """Raises OSError with one clear line when the port is taken or the host is not this machine's."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # Named as TCP, unlike socket.create_server does: asyncio switches Nagle's algorithm off only on such sockets, and with
    # it on every answer after the first of a connection is 40 ms late (delayed acknowledgement).
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(BACKLOG)
    except OSError as trouble:
        listener.close()
        raise OSError(
            f"cannot listen on {address(host, port)}: {os.strerror(trouble.errno or 0)}"
        ) from trouble
    return listener


async def serve(listeners: list[tuple[ASGIApp, socket.socket]]) -> None:
    """Until SIGTERM or SIGINT, or until one of the applications fails."""
    servers = [(_server(app), listener) for app, listener in listeners]

    def stop() -> None:
        for server, _ in servers:
            server.should_exit = True

    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop)
    async with asyncio.TaskGroup() as group:
        for server, listener in servers:
            group.create_task(_serve_one(server, listener, stop))


async def _serve_one(server: uvicorn.Server, listener: socket.socket, stop_all: Callable[[], None]) -> None:
    try:
        await server.serve([listener])
    finally:
        stop_all()


def _server(app: ASGIApp) -> uvicorn.Server:
    config = uvicorn.Config(
        app,
        http=CuttableProtocol,
        lifespan="on",
        proxy_headers=False,
        access_log=False,
        log_config=None,
        server_header=False,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=GRACE_S,
        backlog=BACKLOG,
    )
    return QuietServer(config)


class QuietServer(uvicorn.Server):
    """Says in one line where it listens, and leaves the signals to `serve`: two servers share the process."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        for listener in sockets or []:
            log.info("listening on %s", address(*listener.getsockname()[:2]))

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield
