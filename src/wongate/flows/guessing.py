"""Guessing slows down: each failure makes the next try wait longer, for the account, for the address, and over all (ASVS 6.3.1).

The counters are rows, so they hold over processes. A try is counted before it is judged: a hundred at once are a hundred tries.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from wongate.connections.database import Tx
from wongate.flows.platform import Platform
from wongate.store import sessions
from wongate.store.people import login_key


@dataclass(frozen=True, slots=True)
class Limit:
    """`free` failures cost nothing; then waits double from one second up to `wait_max_s`. Quiet for `forget_s` forgets all."""

    free: int
    wait_max_s: int
    forget_s: int

    def wait_after(self, failures: int) -> timedelta:
        if failures < self.free:
            return timedelta(0)
        return timedelta(seconds=min(2 ** min(failures - self.free, 20), self.wait_max_s))


LIMITS = {
    "login": Limit(free=5, wait_max_s=300, forget_s=3600),
    "factor": Limit(free=5, wait_max_s=300, forget_s=3600),
    "address": Limit(free=20, wait_max_s=900, forget_s=3600),  # an office may share one address
    "all": Limit(free=500, wait_max_s=1, forget_s=600),  # a whole botnet gets one try a second
}


def subjects(address: str, *, login: str = "", person_id: int = 0) -> Mapping[str, Limit]:
    """What a try counts against. The login is hashed: people type passwords into that field."""
    found = {f"address:{address}": LIMITS["address"], "all": LIMITS["all"]}
    if login:
        found[f"login:{hashlib.sha256(login_key(login).encode()).hexdigest()}"] = LIMITS["login"]
    if person_id:
        found[f"factor:{person_id}"] = LIMITS["factor"]
    return found


async def take_try(platform: Platform, against: Mapping[str, Limit]) -> float:
    """Seconds to wait before a try is allowed; 0 counts this one."""

    async def story(tx: Tx) -> float:
        now = platform.clock.now()
        rows = {subject: await sessions.lock_guess(tx, subject, now) for subject in sorted(against)}
        wait = max((row["free_at"] - now for row in rows.values()), default=timedelta(0))
        if wait > timedelta(0):
            return wait.total_seconds()
        for subject, row in rows.items():
            failures = _failures(row["failures"], row["last_at"], now, against[subject]) + 1
            free_at = now + against[subject].wait_after(failures)
            await sessions.save_guess(tx, subject, failures, now, free_at)
        return 0.0

    return await platform.database.run(story)


async def give_back(tx: Tx, against: Mapping[str, Limit], now: datetime) -> None:
    """The try was right. The account's own failures are forgotten; the address gets this one try back and no more, or a
    guesser would clear it with an account of his own."""
    own = [subject for subject in against if subject.startswith(("login:", "factor:"))]
    for subject in sorted(set(against) - set(own)):
        row = await sessions.lock_guess(tx, subject, now)
        await sessions.save_guess(tx, subject, max(0, row["failures"] - 1), now, now)
    await sessions.forget_guesses(tx, own)


def _failures(failures: int, last_at: datetime, now: datetime, limit: Limit) -> int:
    return 0 if now - last_at > timedelta(seconds=limit.forget_s) else failures
