"""NICEPAY's connector keeps the contract: against a tiny NICEPAY in this process, and against the simulator."""

import contextlib
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from urllib.request import urlopen

import aiohttp
import pytest
from tests.processes import eventually
from tests.providers import tiny_nicepay
from tests.providers.suite import AMOUNT, Fault, OpenArena, ProviderPromises, Sale
from tests.world import QUICK, free_port

from wongate.connections.clock import SystemClock
from wongate.connections.http import Outbound
from wongate.domain.account import Account
from wongate.domain.outcome import Declined, Form, Unanswered
from wongate.providers.contract import Provider
from wongate.providers.nicepay.accounts import account_settings_for_simulator
from wongate.providers.nicepay.client import Nicepay

SIMULATED_MID = "nicetest1m"
SIMULATED_KEY = "c2ltdWxhdGVkLW1lcmNoYW50LWtleQ=="


def account_at(base_url: str, mid: str, key: str) -> Account:
    return Account(1, "nicepay", mid, key, account_settings_for_simulator(base_url))


def impatient(account: Account) -> Account:
    return replace(account, settings={**account.settings, **QUICK})


def nobody_at_home(account: Account) -> Account:
    """The account at a port that nobody listens on."""
    return replace(account, settings=account_settings_for_simulator(f"http://127.0.0.1:{free_port()}"))


@contextlib.asynccontextmanager
async def a_client() -> AsyncIterator[Nicepay]:
    http = Outbound()
    try:
        yield Nicepay(http, SystemClock())
    finally:
        await http.close()


# Against the tiny one


@dataclass
class TinyArena:
    provider: Provider
    account: Account
    unreachable: Account
    impatient: Account
    tiny: tiny_nicepay.TinyNicepay

    async def visit(self, form: Form, *, pays: bool = True) -> bytes:
        return self.tiny.window(dict(form.body), pays)

    async def break_next(self, call: str, fault: Fault) -> None:
        self.tiny.faults[call] = fault

    async def taken(self, order_number: str) -> int:
        return sum(payment.left for payment in self.tiny.payments.values() if payment.moid == order_number)


@contextlib.asynccontextmanager
async def tiny_arena() -> AsyncIterator[TinyArena]:
    async with tiny_nicepay.tiny_nicepay() as tiny, a_client() as nicepay:
        account = account_at(tiny.base_url, tiny_nicepay.MID, tiny_nicepay.KEY)
        yield TinyArena(nicepay, account, nobody_at_home(account), impatient(account), tiny)


class TestAgainstTinyNicepay(ProviderPromises):
    @pytest.fixture
    def arena(self) -> OpenArena:
        return tiny_arena


# Against the simulator, a process of its own


@dataclass
class SimulatorArena:
    provider: Provider
    account: Account
    unreachable: Account
    impatient: Account
    base_url: str
    control: aiohttp.ClientSession

    async def visit(self, form: Form, *, pays: bool = True) -> bytes:
        played = await self._control(
            "pay",
            {
                "redirect_data": {"method": form.method, "url": form.url, "body": dict(form.body)},
                "outcome": "card" if pays else "cancel",
                "deliver": False,
            },
        )
        return urlencode(played["result"]).encode()

    async def break_next(self, call: str, fault: Fault) -> None:
        kinds: dict[str, dict[str, Any]] = {
            "silence": {"kind": "hang_after", "seconds": 60},
            "cut": {"kind": "reset", "committed": fault.applied},
            "http_500": {"kind": "http_500", "committed": fault.applied},
        }
        garbage = {"kind": "garbage", "style": fault.kind, "committed": fault.applied}
        unbroken = {"kind": fault.kind}
        wanted = kinds.get(fault.kind, unbroken if fault.kind in ("wrong_signature", "euc_kr") else garbage)
        await self._control("faults", wanted | {"on": call.replace("_", "")})

    async def taken(self, order_number: str) -> int:
        async with self.control.get(
            f"{self.base_url}/control/books", params={"moid": order_number}
        ) as answer:
            books = (await answer.json())["books"]
        return sum(book["remain"] for book in books if book["state"] == "approved")

    async def _control(self, path: str, wanted: dict[str, Any]) -> Any:
        async with self.control.post(f"{self.base_url}/control/{path}", json=wanted) as answer:
            assert answer.status in (200, 201), await answer.text()
            return await answer.json()


@pytest.fixture(scope="module")
def simulator_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder: Path = tmp_path_factory.mktemp("simulator")
    merchants = folder / "merchants.json"
    merchants.write_text(f'[{{"mid": "{SIMULATED_MID}", "key": "{SIMULATED_KEY}"}}]')
    port = free_port()
    command = [sys.executable, "-m", "wongate_simulator", "--port", str(port), "--data", str(folder)]
    process = subprocess.Popen([*command, "--merchants", str(merchants), "--die-with-parent"])
    base_url = f"http://127.0.0.1:{port}"
    try:
        eventually(lambda: process.poll() is not None or _is_up(base_url))
        yield base_url
    finally:
        process.terminate()
        process.wait()


def _is_up(base_url: str) -> bool:
    try:
        with urlopen(f"{base_url}/control/clock") as answer:  # noqa: S310 - our own simulator
            return bool(answer.status == 200)
    except OSError:
        return False


class TestAgainstTheSimulator(ProviderPromises):
    @pytest.fixture
    def arena(self, simulator_url: str) -> OpenArena:
        @contextlib.asynccontextmanager
        async def opened() -> AsyncIterator[SimulatorArena]:
            async with a_client() as nicepay, aiohttp.ClientSession() as control:
                account = account_at(simulator_url, SIMULATED_MID, SIMULATED_KEY)
                async with control.delete(f"{simulator_url}/control/faults"):
                    yield SimulatorArena(
                        nicepay, account, nobody_at_home(account), impatient(account), simulator_url, control
                    )

        return opened


# What only this connector promises


async def test_an_answer_that_echoes_our_secrets_is_shown_without_them():
    async with tiny_arena() as side:
        sale = Sale(side, 1)
        authenticated = await sale.authenticated()
        key = side.account.merchant_key
        side.tiny.approve = lambda form: form | {"key": key}  # type: ignore[method-assign]
        side.tiny.faults["approve"] = Fault("http_500", applied=True)
        outcome, exchange = await sale.approve(authenticated)
        assert Unanswered("HTTP status 500") == outcome
        shown = exchange.response["body"]
        assert '"key": "…"' in shown
        assert '"AuthToken": "…"' in shown
        assert '"SignData": "…"' in shown


async def test_the_reason_of_a_cancel_reaches_nicepay_in_euc_kr():
    async with tiny_arena() as side:
        sale = Sale(side, 1)
        reference = (await sale.approved()).reference
        heard: list[str] = []

        def listening(form: dict[str, str]) -> dict[str, str]:
            heard.append(form["CancelMsg"])
            return {"ResultCode": "2014", "ResultMsg": "취소불가능거래"}

        side.tiny.cancel = listening  # type: ignore[method-assign]
        outcome, exchange = await sale.cancel(reference, AMOUNT)
        assert Declined(3610, "2014", "취소불가능거래") == outcome
        assert ["단순 변심"] == heard
        assert "단순 변심" == exchange.request["CancelMsg"]


async def test_a_call_is_made_once_even_when_its_connection_breaks():
    async with tiny_arena() as side:
        sale = Sale(side, 1)
        authenticated = await sale.authenticated()
        calls: list[str] = []
        approve = side.tiny.approve

        def counting(form: dict[str, str]) -> dict[str, str]:
            calls.append("approve")
            return approve(form)

        side.tiny.approve = counting  # type: ignore[method-assign]
        await side.break_next("approve", Fault("cut", applied=True))
        outcome, _ = await sale.approve(authenticated)
        assert isinstance(outcome, Unanswered)
        assert ["approve"] == calls


async def test_a_redirect_is_no_answer_and_is_not_followed():
    async with tiny_arena() as side:
        sale = Sale(side, 1)
        authenticated = await sale.authenticated()
        await side.break_next("approve", Fault("redirect", applied=False))
        outcome, _ = await sale.approve(authenticated)
        assert Unanswered("HTTP status 307") == outcome
        assert 0 == await sale.taken()


async def test_only_listed_addresses_may_notify():
    async with tiny_arena() as side:
        assert not side.provider.may_notify(side.account, "121.133.126.10")
        listed = replace(side.account, settings={"notice_ips": ["121.133.126.10"]})
        assert side.provider.may_notify(listed, "121.133.126.10")
        assert not side.provider.may_notify(listed, "121.133.126.1")
