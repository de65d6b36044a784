"""Pages in place of the one that was wanted: no payment here, a body that was not read, a platform in trouble."""

from collections.abc import Mapping

from starlette.requests import Request
from starlette.responses import Response

from wongate.domain.refusal import Refused
from wongate.web.pages import language_of, show
from wongate.web.words import words

TOO_SLOW, TOO_LARGE = 408, 413
BODY_UNREAD = frozenset({TOO_SLOW, TOO_LARGE})
END_CONNECTION = {"Connection": "close"}
"""Goes with both: what is still to come of the body is nobody's."""


def lost(request: Request, _error: Exception | None = None) -> Response:
    say = words("checkout", language_of(request)).gettext
    return _notice(
        request, 404, say("There is no payment here"), say("Please go back to the shop and start again.")
    )


def refused(request: Request, error: Exception) -> Response:
    """A body that came too slowly or is too large is told so; whatever else is refused here looks like no payment."""
    status = error.http_status if isinstance(error, Refused) else 0
    say = words("checkout", language_of(request)).gettext
    if status == TOO_SLOW:
        heading, text = say("This came too slowly"), say("Please reload the page to send it once more.")
    elif status == TOO_LARGE:
        heading, text = say("This is too large"), say("Please go back to the shop and start again.")
    else:
        return lost(request)
    page = _notice(request, status, heading, text)
    page.headers.update(END_CONNECTION)
    return page


def unavailable(request: Request, _error: Exception | None = None) -> Response:
    return in_trouble(request, 503, again_after_s=5)


def broken(request: Request, _error: Exception | None = None) -> Response:
    return in_trouble(request, 500, again_after_s=0)


def in_trouble(
    request: Request, http_status: int, again_after_s: int, resend: Mapping[str, str] | None = None
) -> Response:
    """Only a page that was asked for by GET may ask for itself again; `resend` is a form to be sent here once more."""
    say = words("checkout", language_of(request)).gettext
    return _notice(
        request,
        http_status,
        say("Something went wrong on our side"),
        say("Your payment is safe. Please try once more in a moment."),
        again_after_s=again_after_s if request.method == "GET" else 0,
        resend=resend,
    )


def _notice(
    request: Request,
    http_status: int,
    heading: str,
    text: str,
    *,
    again_after_s: int = 0,
    resend: Mapping[str, str] | None = None,
) -> Response:
    return show(
        request,
        "notice.html",
        language=language_of(request),
        http_status=http_status,
        heading=heading,
        text=text,
        again_after_s=again_after_s,
        resend=resend,
        own_url=request.url.path,
    )
