"""`make simulate SEEDS=2000`, `make simulate SEED=123 [TRACE=1]`, `make simulate POINTS=1`, `make simulate MUTATIONS=1`."""

import argparse
import asyncio
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from tests.database import _NOT_DURABLE, Server, server_for_tests
from tests.simulation.mutations import MUTATIONS, named
from tests.simulation.postgres import Postgres
from tests.simulation.scenarios import SCENARIOS
from tests.simulation.workers import JOBS, totals, workers
from tests.simulation.world import Plan, play

from wongate.store.migrate import migrate

ALL_POINTS = ("crash", "freeze", "pairs")
SOME_POINTS = ("some crashes", "some freezes", "some pairs")


@contextmanager
def server() -> Iterator[Server]:
    with (
        tempfile.TemporaryDirectory(prefix="wongate-simulation-") as directory,
        server_for_tests(Path(directory), _NOT_DURABLE) as started,
    ):
        yield started


def one(seed: int, traced: bool, broken: str) -> int:
    """One seed again, as it was."""
    with server() as started:
        asyncio.run(migrate(started.url))
        postgres = Postgres(started.url)
        if broken:
            with named(broken).applied():
                report = play(seed, postgres, replace(named(broken).plan(), traced=traced))
        else:
            report = play(seed, postgres, Plan(traced=traced))
        postgres.close()
    if traced or report.violations:
        print("\n".join(report.lines))
    print(f"seed {seed}: history {report.history}, {len(report.seams)} seams, faults {dict(report.struck)}")
    for violation in report.violations:
        print(f"VIOLATION {violation}")
    return 1 if report.violations else 0


def many(first: int, number: int, jobs: int, broken: str) -> int:
    began = time.monotonic()
    done: list[dict[str, Any]] = []
    with server() as started, workers(started, jobs) as pool:
        for result in pool.run({"seed": seed, "broken": broken} for seed in range(first, first + number)):
            done.append(result)
            _tell(result)
            if len(done) % max(1, number // 20) == 0:
                _progress(done, number, time.monotonic() - began)
    _summary(done, time.monotonic() - began)
    return 1 if any(result["violations"] for result in done) else 0


def _tell(result: dict[str, Any]) -> None:
    if result["violations"]:
        print(f"VIOLATION in seed {result['seed']}: {result['violations'][0]}")
        broken = f' BROKEN="{result["broken"]}"' if result["broken"] else ""
        line = f"make simulate SEED={result['seed']}{broken}"
        print(f"  reproduce with: {line}   (history {result['history']})", flush=True)


def _progress(done: list[dict[str, Any]], number: int, seconds: float) -> None:
    broken = sum(bool(result["violations"]) for result in done)
    print(f"{len(done):6} of {number} seeds, {seconds:.0f} s, {broken} with violations", flush=True)


def _summary(done: list[dict[str, Any]], seconds: float) -> None:
    counted, struck = totals(done)
    print(f"\nseeds       {len(done)} in {seconds:.0f} s, {len(done) / seconds:.1f} a second")
    for name in ("steps", "seams", "payments", "refunds"):
        print(f"{name:<12}{counted[name]}")
    print(f"settled     {counted['settled']} of them by the provider's books")
    for name, number in sorted(counted.items()):
        if name.startswith("call "):
            print(f"{name:<18}{number}")
    print(f"faults      {sum(struck.values())} of {len(struck)} kinds")
    for name, number in sorted(struck.items()):
        print(f"    {name:<38}{number}")
    print(f"violations  {sum(len(result['violations']) for result in done)}")


def points(jobs: int, ways: Sequence[str]) -> int:
    """Every scenario with a crash, a freeze, and pairs of crashes at its seams."""
    tasks = [{"scenario": scenario.name, "how": how} for how in ways for scenario in SCENARIOS]
    ran: Counter[str] = Counter()
    broken: list[str] = []
    began = time.monotonic()
    with server() as started, workers(started, jobs) as pool:
        for result in pool.run(tasks):
            ran[result["how"]] += result["points"]
            broken += result["violations"]
            print(f"{result['how']:<13}{result['points']:5} points  {result['scenario']}", flush=True)
            for violation in result["violations"]:
                print(f"VIOLATION {violation}", flush=True)
    print()
    for how in ways:
        print(f"{how:<13}{ran[how]:5} runs")
    print(f"scenarios {len(SCENARIOS)}, violations {len(broken)}, {time.monotonic() - began:.0f} s")
    return 1 if broken else 0


def mutations(jobs: int, seeds: int, hinted: bool, every: int) -> int:
    """Deliberate breakages, all or one of so many: which seed notices it first, and by which rule."""
    chosen = MUTATIONS[::every]
    tasks = [
        {"mutation": mutation.name, "first": mutation.seed if hinted else 1, "seeds": seeds}
        for mutation in chosen
    ]
    with server() as started, workers(started, jobs) as pool:
        found = {result["mutation"]: result for result in pool.run(tasks)}
    print(f"{'breakage':<52}{'seed':>5}{'played':>7}  noticed as")
    wrong = 0
    for mutation in chosen:
        result = found[mutation.name]
        played = result["caught"] - result["first"] + 1 if result["caught"] else seeds
        wrong += bool(result["sound"]) or not result["caught"]
        noticed = (
            f"sound code is accused too: {result['sound'][0]}" if result["sound"] else result["violation"]
        )
        print(f"{mutation.name:<52}{result['caught'] or '-':>5}{played:>7}  {noticed[:90] or 'NOT NOTICED'}")
    print(f"breakages {len(chosen)}, noticed {len(chosen) - wrong}")
    return 1 if wrong else 0


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="make simulate", description="The deterministic simulation of Wongate."
    )
    parser.add_argument("--seed", type=int, help="play this one seed")
    parser.add_argument("--seeds", type=int, default=300, help="how many seeds to play")
    parser.add_argument("--first", type=int, default=1, help="the first of them")
    parser.add_argument("--jobs", type=int, default=JOBS, help="processes at once")
    parser.add_argument("--points", action="store_true", help="crash points instead of seeds")
    parser.add_argument("--some-points", action="store_true", help="a share of them, as in every run")
    parser.add_argument("--mutations", action="store_true", help="deliberate breakages, each to be noticed")
    parser.add_argument(
        "--hinted", action="store_true", help="breakages from the seed that noticed them before"
    )
    parser.add_argument("--every", type=int, default=1, help="one of so many breakages")
    parser.add_argument("--broken", default="", help="play with this breakage in place")
    parser.add_argument("--trace", action="store_true", help="print the whole history of one seed")
    asked = parser.parse_args()
    if asked.seed is not None:
        return one(asked.seed, asked.trace, asked.broken)
    if asked.points or asked.some_points:
        return points(asked.jobs, ALL_POINTS if asked.points else SOME_POINTS)
    if asked.mutations:
        return mutations(asked.jobs, asked.seeds, asked.hinted, asked.every)
    return many(asked.first, asked.seeds, asked.jobs, asked.broken)


if __name__ == "__main__":
    sys.exit(main())
