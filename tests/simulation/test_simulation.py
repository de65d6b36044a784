"""The seeded simulation as part of every run: many seeds without a violation, and the same seed twice with the same history."""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.simulation.swarm import DATABASE, EDGES, PROCESS, WIRE

ROOT = Path(__file__).parent.parent.parent
SEEDS = int(os.environ.get("WONGATE_SEEDS", "300"))


def simulated(*arguments: str, ends_with: int = 0) -> str:
    run = subprocess.run(
        [sys.executable, "-m", "tests.simulation", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ends_with == run.returncode, (run.stdout + run.stderr)[-4000:]
    return run.stdout


def figures(said: str, pattern: str = r"^(\w+) +(\d+)") -> dict[str, int]:
    return {name: int(number) for name, number in re.findall(pattern, said, re.MULTILINE)}


def test_no_seed_finds_money_lost_or_doubled(record_property: Any):
    said = simulated("--seeds", str(SEEDS))
    numbers = figures(said)
    assert (SEEDS, 0) == (numbers["seeds"], numbers["violations"])
    assert numbers["faults"] > SEEDS
    record_property("simulation", ", ".join(f"{number} {name}" for name, number in numbers.items()))
    struck = figures(said, r"^ {4}(\S.*?) +(\d+)$")
    assert not {*PROCESS, *DATABASE, *_ON_BUSY_WIRES} - set(struck)


_ON_BUSY_WIRES = [
    f"{edge}: {kind}" for edge in ("provider", "merchant", "gate", "page", "return") for kind in WIRE
]
"""Three hundred seeds send few notices: some of their faults may not come up."""


def test_every_wire_knows_every_fault():
    assert not {edge for edge, kinds in EDGES.items() if not set(WIRE) <= set(kinds)}


def test_the_same_seed_twice_is_the_same_history():
    first, second = (simulated("--seed", "17") for _ in range(2))
    assert re.search(r"history \w+", first)
    assert first == second


def test_a_failing_seed_says_how_to_see_it_again():
    broken = "an approval is sent again after silence"
    said = simulated("--seeds", "12", "--broken", broken, ends_with=1)
    found = re.search(r'reproduce with: make simulate SEED=(\d+) BROKEN="(.+)" +\(history (\w+)\)', said)
    assert found is not None
    assert broken == found[2]
    again = simulated("--seed", found[1], "--broken", found[2], ends_with=1)
    assert f"seed {found[1]}: history {found[3]}" in again
    assert "VIOLATION I2: the approval of" in again
