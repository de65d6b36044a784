"""Connecting to a PostgreSQL of which several hosts are named, and noticing when the one that answered falls silent."""

import os
import re
import socket
from typing import Any

import asyncpg

CONNECT_S = 3.0
"""Seconds for one of several hosts: a machine without power answers nothing at all, and the next one may be the leader. A caller
waits five seconds for a connection (database.ACQUIRE_S)."""

SILENT_S = 10
"""Seconds until a connection to a machine that vanished without a word counts as lost. Without a limit statements hang until
asyncpg's own, a minute, three times as long as a cluster takes to choose a new leader."""

_HOSTS = re.compile(
    r"^(?P<head>[a-z]+://(?:[^@/?]*@)?)(?P<hosts>[^@/?]*,[^@/?]*)(?P<rest>(?:[/?].*)?)$", re.DOTALL
)

_PASSED_BY = (OSError, TimeoutError, asyncpg.CannotConnectNowError, asyncpg.TargetServerAttributeNotMatched)
"""What one host of several may answer with: nobody there, starting up, a standby where the leader is wanted."""


class Hosts:
    """The servers of a URL. Whoever answered last is asked first the next time."""

    def __init__(self, url: str, *, connect_s: float = CONNECT_S) -> None:
        self._urls = each(url)
        self._connect_s = connect_s

    async def connect(self, **options: Any) -> asyncpg.Connection:
        """Options are asyncpg's. Raises what the last host answered."""
        if len(self._urls) == 1:
            return _watched(await asyncpg.connect(self._urls[0], **options))
        for url in list(self._urls):
            try:
                connection = await asyncpg.connect(url, **{**options, "timeout": self._connect_s})
            except _PASSED_BY as error:
                last = error
                continue
            self._urls.sort(key=lambda other: other != url)
            return _watched(connection)
        raise last


def each(url: str) -> list[str]:
    """`postgresql://user:password@one:5432,two:5433/name?...` as one URL for each host; whole where one alone cannot tell."""
    found = _HOSTS.match(url)
    if found is None or "prefer-standby" in url:
        return [url]
    return [f"{found['head']}{host}{found['rest']}" for host in found["hosts"].split(",")]


def _watched(connection: asyncpg.Connection) -> asyncpg.Connection:
    """The kernel asks a silent peer every other second whether it is there; a server busy with a long statement still answers."""
    transport = connection._transport.get_extra_info("socket")
    with socket.socket(fileno=os.dup(transport.fileno())) as ours:
        if ours.family != socket.AF_UNIX and hasattr(socket, "TCP_USER_TIMEOUT"):  # Linux
            ours.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            ours.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, SILENT_S // 2)
            ours.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 2)
            ours.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, SILENT_S * 1000)
    return connection
