"""Login sessions, kept on the server, and the counters that slow down guessing."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from wongate.connections.database import Tx
from wongate.domain.person import Session

_COLUMNS = "session_id, csrf, person_id, address, device, created_at, seen_at, confirmed_at"


async def create(
    tx: Tx,
    *,
    session_id: int,
    token_hash: str,
    csrf: str,
    person_id: int,
    address: str,
    device: str,
    now: datetime,
) -> None:
    await tx.execute(
        "INSERT INTO session (session_id, token_hash, csrf, person_id, address, device, created_at, seen_at) "
        "VALUES ($1, $2, $3, $4, $5, $6, $7, $7)",
        session_id,
        token_hash,
        csrf,
        person_id,
        address,
        device,
        now,
    )


async def by_token(tx: Tx, token_hash: str, idle_since: datetime, created_since: datetime) -> Session | None:
    """The living session of that token: not ended, used after `idle_since`, begun after `created_since`."""
    row = await tx.fetchrow(
        f"SELECT {_COLUMNS} FROM session WHERE token_hash = $1 AND ended_at IS NULL AND seen_at > $2 "
        "AND created_at > $3",
        token_hash,
        idle_since,
        created_since,
    )
    return Session(**row) if row else None


async def touch(tx: Tx, session_id: int, now: datetime) -> None:
    await tx.execute(
        "UPDATE session SET seen_at = greatest(seen_at, $2) WHERE session_id = $1", session_id, now
    )


async def confirm(tx: Tx, session_id: int, token_hash: str, now: datetime) -> bool:
    """A new token and a fresh second factor. False when the session has ended meanwhile."""
    return bool(
        await tx.fetchval(
            "UPDATE session SET token_hash = $2, confirmed_at = $3, seen_at = $3 "
            "WHERE session_id = $1 AND ended_at IS NULL RETURNING true",
            session_id,
            token_hash,
            now,
        )
    )


async def living(tx: Tx, person_id: int, idle_since: datetime, created_since: datetime) -> list[Session]:
    rows = await tx.fetch(
        f"SELECT {_COLUMNS} FROM session WHERE person_id = $1 AND ended_at IS NULL AND seen_at > $2 "
        "AND created_at > $3 ORDER BY seen_at DESC",
        person_id,
        idle_since,
        created_since,
    )
    return [Session(**row) for row in rows]


async def end(tx: Tx, person_id: int, session_ids: Sequence[int], now: datetime) -> int:
    """The number of sessions that were alive and are ended now."""
    ended = await tx.fetch(
        "UPDATE session SET ended_at = $3 WHERE person_id = $1 AND session_id = ANY($2) AND ended_at IS NULL "
        "RETURNING 1",
        person_id,
        list(session_ids),
        now,
    )
    return len(ended)


async def end_all(tx: Tx, person_id: int, now: datetime, *, but: int = 0) -> int:
    ended = await tx.fetch(
        "UPDATE session SET ended_at = $2 WHERE person_id = $1 AND session_id <> $3 AND ended_at IS NULL RETURNING 1",
        person_id,
        now,
        but,
    )
    return len(ended)


async def lock_guess(tx: Tx, subject: str, now: datetime) -> Any:
    """Failures so far and the moment from which a try is free again; the row stays locked until the transaction ends."""
    await tx.execute(
        "INSERT INTO guess (subject, failures, last_at, free_at) VALUES ($1, 0, $2, $2) ON CONFLICT DO NOTHING",
        subject,
        now,
    )
    await tx.fetchval("SELECT 1 FROM guess WHERE subject = $1 FOR UPDATE", subject)
    return await tx.fetchrow("SELECT failures, last_at, free_at FROM guess WHERE subject = $1", subject)


async def save_guess(tx: Tx, subject: str, failures: int, now: datetime, free_at: datetime) -> None:
    await tx.execute(
        "UPDATE guess SET failures = $2, last_at = $3, free_at = $4 WHERE subject = $1",
        subject,
        failures,
        now,
        free_at,
    )


async def forget_guesses(tx: Tx, subjects: Sequence[str]) -> None:
    await tx.execute("DELETE FROM guess WHERE subject = ANY($1)", list(subjects))


async def sweep(tx: Tx, guesses_before: datetime, sessions_before: datetime) -> None:
    """Forgets counters that no longer slow anybody down and sessions that nobody asks about any more."""
    await tx.execute("DELETE FROM guess WHERE last_at < $1", guesses_before)
    await tx.execute("DELETE FROM session WHERE created_at < $1", sessions_before)
