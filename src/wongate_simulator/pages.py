"""Pages for developers: start, exchange log, transactions with cancels by hand, and the manual of the control API."""

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from wongate_simulator import cancellation
from wongate_simulator.clock import iso
from wongate_simulator.codes import Refused
from wongate_simulator.connections import own_url, read_body
from wongate_simulator.control_manual import CALLS
from wongate_simulator.faults import REQUEST_TYPES
from wongate_simulator.forms import read_form
from wongate_simulator.records import Payment
from wongate_simulator.rendering import language, page
from wongate_simulator.simulator import Simulator, simulator_of
from wongate_simulator.words import WORDS, won

SHOWN = 100
KINDS = (*REQUEST_TYPES[:1], "result", *REQUEST_TYPES[1:-1])


async def home(request: Request) -> Response:
    sim = simulator_of(request)
    return page(
        request,
        "home.html",
        language(request),
        own_url=own_url(request),
        merchants=sim.merchants.values(),
        now=iso(sim.clock.now()),
        counts=sim.books.counts(),
    )


async def exchanges(request: Request) -> Response:
    sim = simulator_of(request)
    asked = request.query_params
    search, kind = asked.get("q", "").strip(), asked.get("kind", "")
    chosen = sim.exchanges.latest(SHOWN, kind=kind, search=search)
    return page(
        request,
        "exchanges.html",
        language(request),
        exchanges=chosen,
        search=search,
        kind=kind,
        kinds=KINDS,
        iso=iso,
    )


async def transactions(request: Request) -> Response:
    sim = simulator_of(request)
    search = request.query_params.get("q", "").strip()
    cancellation.settle_in_progress(sim)
    payments = sim.books.latest(search, SHOWN)
    return page(request, "transactions.html", language(request), payments=payments, search=search, iso=iso)


async def transaction(request: Request) -> Response:
    sim = simulator_of(request)
    cancellation.settle_in_progress(sim)
    payment = sim.books.by_token(request.path_params["token"])
    if payment is None:
        return page(request, "lost.html", language(request), status=404, anywhere=True)
    return _transaction(request, sim, payment)


async def cancel_by_hand(request: Request) -> Response:
    sim = simulator_of(request)
    payment = sim.books.by_token(request.path_params["token"])
    if payment is None:
        return page(request, "lost.html", language(request), status=404, anywhere=True)
    fields = read_form(await read_body(request)).fields
    digits = fields.get("amount", "")
    amount = int(digits) if digits.isascii() and digits.isdigit() and len(digits) <= 12 else 0
    if fields.get("confirm") != "on":
        return _transaction(request, sim, payment, WORDS[language(request)]["confirm_missing"], status=422)
    try:
        cancellation.cancel_by_hand(sim, payment, amount, fields.get("reason", "")[:100])
    except Refused as refusal:
        return _transaction(request, sim, payment, f"{refusal.code} {refusal.text}", status=422)
    return RedirectResponse(f"{request.url.path}?done={amount}&lang={language(request)}", 303)


def _transaction(
    request: Request, sim: Simulator, payment: Payment, trouble: str = "", status: int = 200
) -> Response:
    lang = language(request)
    done = request.query_params.get("done", "")
    return page(
        request,
        "transaction.html",
        lang,
        status=status,
        payment=payment,
        cancels=sim.books.cancellations(payment),
        notices=sim.books.notices_of(payment),
        done=won(int(done), lang) if done.isascii() and done.isdigit() and len(done) <= 12 else "",
        trouble=trouble,
        iso=iso,
    )


async def control_manual(request: Request) -> Response:
    return page(request, "control.html", language(request), own_url=own_url(request), calls=CALLS)
