"""What the payer will choose, decided beforehand for automated runs: per Moid, per amount, or as a queue."""

from collections import deque
from dataclasses import asdict, dataclass
from typing import Any

from wongate_simulator.mistakes import Mistake

FUNDINGS = ("card", "points", "mixed")
OUTCOMES = (*FUNDINGS, "cancel", "fail", "abandon", "expire")


@dataclass(frozen=True, slots=True)
class Outcome:
    """One choice of the payer."""

    outcome: str
    cc_part_cl: str = ""  # "" = the merchant's setting
    quota: str = "00"  # instalment months, two digits
    code: str = ""  # fail: another AuthResultCode than C002
    text: str = ""

    @property
    def pays(self) -> bool:
        return self.outcome in FUNDINGS


def read_outcome(wanted: Any) -> Outcome:
    """From a word or an object with `outcome` and options. Raises Mistake."""
    if isinstance(wanted, str):
        wanted = {"outcome": wanted}
    if not isinstance(wanted, dict) or wanted.get("outcome") not in OUTCOMES:
        raise Mistake(f"outcome must be one of {', '.join(OUTCOMES)}")
    known = Outcome.__dataclass_fields__
    for name, value in wanted.items():
        if name not in known:
            raise Mistake(f"unknown member {name!r}; known are {', '.join(known)}")
        if not isinstance(value, str):
            raise Mistake(f"{name} must be a string")
    outcome = Outcome(**wanted)
    if outcome.cc_part_cl not in ("", "0", "1"):
        raise Mistake('cc_part_cl must be "0" or "1"')
    if len(outcome.quota) != 2 or not outcome.quota.isdecimal():
        raise Mistake('quota must be two digits, "00" for a single payment')
    return outcome


class Outcomes:
    """A preset for a Moid is used before one for an amount, and that before the queue."""

    def __init__(self) -> None:
        self.by_moid: dict[str, Outcome] = {}
        self.by_amount: dict[int, Outcome] = {}
        self.queue: deque[Outcome] = deque()

    def take(self, moid: str, amount: int) -> Outcome | None:
        """What was preset for this window; of the queue the first is used up."""
        if moid in self.by_moid:
            return self.by_moid[moid]
        if amount in self.by_amount:
            return self.by_amount[amount]
        return self.queue.popleft() if self.queue else None

    def preset(self, wanted: dict[str, Any]) -> None:
        """{"moid": ..., "outcome": ...}, {"amount": 1000, "outcome": ...} or {"queue": [...]}. Raises Mistake."""
        where = [name for name in ("moid", "amount", "queue") if name in wanted]
        if len(where) != 1:
            raise Mistake("give exactly one of moid, amount, queue")
        if where == ["queue"]:
            if not isinstance(wanted["queue"], list):
                raise Mistake("queue must be a list of outcomes")
            self.queue.extend([read_outcome(item) for item in wanted["queue"]])
            return
        target = wanted[where[0]]
        outcome = read_outcome({name: value for name, value in wanted.items() if name != where[0]})
        if where == ["amount"] and isinstance(target, int) and not isinstance(target, bool):
            self.by_amount[target] = outcome
        elif where == ["moid"] and isinstance(target, str):
            self.by_moid[target] = outcome
        else:
            raise Mistake("moid must be a string, amount a whole number of won")

    def clear(self) -> None:
        self.by_moid.clear()
        self.by_amount.clear()
        self.queue.clear()

    def public(self) -> dict[str, Any]:
        return {
            "by_moid": {moid: asdict(outcome) for moid, outcome in self.by_moid.items()},
            "by_amount": {str(amount): asdict(outcome) for amount, outcome in self.by_amount.items()},
            "queue": [asdict(outcome) for outcome in self.queue],
        }
