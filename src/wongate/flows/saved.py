"""Filter sets and the analytics board, kept per person. Nobody else sees them, so they leave no audit rows."""

from collections.abc import Sequence
from typing import Any

from wongate.domain.person import SavedFilter
from wongate.domain.refusal import Unfit
from wongate.flows.platform import Platform
from wongate.store import saved

FILTERS_MAX = 50
NAME_MAX = 60
QUERY_MAX = 4000
TILES_MAX = 24


async def filters(platform: Platform, person_id: int, place: str) -> list[SavedFilter]:
    """`place` names the page: `payments`."""
    async with platform.database.read() as tx:
        return await saved.filters(tx, person_id, place)


async def save_filter(platform: Platform, person_id: int, place: str, name: str, query: str) -> None:
    """A set of the same name is replaced. `query` is the page's state as in its URL, without `?`. Raises Unfit."""
    name = name.strip()
    if not name or len(name) > NAME_MAX:
        raise Unfit("A filter set has a name of at most 60 characters.", "name")
    if len(query) > QUERY_MAX:
        raise Unfit("This filter set is too long to keep.", "name")
    kept = await filters(platform, person_id, place)
    if len(kept) >= FILTERS_MAX and name not in {filter_.name for filter_ in kept}:
        raise Unfit("Fifty filter sets are kept. Please delete one first.", "name")
    await platform.database.run(
        lambda tx: saved.save_filter(tx, person_id, place, name, query, platform.clock.now())
    )


async def drop_filter(platform: Platform, person_id: int, place: str, name: str) -> None:
    await platform.database.run(lambda tx: saved.drop_filter(tx, person_id, place, name))


async def board(platform: Platform, person_id: int) -> Sequence[Any] | None:
    """The tiles in their order as JSON values, None for somebody who has never arranged any."""
    async with platform.database.read() as tx:
        return await saved.board(tx, person_id)


async def save_board(platform: Platform, person_id: int, tiles: Sequence[Any]) -> None:
    """Raises Unfit for more than 24 tiles: each is a query of its own."""
    if len(tiles) > TILES_MAX:
        raise Unfit("A board has room for 24 tiles.")
    await platform.database.run(lambda tx: saved.save_board(tx, person_id, list(tiles), platform.clock.now()))
