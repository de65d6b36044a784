"""The Payment Page from the signed link to the result, for a payer without JavaScript."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

import pytest
from tests.processes import HANG_GUARD_S
from tests.web.payer import Payer, page_path, parameters, sdk_url, window_of
from tests.world import PROJECT_ID, OpenWorld, World, ask

from wongate.flows import page as paying
from wongate.flows import status


async def callbacks(world: World) -> list[tuple[str, str]]:
    """Payment status and code of every callback that was enqueued, in the order of their making."""
    rows = await world.rows("SELECT body::jsonb AS body FROM callback ORDER BY callback_id")
    return [(row["body"]["payment"]["status"], row["body"]["operation"]["code"]) for row in rows]


# --- opening --------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "language, expected",
    [
        ("ko", "1,000원 결제하기"),
        ("en", "Pay ₩1,000"),
        ("ru", "Оплатить 1\u00a0000\u00a0₩"),
        ("fr", "Pay ₩1,000"),
    ],
)
async def test_the_link_of_the_published_sdk_opens_the_form(
    open_world: OpenWorld, language: str, expected: str
):
    async with open_world() as world:
        payer = Payer(world)
        page = await payer.get(sdk_url("order-1", language_code=language, payment_description="녹차"))
        assert 200 == payer.answer.status
        assert " ".join(expected.split()) in page.texts
        assert {"Test shop", "order-1", "녹차", "Payco"} <= set(page.texts)


async def test_the_form_may_be_opened_by_post(open_world: OpenWorld):
    async with open_world() as world:
        page = await Payer(world).post("/payment", parameters())
        assert "X03936" in page.texts


async def test_an_open_page_leaves_nothing_behind(open_world: OpenWorld):
    async with open_world() as world:
        before = await world.fingerprint()
        await Payer(world).get(page_path())
        assert before == await world.fingerprint()


SPELLINGS = {"PHP": "1", "Python": "True", "JavaScript": "true", "Go": "true"}


@pytest.mark.parametrize("spelling", SPELLINGS.values(), ids=SPELLINGS.keys())
async def test_a_boolean_is_read_as_each_client_spells_it(open_world: OpenWorld, spelling: str):
    signed = parameters(close_on_missclick="1")
    async with open_world() as world:
        page = await Payer(world).get(f"/payment?{urlencode({**signed, 'close_on_missclick': spelling})}")
        assert "X03936" in page.texts


async def test_what_the_browser_adds_needs_no_signature(open_world: OpenWorld):
    added = {"frame_mode": "popup", "_referrer": "http://shop/?a=1;b", "_sw": "390", "target_element": "here"}
    async with open_world() as world:
        page = await Payer(world).get(f"/payment?{urlencode({**parameters(), **added})}")
        assert "X03936" in page.texts
        assert "popup" == page.body["class"]


REFUSALS: list[tuple[dict[str, Any], str]] = [
    ({"payment_amount": None}, "2004 Required field not provided"),
    ({"customer_id": None}, "2004 Required field not provided"),
    ({"project_id": "999999"}, "2442 Project ID not found"),
    ({"project_id": "shop"}, "2442 Project ID not found"),
    ({"payment_description": "a;b"}, "502 Validation error"),
    ({"payment_id": " order"}, "3024 Invalid Payment ID"),
    ({"payment_amount": "10.50"}, "502 Validation error"),
    ({"payment_amount": "99"}, "3358 Operation amount is less than limit"),
    ({"payment_amount": "10000001"}, "2642 Operation amount is greater than limit"),
    ({"payment_currency": "USD"}, "3023 Provided currency disabled for Project ID"),
    ({"payment_currency": "WON"}, "3121 Invalid currency"),
    ({"force_payment_method": "kakaopay"}, "2541 Unknown Payment Method"),
    ({"hide": "payco-wallet"}, "310 This operation is not allowed by project settings"),
    ({"mode": "payout"}, "310 This operation is not allowed by project settings"),
    ({"best_before": "tomorrow"}, "502 Validation error"),
    ({"merchant_return_url": "javascript:alert(1)"}, "502 Validation error"),
    ({"redirect_success_url": "//evil.example/"}, "502 Validation error"),
    ({"redirect_fail_url": "data:text/html,x"}, "502 Validation error"),
    ({"customer_email": "nobody"}, "2426 Invalid Email"),
]


@pytest.mark.parametrize("changes, message", REFUSALS, ids=[str(changes) for changes, _ in REFUSALS])
async def test_a_page_that_may_not_be_opened_says_its_code(
    open_world: OpenWorld, changes: dict[str, Any], message: str
):
    async with open_world() as world:
        before = await world.fingerprint()
        payer = Payer(world)
        page = await payer.get(page_path(**changes))
        assert (400, message) == (payer.answer.status, page.body["data-message"])
        assert [] == page.forms
        assert "X03936" not in payer.answer.raw.decode()
        assert before == await world.fingerprint()


@pytest.mark.parametrize(
    "query, code",
    [
        ("", "2004"),
        ("project_id=%FF", "702"),
        ("project_id=1&project_id=2", "702"),
        ("&".join(f"a{n}=" for n in range(301)), "702"),
    ],
    ids=["nothing", "no UTF-8", "twice", "too many"],
)
async def test_parameters_that_no_client_sends_are_refused(open_world: OpenWorld, query: str, code: str):
    async with open_world() as world:
        payer = Payer(world)
        page = await payer.get(f"/payment?{query}")
        assert (400, code) == (payer.answer.status, page.body["data-message"].split()[0])


@pytest.mark.parametrize("signature, code", [("", "3262"), ("x" * 88, "3261"), (None, "2004")])
async def test_the_signature_must_be_there_and_right(open_world: OpenWorld, signature: str | None, code: str):
    changed = {**parameters(), "signature": signature}
    async with open_world() as world:
        page = await Payer(world).post("/payment", {k: v for k, v in changed.items() if v is not None})
        assert code == page.body["data-message"].split()[0]


async def test_a_blocked_project_opens_no_page(open_world: OpenWorld):
    async with open_world(blocked=True) as world:
        page = await Payer(world).get(page_path())
        assert "3299" == page.body["data-message"].split()[0]


async def test_a_page_opened_before_the_project_was_blocked_takes_no_payment(open_world: OpenWorld):
    async with open_world() as world:
        payer = Payer(world)
        await payer.get(page_path())
        await world.set_project(blocked=True)
        page = await payer.press("/payment/pay")
        assert "3299" == page.body["data-message"].split()[0]
        assert 0 == await world.value("SELECT count(*) FROM payment")


async def test_opening_a_page_costs_one_read(open_world: OpenWorld):
    async with open_world() as world:
        payer = Payer(world)
        await payer.get(page_path())  # the project is known from now on
        read, trips = world.platform.database.read, 0

        @asynccontextmanager
        async def counted() -> AsyncIterator[Any]:
            nonlocal trips
            async with read() as connection:
                connection.add_query_logger(lambda _: count())
                yield connection

        def count() -> None:
            nonlocal trips
            trips += 1

        world.platform.database.read = counted  # type: ignore[method-assign]
        await payer.get(page_path(payment_id="another"))
        assert (200, 1) == (payer.answer.status, trips)


class Meddled:
    """A connection between whose statements the world goes on."""

    def __init__(self, connection: Any, meanwhile: Callable[[], Awaitable[Any]]) -> None:
        self._connection = connection
        self._meanwhile = meanwhile

    def __getattr__(self, name: str) -> Any:
        async def call(*arguments: Any) -> Any:
            found = await getattr(self._connection, name)(*arguments)
            await self._meanwhile()
            return found

        return call


async def test_a_payment_is_read_as_it_stood_at_one_moment(open_world: OpenWorld):
    """It was not: a payment still in work with a sale that was done made a page that waited for ever."""
    async with open_world() as world:
        payer = Payer(world)
        await payer.get(page_path())
        form = await payer.pay()
        read = world.platform.database.read

        @asynccontextmanager
        async def meddled() -> AsyncIterator[Any]:
            async with read() as connection:
                yield Meddled(connection, pay_meanwhile)

        async def pay_meanwhile() -> None:
            world.platform.database.read = read  # type: ignore[method-assign]
            await Payer(world).choose(form)

        project = await world.platform.project(PROJECT_ID)
        number = await world.value("SELECT payment_no FROM payment")
        world.platform.database.read = meddled  # type: ignore[method-assign]
        assert project is not None
        standing = await status.by_payment_no(world.platform, project, number)
        assert standing is not None
        assert ("awaiting redirect result", "waiting") == (
            standing.payment.status,
            standing.operations[0].stage,
        )
        assert "success" == await world.value("SELECT status FROM payment")


# --- paying ---------------------------------------------------------------------------------------------------------------------


async def test_a_payer_pays_and_sees_the_result(open_world: OpenWorld):
    async with open_world() as world:
        payer = Payer(world)
        await payer.get(page_path(force_payment_method="payco-wallet", payment_description="Tea"))
        form = await payer.pay()
        assert f"{world.simulator.url}/v3/v3Payment.jsp" == form["url"]
        assert "awaiting redirect result" == await world.value("SELECT status FROM payment")
        page = await payer.choose(form)
        assert {"Payment complete", "₩1,000", "Tea", "X03936", "Paid"} <= set(page.texts)
        await world.work()
        assert [("success", "0")] == await callbacks(world)
        assert "payco" == world.merchant.received[-1].body["payment"]["method"]


async def test_a_project_may_ask_for_the_intermediate_callback(open_world: OpenWorld):
    async with open_world(redirect_callback_on_page=True) as world:
        payer = Payer(world)
        await payer.get(page_path())
        await payer.choose(await payer.pay())
        assert [("awaiting redirect result", "9999"), ("success", "0")] == await callbacks(world)


async def test_a_page_payment_uses_its_own_callback_address(open_world: OpenWorld):
    async with open_world() as world:
        payer = Payer(world)
        await payer.get(page_path(merchant_callback_url=f"{world.merchant.url}/own"))
        await payer.choose(await payer.pay())
        await world.work()
        assert (1, 0) == (len(world.merchant.at("/own")), len(world.merchant.at("/callbacks")))


@pytest.mark.parametrize(
    "outcome, code, text",
    [
        ("cancel", "20301", "You cancelled the payment. Nothing has been charged."),
        ("fail", "20000", "Payco did not approve the payment. Nothing has been charged."),
    ],
)
async def test_a_payer_who_does_not_pay_is_told_so(open_world: OpenWorld, outcome: str, code: str, text: str):
    async with open_world() as world:
        payer = Payer(world)
        await payer.get(page_path())
        page = await payer.choose(await payer.pay(), outcome)
        assert {"Payment not completed", text} <= set(page.texts)
        assert [("decline", code)] == await callbacks(world)


async def test_pressing_pay_twice_is_one_sale(open_world: OpenWorld):
    async with open_world() as world:
        tabs = [Payer(world) for _ in range(4)]
        for tab in tabs:
            await tab.get(page_path())
        pages = await asyncio.gather(*(tab.press("/payment/pay") for tab in tabs))
        assert 1 == await world.value("SELECT count(*) FROM operation")
        shown = sorted(page.body["data-page"] for page in pages)
        assert ["handoff", "waiting", "waiting", "waiting"] == shown


async def test_pay_with_a_method_that_is_not_offered_is_refused(open_world: OpenWorld):
    async with open_world() as world:
        payer = Payer(world)
        await payer.get(page_path())
        page = await payer.press("/payment/pay", method="kakaopay")
        assert "2541" == page.body["data-message"].split()[0]
        assert 0 == await world.value("SELECT count(*) FROM payment")


async def test_pay_with_changed_parameters_is_refused(open_world: OpenWorld):
    async with open_world() as world:
        payer = Payer(world)
        await payer.get(page_path())
        opened = payer.page.form("/payment/pay").values()["opened"]
        page = await payer.press(
            "/payment/pay", opened=opened.replace("payment_amount=1000", "payment_amount=1")
        )
        assert "3261" == page.body["data-message"].split()[0]


# --- going, coming back, going again --------------------------------------------------------------------------------------------


async def test_a_payer_who_comes_back_opens_a_further_window(open_world: OpenWorld):
    """The provider opens no second window under a known order number; whichever is finished pays, once."""
    async with open_world() as world:
        payer = Payer(world)
        await payer.get(page_path())
        first = await payer.pay()
        await payer.get(page_path())
        assert "waiting" == payer.page.body["data-page"]
        second = window_of(await payer.press("/window"))
        assert f"{first['body']['Moid']}N2" == second["body"]["Moid"]
        results = [(await world.simulator.choose(form))[0] for form in (second, first)]
        page = await payer.post(second["body"]["ReturnURL"], results[0])
        assert "Payment complete" in page.texts
        page = await payer.post(first["body"]["ReturnURL"], results[1])
        assert "Payment complete" in page.texts
        books = [await world.simulator.books(form["body"]["Moid"]) for form in (first, second)]
        assert [0, 1] == [book.get("approvals", 0) for book in books]
        await world.work()
        assert [("success", "0")] == await callbacks(world)


async def test_the_first_window_pays_although_a_second_was_opened(open_world: OpenWorld):
    async with open_world() as world:
        payer = Payer(world)
        await payer.get(page_path())
        first = await payer.pay()
        await payer.get(page_path())
        await payer.press("/window")
        page = await payer.choose(first)
        assert "Payment complete" in page.texts
        assert first["body"]["Moid"] == await world.value("SELECT order_number FROM operation")


async def test_windows_do_not_open_without_end(open_world: OpenWorld):
    async with open_world() as world:
        payer = Payer(world)
        await payer.get(page_path())
        await payer.pay()
        await payer.get(page_path())
        for _ in range(paying.WINDOWS_MAX - 1):
            await payer.press("/window")
            await payer.get(page_path())
        assert "waiting" == (await payer.press("/window")).body["data-page"]


async def test_a_refund_finds_the_window_that_paid(open_world: OpenWorld):
    async with open_world() as world:
        payer = Payer(world)
        await payer.get(page_path())
        await payer.pay()
        await payer.get(page_path())
        await payer.choose(window_of(await payer.press("/window")))
        answer = await world.post("/v2/payment/wallet/payco/refund", world.refund_body("X03936"))
        assert 200 == answer.status
        await world.work()
        assert "refunded" == await world.value("SELECT status FROM payment")
        page = await payer.get(page_path())
        assert {"Payment refunded", "Refunded"} <= set(page.texts)


async def test_a_payer_may_give_up(open_world: OpenWorld):
    async with open_world() as world:
        payer = Payer(world)
        await payer.get(page_path())
        form = await payer.pay()
        await payer.get(page_path())
        page = await payer.press("/cancel")
        assert "You cancelled the payment. Nothing has been charged." in page.texts
        assert [("decline", "20301")] == await callbacks(world)
        page = await payer.choose(form)  # the window in the other tab is still open
        assert "Payment not completed" in page.texts
        assert 0 == (await world.simulator.books(form["body"]["Moid"]))["approvals"]


async def test_giving_up_comes_too_late_for_a_paid_payment(open_world: OpenWorld):
    async with open_world() as world:
        payer = Payer(world)
        await payer.get(page_path())
        form = await payer.pay()
        await payer.get(page_path())
        waiting = payer.page.form("/cancel").action
        await payer.choose(form)
        page = await payer.post(waiting, {})
        assert "Payment complete" in page.texts


async def test_a_finished_payment_shows_its_result_when_opened_again(open_world: OpenWorld):
    async with open_world() as world:
        payer = Payer(world)
        await payer.get(page_path())
        await payer.choose(await payer.pay())
        page = await payer.get(
            page_path(payment_id="x03936", payment_description="other", language_code="ko")
        )
        assert "결제가 완료되었습니다" in page.texts or "Payment complete" in page.texts
        assert 1 == await world.value("SELECT count(*) FROM operation")


@pytest.mark.parametrize(
    "change", [{"payment_amount": "1001"}, {"customer_id": "somebody else"}], ids=["amount", "customer"]
)
async def test_a_known_id_with_another_amount_or_customer_is_refused(
    open_world: OpenWorld, change: dict[str, str]
):
    async with open_world() as world:
        payer = Payer(world)
        await payer.get(page_path(**change))
        opened_before = payer.page.form("/payment/pay").values()
        await payer.get(page_path())
        await payer.pay()
        page = await payer.get(page_path(**change))
        assert (400, "3041") == (payer.answer.status, page.body["data-message"].split()[0])
        page = await payer.post("/payment/pay", opened_before)
        assert "3041" == page.body["data-message"].split()[0]


async def test_a_payment_begun_through_gate_is_taken_up_by_the_page(open_world: OpenWorld):
    async with open_world() as world:
        sale = await world.sale(return_url=None)
        payer = Payer(world)
        asked = {"payment_id": sale.payment_id, "customer_id": "customer1"}
        page = await payer.get(page_path(**asked))
        assert "waiting" == page.body["data-page"]
        assert (await sale.moid()) + "N2" == window_of(await payer.press("/window"))["body"]["Moid"]


# --- where the payer goes afterwards --------------------------------------------------------------------------------------------

URLS = {"redirect_success_url": "https://shop/ok?a=1", "redirect_fail_url": "https://shop/no"}
MANY = {
    "merchant_success_url": "https://shop/m-ok",
    "merchant_fail_url": "https://shop/m-no",
    "merchant_return_url": "https://shop/m-back",
}


@pytest.mark.parametrize(
    "outcome, expected", [("card", "https://shop/ok?a=1"), ("cancel", "https://shop/no")]
)
async def test_the_payer_is_sent_on_automatically(open_world: OpenWorld, outcome: str, expected: str):
    async with open_world() as world:
        payer = Payer(world)
        await payer.get(page_path(**URLS))
        await payer.choose(await payer.pay(), outcome)
        assert expected == payer.url


@pytest.mark.parametrize(
    "changes", [{"redirect_success_enabled": "0"}, {"redirect_success_mode": "blank_page"}]
)
async def test_the_result_page_stays_where_the_redirect_is_off_or_opens_elsewhere(
    open_world: OpenWorld, changes: dict[str, str]
):
    async with open_world() as world:
        payer = Payer(world)
        await payer.get(page_path(**URLS, **changes))
        page = await payer.choose(await payer.pay())
        assert "Payment complete" in page.texts


@pytest.mark.parametrize(
    "outcome, changes, expected",
    [
        ("card", MANY, "https://shop/m-ok"),
        ("cancel", MANY, "https://shop/m-no"),
        ("card", {**MANY, "merchant_success_enabled": "0"}, "https://shop/m-back"),
        ("card", {"merchant_return_url": "https://shop/m-back"}, "https://shop/m-back"),
        ("card", {**MANY, "merchant_success_enabled": "1"}, "https://shop/m-ok"),
    ],
)
async def test_the_result_has_the_merchants_button(
    open_world: OpenWorld, outcome: str, changes: dict[str, str], expected: str
):
    async with open_world() as world:
        payer = Payer(world)
        await payer.get(page_path(**changes))
        page = await payer.choose(await payer.pay(), outcome)
        assert expected == page.links["Return to the shop"]["href"]


@pytest.mark.parametrize(
    "headers, changes, target",
    [
        ({"sec-fetch-dest": "iframe"}, {}, "_parent"),
        ({"sec-fetch-dest": "document"}, {}, None),
        ({}, {"merchant_return_redirect_mode": "blank_page"}, "_blank"),
        ({"sec-fetch-dest": "iframe"}, {"merchant_return_redirect_mode": "iframe"}, None),
    ],
)
async def test_the_way_back_opens_where_the_merchant_says(
    open_world: OpenWorld, headers: dict[str, str], changes: dict[str, str], target: str | None
):
    async with open_world() as world:
        page = await Payer(world, headers).get(page_path(merchant_return_url="https://shop/", **changes))
        assert target == page.links["Cancel and return to the shop"].get("target")


@pytest.mark.parametrize(
    "switch, framed, shown", [("0", False, False), ("1", False, True), ("1", True, False), ("2", True, True)]
)
async def test_the_way_back_can_be_switched_off(
    open_world: OpenWorld, switch: str, framed: bool, shown: bool
):
    async with open_world() as world:
        headers = {"sec-fetch-dest": "iframe" if framed else "document"}
        path = page_path(merchant_return_url="https://shop/", merchant_return_enabled=switch)
        page = await Payer(world, headers).get(path)
        assert shown == ("Cancel and return to the shop" in page.links)


async def test_the_projects_addresses_serve_where_the_parameters_name_none(open_world: OpenWorld):
    async with open_world(return_url="https://shop/home", success_url="https://shop/thanks") as world:
        payer = Payer(world)
        page = await payer.get(page_path())
        assert "https://shop/home" == page.links["Cancel and return to the shop"]["href"]
        page = await payer.choose(await payer.pay())
        assert "https://shop/thanks" == page.links["Return to the shop"]["href"]


async def test_a_window_in_a_new_tab_ends_in_that_tab(open_world: OpenWorld):
    async with open_world() as world:
        payer = Payer(world)
        page = await payer.get(page_path(force_acs_new_window="1", **URLS))
        assert "_blank" == page.form("/payment/pay").attributes["target"]
        page = await payer.choose(await payer.pay())
        assert "You can close this tab" in page.texts
        await payer.get(page.links["Show the result here"]["href"])
        assert "https://shop/ok?a=1" == payer.url


# --- time -----------------------------------------------------------------------------------------------------------------------


def moment(world: World, **ahead: float) -> str:
    return (world.clock.now() + timedelta(**ahead)).strftime("%Y-%m-%dT%H:%M:%S+00:00")


async def test_the_page_counts_down_to_best_before(open_world: OpenWorld):
    async with open_world() as world:
        page = await Payer(world).get(page_path(best_before=moment(world, minutes=10)))
        clock = next(tags for tag, tags in page.tags if "data-seconds" in tags)
        assert "600" == clock["data-seconds"]


async def test_a_limit_more_than_thirty_days_ahead_does_not_count(open_world: OpenWorld):
    async with open_world() as world:
        page = await Payer(world).get(page_path(best_before=moment(world, days=31)))
        assert not any("data-seconds" in tags for _, tags in page.tags)


async def test_after_best_before_there_is_nothing_to_pay(open_world: OpenWorld):
    async with open_world() as world:
        payer = Payer(world)
        await payer.get(page_path(best_before=moment(world, minutes=10)))
        world.clock.advance(600)
        page = await payer.press("/payment/pay")
        assert "The time to pay is over" in page.texts
        await payer.get(page_path(best_before=moment(world, seconds=-1)))
        assert "over" == payer.page.body["data-page"]
        assert 0 == await world.value("SELECT count(*) FROM payment")


async def test_best_before_ends_a_payment_under_way(open_world: OpenWorld):
    async with open_world() as world:
        payer = Payer(world)
        await payer.get(page_path(best_before=moment(world, minutes=5)))
        await payer.pay()
        world.clock.advance(300)
        await world.work()
        assert [("decline", "20602")] == await callbacks(world)
        page = await payer.get(page_path(best_before=moment(world, seconds=0)))
        assert "The payment was not finished in time. Nothing has been charged." in page.texts


# --- the waiting page -----------------------------------------------------------------------------------------------------------


async def test_the_waiting_page_is_told_when_the_result_is_there(open_world: OpenWorld):
    async with open_world() as world:
        payer = Payer(world)
        await payer.get(page_path())
        form = await payer.pay()
        await payer.get(page_path())
        events = payer.page.body["data-events"]
        listening = asyncio.create_task(ask(world.app, "GET", events))
        await asyncio.sleep(0.1)
        assert not listening.done()
        await Payer(world).choose(form)
        answer = await asyncio.wait_for(listening, HANG_GUARD_S)
        assert b"retry: 1000\n\ndata: changed\n\n" == answer.raw
        assert "text/event-stream; charset=utf-8" == answer.headers["content-type"]


async def test_a_stream_ends_by_itself(open_world: OpenWorld):
    async with open_world() as world:
        payer = Payer(world)
        await payer.get(page_path())
        await payer.pay()
        await payer.get(page_path())
        ticks = iter(range(0, 10_000, 10))
        world.platform.monotonic = lambda: float(next(ticks))
        answer = await asyncio.wait_for(ask(world.app, "GET", payer.page.body["data-events"]), HANG_GUARD_S)
        assert b"retry: 1000\n\n" == answer.raw


async def test_the_waiting_page_looks_again_without_javascript(open_world: OpenWorld):
    async with open_world() as world:
        payer = Payer(world)
        await payer.get(page_path())
        await payer.pay()
        page = await payer.get(page_path())
        assert ("meta", {"http-equiv": "refresh", "content": "4"}) in page.tags


@pytest.mark.parametrize("path", ["", "/events", "/window", "/again", "/cancel"])
async def test_a_token_that_is_not_ours_finds_nothing(open_world: OpenWorld, path: str):
    async with open_world() as world:
        payer = Payer(world)
        await payer.get(page_path())
        await payer.pay()
        key = await world.value("SELECT return_key FROM operation")
        operation_id = await world.value("SELECT operation_id FROM operation")
        before = await world.fingerprint()
        method = "GET" if path in ("", "/events") else "POST"
        for token in (
            f"{PROJECT_ID}.{operation_id}.{'0' * 32}",
            f"{PROJECT_ID}.{operation_id + 1}.{key}",
            f"{PROJECT_ID}.{operation_id}.",
            "x",
            f"{PROJECT_ID}.{operation_id}.{key}.{key}",
        ):
            assert 404 == (await ask(world.app, method, f"/result/{token}{path}")).status
        assert before == await world.fingerprint()


# --- the validator of SDKs ------------------------------------------------------------------------------------------------------


def unsigned(**changes: Any) -> dict[str, str]:
    return {name: value for name, value in parameters(**changes).items() if name != "signature"}


@pytest.mark.parametrize("path", ["/params/check", "/v1/params/check"])
async def test_good_parameters_pass_the_validator(open_world: OpenWorld, path: str):
    async with open_world() as world:
        answer = await ask(world.app, "GET", f"{path}?{urlencode(unsigned())}")
        assert (200, {}) == (answer.status, answer.body)


async def test_the_validator_names_everything_that_is_wrong(open_world: OpenWorld):
    async with open_world() as world:
        wrong = unsigned(customer_id=None, payment_amount="-1", merchant_return_url="shop")
        answer = await ask(world.app, "GET", f"/params/check?{urlencode(wrong)}")
        assert 400 == answer.status
        expected = [(2004, "customer_id"), (502, "payment_amount"), (502, "merchant_return_url")]
        assert expected == [(error["code"], error["field"]) for error in answer.body["errors"]]


async def test_the_validator_reads_json_with_numbers_and_booleans(open_world: OpenWorld):
    asked = {**unsigned(), "project_id": PROJECT_ID, "payment_amount": 1000, "redirect": True, "mode": None}
    async with open_world() as world:
        assert 200 == (await ask(world.app, "POST", "/params/check", json.dumps(asked).encode())).status
        assert 400 == (await ask(world.app, "POST", "/params/check", b"[]")).status
        assert 400 == (await ask(world.app, "POST", "/params/check", b"{")).status


# --- trouble --------------------------------------------------------------------------------------------------------------------


async def test_addresses_that_do_not_exist_show_a_page(open_world: OpenWorld):
    async with open_world() as world:
        payer = Payer(world, {"accept-language": "ru"})
        page = await payer.get("/nothing-here")
        assert (404, "ru") == (payer.answer.status, page.language)
        assert "Платёж не найден" in page.texts


async def test_without_a_database_the_page_asks_for_patience(open_world: OpenWorld):
    async with open_world(audited=False) as world:
        payer = Payer(world)
        await payer.get(page_path())
        await world.platform.database.close()
        page = await payer.get(page_path())
        assert 503 == payer.answer.status
        assert "Something went wrong on our side" in page.texts
        assert ("meta", {"http-equiv": "refresh", "content": "5"}) in page.tags
