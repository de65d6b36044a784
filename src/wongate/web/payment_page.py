"""The Payment Page until the payer leaves for the window: `/payment`, Pay, and the validator of parameters (sections 6.1, 6.4).

No session: the merchant's signed parameters travel in the form and are verified again at each step. From Pay on everything
stands on the sale's token (`web/checkout.py`).
"""

import json
import logging
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from wongate.domain import codes, page_requests
from wongate.domain.landing import way_back
from wongate.domain.methods import by_page_code
from wongate.domain.page_requests import PageRequest
from wongate.domain.payment import Project
from wongate.domain.refusal import Refused
from wongate.flows import page as paying
from wongate.flows.platform import Platform
from wongate.flows.sale import Accepted, Intake
from wongate.web.deadline import deadline
from wongate.web.http import caller_ip, read_body
from wongate.web.pages import frame_origins, is_framed, language_of, show
from wongate.web.trouble import BODY_UNREAD, END_CONNECTION
from wongate.web.words import LANGUAGES

log = logging.getLogger(__name__)

Parameters = dict[str, str]
FORM_TYPE = "application/x-www-form-urlencoded"


class PaymentPage:
    def __init__(self, platform: Platform, intake: Intake, trusted_proxies: tuple[str, ...]) -> None:
        self._platform = platform
        self._intake = intake
        self._trusted_proxies = trusted_proxies

    def routes(self) -> list[Route]:
        return [
            Route("/payment", self.open, methods=["GET", "POST"]),
            Route("/payment/again", self.again, methods=["POST"]),
            Route("/payment/pay", self.pay, methods=["POST"]),
            Route("/params/check", self.check, methods=["GET", "POST"]),
            Route("/v1/params/check", self.check, methods=["GET"]),
        ]

    async def open(self, request: Request) -> Response:
        """Shows the form, or where the payment stands that it belongs to (E-29). One read of the database."""
        parameters: Parameters = {}
        try:
            parameters = await _parameters(request)
            return await self._form(request, parameters)
        except Refused as refused:
            return await self._refused(request, refused, parameters)

    async def again(self, request: Request) -> Response:
        """The form once more: in another language, after a reload, or to see whether Pay was pressed in another tab."""
        parameters: Parameters = {}
        try:
            posted = await _posted(request)
            parameters = page_requests.parse(posted.get("opened", ""))
            return await self._form(request, parameters, posted.get("language", ""))
        except Refused as refused:
            return await self._refused(request, refused, parameters)

    async def _form(self, request: Request, parameters: Parameters, chosen: str = "") -> Response:
        project, page = await self._read(parameters)
        token = await paying.find(self._platform, project, page)
        if token is not None:
            return self._see(token)
        language = chosen if chosen in LANGUAGES else language_of(request, page.language)
        framed = is_framed(request, page.frame_mode)
        values: dict[str, Any] = {
            "page": page,
            "framed": framed,
            "deadline": deadline(page.best_before, self._platform.clock.now()),
            "exit": way_back(project, page.asked, framed=framed),
        }
        if self._is_over(page):
            return show(request, "over.html", language=language, project=project, **values)
        return show(
            request,
            "form.html",
            language=language,
            project=project,
            forms_to=[paying.window_origin(self._platform, project)],
            opened=urlencode(parameters),
            **values,
        )

    async def pay(self, request: Request) -> Response:
        """Registers the payment and hands the payer over to the window."""
        parameters: Parameters = {}
        try:
            posted = await _posted(request)
            parameters = page_requests.parse(posted.get("opened", ""))
            project, page = await self._read(parameters)
            language = posted.get("language", "")
            if self._is_over(page):
                return await self._form(request, parameters, language)
            accepted = await self._register(request, project, page, posted.get("method", ""), language)
        except Refused as refused:
            return await self._refused(request, refused, parameters)
        if accepted.form is None:
            return self._see(accepted.token)
        return show(
            request,
            "handoff.html",
            language=language if language in LANGUAGES else language_of(request, page.language),
            project=project,
            forms_to=[paying.window_origin(self._platform, project)],
            form=accepted.form,
            request_id=accepted.request_id,
            result_url=f"/result/{accepted.token}",
            frame_mode=page.frame_mode,
            framed=is_framed(request, page.frame_mode),
            in_frame=project.settings.window_in_frame,
        )

    async def _register(
        self, request: Request, project: Project, page: PageRequest, method_code: str, language: str
    ) -> Accepted:
        method = by_page_code(method_code)
        if method not in page.methods:
            raise Refused(codes.UNKNOWN_METHOD, field="method")
        return await paying.pay(
            self._platform,
            self._intake,
            project,
            page,
            method,
            ip_address=caller_ip(request.scope, self._trusted_proxies),
            language=language if language in LANGUAGES else page.language,
        )

    async def _read(self, parameters: Mapping[str, str]) -> tuple[Project, PageRequest]:
        project = await self._platform.project(page_requests.project_of(parameters))
        if project is None:
            raise Refused(codes.PROJECT_NOT_FOUND, 404, field="project_id")
        return project, page_requests.read(parameters, project, self._platform.clock.now())

    def _is_over(self, page: PageRequest) -> bool:
        return page.best_before is not None and self._platform.clock.now() >= page.best_before

    def _see(self, token: str) -> Response:
        return RedirectResponse(f"/result/{token}", status_code=303, headers={"Cache-Control": "no-store"})

    async def _refused(self, request: Request, refused: Refused, parameters: Parameters) -> Response:
        """E-27: the code and no data. Shown in a frame only where the project allows it, known or not. A body that was not read
        has a page of its own."""
        if refused.http_status in BODY_UNREAD:
            raise refused
        log.info("page refused", extra={"code": refused.code, "field": refused.field or ""})
        return show(
            request,
            "refused.html",
            language=language_of(request, parameters.get("language_code", "")),
            framed_by=frame_origins(await self._project_named(parameters)),
            http_status=400,
            code=refused.code,
            message=codes.message(refused.code),
            field=refused.field or "",
            is_reload=not parameters,
        )

    async def _project_named(self, parameters: Mapping[str, str]) -> Project | None:
        try:
            return await self._platform.project(page_requests.project_of(parameters))
        except Refused:
            return None

    async def check(self, request: Request) -> Response:
        """E-30: what SDKs ask before they build a URL. Nothing is looked up and nothing is signed."""
        try:
            parameters = await _unsigned(request)
        except Refused as refused:
            errors = {"errors": [_error(refused.code, refused.field or "")]}
            if refused.http_status in BODY_UNREAD:
                return JSONResponse(errors, status_code=refused.http_status, headers=END_CONNECTION)
            return JSONResponse(errors, status_code=400)
        found = page_requests.validate(parameters)
        if not found:
            return JSONResponse({})
        return JSONResponse({"errors": [_error(flaw.code, flaw.field) for flaw in found]}, status_code=400)


async def _parameters(request: Request) -> Parameters:
    """Flat decoded texts, of the query or of the posted form."""
    if request.method == "POST":
        return await _posted(request)
    return page_requests.parse(request.scope["query_string"].decode("latin-1"))


async def _posted(request: Request) -> Parameters:
    if not request.headers.get("content-type", "").startswith(FORM_TYPE):
        raise Refused(codes.MALFORMED_REQUEST, constraint=FORM_TYPE)
    raw = await read_body(request.scope, request.receive)
    return page_requests.parse(raw.decode("latin-1"))


async def _unsigned(request: Request) -> Parameters:
    """A query, or a JSON object whose numbers and booleans read as they would in a query."""
    if request.method == "GET":
        return await _parameters(request)
    try:
        body: Any = json.loads(await read_body(request.scope, request.receive))
    except (ValueError, RecursionError):
        body = None
    if not isinstance(body, dict):
        raise Refused(codes.INVALID_JSON)
    return {
        str(name): value if isinstance(value, str) else json.dumps(value)
        for name, value in body.items()
        if value is not None
    }


def _error(code: int, field: str) -> dict[str, Any]:
    return {"code": code, "message": codes.message(code), "field": field}
