"""Provider notices (N-16): kept raw and once, answered OK, and only ever a hint - the inquiry decides."""

import logging
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from wongate.domain import codes
from wongate.domain.account import Account
from wongate.domain.lifecycle import Event, Kind, Stage, Status
from wongate.domain.outcome import Notice, Standing
from wongate.domain.payment import Operation, Project
from wongate.flows import reconcile
from wongate.flows.platform import Platform
from wongate.flows.settle import Case, Door
from wongate.store import notices, payments, projects

log = logging.getLogger(__name__)

LEASE = timedelta(seconds=90)
GIVEN_UP = (Stage.DONE, Stage.OFFERED)
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
        verdict = await _handle(platform, door, project, row)
        async with platform.database.transaction() as tx:
            await notices.finish(tx, project.project_id, row["reference"], row["state"], verdict)
    return len(rows)


async def _handle(platform: Platform, door: Door, project: Project, row: Mapping[str, Any]) -> str:
    async with platform.database.read() as tx:
        sale = await payments.operation(tx, project.project_id, row["operation_id"])
    notice = platform.provider(project).read_notice(row["raw"])
    if sale is None or notice is None or notice.amount <= 0:
        return "matches no sale of ours"
    if sale.reference and sale.reference != notice.reference:
        return "another transaction than the one we know"
    if notice.cancelled:
        return await _cancelled(platform, door, project, sale, notice)
    return await _approved(platform, door, project, sale, notice)


async def _approved(platform: Platform, door: Door, project: Project, sale: Operation, notice: Notice) -> str:
    """News only when we had given the payment up: then the money goes back (E-39)."""
    if sale.stage not in GIVEN_UP or sale.status is Status.SUCCESS:
        return "known"
    standing, exchange = await platform.provider(project).inquire(project.account, notice.reference)
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
            wake_at=case.now + reconcile.LEASE,
            note="provider's notice",
        )
        return True

    if await door.settle(project, sale.payment_no, decide):
        await reconcile.undo(platform, door, project, sale.payment_no, sale.operation_id)
    return "late success"


async def _cancelled(
    platform: Platform, door: Door, project: Project, sale: Operation, notice: Notice
) -> str:
    """Settles a refund of unknown outcome, or shows that somebody refunded elsewhere; our books stay as they are then."""

    def decide(case: Case) -> str:
        if sale.status is not Status.SUCCESS:
            return "known"  # the net or ordinary cancel of a sale that did not stand
        ours = [
            operation
            for operation in case.operations.values()
            if operation.kind is Kind.REFUND
            and operation.operation_id == _refund_named(notice)
            and operation.amount == notice.amount
        ]
        if not ours:
            case.alarm(case.sale, "refunded outside the platform")
            return "refunded outside the platform"
        refund = ours[0]
        if refund.stage is Stage.ASKING:
            case.move(refund, Event.APPROVED, code=codes.SUCCESS, note="provider's notice")
            return "settled"
        return "known"

    return await door.settle(project, sale.payment_no, decide)


def _refund_named(notice: Notice) -> int:
    """The refund's number in our cancel order number `<Moid>R<n>` (N-24); 0 when it is none of ours."""
    number = notice.cancel_moid.removeprefix(notice.moid + "R")
    return int(number) if number.isascii() and number.isdigit() and len(number) < 17 else 0
