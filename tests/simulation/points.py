"""Crash points: a scenario is played once and its seams are counted; then again for each of them, and a process dies, or sleeps
past every lease, at exactly that seam. A new commit, call or answer is a new seam by itself."""

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random

from tests.simulation.postgres import Postgres
from tests.simulation.scenarios import Scenario
from tests.simulation.world import Report, play

SEED = 1
"""Only for delays: a scenario is decided by its script."""


@dataclass(frozen=True, slots=True)
class Point:
    """One run: where processes died or slept, and what the auditor found."""

    scenario: str
    seams: tuple[int, ...]
    names: tuple[str, ...]
    how: str
    report: Report

    def __str__(self) -> str:
        at = ", ".join(f"{number} ({name})" for number, name in zip(self.seams, self.names, strict=True))
        return f"{self.scenario}: {self.how} at {at}: {'; '.join(self.report.violations)}"


def undisturbed(scenario: Scenario, postgres: Postgres) -> Report:
    return play(SEED, postgres, scenario.plan())


def crashes(scenario: Scenario, postgres: Postgres) -> Iterator[Point]:
    """A crash at every seam."""
    whole = undisturbed(scenario, postgres)
    for number, name in enumerate(whole.seams, 1):
        yield _crashed(scenario, postgres, number, name=name)


def crash_pairs(scenario: Scenario, postgres: Postgres, pairs: int) -> Iterator[Point]:
    """A second crash while the first one is being recovered from, at seams drawn from all of them."""
    draw = Random(scenario.name)
    whole = undisturbed(scenario, postgres)
    for _ in range(pairs):
        first = draw.randint(1, len(whole.seams) - 1)
        once = _crashed(scenario, postgres, first)
        yield _crashed(scenario, postgres, first, draw.randint(first + 1, len(once.report.seams)))


def freezes(scenario: Scenario, postgres: Postgres) -> Iterator[Point]:
    """A process sleeps past every lease at every seam, and wakes up into a world that has gone on without it (F19)."""
    whole = play(SEED, postgres, scenario.plan(freeze_at=(10**9,)))
    for number, name in enumerate(whole.seams, 1):
        report = play(SEED, postgres, scenario.plan(freeze_at=(number,)))
        assert report.counted["freezes"] == 1, f"{scenario.name} never reached seam {number}"
        yield Point(scenario.name, (number,), (name,), "freeze", report)


def _crashed(scenario: Scenario, postgres: Postgres, *seams: int, name: str = "") -> Point:
    report = play(SEED, postgres, scenario.plan(crash_at=seams))
    assert report.counted["crashes"] == len(seams), f"{scenario.name} never reached all of the seams {seams}"
    names = tuple(name or report.seams[number - 1] for number in seams)
    return Point(scenario.name, seams, names, "crash", report)
