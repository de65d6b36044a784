"""Runs one of our programs as its own command line does, and kills it with SIGKILL at exactly its k-th seam.

    WONGATE_TEST_DIE_AT=17 WONGATE_TEST_SEAMS=FILE python -m tests.faults.doomed wongate worker

A seam is where state may be lost: before and after each commit, each outbound call, each answer. They are hooked where all of
them pass - `Database`, the simulator's SQLite connection, aiohttp's client, uvicorn's application - so that a new commit, call or
answer is one by itself. Only this launcher knows the variables; nothing in the programs does.

Instead of a number it may be a seam's name: `call http://127.0.0.1:8081/webapi/cancel_process.jsp`, the first of them.

Each seam is written into FILE before the process goes on, or dies: the last line says where.
"""

import functools
import os
import runpy
import signal
import sqlite3
import sys
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import aiohttp
import uvicorn

from wongate.connections.database import Database

Message = MutableMapping[str, Any]
Send = Callable[[Message], Awaitable[None]]
WRITES = ("INSERT", "UPDATE", "DELETE")


class Doom:
    """Counts the seams of this process."""

    def __init__(self, at: str, record: int) -> None:
        self._at = at
        self._record = record
        self._passed = 0

    def seam(self, name: str) -> None:
        self._passed += 1
        os.write(self._record, f"{name}\n".encode())
        if self._at in (str(self._passed), name):
            os.kill(os.getpid(), signal.SIGKILL)


def doom_commits(doom: Doom) -> None:
    connect = Database.connect

    async def connect_with_seam(url: str, **options: Any) -> Database:
        return await connect(url, **{**options, "seam": doom.seam})

    Database.connect = connect_with_seam  # type: ignore[method-assign]

    class Connection(sqlite3.Connection):
        def execute(self, statement: str, *values: Any) -> sqlite3.Cursor:
            """Outside of a transaction a write commits by itself."""
            alone = not self.in_transaction and statement.lstrip().upper().startswith(WRITES)
            if not alone and statement != "COMMIT":
                return super().execute(statement, *values)
            doom.seam("commit")
            cursor = super().execute(statement, *values)
            doom.seam("committed")
            return cursor

    sqlite3.connect = functools.partial(sqlite3.connect, factory=Connection)  # type: ignore[assignment]


def doom_calls(doom: Doom) -> None:
    request = aiohttp.ClientSession._request

    async def request_with_seam(self: aiohttp.ClientSession, *target: Any, **options: Any) -> Any:
        doom.seam(f"call {target[1]}")
        answer = await request(self, *target, **options)
        doom.seam(f"back from {target[1]}")
        return answer

    aiohttp.ClientSession._request = request_with_seam  # type: ignore[method-assign]


def doom_answers(doom: Doom) -> None:
    """But for those that only say something: the stage looks at health and books as often as it likes."""
    load = uvicorn.Config.load

    def load_with_seam(self: uvicorn.Config) -> None:
        load(self)
        application = self.loaded_app

        async def doomed(scope: Message, receive: Any, send: Send) -> None:
            async def send_with_seam(message: Message) -> None:
                is_last = message["type"] == "http.response.body" and not message.get("more_body")
                if is_last:
                    doom.seam(f"answer {scope['path']}")
                await send(message)
                if is_last:
                    doom.seam(f"answered {scope['path']}")

            changes = scope["type"] == "http" and scope["method"] != "GET"
            await application(scope, receive, send_with_seam if changes else send)

        self.loaded_app = doomed

    uvicorn.Config.load = load_with_seam  # type: ignore[method-assign]


def main() -> None:
    record = os.open(
        os.environ["WONGATE_TEST_SEAMS"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o600
    )
    doom = Doom(os.environ["WONGATE_TEST_DIE_AT"], record)
    doom_commits(doom)
    doom_calls(doom)
    doom_answers(doom)
    del sys.argv[0]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
