"""The rows of the books: a payment from its opened window on, its cancellations, and notifications to be sent."""

import json
from dataclasses import dataclass

# States of a payment: opened -> authenticated -> approved -> cancelled is the good way and its undoing.
OPENED = "opened"
REFUSED = "refused"  # the payer cancelled, failed or came too late; end_code says which
AUTHENTICATED = "authenticated"
APPROVED = "approved"  # also after partial cancels
CANCELLED = "cancelled"  # nothing remains
DEAD = "dead"  # net cancel came before the approval: the token can never be approved

DONE, PENDING, FAILED = "done", "pending", "failed"  # states of a cancellation

SCHEMA = """
CREATE TABLE IF NOT EXISTS merchant (mid TEXT PRIMARY KEY, settings TEXT NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS payment (
    id INTEGER PRIMARY KEY,
    mid TEXT NOT NULL,
    moid TEXT NOT NULL,
    amount INTEGER NOT NULL CHECK (amount > 0),
    auth_token TEXT NOT NULL UNIQUE,
    state TEXT NOT NULL,
    end_code TEXT NOT NULL,
    tid TEXT UNIQUE,
    funding TEXT NOT NULL,
    cc_part_cl TEXT NOT NULL,
    quota TEXT NOT NULL,
    auth_code TEXT NOT NULL,
    opened_at REAL NOT NULL,
    expires_at REAL NOT NULL,
    authenticated_at REAL,
    approved_at REAL,
    approvals INTEGER NOT NULL,
    net_cancels INTEGER NOT NULL,
    cancelled INTEGER NOT NULL CHECK (cancelled BETWEEN 0 AND amount),
    request TEXT NOT NULL,
    UNIQUE (moid, mid)
) STRICT;
CREATE TABLE IF NOT EXISTS cancellation (
    id INTEGER PRIMARY KEY,
    payment_id INTEGER NOT NULL REFERENCES payment,
    tid TEXT NOT NULL,
    cancel_moid TEXT NOT NULL,
    amount INTEGER NOT NULL CHECK (amount > 0),
    remain INTEGER NOT NULL,
    number TEXT NOT NULL,
    kind TEXT NOT NULL,
    state TEXT NOT NULL,
    cancelled_at REAL NOT NULL,
    settles_at REAL,
    settles_to TEXT,
    reason TEXT NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS cancellation_of_payment ON cancellation (payment_id);
CREATE INDEX IF NOT EXISTS cancellation_by_tid ON cancellation (tid);
CREATE INDEX IF NOT EXISTS cancellation_in_progress ON cancellation (settles_at) WHERE state = 'pending';
CREATE TABLE IF NOT EXISTS notice (
    id INTEGER PRIMARY KEY,
    mid TEXT NOT NULL,
    tid TEXT NOT NULL,
    moid TEXT NOT NULL,
    state_cd TEXT NOT NULL,
    url TEXT NOT NULL,
    body BLOB NOT NULL,
    tries INTEGER NOT NULL,
    next_at REAL,
    last_answer TEXT NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS notice_due ON notice (next_at) WHERE next_at IS NOT NULL;
"""


@dataclass(frozen=True, slots=True)
class Payment:
    """One row of `payment`, from the opened window on."""

    id: int
    mid: str
    moid: str
    amount: int
    auth_token: str
    state: str
    end_code: str
    tid: str | None
    funding: str
    cc_part_cl: str
    quota: str
    auth_code: str
    opened_at: float
    expires_at: float
    authenticated_at: float | None
    approved_at: float | None
    approvals: int
    net_cancels: int
    cancelled: int
    request: str

    @property
    def remain(self) -> int:
        return self.amount - self.cancelled if self.approvals else 0

    def asked(self) -> dict[str, str]:
        """What the window was opened with: return_url, charset, base_url, embedder, lang and the echoed fields."""
        asked: dict[str, str] = json.loads(self.request)
        return asked


@dataclass(frozen=True, slots=True)
class Cancellation:
    id: int
    payment_id: int
    tid: str
    cancel_moid: str
    amount: int
    remain: int
    number: str
    kind: str  # full, partial, net or admin
    state: str
    cancelled_at: float
    settles_at: float | None
    settles_to: str | None
    reason: str


@dataclass(frozen=True, slots=True)
class Notice:
    id: int
    mid: str
    tid: str
    moid: str
    state_cd: str
    url: str
    body: bytes
    tries: int
    next_at: float | None
    last_answer: str
