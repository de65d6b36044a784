"""localstripe, a stateful Stripe for tests: installed apart from everything of ours, started, and driven through its own API.

What it does for a request is not what Wongate does: no signature, no redirect, no provider beside it, no database. It writes its
whole store to a file at every change, so that it gets slower with each object, and a crash in the middle of that loses all.
"""

import asyncio
import hashlib
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from bench.client import Answer, Pool, closed_loop
from bench.results import NotMeasured
from bench.rig import free_port, wait_for

LOCK = Path(__file__).with_name("peers.lock")
CACHE = Path(sys.prefix) / "peers"
"""Beside what is ours, so that it goes with it."""
NAME = "localstripe"
VERSION = LOCK.read_text().partition(f"{NAME}==")[2].split()[0]
STORE = Path("/tmp/localstripe.pickle")  # noqa: S108 - its own choice, which nothing changes
AMOUNT = 1000
_HEAD = "Host: 127.0.0.1\r\nAuthorization: Bearer sk_test_bench\r\nContent-Type: application/x-www-form-urlencoded\r\n"
_CARD = {"number": "4242424242424242", "exp_month": "12", "exp_year": "2039", "cvc": "123"}

# Its own command listens to the whole network and writes a line for each request; neither is wanted here.
_START = """
import sys
from aiohttp import web
from localstripe.server import app
web.run_app(app, host="127.0.0.1", port=int(sys.argv[1]), access_log=None, print=None)
"""


def installed(cache: Path = CACHE) -> Path:
    """Its Python, installed by the lock's hashes the first time. Raises NotMeasured without a way to a package index."""
    home = cache / f"{NAME}-{hashlib.sha256(LOCK.read_bytes()).hexdigest()[:12]}"
    python = home / "bin" / "python"
    if (home / "ready").exists():
        return python
    # A virtual environment has no pip of its own here: that of the Python that made ours does it (as in the Makefile).
    base = Path(sys.base_prefix) / "bin" / f"python{sys.version_info[0]}.{sys.version_info[1]}"
    pip = [str(base), "-m", "pip", "--python", str(python), "--disable-pip-version-check", "--quiet"]
    quickly = ["--retries", "1", "--timeout", "15"]
    try:
        subprocess.run(
            [base, "-m", "venv", "--without-pip", "--clear", home], check=True, capture_output=True
        )
        subprocess.run(
            [*pip, "install", *quickly, "--require-hashes", "-r", LOCK],
            check=True,
            capture_output=True,
            text=True,
        )
    except (OSError, subprocess.CalledProcessError) as error:
        raise NotMeasured(
            f"{NAME} {VERSION} could not be installed (is there a network?): {error}"
        ) from error
    (home / "ready").touch()
    return python


@contextmanager
def running(python: Path) -> Iterator["Localstripe"]:
    """Started with an empty store, answering; the store that somebody else may have is put back afterwards."""
    kept = STORE.read_bytes() if STORE.exists() else None
    port, began = free_port(), time.monotonic()
    process = subprocess.Popen([python, "-c", _START, str(port)], stdout=subprocess.DEVNULL)
    try:
        wait_for(f"http://127.0.0.1:{port}/js.stripe.com/v3/")
        yield Localstripe(("127.0.0.1", port), process.pid, time.monotonic() - began)
    finally:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(10)
        process.kill()
        STORE.unlink(missing_ok=True)
        if kept is not None:
            STORE.write_bytes(kept)


@dataclass(frozen=True, slots=True)
class Localstripe:
    """One that runs. Each measurement starts with an empty store, which is when it is fastest."""

    address: tuple[str, int]
    pid: int
    start_s: float

    async def sales_per_second(self, sales: int, clients: int) -> float:
        """Payment intents made. Raises AssertionError when one is refused, lost or wrong."""
        fields = await self._anew()
        request = _request("POST", "/v1/payment_intents", fields)
        seconds, _, answers = await closed_loop(self.address, [request] * sales, clients)
        made = {_object(answer, "requires_confirmation")["id"] for answer in answers}
        assert len(made) == sales, f"{sales - len(made)} intents are missing"
        return sales / seconds

    async def payments_per_second(self, payments: int, clients: int) -> float:
        """Made and confirmed, then looked up one by one. Raises AssertionError likewise."""
        request = _request("POST", "/v1/payment_intents", await self._anew())
        pool, numbers, paid = Pool(self.address), iter(range(payments)), set[str]()

        async def buyer() -> None:
            for _ in numbers:
                made = _object(await pool.send(request), "requires_confirmation")
                confirm = _request("POST", f"/v1/payment_intents/{made['id']}/confirm", {})
                paid.add(_object(await pool.send(confirm), "succeeded")["id"])

        began = time.perf_counter()
        await asyncio.gather(*(buyer() for _ in range(clients)))
        seconds = time.perf_counter() - began
        assert len(paid) == payments, f"{payments - len(paid)} payments are missing"
        for intent in paid:
            _object(await pool.send(_request("GET", f"/v1/payment_intents/{intent}", {})), "succeeded")
        pool.close()
        return payments / seconds

    async def _anew(self) -> dict[str, str]:
        """Empties the store; what every intent of a customer with a card says."""
        pool = Pool(self.address)
        await pool.send(_request("DELETE", "/_config/data", {}))
        card = {"type": "card", **{f"card[{name}]": value for name, value in _CARD.items()}}
        asked = (("/v1/customers", {"email": "buyer@shop.example"}), ("/v1/payment_methods", card))
        customer, method = [
            json.loads((await pool.send(_request("POST", path, fields)))[1])["id"] for path, fields in asked
        ]
        attach = _request("POST", f"/v1/payment_methods/{method}/attach", {"customer": customer})
        status, answer = await pool.send(attach)
        assert status == 200, answer
        pool.close()
        return {"amount": str(AMOUNT), "currency": "krw", "customer": customer, "payment_method": method}


def _request(method: str, path: str, fields: dict[str, str]) -> bytes:
    body = urlencode(fields)
    return f"{method} {path} HTTP/1.1\r\n{_HEAD}Content-Length: {len(body)}\r\n\r\n{body}".encode()


def _object(answer: Answer, expected: str) -> dict[str, Any]:
    status, body = answer
    assert status == 200, body
    intent: dict[str, Any] = json.loads(body)
    found = intent["status"], intent["amount"], intent["currency"]
    assert (expected, AMOUNT, "krw") == found, f"an intent is {found}, not {expected}"
    return intent
