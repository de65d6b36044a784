"""At a million payments: how long it takes to make them up, to look at them, and to take them all out while sales come in. At
ten million: to look at them, and what the next sale costs."""

import asyncio
import secrets
import tempfile
import time
from pathlib import Path

import uvloop

from bench import size_copies, size_exports, size_intake, size_pages
from bench.browser import Browser, sign_in
from bench.rig import PROJECT_ID, Rig, rig
from wongate import sandbox_login
from wongate.app import opened
from wongate.domain.one_time import SECRET_BYTES, spelled
from wongate.flows import roll_up
from wongate.flows.passwords import initial_password
from wongate.flows.platform import Platform
from wongate.history.fill import Wish, fill
from wongate.history.progress import ProgressBar
from wongate.sandbox_login import Login
from wongate.settings import load

DAYS = 365
MILLION = 1_000_000


def measure(*, quick: bool, payments: int | None = None, books: Path | None = None) -> dict[str, float]:
    """Raises AssertionError when a page, a sum or a file shows anything but what the rows say.

    `payments`: about so many, a million unless it is a quick look. `books`: a folder that keeps them for the next run.
    """
    with rig(worker=False, keep=books) as built:
        figures, browser = _filled(built, payments or (50_000 if quick else MILLION))
        figures |= uvloop.run(size_pages.measure(built, browser, 5 if quick else 25))
        built.start_worker()
        figures |= uvloop.run(size_exports.measure(built, quick=quick))
    return figures


def measure_copies(
    *, quick: bool, payments: int | None = None, books: Path | None = None
) -> dict[str, float]:
    """The same pages over ten million (`payments`: over so many), most of them copies (`size_copies`), and intake beside them."""
    told = 50_000 if quick else MILLION
    with tempfile.TemporaryDirectory(prefix="wongate-bench-") as name:
        folder = books or Path(name)
        with rig(worker=False, keep=folder) as built:
            _filled(built, told)
        size_copies.reach(folder, payments or 10 * told)
        with rig(worker=False, keep=folder) as built:
            figures, browser = _filled(built, told)
            figures |= uvloop.run(size_pages.measure(built, browser, 5 if quick else 25))
            return figures | size_intake.measure(built, quick=quick)


def _filled(built: Rig, payments: int) -> tuple[dict[str, float], Browser]:
    login = Login(sandbox_login.USER, initial_password(), spelled(secrets.token_bytes(SECRET_BYTES)))
    figures = asyncio.run(_fill(built, login, payments))
    built.settle_down()
    return figures, sign_in(built, login)


async def _fill(built: Rig, login: Login, payments: int) -> dict[str, float]:
    """Seconds for a million payments, and for their sums; nothing of the first where the books were full."""
    async with opened(load(built.environment)) as platform:
        await sandbox_login.prepare(platform, login, PROJECT_ID)
        project = await platform.project(PROJECT_ID)
        assert project is not None
        bar = ProgressBar("Making up the past")
        began = time.monotonic()
        made = await fill(platform, project, built.database_url, Wish(DAYS, payments // DAYS), bar.show)
        filled = time.monotonic()
        bar.end(f"{made:,} payments")
        while await roll_up.add_up(platform):
            pass
        sums_s = time.monotonic() - filled
        found = await _count(platform)
    if not made:
        return {"payments": found}
    assert found == made, f"{made} payments were made up, {found} are there"
    per_million = 1_000_000 / made
    return {"payments": found, "fill_s": (filled - began) * per_million, "sums_s": sums_s * per_million}


async def _count(platform: Platform) -> int:
    async with platform.database.read() as tx:
        return int(await tx.fetchval("SELECT count(*) FROM payment WHERE project_id = $1", PROJECT_ID))
