"""What goes wrong, how often: each seed switches a random subset of all faults on, so that rare combinations do occur."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from random import Random

DATABASE = ("connection lost", "lost before commit", "lost after commit")
PROCESS = ("crash", "freeze", "skew", "clock jump")
WIRE = (
    "delay",
    "drop request",
    "drop answer",
    "duplicate",
    "reorder",
    "truncate",
    "garbage",
    "wrong charset",
    "slow",
    "refuse",
)
"""What every wire may do to a message; `deliver` is what is left."""

EDGES = {
    "provider": WIRE,
    "merchant": (*WIRE, "error", "almost right"),
    "gate": WIRE,
    "page": WIRE,
    "return": WIRE,
    "notice": (*WIRE, "late", "forged"),
}
PROVIDER = (
    "declined",  # an explicit refusal
    "code unclear",  # 1620, A299: NICEPAY itself does not know; done or not
    "error page",
    "hang before",
    "hang after",
    "in progress",  # 2002, done or failed later
    "cancel again",  # 2056, not done
    "cancel failed",
    "wrong signature",
    "other amount",
    "euc-kr",
    "unpadded",
    "window over",  # the net-cancel window is seconds
    "tokens outlive net cancels",  # a late approval after a net cancel that found nothing is taken
    "silent",  # no answer to anything for many minutes
    "notices",
)
SHOP = ("dead endpoint", "two urls", "short limit", "try again")

ALL = (
    *DATABASE,
    *PROCESS,
    *(f"{edge}: {kind}" for edge, kinds in EDGES.items() for kind in kinds),
    *(f"nicepay: {kind}" for kind in PROVIDER),
    *(f"shop: {kind}" for kind in SHOP),
)

_RATES = (0.02, 0.05, 0.15, 0.4)
_RATE_AT_A_SEAM = (0.0005, 0.002, 0.006)
"""A payment passes some 40 seams and 60 statements, a single call only one network edge."""


@dataclass
class Swarm:
    """The switches of one seed. `on` maps a fault to how likely it strikes when it could; `struck` counts."""

    random: Random
    on: dict[str, float]
    struck: Counter[str] = field(default_factory=Counter)
    calm: bool = False

    @classmethod
    def drawn(cls, random: Random) -> "Swarm":
        share = random.choice((0.0, 0.1, 0.2, 0.35, 0.6))
        on = {}
        for fault in ALL:
            rate = random.choice(_RATE_AT_A_SEAM if fault in (*DATABASE, "crash", "freeze") else _RATES)
            if random.random() < share:
                on[fault] = rate
        return cls(random, on)

    @classmethod
    def leaning(cls, wanted: Mapping[str, float]) -> "Callable[[Random], Swarm]":
        """Drawn, with certain faults on at certain rates."""

        def lean(random: Random) -> Swarm:
            swarm = cls.drawn(random)
            swarm.on |= wanted
            return swarm

        return lean

    @classmethod
    def none(cls, random: Random) -> "Swarm":
        return cls(random, {})

    def has(self, fault: str) -> bool:
        """Is this switched on at all in this seed? For faults that are a state of the world rather than an event."""
        if fault not in self.on or self.calm:
            return False
        self.struck[fault] = 1
        return True

    def strikes(self, fault: str) -> bool:
        if self.calm or fault not in self.on or self.random.random() >= self.on[fault]:
            return False
        self.struck[fault] += 1
        return True

    def of_edge(self, edge: str) -> str:
        """What happens to one message on an edge; `deliver` most of the time."""
        for kind in EDGES[edge]:
            if self.strikes(f"{edge}: {kind}"):
                return kind
        return "deliver"

    def stop(self) -> None:
        """From now on nothing goes wrong: liveness mode."""
        self.calm = True
