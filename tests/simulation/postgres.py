"""The one real part of the simulated world: PostgreSQL, spoken to one statement at a time.

While a statement runs nothing else does, so the order of statements is the order that the seed decided. A statement that meets
somebody's row lock is noticed at once (`lock_timeout`), taken back, and parked until a transaction ends.
"""

import asyncio
from collections.abc import Callable, Coroutine
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar

import asyncpg

from wongate.connections.database import _speak_json

if TYPE_CHECKING:
    from tests.simulation.process import Process

T = TypeVar("T")

LOCK_WAIT_S = 10.0
IDLE_IN_TRANSACTION_S = 30.0
"""What production asks of the server (connections/database.py), kept here in virtual time."""

_EMPTIED = [
    "attempt",
    "callback",
    "lane",
    "notice",
    "exchange",
    "ledger_entry",
    "transition",
    "operation",
    "payment",
    "audit_entry",
    "audit_head",
]
_TABLES = "SELECT oid::regclass::text AS name FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"
_NEXT_DUE = (
    "SELECT (SELECT min(wake_at) FROM operation WHERE wake_at IS NOT NULL) AS wake, "
    "(SELECT min(due_at) FROM callback WHERE state = 'waiting') AS callback, "
    "(SELECT min(by_hand_at) FROM callback WHERE by_hand_at IS NOT NULL) AS resend, "
    "(SELECT min(wake_at) FROM notice WHERE wake_at IS NOT NULL) AS notice"
)


class Postgres:
    """Connections of a loop of their own, driven to the end of each statement while the simulation's loop stands."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._loop = asyncio.new_event_loop()
        self._free: list[Any] = []
        self._plain = self._connect()
        self._worlds = 0
        self.open_transactions: list[Session] = []
        self.waiting: list[asyncio.Future[None]] = []
        self.changed: Callable[[], None] = lambda: None
        for row in self.fetch(_TABLES):  # autovacuum's locks would come and go in real time
            self.wait(self._plain.execute(f"ALTER TABLE {row['name']} SET (autovacuum_enabled = off)"))

    def close(self) -> None:
        for raw in (self._plain, *self._free):
            self.wait(raw.close())
        self._loop.close()

    def wait(self, statement: Coroutine[Any, Any, T]) -> T:
        outer = asyncio._get_running_loop()
        asyncio._set_running_loop(None)
        try:
            return self._loop.run_until_complete(statement)
        finally:
            asyncio._set_running_loop(outer)

    def _connect(self) -> Any:
        async def connect() -> Any:
            settings = {"timezone": "UTC", "lock_timeout": "2ms", "enable_seqscan": "off"}
            raw = await asyncpg.connect(self._url, server_settings=settings)
            await _speak_json(raw)
            return raw

        return self.wait(connect())

    def fetch(self, statement: str, *arguments: Any) -> list[Any]:
        """Outside of the simulated world: for setting up and for the auditor."""
        return list(self.wait(self._plain.fetch(statement, *arguments)))

    def emptied(self) -> None:
        """A world without payments. Rows are deleted: TRUNCATE takes a hundred times as long on tables as small as these."""
        self.open_transactions.clear()
        self.waiting.clear()
        self.wait(self._plain.execute("; ".join(f"DELETE FROM {table}" for table in _EMPTIED)))
        self._worlds += 1
        if self._worlds % 50 == 0:
            for table in _EMPTIED:
                self.wait(self._plain.execute(f"VACUUM {table}"))

    def next_due(self) -> dict[str, datetime | None]:
        return dict(self.fetch(_NEXT_DUE)[0])

    def take(self) -> Any:
        """A connection inside a transaction that has not seen anything yet; to have it begun before saves a round trip."""
        if self._free:
            return self._free.pop()
        raw = self._connect()
        self.wait(raw.execute("BEGIN"))
        return raw

    def give_back(self, session: "Session") -> None:
        """Called when a transaction has ended, one way or the other."""
        self._free.append(session.raw)
        session.raw = None
        self.open_transactions.remove(session)
        waiting, self.waiting = self.waiting, []
        for future in waiting:
            if not future.done():
                future.set_result(None)

    def plain(self) -> Any:
        return self._plain


class Pool:
    """What a simulated process has in place of asyncpg's pool."""

    def __init__(self, postgres: Postgres, process: "Process") -> None:
        self._postgres = postgres
        self._process = process

    async def acquire(self, timeout: float | None = None) -> "Session":
        return Session(self._postgres, self._process)

    async def release(self, session: "Session") -> None:
        session.end("ROLLBACK")


class Session:
    """A connection as production code uses it. Outside of a transaction its statements run on a shared real connection, since
    each is atomic; a transaction takes a real one of its own with its first statement."""

    spread = False  # one server, as in most installations

    def __init__(self, postgres: Postgres, process: "Process") -> None:
        self._postgres = postgres
        self._process = process
        self.raw: Any = None
        self._in_transaction = False
        self._broken = ""

    def transaction(self) -> "Transaction":
        return Transaction(self)

    async def fetch(self, statement: str, *arguments: Any) -> Any:
        return await self._run("fetch", statement, arguments)

    async def fetchrow(self, statement: str, *arguments: Any) -> Any:
        return await self._run("fetchrow", statement, arguments)

    async def fetchval(self, statement: str, *arguments: Any) -> Any:
        return await self._run("fetchval", statement, arguments)

    async def execute(self, statement: str, *arguments: Any) -> Any:
        return await self._run("execute", statement, arguments)

    async def _run(self, method: str, statement: str, arguments: tuple[Any, ...]) -> Any:
        if not self._in_transaction and not statement.startswith("SELECT"):  # a transaction by itself
            async with self.transaction():
                return await self._run(method, statement, arguments)
        await self._process.step(f"sql {statement[:40]}")
        if self._process.fate("connection lost"):
            self._lose("connection lost")
        since_s = self._process.world.loop.time()
        while True:
            self._check()
            try:
                return self._execute(method, statement, arguments)
            except asyncpg.LockNotAvailableError:
                if self._process.world.loop.time() - since_s >= LOCK_WAIT_S:
                    raise
            await self._wait_for_a_lock(LOCK_WAIT_S)

    def _execute(self, method: str, statement: str, arguments: tuple[Any, ...]) -> Any:
        if not self._in_transaction:
            return self._postgres.wait(getattr(self._postgres.plain(), method)(statement, *arguments))
        first = self.raw is None
        if first:
            self.raw = self._postgres.take()
            self._postgres.open_transactions.append(self)
        try:
            return self._postgres.wait(self._inside(first, method, statement, arguments))
        except asyncpg.LockNotAvailableError:
            if first:
                self.end("ROLLBACK")
            else:
                self._postgres.wait(self.raw.execute("ROLLBACK TO SAVEPOINT statement"))
            raise

    async def _inside(self, first: bool, method: str, statement: str, arguments: tuple[Any, ...]) -> Any:
        if not first and len(self._postgres.open_transactions) > 1:  # alone it cannot meet a lock
            await self.raw.execute("SAVEPOINT statement")
        return await getattr(self.raw, method)(statement, *arguments)

    async def _wait_for_a_lock(self, limit_s: float) -> None:
        self._process.world.count("waited for a lock")
        self._process.world.tell(self._process.name, "waits for a lock")
        released: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._postgres.waiting.append(released)
        await asyncio.wait([released], timeout=limit_s)
        await self._process.step("lock")

    def begin(self) -> None:
        self._in_transaction = True

    async def commit(self) -> None:
        await self._about_to_commit()
        self.end("COMMIT")
        self._in_transaction = False
        await self._has_committed()

    async def _about_to_commit(self) -> None:
        """Every commit passes here, whether of a transaction or of a statement that is one by itself."""
        await self._process.seam("commit")
        self._check()
        if self._process.fate("lost before commit"):
            self._lose("connection lost before COMMIT")

    async def _has_committed(self) -> None:
        self._postgres.changed()
        await self._process.seam("committed")
        if self._process.fate("lost after commit"):
            self._lose("connection lost after COMMIT")

    def rollback(self) -> None:
        self.end("ROLLBACK")
        self._in_transaction = False

    def end(self, word: str) -> None:
        if self.raw is not None:
            self._postgres.wait(self.raw.execute(f"{word} AND CHAIN"))
            self._postgres.give_back(self)

    def kill(self, why: str) -> None:
        """The server ends this session: its process died, or slept in a transaction for too long."""
        self.end("ROLLBACK")
        self._broken = self._broken or why

    def terminate(self) -> None:
        self.kill("given up by its user")

    def _lose(self, why: str) -> None:
        self.kill(why)
        self._check()

    def _check(self) -> None:
        if self._broken:
            raise asyncpg.ConnectionDoesNotExistError(self._broken)


class Transaction:
    """`async with connection.transaction()`"""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def __aenter__(self) -> None:
        self._session.begin()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: Any
    ) -> None:
        if kind is None:
            await self._session.commit()
        else:
            self._session.rollback()
