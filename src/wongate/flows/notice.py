"""Provider notices (N-16): kept raw and once, answered OK, and only ever a hint - the inquiry decides."""

import logging
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import asyncpg

from wongate.domain import codes
from wongate.domain.account import Account
from wongate.domain.lifecycle import FINAL, Event, Kind, Stage, Status
from wongate.domain.outcome import Notice, Standing
from wongate.domain.payment import Operation, Project
from wongate.flows import give_back, reconcile, rungs
from wongate.flows.platform import Platform
from wongate.flows.settle import Case, Door
from wongate.store import notices, payments, projects

log = logging.getLogger(__name__)

LEASE = timedelta(seconds=90)
GIVEN_UP = (Stage.DONE, Stage.OFFERED)
OUTSIDE = "refunded outside the platform"
"""The flag of a payment of which more went back at the provider than we have booked (N-16)."""

FOREIGN = 0
"""project_id under which notices are kept that name no order of ours."""


async def receive(platform: Platform, provider_name: str, form: Mapping[str, str], caller_ip: str) -> bool:
    """Keeps the notice. False when it is none, or comes from an address that the account does not list."""
    provider = platform.providers[provider_name]
    notice = provider.read_notice(form)
    if notice is None:
        return False
    project, operation = await _addressee(platform, provider_name, notice)
    if project is None or not provider.may_notify(project.account, caller_ip):
        log.warning("notice refused", extra={"caller_ip": caller_ip, "moid": notice.moid})
        return False
    state = f"cancelled:{notice.cancel_moid}" if notice.cancelled else "approved"
    await platform.database.run(
        lambda tx: notices.record(
            tx,
            project_id=project.project_id,
            operation_id=operation.operation_id if operation else 0,
            reference=notice.reference,
            state=state,
            raw=dict(form),
            now=platform.clock.now(),
        )
    )
    return True


async def _addressee(
    platform: Platform, provider_name: str, notice: Notice
) -> tuple[Project | None, Operation | None]:
    """The sale whose order number the notice names. Accounts of one merchant id tell theirs apart by a prefix (N-24)."""
    async with platform.database.read() as tx:
        rows = await projects.accounts(tx)
    for row in rows:
        if (row["provider"], row["merchant_id"]) != (provider_name, notice.merchant_id):
            continue
        account = Account(row["account_id"], provider_name, notice.merchant_id, "", row["settings"])
        owner = platform.providers[provider_name].owner_of(account, notice.moid)
        project = await platform.project(owner[0]) if owner else None
        if owner and project and project.account.account_id == account.account_id:
            async with platform.database.read() as tx:
                return project, await payments.operation(tx, *owner)
    return None, None


async def tick(platform: Platform, door: Door) -> int:
    """Handles the notices that wait; a duty of the worker."""
    now = platform.clock.now()
    async with platform.database.read() as tx:
        projects = await notices.projects_to_wake(tx, now)
    handled = 0
    for project_id in projects:
        project = await platform.project(project_id)
        if project is not None:
            handled += await _handle_all(platform, door, project)
    return handled


async def _handle_all(platform: Platform, door: Door, project: Project) -> int:
    now = platform.clock.now()
    rows = await platform.database.run(lambda tx: notices.claim(tx, project.project_id, now, now + LEASE))
    for row in rows:
        try:
            verdict = await _handle(platform, door, project, row)
        except Exception:  # one that breaks waits for its lease to end and holds up no other (F23)
            log.exception("notice broke", extra={"reference": row["reference"]})
            continue
        if verdict is not None:
            async with platform.database.transaction() as tx:
                await notices.finish(tx, project.project_id, row["reference"], row["state"], verdict)
    return len(rows)


async def _handle(platform: Platform, door: Door, project: Project, row: Mapping[str, Any]) -> str | None:
    """What came of it; None when it is too early to tell: then it is looked at again after the lease."""
    async with platform.database.read() as tx:
        sale = await payments.operation(tx, project.project_id, row["operation_id"])
    notice = platform.provider(project).read_notice(row["raw"])
    if sale is None or notice is None or notice.amount <= 0:
        return "matches no sale of ours"
    if sale.reference and sale.reference != notice.reference:
        return "another transaction than the one we know"
    if not sale.reference and not notice.cancelled and notice.amount != sale.amount:
        return "another amount than the sale's"
    if notice.cancelled:
        return await _cancelled(platform, door, project, sale, notice)
    return await _approved(platform, door, project, sale, notice)


async def _approved(
    platform: Platform, door: Door, project: Project, sale: Operation, notice: Notice
) -> str | None:
    """News only when we had given the payment up: then the money goes back (E-39).

    NICEPAY repeats no notice that was answered OK, so an inquiry without an answer must not be the end of it.
    """
    if sale.stage is Stage.WAITING:
        return None  # approved without an intent of ours: a restored database, or a forgery; its limit time decides
    if sale.stage not in GIVEN_UP or sale.status is Status.SUCCESS:
        return "known"
    standing, exchange = await platform.provider(project).inquire(project.account, notice.reference)
    if standing is Standing.UNCLEAR:
        return None
    if standing is not Standing.APPROVED:
        return f"inquiry says {standing}"

    def decide(case: Case) -> bool:
        current = case.operations[sale.operation_id]
        case.note(current, exchange)
        if current.stage not in GIVEN_UP or current.status is Status.SUCCESS:
            return False
        if current.stage is Stage.OFFERED:
            current = case.move(current, Event.LAPSED, note="approved after all")
        case.alarm(current, "late success")
        case.move(
            current,
            Event.FOUND_APPROVED,
            reference=notice.reference,
            wake_at=case.now + rungs.LEASE,
            note="provider's notice",
        )
        return True

    try:
        late = await door.settle(project, sale.payment_no, decide)
    except asyncpg.UniqueViolationError:
        return "the transaction of another sale"
    if late:
        await reconcile.undo(platform, door, project, sale.payment_no, sale.operation_id)
    return "late success"


async def _cancelled(
    platform: Platform, door: Door, project: Project, sale: Operation, notice: Notice
) -> str | None:
    """Settles a refund of unknown outcome, or shows that somebody refunded elsewhere; our books stay as they are then."""

    def decide(case: Case) -> str | None:
        current = case.operations[sale.operation_id]
        if current.status is not Status.SUCCESS:
            # The net or ordinary cancel of a sale that did not stand; of one that may still stand we cannot tell yet.
            return "known" if current.status in FINAL else None
        refund = case.operations.get(_refund_named(notice))
        if refund is None or refund.kind is not Kind.REFUND or refund.amount != notice.amount:
            case.alarm(current, OUTSIDE)
            return OUTSIDE
        return _settled_by_notice(case, refund)

    return await door.settle(project, sale.payment_no, decide)


def _settled_by_notice(case: Case, refund: Operation) -> str | None:
    """While our own call is under way its answer goes first; should that be lost, the notice is needed."""
    if refund.stage is Stage.ASKING:
        case.move(refund, Event.APPROVED, code=codes.SUCCESS, note="provider's notice")
        give_back.wake_next(case)
        return "settled"
    if refund.status not in FINAL:
        return None
    if "equal_done" in refund.details:
        return "an equal refund counts as done in its place"
    if refund.status is Status.DECLINE:
        case.alarm(refund, OUTSIDE)
        return "carried out although it was declined"
    return "known"


def _refund_named(notice: Notice) -> int:
    """The refund's number in our cancel order number `<Moid>R<n>` (N-24); 0 when it is none of ours."""
    number = notice.cancel_moid.removeprefix(notice.moid + "R")
    return int(number) if number.isascii() and number.isdigit() and len(number) < 17 else 0
