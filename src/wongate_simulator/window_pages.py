"""The payment window as the payer's browser sees it; every decision is made in `window`."""

import json
from typing import Any

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from wongate_simulator.clock import kst
from wongate_simulator.codes import Refused
from wongate_simulator.connections import origin_of, own_url, read_body
from wongate_simulator.delivery import deliver
from wongate_simulator.exchanges import Exchange
from wongate_simulator.faults import OPENING, WINDOW
from wongate_simulator.forms import Form, read_form
from wongate_simulator.outcomes import FUNDINGS, OUTCOMES, Outcome
from wongate_simulator.records import OPENED, Payment
from wongate_simulator.rendering import ANY_PAGE, language, page
from wongate_simulator.results import Delivery, choose, result_of
from wongate_simulator.simulator import Simulator, simulator_of
from wongate_simulator.striking import strike
from wongate_simulator.window import note_fault, open_window

FORM_TYPE = "application/x-www-form-urlencoded"
FRAME_WIDTH, FRAME_HEIGHT = 720, 645  # the direct Payco frame of the PC script (nicepay 1.2)
INSTALMENTS_FROM = 50_000  # won
INSTALMENTS = ("02", "03", "06", "12")


async def open_page(request: Request) -> Response:
    """The form that a shop posts. Opened, it redirects to the window's own address, so that a reload opens nothing."""
    sim = simulator_of(request)
    if not request.headers.get("content-type", "").startswith(FORM_TYPE):
        return _refusal(request, Refused("88", "application/x-www-form-urlencoded"), None)
    form = read_form(await read_body(request))
    fault = sim.faults.take(WINDOW, OPENING, form.fields.get("Moid", ""))
    if fault:
        note_fault(sim, form.fields, fault)
    return await strike(
        fault, lambda: _open(sim, request, form), lambda refused: _refusal(request, refused, None)
    )


async def _open(sim: Simulator, request: Request, form: Form) -> Response:
    embedder = origin_of(request.headers.get("origin", ""))
    try:
        payment = open_window(sim, form.fields, own_url(request), embedder)
    except Refused as refusal:
        log = sim.exchanges.latest(1, moid=form.fields.get("Moid", ""), kind="window")
        return _refusal(request, refusal, log[0] if log else None, form.fields.get("NpLang", ""))
    preset = sim.outcomes.take(payment.moid, payment.amount)
    if preset is None:
        return RedirectResponse(f"/window/{payment.auth_token}", 303)
    return await _end(sim, request, payment, preset)


async def opened_by_link(request: Request) -> Response:
    """The window takes posted forms only."""
    return _refusal(request, Refused("88", "GET"), None)


async def show_window(request: Request) -> Response:
    """The payer's choice, or what became of it."""
    sim = simulator_of(request)
    payment = sim.books.by_token(request.path_params["token"])
    if payment is None:
        return _lost(request)
    asked = payment.asked()
    lang = language(request, asked.get("NpLang", ""))
    if payment.state != OPENED:
        return _result(request, lang, payment, result_of(sim, payment), by_itself=False)
    if sim.clock.now() >= payment.expires_at:
        return _expired(request, lang, payment)
    if asked["direct"] == "N" and request.query_params.get("method") != "payco":
        return page(request, "picker.html", lang, framed=True, payment=payment, asked=asked)
    return _choice(request, sim, payment, lang)


async def act(request: Request) -> Response:
    """A button of the window."""
    sim = simulator_of(request)
    payment = sim.books.by_token(request.path_params["token"])
    if payment is None:
        return _lost(request)
    fields = read_form(await read_body(request)).fields
    name = fields.get("outcome", "")
    if name not in OUTCOMES:
        return RedirectResponse(f"/window/{payment.auth_token}", 303)
    if name in FUNDINGS and fields.get("agree") != "on" and payment.state == OPENED:
        lang = language(request, payment.asked().get("NpLang", ""))
        return _choice(request, sim, payment, lang, terms_missing=True, status=422)
    quota = fields.get("quota", "00")
    outcome = Outcome(name, quota=quota if quota in INSTALMENTS and name == "card" else "00")
    return await _end(sim, request, payment, outcome)


async def _end(sim: Simulator, request: Request, payment: Payment, outcome: Outcome) -> Response:
    lang = language(request, payment.asked().get("NpLang", ""))
    if outcome.outcome == "abandon":
        return page(request, "closed.html", lang, framed=True, payment=payment)
    if outcome.outcome == "expire" and payment.state == OPENED:
        sim.books.expire(payment, sim.clock.now())
        return _expired(request, lang, payment)
    deliveries = choose(sim, payment, outcome)
    # Of a doubled result the payer's browser carries the last; the earlier ones have arrived by then.
    for delivery in deliveries[:-1]:
        await deliver(sim, delivery, own_url(request))
    return _result(request, lang, payment, deliveries[-1], by_itself=True)


def _choice(
    request: Request,
    sim: Simulator,
    payment: Payment,
    lang: str,
    terms_missing: bool = False,
    status: int = 200,
) -> Response:
    asked = payment.asked()
    log = sim.exchanges.latest(1, moid=payment.moid, kind="window")
    return page(
        request,
        "window.html",
        lang,
        status=status,
        framed=True,
        payment=payment,
        asked=asked,
        merchant=sim.merchants[payment.mid],
        opening=log[0] if log else None,
        faults=sim.faults.for_payment(payment.moid, ""),
        until=f"{kst(payment.expires_at):%H:%M}",
        seconds_left=int(payment.expires_at - sim.clock.now()),
        instalments=INSTALMENTS if payment.amount >= INSTALMENTS_FROM else (),
        terms_missing=terms_missing,
        resize=_message("10", {"width": FRAME_WIDTH, "height": FRAME_HEIGHT}, asked),
    )


def _result(
    request: Request, lang: str, payment: Payment, delivery: Delivery, *, by_itself: bool
) -> Response:
    fields = delivery.public()
    return page(
        request,
        "result.html",
        lang,
        framed=True,
        # Chromium applies form-action to every redirect that follows, and the return URL sends the payer on to a shop
        # whose address this program cannot know; so this page, which holds no input, may post to any web page.
        form_action=ANY_PAGE,
        payment=payment,
        delivery=delivery,
        paid="TxTid" in fields,
        by_itself=by_itself,
        message=_result_message(fields, payment.asked()),
    )


def _expired(request: Request, lang: str, payment: Payment) -> Response:
    return page(request, "expired.html", lang, framed=True, payment=payment)


def _refusal(request: Request, refusal: Refused, opening: Exchange | None, np_lang: str = "") -> Response:
    lang = language(request, np_lang)
    return page(request, "refused.html", lang, status=422, framed=True, refusal=refusal, opening=opening)


def _lost(request: Request) -> Response:
    lang = language(request)
    return page(request, "lost.html", lang, status=404, framed=True, anywhere=False)


def _message(code: str, result: dict[str, Any], asked: dict[str, str]) -> dict[str, str]:
    """A postMessage for the embedding page, and the only origin that may read it."""
    origin = asked["embedder"] or origin_of(asked["return_url"])
    return {"origin": origin, "text": json.dumps({"code": code, "result": result}, ensure_ascii=False)}


def _result_message(fields: dict[str, str], asked: dict[str, str]) -> dict[str, str]:
    """Codes of the PC script (nicepay 2.2): 0 authenticated, 2 cancelled by the payer, 1 any other failure."""
    if "TxTid" in fields:
        names = ("AuthToken", "TxTid", "NextAppURL", "NetCancelURL", "Signature")
        return _message("0", {**{name: fields[name] for name in names}, "BillAuthYN": "N"}, asked)
    told = ("AuthResultCode", "AuthResultMsg", "AuthToken", "Signature")
    code = "2" if fields["AuthResultCode"] == "I009" else "1"
    return _message(code, {name: fields[name] for name in told}, asked)
