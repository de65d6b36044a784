"""What browsers stopped on our pages, for those who read the audit log."""

from typing import TYPE_CHECKING

from starlette.responses import Response

from wongate.domain.rights import Right
from wongate.flows import violations
from wongate.web.dashboard_access import Entry, Visit

if TYPE_CHECKING:
    from wongate.web.dashboard import Dashboard

HOME = "/dashboard/audit/violations"


def routes(dashboard: "Dashboard") -> list[Entry]:
    async def show(visit: Visit) -> Response:
        found = await violations.latest(dashboard.platform)
        return dashboard.shell.page(
            visit, "violations.html", violations=found, kept_days=violations.KEPT.days
        )

    return [Entry(HOME, "GET", Right.USERS, show)]
