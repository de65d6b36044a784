"""`wongate rekey`: every secret sealed anew under the present master key, while servers and workers go on.

A batch is one transaction with its line in the audit log, so a run that breaks off is taken up by the next one: what is fresh is
passed over.
"""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import datetime
from itertools import chain
from typing import Any

from wongate.connections.database import Tx
from wongate.connections.vault import VaultError
from wongate.flows import audit
from wongate.flows.audit import Actor
from wongate.flows.platform import Platform
from wongate.flows.profile import masked
from wongate.store import sealed
from wongate.store.sealed import SEALED, SealedColumn, SealedRow

AT_ONCE = 100
"""Rows locked at the same time: some ten milliseconds for whoever changes one of them meanwhile."""

NAMED = 5
"""Secrets that do not open, as far as they are named one by one."""

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Resealed:
    """What became of one column's secrets. `left`: of no use any more, and open with none of the keys."""

    where: SealedColumn
    resealed: int
    fresh: int
    left: int


async def rekey(platform: Platform, actor: Actor, progress: Progress) -> list[Resealed]:
    """Raises VaultError when a secret opens with none of the keys; then none was sealed anew.

    `progress` is told how many of how many stale secrets are done.
    """
    await _check(platform)
    stale = {where: await _stale_keys(platform, where) for where in SEALED}
    total = sum(map(len, stale.values()))
    done, results = 0, []
    for where, keys in stale.items():
        left = 0
        for start in range(0, len(keys), AT_ONCE):
            some = keys[start : start + AT_ONCE]
            left += await _reseal(platform, actor, where, some)
            done += len(some)
            progress(done, total)
        fresh = len(await _keys(platform, where)) - len(keys)
        results.append(Resealed(where, len(keys) - left, fresh, left))
    return results


async def stale(platform: Platform) -> int:
    """Secrets of use that another key than the present one has sealed: after `rekey`, by servers that still have it first."""
    found = 0
    for where in SEALED:
        async for row in _rows(platform, where, await _stale_keys(platform, where)):
            found += not _has_ended(row, platform.clock.now())
    return found


async def _check(platform: Platform) -> None:
    """Opens every secret, also those that are fresh."""
    closed: list[str] = []
    for where in SEALED:
        async for row in _rows(platform, where, await _keys(platform, where)):
            try:
                _opened(platform, where, row)
            except VaultError as reason:
                if not _has_ended(row, platform.clock.now()):
                    closed.append(f"{_named(where, row)}: {reason}")
    if closed:
        more = f"; and {len(closed) - NAMED} more" if len(closed) > NAMED else ""
        raise VaultError(
            f"{'; '.join(closed[:NAMED])}{more}. Nothing was changed: add the key to WONGATE_MASTER_KEY, or have new secrets made"
        )


async def _reseal(platform: Platform, actor: Actor, where: SealedColumn, some: list[Any]) -> int:
    """One batch; how many of it had to be left."""
    header = platform.vault.current_header

    async def story(tx: Tx) -> int:
        await sealed.lock(tx, where, some)
        now = platform.clock.now()
        rows = [row for row in await sealed.rows(tx, where, some) if not row.sealed.startswith(header)]
        anew: list[tuple[SealedRow, str]] = []
        for row in rows:
            try:
                secret = _opened(platform, where, row)
            except VaultError as reason:
                if not _has_ended(row, now):
                    raise VaultError(f"{_named(where, row)}: {reason}") from None
            else:
                anew.append((row, platform.vault.seal(secret, place=where.place_of(row.key))))
        await sealed.save(tx, where, [(row.key, text) for row, text in anew])
        if anew:
            await _record(tx, platform, actor, where, [row for row, _ in anew])
        return len(rows) - len(anew)

    return await platform.database.run(story)


async def _record(
    tx: Tx, platform: Platform, actor: Actor, where: SealedColumn, rows: list[SealedRow]
) -> None:
    await audit.record(
        tx,
        actor,
        "secrets sealed anew",
        f"master key/{platform.vault.current_key}",
        platform.clock.now(),
        project_ids=sorted(set(chain.from_iterable(row.projects for row in rows))),
        after={"what": f"{where.table}.{where.column}", "rows": len(rows)},
    )


async def _keys(platform: Platform, where: SealedColumn) -> list[Any]:
    async with platform.database.read() as tx:
        return await sealed.keys(tx, where)


async def _stale_keys(platform: Platform, where: SealedColumn) -> list[Any]:
    async with platform.database.read() as tx:
        return await sealed.stale_keys(tx, where, platform.vault.current_header)


async def _rows(platform: Platform, where: SealedColumn, keys: list[Any]) -> AsyncIterator[SealedRow]:
    """Read a batch at a time, without locks."""
    for start in range(0, len(keys), AT_ONCE):
        async with platform.database.read() as tx:
            rows = await sealed.rows(tx, where, keys[start : start + AT_ONCE])
        for row in rows:
            yield row


def _opened(platform: Platform, where: SealedColumn, row: SealedRow) -> str:
    """Raises VaultError with the reason alone: the place may hold a token."""
    try:
        return platform.vault.open(row.sealed, place=where.place_of(row.key))
    except VaultError as error:
        raise VaultError(str(error).removeprefix(f"{where.place_of(row.key)}: ")) from None


def _has_ended(row: SealedRow, now: datetime) -> bool:
    return row.ends_at is not None and row.ends_at <= now


def _named(where: SealedColumn, row: SealedRow) -> str:
    """Such as `MerchantKey of account 1 (project 1001, 1002)`; nothing of the secret, and of a token enough to tell it."""
    name = f"{where.what} {masked(row.key) if isinstance(row.key, str) else row.key}"
    if where.table == "project" or not row.projects:
        return name
    return f"{name} (project {', '.join(map(str, row.projects))})"
