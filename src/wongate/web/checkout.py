"""Pages around the window: the way out, the provider's return, the page that waits for the result and shows it (6.2, N-26).

Everything here stands on the token of a sale: no cookie, no session. The token is the right to see the payment and to go on
with it, so it appears in our own URLs only and never in a merchant's.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp

from wongate.connections.database import Unavailable
from wongate.connections.shares import Overloaded
from wongate.domain.landing import (
    BLANK_PAGE,
    Exit,
    automatic_exit,
    is_paid,
    landing_url,
    page_parameters,
    result_button,
    way_back,
)
from wongate.domain.lifecycle import Kind, Stage
from wongate.domain.outcome import Form
from wongate.domain.page_requests import FRAMES, TRUE
from wongate.domain.payment import FINISHED, Operation, Payment, PaymentStatus, Project
from wongate.domain.refusal import Refused
from wongate.domain.terminal import terminal
from wongate.flows import approve, notice, sale, status
from wongate.flows import page as paying
from wongate.flows.platform import Platform
from wongate.flows.sale import Intake
from wongate.flows.settle import Door
from wongate.flows.status import Standing
from wongate.web.bridge import BridgePage
from wongate.web.deadline import deadline
from wongate.web.http import ClientGone, caller_ip, read_body
from wongate.web.pages import StrictTransport, is_framed, language_of, show
from wongate.web.payment_page import PaymentPage
from wongate.web.results import result_words
from wongate.web.shared_files import serve
from wongate.web.trouble import END_CONNECTION, broken, in_trouble, lost, refused, unavailable
from wongate.web.violations import Violations
from wongate.web.words import moment, words

log = logging.getLogger(__name__)

RETURN_MAX = 64 * 1024
"""Bytes of a returned form: every documented field at its longest is under 10 KB."""

STREAM_S = 15.0
"""A stream of events ends after so long and the browser opens the next one: so a server that stops waits no longer than this."""

LOOKS_S = (0.3, 0.5, 0.5, 1.0)
"""Pauses between looks at the database, the last one repeated; looks of all open pages share one statement."""


class Checkout:
    def __init__(self, platform: Platform, door: Door, trusted_proxies: Sequence[str]) -> None:
        self._platform = platform
        self._door = door
        self._trusted_proxies = trusted_proxies
        self._watch = paying.Watch(platform)

    def routes(self) -> list[Route]:
        return [
            Route("/return/{provider}/{token}", self.returned, methods=["GET", "POST"]),
            Route("/result/{token}", self.result, methods=["GET"]),
            Route("/result/{token}/events", self.events, methods=["GET"]),
            Route("/result/{token}/window", self.window, methods=["POST"]),
            Route("/result/{token}/again", self.again, methods=["POST"]),
            Route("/result/{token}/cancel", self.cancel, methods=["POST"]),
            Route("/notice/{provider}", self.noticed, methods=["POST"]),
        ]

    # --- back from the window ---

    async def returned(self, request: Request) -> Response:
        """Records the result, takes the money, and sends the payer on. Stands without cookies: the POST is cross-site.

        Nobody but this browser has what it brings, so a platform that is too busy gives it back to be sent once more.
        """
        provider = self._platform.providers.get(request.path_params["provider"])
        if provider is None:
            return lost(request)
        form, payment = None, None
        if request.method == "POST":
            form = provider.read_form(await read_body(request.scope, request.receive, RETURN_MAX))
        try:
            found = await sale.find_by_token(self._platform, request.path_params["token"])
            if found is None:
                return lost(request)
            if form is not None:
                payment = await approve.customer_returned(self._platform, self._door, found, form)
        except (Unavailable, Overloaded):
            return in_trouble(request, 503, again_after_s=5, resend=form)
        return await self._sent_on(request, found.project, found.operation, payment)

    async def _sent_on(
        self, request: Request, project: Project, operation: Operation, payment: Payment | None
    ) -> Response:
        """Where the payment stands decides; where that cannot be read, the page that waits asks again."""
        own_url = f"/result/{request.path_params['token']}"
        try:
            payment = payment or (await self._standing(project, operation)).payment
        except (Unavailable, Overloaded):
            return _go(own_url)
        if payment.source == "page":
            return _go(own_url + ("?returned=1" if _in_new_window(payment) else ""))
        return _go(landing_url(project, payment) or own_url)

    # --- where a payment stands ---

    async def result(self, request: Request) -> Response:
        """Waits, or shows the result, or sends the payer on to the merchant."""
        standing = await self._find(request)
        if standing is None:
            return lost(request)
        project, payment = standing.project, standing.payment
        if payment.source != "page" and (url := landing_url(project, payment)):
            return _go(url)
        asked = page_parameters(payment)
        framed = is_framed(request, asked.get("frame_mode", ""))
        if not framed and request.query_params.get("returned"):
            return self._page(request, standing, "closed.html")
        if payment.status not in FINISHED and payment.status is not PaymentStatus.AWAITING_CUSTOMER:
            return self._waiting(request, standing, framed)
        automatic = (
            automatic_exit(payment, payment.status, framed=framed) if payment.status in FINISHED else None
        )
        if automatic and not framed and automatic.mode != BLANK_PAGE:
            return _go(automatic.url)
        return self._result(request, standing, framed, automatic)

    def _waiting(self, request: Request, standing: Standing, framed: bool) -> Response:
        operation = _sale_of(standing)
        for_payer = operation.stage is Stage.WAITING
        version = f"{operation.operation_id}.{operation.seq}"
        return self._page(
            request,
            standing,
            "waiting.html",
            sale=operation,
            for_payer=for_payer,
            framed=framed,
            in_frame=standing.project.settings.window_in_frame,
            new_window=_in_new_window(standing.payment),
            events_url=f"/result/{sale.return_token(operation)}/events?seen={version}",
            deadline=deadline(operation.limit_at, self._platform.clock.now()) if for_payer else None,
            exit=way_back(standing.project, page_parameters(standing.payment), framed=framed),
        )

    def _result(self, request: Request, standing: Standing, framed: bool, automatic: Exit | None) -> Response:
        project, payment, operation = standing.project, standing.payment, _sale_of(standing)
        language = self._language(request, standing)
        may_retry = payment.status is PaymentStatus.AWAITING_CUSTOMER
        until = operation.wake_at if may_retry else None
        paid = payment.status in FINISHED and is_paid(payment.status)
        return self._page(
            request,
            standing,
            "result.html",
            sale=operation,
            outcome="success" if paid else "fail",
            in_frame=project.settings.window_in_frame,
            framed=framed,
            automatic=automatic,
            exit=result_button(project, payment, framed=framed),
            may_retry=may_retry,
            new_window=_in_new_window(payment),
            deadline=deadline(until, self._platform.clock.now()),
            date=moment(operation.changed_at, language),
            terminal=terminal(project, payment, operation, standing.operations) if framed else None,
            **result_words(words("checkout", language), payment, operation),
        )

    async def events(self, request: Request) -> Response:
        """One event when the payment's sale has changed since `seen`."""
        standing = await self._find(request)
        if standing is None:
            return PlainTextResponse("Not found", status_code=404)
        seen = request.query_params.get("seen", "")
        return StreamingResponse(
            self._changes(standing.payment, seen),
            media_type="text/event-stream",
            headers={
                "Cache-Control": "no-store",
                "X-Accel-Buffering": "no",  # nginx would hold the event back
                "X-Content-Type-Options": "nosniff",
            },
        )

    async def _changes(self, payment: Payment, seen: str) -> AsyncIterator[str]:
        yield "retry: 1000\n\n"
        began, looks = self._platform.monotonic(), 0
        while self._platform.monotonic() - began < STREAM_S:
            try:
                if await self._watch.version(payment.project_id, payment.payment_no) != seen:
                    yield "data: changed\n\n"
                    return
            except (Overloaded, Unavailable):
                log.info("a waiting page could not be told")
            await asyncio.sleep(LOOKS_S[min(looks, len(LOOKS_S) - 1)])
            looks += 1

    # --- what the payer may do meanwhile ---

    async def window(self, request: Request) -> Response:
        """To the window once more."""
        standing = await self._find(request)
        if standing is None:
            return lost(request)
        operation = _sale_of(standing)
        form = await paying.open_window(self._platform, self._door, standing.project, operation)
        return self._hand_over(request, standing, operation.request_id, sale.return_token(operation), form)

    async def again(self, request: Request) -> Response:
        """E-43: a further attempt."""
        standing = await self._find(request)
        if standing is None:
            return lost(request)
        operation = _sale_of(standing)
        attempt = await paying.try_again(self._platform, self._door, standing.project, operation)
        if attempt is None:
            return _go(f"/result/{sale.return_token(operation)}")
        return self._hand_over(request, standing, attempt.request_id, attempt.token, attempt.form)

    async def cancel(self, request: Request) -> Response:
        standing = await self._find(request)
        if standing is None:
            return lost(request)
        operation = _sale_of(standing)
        await paying.give_up(self._platform, self._door, standing.project, operation)
        return _go(f"/result/{sale.return_token(operation)}")

    def _hand_over(
        self, request: Request, standing: Standing, request_id: str, token: str, form: Form | None
    ) -> Response:
        if form is None:
            return _go(f"/result/{token}")
        frame_mode = page_parameters(standing.payment).get("frame_mode", "")
        return self._page(
            request,
            standing,
            "handoff.html",
            forms_to=[paying.window_origin(self._platform, standing.project)],
            form=form,
            request_id=request_id,
            result_url=f"/result/{token}",
            framed=is_framed(request, frame_mode),
            in_frame=standing.project.settings.window_in_frame,
        )

    async def noticed(self, request: Request) -> Response:
        """A provider's notice; `OK` stops its repetition (N-16)."""
        name = request.path_params["provider"]
        if name not in self._platform.providers:
            return PlainTextResponse("FAIL", status_code=404)
        try:
            raw = await read_body(request.scope, request.receive, RETURN_MAX)
        except Refused as error:
            return PlainTextResponse("FAIL", status_code=error.http_status, headers=END_CONNECTION)
        form = self._platform.providers[name].read_form(raw)
        kept = await notice.receive(
            self._platform, name, form, caller_ip(request.scope, self._trusted_proxies)
        )
        return PlainTextResponse("OK" if kept else "FAIL", status_code=200 if kept else 400)

    # --- common to all ---

    async def _find(self, request: Request) -> Standing | None:
        found = await sale.find_by_token(self._platform, request.path_params["token"])
        return Standing(found.project, found.seen.payment, found.seen.operations) if found else None

    async def _standing(self, project: Project, operation: Operation) -> Standing:
        return await status.around(self._platform, project, operation)

    def _language(self, request: Request, standing: Standing) -> str:
        return language_of(request, page_parameters(standing.payment).get("language_code", ""))

    def _page(self, request: Request, standing: Standing, template: str, **values: Any) -> Response:
        frame_mode = page_parameters(standing.payment).get("frame_mode", "")
        return show(
            request,
            template,
            language=self._language(request, standing),
            project=standing.project,
            payment=standing.payment,
            own_url=f"/result/{sale.return_token(_sale_of(standing))}",
            frame_mode=frame_mode if frame_mode in FRAMES else "",
            **values,
        )


def _sale_of(standing: Standing) -> Operation:
    """The payment's latest sale."""
    return next(
        operation
        for operation in standing.operations
        if operation.kind is Kind.SALE and operation.operation_id == standing.payment.sale_id
    )


def _in_new_window(payment: Payment) -> bool:
    return page_parameters(payment).get("force_acs_new_window") in TRUE


def _go(url: str) -> Response:
    return RedirectResponse(url, status_code=303, headers={"Cache-Control": "no-store"})


def checkout(platform: Platform, intake: Intake, door: Door, trusted_proxies: Sequence[str]) -> ASGIApp:
    """Every page that a payer sees, and the files that those pages and merchants' pages use."""
    around = Checkout(platform, door, trusted_proxies)
    pages = Starlette(
        routes=[
            *PaymentPage(platform, intake, tuple(trusted_proxies)).routes(),
            *around.routes(),
            *BridgePage(platform).routes(),
            *Violations(platform).routes(),
            Route("/shared/{name}", serve, methods=["GET"]),
        ],
        exception_handlers={
            404: lost,
            405: lost,
            Refused: refused,
            ClientGone: lost,
            Unavailable: unavailable,
            Overloaded: unavailable,
            500: broken,
        },
    )
    return StrictTransport(pages) if platform.page_url.startswith("https://") else pages
