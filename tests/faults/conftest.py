"""One stage for all tests of this folder: starting it takes some seconds, each test leaves it whole and its books settled."""

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.faults.stage import Stage, opened


@pytest.fixture(scope="session")
def shared_stage() -> Iterator[Stage]:
    with tempfile.TemporaryDirectory(prefix="wongate-faults-") as name, opened(Path(name)) as stage:
        yield stage


@pytest.fixture
def stage(shared_stage: Stage, record_property: Callable[[str, str], None]) -> Stage:
    shared_stage.measured = record_property
    shared_stage.heal()
    return shared_stage
