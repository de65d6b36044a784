"""`wongate reconcile --settle`: a list of the provider's settles refunds of unknown outcome.

No message of the provider's API tells of a lone partial cancel (N-11). Its own books do: what they leave of the payment fits only
one of "done" and "not done", like the remainder after a later cancel (N-12). Of equal refunds they tell how many were done.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, NamedTuple

from wongate.domain.comparison import Theirs, carried_out, left_in_list
from wongate.domain.lifecycle import Kind, Stage, Status
from wongate.domain.outcome import Exchange
from wongate.domain.payment import Operation, Payment, Project
from wongate.domain.refusal import Unfit
from wongate.flows import by_hand
from wongate.flows.audit import Actor
from wongate.flows.give_back import QUIET_AFTER, decline_for_equal, is_quiet, settle_unknown
from wongate.flows.platform import Platform
from wongate.flows.settle import Case, Door
from wongate.store import comparisons, payments

WORD = "the provider's list"
"""Stands with the transition; `reports/invariants.py` looks for the list behind it."""

EXCHANGE = "settlement_list"


class End(StrEnum):
    """What the list made of a refund."""

    DONE = "done"
    SENT_AGAIN = "not done: sent again"
    DECLINED = "not done: declined, as the provider had refused"
    EQUAL_DONE = "declined: it or an equal one was done, and that one counts as done"


@dataclass(frozen=True, slots=True)
class ProviderList:
    """What the provider lists, by TID; `source` says where that was read. `complete_until`: a cancel that had been done by then
    is in it. Of a list that is read now this is the moment before the reading began."""

    source: str
    theirs: Mapping[str, Theirs]
    complete_until: datetime


@dataclass(frozen=True, slots=True)
class Settled:
    project_id: int
    payment_id: str
    operation_id: int
    amount: int
    end: End


class Verdict(NamedTuple):
    """What the list says of one refund. `equal`: another of the same amount, which counts as done; the list does not tell the
    two apart."""

    done: bool
    equal: int | None = None


async def settle_open_refunds(
    platform: Platform, door: Door, actor: Actor, listed: ProviderList, since: datetime | None = None
) -> list[Settled]:
    """Settles what the list tells beyond doubt, of sales from `since` on; the rest stays open. A second run finds nothing to do.

    Raises Unfit for a list that keeps cancels apart from their payments.
    """
    async with platform.database.read() as tx:
        keys = await comparisons.with_open_refunds(tx, since)
        less_than_nothing = {told.reference for told in listed.theirs.values() if (told.amount or 0) < 0}
        strangers = less_than_nothing - await comparisons.known(tx, sorted(less_than_nothing))
    if strangers:
        raise Unfit(
            f"TID {min(strangers)} has a cancel and no payment: a cancel stands under its payment's TID"
        )
    return [settled for key in keys for settled in await _settle_payment(platform, door, actor, listed, *key)]


async def _settle_payment(
    platform: Platform, door: Door, actor: Actor, listed: ProviderList, project_id: int, payment_no: int
) -> list[Settled]:
    project = await platform.project(project_id)
    async with platform.database.read() as tx:
        found = await payments.with_operations(tx, project_id, payment_no=payment_no)
    if project is None or found is None:
        return []
    payment, operations = found
    verdicts = _verdicts(payment, operations, listed)
    for operation in operations:
        if operation.operation_id in verdicts:
            after = _deed(operation, listed, verdicts[operation.operation_id])
            await by_hand.record(platform, actor, payment, "refund settled by list", after)
    return await _book(door, project, payment, operations, listed) if verdicts else []


async def _book(
    door: Door, project: Project, payment: Payment, seen: Iterable[Operation], listed: ProviderList
) -> list[Settled]:
    """Under the lock, and only while the payment is as it was `seen`: a cancel sent since may have done what was not done."""
    attempts = _attempts(seen)

    def decide(case: Case) -> list[Settled]:
        operations = case.operations.values()
        if _attempts(operations) != attempts:
            return []
        verdicts = _verdicts(case.payment, operations, listed)
        return [
            _settle(case, case.operations[number], listed, verdict) for number, verdict in verdicts.items()
        ]

    return await door.settle(project, payment.payment_no, decide)


def _attempts(operations: Iterable[Operation]) -> dict[int, int]:
    """How far each operation has come: any step of any of them makes another."""
    return {operation.operation_id: operation.seq for operation in operations}


def _verdicts(payment: Payment, operations: Iterable[Operation], listed: ProviderList) -> dict[int, Verdict]:
    """By refund; none while the list does not tell. One that takes all that is left an inquiry tells of, so it is
    left alone."""
    by_id = {operation.operation_id: operation for operation in operations}
    refunds = [operation for operation in by_id.values() if operation.kind is Kind.REFUND]
    unknown = {refund.operation_id: refund.amount for refund in refunds if refund.stage is Stage.ASKING}
    kept = payment.captured - payment.refunded
    sale = by_id[payment.sale_id]
    left = left_in_list(listed.theirs, sale.reference, sale.order_number)
    if left is None or kept in unknown.values() or not all(_is_listed(r, listed) for r in refunds):
        return {}
    done = carried_out(unknown, kept - left)
    if done is None:
        return {}
    counted = {unknown[number]: number for number in sorted(done, reverse=True)}
    return {
        number: Verdict(number in done, None if number in done else counted.get(amount))
        for number, amount in unknown.items()
    }


def _is_listed(refund: Operation, listed: ProviderList) -> bool:
    """Whatever this refund did at the provider is in the list. One that was never sent did nothing; clocks may differ by as much
    as a cancel may be under way."""
    if refund.stage is Stage.ASKING:
        return is_quiet(refund, listed.complete_until)
    if refund.stage is Stage.DONE:
        return refund.status is Status.DECLINE or listed.complete_until >= refund.changed_at + QUIET_AFTER
    return refund.stage is Stage.RESERVED


def _settle(case: Case, refund: Operation, listed: ProviderList, verdict: Verdict) -> Settled:
    told = listed.theirs[case.sale.reference]
    until = listed.complete_until.isoformat()
    case.note(
        refund,
        Exchange(
            kind=EXCHANGE,
            at=case.now,
            duration_ms=0,
            request={"TID": told.reference, "list": listed.source, "complete until": until},
            response={"left": str(told.amount)},
            verdict=f"{told.amount:,} won left",
        ),
    )
    end = _end(case, refund, verdict)
    return Settled(refund.project_id, case.payment.payment_id, refund.operation_id, refund.amount, end)


def _end(case: Case, refund: Operation, verdict: Verdict) -> End:
    if verdict.equal is not None:
        decline_for_equal(case, refund, verdict.equal, WORD)
        return End.EQUAL_DONE
    settled = settle_unknown(case, refund, done=verdict.done, word=WORD)
    if verdict.done:
        return End.DONE
    return End.DECLINED if settled.stage is Stage.DONE else End.SENT_AGAIN


def _deed(refund: Operation, listed: ProviderList, verdict: Verdict) -> dict[str, Any]:
    return {
        "operation_id": refund.operation_id,
        "seq": refund.seq,
        "outcome": "done" if verdict.done else "not done" if verdict.equal is None else "an equal one done",
        "list": listed.source,
        "complete_until": listed.complete_until.isoformat(),
    }
