"""PostgreSQL: a pool, transactions that are repeated where that is safe, and plain reads."""

import asyncio
import json
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any, TypeVar

import asyncpg

from wongate.connections.hosts import Hosts
from wongate.connections.json_text import dumps

T = TypeVar("T")
Tx = Any
"""A connection inside a transaction; asyncpg's own types are not exported in a form that helps here."""

REPEATABLE = (asyncpg.SerializationError, asyncpg.DeadlockDetectedError, asyncpg.LockNotAvailableError)
LOST = (
    asyncpg.ConnectionDoesNotExistError,
    asyncpg.ConnectionFailureError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.CannotConnectNowError,
    asyncpg.IdleInTransactionSessionTimeoutError,
    asyncpg.ReadOnlySQLTransactionError,  # the leader became a standby; a new connection finds the new one
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # what asyncpg says of a connection that broke in the middle of an exchange
    asyncpg.InsufficientResourcesError,  # disk full, out of memory, too many connections
    ConnectionError,
    TimeoutError,
)
_SERVER_SETTINGS = {
    "application_name": "wongate",
    "timezone": "UTC",
    # Never an unbounded wait: a process that is frozen or cut off in the middle of a transaction keeps its row locks, and
    # with them a payment, for half a minute at most; who waits for them starts again after ten seconds (55P03).
    "idle_in_transaction_session_timeout": "30s",
    "lock_timeout": "10s",
}
_KNOWS_CITUS = "SELECT EXISTS (SELECT FROM pg_extension WHERE extname = 'citus')"
TRIES = 5
ACQUIRE_S = 5.0
"""Seconds to wait for a free connection before the caller is told to come back (503), never longer."""


class Unavailable(Exception):
    """The database cannot be reached or is overloaded. Nothing was done, or nobody knows: a resend meets the stored answer."""


class _Connection(asyncpg.Connection):  # type: ignore[misc]
    spread = False
    """Are tables spread over several servers (Citus)? These take several writes in one statement only within one server."""

    async def reset(self, *, timeout: float | None = None) -> None:
        """Nothing to reset: no session settings, cursors or advisory locks are used. The default costs 15-20 % a request."""


class Database:
    """Hands out transactions and reads. `seam` is told before and after every commit: the crash tests' way in."""

    def __init__(self, pool: Any, seam: Callable[[str], None] | None = None, *, spread: bool = False) -> None:
        self._pool = pool
        self.spread = spread
        self.seam = seam or (lambda name: None)

    @classmethod
    async def connect(
        cls,
        url: str,
        *,
        size: int = 8,
        seam: Callable[[str], None] | None = None,
        spread: bool | None = None,
        read_only: bool = False,
    ) -> "Database":
        """Raises Unavailable with a readable reason when the server is not there.

        `spread`: tables are spread over several servers; found out from the server where it is not told.
        `read_only`: the server refuses every write, also where it could.
        """

        hosts = Hosts(url)

        async def another(*_: Any, **options: Any) -> Any:
            return await hosts.connect(**options)

        async def prepare(connection: Any) -> None:
            await _speak_json(connection)
            connection.spread = await connection.fetchval(_KNOWS_CITUS) if spread is None else spread

        try:
            pool = await asyncpg.create_pool(
                connect=another,
                min_size=1,
                max_size=size,
                init=prepare,
                connection_class=_Connection,
                command_timeout=60,
                server_settings=_SERVER_SETTINGS
                | ({"default_transaction_read_only": "on"} if read_only else {}),
            )
            async with pool.acquire() as connection:
                return cls(pool, seam, spread=connection.spread)
        except (OSError, asyncpg.PostgresError, *LOST) as error:
            raise Unavailable(f"cannot connect to the database: {error}") from error

    async def close(self) -> None:
        try:
            await asyncio.wait_for(self._pool.close(), 5)
        except TimeoutError:
            self._pool.terminate()

    @asynccontextmanager
    async def read(self) -> AsyncIterator[Any]:
        """A connection for single statements, each a transaction of its own."""
        try:
            connection = await self._pool.acquire(timeout=ACQUIRE_S)
        except (OSError, *LOST) as error:
            raise Unavailable(str(error)) from error
        try:
            yield connection
        except LOST as error:
            with suppress(*LOST):
                connection.terminate()  # in whatever state it is, nobody may be handed it again
            raise Unavailable(str(error)) from error
        finally:
            await self._pool.release(connection)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Tx]:
        """One transaction, tried once; commits on leaving."""
        async with self.read() as connection:
            async with connection.transaction():
                yield connection
                self.seam("commit")
            self.seam("committed")

    @asynccontextmanager
    async def statement(self) -> AsyncIterator[Tx]:
        """For a story that is one statement, which PostgreSQL makes a transaction by itself: two round trips less."""
        async with self.read() as connection:
            self.seam("commit")
            yield connection
            self.seam("committed")

    async def run(self, story: Callable[[Tx], Awaitable[T]], *, one_statement: bool = False) -> T:
        """Runs the story in a transaction, again from its start where PostgreSQL asks for it (40001, 40P01, 55P03) or the
        connection was lost. Stories are written so that a repetition after a commit that got through finds its own work.

        `one_statement` says that the story is a single one wherever tables are not spread over servers. Raises Unavailable
        when it does not come through in five tries.
        """
        alone = one_statement and not self.spread
        for attempt in range(1, TRIES + 1):
            try:
                async with self.statement() if alone else self.transaction() as tx:
                    return await story(tx)
            except (*REPEATABLE, Unavailable) as error:
                if attempt == TRIES:
                    raise Unavailable(str(error)) from error
                await asyncio.sleep(random.uniform(0.01, 0.05) * 2**attempt)  # noqa: S311 - jitter, not a secret
        raise AssertionError("unreachable")


async def connect(url: str, **options: Any) -> asyncpg.Connection:
    """One connection, for what is done once, with asyncpg's options. Raises Unavailable."""
    try:
        return await Hosts(url).connect(**options)
    except (OSError, ValueError, asyncpg.PostgresError, *LOST) as error:
        raise Unavailable(f"cannot connect to the database: {error}") from error


async def _speak_json(connection: Any) -> None:
    await connection.set_type_codec(
        "jsonb",
        encoder=dumps,
        decoder=json.loads,
        schema="pg_catalog",
    )
    await connection.set_type_codec(  # rows for json_to_recordset come as UTF-8: as texts they would be read and written again
        "json",
        encoder=_as_it_is,
        decoder=bytes.decode,
        schema="pg_catalog",
        format="binary",
    )


def _as_it_is(encoded: bytes) -> bytes:
    return encoded
