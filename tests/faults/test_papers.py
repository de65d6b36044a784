"""Whoever reads what we prove finds each proof under its name."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("paper", ["README.md", "docs/proofs.md"])
def test_every_test_that_a_paper_names_exists(paper: str):
    named = set(re.findall(r"`(test_\w+)`", (ROOT / paper).read_text()))
    defined = {
        name
        for path in (ROOT / "tests").rglob("test_*.py")
        for name in re.findall(r"^(?:async )?def (test_\w+)", path.read_text(), re.MULTILINE)
    }
    assert named
    assert set() == named - defined
