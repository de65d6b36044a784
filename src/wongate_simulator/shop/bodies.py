"""Request bodies, read up to a limit."""

import json
from typing import Any
from urllib.parse import parse_qsl

from starlette.requests import Request

FORM_LIMIT = 8 * 1024


class BodyTooLarge(Exception):
    """The sender wants us to read more than any honest body has."""


class BodyUnreadable(Exception):
    """The text says what is wrong, in words for the sender."""


async def read_body(request: Request, limit: int) -> bytes:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > limit:
            raise BodyTooLarge
    return bytes(body)


async def read_form(request: Request) -> dict[str, str]:
    body = await read_body(request, FORM_LIMIT)
    return dict(parse_qsl(body.decode(errors="replace"), keep_blank_values=True))


async def read_json_object(request: Request) -> dict[str, Any]:
    """An empty body is an empty object."""
    body = await read_body(request, FORM_LIMIT)
    try:
        members = json.loads(body or b"{}")
    except (ValueError, RecursionError) as problem:
        raise BodyUnreadable("the body is not JSON") from problem
    if not isinstance(members, dict):
        raise BodyUnreadable("the body is not a JSON object")
    return members
