"""Real processes that die by SIGKILL at exactly their k-th seam: `serve`, `worker` and the simulator, for k = 1, 2, 3 ... until a
run of the story passes without a death. A new commit, call or answer lengthens the row by itself."""

import asyncio
import os
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest
from tests.faults.programs import Program
from tests.faults.shop import Shop, shop
from tests.faults.stage import LIMIT_TIME_S, Stage, opened

ROOT = Path(__file__).resolve().parents[2]
COMMITS, CALLS, ANSWERS = {"commit", "committed"}, {"call", "back"}, {"answer", "answered"}
VICTIMS = {
    "serve": COMMITS | CALLS | ANSWERS,
    "worker 1": COMMITS | CALLS,
    "simulator": COMMITS | CALLS | ANSWERS,
}
"""With the kinds of seams that the story leads each of them past."""

GLANCE_S = 0.05
TRIES = 5
SETTLED_WITHIN_S = 3 * 3600
"""Of virtual time: a refund behind one of unknown outcome waits for an hour."""

_numbers = count(1)


@pytest.fixture(scope="module")
def small_stage() -> Iterator[Stage]:
    """One process of each, so that the k-th seam is the same one whoever answers."""
    with (
        tempfile.TemporaryDirectory(prefix="wongate-seams-") as name,
        opened(Path(name), processes=1, workers=1) as stage,
    ):
        yield stage


@pytest.mark.faults
@pytest.mark.parametrize("victim", VICTIMS)
async def test_a_process_killed_at_any_of_its_seams_leaves_sound_books(
    small_stage: Stage, victim: str, record_property: Callable[[str, str], None]
):
    deaths: list[str] = []
    async with shop(small_stage) as merchant:
        while len(passed := await killed_at(merchant, victim, len(deaths) + 1)) > len(deaths):
            deaths.append(passed[-1])
        await small_stage.books_hold()
    kinds = Counter(seam.split()[0] for seam in deaths)
    assert VICTIMS[victim] == {seam.split()[0] for seam in passed}, "the last run passes all there are"
    assert kinds.keys() <= VICTIMS[victim]
    record_property(
        f"{victim} killed at its seams, one after another", f"{len(deaths)} deaths, {dict(kinds)}"
    )


async def killed_at(merchant: Shop, victim: str, k: int) -> list[str]:
    """The seams that the victim has passed while the story was played, at most k, and what is left is judged. Where it passed
    fewer it lived, and the story came to its good end: on a machine so slow that it did not, it is played once more."""
    for _ in range(TRIES):
        passed, status = await played(merchant, victim, k)
        if len(passed) == k or status == "refunded":
            return passed
    raise AssertionError(f"the story never came to its end; {victim} has passed {passed}")


async def played(merchant: Shop, victim: str, k: int) -> tuple[list[str], str]:
    """The seams passed, and how the payment ended."""
    stage = merchant.stage
    usual, seams = stage.programs[victim], stage.directory / "seams"
    seams.write_bytes(b"")
    stage.replace(victim, armed(usual, k, seams))
    supervisor = asyncio.create_task(revive(stage, victim, usual))
    try:
        await asyncio.to_thread(stage.wait_until_ready)
        ids = await story(merchant)
        await asyncio.to_thread(stage.wait_until_ready)
    finally:
        supervisor.cancel()
    if stage.programs[victim] is not usual:
        stage.replace(victim, usual)
        await asyncio.to_thread(stage.wait_until_ready)
    passed = seams.read_text().splitlines()
    assert len(passed) <= k, f"{victim} went on after its seam {k}: {passed}"
    return passed, await everything_ended_well(merchant, *ids)


def armed(program: Program, seam: int | str, seams: Path) -> Program:
    """It dies at its seam of that number, or the first of that name."""
    modules = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    variables = {"WONGATE_TEST_DIE_AT": str(seam), "WONGATE_TEST_SEAMS": str(seams), "PYTHONPATH": modules}
    return program.under("tests.faults.doomed", variables)


async def revive(stage: Stage, victim: str, usual: Program) -> None:
    """Starts the victim again as what it usually is, once it has died."""
    while stage.programs[victim].runs:  # noqa: ASYNC110 - the end of a process cannot be awaited
        await asyncio.sleep(GLANCE_S)
    stage.replace(victim, usual)


async def story(merchant: Shop) -> tuple[str, str]:
    """A sale that is paid, a part of it given back, then the rest; and one whose payer never comes."""
    stage = merchant.stage
    jumping = asyncio.create_task(jump_on(stage))
    try:
        paid, left = await merchant.sale(next(_numbers)), await merchant.sale(next(_numbers))
        await merchant.pay(paid)
        if "success" == await status_of(stage, paid):
            await merchant.refund(paid, amount=300, currency="KRW")
            await merchant.refund(paid)
    finally:
        jumping.cancel()
    stage.advance(LIMIT_TIME_S)
    await stage.settle(SETTLED_WITHIN_S)
    return paid, left


async def jump_on(stage: Stage) -> None:
    """Leases end at once, and no payer is late for it."""
    while True:
        await stage.jump("waiting")


async def status_of(stage: Stage, payment_id: str) -> str:
    """Once its sale has ended, or its payer has given up."""
    while True:
        (row,) = await stage.rows(
            "SELECT p.status, o.stage FROM payment p JOIN operation o USING (project_id, payment_no) "
            "WHERE p.payment_id = $1 AND o.kind = 'sale'",
            payment_id,
        )
        if row["stage"] in ("waiting", "done"):
            return str(row["status"])
        await asyncio.sleep(GLANCE_S)


async def everything_ended_well(merchant: Shop, paid: str, left: str) -> str:
    """How the paid one did: an approval that was interrupted is taken back, so that it may be declined."""
    rows = await merchant.stage.rows(
        "SELECT p.payment_id, p.status, p.captured - p.refunded AS kept, o.stage, o.order_number "
        "FROM payment p JOIN operation o USING (project_id, payment_no) WHERE p.payment_id IN ($1, $2) ORDER BY operation_id",
        paid,
        left,
    )
    assert {"done"} == {row["stage"] for row in rows}, [dict(row) for row in rows]
    status = {row["payment_id"]: row["status"] for row in rows}
    assert ("decline", True) == (status[left], status[paid] in ("refunded", "decline")), status
    kept = {row["order_number"]: row["kept"] for row in rows}
    theirs = {book["moid"]: book["remain"] for book in await merchant.books() if book["approvals"]}
    assert {order: theirs.get(order, 0) for order in kept} == kept
    await merchant.nothing_is_lost()
    return str(status[paid])
