"""What a stranger would trip over: providers that know each other, prints where a program should log, somebody's workplace."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = sorted((ROOT / "src").rglob("*.py"))
PROVIDERS = sorted(path.parent for path in (ROOT / "src/wongate/providers").glob("*/__init__.py"))
SPEAKS_TO_PEOPLE = re.compile(r"/(__main__|sandbox|.*commands|history/progress)\.py$")
"""Modules whose output is a terminal."""

# Written backwards, so that this file does not find itself.
_BACKWARDS = [
    "/krow/",
    "derahs/..",
    "yrarbil.",
    "tnegabus",
    "sjmpn.yrtsiger",
    "gro.ipyp",
    "edualc",
    "ciporhtna",
    "tpgtahc",
    "ianepo",
]
WORKPLACE = re.compile("|".join(re.escape(word[::-1]) for word in _BACKWARDS), re.IGNORECASE)
TEXTS = {
    ".py",
    ".sql",
    ".md",
    ".toml",
    ".html",
    ".css",
    ".js",
    ".json",
    ".po",
    ".example",
    ".lock",
    ".sh",
    "",
}


@pytest.mark.parametrize("folder", PROVIDERS, ids=lambda folder: folder.name)
def test_a_provider_knows_no_other(folder: Path):
    others = {f"wongate.providers.{other.name}" for other in PROVIDERS if other != folder}
    for path in folder.rglob("*.py"):
        assert not {name for name in imported(path) for other in others if name.startswith(other)}, path


def test_programs_log_and_only_the_command_line_prints():
    printing = [
        str(path.relative_to(ROOT))
        for path in SOURCES
        if not SPEAKS_TO_PEOPLE.search(str(path)) and "print" in called(path)
    ]
    # What stands between a program and its parent has no log yet; the kernel's refusal must reach somebody.
    assert {"src/wongate/connections/tether.py"} == set(printing)


def test_nothing_mentions_where_or_by_whom_it_was_made():
    found = []
    for path in every_text():
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
            if WORKPLACE.search(line):
                found.append(f"{path.relative_to(ROOT)}:{number}: {line.strip()[:80]}")
    assert [] == found


def imported(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return names


def called(path: Path) -> set[str]:
    calls = [node.func for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
    return {call.id for call in calls if isinstance(call, ast.Name)}


def every_text() -> list[Path]:
    """Everything in the repository that a person could read; what tools have made beside it is not ours."""
    folders = ("src", "tests", "docs", "bench", ".ci")
    files = [path for folder in folders for path in (ROOT / folder).rglob("*") if path.is_file()]
    files += [path for path in ROOT.iterdir() if path.is_file()]
    return [
        path
        for path in files
        if path.suffix in TEXTS and "__pycache__" not in path.parts and not path.name.startswith(".draft")
    ]
