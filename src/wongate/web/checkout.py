"""Pages around the window: the provider's return, the page that waits for the result, the provider's notices."""

from collections.abc import Sequence

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from wongate.domain.landing import landing_url
from wongate.domain.refusal import Refused
from wongate.flows import notice, sale, status
from wongate.flows.platform import Platform
from wongate.flows.settle import Door
from wongate.web.http import ClientGone, caller_ip, read_body
from wongate.web.pages import page

RETURN_MAX = 64 * 1024
"""Bytes of a returned form: every documented field at its longest is under 10 KB."""


class Checkout:
    def __init__(self, platform: Platform, door: Door, trusted_proxies: Sequence[str]) -> None:
        self._platform = platform
        self._door = door
        self._trusted_proxies = trusted_proxies

    async def returned(self, request: Request) -> Response:
        """N-26: records the result, takes the money, and sends the payer on. Stands without cookies: the POST is cross-site."""
        token = request.path_params["token"]
        found = await sale.find_by_token(self._platform, token)
        if found is None or request.path_params["provider"] not in self._platform.providers:
            return page(request, "lost.html", status=404)
        project, operation = found
        if request.method == "POST":
            raw = await read_body(request.scope, request.receive, RETURN_MAX)
            form = self._platform.providers[request.path_params["provider"]].read_form(raw)
            await sale.customer_returned(self._platform, self._door, project, operation, form)
        standing = await status.by_payment_no(self._platform, project, operation.payment_no)
        assert standing is not None  # noqa: S101 - its operation was read a moment ago
        url = landing_url(project, standing.payment) or f"{self._platform.page_url}/result/{token}"
        return RedirectResponse(url, status_code=303, headers={"Cache-Control": "no-store"})

    async def result(self, request: Request) -> Response:
        """Our own plain page for a merchant that named no address (E-9), and for an outcome that is not known yet."""
        found = await sale.find_by_token(self._platform, request.path_params["token"])
        standing = found and await status.by_payment_no(self._platform, found[0], found[1].payment_no)
        if not standing:
            return page(request, "lost.html", status=404)
        url = landing_url(standing.project, standing.payment)
        if url:
            return RedirectResponse(url, status_code=303, headers={"Cache-Control": "no-store"})
        return page(request, "result.html", payment=standing.payment, merchant=standing.project.name)

    async def noticed(self, request: Request) -> Response:
        """A provider's notice; `OK` stops its repetition (N-16)."""
        name = request.path_params["provider"]
        if name not in self._platform.providers:
            return PlainTextResponse("FAIL", status_code=404)
        raw = await read_body(request.scope, request.receive, RETURN_MAX)
        form = self._platform.providers[name].read_form(raw)
        kept = await notice.receive(
            self._platform, name, form, caller_ip(request.scope, self._trusted_proxies)
        )
        return PlainTextResponse("OK" if kept else "FAIL", status_code=200 if kept else 400)


def checkout(platform: Platform, door: Door, trusted_proxies: Sequence[str]) -> Starlette:
    pages = Checkout(platform, door, trusted_proxies)
    return Starlette(
        routes=[
            Route("/return/{provider}/{token}", pages.returned, methods=["GET", "POST"]),
            Route("/result/{token}", pages.result, methods=["GET"]),
            Route("/notice/{provider}", pages.noticed, methods=["POST"]),
        ],
        exception_handlers={Refused: _refused, ClientGone: _refused},
    )


async def _refused(request: Request, error: Exception) -> Response:
    """A body over the limit; or nobody is left who would read an answer."""
    return PlainTextResponse("FAIL", status_code=error.http_status if isinstance(error, Refused) else 400)
