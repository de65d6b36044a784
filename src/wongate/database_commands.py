"""`wongate db dump` and `wongate db restore`: a copy of the database in one file, and back."""

import argparse
import asyncio
import os
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import asyncpg

from wongate.connections.clock import SystemClock
from wongate.connections.database import Tx, connect
from wongate.mistake import Mistake
from wongate.settings import SettingsError
from wongate.store import backup, migrate

T = TypeVar("T")
_MEGABYTE = 1_000_000


def dump(options: argparse.Namespace) -> int:
    """Servers and workers may go on. The file appears under its name when it is whole."""
    path: Path = options.file
    if path.exists():
        raise Mistake(f"{path} is there already: choose another name")
    draft = path.with_name(path.name + ".partial")

    async def story(connection: Tx) -> dict[str, int]:
        if await migrate.pending(connection):
            raise Mistake("the database is not up to date: run `wongate migrate` first")
        # Payments, and secrets even if sealed: for its owner's eyes only.
        with os.fdopen(os.open(draft, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600), "wb") as file:
            rows = await backup.write(connection, file, SystemClock().now(), _progress)
            file.flush()
            os.fsync(file.fileno())
        return rows

    try:
        rows = _with_connection(story)
        draft.rename(path)
    finally:
        draft.unlink(missing_ok=True)
    print(f"{path}: {sum(rows.values()):,} rows of {len(rows)} tables, {path.stat().st_size:,} bytes")
    print("Secrets in it are sealed: keep the master key too, elsewhere.")
    return 0


def restore(options: argparse.Namespace) -> int:
    """All or nothing, and only into a database without payments."""
    path: Path = options.file

    async def story(connection: Tx) -> dict[str, object]:
        try:
            with path.open("rb") as file:
                return await backup.read(connection, file, _progress)
        except backup.NoCopy as error:
            raise Mistake(f"{path}: {error}") from None
        except backup.NotEmpty as error:
            raise Mistake(f"the database is not empty, {error}: name a new one") from None

    contents = _with_connection(story)
    print(f"restored as of {contents['at']}")
    print(
        "What happened since, only the provider knows: `wongate migrate`, `wongate audit`, then compare the books with"
    )
    print("`wongate reconcile --file SETTLEMENT.csv` before workers start.")
    return 0


def _progress(table: str, size: int) -> None:
    if sys.stderr.isatty():
        print(f"\r{table:<20} {size / _MEGABYTE:>10,.1f} MB ", end="", file=sys.stderr, flush=True)


def _with_connection(story: Callable[[Tx], Awaitable[T]]) -> T:
    url = os.environ.get("WONGATE_DATABASE_URL")
    if not url:
        raise SettingsError("WONGATE_DATABASE_URL is missing: a postgresql:// URL")

    async def run() -> T:
        connection = await connect(url, server_settings={"timezone": "UTC"})
        try:
            return await story(connection)
        except (asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            raise Mistake(f"the database says: {error}") from None
        finally:
            await connection.close(timeout=5)

    try:
        return asyncio.run(run())
    finally:
        if sys.stderr.isatty():
            print(file=sys.stderr)
