"""How fast a Data API token may be used, counted in rows, so that several processes count together."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from wongate.connections.database import Tx


@dataclass(frozen=True, slots=True)
class Pace:
    """Calls of the last minute, and the turn of the latest request over a long interval."""

    calls: Sequence[datetime]
    wide_at: datetime | None


async def lock(tx: Tx, token: str) -> Pace:
    """Other requests with this token wait here for one another."""
    await tx.execute("INSERT INTO api_pace (token, calls) VALUES ($1, '{}') ON CONFLICT DO NOTHING", token)
    row = await tx.fetchrow("SELECT calls, wide_at FROM api_pace WHERE token = $1 FOR UPDATE", token)
    return Pace(row["calls"], row["wide_at"])


async def save(tx: Tx, token: str, pace: Pace) -> None:
    await tx.execute(
        "UPDATE api_pace SET calls = $2, wide_at = $3 WHERE token = $1", token, list(pace.calls), pace.wide_at
    )
