"""Each deliberate breakage is noticed by the simulation, in a seed in which sound code is not accused of anything."""

import re
from typing import Any

from tests.simulation.mutations import MUTATIONS
from tests.simulation.test_simulation import simulated

FAIR = "400"
"""Seeds that a breakage may need from the one that noticed it before, should the code have changed since."""

EVERY = 2
"""Half of them in every run, for its time; `make simulate MUTATIONS=1` has them all."""


def test_deliberate_breakages_are_noticed(record_property: Any):
    table = simulated("--mutations", "--hinted", "--seeds", FAIR, "--every", str(EVERY))
    chosen = MUTATIONS[::EVERY]
    assert len(chosen) >= 15
    assert f"breakages {len(chosen)}, noticed {len(chosen)}" in table
    for mutation in chosen:
        assert re.search(rf"^{re.escape(mutation.name)} +\d+ +\d+  \S", table, re.MULTILINE), mutation.name
    record_property("breakages noticed by the simulation", f"\n{table}")


def test_breakages_have_names_of_their_own():
    assert len(MUTATIONS) == len({mutation.name for mutation in MUTATIONS})
