"""HTML out of templates, each page with its own security policy and in the reader's language."""

import json
import secrets
import shlex
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from wongate_simulator.shop.gate_client import Answer
from wongate_simulator.shop.orders import ReceivedCallback, SentRequest
from wongate_simulator.shop.speech import Speech, chosen_language
from wongate_simulator.shop.words import LANGUAGES

FOLDER = Path(__file__).parent

_templates = Environment(
    loader=FileSystemLoader(FOLDER / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def render(
    request: Request,
    template: str,
    status: int = 200,
    *,
    forms_to: tuple[str, ...] = (),
    frames_from: tuple[str, ...] = (),
    **values: Any,
) -> Response:
    """`forms_to` and `frames_from` are the foreign origins that this one page may post to or frame."""
    language = reader_language(request)
    nonce = secrets.token_urlsafe(16)
    html = _templates.get_template(template).render(
        language=language,
        languages=LANGUAGES,
        say=Speech(language),
        nonce=nonce,
        settings=request.app.state.shop.settings,
        here_in=lambda other: "?" + urlencode(dict(request.query_params) | {"lang": other}),
        **values,
    )
    response = HTMLResponse(html, status)
    response.headers["Content-Security-Policy"] = _policy(nonce, forms_to, frames_from)
    response.headers["Cache-Control"] = "no-store"
    response.headers["Content-Language"] = language
    if request.query_params.get("lang") == language:
        response.set_cookie("lang", language, max_age=365 * 24 * 3600, httponly=True, samesite="lax")
    return response


def reader_language(request: Request) -> str:
    """What the reader chose by ?lang= now, or earlier (the cookie), else what the browser prefers."""
    chosen = (request.query_params.get("lang"), request.cookies.get("lang"))
    return chosen_language(chosen, request.headers.get("accept-language", ""))


def _policy(nonce: str, forms_to: tuple[str, ...], frames_from: tuple[str, ...]) -> str:
    """Nothing is allowed but what is named here; scripts and styles need this page's nonce."""
    rules = {
        "default-src": "'none'",
        "script-src": f"'nonce-{nonce}'",
        "style-src": f"'nonce-{nonce}'",
        "img-src": "'self'",
        "connect-src": "'self'",
        "form-action": " ".join(("'self'", *forms_to)),
        "frame-src": " ".join(frames_from) or "'none'",
        "frame-ancestors": "'none'",
        "base-uri": "'none'",
    }
    return "; ".join(f"{name} {value}" for name, value in rules.items())


def readable_json(text: str) -> str:
    """Indented for reading. Signatures cover values, not layout; what cannot be shown so stays as it is."""
    try:
        indented = json.dumps(json.loads(text), ensure_ascii=False, indent=2)
        indented.encode()  # fails on half a character, which JSON can spell and a page cannot
    except (ValueError, RecursionError):
        return text
    return indented


def clock_time(moment: str) -> str:
    return datetime.fromisoformat(moment).strftime("%Y-%m-%d %H:%M:%S UTC")


def as_curl(sent: SentRequest) -> str:
    """The request as it was sent, byte for byte, for a shell."""
    return f"curl -sS {sent.url} -H 'Content-Type: application/json' -d {shlex.quote(sent.body)}"


def answer_of(sent: SentRequest) -> Answer:
    return Answer(sent.http_status, sent.answer)


def operation_type(callback: ReceivedCallback) -> str:
    """`sale` or `refund`; of a message that is not verified nothing is believed."""
    if not callback.verified:
        return "refused"
    return str(json.loads(callback.body).get("operation", {}).get("type", "other"))


_templates.filters |= {
    "readable_json": readable_json,
    "clock_time": clock_time,
    "as_curl": as_curl,
    "answer": answer_of,
    "operation_type": operation_type,
    "in_path": lambda text: quote(text, safe=""),
}
