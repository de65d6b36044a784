"""`python -m bench`: measures, prints one table, and writes bench/results/<date>-<commit>.json."""

import argparse
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

from bench import callbacks, claims, endurance, intake, isolation, pages, payments, peers, refunds, size
from bench.results import NotMeasured, Run, write
from bench.table import table
from wongate.connections.binaries import tool

Bench = Callable[..., dict[str, float]]

BENCHES: Mapping[str, Bench] = {
    "intake": intake.measure,
    "payments": payments.measure,
    "latency": payments.latency,
    "refunds": refunds.measure,
    "callbacks": callbacks.measure,
    "pages": pages.measure,
    "isolation": isolation.measure,
    "peers": peers.measure,
    "size": size.measure,
}
"""All of these run within 15 minutes on two cores: what a bench does without being asked has to fit in."""

LONG: Mapping[str, Bench] = {
    "claims": claims.measure,
    "endurance": endurance.measure,
    "ten_million": size.measure_copies,
}
"""Those that take longer run only when --only names them."""

IN_TURNS = ("payments", "latency", "refunds", "callbacks", "pages")
TURNS = 4
"""These are measured one after the other, and all of them again: medians, and none of them has a quieter minute to itself. The
others have rounds of their own, or take too long."""

PAYMENTS: Mapping[str, int | None] = {"size": 200_000, "ten_million": None}
"""Benches that take --payments and --books, and how many when nobody says; None leaves it to them. Making up a million takes
longer than everything else together."""

EPILOG = """ARGS="--only intake,payments --quick"  a short look at two of them
ARGS="--only size --payments 1000000 --books FOLDER"  the million that the bars of size are about; several minutes to
  make it up, two to measure it; the next run with the same FOLDER finds it there
ARGS="--only ten_million --books FOLDER"  copies of that million; half an hour and 45 GB
make bench-compare A=FILE B=FILE  two results, and whether their ratios agree within 15 %
make chart RESULTS="FILE ..."  the picture and the tables of README and docs/performance.md, from these results"""


def main() -> int:
    options = _options()
    run = Run(_about(options.quick))
    print(_headline(run.about), flush=True)
    began = time.monotonic()
    for turn in range(1 if options.quick else TURNS):
        for name in options.only:
            if turn == 0 or name in IN_TURNS:
                measure(run, name, partial({**BENCHES, **LONG}[name], **_arguments(name, options)))
    conclude(run)
    print(table(run.figures))
    for name, reason in run.broken.items():
        print(f"{name}: NO FIGURE, {reason}")
    for name, reason in run.not_measured.items():
        print(f"{name}: not measured: {reason}")
    print(f"\n{time.monotonic() - began:.0f} s in all; written to {write(run)}")
    return 1 if run.broken else 0


def _arguments(name: str, options: argparse.Namespace) -> dict[str, Any]:
    found = {"quick": options.quick}
    if name in PAYMENTS:
        usual = None if options.quick else PAYMENTS[name]
        found |= {"payments": options.payments or usual, "books": options.books}
    return found


def measure(run: Run, name: str, measured: Callable[[], dict[str, float]]) -> None:
    """One round of a bench, or why there is none. What has failed once is not tried again."""
    if name in run.broken or name in run.not_measured:
        return
    began = time.monotonic()
    try:
        run.rounds.setdefault(name, []).append(measured())
    except NotMeasured as error:
        run.not_measured[name] = str(error)
    except Exception as error:
        run.broken[name] = f"{type(error).__name__}: {error}"
    print(f"{name}: {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)


def conclude(run: Run) -> None:
    """Medians of the rounds. One lost payment in any round, and there is no figure."""
    for name in (*run.broken, *run.not_measured):
        run.rounds.pop(name, None)
    for name, rounds in run.rounds.items():
        run.figures[name] = {key: median(one[key] for one in rounds) for key in rounds[0]}


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="make bench",
        description=__doc__,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    names = f"of {','.join(BENCHES)}" + (f"; only when named: {','.join(LONG)}" if LONG else "")
    parser.add_argument("--only", type=_names, default=list(BENCHES), help=names)
    parser.add_argument("--quick", action="store_true", help="short runs: a look, not a measurement")
    parser.add_argument("--payments", type=int, help=f"about how many for {_usual()}")
    parser.add_argument("--books", type=Path, help="a folder that keeps those payments for the next run")
    return parser.parse_args()


def _usual() -> str:
    return ", ".join(f"{name} ({many:,})" if many else name for name, many in PAYMENTS.items())


def _names(text: str) -> list[str]:
    names = text.split(",")
    known = [*BENCHES, *LONG]
    unknown = [name for name in names if name not in known]
    if unknown:
        raise argparse.ArgumentTypeError(f"no bench is called {unknown[0]!r}; there are {', '.join(known)}")
    return names


def _about(quick: bool) -> dict[str, Any]:
    return {
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "commit": _first_line("git", "describe", "--always", "--dirty", "--exclude", "*") or "unknown",
        "cores": os.cpu_count(),
        "load_before": os.getloadavg()[0],
        "python": platform.python_version(),
        "postgresql": _first_line(*tool("postgres"), "--version"),
        "peers": peers.NAMES,
        "quick": quick,
    }


def _first_line(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()


def _headline(about: Mapping[str, Any]) -> str:
    return (
        f"{about['date']}, commit {about['commit']}, {about['cores']} cores, "
        f"load before the run {about['load_before']:.1f}, Python {about['python']}, {about['postgresql']}; "
        f"peers: {', '.join(about['peers'])}\n"
    )


if __name__ == "__main__":
    sys.exit(main())
