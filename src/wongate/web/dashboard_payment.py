"""One payment: what it is, what is odd about it and what helps, everything that happened; refunds and resends by hand."""

import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from starlette.exceptions import HTTPException
from starlette.responses import Response

from wongate.domain import codes
from wongate.domain.lifecycle import Status
from wongate.domain.payment import REFUNDABLE, Payment, PaymentStatus, Project
from wongate.domain.refusal import Unfit
from wongate.domain.rights import RESENDING, Right
from wongate.flows import by_hand, resend, status
from wongate.flows.by_hand import Verdict
from wongate.flows.settle import Door
from wongate.reports import history
from wongate.web import dashboard_filters as filters
from wongate.web import dashboard_payment_words as say
from wongate.web.dashboard_access import Entry, NotFound, Visit
from wongate.web.dashboard_payments import HOME
from wongate.web.dashboard_shell import MESSAGES, N_

if TYPE_CHECKING:
    from wongate.web.dashboard import Dashboard

ONE = f"{HOME}/{{project_id:int}}/{{payment_no:int}}"

MESSAGES |= {
    "refund-begun": N_("The refund is on its way. This page shows how it goes on."),
    "refund-declined": N_(
        "The refund was declined; the payment is unchanged. The reason stands with its operation."
    ),
    "callback-begun": N_("The callback is on its way again."),
    "refund-settled": N_("The refund is booked as you said."),
    "refund-settled-before": N_("This refund is no longer open. Nothing was changed."),
    "refund-settled-stale": N_(
        "This refund was sent to the PG again after you had looked. Nothing was changed: "
        "look at the PG's pages once more, then book what they show."
    ),
}
VERDICTS = {
    Verdict.BOOKED: "refund-settled",
    Verdict.CLOSED: "refund-settled-before",
    Verdict.STALE: "refund-settled-stale",
}
DEEDS = (
    N_("refund requested"),
    N_("refund settled by hand"),
    N_("refund settled by list"),
    N_("callback resent"),
    N_("callbacks resent"),
)
"""What these pages write into the audit log."""


def routes(dashboard: "Dashboard") -> list[Entry]:
    pages = PaymentPages(dashboard)
    see, give_back = Right.PAYMENTS, Right.REFUNDS
    return [
        Entry(ONE, "GET", see, pages.show),
        Entry(f"{ONE}/live", "GET", see, pages.live, passive=True),
        Entry(f"{ONE}/refund", "GET", give_back, pages.ask_refund),
        Entry(f"{ONE}/refund/check", "POST", give_back, pages.check_refund),
        Entry(f"{ONE}/refund", "POST", give_back, pages.refund, confirm=True),
        Entry(f"{ONE}/resend", "POST", RESENDING, pages.resend, confirm=True),
        Entry(f"{ONE}/settle", "POST", give_back, pages.settle, confirm=True),
    ]


class PaymentPages:
    def __init__(self, dashboard: "Dashboard") -> None:
        self._platform = dashboard.platform
        self._page = dashboard.shell.page
        self._door = Door(dashboard.platform)

    async def show(self, visit: Visit) -> Response:
        return self._page(visit, "payment.html", **await self._values(visit))

    async def live(self, visit: Visit) -> Response:
        """What changes while somebody looks on."""
        return self._page(visit, "payment_live.html", **await self._values(visit))

    async def _values(self, visit: Visit) -> Mapping[str, Any]:
        project, payment = await self._find(visit)
        async with self._platform.database.read() as tx:
            past = await history.of_payment(tx, payment)
        sale = next(row for row in past.operations if row["operation_id"] == payment.sale_id)
        return {
            "project": project,
            "payment": payment,
            "sale": sale,
            "past": past,
            "banners": say.banners(payment, past, visit.platform.clock.now() > _base_time(project, sale)),
            "refundable": _refusal(visit, project, payment) == "" and payment.refundable > 0,
            "why_not": _refusal(visit, project, payment),
            "may_give_back": visit.may(Right.REFUNDS),
            "may_resend": visit.may(*RESENDING),
            "code_text": codes.message,
            "status_names": filters.STATUS_NAMES,
            "status_kinds": filters.STATUS_KINDS,
            "source_names": say.SOURCE_NAMES,
            "operation_statuses": say.OPERATION_STATUSES,
            "callback_states": say.CALLBACK_STATES,
            "exchanges": say.EXCHANGES,
            "events": say.EVENTS,
            "notice_verdicts": say.NOTICE_VERDICTS,
            "pretty": _pretty,
            "place": _place(payment),
            "home": HOME,
        }

    async def _find(self, visit: Visit) -> tuple[Project, Payment]:
        """The payment that the path names. Raises NotFound."""
        project_id = visit.own_project(int(visit.request.path_params["project_id"]))
        payment_no = int(visit.request.path_params["payment_no"])
        project = await self._platform.project(project_id)
        if project is None or payment_no >= 2**53:
            raise NotFound
        standing = await status.by_payment_no(self._platform, project, payment_no)
        if standing is None:
            raise NotFound
        return project, standing.payment

    async def ask_refund(self, visit: Visit) -> Response:
        return await self._refund_page(visit, "payment_refund.html")

    async def _refund_page(
        self,
        visit: Visit,
        template: str,
        code: int = 200,
        *,
        amount: int | None = None,
        unfit: Unfit | None = None,
    ) -> Response:
        """With the amount as it was read, or as it was typed."""
        project, payment = await self._find(visit)
        return self._page(
            visit,
            template,
            code,
            project=project,
            payment=payment,
            why_not=_refusal(visit, project, payment),
            amount=amount or visit.form.get("amount", str(payment.refundable)).strip(),
            reason=visit.form.get("reason", ""),
            form_key=visit.form.get("form_key") or visit.request_id,
            unfit=unfit,
            place=_place(payment),
        )

    async def check_refund(self, visit: Visit) -> Response:
        """The second step: what will happen, in numbers, before it does (WCAG 3.3.4)."""
        _, payment = await self._find(visit)
        try:
            amount = _amount(visit, payment)
            by_hand.check_reason(visit.form.get("reason", ""))
        except Unfit as unfit:
            return await self._refund_page(visit, "payment_refund.html", 400, unfit=unfit)
        return await self._refund_page(visit, "payment_refund_confirm.html", amount=amount)

    async def refund(self, visit: Visit) -> Response:
        project, payment = await self._find(visit)
        try:
            accepted = await by_hand.refund(
                self._platform,
                self._door,
                visit.actor,
                project,
                payment,
                amount=_amount(visit, payment),
                reason=visit.form.get("reason", ""),
                form_key=visit.form.get("form_key") or visit.request_id,
            )
        except Unfit as unfit:
            return await self._refund_page(visit, "payment_refund.html", 400, unfit=unfit)
        return visit.go(
            _place(payment), "refund-declined" if accepted.status is Status.DECLINE else "refund-begun"
        )

    async def resend(self, visit: Visit) -> Response:
        _, payment = await self._find(visit)
        ids = [_number(visit.form.get(name, "")) for name in ("operation_id", "callback_id")]
        key = (payment.project_id, payment.payment_no)
        if not await resend.ask_for_one(self._platform, visit.actor, *key, *ids):
            raise NotFound
        return visit.go(_place(payment), "callback-begun")

    async def settle(self, visit: Visit) -> Response:
        """An open refund, booked as what somebody has seen at the PG."""
        project, payment = await self._find(visit)
        outcome = visit.form.get("outcome", "")
        if outcome not in ("success", "decline"):
            raise HTTPException(400)
        verdict = await by_hand.settle_refund(
            self._platform,
            self._door,
            visit.actor,
            project,
            payment,
            _number(visit.form.get("operation_id", "")),
            seq=_number(visit.form.get("seq", "")),
            done=outcome == "success",
            reference=visit.form.get("reference", "").strip(),
        )
        return visit.go(_place(payment), VERDICTS[verdict])


def _refusal(visit: Visit, project: Project, payment: Payment) -> str:
    """Why there is no refund to be given, an empty text when there may be one."""
    if not visit.may(Right.REFUNDS):
        return N_("Your role does not issue refunds.")
    if not project.settings.dashboard_refunds:
        return N_("Refunds from the Dashboard are switched off for this project.")
    if payment.status is PaymentStatus.REFUNDED:
        return N_("All of it has been refunded.")
    if payment.status not in REFUNDABLE:
        return N_("Only a paid payment can be refunded.")
    return "" if payment.refundable else N_("All that is left is set aside for refunds under way.")


def _amount(visit: Visit, payment: Payment) -> int:
    """Whole won, with or without separators. Raises Unfit."""
    text = visit.form.get("amount", "").strip().replace(",", "").replace(" ", "").removesuffix("원")
    if not _number(text):
        raise Unfit("Please enter an amount in whole won.", "amount")
    if _number(text) > payment.refundable:
        raise Unfit("The amount must be between 1 won and what is available for refund.", "amount")
    return _number(text)


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 17 else 0


def _base_time(project: Project, sale: Mapping[str, Any]) -> datetime:
    """When a payer is late (E-37)."""
    opened_at: datetime = sale["created_at"]
    return opened_at + timedelta(seconds=project.settings.base_time_s)


def _pretty(message: Mapping[str, Any]) -> str:
    return json.dumps(message, indent=2, ensure_ascii=False)


def _place(payment: Payment) -> str:
    return f"{HOME}/{payment.project_id}/{payment.payment_no}"
