"""The house's rules, executed: import contracts, linters, types, and what a stranger would trip over."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
SOURCES = sorted((ROOT / "src").rglob("*.py"))
BIN = Path(sys.executable).parent


@pytest.mark.parametrize(
    "command",
    [["lint-imports"], ["ruff", "check", "."], ["ruff", "format", "--check", "."], ["mypy"]],
    ids=["import contracts", "ruff", "format", "types"],
)
def test_the_checks_find_nothing(command: list[str]) -> None:
    run = subprocess.run(
        [BIN / command[0], *command[1:]], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert 0 == run.returncode, (run.stdout + run.stderr)[-4000:]


def imported(path: Path) -> set[str]:
    """Top-level names of everything that a file imports."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add(node.module or "")
    return names


@pytest.mark.parametrize(
    "path", sorted((ROOT / "src/wongate/domain").rglob("*.py")), ids=lambda path: path.stem
)
def test_the_domain_imports_the_standard_library_and_itself_only(path: Path) -> None:
    foreign = {
        name
        for name in imported(path)
        if not name.startswith("wongate.domain") and name.split(".")[0] not in sys.stdlib_module_names
    }
    assert not {name for name in foreign if name != "wongate"}
    assert "wongate" not in foreign or "from wongate.domain" in path.read_text()


DOES_IO = {
    "socket",
    "asyncio",
    "subprocess",
    "urllib.request",
    "http.client",
    "pathlib",
    "os",
    "random",
    "time",
    "secrets",
}


@pytest.mark.parametrize(
    "path", sorted((ROOT / "src/wongate/domain").rglob("*.py")), ids=lambda path: path.stem
)
def test_the_domain_does_no_io_and_takes_no_chance(path: Path) -> None:
    assert not imported(path) & DOES_IO


AT_THE_EDGE = {"clock.py", "logs.py", "app.py", "commands.py", "migrate.py"}
"""Clocks themselves, log lines, node leases, operators' commands, the list of applied migrations."""

TIMED = [path for path in SOURCES if path.name not in AT_THE_EDGE and "wongate" in path.parts]


@pytest.mark.parametrize("path", TIMED, ids=lambda path: path.stem)
def test_business_time_comes_from_a_clock(path: Path) -> None:
    """`datetime.now` and `now()` in SQL would escape the sandbox's clock and the simulation's."""
    assert not re.search(r"datetime\.(now|utcnow|today)\(|date\.today\(|(?<![.\w])now\(\)", path.read_text())


def test_no_file_is_too_long_to_see() -> None:
    long = {path.name: count for path in SOURCES if (count := len(path.read_text().splitlines())) > 400}
    texts_only = {"words.py"}
    assert not {name: count for name, count in long.items() if name not in texts_only}


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.stem)
def test_nothing_is_left_for_later(path: Path) -> None:
    assert not re.search(r"\b(TODO|FIXME|XXX|HACK)\b|NotImplementedError|pragma: no cover", path.read_text())


def test_every_package_says_what_lives_in_it() -> None:
    silent = [
        path.parent.name
        for path in SOURCES
        if path.name == "__init__.py" and not ast.get_docstring(ast.parse(path.read_text()))
    ]
    assert not silent


def test_every_setting_is_documented() -> None:
    from wongate.settings import Settings

    documented = (ROOT / ".env.example").read_text()
    missing = [name for name in Settings.__slots__ if f"\nWONGATE_{name.upper()}=" not in documented]
    assert not missing


def test_every_dependency_is_locked_with_hashes() -> None:
    for lock in ("requirements.lock", "requirements-test.lock"):
        packages = re.findall(
            r"^[a-z0-9][\w.-]*==[^\n]*\n(?: +--hash=[^\n]*\n?)*", (ROOT / lock).read_text(), re.MULTILINE
        )
        assert len(packages) > 20
        assert not [package.split()[0] for package in packages if "--hash=sha256:" not in package]
