"""The checkout's pages: templates, the payer's language, and the headers that keep the pages safe."""

import re
import secrets
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from wongate.domain.payment import Project
from wongate.web import violations
from wongate.web.branding import brand_of
from wongate.web.shared_files import shared_files
from wongate.web.words import LANGUAGES, choose_language, moment, won, words

_TEMPLATES = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_ORIGIN = re.compile(r"https?://[A-Za-z0-9.-]+(?::(?:[0-9]{1,5}|\*))?")
LANGUAGE_NAMES = {"ko": "한국어", "en": "English", "ru": "Русский"}
YEAR_S = 365 * 24 * 3600
STRICT_TRANSPORT = (b"strict-transport-security", f"max-age={YEAR_S}; includeSubDomains".encode())


class StrictTransport:
    """Tells browsers with every answer, redirects and files included, to stay with TLS (ASVS 3.4.1)."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def told(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], STRICT_TRANSPORT]
            await send(message)

        await self._app(scope, receive, told)


def show(
    request: Request,
    template: str,
    *,
    language: str,
    project: Project | None = None,
    http_status: int = 200,
    forms_to: Sequence[str] = (),
    scripts_from: Sequence[str] = (),
    frames_from: Sequence[str] = (),
    framed_by: Sequence[str] | None = None,
    **values: Any,
) -> HTMLResponse:
    """A rendered page with its policy: origins beside our own that it may send forms to, load scripts from, and show.

    `framed_by` is who may show the page itself: the project's origins unless told otherwise.
    """
    nonce = secrets.token_urlsafe(16)
    origins = frame_origins(project) if framed_by is None else framed_by
    html = render(
        template,
        words("checkout", language),
        nonce=nonce,
        brand=project and brand_of(project),
        origins=origins,
        language_menu=project.settings.language_menu if project else True,
        **values,
    )
    policy = {
        "default-src": ["'none'"],
        "script-src": [f"'nonce-{nonce}'", *scripts_from],
        "style-src": [f"'nonce-{nonce}'"],
        # Only beside a provider's script, which may put its layer in place by style attributes. They run nothing.
        **({"style-src-attr": ["'unsafe-inline'"]} if scripts_from else {}),
        "img-src": ["'self'", "data:"],
        "connect-src": ["'self'"],
        "form-action": ["'self'", *forms_to],
        "frame-src": list(frames_from) or ["'none'"],
        "base-uri": ["'none'"],
        "object-src": ["'none'"],
        "frame-ancestors": list(origins) or ["'none'"],
        **violations.DIRECTIVES,
    }
    return HTMLResponse(html, status_code=http_status, headers=_headers(policy, language))


def _headers(policy: Mapping[str, Sequence[str]], language: str) -> Mapping[str, str]:
    return {
        "Content-Security-Policy": "; ".join(
            f"{name} {' '.join(sources)}" for name, sources in policy.items()
        ),
        "Content-Language": language,
        "Cross-Origin-Opener-Policy": "same-origin-allow-popups",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=()",
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
        "Cache-Control": "no-store",
    }


def render(template: str, speech: Any, **values: Any) -> str:
    """`speech` is the `Words` of the reader's language."""
    files = shared_files()
    return _TEMPLATES.get_template(f"checkout/{template}").render(
        _=speech.gettext,
        ngettext=speech.ngettext,
        lang=speech.language,
        languages=LANGUAGE_NAMES,
        won=partial(won, language=speech.language),
        moment=partial(moment, language=speech.language),
        css=files["checkout.css"],
        js=files["checkout.js"],
        bridge_js=files["bridge.js"],
        **values,
    )


def frame_origins(project: Project | None) -> tuple[str, ...]:
    """The project's registered origins; whatever else the setting holds must not reach a header."""
    registered = project.settings.frame_origins if project else ()
    return tuple(origin for origin in registered if _ORIGIN.fullmatch(origin))


def language_of(request: Request, signed: str = "") -> str:
    """The payer's choice on our pages, then the merchant's signed `language_code`, then the browser's."""
    chosen = request.query_params.get("language", "")
    wished = chosen if chosen in LANGUAGES else signed
    return choose_language(wished, request.headers.get("accept-language", ""))


def is_framed(request: Request, frame_mode: str) -> bool:
    """What the browser says of this very request; older ones say nothing, then how merchant.js opened the page counts.

    A payer who came in through a frame comes back from the window in a tab.
    """
    destination = request.headers.get("sec-fetch-dest", "")
    return {"iframe": True, "frame": True, "document": False}.get(destination, frame_mode != "")
