"""Who may do what in the Dashboard: fixed roles, their rights, and what a right demands (section 8.4, E-34)."""

from collections.abc import Iterable
from enum import StrEnum


class Right(StrEnum):
    """The rows of the table in section 8.4, split where a page needs one of them alone."""

    PAYMENTS = "payments"  # list and details
    REPORTS = "reports"
    API_TOKENS = "api_tokens"  # Data API tokens of one's own
    VIEW_PROJECTS = "view_projects"
    REFUNDS = "refunds"
    BALANCES = "balances"
    ANALYTICS = "analytics"
    RISKS = "risks"  # lists and chargebacks
    USERS = "users"
    PROJECT_SETTINGS = "project_settings"
    PAGE_DESIGN = "page_design"


class Open(StrEnum):
    """What a page may ask for in place of a right."""

    ANYBODY = "anybody"  # the sign-in page and what it needs
    PASSWORD = "password"  # noqa: S105 - the password was right, the second factor may be missing
    SIGNED_IN = "signed_in"  # one's own profile


Access = Right | Open | frozenset[Right]
"""Of a set one right is enough."""

RESENDING = frozenset({Right.REFUNDS, Right.PROJECT_SETTINGS})
"""Either lets somebody send a callback again: whoever gives money back, whoever runs the shop's connection (E-35)."""


class Role(StrEnum):
    DESIGNER = "designer"
    SUPPORT = "support"
    OPERATIONS = "operations"
    FINANCE = "finance"
    RISKS = "risks"
    MERCHANT_ADMIN = "merchant_admin"


_EVERYDAY = frozenset({Right.PAYMENTS, Right.REPORTS, Right.API_TOKENS, Right.VIEW_PROJECTS})

RIGHTS_OF: dict[Role, frozenset[Right]] = {
    Role.DESIGNER: frozenset({Right.PAGE_DESIGN}),
    Role.SUPPORT: _EVERYDAY,
    Role.OPERATIONS: _EVERYDAY | {Right.REFUNDS, Right.ANALYTICS},
    Role.FINANCE: _EVERYDAY | {Right.BALANCES, Right.ANALYTICS},
    Role.RISKS: _EVERYDAY | {Right.RISKS, Right.ANALYTICS},
    Role.MERCHANT_ADMIN: frozenset(Right),
}

HARMLESS = frozenset({Right.VIEW_PROJECTS, Right.PAGE_DESIGN, Right.ANALYTICS})
"""Rights that ask for no second factor: they show no payer, move no money and touch no secret."""


def rights_of(roles: Iterable[Role], added: Iterable[Right], removed: Iterable[Right]) -> frozenset[Right]:
    """Rights of several roles add up; single ones are added, then taken away."""
    together = frozenset().union(*(RIGHTS_OF[role] for role in roles), added)
    return together - frozenset(removed)


def needs_second_factor(rights: Iterable[Right]) -> bool:
    """Mandatory for every right except the harmless ones (section 8.4)."""
    return bool(frozenset(rights) - HARMLESS)
