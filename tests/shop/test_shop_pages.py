"""The pages as a browser without JavaScript meets them."""

import json
import re
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import pytest
from payment_page_sdk.signature_handler import SignatureHandler
from tests.shop.fake_gate import SECRET, WINDOW_FIELDS, Stage, redirect_callback, sale_callback, stage

from wongate_simulator.shop.words import WORDS


class Tags(HTMLParser):
    """The start tags of a page with their attributes."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str]]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, {name: value or "" for name, value in attributes}))

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attributes for found, attributes in self.found if found == tag]


async def every_page(shop: Stage) -> list[str]:
    """One address of each kind of page, with orders in several states behind them."""
    paid, waiting = await shop.paid_order(), await shop.order()
    await shop.call_back(redirect_callback(waiting, f"{shop.gate.url}/window", operation_id=7))
    await shop.call_back(sale_callback(paid), "forged")
    _, widget = await shop.press("/orders", item="cup", way="widget")
    return [
        "/",
        "/checkout/tea",
        "/orders",
        f"/orders/{paid}",
        f"/orders/{paid}/refund?amount=300",
        f"/orders/{paid}/refund?amount=many",
        f"/orders/{waiting}/pay",
        widget,
        f"/return/success?order={paid}",
        "/nothing/here",
    ]


async def test_the_payer_is_carried_to_payco_by_the_form_of_the_redirect_callback(tmp_path: Path) -> None:
    async with stage(tmp_path) as shop:
        _, pay = await shop.press("/orders", item="tea", way="gate")
        waiting = await shop.page(pay)
        payment_id = shop.gate.last["general"]["payment_id"]
        await shop.call_back(redirect_callback(payment_id, f"{shop.gate.url}/window"))
        page = Tags(await shop.page(pay))
        (form,) = page.all("form")
        fields = {field["name"]: field["value"] for field in page.all("input")}

        assert f"/orders/{payment_id}/pay" == pay
        assert '<meta http-equiv="refresh" content="2">' in waiting
        assert ("post", f"{shop.gate.url}/window") == (form["method"], form["action"])
        assert WINDOW_FIELDS == fields


@pytest.mark.parametrize("url", ["javascript:alert(1)", "data:text/html,x", "//evil.example/", "ftp://x/"])
async def test_a_redirect_that_is_not_http_is_not_followed(tmp_path: Path, url: str) -> None:
    async with stage(tmp_path) as shop:
        payment_id = await shop.order()
        await shop.call_back(redirect_callback(payment_id, url))

        assert url not in await shop.page(f"/orders/{payment_id}/pay")


async def test_a_payer_who_comes_to_the_waiting_page_too_late_is_shown_the_order(tmp_path: Path) -> None:
    async with stage(tmp_path) as shop:
        payment_id = await shop.paid_order()
        async with shop.visitor.get(f"{shop.shop_url}/orders/{payment_id}/pay") as response:
            assert f"/orders/{payment_id}" == response.url.path


@pytest.mark.parametrize("outcome", ["success", "decline", "return"])
async def test_coming_back_concludes_nothing(tmp_path: Path, outcome: str) -> None:
    async with stage(tmp_path) as shop:
        payment_id = await shop.order()
        page = await shop.page(f"/return/{outcome}?order={payment_id}", headers={"Accept-Language": "en"})

        assert unescape(WORDS["en"][f"note.{outcome}"]) in unescape(page)
        assert "processing" == (await shop.story(payment_id))["status"]
        assert "The goods may be sent" not in page


async def test_a_refund_is_shown_before_it_is_sent_and_a_double_press_asks_once(tmp_path: Path) -> None:
    async with stage(tmp_path) as shop:
        payment_id = await shop.paid_order(1000)
        confirmation = await shop.page(f"/orders/{payment_id}/refund?amount=300")
        fields = {field["name"]: field["value"] for field in Tags(confirmation).all("input")}
        before = len(shop.gate.received)
        presses = [await shop.press(f"/orders/{payment_id}/refund", **fields) for _ in range(2)]

        assert "300원" in await shop.page(f"/orders/{payment_id}?lang=ko")
        assert [(303, f"/orders/{payment_id}")] * 2 == presses
        assert 1 == len(shop.gate.received) - before
        assert (300, "KRW") == (shop.gate.last["payment"]["amount"], shop.gate.last["payment"]["currency"])


@pytest.mark.parametrize("amount", ["", "0", "-1", "1001", "1e3", "many", "٣", "9" * 30])
async def test_an_amount_that_cannot_be_refunded_is_explained_beside_its_field(
    tmp_path: Path, amount: str
) -> None:
    async with stage(tmp_path) as shop:
        payment_id = await shop.paid_order(1000)
        page = Tags(await shop.page(f"/orders/{payment_id}/refund", params={"amount": amount}))
        (field,) = [field for field in page.all("input") if field["name"] == "amount"]

        assert (amount, "true") == (field["value"], field["aria-invalid"])
        assert field["aria-describedby"] in [tag["id"] for tag in page.all("p") if "id" in tag]


async def test_a_full_refund_is_confirmed_with_what_is_left(tmp_path: Path) -> None:
    async with stage(tmp_path) as shop:
        payment_id = await shop.paid_order(1000)
        confirmation = await shop.page(f"/orders/{payment_id}/refund", headers={"Accept-Language": "en"})
        fields = {field["name"]: field["value"] for field in Tags(confirmation).all("input")}
        await shop.press(f"/orders/{payment_id}/refund", **fields)

        assert "ask for a refund of ₩1,000?" in confirmation
        assert "amount" not in shop.gate.last["payment"]


@pytest.mark.parametrize(
    ("headers", "asked", "language"),
    [
        ({"Accept-Language": "ko-KR,ko;q=0.9,en;q=0.8"}, "", "ko"),
        ({"Accept-Language": "de, ru;q=0.4, ko;q=0.6"}, "", "ko"),
        ({"Accept-Language": "de"}, "", "en"),
        ({"Accept-Language": "ko;q=x"}, "", "en"),
        ({"Accept-Language": "ko"}, "?lang=ru", "ru"),
        ({"Accept-Language": "ko"}, "?lang=xx", "ko"),
        ({"Accept-Language": "ko", "Cookie": "lang=ru"}, "", "ru"),
    ],
)
async def test_the_language_is_the_readers_choice_then_the_browsers(
    tmp_path: Path, headers: dict[str, str], asked: str, language: str
) -> None:
    async with stage(tmp_path) as shop:
        page = await shop.page("/" + asked, headers=headers)

        assert f'<html lang="{language}">' in page
        assert WORDS[language]["catalogue_title"] in page


async def test_a_choice_of_language_is_remembered_and_keeps_the_page(tmp_path: Path) -> None:
    async with stage(tmp_path) as shop:
        page = Tags(await shop.page("/return/success", params={"order": await shop.order()}))
        (russian,) = [link["href"] for link in page.all("a") if link.get("hreflang") == "ru"]
        await shop.page("/return/success" + russian)
        later = await shop.page("/")

        assert "order=" in russian
        assert WORDS["ru"]["catalogue_title"] in later


async def test_every_page_works_in_every_language_with_a_strict_policy(tmp_path: Path) -> None:
    async with stage(tmp_path) as shop:
        nonces = set()
        pages = await every_page(shop)
        for path in pages:
            for language in WORDS:
                async with shop.visitor.get(
                    shop.shop_url + path, headers={"Accept-Language": language}
                ) as response:
                    page, policy = await response.text(), response.headers["Content-Security-Policy"]
                    assert response.status < 500
                    assert "nosniff" == response.headers["X-Content-Type-Options"]
                    assert "same-origin" == response.headers["Referrer-Policy"]
                    assert "no-store" == response.headers["Cache-Control"]
                    assert "text/html; charset=utf-8" == response.headers["Content-Type"]
                rules = dict(rule.split(" ", 1) for rule in policy.split("; "))
                nonce = rules["script-src"].removeprefix("'nonce-").removesuffix("'")
                nonces.add(nonce)

                assert f'<html lang="{language}">' in page
                assert "unsafe" not in policy
                assert ("'none'", "'none'", "'none'") == (
                    rules["default-src"],
                    rules["frame-ancestors"],
                    rules["base-uri"],
                )
                assert_obeys(Tags(page), nonce, shop)
        assert len(nonces) == len(WORDS) * len(pages)


def assert_obeys(page: Tags, nonce: str, shop: Stage) -> None:
    """Nothing inline without the nonce, nothing from elsewhere than the shop and the platform's page."""
    for tag in page.all("script") + [link for link in page.all("link") if link["rel"] == "stylesheet"]:
        assert nonce == tag["nonce"]
    for _, attributes in page.found:
        assert not [name for name in attributes if name.startswith("on") or name == "style"]
    for tag in page.all("script") + page.all("link"):
        source = tag.get("src") or tag.get("href") or "/"
        assert source.startswith(("/static/", "/", f"{shop.gate.url}/shared/merchant."))


async def test_forms_may_only_go_where_the_page_needs_them(tmp_path: Path) -> None:
    async with stage(tmp_path) as shop:
        payment_id = await shop.order()
        await shop.call_back(redirect_callback(payment_id, "https://window.example:8443/pay?x=1"))

        async with shop.visitor.get(f"{shop.shop_url}/orders/{payment_id}/pay") as pay:
            policy = pay.headers["Content-Security-Policy"]
        async with shop.visitor.get(f"{shop.shop_url}/orders/{payment_id}") as order:
            plain = order.headers["Content-Security-Policy"]

        assert f"form-action 'self' https://window.example:8443 {shop.gate.url};" in policy
        assert "form-action 'self';" in plain


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
    ],
)
async def test_a_form_sent_by_another_site_changes_nothing(tmp_path: Path, headers: dict[str, str]) -> None:
    async with stage(tmp_path) as shop:
        payment_id = await shop.paid_order()
        before = len(shop.gate.received)
        for path in (
            "/orders",
            f"/orders/{payment_id}/refund",
            f"/orders/{payment_id}/status",
            "/api/orders",
        ):
            data = {"item": "tea", "way": "gate", "refund_id": "refund-1"}
            async with shop.visitor.post(shop.shop_url + path, data=data, headers=headers) as response:
                assert 403 == response.status

        assert before == len(shop.gate.received)


async def test_a_form_of_the_shops_own_is_taken(tmp_path: Path) -> None:
    async with stage(tmp_path) as shop:
        for headers in ({"Sec-Fetch-Site": "same-origin"}, {"Origin": shop.shop_url}):
            data = {"item": "tea", "way": "gate"}
            response = await shop.visitor.post(
                f"{shop.shop_url}/orders", data=data, headers=headers, allow_redirects=False
            )
            assert 303 == response.status


async def test_text_from_outside_is_shown_as_text(tmp_path: Path) -> None:
    async with stage(tmp_path) as shop:
        payment_id = await shop.order(1000, "<script>alert(1)</script>")
        for path in (f"/orders/{payment_id}", "/orders", f"/orders/{payment_id}/pay"):
            page = await shop.page(path)

            assert "<script>alert" not in page
            assert "&lt;script&gt;alert(1)" in page


async def test_the_payment_page_is_offered_only_when_the_platform_serves_it(tmp_path: Path) -> None:
    async with stage(tmp_path) as shop:
        ways = [
            field["value"]
            for field in Tags(await shop.page("/checkout/tea")).all("input")
            if field["name"] == "way"
        ]
        await shop.page("/checkout/tea")

        assert ["gate"] == ways
        assert 1 == shop.gate.looked_for_page
    async with stage(tmp_path) as shop:
        shop.gate.has_page = True
        ways = [
            field["value"]
            for field in Tags(await shop.page("/checkout/tea")).all("input")
            if field["name"] == "way"
        ]

        assert ["gate", "page", "widget"] == ways


async def test_the_payment_page_gets_signed_parameters_in_its_address(tmp_path: Path) -> None:
    async with stage(tmp_path) as shop:
        status, address = await shop.press("/orders", item="cup", way="page")
        parameters = dict(parse_qsl(urlsplit(address).query, strict_parsing=True))
        signature = parameters.pop("signature")

        assert 303 == status
        assert address.startswith(f"{shop.gate.url}/payment?")
        assert SignatureHandler(SECRET).sign(parameters) == signature
        assert ("12000", "KRW", "payco-wallet") == tuple(
            parameters[name] for name in ("payment_amount", "payment_currency", "force_payment_method")
        )
        assert f"{shop.shop_url}/callbacks" == parameters["merchant_callback_url"]
        assert not [value for value in parameters.values() if ";" in value]


async def test_the_widget_gets_parameters_signed_on_the_server(tmp_path: Path) -> None:
    async with stage(tmp_path) as shop:
        _, widget = await shop.press("/orders", item="cup", way="widget")
        page = await shop.page(widget)
        found = re.search(r"\.\.\.(\{.*\}),\n", page)
        assert found
        parameters = json.loads(found[1])
        signature = parameters.pop("signature")

        assert SignatureHandler(SECRET).sign(parameters) == signature
        assert f'<script src="{shop.gate.url}/shared/merchant.js"' in page
        assert "EPayWidget.run({" in page


async def test_a_payment_begun_on_the_page_is_followed_by_callbacks(tmp_path: Path) -> None:
    async with stage(tmp_path) as shop:
        _, widget = await shop.press("/orders", item="cup", way="widget")
        payment_id = widget.split("/")[2]
        begun = (await shop.story(payment_id))["status"]
        await shop.call_back(sale_callback(payment_id, amount=12_000))
        story = await shop.story(payment_id)

        assert "on the page" == begun
        assert ("success", 12_000) == (story["status"], story["available_to_refund"])


async def test_orders_are_listed_newest_first_and_older_ones_are_a_page_away(tmp_path: Path) -> None:
    async with stage(tmp_path) as shop:
        made = [await shop.order(1000 + number) for number in range(51)]
        first = await shop.page("/orders", headers={"Accept-Language": "en"})
        older = re.search(r'href="(/orders\?before=\d+)"', first)
        assert older
        second = await shop.page(older[1])

        assert first.index(made[50]) < first.index(made[1])
        assert made[0] not in first
        assert made[0] in second


@pytest.mark.parametrize("path", ["/checkout/car", "/orders/none", "/orders/none/pay", "/orders/none/refund",
                                  "/return/success?order=none", "/return/elsewhere", "/%00"])  # fmt: skip
async def test_what_is_not_there_is_said_kindly(tmp_path: Path, path: str) -> None:
    async with stage(tmp_path) as shop:
        async with shop.visitor.get(shop.shop_url + path, headers={"Accept-Language": "en"}) as response:
            page = await response.text()

        assert 404 == response.status
        assert "Please check the address" in page


async def test_a_form_beyond_any_honest_size_is_refused(tmp_path: Path) -> None:
    async with stage(tmp_path) as shop:
        status, page = await shop.press("/orders", item="t" * 9000)

        assert 403 == status
        assert 'class="card narrow"' in page
