"""A second database server for questions that may be answered a moment late."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

import asyncpg

from wongate.connections.database import Database, Tx, Unavailable
from wongate.connections.hosts import CONNECT_S

log = logging.getLogger(__name__)
T = TypeVar("T")

AWAY_S = 5.0
"""Seconds for which a replica that did not answer is left alone: nobody else waits for it meanwhile."""


class Away(Exception):
    """The replica has no answer; the main database has."""


class Replica:
    """Opened with the first question, and again whenever it has come back. Writes are refused by the server itself."""

    def __init__(self, url: str, *, size: int, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._url, self._size, self._monotonic = url, size, monotonic
        self._database: Database | None = None
        self._opening = asyncio.Lock()
        self._away_until = 0.0

    async def read(self, story: Callable[[Tx], Awaitable[T]]) -> T:
        """Raises Away: not reached, lost meanwhile, or a standby that must replay what the question looks at (40001), or that has
        not yet replayed the latest migration."""
        try:
            database = await self._opened()
            async with database.read() as tx:
                return await story(tx)
        except Unavailable as error:
            self._away_until = self._monotonic() + AWAY_S
            log.warning("replica away, the main database answers", extra={"reason": str(error)})
            raise Away from error
        except asyncpg.PostgresError as error:
            log.warning("replica refused, the main database answers", extra={"reason": str(error)})
            raise Away from error

    async def _opened(self) -> Database:
        async with self._opening:
            if self._monotonic() < self._away_until:
                raise Away
            if self._database is None:
                try:
                    async with asyncio.timeout(CONNECT_S):
                        self._database = await Database.connect(self._url, size=self._size, read_only=True)
                except TimeoutError:
                    raise Unavailable(f"no answer within {CONNECT_S:g} s") from None
            return self._database

    async def close(self) -> None:
        if self._database is not None:
            await self._database.close()
