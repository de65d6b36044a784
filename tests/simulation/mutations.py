"""Deliberate breakages: each takes one safeguard away, in the test only, and the simulation has to notice.

A safeguard whose loss nobody notices is either not needed or not tested.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any
from unittest.mock import patch

from tests.simulation import bookkeeper, breakages
from tests.simulation.bookkeeper import Timer
from tests.simulation.swarm import Swarm
from tests.simulation.world import FROZEN_S, Plan, World

from wongate.domain import ledger, lifecycle
from wongate.domain.lifecycle import Event, Kind, Stage, Status
from wongate.flows import (
    approve,
    deliver,
    give_back,
    notice,
    reconcile,
    refund,
    rungs,
    sale,
    settle,
    settle_by_list,
)
from wongate.providers.nicepay import answers, client
from wongate.store import callbacks, payments

Patch = tuple[Any, str, Any]


@dataclass(frozen=True, slots=True)
class Mutation:
    """`patches` replace attributes, `entries` items of mappings.

    Its seeds lean towards what makes the loss visible: `faults` are on at these rates, `course` is part of the plan. `seed` has
    noticed it before: a good one to begin with, no promise.
    """

    name: str
    patches: Sequence[Patch] = ()
    entries: Sequence[tuple[dict[Any, Any], Any, Any]] = ()
    faults: Mapping[str, float] = field(default_factory=dict)
    course: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 1

    @contextmanager
    def applied(self) -> Iterator[None]:
        with ExitStack() as stack:
            for target, name, replacement in self.patches:
                stack.enter_context(patch.object(target, name, replacement))
            for mapping, key, value in self.entries:
                stack.enter_context(patch.dict(mapping, {key: value}))
            yield

    def plan(self) -> Plan:
        return Plan(swarm=Swarm.leaning(self.faults), **self.course)


_UNDOING_FOUND_NOTHING = (Kind.SALE, Stage.UNDOING, Event.NOTHING_TO_UNDO)
_LOST_ANSWERS = {"provider: drop answer": 0.4}
_CRASHES = {"crash": 0.03}
_NAPS = {"freeze": 0.03, "nicepay: tokens outlive net cancels": 1.0}
_LATE_APPROVALS = {
    "provider: delay": 0.6,
    "nicepay: tokens outlive net cancels": 1.0,
    "nicepay: hang before": 0.5,
}

MUTATIONS = (
    Mutation(
        "the payment is read without its lock",
        [(payments, "lock", breakages.read_without_lock)],
        course={"servers": 2, "refunds": "at once"},
        seed=23,
    ),
    Mutation(
        "operations are read before the lock is held",
        [(settle.Door, "_cases", breakages.stale_cases)],
        course={"servers": 2, "refunds": "twice the same"},
        seed=5,
    ),
    Mutation(
        "a change without a lock is written whatever has come since",
        [(settle, "write_if_unchanged", breakages.write_in_any_case)],
        course={"servers": 2, "payer": ("card", "twice")},
    ),
    Mutation(
        "callbacks are written after the commit",
        [(settle.Door, "_settle", breakages.settle_in_two)],
        faults=_CRASHES,
        seed=4,
    ),
    Mutation(
        "a sale is answered before it is committed",
        [(sale.Intake, "open", breakages.answered_at_once)],
        faults=_CRASHES,
        seed=4,
    ),
    Mutation(
        "nobody wakes an intent whose maker died",
        [(settle.Case, "move", breakages.confirmed_without_alarm_clock)],
        faults=_CRASHES,
        seed=25,
    ),
    Mutation(
        "a send is recorded whoever has the lease",
        [(callbacks, "record", breakages.recorded_by_anybody)],
        faults={"freeze": 0.02, "merchant: error": 0.3},
        course={"workers": 2},
        seed=8,
    ),
    Mutation(
        "two returns share one intent",
        [(World, "chance", lambda self, name: bytes)],
        course={"payer": ("card", "twice")},
        seed=4,
    ),
    Mutation(
        "an approval is sent again after silence",
        [(client.Nicepay, "approve", breakages.approve_twice)],
        faults=_LOST_ANSWERS,
        seed=4,
    ),
    Mutation(
        "silence declines a sale",
        [(approve, "book_approval", breakages.silence_declines)],
        faults=_LOST_ANSWERS,
        seed=6,
    ),
    Mutation(
        "silence counts as never sent",
        [(client, "_read", breakages.silence_was_never_sent)],
        faults=_LOST_ANSWERS,
        seed=4,
    ),
    Mutation(
        "an approval of any amount pays",
        [(approve, "book_approval", breakages.any_amount_pays)],
        faults={"nicepay: other amount": 0.5},
        seed=5,
    ),
    Mutation(
        "answers are believed without signature",
        [(answers, "_is_signed", lambda *given: True)],
        faults={"nicepay: wrong signature": 0.5},
        seed=5,
    ),
    Mutation(
        "the net cancel is skipped, the sale declined",
        [(reconcile, "_bring_back", breakages.undone_by_itself)],
        faults=_LOST_ANSWERS,
        seed=4,
    ),
    Mutation(
        "nothing is ever undone", [(reconcile, "undo", breakages.never_undone)], faults=_LOST_ANSWERS, seed=4
    ),
    Mutation(
        "nothing to cancel is believed at once",
        entries=[
            (lifecycle.TABLE, _UNDOING_FOUND_NOTHING, (Status.DECLINE, Stage.DONE)),
            (ledger._MOVES, _UNDOING_FOUND_NOTHING, (ledger.Book.PROVIDER, ledger.Book.PAYER)),
        ],
        faults=_LATE_APPROVALS,
        seed=29,
    ),
    Mutation(
        "a return counts after the limit time",
        [(settle.Door, "settle", breakages.late_returns_count)],
        [(reconcile._STEPS, (Kind.SALE, Stage.WAITING), breakages.expire_late)],
        faults={"shop: short limit": 1.0},
        seed=20,
    ),
    Mutation(
        "a sleeper pays behind the back of its successor",
        [(rungs, "SEND_WITHIN_S", 10**9), (approve, "_came_too_late", lambda *given: False)],
        faults=_NAPS,
        course={"workers": 2, "payer": ("card", "once"), "naps_s": (FROZEN_S,)},
        seed=159,
    ),
    Mutation(
        "a refund reserves nothing",
        [(settle, "payment_after", breakages.nothing_reserved)],
        course={"refunds": "at once"},
        seed=4,
    ),
    Mutation(
        "a refund may exceed the remainder",
        [(refund._Opening, "_refusal", breakages.without_limit)],
        course={"refunds": "too much"},
        seed=2,
    ),
    Mutation(
        "an identical refund is carried out again",
        [(refund._Opening, "_first_of_resends", breakages.no_resends)],
        course={"refunds": "twice the same"},
        seed=3,
    ),
    Mutation(
        "silence releases a refund's reservation",
        [(give_back, "book_refund", breakages.silence_releases)],
        faults=_LOST_ANSWERS,
        course={"refunds": "full"},
        seed=20,
    ),
    Mutation(
        "a partial cancel is repeated blindly",
        [(give_back, "_may_repeat", breakages.always_again)],
        faults=_LOST_ANSWERS,
        course={"refunds": "one partial"},
        seed=26,
    ),
    Mutation(
        "a remainder of any size settles an unknown refund",
        [(give_back, "_learn_from_remainder", breakages.believe_any_remainder)],
        faults={"provider: drop request": 0.4},
        course={"refunds": "two partials"},
        seed=26,
    ),
    Mutation(
        "an inquiry declines an unknown refund",
        [(give_back, "_repeat_or_wait", breakages.believe_any_inquiry)],
        faults=_LOST_ANSWERS,
        course={"refunds": "one partial"},
        seed=26,
    ),
    Mutation(
        "a list tells of refunds younger than itself",
        [(settle_by_list, "is_quiet", breakages.any_age_will_do)],
        faults={"provider: drop answer": 0.2, "nicepay: in progress": 0.4},
        course={"refunds": "one partial, later", "timer": Timer((100.0, 200.0), (300.0,))},
        seed=18,
    ),
    Mutation(
        "a list of a while ago counts as today's",
        [(bookkeeper, "settle_open_refunds", breakages.as_of_now)],
        faults={"provider: drop answer": 0.2},
        course={"refunds": "one partial, later", "timer": Timer((60.0, 200.0), (4000.0,))},
        seed=62,
    ),
    Mutation(
        "a list is believed while a cancel is under way",
        [(settle_by_list, "_is_listed", breakages.listed_while_under_way)],
        course={
            "story": breakages.an_equal_refund_behind_a_lost_one,
            "payer": ("card", "once"),
            "refunds": "two equal partials",
            "timer": Timer((3.0, 15.0)),
        },
        seed=9,
    ),
    Mutation(
        "a list that fits neither way means not done",
        [(settle_by_list, "carried_out", breakages.not_done_if_in_doubt)],
        faults=_LOST_ANSWERS,
        course={"refunds": "two partials"},
        seed=27,
    ),
    Mutation(
        "what may be the done one of two equal refunds is sent again",
        [(settle_by_list, "decline_for_equal", breakages.equal_ones_sent_again)],
        course={
            "story": breakages.an_equal_refund_done_behind_a_lost_one,
            "payer": ("card", "once"),
            "refunds": "two equal partials",
        },
        seed=5,
    ),
    Mutation(
        "a ledger entry is forgotten",
        [(ledger, "entry", breakages.refunds_unentered)],
        course={"refunds": "full"},
        seed=2,
    ),
    Mutation(
        "a declined refund is told to nobody",
        [(settle, "callback_rows", breakages.declined_refunds_untold)],
        course={"refunds": "too much"},
        seed=2,
    ),
    Mutation(
        "a callback's body counts its attempts",
        [(deliver.Delivery, "_send", breakages.body_counts_attempts)],
        faults={"merchant: error": 0.4},
    ),
    Mutation(
        "HTTP 201 counts as delivered",
        [(deliver, "judge", breakages.any_2xx_will_do)],
        faults={"merchant: almost right": 0.5},
        seed=4,
    ),
    Mutation(
        "retries come every 10 s for ever",
        [(deliver, "delay_after", lambda failures: 10.0)],
        faults={"merchant: error": 0.9},
        seed=6,
    ),
    Mutation(
        "a notice is put away while a call is under way",
        [(notice, "_settled_by_notice", breakages.known_too_soon)],
        faults={"nicepay: notices": 1.0, "nicepay: hang after": 0.5, "provider: drop answer": 0.25},
        course={"refunds": "one partial"},
        seed=82,
    ),
)


def named(name: str) -> Mutation:
    """Raises KeyError."""
    return {mutation.name: mutation for mutation in MUTATIONS}[name]
