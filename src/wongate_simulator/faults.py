"""Fault switches: what shall go wrong, at which kind of request, how often, and for whom."""

import asyncio
from collections.abc import Container
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from wongate_simulator.mistakes import Mistake

WINDOW, APPROVE, NETCANCEL, CANCEL, INQUIRY, NOTICE = (
    "window",
    "approve",
    "netcancel",
    "cancel",
    "inquiry",
    "notice",
)
CALLS = (APPROVE, NETCANCEL, CANCEL, INQUIRY)
REQUEST_TYPES = (WINDOW, *CALLS, NOTICE)

# kind -> request types at which it can be armed
OPENING = {
    "hang_before": (WINDOW, *CALLS),  # waits, then carries on as if the request had come only now
    "hang_after": (WINDOW, *CALLS),  # commits, waits, answers
    "reset": (WINDOW, *CALLS),  # cuts the connection, before or after the commit
    "http_500": (WINDOW, *CALLS),
    "garbage": (WINDOW, *CALLS),
    "code": (WINDOW, *CALLS),  # a result code of your choice, with or without the commit
}
RESULT = {
    "wrong_signature": (WINDOW, APPROVE, NETCANCEL, CANCEL),
    "euc_kr": (WINDOW, *CALLS),
    "unpadded": (APPROVE, NETCANCEL, CANCEL),
    "override": (WINDOW, *CALLS),
    "in_progress": (CANCEL, NETCANCEL),  # 2002, which settles later
    "duplicate_result": (WINDOW,),
    "contradicting_result": (WINDOW,),
    "foreign_host": (WINDOW,),
    "duplicate": (NOTICE,),
    "late": (NOTICE,),
    "lost": (NOTICE,),
}
KINDS = {**OPENING, **RESULT}

GARBAGE_STYLES = ("html", "half", "empty", "bytes")


@dataclass(slots=True)
class Fault:
    id: int
    on: str
    kind: str
    times: int | None = 1  # None: always
    moid: str = ""
    tid: str = ""
    seconds: float = 40.0  # hang_*: real seconds, longer than the connector's read limit of 30 s (N-22)
    committed: bool = False  # reset, http_500, garbage, code: was the money moved before it went wrong?
    code: str = ""
    text: str = ""
    status: int = 500
    style: str = "half"
    after_s: float = 60.0  # in_progress, late: seconds on the simulator's clock
    settles: str = "done"
    host: str = "https://pay.nicepay.example"
    first: str = "success"  # contradicting_result: which of the two is posted first
    fields: dict[str, str] = field(default_factory=dict)
    lifted: asyncio.Event = field(default_factory=asyncio.Event)  # hang_*: set when it is over early

    def public(self) -> dict[str, Any]:
        shown = {
            name: getattr(self, name)
            for name in ("id", "on", "kind", "moid", "tid", *OPTIONS.get(self.kind, ()))
        }
        return {**shown, "times": "always" if self.times is None else self.times}


OPTIONS: dict[str, tuple[str, ...]] = {
    "hang_before": ("seconds",),
    "hang_after": ("seconds",),
    "reset": ("committed",),
    "http_500": ("committed", "status"),
    "garbage": ("committed", "style"),
    "code": ("code", "text", "committed"),
    "in_progress": ("settles", "after_s"),
    "override": ("fields",),
    "foreign_host": ("host",),
    "contradicting_result": ("first",),
    "late": ("after_s",),
}
CHOICES: dict[str, tuple[Any, ...]] = {
    "style": GARBAGE_STYLES,
    "settles": ("done", "failed"),
    "first": ("success", "failure"),
}


class Faults:
    """The armed switches, in the order of arming; the first that fits is used."""

    def __init__(self) -> None:
        self.armed: list[Fault] = []
        self._ids = count(1)
        self._lifted = asyncio.Event()

    def arm(self, wanted: dict[str, Any]) -> Fault:
        """Raises Mistake with a sentence that says what is wrong."""
        fault = _read(next(self._ids), wanted)
        fault.lifted = self._lifted
        self.armed.append(fault)
        return fault

    def take(self, on: str, among: Container[str], moid: str = "", tid: str = "") -> Fault | None:
        """The first armed switch of these kinds that fits the request; a counted one is used up by it."""
        for fault in self.armed:
            if fault.on == on and fault.kind in among and fault.moid in ("", moid) and fault.tid in ("", tid):
                self._use(fault)
                return fault
        return None

    def _use(self, fault: Fault) -> None:
        if fault.times is None:
            return
        fault.times -= 1
        if fault.times == 0:
            self.armed.remove(fault)

    def disarm(self, fault_id: int | None = None) -> int:
        """One, or all of them: then requests that hang go on. Answers with how many were removed."""
        before = len(self.armed)
        self.armed = [] if fault_id is None else [fault for fault in self.armed if fault.id != fault_id]
        if fault_id is None:
            self._lifted.set()
            self._lifted = asyncio.Event()
        return before - len(self.armed)

    def for_payment(self, moid: str, tid: str) -> list[Fault]:
        return [fault for fault in self.armed if fault.moid in ("", moid) and fault.tid in ("", tid)]


def _read(fault_id: int, wanted: dict[str, Any]) -> Fault:
    kind, on = wanted.get("kind"), wanted.get("on")
    if not isinstance(kind, str) or kind not in KINDS:
        raise Mistake(f"kind must be one of {', '.join(KINDS)}")
    if not isinstance(on, str) or on not in KINDS[kind]:
        raise Mistake(f"on must be one of {', '.join(KINDS[kind])} for {kind}")
    known = {"kind", "on", "times", "moid", "tid", *OPTIONS.get(kind, ())}
    if unknown := sorted(set(wanted) - known):
        raise Mistake(f"{kind} does not know {', '.join(unknown)}; it knows {', '.join(sorted(known))}")
    fault = Fault(fault_id, on, kind, times=_times(wanted.get("times", 1)))
    for name in known & set(wanted) - {"kind", "on", "times"}:
        setattr(fault, name, _option(name, wanted[name], getattr(fault, name)))
    if kind == "code" and not fault.code:
        raise Mistake("code needs a result code, for example 3095")
    return fault


def _times(value: Any) -> int | None:
    if value == "always":
        return None
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise Mistake('times must be a whole number from 1, or "always"')
    return value


def _option(name: str, value: Any, default: Any) -> Any:
    if isinstance(default, float) and isinstance(value, (int, float)) and not isinstance(value, bool):
        value = float(value)
    if type(value) is not type(default):
        raise Mistake(f"{name} must be of type {type(default).__name__}")
    if name in CHOICES and value not in CHOICES[name]:
        raise Mistake(f"{name} must be one of {', '.join(CHOICES[name])}")
    if isinstance(value, dict) and not all(isinstance(text, str) for text in value.values()):
        raise Mistake(f"{name} must map names to strings")
    if isinstance(value, float) and not 0 <= value <= 86_400 * 400:
        raise Mistake(f"{name} must be from 0 to 400 days in seconds")
    if name == "status" and not 400 <= value <= 599:
        raise Mistake("status must be from 400 to 599")
    return value
