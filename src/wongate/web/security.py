"""What keeps the Dashboard's pages safe in a browser: headers, the cookie, and where a request may come from."""

import hmac
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import Response

from wongate.web import violations
from wongate.web.http import Send

SAFE_METHODS = frozenset({"GET", "HEAD"})
YEAR_S = 365 * 24 * 3600
HSTS = ("Strict-Transport-Security", f"max-age={YEAR_S}; includeSubDomains")
"""Goes with every answer over TLS."""


def headers(nonce: str, *, secure: bool) -> Mapping[str, str]:
    """For every answer of the Dashboard. `secure`: it is served over TLS."""
    policy = (
        f"default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; img-src 'self' data:; "
        "connect-src 'self'; form-action 'self'; base-uri 'none'; object-src 'none'; frame-ancestors 'none'; "
        f"report-uri {violations.PATH}"
    )
    found = {
        "Content-Security-Policy": policy,
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=()",
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
        "Cache-Control": "no-store",
    }
    if secure:
        found |= [HSTS]
    return found


def over_tls(send: Send) -> Send:
    """Adds to an answer without a page what tells its reader to stay with TLS."""
    name, value = HSTS

    async def sending(message: Mapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            more = (name.lower().encode(), value.encode())
            message = {**message, "headers": [*message["headers"], more]}
        await send(message)

    return sending


def cookie_name(secure: bool) -> str:
    """Browsers take `__Host-` over TLS only; plain http is for a sandbox on this machine."""
    return "__Host-wongate" if secure else "wongate"


def set_cookie(response: Response, token: str, *, secure: bool) -> None:
    response.set_cookie(cookie_name(secure), token, path="/", secure=secure, httponly=True, samesite="lax")


def clear_cookie(response: Response, *, secure: bool) -> None:
    response.delete_cookie(cookie_name(secure), path="/", secure=secure, httponly=True, samesite="lax")


def is_from_our_pages(request: Request) -> bool:
    """What the browser says about the origin of an unsafe request; where it says nothing, the answer is no."""
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        return site == "same-origin"
    origin = urlsplit(request.headers.get("origin", ""))
    return bool(origin.netloc) and origin.netloc == request.headers.get("host")


def is_right_token(given: str, expected: str) -> bool:
    return hmac.compare_digest(given.encode(), expected.encode())


def is_loopback(request: Request) -> bool:
    """Whether the browser named this machine itself; a name of somebody else's that leads here is not that."""
    return request.url.hostname in ("127.0.0.1", "localhost", "::1")
