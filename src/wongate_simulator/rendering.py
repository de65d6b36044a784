"""Pages: templates, language, and the security headers that every HTML answer carries."""

import secrets
from pathlib import Path
from typing import Any

import jinja2
from starlette.requests import Request
from starlette.responses import Response

from wongate_simulator.words import LANGUAGES, RIBBON, WORDS, hint_text, language_of, won

HERE = Path(__file__).parent
STATIC = HERE / "static"
ANY_PAGE = "http: https:"

_environment = jinja2.Environment(
    loader=jinja2.FileSystemLoader(HERE / "templates"),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def language(request: Request, asked: str = "") -> str:
    """?lang= of the page, then what the window was asked for, then the browser's, then Korean."""
    return language_of(
        request.query_params.get("lang", "") or asked, request.headers.get("accept-language", "")
    )


def page(
    request: Request,
    template: str,
    lang: str,
    *,
    status: int = 200,
    framed: bool = False,
    form_action: str = "'self'",
    **values: Any,
) -> Response:
    """`framed` pages may be embedded by any shop, as a payment window is; all others by nobody."""
    nonce = secrets.token_urlsafe(16)
    html = _environment.get_template(template).render(
        t=WORDS[lang],
        lang=lang,
        languages=LANGUAGES,
        ribbon=RIBBON,
        nonce=nonce,
        path=request.url.path,
        query=[(name, value) for name, value in request.query_params.multi_items() if name != "lang"],
        won=lambda amount: won(amount, lang),
        hint=lambda hint: hint_text(hint.key, hint.detail, lang),
        **values,
    )
    ancestors = ANY_PAGE if framed else "'none'"
    policy = (
        f"default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; img-src 'self' data:;"
        f" form-action {form_action}; frame-ancestors {ancestors}; base-uri 'none'"
    )
    headers = {"content-security-policy": policy, "cache-control": "no-store", "content-language": lang}
    return Response(html, status, headers, media_type="text/html")
