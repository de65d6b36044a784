"""The command line: `python -m wongate_simulator`, also `wongate-simulator`."""

import argparse
import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any, NoReturn

import uvloop
from starlette.types import ASGIApp

from wongate_simulator.app import create_app
from wongate_simulator.logs import log_to_stderr
from wongate_simulator.mistakes import Mistake
from wongate_simulator.parent import die_with_parent
from wongate_simulator.security import is_loopback
from wongate_simulator.serving import address, listen, serve

EXAMPLES = """examples:
  wongate-simulator --port 8081 --data ./simulator
  wongate-simulator --merchants merchants.json         [{"mid": "nicepay00m", "key": "EYzu8jGG..."}]
  wongate-simulator --clock-file ./clock               follows a clock that other programs share
  WONGATE_SHOP_SECRET=... wongate-simulator --port 8081 --shop-port 8082 --gate-url http://127.0.0.1:8080 \\
      --page-url http://127.0.0.1:8080/payment --project-id 1   also serves the demo shop

Then open http://127.0.0.1:8081/ ; GET /control documents the control API."""


def main() -> None:
    options = _parser().parse_args()
    if not (options.unsafe_expose or is_loopback(options.host)):
        _give_up(
            f"other machines can reach {options.host} and nobody needs to log in; add --unsafe-expose if you mean it"
        )
    if options.die_with_parent is not None:
        die_with_parent(options.die_with_parent or None)
    log_to_stderr()
    try:
        _run(options)
    except (Mistake, OSError) as mistake:
        _give_up(str(mistake))


def _run(options: argparse.Namespace) -> None:
    merchants = _read_merchants(options.merchants)
    ports = [options.port] if options.shop_port is None else [options.port, options.shop_port]
    # The ports come first: whoever finds them taken leaves the books alone.
    listeners = [listen(options.host, port) for port in ports]
    app = create_app(
        options.data, clock_file=options.clock_file, merchants=merchants, exposed=options.unsafe_expose
    )
    apps: list[ASGIApp] = [app] if options.shop_port is None else [app, _shop(options)]
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(list(zip(apps, listeners, strict=True))))


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
        raise Mistake(f"{path} is not JSON: {mistake}") from mistake
    if not isinstance(merchants, list) or not all(isinstance(merchant, dict) for merchant in merchants):
        raise Mistake(f"{path} must hold a JSON list of objects with mid and key")
    return merchants


def _shop(options: argparse.Namespace) -> ASGIApp:
    """The demo shop in the same process; imported only when asked for."""
    from wongate_simulator.shop import ShopSettings, create_shop

    secret = os.environ.get("WONGATE_SHOP_SECRET", "")
    if not secret:
        raise Mistake(
            "the demo shop needs its project's secret in the environment variable WONGATE_SHOP_SECRET"
        )
    app: ASGIApp = create_shop(
        ShopSettings(
            gate_url=options.gate_url,
            page_url=options.page_url,
            own_url=address(options.host, options.shop_port),
            simulator_url=address(options.host, options.port),
            project_id=options.project_id,
            secret=secret,
            data_dir=options.data,
        )
    )
    return app


def _give_up(reason: str) -> NoReturn:
    print(f"wongate-simulator: {reason}", file=sys.stderr)
    raise SystemExit(2)


if __name__ == "__main__":
    main()
