"""Every column that holds sealed secrets, what a secret in it is bound to, and the rows for sealing them anew.

A column of another name than `...sealed...`, or one that is missing here, fails tests/store/test_sealed.py.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from wongate.connections.database import Tx

_OF_PERSON = "ARRAY(SELECT s.project_id FROM person_project s WHERE s.person_id = {}.person_id ORDER BY 1)"


@dataclass(frozen=True, slots=True)
class SealedColumn:
    """One column of one table; `{}` in `place` is the row's `key`.

    `projects` is SQL for the projects that a row belongs to, `ends_at` for the moment from which its secret opens nothing.
    """

    table: str
    column: str
    key: str
    place: str
    what: str
    projects: str
    ends_at: str = "NULL::timestamptz"

    def place_of(self, key: int | str) -> str:
        """What the vault binds this row's secret to."""
        return self.place.format(key)


ACCOUNT_KEY = SealedColumn(
    table="account",
    column="sealed_key",
    key="account_id",
    place="account/{}/key",
    what="MerchantKey of account",
    projects="ARRAY(SELECT p.project_id FROM project p WHERE p.account_id = account.account_id ORDER BY 1)",
)
PROJECT_SECRET = SealedColumn(
    table="project",
    column="sealed_secret",
    key="project_id",
    place="project/{}/secret",
    what="secret of project",
    projects="ARRAY[project_id]",
)
PREVIOUS_SECRET = SealedColumn(
    table="project",
    column="previous_sealed_secret",
    key="project_id",
    place=PROJECT_SECRET.place,  # moved there as it is when a project's secret is rotated
    what="previous secret of project",
    projects="ARRAY[project_id]",
    ends_at="previous_secret_until",
)
SECOND_FACTOR = SealedColumn(
    table="person",
    column="sealed_totp",
    key="person_id",
    place="person/{}/totp",
    what="second factor of person",
    projects=_OF_PERSON.format("person"),
)
API_SECRET = SealedColumn(
    table="api_token",
    column="sealed_secret",
    key="token",
    place="api_token/{}/secret",
    what="secret of Data API token",
    projects=_OF_PERSON.format("api_token"),
    ends_at="ended_at",
)

SEALED = (ACCOUNT_KEY, PROJECT_SECRET, PREVIOUS_SECRET, SECOND_FACTOR, API_SECRET)
"""In this order they are sealed anew: a secret that is rotated meanwhile moves on to the column that comes next."""


@dataclass(frozen=True, slots=True)
class SealedRow:
    key: int | str
    sealed: str = field(repr=False)
    projects: Sequence[int]
    ends_at: datetime | None


async def keys(tx: Tx, where: SealedColumn) -> list[Any]:
    """Of all rows with a secret, in order."""
    rows = await tx.fetch(f"{_keys(where)} ORDER BY 1")
    return [row[0] for row in rows]


async def stale_keys(tx: Tx, where: SealedColumn, header: str) -> list[Any]:
    """Of the rows whose secret does not begin with the header of the present key."""
    rows = await tx.fetch(f"{_keys(where)} AND NOT starts_with({where.column}, $1) ORDER BY 1", header)
    return [row[0] for row in rows]


async def lock(tx: Tx, where: SealedColumn, some: Sequence[Any]) -> None:
    """The rows of the given keys; read in the next statement they are as others have left them."""
    await tx.fetch(
        f"SELECT 1 FROM {where.table} WHERE {where.key} = ANY($1) ORDER BY {where.key} FOR UPDATE", list(some)
    )


async def rows(tx: Tx, where: SealedColumn, some: Sequence[Any]) -> list[SealedRow]:
    """Those of the given keys that hold a secret."""
    found = await tx.fetch(
        f"SELECT {where.key} AS key, {where.column} AS sealed, {where.projects} AS projects, {where.ends_at} AS ends_at "
        f"FROM {where.table} WHERE {where.key} = ANY($1) AND {where.column} IS NOT NULL ORDER BY 1",
        list(some),
    )
    return [SealedRow(**row) for row in found]


async def save(tx: Tx, where: SealedColumn, sealed: Sequence[tuple[Any, str]]) -> None:
    """Key and text of each row. Nothing else of it changes: not its `changed_at`, since nothing did that anybody sees."""
    await tx.executemany(f"UPDATE {where.table} SET {where.column} = $2 WHERE {where.key} = $1", sealed)


def _keys(where: SealedColumn) -> str:
    return f"SELECT {where.key} FROM {where.table} WHERE {where.column} IS NOT NULL"
