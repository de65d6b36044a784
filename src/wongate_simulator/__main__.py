"""The command line: `python -m wongate_simulator`, also `wongate-simulator`."""

import argparse
import asyncio
import contextlib
import ipaddress
import json
import logging
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

import uvicorn
import uvloop
from starlette.types import ASGIApp

from wongate_simulator.app import create_app
from wongate_simulator.connections import CuttableProtocol
from wongate_simulator.logs import log_to_stderr
from wongate_simulator.parent import die_with_parent

EXAMPLES = """examples:
  wongate-simulator --port 8081 --data ./simulator
  wongate-simulator --merchants merchants.json         [{"mid": "nicepay00m", "key": "EYzu8jGG..."}]
  wongate-simulator --clock-file ./clock               follows a clock that other programs share
  WONGATE_SHOP_SECRET=... wongate-simulator --port 8081 --shop-port 8082 --gate-url http://127.0.0.1:8080 \\
      --page-url http://127.0.0.1:8080/payment --project-id 1   also serves the demo shop

Then open http://127.0.0.1:8081/ ; GET /control documents the control API."""
log = logging.getLogger("wongate_simulator")


def main() -> None:
    options = _parser().parse_args()
    if not (options.unsafe_expose or is_loopback(options.host)):
        _give_up(
            f"{options.host} can be reached by other machines; the simulator has no login. Add --unsafe-expose if you mean it"
        )
    if options.die_with_parent is not None:
        die_with_parent(options.die_with_parent or None)
    log_to_stderr()
    try:
        app = create_app(
            options.data,
            clock_file=options.clock_file,
            merchants=_read_merchants(options.merchants),
            exposed=options.unsafe_expose,
        )
        servers = [_server(app, options.host, options.port)]
        if options.shop_port is not None:
            servers.append(_server(_shop(options), options.host, options.shop_port))
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_serve(servers))
    except (ValueError, OSError) as mistake:
        _give_up(str(mistake))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="wongate-simulator",
        description="A stateful stand-in for NICEPAY (payment window, approval, cancels, inquiry, notifications).",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument(
        "--port", type=_port, default=8081, help="port of the simulator (default: %(default)s)"
    )
    parser.add_argument(
        "--data", type=Path, default=Path("simulator-data"), metavar="DIR", help="folder of the books"
    )
    parser.add_argument(
        "--clock-file", type=Path, metavar="F", help="shared clock: 8 bytes, offset in seconds"
    )
    parser.add_argument(
        "--merchants", type=Path, metavar="FILE", help="JSON list of merchants, applied at every start"
    )
    parser.add_argument(
        "--unsafe-expose", action="store_true", help="allow a host that other machines can reach"
    )
    parser.add_argument(
        "--die-with-parent",
        nargs="?",
        type=int,
        const=0,
        metavar="PID",
        help="end when the starting process (PID) ends",
    )
    shop = parser.add_argument_group("demo shop (its secret comes from WONGATE_SHOP_SECRET)")
    shop.add_argument("--shop-port", type=_port, metavar="M", help="also serve the demo shop on this port")
    shop.add_argument(
        "--gate-url", default="http://127.0.0.1:8080", help="the platform's Gate (default: %(default)s)"
    )
    shop.add_argument(
        "--page-url", default="http://127.0.0.1:8080/payment", help="Payment Page (default: %(default)s)"
    )
    shop.add_argument("--project-id", type=int, default=1, help="the shop's project (default: %(default)s)")
    return parser


def _port(text: str) -> int:
    port = int(text)
    if not 1 <= port <= 65535:
        raise argparse.ArgumentTypeError("a port is a number from 1 to 65535")
    return port


def _read_merchants(path: Path | None) -> list[dict[str, Any]]:
    if path is None:
        return []
    try:
        merchants = json.loads(path.read_text("utf-8"))
    except ValueError as mistake:
        raise ValueError(f"{path} is not JSON: {mistake}") from mistake
    if not isinstance(merchants, list) or not all(isinstance(merchant, dict) for merchant in merchants):
        raise ValueError(f"{path} must hold a JSON list of objects with mid and key")
    return merchants


def _shop(options: argparse.Namespace) -> ASGIApp:
    """The demo shop in the same process; imported only when asked for."""
    from wongate_simulator.shop import ShopSettings, create_shop

    secret = os.environ.get("WONGATE_SHOP_SECRET", "")
    if not secret:
        raise ValueError(
            "the demo shop needs its project's secret in the environment variable WONGATE_SHOP_SECRET"
        )
    app: ASGIApp = create_shop(
        ShopSettings(
            gate_url=options.gate_url,
            page_url=options.page_url,
            own_url=f"http://{_netloc(options.host, options.shop_port)}",
            simulator_url=f"http://{_netloc(options.host, options.port)}",
            project_id=options.project_id,
            secret=secret,
            data_dir=options.data,
        )
    )
    return app


def _netloc(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _server(app: ASGIApp, host: str, port: int) -> uvicorn.Server:
    config = uvicorn.Config(
        app,
        host=host,
        port=port,
        http=CuttableProtocol,
        lifespan="on",
        access_log=False,
        log_config=None,
        server_header=False,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=2,  # hanging faults must not hold up the end
        backlog=2048,
    )
    return QuietServer(config)


class QuietServer(uvicorn.Server):
    """Leaves the signals to us: two servers share one process and end together."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def _serve(servers: list[uvicorn.Server]) -> None:
    loop = asyncio.get_running_loop()

    def stop() -> None:
        for server in servers:
            server.should_exit = True

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    async with asyncio.TaskGroup() as group:
        for server in servers:
            group.create_task(_serve_one(server, stop))


async def _serve_one(server: uvicorn.Server, stop_all: Any) -> None:
    task = asyncio.create_task(server.serve())
    while not (server.started or task.done()):
        await asyncio.sleep(0.01)
    log.info("listening on http://%s", _netloc(server.config.host, server.config.port))
    try:
        await task
    finally:
        stop_all()


def _give_up(reason: str) -> NoReturn:
    print(f"wongate-simulator: {reason}", file=sys.stderr)
    raise SystemExit(2)


def is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


if __name__ == "__main__":
    main()
