"""Crashes at seams (`make simulate POINTS=1`: at all of them), and why none can be forgotten: a seam is a commit, a call or an
answer, not an entry in a list."""

from collections import Counter
from collections.abc import Iterator
from typing import Any
from unittest.mock import patch

import pytest
from tests.simulation import points
from tests.simulation.postgres import Postgres
from tests.simulation.scenarios import SCENARIOS, Scenario
from tests.simulation.test_simulation import figures, simulated

from wongate.flows import approve
from wongate.flows.platform import Platform
from wongate.flows.sale import Found


def test_no_crash_at_any_seam_loses_or_doubles_money(record_property: Any):
    said = simulated("--some-points")
    runs = figures(said, r"^(some crashes|some freezes|some pairs) +(\d+) runs")
    assert "violations 0" in said
    assert len(SCENARIOS) * 4 < runs["some crashes"]
    assert len(SCENARIOS) <= min(runs["some freezes"], runs["some pairs"])
    record_property("crash points", ", ".join(f"{number} {how}" for how, number in runs.items()))


@pytest.fixture
def postgres(database: str) -> Iterator[Postgres]:
    opened = Postgres(database)
    yield opened
    opened.close()


def test_a_new_commit_and_a_new_call_are_crash_points_by_themselves(postgres: Postgres):
    paid = scenario("paid at once")
    before = points.undisturbed(paid, postgres).seams
    with patch.object(approve, "customer_returned", _with_more_to_do):
        found = list(points.crashes(paid, postgres))
    added = Counter(point.names[0] for point in found) - Counter(before)
    assert len(before) + 4 == len(found)
    assert 4 == added.total() == sum(added[f"server: {name}"] for name in NEW_SEAMS)
    assert [(number,) for number in range(1, len(before) + 5)] == [point.seams for point in found]
    assert not [str(point) for point in found if point.report.violations]


NEW_SEAMS = ("commit", "committed", "call provider", "provider answered")
_customer_returned = approve.customer_returned


async def _with_more_to_do(platform: Platform, door: Any, found: Found, form: Any) -> None:
    """As if somebody had written one commit and one outside call more, and told no test."""
    await platform.database.run(lambda tx: tx.execute("UPDATE project SET name = name"))
    await platform.provider(found.project).inquire(found.project.account, "wongate01m01012603021200990000")
    await _customer_returned(platform, door, found, form)


def test_a_run_that_never_reaches_its_seam_fails(postgres: Postgres):
    with pytest.raises(AssertionError, match="never reached"):
        points._crashed(scenario("paid at once"), postgres, 10_000)


def scenario(name: str) -> Scenario:
    return next(scenario for scenario in SCENARIOS if scenario.name == name)
