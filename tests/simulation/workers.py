"""Many worlds on several cores: a process and a database for each core, since a world fills a process.

A worker (`python -m tests.simulation.workers`, the database's URL in its environment) reads one task per line and answers each
with one line of JSON.
"""

import asyncio
import json
import os
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from queue import Empty, Queue
from typing import Any

from tests import database
from tests.simulation import points
from tests.simulation.mutations import named
from tests.simulation.postgres import Postgres
from tests.simulation.scenarios import SCENARIOS
from tests.simulation.world import play

from wongate.store.migrate import migrate

Task = dict[str, Any]
Result = dict[str, Any]

JOBS = 1 if database.CITUS_URL else max(1, min(os.cpu_count() or 1, 8))
PAIRS, CRASHES_APART, FREEZES_APART = 1, 8, 24
"""What `make test` has time for: a pair of crashes of each scenario, every eighth crash, every 24th freeze."""

URL = "WONGATE_SIMULATION_DATABASE"
_TEMPLATE = "wongate_simulation"
_END = None


class Workers:
    """Takes tasks and answers with results as they come, in no particular order."""

    def __init__(self, urls: list[str]) -> None:
        self._urls = urls
        self._processes: list[subprocess.Popen[str]] = []

    def run(self, tasks: Iterable[Task]) -> Iterator[Result]:
        """Raises RuntimeError when a worker dies."""
        waiting: Queue[Task] = Queue()
        done: Queue[Result | None] = Queue()
        for task in tasks:
            waiting.put(task)
        expected = waiting.qsize()
        for url in self._urls:
            process = subprocess.Popen(
                [sys.executable, "-m", "tests.simulation.workers"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                env={**os.environ, URL: url},
            )
            self._processes.append(process)
            threading.Thread(target=_feed, args=(process, waiting, done), daemon=True).start()
        try:
            for _ in range(expected):
                result = done.get()
                if result is _END:
                    raise RuntimeError("a worker of the simulation ended; what it said stands above")
                yield result
        finally:
            with waiting.mutex:
                waiting.queue.clear()
            for process in self._processes:
                process.kill()


def _feed(worker: "subprocess.Popen[str]", waiting: "Queue[Task]", done: "Queue[Result | None]") -> None:
    """One thread for each worker: it only waits."""
    assert worker.stdin is not None
    assert worker.stdout is not None
    while True:
        try:
            task = waiting.get_nowait()
        except Empty:
            return
        try:
            worker.stdin.write(json.dumps(task) + "\n")
            worker.stdin.flush()
            done.put(json.loads(worker.stdout.readline()))
        except (OSError, ValueError):
            done.put(_END)
            return


@contextmanager
def workers(server: database.Server, jobs: int = JOBS) -> Iterator[Workers]:
    """Workers with a fresh migrated database each."""
    names = [f"{_TEMPLATE}_{job}" for job in range(jobs)]
    for name in names:
        database._execute(server, f"CREATE DATABASE {name}")
        asyncio.run(migrate(server.url_of(name)))
    try:
        yield Workers([server.url_of(name) for name in names])
    finally:
        for name in names:
            database._execute(server, f"DROP DATABASE {name} WITH (FORCE)")


# --- in the worker -----------------------------------------------------------------------------------------------------------


def carried_out(task: Task, postgres: Postgres) -> Result:
    match task:
        case {"seed": _}:
            return _played(task, postgres)
        case {"scenario": name, "how": how}:
            return _points(task, name, how, postgres)
        case {"mutation": _}:
            return _mutated(task, postgres)
    raise ValueError(task)


def _played(task: Task, postgres: Postgres) -> Result:
    if task["broken"]:
        mutation = named(task["broken"])
        with mutation.applied():
            report = play(task["seed"], postgres, mutation.plan())
    else:
        report = play(task["seed"], postgres)
    return {
        **task,
        "history": report.history,
        "violations": report.violations,
        "counted": report.counted,
        "struck": report.struck,
    }


def _points(task: Task, name: str, how: str, postgres: Postgres) -> Result:
    scenario = next(scenario for scenario in SCENARIOS if scenario.name == name)
    plays: dict[str, Callable[[], Iterator[points.Point]]] = {
        "crash": lambda: points.crashes(scenario, postgres),
        "some crashes": lambda: points.crashes(scenario, postgres, every=CRASHES_APART),
        "freeze": lambda: points.freezes(scenario, postgres),
        "some freezes": lambda: points.freezes(scenario, postgres, every=FREEZES_APART),
        "pairs": lambda: points.pairs(scenario, postgres),
        "some pairs": lambda: points.some_pairs(scenario, postgres, PAIRS),
    }
    number, broken = 0, []
    for point in plays[how]():
        number += 1
        if point.report.violations:
            broken.append(str(point))
    return {**task, "points": number, "violations": broken}


def _mutated(task: Task, postgres: Postgres) -> Result:
    """The first seed that notices the breakage, and what sound code does in exactly that seed."""
    mutation = named(task["mutation"])
    for seed in range(task["first"], task["first"] + task["seeds"]):
        with mutation.applied():
            broken = play(seed, postgres, mutation.plan()).violations
        if broken:
            sound = play(seed, postgres, mutation.plan()).violations
            return {**task, "caught": seed, "violation": broken[0], "sound": sound}
    return {**task, "caught": 0, "violation": "", "sound": []}


def totals(results: Iterable[Result]) -> tuple[Counter[str], Counter[str]]:
    """What was counted and which faults struck, over many seeds."""
    counted: Counter[str] = Counter()
    struck: Counter[str] = Counter()
    for result in results:
        counted.update(result["counted"])
        struck.update(result["struck"])
    return counted, struck


def main() -> None:
    postgres = Postgres(os.environ[URL])
    try:
        for line in sys.stdin:
            print(json.dumps(carried_out(json.loads(line), postgres)), flush=True)
    finally:
        postgres.close()


if __name__ == "__main__":
    main()
