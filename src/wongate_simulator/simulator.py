"""The parts of one simulated PG, built together and handed to every handler."""

import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
from starlette.requests import Request

from wongate_simulator import hashing, merchants
from wongate_simulator.books import Books
from wongate_simulator.clock import Clock, kst
from wongate_simulator.exchanges import ExchangeLog
from wongate_simulator.faults import Faults
from wongate_simulator.hashing import Hint
from wongate_simulator.merchants import Merchant
from wongate_simulator.notices import NoticeSender
from wongate_simulator.outcomes import Outcomes

MEDIA_PAYMENT, MEDIA_PARTIAL_CANCEL = "01", "10"


@dataclass(slots=True)
class Simulator:
    clock: Clock
    books: Books
    merchants: dict[str, Merchant]
    notices: NoticeSender
    faults: Faults = field(default_factory=Faults)
    outcomes: Outcomes = field(default_factory=Outcomes)
    exchanges: ExchangeLog = field(default_factory=ExchangeLog)
    http: aiohttp.ClientSession | None = None  # open while the program serves
    _next_tid: int = field(default_factory=lambda: secrets.randbelow(10_000))

    @classmethod
    def build(cls, data_dir: Path, clock_file: Path | None, wanted: Iterable[dict[str, Any]]) -> "Simulator":
        """`wanted` merchants are applied over those that the books know. Raises Mistake for a bad setting."""
        clock = Clock(clock_file)
        books = Books(data_dir / "simulator.sqlite")
        simulator = cls(clock, books, {m.mid: m for m in books.merchants()}, NoticeSender(clock, books))
        for settings in wanted:
            simulator.set_merchant(settings)
        return simulator

    def set_merchant(self, settings: dict[str, Any]) -> Merchant:
        merchant = merchants.merge(self.merchants.get(str(settings.get("mid"))), settings)
        self.books.save_merchant(merchant)
        self.merchants[merchant.mid] = merchant
        return merchant

    def mint_tid(self, mid: str, media: str = MEDIA_PAYMENT) -> str:
        """MID + method 01 (card) + media + yyMMddHHmmss + 4 digits, 30 characters for a MID of ten (nicepay 10).

        The digits count up instead of being drawn, so that 10,000 payments in one second do not collide.
        """
        self._next_tid = (self._next_tid + 1) % 10_000
        return f"{mid}01{media}{kst(self.clock.now()):%y%m%d%H%M%S}{self._next_tid:04d}"

    def explain(self, formula: str, fields: Mapping[str, str], merchant: Merchant) -> list[Hint]:
        """Why the SignData of a request is wrong, judged by everything that this program knows."""
        keys = {other.mid: other.key for other in self.merchants.values() if other.key}
        dates = set(self.exchanges.edi_dates(fields.get("Moid", ""), fields.get("TID", "")))
        return hashing.why_wrong(formula, fields, merchant.key, fields.get("SignData", ""), keys, dates)

    def reset(self) -> None:
        """Forgets everything but the merchants and the time."""
        self.books.forget()
        self.faults.disarm()
        self.outcomes.clear()
        self.exchanges.clear()
        self.notices.wake()


def simulator_of(request: Request) -> Simulator:
    simulator: Simulator = request.app.state.simulator
    return simulator
