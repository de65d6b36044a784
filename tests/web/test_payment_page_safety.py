"""What keeps the Payment Page safe: policies, frames, tokens, what is said to whom, and what is written down."""

import json
import logging
import re
from typing import Any

import pytest
from tests.web.payer import Payer, page_path, sdk_url, window_of
from tests.world import MID, PAGE_URL, OpenWorld, World, ask

from wongate.domain.account import Account
from wongate.domain.payment import Project, ProjectSettings
from wongate.web.branding import READABLE, brand_of, contrast
from wongate.web.pages import frame_origins


def policy_of(payer: Payer) -> dict[str, str]:
    parts = payer.answer.headers["content-security-policy"].split("; ")
    return {name: value for name, _, value in (part.partition(" ") for part in parts)}


async def every_page(world: World) -> list[Payer]:
    """A payer standing at each page there is."""
    paths = ["/payment", "/nothing", "/result/1.2.3", page_path(best_before="2020-01-01T00:00:00Z")]
    standing = []
    for path in paths:
        standing.append(payer := Payer(world))
        await payer.get(path)
    for outcome in ("", "pay", "back", "card", "cancel"):
        standing.append(payer := Payer(world))
        await payer.get(page_path(payment_id=f"every-{outcome}"))
        if outcome:
            form = await payer.pay()
        if outcome == "back":
            await payer.get(page_path(payment_id="every-back"))
        elif outcome in ("card", "cancel"):
            await payer.choose(form, outcome)
    shown = ["refused", "notice", "notice", "over", "form", "handoff", "waiting", "result", "result"]
    assert shown == [payer.page.body["data-page"] for payer in standing]
    return standing


async def test_every_page_has_the_strictest_policy(open_world: OpenWorld):
    async with open_world() as world:
        for payer in await every_page(world):
            policy = policy_of(payer)
            nonce = re.fullmatch(r"'nonce-([\w-]{20,})'", policy["script-src"])
            assert nonce, policy
            assert {
                "default-src": "'none'",
                "base-uri": "'none'",
                "object-src": "'none'",
            }.items() <= policy.items()
            assert {
                "img-src": "'self' data:",
                "connect-src": "'self'",
                "frame-ancestors": "'none'",
            }.items() <= policy.items()
            assert "unsafe" not in str(policy)
            loaded = [
                tags
                for tag, tags in payer.page.tags
                if tag in ("script", "style") or tags.get("rel") == "stylesheet"
            ]
            assert {nonce[1]} == {tags["nonce"] for tags in loaded}
            inline = [
                name
                for _, tags in payer.page.tags
                for name in tags
                if name.startswith("on") or name == "style"
            ]
            assert [] == inline


async def test_every_page_carries_the_other_headers(open_world: OpenWorld):
    expected = {
        "cache-control": "no-store",
        "referrer-policy": "no-referrer",
        "x-content-type-options": "nosniff",
        "content-type": "text/html; charset=utf-8",
        "cross-origin-opener-policy": "same-origin-allow-popups",
    }
    async with open_world() as world:
        for payer in await every_page(world):
            assert expected.items() <= payer.answer.headers.items()
            assert "set-cookie" not in payer.answer.headers
            assert "strict-transport-security" not in payer.answer.headers
            assert "access-control-allow-origin" not in payer.answer.headers


async def test_nonces_differ(open_world: OpenWorld):
    async with open_world() as world:
        payer = Payer(world)
        await payer.get(page_path())
        first = policy_of(payer)["script-src"]
        await payer.get(page_path())
        assert first != policy_of(payer)["script-src"]


async def test_over_tls_browsers_are_told_to_stay_there(open_world: OpenWorld):
    """By every answer: pages, redirects, files, streams, refusals."""
    async with open_world() as world:
        payer = Payer(world)
        await payer.get(page_path())
        await payer.pay()
        result = payer.page.body["data-result"]
        world.platform.page_url = "https://pay.example"
        world.app.compose(world.platform)
        paths = {
            page_path(): 303,
            result: 200,
            f"{result}/events?seen=0": 200,
            "/nothing": 404,
            "/payment": 400,
        }
        paths |= {
            "/shared/merchant.js": 200,
            "/shared/merchant.json": 200,
            "/params/check": 400,
            "/bridge/nicepay/1.2.3": 303,
        }
        for path, status in paths.items():
            answer = await ask(world.app, "GET", path)
            expected = (status, "max-age=31536000; includeSubDomains")
            assert expected == (answer.status, answer.headers["strict-transport-security"]), path


async def test_the_form_may_go_to_the_window_and_nowhere_else(open_world: OpenWorld):
    async with open_world() as world:
        payer = Payer(world)
        await payer.get(page_path())
        assert f"'self' {world.simulator.url}" == policy_of(payer)["form-action"]
        await payer.press("/payment/pay")
        assert f"'self' {world.simulator.url}" == policy_of(payer)["form-action"]


async def test_registered_origins_may_show_the_page(open_world: OpenWorld):
    async with open_world(frame_origins=["https://shop.example", "http://127.0.0.1:*"]) as world:
        payer = Payer(world)
        for path in (page_path(), f"{page_path()}x", page_path(customer_id=None)):
            page = await payer.get(path)
            expected = "'none'" if "customer_id" not in path else "https://shop.example http://127.0.0.1:*"
            assert expected == policy_of(payer)["frame-ancestors"]
            assert expected.replace("'none'", "") == page.body["data-origins"]


def project(**settings: Any) -> Project:
    return Project(1, "Shop", ("s",), Account(1, "nicepay", MID, "k"), ProjectSettings.from_json(settings))


@pytest.mark.parametrize(
    "setting",
    [
        "*",
        "https:",
        "'self'",
        "https://shop.example; script-src *",
        "https://shop.example/path",
        "javascript:x",
        "https://a b",
        "https://ж.рф",
    ],
)
def test_a_setting_that_is_no_origin_reaches_no_header(setting: str) -> None:
    assert ("https://good.example",) == frame_origins(
        project(frame_origins=[setting, "https://good.example"])
    )


# --- the merchant's looks -------------------------------------------------------------------------------------------------------


async def test_name_colour_and_logo_are_the_merchants(open_world: OpenWorld):
    logo = "data:image/png;base64,iVBORw0KGgo="
    async with open_world(page_name="하루상점", page_color="#ffee00", page_logo_url=logo) as world:
        payer = Payer(world)
        page = await payer.get(page_path())
        assert "하루상점" in page.texts
        assert ("img", {"src": logo, "alt": ""}) in page.tags
        assert "--accent:#ffee00" in payer.answer.raw.decode()


@pytest.mark.parametrize("color", ["red", "#fff", "#12345g", "#000000}body{display:none", "url(x)"])
def test_what_is_no_colour_is_left_out(color: str) -> None:
    assert "" == brand_of(project(page_color=color)).color


@pytest.mark.parametrize(
    "logo", ["https://cdn.example/logo.png", "data:image/svg+xml;base64,AAAA", 'data:image/png;base64,A"B']
)
def test_a_logo_is_never_fetched_from_elsewhere(logo: str) -> None:
    assert "" == brand_of(project(page_logo_url=logo)).logo


@pytest.mark.parametrize(
    "color", ["#000000", "#ffffff", "#777777", "#767676", "#ff0000", "#0b5f5c", "#ffee00"]
)
def test_the_pay_button_can_be_read_in_any_colour(color: str) -> None:
    assert READABLE <= contrast(color, brand_of(project(page_color=color)).on_color)


def test_contrast_is_measured_as_wcag_defines_it() -> None:
    assert 21 == round(contrast("#000000", "#ffffff"), 6)
    assert 4.54 == round(contrast("#767676", "#ffffff"), 2)


# --- what people put into the page ----------------------------------------------------------------------------------------------


async def test_texts_of_the_merchant_cannot_become_markup(open_world: OpenWorld):
    evil = '<script>alert(1)</script>"onload=x'
    async with open_world(frame_origins=["https://shop.example"]) as world:
        payer = Payer(world, {"sec-fetch-dest": "iframe"})
        changes = {
            "payment_id": evil,
            "payment_description": evil,
            "customer_id": evil,
            "frame_mode": '"><b>',
        }
        await payer.get(page_path(**changes))
        assert "<script>alert" not in payer.answer.raw.decode()
        page = await payer.choose(await payer.pay())
        assert "<script>alert" not in payer.answer.raw.decode()
        assert evil == json.loads(page.body["data-terminal"])["payment"]["id"]


async def test_the_result_tells_a_script_only_inside_a_frame(open_world: OpenWorld):
    async with open_world(frame_origins=["https://shop.example"]) as world:
        payer = Payer(world)
        await payer.get(page_path(frame_mode="popup"))
        await payer.choose(await payer.pay())
        result = payer.url
        await Payer(world, {"sec-fetch-dest": "document"}).get(result)
        assert "data-terminal" not in (await Payer(world, {"sec-fetch-dest": "document"}).get(result)).body
        assert "data-terminal" in (await Payer(world, {"sec-fetch-dest": "iframe"}).get(result)).body


async def test_no_merchant_ever_sees_the_token(open_world: OpenWorld):
    async with open_world() as world:
        payer = Payer(world)
        urls = {"redirect_success_url": "https://shop/ok", "merchant_return_url": "https://shop/back"}
        page = await payer.get(page_path(**urls))
        await payer.choose(await payer.pay())
        await world.work()
        key = await world.value("SELECT return_key FROM operation")
        assert "https://shop/ok" == payer.url
        assert key not in world.merchant.received[-1].raw.decode()
        assert [] == [link for link in page.links.values() if key in link["href"]]


async def test_nothing_secret_is_written_down(open_world: OpenWorld, caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.DEBUG)
    async with open_world() as world:
        payer = Payer(world)
        url = sdk_url("logged", customer_email="payer@example.com")
        await payer.get(url)
        await payer.choose(await payer.pay())
        await payer.get(f"{url}x")
        key = await world.value("SELECT return_key FROM operation")
        written = caplog.text + str([record.__dict__ for record in caplog.records])
        assert "page refused" in written
        for secret in (key, "payer@example.com", url.rpartition("signature=")[2][:20]):
            assert secret not in written
        exchanges = str(await world.rows("SELECT request::text, response::text FROM exchange"))
        assert key not in exchanges


async def test_bodies_have_a_limit(open_world: OpenWorld):
    async with open_world() as world:
        raw = b"project_id=" + b"1" * 300_000
        for path in ("/payment", "/payment/pay", "/payment/again", "/params/check"):
            answer = await ask(
                world.app, "POST", path, raw, {"content-type": "application/x-www-form-urlencoded"}
            )
            assert 413 == answer.status, path


@pytest.mark.parametrize("content_type", ["multipart/form-data; boundary=x", "application/json", ""])
async def test_only_forms_open_a_page(open_world: OpenWorld, content_type: str):
    async with open_world() as world:
        answer = await ask(world.app, "POST", "/payment", b"{}", {"content-type": content_type})
        assert 400 == answer.status
        assert b"702 Malformed request" in answer.raw


# --- the bridge to a window that a plain form does not open (N-1) ---------------------------------------------------------------

PHONE = "Mozilla/5.0 (Linux; Android 14) Mobile Safari/537.36"
REAL_WINDOW = "https://web.nicepay.co.kr/v3/v3Payment.jsp"
BRIDGE = {"bridge": True, "window_url": REAL_WINDOW, "simulator": False}


async def test_the_way_to_nicepay_itself_leads_over_our_bridge(open_world: OpenWorld):
    async with open_world(account=BRIDGE) as world:
        payer = Payer(world)
        await payer.get(page_path())
        assert f"'self' {PAGE_URL}" == policy_of(payer)["form-action"]
        form = await payer.pay()
        assert form["url"].startswith(f"{PAGE_URL}/bridge/nicepay/")
        page = await payer.post(form["url"], form["body"])
        assert "bridge" == page.body["data-page"]
        bridged = page.forms[0]
        assert (REAL_WINDOW, "euc-kr") == (bridged.action, bridged.attributes["accept-charset"])
        assert form["body"].items() <= bridged.values().items()
        policy = policy_of(payer)
        assert policy["script-src"].endswith(" https://*.nicepay.co.kr")
        assert "'self' https://*.nicepay.co.kr" == policy["form-action"]


async def test_a_phone_gets_the_form_without_nicepays_script(open_world: OpenWorld):
    async with open_world(account=BRIDGE) as world:
        payer = Payer(world, {"user-agent": PHONE})
        await payer.get(page_path())
        form = await payer.pay()
        page = await payer.post(form["url"], form["body"])
        assert "" == next(tags["data-script"] for _, tags in page.tags if "data-script" in tags)
        assert "nicepay" not in policy_of(payer)["script-src"]


@pytest.mark.parametrize(
    "field, value", [("Amt", "1"), ("Moid", "1001W1"), ("SignData", "0" * 64), ("MID", "another00m")]
)
async def test_the_bridge_passes_on_no_form_that_we_did_not_make(
    open_world: OpenWorld, field: str, value: str
):
    async with open_world(account=BRIDGE) as world:
        payer = Payer(world)
        await payer.get(page_path())
        form = await payer.pay()
        page = await payer.post(form["url"], {**form["body"], field: value})
        assert "waiting" == page.body["data-page"]


async def test_the_bridge_knows_every_window_of_a_sale(open_world: OpenWorld):
    async with open_world(account=BRIDGE) as world:
        payer = Payer(world)
        await payer.get(page_path())
        await payer.pay()
        await payer.get(page_path())
        form = window_of(await payer.press("/window"))
        assert "bridge" == (await payer.post(form["url"], form["body"])).body["data-page"]
        assert "waiting" == (await payer.get(form["url"])).body["data-page"]
