"""Projects and the provider accounts behind them. Secrets are sealed here and opened by the flow that owns the vault."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from wongate.connections.database import Tx

_PROJECT = (
    "SELECT p.project_id, p.name, p.sealed_secret, p.previous_sealed_secret, p.previous_secret_until, p.settings, "
    "p.created_at, p.changed_at, a.account_id, a.provider, a.merchant_id, a.sealed_key, a.settings AS account_settings "
    "FROM project p JOIN account a USING (account_id)"
)


@dataclass(frozen=True, slots=True)
class ProjectRow:
    project_id: int
    name: str
    sealed_secret: str
    previous_sealed_secret: str | None
    previous_secret_until: datetime | None
    settings: Mapping[str, Any]
    created_at: datetime
    changed_at: datetime
    account_id: int
    provider: str
    merchant_id: str
    sealed_key: str
    account_settings: Mapping[str, Any]


async def load(tx: Tx, project_id: int) -> ProjectRow | None:
    row = await tx.fetchrow(f"{_PROJECT} WHERE p.project_id = $1", project_id)
    return ProjectRow(**row) if row else None


async def every(tx: Tx) -> list[ProjectRow]:
    return [ProjectRow(**row) for row in await tx.fetch(f"{_PROJECT} ORDER BY p.project_id")]


async def create(
    tx: Tx,
    *,
    project_id: int,
    name: str,
    sealed_secret: str,
    account_id: int,
    settings: Mapping[str, Any],
    now: datetime,
) -> bool:
    """False when the number is taken."""
    return bool(
        await tx.fetchval(
            "INSERT INTO project (project_id, name, sealed_secret, account_id, settings, created_at, changed_at) "
            "VALUES ($1, $2, $3, $4, $5, $6, $6) ON CONFLICT DO NOTHING RETURNING true",
            project_id,
            name,
            sealed_secret,
            account_id,
            settings,
            now,
        )
    )


async def next_project_id(tx: Tx) -> int:
    return int(await tx.fetchval("SELECT greatest(coalesce(max(project_id), 0), 1000) + 1 FROM project"))


async def save_settings(tx: Tx, project_id: int, settings: Mapping[str, Any], now: datetime) -> None:
    await tx.execute(
        "UPDATE project SET settings = $2, changed_at = $3 WHERE project_id = $1", project_id, settings, now
    )


async def rotate_secret(tx: Tx, project_id: int, sealed_secret: str, until: datetime, now: datetime) -> None:
    """The present secret becomes the previous one and verifies requests until `until`."""
    await tx.execute(
        "UPDATE project SET previous_sealed_secret = sealed_secret, previous_secret_until = $3, sealed_secret = $2, "
        "changed_at = $4 WHERE project_id = $1",
        project_id,
        sealed_secret,
        until,
        now,
    )


async def accounts(tx: Tx) -> list[Mapping[str, Any]]:
    rows = await tx.fetch(
        "SELECT account_id, provider, merchant_id, sealed_key, settings FROM account ORDER BY 1"
    )
    return [dict(row) for row in rows]


async def save_account(
    tx: Tx,
    *,
    account_id: int,
    provider: str,
    merchant_id: str,
    sealed_key: str,
    settings: Mapping[str, Any],
    now: datetime,
) -> None:
    await tx.execute(
        "INSERT INTO account (account_id, provider, merchant_id, sealed_key, settings, created_at) "
        "VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (account_id) DO UPDATE "
        "SET provider = $2, merchant_id = $3, sealed_key = $4, settings = $5",
        account_id,
        provider,
        merchant_id,
        sealed_key,
        settings,
        now,
    )


async def next_account_id(tx: Tx) -> int:
    return int(await tx.fetchval("SELECT coalesce(max(account_id), 0) + 1 FROM account"))


async def lock(tx: Tx, project_id: int) -> ProjectRow | None:
    """The lock in one statement, the row in the next, as it is once others have finished."""
    await tx.fetchval("SELECT 1 FROM project WHERE project_id = $1 FOR UPDATE", project_id)
    return await load(tx, project_id)


async def rename(tx: Tx, project_id: int, name: str, now: datetime) -> None:
    await tx.execute(
        "UPDATE project SET name = $2, changed_at = $3 WHERE project_id = $1", project_id, name, now
    )


async def end_overlap(tx: Tx, project_id: int, now: datetime) -> None:
    await tx.execute(
        "UPDATE project SET previous_sealed_secret = NULL, previous_secret_until = NULL, changed_at = $2 "
        "WHERE project_id = $1",
        project_id,
        now,
    )
