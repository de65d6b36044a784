"""The seeded simulation as part of every run: many seeds without a violation, and the same seed twice with the same history."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
SEEDS = int(os.environ.get("WONGATE_SEEDS", "300"))


def simulated(*arguments: str) -> str:
    run = subprocess.run(
        [sys.executable, "-m", "tests.simulation", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert 0 == run.returncode, (run.stdout + run.stderr)[-4000:]
    return run.stdout


def test_no_seed_finds_money_lost_or_doubled(record_property: pytest.FixtureRequest):
    said = simulated("--seeds", str(SEEDS))
    numbers = {name: int(number) for name, number in re.findall(r"^(\w+) +(\d+)", said, re.MULTILINE)}
    assert (SEEDS, 0) == (numbers["seeds"], numbers["violations"])
    assert numbers["faults"] > SEEDS
    record_property("simulation", ", ".join(f"{number} {name}" for name, number in numbers.items()))  # type: ignore[operator]


def test_the_same_seed_twice_is_the_same_history():
    first, second = (simulated("--seed", "17") for _ in range(2))
    assert re.search(r"history \w+", first)
    assert first == second
