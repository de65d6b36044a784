"""People of the Dashboard: who they are, what they may do, which projects they see, their recovery codes."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

from wongate.connections.database import Tx
from wongate.domain.person import Person
from wongate.domain.rights import Right, Role

_PERSON = (
    "SELECT p.person_id, p.login, p.name, p.password_hash, p.password_initial, p.roles, p.rights_added, "
    "p.rights_removed, p.sealed_totp, p.totp_step, p.language, p.time_zone, p.active, p.created_at, "
    "ARRAY(SELECT project_id FROM person_project WHERE person_id = p.person_id ORDER BY 1) AS project_ids "
    "FROM person p"
)


def person_of(row: Any) -> Person:
    values = dict(row)
    values["roles"] = frozenset(Role(name) for name in values["roles"])
    values["rights_added"] = frozenset(Right(name) for name in values["rights_added"])
    values["rights_removed"] = frozenset(Right(name) for name in values["rights_removed"])
    values["project_ids"] = tuple(values["project_ids"])
    return Person(**values)


def login_key(login: str) -> str:
    return login.strip().casefold()


async def by_login(tx: Tx, login: str) -> Person | None:
    row = await tx.fetchrow(f"{_PERSON} WHERE p.login_key = $1", login_key(login))
    return person_of(row) if row else None


async def load(tx: Tx, person_id: int) -> Person | None:
    row = await tx.fetchrow(f"{_PERSON} WHERE p.person_id = $1", person_id)
    return person_of(row) if row else None


async def lock(tx: Tx, person_id: int) -> Person | None:
    """The lock in one statement, the row in the next, as it is once others have finished."""
    await tx.fetchval("SELECT 1 FROM person WHERE person_id = $1 FOR UPDATE", person_id)
    return await load(tx, person_id)


async def of_projects(tx: Tx, project_ids: Sequence[int]) -> list[Person]:
    """Everybody who sees at least one of the projects."""
    rows = await tx.fetch(
        f"{_PERSON} WHERE EXISTS (SELECT 1 FROM person_project s WHERE s.person_id = p.person_id "
        "AND s.project_id = ANY($1)) ORDER BY p.active DESC, p.login_key",
        list(project_ids),
    )
    return [person_of(row) for row in rows]


async def every(tx: Tx) -> list[Person]:
    return [person_of(row) for row in await tx.fetch(f"{_PERSON} ORDER BY p.login_key")]


async def create(
    tx: Tx,
    *,
    person_id: int,
    login: str,
    name: str,
    password_hash: str,
    password_initial: bool,
    roles: Collection[Role],
    language: str,
    time_zone: str,
    now: datetime,
) -> bool:
    """False when the login is taken."""
    return bool(
        await tx.fetchval(
            "INSERT INTO person (person_id, login, login_key, name, password_hash, password_initial, roles, language, "
            "time_zone, created_at, changed_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $10) "
            "ON CONFLICT DO NOTHING RETURNING true",
            person_id,
            login.strip(),
            login_key(login),
            name,
            password_hash,
            password_initial,
            sorted(roles),
            language,
            time_zone,
            now,
        )
    )


async def save_access(
    tx: Tx,
    person_id: int,
    roles: Collection[Role],
    added: Collection[Right],
    removed: Collection[Right],
    now: datetime,
) -> None:
    await tx.execute(
        "UPDATE person SET roles = $2, rights_added = $3, rights_removed = $4, changed_at = $5 WHERE person_id = $1",
        person_id,
        sorted(roles),
        sorted(added),
        sorted(removed),
        now,
    )


async def save_projects(tx: Tx, person_id: int, project_ids: Collection[int]) -> None:
    await tx.execute(
        "DELETE FROM person_project WHERE person_id = $1 AND NOT project_id = ANY($2)",
        person_id,
        list(project_ids),
    )
    await tx.execute(
        "INSERT INTO person_project (project_id, person_id) SELECT unnest($2::bigint[]), $1 ON CONFLICT DO NOTHING",
        person_id,
        list(project_ids),
    )


async def save_password(tx: Tx, person_id: int, password_hash: str, *, initial: bool, now: datetime) -> None:
    await tx.execute(
        "UPDATE person SET password_hash = $2, password_initial = $3, changed_at = $4 WHERE person_id = $1",
        person_id,
        password_hash,
        initial,
        now,
    )


async def save_second_factor(tx: Tx, person_id: int, sealed: str | None, step: int, now: datetime) -> None:
    await tx.execute(
        "UPDATE person SET sealed_totp = $2, totp_step = $3, changed_at = $4 WHERE person_id = $1",
        person_id,
        sealed,
        step,
        now,
    )


async def take_step(tx: Tx, person_id: int, step: int) -> bool:
    """Marks a one-time code as used; False when it, or a later one, was used before. Of two at once one wins."""
    return bool(
        await tx.fetchval(
            "UPDATE person SET totp_step = $2 WHERE person_id = $1 AND totp_step < $2 RETURNING true",
            person_id,
            step,
        )
    )


async def save_preferences(tx: Tx, person_id: int, language: str, time_zone: str, now: datetime) -> None:
    await tx.execute(
        "UPDATE person SET language = $2, time_zone = $3, changed_at = $4 WHERE person_id = $1",
        person_id,
        language,
        time_zone,
        now,
    )


async def save_active(tx: Tx, person_id: int, active: bool, now: datetime) -> None:
    await tx.execute(
        "UPDATE person SET active = $2, changed_at = $3 WHERE person_id = $1", person_id, active, now
    )


async def replace_recovery_codes(tx: Tx, person_id: int, hashes: Sequence[str]) -> None:
    await tx.execute("DELETE FROM recovery_code WHERE person_id = $1", person_id)
    await tx.execute(
        "INSERT INTO recovery_code (person_id, code_hash) SELECT $1, unnest($2::text[])",
        person_id,
        list(hashes),
    )


async def use_recovery_code(tx: Tx, person_id: int, code_hash: str, now: datetime) -> bool:
    """False for a code that is unknown or used."""
    return bool(
        await tx.fetchval(
            "UPDATE recovery_code SET used_at = $3 WHERE person_id = $1 AND code_hash = $2 AND used_at IS NULL "
            "RETURNING true",
            person_id,
            code_hash,
            now,
        )
    )


async def recovery_codes_left(tx: Tx, person_id: int) -> int:
    return int(
        await tx.fetchval(
            "SELECT count(*) FROM recovery_code WHERE person_id = $1 AND used_at IS NULL", person_id
        )
    )
