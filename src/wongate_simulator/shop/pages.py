"""The pages that people see. Reading renders a template; a button posts and is answered by a redirect."""

from typing import Any
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response, StreamingResponse

from wongate_simulator.shop import selling
from wongate_simulator.shop.api import payer_ip
from wongate_simulator.shop.bodies import read_form
from wongate_simulator.shop.gate_client import Answer
from wongate_simulator.shop.goods import GOODS
from wongate_simulator.shop.orders import Order
from wongate_simulator.shop.payment_page import page_url, widget_parameters
from wongate_simulator.shop.progress import Progress
from wongate_simulator.shop.rendering import reader_language, render
from wongate_simulator.shop.selling import Shop
from wongate_simulator.shop.settings import origin_of
from wongate_simulator.shop.speech import Speech

ORDERS_ON_A_PAGE = 50


async def catalogue(request: Request) -> Response:
    return render(request, "catalogue.html", goods=GOODS.values())


async def checkout(request: Request) -> Response:
    good = GOODS.get(request.path_params["good"])
    if good is None:
        return not_found(request)
    shop = _shop(request)
    ways = ["gate", "page", "widget"] if await shop.page.is_open() else ["gate"]
    # The order's form is answered by a redirect to the payment page, which form-action governs as well.
    return render(request, "checkout.html", forms_to=(shop.settings.page_origin,), good=good, ways=ways)


async def make_order(request: Request) -> Response:
    shop, form = _shop(request), await read_form(request)
    good, way = GOODS.get(form.get("item", "")), form.get("way", "gate")
    if good is None or way not in ("gate", "page", "widget"):
        return not_found(request)
    language = reader_language(request)
    order = selling.new_order(
        shop,
        item=good.name,
        description=Speech(language)(f"good.{good.name}"),
        amount=good.amount,
        way=way,
        language=language,
    )
    return await _start_paying(request, shop, order)


async def _start_paying(request: Request, shop: Shop, order: Order) -> Response:
    if order.way == "gate":
        answer = await selling.sell(shop, order, payer_ip(request))
        return _go(_path(order, "/pay" if answer.accepted else ""))
    shop.orders.place(order)
    return _go(page_url(shop.settings, order) if order.way == "page" else _path(order, "/widget"))


async def pay(request: Request) -> Response:
    """Waits for the redirect callback, then carries the payer to Payco: the accept answer has no address."""
    order = _order(request)
    if order is None:
        return not_found(request)
    shop = _shop(request)
    version, standing = shop.orders.version(order.payment_id), selling.standing(shop, order)
    if standing.status not in ("processing", "awaiting redirect result"):
        return _go(_path(order))
    redirect = standing.redirect
    # The window may itself send the payer on by a redirect, which form-action governs as well.
    origins = (origin_of(redirect.url), origin_of(shop.settings.simulator_url)) if redirect else ()
    return render(request, "pay.html", forms_to=origins, order=order, redirect=redirect, version=version)


async def widget(request: Request) -> Response:
    order = _order(request)
    if order is None or order.way != "widget":
        return not_found(request)
    settings = _shop(request).settings
    return render(
        request,
        "widget.html",
        forms_to=(settings.page_origin, origin_of(settings.simulator_url)),
        frames_from=(settings.page_origin,),
        order=order,
        parameters=widget_parameters(settings, order),
        page_url=page_url(settings, order),
    )


async def show_order(request: Request) -> Response:
    order = _order(request)
    return render_order(request, order) if order else not_found(request)


async def come_back(request: Request) -> Response:
    """Where the payer comes back to. Nothing is concluded from it: anybody can open this address."""
    shop = _shop(request)
    order = shop.orders.find(request.query_params.get("order", ""))
    outcome = request.path_params["outcome"]
    if order is None or outcome not in ("success", "decline", "return"):
        return not_found(request)
    return render_order(request, order, note=Speech(reader_language(request))(f"note.{outcome}"))


async def ask_refund(request: Request) -> Response:
    """Shows the refund before it is sent; a wrong amount is explained beside its field."""
    order = _order(request)
    if order is None:
        return not_found(request)
    standing = selling.standing(_shop(request), order)
    typed = request.query_params.get("amount")
    complaint = _complaint(Speech(reader_language(request)), typed, standing)
    if complaint:
        return render_order(request, order, 400, typed=typed or "", complaint=complaint)
    return render(
        request,
        "refund.html",
        order=order,
        standing=standing,
        amount=_whole_number(typed or ""),
        refund_id=selling.new_id("refund"),
    )


async def refund(request: Request) -> Response:
    shop, order, form = _shop(request), _order(request), await read_form(request)
    if order is None:
        return not_found(request)
    # The id was made for the confirmation page, so the button pressed twice asks for one refund.
    refund_id, amount = form.get("refund_id", ""), _whole_number(form.get("amount", ""))
    if refund_id and not shop.orders.refund_was_asked(refund_id):
        await selling.refund(shop, order.payment_id, refund_id, amount, reason="refund")
    return _go(_path(order))


async def ask_status(request: Request) -> Response:
    order = _order(request)
    if order is None:
        return not_found(request)
    await selling.ask_status(_shop(request), order.payment_id)
    return _go(_path(order))


async def send_again(request: Request) -> Response:
    shop, order = _shop(request), _order(request)
    sent = shop.orders.request(request.path_params["number"])
    if order is None or sent is None or sent.payment_id != order.payment_id:
        return not_found(request)
    answer = Answer(sent.http_status, sent.answer)
    if answer.resendable:  # not when it was answered meanwhile, in another tab
        answer = await selling.send(shop, sent)
    return _go(_path(order, "/pay" if sent.kind == "sale" and answer.accepted else ""))


async def watch(request: Request) -> Response:
    """Events for pages that are open: something new is known about this payment."""
    shop, payment_id = _shop(request), request.path_params["payment_id"]
    seen = request.headers.get("last-event-id") or request.query_params.get("after", "")
    lines = shop.watchers.changes(payment_id, seen, lambda: shop.orders.version(payment_id))
    return StreamingResponse(lines, media_type="text/event-stream", headers={"Cache-Control": "no-store"})


async def list_orders(request: Request) -> Response:
    shop = _shop(request)
    before = _whole_number(request.query_params.get("before", "")) or 2**63 - 1
    numbered = shop.orders.newest(before, ORDERS_ON_A_PAGE)
    return render(
        request,
        "orders.html",
        orders=[(order, selling.standing(shop, order)) for _, order in numbered],
        older=numbered[-1][0] if len(numbered) == ORDERS_ON_A_PAGE else None,
        refused=shop.orders.refused_callbacks(),
    )


def render_order(
    request: Request, order: Order, status: int = 200, *, note: str = "", typed: str = "", complaint: str = ""
) -> Response:
    shop = _shop(request)
    # The version first: what arrives while the page is being made shows up as a change.
    version = shop.orders.version(order.payment_id)
    return render(
        request,
        "order.html",
        status,
        order=order,
        standing=selling.standing(shop, order),
        story=_story(shop, order),
        version=version,
        page_url=page_url(shop.settings, order),
        note=note,
        typed=typed,
        complaint=complaint,
    )


def not_found(request: Request, _problem: Exception | None = None) -> Response:
    say = Speech(reader_language(request))
    title, text = say("not_found_title"), say("not_found_line")
    return render(request, "notice.html", 404, title=title, text=text)


def refuse(request: Request, _problem: Exception | None = None) -> Response:
    say = Speech(reader_language(request))
    title, text = say("refused_form_title"), say("refused_form_line")
    return render(request, "notice.html", 403, title=title, text=text)


def _story(shop: Shop, order: Order) -> list[tuple[str, Any]]:
    """Requests and callbacks in the order in which they happened."""
    sent = [("request", request, request.sent_at) for request in shop.orders.requests(order.payment_id)]
    heard = [
        ("callback", callback, callback.received_at) for callback in shop.orders.callbacks(order.payment_id)
    ]
    return [(kind, entry) for kind, entry, _ in sorted([*sent, *heard], key=lambda event: event[2])]


def _complaint(say: Speech, typed: str | None, standing: Progress) -> str:
    amount = _whole_number(typed) if typed is not None else standing.available
    if amount is None:
        return say("refund_not_a_number")
    if not 0 < amount <= standing.available:
        return say("refund_too_much", available=say.won(standing.available))
    return ""


def _whole_number(text: str) -> int | None:
    digits = text.replace(",", "").strip()
    return (
        int(digits) if digits.isascii() and digits.isdigit() and len(digits) <= 13 and int(digits) else None
    )


def _shop(request: Request) -> Shop:
    shop: Shop = request.app.state.shop
    return shop


def _order(request: Request) -> Order | None:
    return _shop(request).orders.find(request.path_params["payment_id"])


def _path(order: Order, below: str = "") -> str:
    return f"/orders/{quote(order.payment_id, safe='')}{below}"


def _go(url: str) -> Response:
    return RedirectResponse(url, 303)
