"""Writing down what people do, in the transaction that does it, and proving later that nothing was changed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from wongate.connections.database import Database, Tx
from wongate.domain.audit import Entry
from wongate.flows.platform import Platform
from wongate.store import audit


@dataclass(frozen=True, slots=True)
class Actor:
    """Who acts, and from where. `confirmed`: with a second factor at most five minutes old."""

    person_id: int | None
    login: str
    address: str
    project_ids: tuple[int, ...] = ()
    confirmed: bool = False


OPERATOR = Actor(person_id=None, login="operator", address="command line")
"""Whoever may run the command line on the server; machines and their logs know who that was."""


async def record(
    tx: Tx,
    actor: Actor,
    action: str,
    object_: str,
    at: datetime,
    *,
    project_ids: Sequence[int],
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
) -> None:
    """Call it last in a transaction: from here on other writers wait. `before` and `after` must not hold a secret."""
    seq, previous = await audit.lock_head(tx)
    entry = Entry(
        seq=seq + 1,
        at=at,
        person_id=actor.person_id,
        actor=actor.login,
        address=actor.address,
        action=action,
        object=object_,
        project_ids=tuple(sorted(project_ids)),
        before=before,
        after=after,
        confirmed=actor.confirmed,
        hash="",
    )
    await audit.append(tx, replace(entry, hash=entry.expected_hash(previous)))


async def note(
    platform: Platform, actor: Actor, action: str, *, after: Mapping[str, Any] | None = None
) -> None:
    """Writes down a deed that changes no row of its own: something was looked at or taken out."""

    async def story(tx: Tx) -> None:
        object_ = f"person/{actor.person_id}"
        await record(
            tx, actor, action, object_, platform.clock.now(), project_ids=actor.project_ids, after=after
        )

    await platform.database.run(story)


@dataclass(frozen=True, slots=True)
class Verdict:
    """`bad_seq` is the first row that does not fit, None for an unbroken chain; `head` the hash to keep elsewhere."""

    entries: int
    head: str
    bad_seq: int | None = None
    reason: str = ""


async def verify(database: Database) -> Verdict:
    """Walks the whole chain. A cut-off end shows against the head row, and against a head hash kept elsewhere."""
    async with database.transaction() as tx:
        await tx.execute(
            "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"
        )  # one picture; nobody waits
        last, head = await audit.head(tx)
        seq, previous = 0, ""
        async for entries in audit.walk(tx):
            for entry in entries:
                if entry.seq != seq + 1:
                    reason = (
                        "a row was inserted"
                        if entry.seq <= seq
                        else f"rows {seq + 1} to {entry.seq - 1} are missing"
                    )
                    return Verdict(seq, head, entry.seq if entry.seq <= seq else seq + 1, reason)
                if entry.hash != entry.expected_hash(previous):
                    return Verdict(seq, head, entry.seq, "the row or its place was changed")
                seq, previous = entry.seq, entry.hash
    if (seq, previous) != (last, head):
        return Verdict(seq, head, min(seq, last) + 1, "the end of the log does not fit its head")
    return Verdict(seq, head)


def changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The members that differ, as they were and as they are."""
    names = [name for name in {**before, **after} if before.get(name) != after.get(name)]
    return {name: before.get(name) for name in names}, {name: after.get(name) for name in names}
