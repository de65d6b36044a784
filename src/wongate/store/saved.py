"""What people keep for themselves: filter sets by name, and the board of analytics tiles."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from wongate.connections.database import Tx
from wongate.domain.person import SavedFilter


async def filters(tx: Tx, person_id: int, place: str) -> list[SavedFilter]:
    rows = await tx.fetch(
        "SELECT name, query FROM saved_filter WHERE person_id = $1 AND place = $2 ORDER BY lower(name), name",
        person_id,
        place,
    )
    return [SavedFilter(**row) for row in rows]


async def save_filter(tx: Tx, person_id: int, place: str, name: str, query: str, now: datetime) -> None:
    await tx.execute(
        "INSERT INTO saved_filter (person_id, place, name, query, created_at) VALUES ($1, $2, $3, $4, $5) "
        "ON CONFLICT (person_id, place, name) DO UPDATE SET query = $4",
        person_id,
        place,
        name,
        query,
        now,
    )


async def drop_filter(tx: Tx, person_id: int, place: str, name: str) -> None:
    await tx.execute(
        "DELETE FROM saved_filter WHERE person_id = $1 AND place = $2 AND name = $3", person_id, place, name
    )


async def board(tx: Tx, person_id: int) -> Sequence[Any] | None:
    """The tiles in their order, None for somebody who has never arranged any."""
    tiles: Sequence[Any] | None = await tx.fetchval("SELECT tiles FROM board WHERE person_id = $1", person_id)
    return tiles


async def save_board(tx: Tx, person_id: int, tiles: Sequence[Any], now: datetime) -> None:
    await tx.execute(
        "INSERT INTO board (person_id, tiles, changed_at) VALUES ($1, $2, $3) "
        "ON CONFLICT (person_id) DO UPDATE SET tiles = $2, changed_at = $3",
        person_id,
        tiles,
        now,
    )
