"""What the shop must not forget, in one SQLite file: orders, requests sent to Gate, callbacks received.

A request is kept before it is sent and a callback before it is answered, so that `kill -9` at any moment
loses nothing: what has no answer yet is sent again as it was.
"""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

Clock = Callable[[], datetime]

# Refused callbacks help to find a wrong secret; a stranger's flood of them must not fill the disk.
REFUSED_KEPT = 100

SCHEMA = """
CREATE TABLE IF NOT EXISTS placed_order (
    number INTEGER PRIMARY KEY,
    payment_id TEXT NOT NULL UNIQUE COLLATE NOCASE,  -- the platform compares payment ids without case
    item TEXT NOT NULL,
    description TEXT NOT NULL,
    amount INTEGER NOT NULL,
    way TEXT NOT NULL,
    customer_id TEXT NOT NULL,
    language TEXT NOT NULL,
    created_at TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS request (
    number INTEGER PRIMARY KEY,
    payment_id TEXT NOT NULL COLLATE NOCASE,
    kind TEXT NOT NULL,
    refund_id TEXT UNIQUE,
    url TEXT NOT NULL,
    body TEXT NOT NULL,
    signed_text TEXT NOT NULL,
    sent_at TEXT NOT NULL,
    http_status INTEGER,
    answer TEXT NOT NULL DEFAULT '',
    verified INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX IF NOT EXISTS request_of_payment ON request (payment_id);
CREATE TABLE IF NOT EXISTS callback (
    number INTEGER PRIMARY KEY,
    payment_id TEXT COLLATE NOCASE,
    operation_id TEXT,  -- null in a refused callback: a forged one must not keep the genuine one out
    operation_status TEXT,
    body TEXT NOT NULL,
    verified INTEGER NOT NULL,
    problem TEXT NOT NULL DEFAULT '',
    received_at TEXT NOT NULL,
    times INTEGER NOT NULL DEFAULT 1,
    UNIQUE (operation_id, operation_status)
);
CREATE INDEX IF NOT EXISTS callback_of_payment ON callback (payment_id);
"""


@dataclass(frozen=True)
class Order:
    payment_id: str
    item: str  # a name from goods.py, or "" for an order made through the API
    description: str
    amount: int
    way: str  # "gate", "page" (redirect), "widget", or "elsewhere": learnt of from a callback
    customer_id: str
    language: str
    created_at: str


@dataclass(frozen=True)
class SentRequest:
    """One request to Gate. `http_status` is None while, or because, no answer came."""

    number: int
    payment_id: str
    kind: str  # "sale", "refund" or "status"
    refund_id: str | None
    url: str
    body: str
    signed_text: str
    sent_at: str
    http_status: int | None
    answer: str
    verified: bool


@dataclass(frozen=True)
class ReceivedCallback:
    number: int
    payment_id: str | None
    operation_id: str | None
    operation_status: str | None
    body: str
    verified: bool
    problem: str
    received_at: str
    times: int


class Orders:
    """One connection, one thread: a statement takes less time than handing it to another thread would."""

    def __init__(self, path: Path, clock: Clock) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._clock = clock
        self._rows = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._rows.row_factory = sqlite3.Row
        # What execute() has returned from survives the death of this process. For a power cut too it would
        # take `synchronous = FULL`, which waits for the disk on every callback (15 ms on a plain one).
        self._rows.execute("PRAGMA journal_mode = WAL")
        self._rows.execute("PRAGMA synchronous = NORMAL")
        self._rows.executescript(SCHEMA)

    def close(self) -> None:
        self._rows.close()

    def now(self) -> str:
        return self._clock().astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")

    @contextmanager
    def all_or_nothing(self) -> Iterator[None]:
        self._rows.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._rows.execute("ROLLBACK")
            raise
        self._rows.execute("COMMIT")

    def place(self, order: Order) -> None:
        """A payment that is known already stays as it is."""
        self._rows.execute(
            "INSERT INTO placed_order"
            " (payment_id, item, description, amount, way, customer_id, language, created_at)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (payment_id) DO NOTHING",
            (
                order.payment_id,
                order.item,
                order.description,
                order.amount,
                order.way,
                order.customer_id,
                order.language,
                order.created_at,
            ),
        )

    def find(self, payment_id: str) -> Order | None:
        row = self._rows.execute("SELECT * FROM placed_order WHERE payment_id = ?", (payment_id,)).fetchone()
        return row and _order(row)

    def newest(self, before: int, limit: int) -> list[tuple[int, Order]]:
        """Newest first, each with its number; orders from the number `before` on were shown already."""
        found = self._rows.execute(
            "SELECT * FROM placed_order WHERE number < ? ORDER BY number DESC LIMIT ?", (before, limit)
        )
        return [(row["number"], _order(row)) for row in found]

    def keep_request(
        self, payment_id: str, kind: str, url: str, body: str, signed_text: str, refund_id: str | None
    ) -> SentRequest:
        row = self._rows.execute(
            "INSERT INTO request (payment_id, kind, refund_id, url, body, signed_text, sent_at)"
            " VALUES (?, ?, ?, ?, ?, ?, ?) RETURNING *",
            (payment_id, kind, refund_id, url, body, signed_text, self.now()),
        ).fetchone()
        return _request(row)

    def refund_was_asked(self, refund_id: str) -> bool:
        found = self._rows.execute("SELECT 1 FROM request WHERE refund_id = ?", (refund_id,))
        return found.fetchone() is not None

    def keep_answer(self, number: int, http_status: int | None, answer: str, verified: bool) -> None:
        self._rows.execute(
            "UPDATE request SET http_status = ?, answer = ?, verified = ? WHERE number = ?",
            (http_status, answer, verified, number),
        )

    def request(self, number: int) -> SentRequest | None:
        row = self._rows.execute("SELECT * FROM request WHERE number = ?", (number,)).fetchone()
        return row and _request(row)

    def requests(self, payment_id: str) -> list[SentRequest]:
        found = self._rows.execute(
            "SELECT * FROM request WHERE payment_id = ? ORDER BY number", (payment_id,)
        )
        return [_request(row) for row in found]

    def keep_callback(
        self, payment_id: str | None, operation_id: str | None, operation_status: str | None, body: str
    ) -> bool:
        """Keeps a verified callback; False when this operation was reported with this status before."""
        row = self._rows.execute(
            "INSERT INTO callback (payment_id, operation_id, operation_status, body, verified, received_at)"
            " VALUES (?, ?, ?, ?, 1, ?)"
            " ON CONFLICT (operation_id, operation_status) DO UPDATE SET times = times + 1"
            " RETURNING times",
            (payment_id, operation_id, operation_status, body, self.now()),
        ).fetchone()
        return bool(row["times"] == 1)

    def keep_refused(self, payment_id: str | None, body: str, problem: str) -> None:
        self._rows.execute(
            "INSERT INTO callback (payment_id, body, verified, problem, received_at) VALUES (?, ?, 0, ?, ?)",
            (payment_id, body, problem, self.now()),
        )
        self._rows.execute(
            "DELETE FROM callback WHERE NOT verified AND number NOT IN"
            " (SELECT number FROM callback WHERE NOT verified ORDER BY number DESC LIMIT ?)",
            (REFUSED_KEPT,),
        )

    def callbacks(self, payment_id: str) -> list[ReceivedCallback]:
        found = self._rows.execute(
            "SELECT * FROM callback WHERE payment_id = ? ORDER BY number", (payment_id,)
        )
        return [_callback(row) for row in found]

    def refused_callbacks(self) -> list[ReceivedCallback]:
        found = self._rows.execute("SELECT * FROM callback WHERE NOT verified ORDER BY number DESC LIMIT 20")
        return [_callback(row) for row in found]

    def version(self, payment_id: str) -> str:
        """Another text whenever anything was added to this payment's story."""
        row = self._rows.execute(
            "SELECT (SELECT count(*) || '.' || count(http_status) FROM request WHERE payment_id = :id)"
            " || '.' || (SELECT count(*) || '.' || total(times) FROM callback WHERE payment_id = :id)",
            {"id": payment_id},
        ).fetchone()
        return str(row[0])


def _order(row: sqlite3.Row) -> Order:
    return Order(**{name: row[name] for name in Order.__dataclass_fields__})


def _request(row: sqlite3.Row) -> SentRequest:
    return SentRequest(**dict(row) | {"verified": bool(row["verified"])})


def _callback(row: sqlite3.Row) -> ReceivedCallback:
    return ReceivedCallback(**dict(row) | {"verified": bool(row["verified"])})
