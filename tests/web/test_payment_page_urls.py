"""Page addresses as the published SDKs build them: both open the form, and one changed character opens nothing."""

import random
import string
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qsl

import pytest
from tests.conformance.test_sdks import npm_sdk
from tests.web.payer import Html, sdk_url
from tests.world import PAGE_URL, PROJECT_ID, OpenWorld, ask

ASKED: dict[str, Any] = {
    "payment_description": "첫물 녹차, 100 g & more",
    "language_code": "en",
    "force_payment_method": "payco-wallet",
    "merchant_return_url": "https://shop.example/back?order=7&x=1",
    "close_on_missclick": True,
}
ALPHABET = string.ascii_letters + string.digits + "-_.~%&=+;/?:"
CHANGES_OF_EACH = 1


def npm_url(payment_id: str, **values: Any) -> str:
    """What `ecommpay` 0.1.7 makes of the same payment."""
    needed = {"payment_amount": 1000, "payment_currency": "KRW", "customer_id": "1234"}
    members = {"payment_id": payment_id, **needed, **values}
    url: str = npm_sdk(pages=[{"projectId": PROJECT_ID, "parameters": members}])["pages"][0]
    return url.replace(url.partition("/payment")[0], PAGE_URL)


SDKS = {"PyPI": sdk_url, "npm": npm_url}


@pytest.fixture(scope="module", params=list(SDKS.values()), ids=list(SDKS))
def path(request: pytest.FixtureRequest) -> str:
    url: str = request.param("order-1", **ASKED)
    return url.removeprefix(PAGE_URL)


async def test_the_address_of_a_published_sdk_opens_the_form(open_world: OpenWorld, path: str):
    async with open_world() as world:
        answer = await ask(world.app, "GET", path)
        page = Html(answer.raw.decode())
        assert (200, "form") == (answer.status, page.body["data-page"])
        assert {"Test shop", "order-1", ASKED["payment_description"], "Pay ₩1,000"} <= set(page.texts)
        back = page.links["Cancel and return to the shop"]["href"]
        assert ASKED["merchant_return_url"] == back


async def test_one_changed_character_opens_nothing(open_world: OpenWorld, path: str, record_property: Any):
    """Every position of the query, each with characters drawn anew; those that decode to the same parameters are left out."""
    async with open_world() as world:
        before = await world.fingerprint()
        tried = 0
        for changed in one_character_changed(path):
            answer = await ask(world.app, "GET", changed)
            message = Html(answer.raw.decode()).body.get("data-message", "")
            assert 400 == answer.status, changed
            assert message.split()[0].isdigit(), changed
            assert b"order-1" not in answer.raw, changed
            tried += 1
        assert CHANGES_OF_EACH * 0.9 * len(path) < tried
        assert before == await world.fingerprint()
        record_property("page addresses with one changed character, all refused", tried)


def one_character_changed(path: str) -> Iterator[str]:
    draw = random.Random(path)
    start = path.index("?") + 1
    for at in range(start, len(path)):
        for char in draw.sample(ALPHABET.replace(path[at], ""), CHANGES_OF_EACH):
            changed = f"{path[:at]}{char}{path[at + 1 :]}"
            if decoded(changed) != decoded(path):
                yield changed


def decoded(path: str) -> list[tuple[str, str]]:
    return parse_qsl(path.partition("?")[2], keep_blank_values=True)
