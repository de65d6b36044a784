"""Headers that every answer carries, and the refusal of forms that another site sends."""

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from wongate_simulator.shop.pages import refuse

SAME_FOR_ALL = {
    "X-Content-Type-Options": "nosniff",
    # With no-referrer browsers send `Origin: null` from our own forms too, and foreign ones look the same.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


class Guard:
    """There is no sign-in to steal here, but no foreign page may press this shop's refund button."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(SAME_FOR_ALL)
            await send(message)

        if scope["method"] == "POST" and _comes_from_another_site(Headers(scope=scope)):
            response = refuse(Request(scope))
            return await response(scope, receive, send_with_headers)
        return await self._app(scope, receive, send_with_headers)


def _comes_from_another_site(headers: Headers) -> bool:
    """Browsers say so themselves; programs, such as the platform with a callback, send neither header."""
    site = headers.get("sec-fetch-site")
    if site is not None:
        return site not in ("same-origin", "none")
    origin = headers.get("origin")
    return origin is not None and origin.partition("://")[2] != headers.get("host")
