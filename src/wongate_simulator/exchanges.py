"""The log of exchanges: what came, what was hashed, what was answered, and why."""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from wongate_simulator import hashing
from wongate_simulator.clock import iso
from wongate_simulator.hashing import Hint
from wongate_simulator.words import EN, hint_text

KEPT = 2000  # a developer's afternoon; at a few kB each the log stays below 10 MB


@dataclass(slots=True)
class Exchange:
    kind: str  # window, result, approve, netcancel, cancel, inquiry, notice
    at: float
    mid: str = ""
    moid: str = ""
    tid: str = ""
    request: dict[str, str] = field(default_factory=dict)
    formula: str = ""
    signature_ok: bool | None = None  # None: nothing to check, or refused before the check
    hints: list[Hint] = field(default_factory=list)
    verdict: str = ""
    text: str = ""
    answer: dict[str, str] = field(default_factory=dict)
    fault: str = ""
    number: int = 0

    def hash_input(self) -> list[tuple[str, str]]:
        """The joined pieces without the key; the request carries them, or the answer when the formula signs that."""
        fields = self.answer if self.kind in ("result", "notice") else self.request
        return hashing.hash_input(self.formula, fields) if self.formula else []

    def public(self) -> dict[str, Any]:
        return {
            "number": self.number,
            "at": iso(self.at),
            "kind": self.kind,
            "mid": self.mid,
            "moid": self.moid,
            "tid": self.tid,
            "request": self.request,
            "formula": self.formula,
            "hash_input": [[name, value] for name, value in self.hash_input()],
            "signature_ok": self.signature_ok,
            "hints": [
                {"key": h.key, "detail": h.detail, "text": hint_text(h.key, h.detail, EN)} for h in self.hints
            ],
            "verdict": self.verdict,
            "text": self.text,
            "answer": self.answer,
            "fault": self.fault,
        }


class ExchangeLog:
    """A ring in memory: it explains the last minutes, the books are what lasts."""

    def __init__(self) -> None:
        self._ring: deque[Exchange] = deque(maxlen=KEPT)
        self._count = 0

    def add(self, exchange: Exchange) -> None:
        self._count += 1
        exchange.number = self._count
        self._ring.append(exchange)

    def latest(
        self, limit: int, *, moid: str = "", tid: str = "", kind: str = "", search: str = ""
    ) -> list[Exchange]:
        """Newest first; `search` is a Moid or a TID."""
        chosen: list[Exchange] = []
        for exchange in reversed(self._ring):
            if len(chosen) == limit:
                break
            fits = moid in ("", exchange.moid) and tid in ("", exchange.tid) and kind in ("", exchange.kind)
            if fits and search in ("", exchange.moid, exchange.tid):
                chosen.append(exchange)
        return chosen

    def edi_dates(self, moid: str, tid: str) -> Iterator[str]:
        """EdiDates of earlier requests of the payment: a sender who reuses one signs with the wrong time."""
        for exchange in self._ring:
            if (moid and exchange.moid == moid) or (tid and exchange.tid == tid):
                yield exchange.request.get("EdiDate", "")

    def clear(self) -> None:
        self._ring.clear()
