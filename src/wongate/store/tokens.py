"""Data API tokens: one living token a person, the newest (section 5.6)."""

from dataclasses import dataclass, field
from datetime import datetime

from wongate.connections.database import Tx

_COLUMNS = "token, person_id, sealed_secret, created_at, used_at"


@dataclass(frozen=True, slots=True)
class TokenRow:
    token: str
    person_id: int
    sealed_secret: str = field(repr=False)
    created_at: datetime
    used_at: datetime | None


async def create(tx: Tx, token: str, person_id: int, sealed_secret: str, now: datetime) -> None:
    await tx.execute(
        "INSERT INTO api_token (token, person_id, sealed_secret, created_at) VALUES ($1, $2, $3, $4)",
        token,
        person_id,
        sealed_secret,
        now,
    )


async def end_of_person(tx: Tx, person_id: int, now: datetime) -> str | None:
    """The token that was alive until now, None when there was none."""
    ended: str | None = await tx.fetchval(
        "UPDATE api_token SET ended_at = $2 WHERE person_id = $1 AND ended_at IS NULL RETURNING token",
        person_id,
        now,
    )
    return ended


async def living(tx: Tx, token: str) -> TokenRow | None:
    row = await tx.fetchrow(f"SELECT {_COLUMNS} FROM api_token WHERE token = $1 AND ended_at IS NULL", token)
    return TokenRow(**row) if row else None


async def of_person(tx: Tx, person_id: int) -> TokenRow | None:
    row = await tx.fetchrow(
        f"SELECT {_COLUMNS} FROM api_token WHERE person_id = $1 AND ended_at IS NULL", person_id
    )
    return TokenRow(**row) if row else None


async def mark_used(tx: Tx, token: str, now: datetime) -> None:
    await tx.execute("UPDATE api_token SET used_at = $2 WHERE token = $1", token, now)
