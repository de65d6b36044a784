"""`python -m bench`: measures, prints one table, and writes bench/results/<date>-<commit>.json."""

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench import callbacks, intake, isolation, pages, payments, refunds, size
from bench.table import table

RESULTS = Path(__file__).parent / "results"

BENCHES: dict[str, Callable[..., dict[str, float]]] = {
    "intake": intake.measure,
    "payments": payments.measure,
    "latency": payments.latency,
    "refunds": refunds.measure,
    "callbacks": callbacks.measure,
    "pages": pages.measure,
    "isolation": isolation.measure,
    "size": size.measure,
}


def main() -> int:
    options = _options()
    load = os.getloadavg()[0]
    print(
        f"{os.cpu_count()} cores, load before the run {load:.1f}, Python {platform.python_version()}\n",
        flush=True,
    )
    figures: dict[str, dict[str, float]] = {}
    broken: dict[str, str] = {}
    for name in options.only:
        began = time.monotonic()
        try:
            about_size = {"payments": options.payments, "books": options.books} if name == "size" else {}
            figures[name] = BENCHES[name](quick=options.quick, **about_size)
        except (
            Exception
        ) as error:  # a run that lost or doubled anything has no figure; the others still have theirs
            broken[name] = f"{type(error).__name__}: {error}"
        print(f"{name}: {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
    print(table(figures))
    for name, reason in broken.items():
        print(f"{name}: NO FIGURE, {reason}")
    print(f"\nwritten to {_write(figures, broken, load, options.quick)}")
    return 1 if broken else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="make bench", description=__doc__, epilog='ARGS="--only intake --quick"'
    )
    parser.add_argument("--only", type=_names, default=list(BENCHES), help=f"of {','.join(BENCHES)}")
    parser.add_argument("--quick", action="store_true", help="short runs: a look, not a measurement")
    parser.add_argument("--payments", type=int, help="about how many for size, a million if not said")
    parser.add_argument("--books", type=Path, help="a folder that keeps the books of size for the next run")
    return parser.parse_args()


def _names(text: str) -> list[str]:
    names = text.split(",")
    unknown = [name for name in names if name not in BENCHES]
    if unknown:
        raise argparse.ArgumentTypeError(f"no bench is called {unknown[0]!r}; there are {', '.join(BENCHES)}")
    return names


def _write(figures: dict[str, Any], broken: dict[str, str], load: float, quick: bool) -> Path:
    command = ["git", "rev-parse", "--short", "HEAD"]
    commit = subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip() or "unknown"
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{datetime.now(UTC):%Y-%m-%d}-{commit}.json"
    about = {
        "commit": commit,
        "cores": os.cpu_count(),
        "load_before": load,
        "python": platform.python_version(),
        "quick": quick,
    }
    path.write_text(json.dumps({"about": about, "figures": figures, "broken": broken}, indent=2) + "\n")
    return path


if __name__ == "__main__":
    sys.exit(main())
