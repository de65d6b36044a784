"""The whole thing as a person runs it: one command, a sale, a refund, a clean end, and a kill -9 in the middle of everything."""

import asyncio
import json
import os
import signal
import stat
import subprocess
from collections import Counter
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, cast

import aiohttp
import pytest
from tests import invariants
from tests.processes import HANG_GUARD_S, eventually
from tests.story.sandbox import REFUND, SALE, STATUS, Sandbox, Seen, Shop
from tests.world import World, listening_merchant

from wongate.connections.clock import SystemClock
from wongate.domain.signature import verify

pytestmark = pytest.mark.story

PAYMENTS = 200
FINAL = ("success", "decline", "refunded")
MEMBERS = "gate_url page_url dashboard_url data_api_url simulator_url shop_url database_url project_id secret"


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One data folder for all these tests: each starts where the one before it stopped."""
    return tmp_path_factory.mktemp("story") / "data"


async def test_one_command_sells_refunds_and_ends_without_a_trace(data: Path):
    sandbox = Sandbox(data)
    with sandbox:
        assert set(MEMBERS.split()) <= set(sandbox.announced)
        assert 0o600 == stat.S_IMODE(sandbox.announcement.stat().st_mode)
        async with listening_merchant(SystemClock(), sandbox.announced["secret"]) as merchant:
            await sells_and_refunds(Shop(sandbox, merchant))
            await invariants.check(cast(World, Seen(sandbox, merchant)))
        await every_page_answers(sandbox)
        assert 0 == sandbox.stop(signal.SIGTERM)
    assert (False, []) == (sandbox.announcement.exists(), sandbox.left_behind())


async def sells_and_refunds(shop: Shop) -> None:
    sandbox, merchant = shop.sandbox, shop.merchant
    sale = sandbox.sale("ABC1234", f"{merchant.url}/callbacks")
    status, accepted = await asyncio.to_thread(sandbox.post, SALE, sale, version=10)
    assert (200, "success") == (status, accepted["status"])
    async with asyncio.timeout(HANG_GUARD_S):
        form = (await shop.told("ABC1234", "awaiting redirect result"))["redirect_data"]
        played = await sandbox.simulator.control("POST", "pay", {"redirect_data": form, "outcome": "card"})
        assert (303, "http://example.url/success") == (
            played["return"]["status"],
            played["return"]["location"],
        )
        final = await shop.told("ABC1234", "success")
        assert verify(final, final["signature"], [sandbox.announced["secret"]])
        await asyncio.to_thread(sandbox.post, REFUND, sandbox.refund("ABC1234"))
        refunded = await shop.told("ABC1234", "refunded")
        assert ("refund", {"amount": 0, "currency": "KRW"}) == (
            refunded["operation"]["type"],
            refunded["payment"]["sum"],
        )
    _, shown = await asyncio.to_thread(sandbox.post, STATUS, {"general": sale["general"]})
    assert ["sale", "refund"] == [operation["type"] for operation in shown["operations"]]


async def every_page_answers(sandbox: Sandbox) -> None:
    async with aiohttp.ClientSession() as session:
        for name in ("shop_url", "simulator_url"):
            async with session.get(sandbox.announced[name]) as answer:
                assert 200 == answer.status, name
        async with session.get(f"{sandbox.announced['gate_url']}/nowhere") as answer:
            assert 404 == answer.status


def test_a_second_start_continues_with_the_same_credentials_and_a_twin_is_refused(data: Path):
    with Sandbox(data) as sandbox:
        credentials = json.loads((data / "credentials.json").read_text())
        assert (credentials["project_id"], credentials["secret"]) == (
            sandbox.announced["project_id"],
            sandbox.announced["secret"],
        )
        general = {"project_id": sandbox.announced["project_id"], "payment_id": "ABC1234"}
        status, shown = sandbox.post(STATUS, {"general": general})
        assert (200, "refunded") == (status, shown["payment"]["status"])
        twin = subprocess.run(Sandbox(data).command, capture_output=True, text=True, check=False)
        assert (2, 1, True) == (twin.returncode, twin.stderr.count("\n"), "in use" in twin.stderr)
        assert sandbox.announcement.exists()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_however_it_ends_it_leaves_nothing_running(data: Path, number: int):
    sandbox = Sandbox(data)
    sandbox.start()
    sandbox.stop(number)
    eventually(lambda: not sandbox.announcement.exists())
    assert [] == sandbox.left_behind()


def test_a_program_that_is_killed_is_started_again(data: Path):
    """Database, simulator, platform and worker one after another; the sandbox stays up and answers again."""
    with Sandbox(data) as sandbox:
        general = {"project_id": sandbox.announced["project_id"], "payment_id": "ABC1234"}
        for words in ("wongate_simulator", "wongate\0serve", "wongate\0worker", "postgres\0-D"):
            pid = eventually(partial(_pid_of, sandbox, words))
            os.kill(pid, signal.SIGKILL)
            eventually(partial(_successor, sandbox, words, pid))
        eventually(lambda: _answers(sandbox, {"general": general}))
        assert sandbox.announcement.exists()


def _pid_of(sandbox: Sandbox, words: str) -> int | None:
    mine = [line.split(":")[0] for line in sandbox.left_behind()]
    for pid in mine:
        with suppress(OSError):  # it has ended since
            if words.encode() in Path(f"/proc/{pid}/cmdline").read_bytes():
                return int(pid)
    return None


def _successor(sandbox: Sandbox, words: str, pid: int) -> bool:
    return _pid_of(sandbox, words) not in (None, pid)


def _answers(sandbox: Sandbox, body: dict[str, Any]) -> bool:
    try:
        return sandbox.post(STATUS, body)[0] == 200
    except (OSError, ValueError):
        return False


# --- kill -9 in the middle of 200 running payments ---


async def shopper(shop: Shop, session: aiohttp.ClientSession, number: int) -> None:
    """Buys; most pay, some cancel, fail or walk away; every third payment is refunded at once."""
    payment_id = f"story-{number}"
    await shop.gate(
        session, SALE, shop.sandbox.sale(payment_id, f"{shop.merchant.url}/callbacks", 1000 + number)
    )
    form = (await shop.told(payment_id, "awaiting redirect result"))["redirect_data"]
    outcome = {3: "cancel", 5: "fail", 7: "abandon"}.get(number % 10, "card")
    await shop.sandbox.simulator.control("POST", "pay", {"redirect_data": form, "outcome": outcome})
    if outcome == "card" and number % 3 == 0:
        await shop.told(payment_id, "success")
        await shop.gate(session, REFUND, shop.sandbox.refund(payment_id))


async def test_kill_9_in_the_middle_of_200_payments_loses_none(data: Path):
    sandbox = Sandbox(data)
    sandbox.start()
    async with listening_merchant(SystemClock(), sandbox.announced["secret"]) as merchant:
        shop = Shop(sandbox, merchant)
        await buy_until_some_have_paid(shop)
        sandbox.stop(signal.SIGKILL)
        known = {item.body["payment"]["id"] for item in merchant.received}
        sandbox.start()
        try:
            await everything_ends(shop)
            await the_books_agree(shop, known)
        finally:
            sandbox.stop()


async def buy_until_some_have_paid(shop: Shop) -> None:
    """Two hundred shoppers at once; returns in the middle, and the sandbox is killed under their hands."""
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        shoppers = [asyncio.create_task(shopper(shop, session, number)) for number in range(PAYMENTS)]
        await shop.merchant.until(lambda: len(finals(shop)) >= PAYMENTS // 4)
        for task in shoppers:
            task.cancel()
        await asyncio.gather(*shoppers, return_exceptions=True)


def finals(shop: Shop) -> set[str]:
    """Payments of which a final status has been told."""
    payments = [item.body["payment"] for item in shop.merchant.received]
    return {payment["id"] for payment in payments if payment["status"] in FINAL}


async def everything_ends(shop: Shop) -> None:
    """Requests are sent again as merchants are told to; whoever has walked away is declined at the limit time."""
    async with aiohttp.ClientSession() as session:
        for number in range(PAYMENTS):
            body = shop.sandbox.sale(f"story-{number}", f"{shop.merchant.url}/callbacks", 1000 + number)
            assert "success" == (await shop.gate(session, SALE, body))["status"]
    seen = Seen(shop.sandbox, shop.merchant)
    unfinished = "SELECT payment_id, stage FROM operation JOIN payment USING (project_id, payment_no) WHERE stage <> 'done'"
    waiting = "SELECT callback_id FROM callback WHERE state = 'waiting'"
    for advance_s in (0, 121, 1800, *[300] * 40, *[0] * HANG_GUARD_S):
        await shop.sandbox.simulator.control("POST", "clock", {"advance_s": advance_s})
        await asyncio.sleep(1)
        if not await seen.rows(unfinished) and not await seen.rows(waiting):
            return
    raise AssertionError(f"not ended: {await seen.rows(unfinished)}")


async def the_books_agree(shop: Shop, known: set[str]) -> None:
    seen = Seen(shop.sandbox, shop.merchant)
    statuses = Counter(
        row["status"] for row in await seen.rows("SELECT status FROM payment WHERE payment_id LIKE 'story-%'")
    )
    assert PAYMENTS == sum(statuses.values())
    assert set(statuses) <= set(FINAL)
    assert statuses["success"] + statuses["refunded"] > 0
    assert {f"story-{number}" for number in range(PAYMENTS)} | known <= finals(shop)
    await invariants.check(cast(World, seen))
    books = (await shop.sandbox.simulator.control("GET", "books"))["books"]
    ours = {
        row["order_number"]: row["captured"] - row["refunded"]
        for row in await seen.rows(
            "SELECT o.order_number, p.captured, p.refunded FROM payment p JOIN operation o ON o.project_id = p.project_id "
            "AND o.operation_id = p.sale_id"
        )
    }
    for entry in books:
        theirs = entry["amount"] - entry["cancelled"] if entry["approvals"] else 0
        assert ours[entry["moid"]] == theirs, entry
