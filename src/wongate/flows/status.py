"""A payment as it stands: reads for Gate and for the pages."""

from dataclasses import dataclass

from wongate.domain.payment import Operation, Payment, Project, payment_key
from wongate.flows.platform import Platform
from wongate.flows.sale import operation_in
from wongate.store import payments


@dataclass(frozen=True, slots=True)
class Standing:
    """A payment with its operations, oldest first."""

    project: Project
    payment: Payment
    operations: list[Operation]


async def by_payment_id(platform: Platform, project: Project, payment_id: str) -> Standing | None:
    async with platform.database.read() as tx:
        found = await payments.with_operations(tx, project.project_id, key=payment_key(payment_id))
    return Standing(project, *found) if found else None


async def by_request_id(
    platform: Platform, project: Project, request_id: str
) -> tuple[Standing, Operation] | None:
    """The payment and the one operation that a request opened."""
    operation_id = operation_in(request_id)
    if operation_id is None:
        return None
    async with platform.database.read() as tx:
        operation = await payments.operation(tx, project.project_id, operation_id)
        if operation is None or operation.request_id != request_id:
            return None
    standing = await around(platform, project, operation)
    return standing, next(item for item in standing.operations if item.operation_id == operation_id)


async def around(platform: Platform, project: Project, operation: Operation) -> Standing:
    """The payment that an operation belongs to."""
    standing = await by_payment_no(platform, project, operation.payment_no)
    assert standing is not None  # noqa: S101 - its operation was read a moment ago
    return standing


async def by_payment_no(platform: Platform, project: Project, payment_no: int) -> Standing | None:
    async with platform.database.read() as tx:
        found = await payments.with_operations(tx, project.project_id, payment_no=payment_no)
    return Standing(project, *found) if found else None
