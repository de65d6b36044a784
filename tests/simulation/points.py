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

RECOVERY_SEAMS = 40
"""So many seams after a crash belong to the recovery from it; what is still unknown then is asked about every few minutes, and
one such look is like the other."""


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


def crashes(scenario: Scenario, postgres: Postgres, *, every: int = 1) -> Iterator[Point]:
    """A crash at every seam, or at every so many of them: at other ones in each scenario, since their beginnings are alike."""
    first = 1 + len(scenario.name) % every
    for number in range(first, len(undisturbed(scenario, postgres).seams) + 1, every):
        yield _crashed(scenario, postgres, number)


def freezes(scenario: Scenario, postgres: Postgres, *, every: int = 1) -> Iterator[Point]:
    """A process sleeps past every lease, and wakes up into a world that has gone on without it (F19)."""
    whole = play(SEED, postgres, scenario.plan(freeze_at=(10**9,)))
    for number in range(1, len(whole.seams) + 1, every):
        report = play(SEED, postgres, scenario.plan(freeze_at=(number,)))
        assert report.counted["freezes"] == 1, f"{scenario.name} never reached seam {number}"
        yield Point(scenario.name, (number,), (report.seams[number - 1],), "freeze", report)


def pairs(scenario: Scenario, postgres: Postgres) -> Iterator[Point]:
    """A second crash at every seam of the recovery from the first, for every first one."""
    for first in range(1, len(undisturbed(scenario, postgres).seams) + 1):
        yield from _pairs_after(scenario, postgres, first)


def _pairs_after(scenario: Scenario, postgres: Postgres, first: int) -> Iterator[Point]:
    for second in _recovery(_crashed(scenario, postgres, first)):
        yield _crashed(scenario, postgres, first, second)


def some_pairs(scenario: Scenario, postgres: Postgres, number: int) -> Iterator[Point]:
    """Pairs drawn from all of them, the same ones every time; after a crash at the last seam there is nothing to break into."""
    draw = Random(scenario.name)
    seams = len(undisturbed(scenario, postgres).seams)
    for first in draw.sample(range(1, seams + 1), seams):
        if number == 0:
            return
        recovery = _recovery(_crashed(scenario, postgres, first))
        if recovery:
            number -= 1
            yield _crashed(scenario, postgres, first, draw.choice(recovery))


def _recovery(once: Point) -> range:
    first = once.seams[0]
    return range(first + 1, min(len(once.report.seams), first + RECOVERY_SEAMS) + 1)


def _crashed(scenario: Scenario, postgres: Postgres, *seams: int) -> Point:
    report = play(SEED, postgres, scenario.plan(crash_at=seams))
    assert report.counted["crashes"] == len(seams), f"{scenario.name} never reached all of the seams {seams}"
    return Point(scenario.name, seams, tuple(report.seams[number - 1] for number in seams), "crash", report)
