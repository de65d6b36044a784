"""One entry of the audit log of people, and the hash that ties it to the entry before."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, Self


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

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> Self:
        """From a row of the table."""
        return cls(**{**row, "project_ids": tuple(row["project_ids"])})

    def expected_hash(self, previous: str) -> str:
        """SHA-256 over the previous hash and the row in one fixed spelling."""
        content = asdict(self)
        del content["hash"]
        content["at"] = self.at.astimezone(UTC).isoformat(timespec="microseconds")
        text = json.dumps(content, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(f"{previous}\n{text}".encode()).hexdigest()
