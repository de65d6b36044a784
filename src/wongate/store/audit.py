"""The audit log of people: rows that are only ever added, each sealed by a hash over the one before it."""

import hashlib
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from wongate.connections.database import Tx

_COLUMNS = "seq, at, person_id, actor, address, action, object, project_ids, before, after, confirmed, hash"


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing that somebody did. `before` and `after` hold what changed, secrets masked by who writes them."""

    seq: int
    at: datetime
    person_id: int | None
    actor: str
    address: str
    action: str
    object: str
    project_ids: tuple[int, ...]
    before: Mapping[str, Any] | None
    after: Mapping[str, Any] | None
    confirmed: bool
    hash: str

    def expected_hash(self, previous: str) -> str:
        """SHA-256 over the previous hash and the row in one fixed spelling."""
        content = asdict(self)
        del content["hash"]
        content["at"] = self.at.astimezone(UTC).isoformat(timespec="microseconds")
        text = json.dumps(content, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(f"{previous}\n{text}".encode()).hexdigest()


async def lock_head(tx: Tx) -> tuple[int, str]:
    """Number and hash of the last entry. Writers wait here for one another; taken last, after every other lock."""
    await tx.fetchval("SELECT 1 FROM audit_head WHERE id = 1 FOR UPDATE")
    return await head(tx)


async def head(tx: Tx) -> tuple[int, str]:
    row = await tx.fetchrow("SELECT seq, hash FROM audit_head WHERE id = 1")
    return row["seq"], row["hash"]


async def append(tx: Tx, entry: Entry) -> None:
    await tx.execute(
        f"INSERT INTO audit_entry ({_COLUMNS}) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
        entry.seq,
        entry.at,
        entry.person_id,
        entry.actor,
        entry.address,
        entry.action,
        entry.object,
        list(entry.project_ids),
        entry.before,
        entry.after,
        entry.confirmed,
        entry.hash,
    )
    await tx.execute("UPDATE audit_head SET seq = $1, hash = $2 WHERE id = 1", entry.seq, entry.hash)


async def walk(tx: Tx, rows_at_once: int = 1000) -> AsyncIterator[Sequence[Entry]]:
    """The whole log in order, a thousand rows at a time."""
    after = -(2**62)
    while True:
        rows = await tx.fetch(
            f"SELECT {_COLUMNS} FROM audit_entry WHERE seq > $1 ORDER BY seq LIMIT $2", after, rows_at_once
        )
        if not rows:
            return
        yield [entry_of(row) for row in rows]
        after = rows[-1]["seq"]


def entry_of(row: Mapping[str, Any]) -> Entry:
    return Entry(**{**row, "project_ids": tuple(row["project_ids"])})
