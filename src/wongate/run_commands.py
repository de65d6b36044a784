"""Commands that run until they are stopped: the server, the worker, the simulator."""

import argparse
import asyncio
import os
import signal
import sys

import uvicorn
import uvloop

from wongate.app import SUPERVISOR_VARIABLE
from wongate.connections.logs import to_stderr
from wongate.settings import load
from wongate.web.whole_requests import Protocol
from wongate.worker import work

KEEP_ALIVE_S = 75
"""Seconds after which an idle connection is closed; longer than proxies keep theirs (60 s): the side that sends has to be the one
that closes, or now and then a request meets a connection that is just going away."""


def serve(options: argparse.Namespace) -> int:
    settings = load()
    os.environ[SUPERVISOR_VARIABLE] = str(os.getpid())
    uvicorn.run(
        "wongate.app:create",
        factory=True,
        host=options.host or settings.host,
        port=options.port or settings.port,
        workers=options.processes or settings.processes,
        loop="uvloop",
        http=Protocol,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        log_config=None,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=40,
    )
    return 0


def worker(options: argparse.Namespace) -> int:
    settings = load()
    to_stderr(settings.log_level)

    async def until_stopped() -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop.set)
        await work(settings, stop)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(until_stopped())
    return 0


def simulate(options: argparse.Namespace) -> int:
    arguments = [argument for argument in options.arguments if argument != "--"]
    os.execv(sys.executable, [sys.executable, "-m", "wongate_simulator", *arguments])  # noqa: S606
