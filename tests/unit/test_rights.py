"""Roles and rights against the table of section 8.4."""

import pytest

from wongate.domain.rights import RIGHTS_OF, Right, Role, needs_second_factor, rights_of

# Support, Operations, Finance, Risks, Merchant admin; Designer has page design only.
TABLE = """
payments          + + + + +
reports           + + + + +
api_tokens        + + + + +
view_projects     + + + + +
refunds           - + - - +
balances          - - + - +
analytics         - + + + +
risks             - - - + +
users             - - - - +
project_settings  - - - - +
"""
COLUMNS = (Role.SUPPORT, Role.OPERATIONS, Role.FINANCE, Role.RISKS, Role.MERCHANT_ADMIN)


@pytest.mark.parametrize("line", TABLE.split("\n")[1:-1])
def test_roles_have_the_rights_of_the_table(line: str) -> None:
    name, *signs = line.split()
    for role, sign in zip(COLUMNS, signs, strict=True):
        assert (sign == "+") is (Right(name) in RIGHTS_OF[role]), role
    assert Right(name) not in RIGHTS_OF[Role.DESIGNER]


def test_the_table_names_every_right_but_page_design() -> None:
    named = {line.split()[0] for line in TABLE.split("\n")[1:-1]}
    assert set(Right) - {Right.PAGE_DESIGN} == named
    assert {Right.PAGE_DESIGN} == RIGHTS_OF[Role.DESIGNER]


def test_rights_of_several_roles_add_up() -> None:
    both = rights_of([Role.FINANCE, Role.RISKS], [], [])
    assert RIGHTS_OF[Role.FINANCE] | RIGHTS_OF[Role.RISKS] == both


def test_single_rights_are_added_and_taken_away() -> None:
    rights = rights_of([Role.OPERATIONS], [Right.BALANCES], [Right.REFUNDS])
    assert Right.BALANCES in rights
    assert Right.REFUNDS not in rights


@pytest.mark.parametrize("role", list(Role))
def test_every_role_but_designer_needs_a_second_factor(role: Role) -> None:
    assert (role is not Role.DESIGNER) is needs_second_factor(RIGHTS_OF[role])
