"""`python -m bench`: measures, prints a table, and writes bench/results/<date>-<commit>.json."""

import json
import os
import platform
import subprocess
import sys
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from bench import intake, payments

RESULTS = Path(__file__).parent / "results"

BARS = {
    ("intake", "ratio"): (">=", 2.0),
    ("intake", "p99_ms"): ("<=", 50.0),
    ("intake", "server_memory_mb"): ("<=", 120.0),
    ("payments", "per_second"): (">=", 150.0),
}


def main() -> int:
    load = os.getloadavg()[0]
    print(f"{os.cpu_count()} cores, load before the run {load:.1f}, Python {platform.python_version()}\n", flush=True)
    figures = {}
    for name, measure in (("intake", intake.measure), ("payments", payments.measure)):
        print(f"measuring {name} ...", file=sys.stderr, flush=True)
        figures[name] = asdict(measure())
        print(_table({name: figures[name]}), flush=True)
    path = _write(figures, load)
    print(f"\nwritten to {path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path}")
    return 0


def _table(figures: dict[str, dict[str, float]]) -> str:
    lines = []
    for name, values in figures.items():
        for key, value in values.items():
            lines.append(f"{name + ' ' + key:<30} {value:>12,.1f}   {_bar(name, key, value)}")
    return "\n".join(lines)


def _bar(name: str, key: str, value: float) -> str:
    if (name, key) not in BARS:
        return ""
    sign, bar = BARS[name, key]
    met = value >= bar if sign == ">=" else value <= bar
    return f"{sign} {bar:g}  {'met' if met else 'NOT MET'}"


def _write(figures: dict[str, dict[str, float]], load: float) -> Path:
    command = ["git", "rev-parse", "--short", "HEAD"]
    commit = subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip() or "unknown"
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{datetime.now(UTC):%Y-%m-%d}-{commit}.json"
    about = {"commit": commit, "cores": os.cpu_count(), "load_before": load, "python": platform.python_version()}
    path.write_text(json.dumps({"about": about, "figures": figures}, indent=2) + "\n")
    return path


if __name__ == "__main__":
    sys.exit(main())
