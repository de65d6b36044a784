"""`wongate sandbox` as a person starts it: real processes on free ports, reached over HTTP only."""

import http.client
import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

import aiohttp
import asyncpg
from tests.processes import HANG_GUARD_S, eventually
from tests.world import Merchant, Simulator, signed_bytes

START_S = 120
SALE, REFUND, STATUS = (
    "/v2/payment/wallet/payco/sale",
    "/v2/payment/wallet/payco/refund",
    "/v2/payment/status",
)


def three_free_ports() -> int:
    """The first of three ports in a row that nobody has, below those that the system gives to outgoing connections."""
    while True:
        first = random.randrange(20_000, 32_000, 3)
        if all(_is_free(first + number) for number in range(3)):
            return first


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


@dataclass
class Sandbox:
    """As a context manager: started, announced, and in the end gone with everything it started."""

    data: Path
    port: int = field(default_factory=three_free_ports)
    announced: dict[str, Any] = field(default_factory=dict)
    process: "subprocess.Popen[str] | None" = None

    @property
    def announcement(self) -> Path:
        return self.data / "sandbox.json"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_error: object) -> None:
        if self.process and self.process.poll() is None:
            self.stop()

    @property
    def command(self) -> list[str]:
        return [
            sys.executable,
            "-m",
            "wongate",
            "sandbox",
            "--data",
            str(self.data),
            "--port",
            str(self.port),
        ]

    def start(self) -> None:
        with (self.data.parent / "said").open("w") as said:
            self.process = subprocess.Popen(
                self.command, stdout=said, stderr=said, text=True, start_new_session=True
            )
        deadline = time.monotonic() + START_S
        while not self.announcement.exists():
            assert self.process.poll() is None, (self.data.parent / "said").read_text()
            assert time.monotonic() < deadline, "the sandbox does not get ready"
            time.sleep(0.02)
        self.announced = json.loads(self.announcement.read_text())

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Sends the signal and waits until nothing is left; answers the exit code."""
        assert self.process
        os.kill(self.process.pid, number)
        code = self.process.wait(HANG_GUARD_S)
        eventually(lambda: not self.left_behind())
        return code

    def left_behind(self) -> list[str]:
        """Programs that mention the data folder in their command line or environment; the zombies among them do nothing."""
        found = []
        for directory in Path("/proc").glob("[0-9]*"):
            try:
                texts = (directory / "cmdline").read_bytes() + (directory / "environ").read_bytes()
                dead = ") Z" in (directory / "stat").read_text()
            except OSError:
                continue
            if int(directory.name) != os.getpid() and not dead and str(self.data).encode() in texts:
                found.append(f"{directory.name}: {texts[:200]!r}")
        return found

    def post(self, path: str, body: Mapping[str, Any], *, version: int = 11) -> tuple[int, dict[str, Any]]:
        """A signed Gate request by a plain client that speaks HTTP/1.0 or 1.1."""
        place = urlsplit(self.announced["gate_url"])
        connection = http.client.HTTPConnection(place.hostname or "", place.port, timeout=HANG_GUARD_S)
        connection._http_vsn, connection._http_vsn_str = version, f"HTTP/1.{version % 10}"  # type: ignore[attr-defined]
        try:
            connection.request(
                "POST",
                path,
                signed_bytes(path, body, self.announced["secret"]),
                {"Content-Type": "application/json"},
            )
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())
        finally:
            connection.close()

    def sale(self, payment_id: str, callback_url: str, amount: int = 1000) -> dict[str, Any]:
        return {
            "general": {
                "project_id": self.announced["project_id"],
                "payment_id": payment_id,
                "merchant_callback_url": callback_url,
            },
            "payment": {"amount": amount, "currency": "KRW"},
            "customer": {"id": "customer1", "ip_address": "1.1.1.1"},
            "return_url": {"success": "http://example.url/success", "decline": "http://example.url/decline"},
        }

    def refund(self, payment_id: str) -> dict[str, Any]:
        general = {"project_id": self.announced["project_id"], "payment_id": payment_id}
        return {"general": general, "payment": {"description": "refund"}}

    @property
    def simulator(self) -> Simulator:
        return Simulator(self.announced["simulator_url"], self.data / "clock")


@dataclass
class Seen:
    """What `tests.invariants` looks at, of a sandbox: its rows, the simulator's books, what the merchant received."""

    sandbox: Sandbox
    merchant: Merchant

    @property
    def simulator(self) -> Simulator:
        return self.sandbox.simulator

    async def rows(self, statement: str, *arguments: Any) -> list[Any]:
        connection = await asyncpg.connect(self.sandbox.announced["database_url"])
        try:
            await connection.set_type_codec(
                "jsonb", encoder=json.dumps, decoder=json.loads, schema="pg_catalog"
            )
            return list(await connection.fetch(statement, *arguments))
        finally:
            await connection.close()


class Shop:
    """A merchant's server that sells over HTTP as any merchant would; it outlives the sandbox."""

    def __init__(self, sandbox: Sandbox, merchant: Merchant) -> None:
        self.sandbox = sandbox
        self.merchant = merchant

    async def gate(
        self, session: aiohttp.ClientSession, path: str, body: Mapping[str, Any]
    ) -> dict[str, Any]:
        raw = signed_bytes(path, body, self.sandbox.announced["secret"])
        async with session.post(f"{self.sandbox.announced['gate_url']}{path}", data=raw) as answer:
            message: dict[str, Any] = await answer.json()
            return message

    async def told(self, payment_id: str, *statuses: str) -> dict[str, Any]:
        """The first callback of the payment with one of these statuses, as soon as it is there."""

        def found() -> dict[str, Any] | None:
            for item in self.merchant.received:
                payment = item.body["payment"]
                if payment["id"] == payment_id and payment["status"] in statuses:
                    return item.body
            return None

        told: dict[str, Any] = await self.merchant.until(found, limit_s=120)
        return told
