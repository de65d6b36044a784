"""The simulated PG's books: one SQLite file, committed before anything is answered, so that kill -9 loses nothing.

WAL with synchronous=NORMAL survives the death of the process, which is what the simulator promises; a power cut may cost
the last moments. One connection, used from the event loop only: a commit takes tens of microseconds.
"""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, astuple
from pathlib import Path
from typing import Any

from wongate_simulator.merchants import Merchant
from wongate_simulator.records import (
    APPROVED,
    AUTHENTICATED,
    DEAD,
    DONE,
    OPENED,
    REFUSED,
    SCHEMA,
    Cancellation,
    Notice,
    Payment,
)


class DuplicateMoid(Exception):
    """The merchant has used this order number before (W005)."""


class Books:
    """Every statement is one method; whoever needs several of them to hold together uses `together()`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        # The connection is made before the event loop starts and closed after it; only one thread works at a time.
        self.db = sqlite3.connect(path, isolation_level=None, cached_statements=64, check_same_thread=False)
        self.db.execute("PRAGMA journal_mode=WAL")
        self.db.execute("PRAGMA synchronous=NORMAL")
        self.db.execute("PRAGMA foreign_keys=ON")
        self.db.executescript(SCHEMA)

    def close(self) -> None:
        self.db.close()

    @contextmanager
    def together(self) -> Iterator[None]:
        """One commit for all; within another, that other's."""
        if self.db.in_transaction:
            yield
            return
        self.db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self.db.execute("ROLLBACK")
            raise
        self.db.execute("COMMIT")

    # merchants

    def merchants(self) -> list[Merchant]:
        return [Merchant(**json.loads(text)) for (text,) in self.db.execute("SELECT settings FROM merchant")]

    def save_merchant(self, merchant: Merchant) -> None:
        self.db.execute(
            "INSERT INTO merchant VALUES (?, ?) ON CONFLICT (mid) DO UPDATE SET settings = excluded.settings",
            (merchant.mid, json.dumps(asdict(merchant), ensure_ascii=False)),
        )

    # payments

    def open(
        self,
        mid: str,
        moid: str,
        amount: int,
        auth_token: str,
        opened_at: float,
        expires_at: float,
        request: str,
    ) -> Payment:
        """Raises DuplicateMoid."""
        columns = (mid, moid, amount, auth_token, OPENED, "", None, "", "", "", "", opened_at, expires_at)
        blank = (None, None, 0, 0, 0)
        try:
            cursor = self.db.execute(_INSERT_PAYMENT, (*columns, *blank, request))
        except sqlite3.IntegrityError as clash:
            raise DuplicateMoid from clash
        return Payment(cursor.lastrowid or 0, *columns, *blank, request)

    def by_token(self, auth_token: str) -> Payment | None:
        return self._one("SELECT * FROM payment WHERE auth_token = ?", auth_token)

    def by_id(self, payment_id: int) -> Payment:
        return Payment(*self.db.execute("SELECT * FROM payment WHERE id = ?", (payment_id,)).fetchone())

    def by_tid(self, tid: str) -> Payment | None:
        return self._one("SELECT * FROM payment WHERE tid = ?", tid)

    def by_moid(self, mid: str, moid: str) -> Payment | None:
        return self._one("SELECT * FROM payment WHERE mid = ? AND moid = ?", mid, moid)

    def latest(self, search: str, limit: int) -> list[Payment]:
        """Newest first; `search` is an exact Moid or TID, or empty for all."""
        if search:
            found = "SELECT * FROM payment WHERE moid = ?1 OR tid = ?1 ORDER BY id DESC LIMIT ?2"
            rows = self.db.execute(found, (search, limit))
        else:
            rows = self.db.execute("SELECT * FROM payment ORDER BY id DESC LIMIT ?", (limit,))
        return [Payment(*row) for row in rows]

    def refuse(self, payment: Payment, end_code: str) -> bool:
        """The window ends without an authentication. False when it had ended before."""
        return self._changed(
            "UPDATE payment SET state = ?, end_code = ? WHERE id = ? AND state = ?",
            REFUSED,
            end_code,
            payment.id,
            OPENED,
        )

    def expire(self, payment: Payment, moment: float) -> None:
        self.db.execute(
            "UPDATE payment SET expires_at = min(expires_at, ?) WHERE id = ?", (moment, payment.id)
        )

    def authenticate(
        self, payment: Payment, tid: str, funding: str, cc_part_cl: str, quota: str, moment: float
    ) -> bool | None:
        """False when the window had ended before, None when the TID is taken."""
        try:
            return self._changed(
                "UPDATE payment SET state = ?, tid = ?, funding = ?, cc_part_cl = ?, quota = ?, authenticated_at = ?"
                " WHERE id = ? AND state = ?",
                *(AUTHENTICATED, tid, funding, cc_part_cl, quota, moment, payment.id, OPENED),
            )
        except sqlite3.IntegrityError:
            return None

    def approve(self, payment: Payment, auth_code: str, moment: float) -> bool:
        """False when the payment is not in the state for it."""
        return self._changed(
            "UPDATE payment SET state = ?, auth_code = ?, approved_at = ?, approvals = approvals + 1"
            " WHERE id = ? AND state = ?",
            *(APPROVED, auth_code, moment, payment.id, AUTHENTICATED),
        )

    def kill(self, payment: Payment) -> None:
        """A net cancel came before the approval."""
        self.db.execute(
            "UPDATE payment SET state = ? WHERE id = ? AND state = ?", (DEAD, payment.id, AUTHENTICATED)
        )

    # cancellations

    def cancel(self, payment: Payment, cancellation: Cancellation) -> None:
        """Books a done or pending cancellation; money moves only with a done one."""
        columns = astuple(cancellation)[1:]
        with self.together():
            self.db.execute(_INSERT_CANCELLATION, columns)
            if cancellation.state == DONE:
                self._move(payment.id, cancellation.amount, cancellation.kind == "net")

    def _move(self, payment_id: int, amount: int, net: bool) -> None:
        self.db.execute(
            "UPDATE payment SET cancelled = cancelled + ?1, net_cancels = net_cancels + ?2,"
            " state = CASE WHEN cancelled + ?1 = amount THEN 'cancelled' ELSE state END WHERE id = ?3",
            (amount, int(net), payment_id),
        )

    def settle_due(self, moment: float) -> list[tuple[Payment, Cancellation]]:
        """Ends the cancels in progress (2002) whose time has come; answers with those that went through."""
        rows = self.db.execute(
            "SELECT * FROM cancellation WHERE state = 'pending' AND settles_at <= ?", (moment,)
        ).fetchall()
        ended = [Cancellation(*row) for row in rows]
        for cancellation in ended:
            with self.together():
                self.db.execute(
                    "UPDATE cancellation SET state = settles_to, cancelled_at = ? WHERE id = ?",
                    (moment, cancellation.id),
                )
                if cancellation.settles_to == DONE:
                    self._move(cancellation.payment_id, cancellation.amount, cancellation.kind == "net")
        return [(self.by_id(one.payment_id), one) for one in ended if one.settles_to == DONE]

    def cancellations(self, payment: Payment) -> list[Cancellation]:
        rows = self.db.execute("SELECT * FROM cancellation WHERE payment_id = ? ORDER BY id", (payment.id,))
        return [Cancellation(*row) for row in rows]

    def knows_cancel_tid(self, tid: str) -> bool:
        return (
            self.db.execute("SELECT 1 FROM cancellation WHERE tid = ? AND state = 'done'", (tid,)).fetchone()
            is not None
        )

    # notices

    def add_notice(self, payment: Payment, state_cd: str, url: str, body: bytes, next_at: float) -> None:
        self.db.execute(
            "INSERT INTO notice (mid, tid, moid, state_cd, url, body, tries, next_at, last_answer)"
            " VALUES (?, ?, ?, ?, ?, ?, 0, ?, '')",
            (payment.mid, payment.tid, payment.moid, state_cd, url, body, next_at),
        )

    def due_notices(self, moment: float, limit: int) -> list[Notice]:
        rows = self.db.execute(
            "SELECT * FROM notice WHERE next_at <= ? ORDER BY next_at LIMIT ?", (moment, limit)
        )
        return [Notice(*row) for row in rows]

    def note_try(self, notice: Notice, answer: str, next_at: float | None) -> None:
        self.db.execute(
            "UPDATE notice SET tries = tries + 1, last_answer = ?, next_at = ? WHERE id = ?",
            (answer, next_at, notice.id),
        )

    def notices_of(self, payment: Payment) -> list[Notice]:
        rows = self.db.execute("SELECT * FROM notice WHERE tid = ? ORDER BY id", (payment.tid,))
        return [Notice(*row) for row in rows]

    def notices(self, limit: int) -> list[Notice]:
        rows = self.db.execute("SELECT * FROM notice ORDER BY id DESC LIMIT ?", (limit,))
        return [Notice(*row) for row in rows]

    # the whole

    def forget(self) -> None:
        """Everything but the merchants."""
        with self.together():
            self.db.execute("DELETE FROM notice")
            self.db.execute("DELETE FROM cancellation")
            self.db.execute("DELETE FROM payment")

    def counts(self) -> dict[str, int]:
        return dict(self.db.execute("SELECT state, count(*) FROM payment GROUP BY state").fetchall())

    def statement(self, moid: str | None) -> Iterator[str]:
        """The whole books as JSON text in pieces, from a connection of its own: one consistent moment, any thread."""
        reader = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False)
        try:
            entries = _ENTRIES if moid is None else _ENTRIES_OF_MOID
            rows = reader.execute(entries, {"iso": "%Y-%m-%dT%H:%M:%S+09:00", "moid": moid})
            yield '{"books": ['
            separator = "\n"
            while batch := rows.fetchmany(1000):
                yield separator + ",\n".join(text for (text,) in batch)
                separator = ",\n"
            yield "\n]}\n"
        finally:
            reader.close()

    def _one(self, statement: str, *values: Any) -> Payment | None:
        row = self.db.execute(statement, values).fetchone()
        return None if row is None else Payment(*row)

    def _changed(self, statement: str, *values: Any) -> bool:
        return self.db.execute(statement, values).rowcount == 1


_INSERT_PAYMENT = "INSERT INTO payment VALUES (NULL, ?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)"
_INSERT_CANCELLATION = "INSERT INTO cancellation VALUES (NULL, ?,?,?,?,?,?,?,?,?,?,?,?)"
# SQLite writes the JSON itself: 100,000 payments in 0.7 s, most of it outside the interpreter lock.
_ENTRY = """
SELECT json_object(
    'mid', mid, 'moid', moid, 'amount', amount, 'tid', tid, 'state', state, 'end_code', end_code, 'funding', funding,
    'approvals', approvals, 'net_cancels', net_cancels, 'cancelled', cancelled,
    'remain', CASE WHEN approvals > 0 THEN amount - cancelled ELSE 0 END,
    'opened_at', strftime(:iso, opened_at, 'unixepoch', '+9 hours'),
    'authenticated_at', strftime(:iso, authenticated_at, 'unixepoch', '+9 hours'),
    'approved_at', strftime(:iso, approved_at, 'unixepoch', '+9 hours'),
    'cancels', CASE WHEN approvals = 0 THEN json('[]') ELSE (
        SELECT json_group_array(json_object(
            'CancelMOID', cancel_moid, 'tid', c.tid, 'amount', c.amount, 'remain', c.remain, 'CancelNum', number,
            'kind', kind, 'state', c.state,
            'cancelled_at', strftime(:iso, cancelled_at, 'unixepoch', '+9 hours')))
        FROM cancellation c WHERE c.payment_id = payment.id) END)
FROM payment
"""
_ENTRIES = _ENTRY + "ORDER BY id"
_ENTRIES_OF_MOID = _ENTRY + "WHERE moid = :moid ORDER BY id"
