"""The Data API's stories: who calls, how often, and what goes to a `destination_url` beside the answer (section 5.6)."""

import asyncio
import math
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from wongate.connections.database import Tx
from wongate.connections.json_text import dumps
from wongate.domain.callback import signed
from wongate.domain.data_requests import DataError
from wongate.domain.rights import Right
from wongate.domain.signature import verify
from wongate.flows import profile
from wongate.flows.platform import Platform
from wongate.flows.profile import TokenHolder
from wongate.flows.tell import lane_of
from wongate.store import pushes, rates, tokens
from wongate.store.rates import Pace

CALLS_MAX = 60
MINUTE = timedelta(minutes=1)
WIDE_APART = timedelta(seconds=10)
"""Between two requests over more than 180 days (E-24)."""

WIDE_WAIT_MAX = timedelta(minutes=1)
"""A turn further away than this is refused: clients hang up before it comes."""

PUSHES_MAX = 100
"""Waiting pushes of one token: each may hold a megabyte for ten days."""

Pause = Callable[[float], Awaitable[None]]


async def recognise(platform: Platform, body: Mapping[str, Any]) -> TokenHolder:
    """Whose token signed the request. Raises DataError 400, 401 or 403."""
    token, signature = body.get("token"), body.get("signature")
    if not isinstance(token, str) or not isinstance(signature, str):
        raise DataError(400, "token and signature are required")
    holder = await profile.by_api_token(platform, token)
    if holder is None:
        raise DataError(401, "The token is not valid")
    if not verify(body, signature, [holder.secret]):
        raise DataError(401, "The signature is not valid")
    if Right.PAYMENTS not in holder.person.rights:
        raise DataError(403, "You may not see payments")
    return holder


async def keep_pace(platform: Platform, token: str) -> None:
    """Counts the call. Raises DataError 429 for the 61st within a minute, which counts for nothing."""

    async def story(tx: Tx) -> None:
        now = platform.clock.now()
        pace = await rates.lock(tx, token)
        recent = [at for at in pace.calls if now - MINUTE < at <= now]
        if len(recent) >= CALLS_MAX:
            raise _too_fast(recent[0] + MINUTE - now, f"No more than {CALLS_MAX} requests a minute")
        await rates.save(tx, token, replace(pace, calls=[*recent, now]))
        await tokens.mark_used(tx, token, now)

    await platform.database.run(story)


async def take_turn(platform: Platform, token: str, pause: Pause = asyncio.sleep) -> None:
    """Requests over a long interval go one after another, ten seconds apart: waits for the turn of this one."""

    async def story(tx: Tx) -> timedelta:
        now = platform.clock.now()
        pace = await rates.lock(tx, token)
        turn = _turn(pace, now)
        if turn - now > WIDE_WAIT_MAX:
            raise _too_fast(
                turn - now - WIDE_WAIT_MAX, "Too many requests over more than 180 days wait already"
            )
        await rates.save(tx, token, replace(pace, wide_at=turn))
        return turn - now

    wait = await platform.database.run(story)
    if wait:
        await pause(wait.total_seconds())


def _turn(pace: Pace, now: datetime) -> datetime:
    """A turn later than any that is given out was made before the clock stepped back."""
    if pace.wide_at is None or pace.wide_at > now + WIDE_WAIT_MAX:
        return now
    return max(now, pace.wide_at + WIDE_APART)


def _too_fast(wait: timedelta, message: str) -> DataError:
    return DataError(429, message, retry_after_s=math.ceil(wait.total_seconds()))


def check_destination(platform: Platform, url: str) -> None:
    """Raises DataError for a URL that no push may ever go to (E-19)."""
    reason = platform.http.check_url(url)
    if reason:
        raise DataError(400, f"destination_url: {reason}")


async def push(platform: Platform, holder: TokenHolder, token: str, url: str, answer: dict[str, Any]) -> None:
    """Lays the signed answer ready for its destination, which the worker serves (E-23). Raises DataError 429."""
    body = dumps(await asyncio.to_thread(signed, answer, holder.secret))

    async def story(tx: Tx) -> None:
        if await pushes.waiting(tx, token) >= PUSHES_MAX:
            raise DataError(429, f"{PUSHES_MAX} pushes of this token wait already", retry_after_s=60)
        await pushes.enqueue(tx, platform.ids.next(), token, lane_of(url), url, body, platform.clock.now())

    await platform.database.run(story)
