"""Any input through every door: no 5xx, and a refusal changes no row of any payment.

Gate's cases come from its own description through schemathesis, right and wrong ones; most of them are then signed by the
merchant, so that they get past the signature. The other doors are fed by hypothesis. How many cases were tried is printed.
"""

import asyncio
import json
import os
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, cast
from urllib.parse import quote, unquote, urlencode

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from tests.web.description import check_answer, document
from tests.web.payer import FORM, parameters
from tests.world import MID, PROJECT_ID, SECRET, Answer, OpenWorld, Sale, World, ask, signed_bytes

from wongate.domain.signature import sign

CASES = int(os.environ.get("WONGATE_BAD_INPUT_CASES", "25"))
"""Of each kind and operation; `make test-faults` takes 300."""

SALE = "/v2/payment/wallet/payco/sale"
REFUND = "/v2/payment/wallet/payco/refund"
SENDER = "121.133.126.10"

MONEY = ("payment", "operation", "transition", "ledger_entry", "callback")
TRACES = ("exchange", "notice", "attempt")
"""Where the time line keeps what came in. (`lane` is left out: a list of addresses to look at, which may hold one too many.)"""

OPERATIONS: list[Any] = [
    cast(Any, found).ok() for found in schemathesis.openapi.from_dict(document()).get_all_operations()
]


@dataclass(slots=True)
class Running:
    """A world on a loop of its own: hypothesis calls plain functions."""

    world: World
    runner: asyncio.Runner
    paid: list[Sale] = field(default_factory=list)
    tried: Counter[str] = field(default_factory=Counter)

    def run(self, story: Any) -> Any:
        return self.runner.run(story)

    def state(self, tables: tuple[str, ...] = MONEY + TRACES) -> str:
        """A hash of every row of these tables."""
        parts = " UNION ALL ".join(
            f"SELECT '{name}' || coalesce(md5(string_agg(t::text, '|' ORDER BY t::text)), '') AS part FROM {name} t"
            for name in tables
        )
        text: str = self.run(self.world.value(f"SELECT md5(string_agg(part, '|')) FROM ({parts}) parts"))
        return text

    def ask(self, door: str, method: str, path: str, raw: bytes = b"", **options: Any) -> Answer:
        self.tried[door] += 1
        answer: Answer = self.run(ask(self.world.app, method, path, raw, **options))
        assert answer.status < 500, (method, path, raw)
        return answer


@pytest.fixture
def running(open_world: OpenWorld, record_property: Callable[[str, int], None]) -> Iterator[Running]:
    with asyncio.Runner() as runner:
        context = open_world(account={"notice_ips": [SENDER]})
        found = Running(runner.run(context.__aenter__()), runner)
        found.paid.append(runner.run(found.world.paid_sale(payment__amount=1_000_000)))
        yield found
        runner.run(found.world.work())
        runner.run(context.__aexit__(None, None, None))
        for door, number in found.tried.items():
            record_property(f"cases of bad input, {door}", number)


def cases(number: int) -> Any:
    return settings(
        max_examples=number,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        database=None,
        derandomize=True,
    )


# --- Gate, from its description ---


@pytest.mark.parametrize("mode", list(GenerationMode), ids=lambda mode: mode.value)
@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.path)
def test_gate_takes_whatever_its_description_allows_or_forbids(
    running: Running, operation: Any, mode: GenerationMode
):
    known = [PROJECT_ID, running.paid[0].payment_id]
    state = running.state()

    @cases(CASES)
    @given(case=operation.as_strategy(generation_mode=mode), admitted=st.integers(0, 4))
    def feed(case: Any, admitted: int) -> None:
        nonlocal state
        path = unquote(case.formatted_path)
        raw = as_sent(case.body, known if admitted else None)
        answer = running.ask("Gate", "POST", path, raw)
        before, state = state, running.state()
        if not (
            answer.status == 404 and answer.body["code"] == "702"
        ):  # the mutated path names nothing of ours
            check_answer(operation.path, answer.status, answer.body)
        moves = answer.status == 200 and operation.path.endswith(("/sale", "/refund"))
        assert moves or before == state, (path, raw, answer.raw)

    feed()


def as_sent(body: Any, known: list[Any] | None) -> bytes:
    """As generated; or naming a real project, in half of the cases a real payment too, and signed as far as values allow it."""
    if not isinstance(body, dict):
        return body if isinstance(body, bytes) else json.dumps(body, default=str).encode()
    whole = json.loads(json.dumps(body, default=str))
    place = whole.get("general") if isinstance(whole.get("general"), dict) else whole
    if known is not None and isinstance(place, dict):
        place.pop("signature", None)
        place["project_id"] = known[0]
        if "general" in whole and len(str(place.get("payment_id"))) % 2:
            place["payment_id"] = known[1]
        try:
            place["signature"] = sign(whole, SECRET)
        except (RecursionError, UnicodeError):
            place["signature"] = "x"
    return json.dumps(whole).encode()


def test_gate_takes_any_bytes(running: Running):
    state = running.state()
    signed = signed_bytes(SALE, running.world.sale_body(general__payment_id="torn"))

    @cases(CASES * 10)
    @given(
        path=st.sampled_from(
            [SALE, REFUND, "/v2/payment/status", "/v2/info/check/signature", "/v2/", "/v2/\0"]
        ),
        raw=st.binary(max_size=300) | st.integers(0, len(signed) - 1).map(lambda end: signed[:end]),
        headers=st.dictionaries(
            st.sampled_from(["content-length", "content-type", "x-forwarded-for", "transfer-encoding"]),
            st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=30),
        ),
    )
    def feed(path: str, raw: bytes, headers: dict[str, str]) -> None:
        answer = running.ask("Gate, bytes", "POST", path, raw, headers=headers)
        assert 400 <= answer.status
        assert "error" == answer.body["status"]

    feed()
    assert state == running.state()


# --- each row of E-5 ---


def taken(body: dict[str, Any]) -> None:
    body["general"]["payment_id"] = "taken"
    body["payment"]["description"] = "not the request that took it"


def changed_in(group: str, **values: Any) -> Any:
    """None takes a member away."""

    def change(body: dict[str, Any]) -> None:
        for name, value in values.items():
            if value is None:
                body[group].pop(name, None)
            else:
                body[group][name] = value

    return change


ROWS: list[tuple[str, str, Any, int, str]] = [
    ("2 project_id", SALE, changed_in("general", project_id=None), 400, "2004"),
    ("2 payment_id", SALE, changed_in("general", payment_id=None), 400, "2004"),
    ("3", SALE, changed_in("general", project_id=999), 404, "2442"),
    ("3 text", REFUND, changed_in("general", project_id="shop"), 404, "2442"),
    ("7 sale", "/v2/payment/wallet/kakaopay/sale", None, 400, "2541"),
    ("7 refund", "/v2/payment/wallet/kakaopay/refund", None, 400, "2541"),
    ("8 padded", SALE, changed_in("general", payment_id=" order"), 400, "3024"),
    ("8 empty", SALE, changed_in("general", payment_id=""), 400, "3024"),
    ("8 long", SALE, changed_in("general", payment_id="x" * 256), 400, "3024"),
    ("8 control", REFUND, changed_in("general", payment_id="a\nb"), 400, "3024"),
    ("9 ip_address", SALE, changed_in("customer", ip_address=None), 400, "2004"),
    ("9 amount", SALE, changed_in("payment", amount=None), 400, "2004"),
    ("9 currency", SALE, changed_in("payment", currency=None), 400, "2004"),
    ("9 description", REFUND, changed_in("payment", description=None), 400, "2004"),
    ("10", SALE, changed_in("customer", id=None), 400, "2154"),
    ("11 no currency", REFUND, changed_in("payment", amount=5), 400, "3287"),
    ("11 no amount", REFUND, changed_in("payment", currency="KRW"), 400, "3286"),
    ("11 amount", REFUND, changed_in("payment", amount=-5, currency="KRW"), 400, "502"),
    ("11 text", REFUND, changed_in("payment", description="x" * 256), 400, "502"),
    ("12", SALE, taken, 400, "3041"),
    ("13", REFUND, changed_in("general", payment_id="nobody's"), 400, "3061"),
]


def test_no_row_of_the_acceptance_rules_changes_anything(running: Running):
    """E-5, row by row: status, code, and the hash of all payment tables before and after."""
    world = running.world
    running.run(world.sale(general__payment_id="taken"))
    state = running.state()
    for row, path, change, status, code in ROWS:
        body = world.sale_body() if path.endswith("sale") else world.refund_body(running.paid[0].payment_id)
        if change:
            change(body)
        answer = running.ask("Gate, rows of E-5", "POST", path, signed_bytes(path, body))
        assert (row, status, code) == (row, answer.status, answer.body.get("code"))
        assert state == running.state(), row


def test_no_refusal_before_the_signature_changes_anything(running: Running):
    world = running.world
    state = running.state()
    whole = json.loads(signed_bytes(SALE, world.sale_body()))
    for row, signature, status, code in (
        ("2 signature", None, 400, "2004"),
        ("5", "", 400, "3262"),
        ("6", "A" * 86 + "==", 400, "3261"),
        ("6 short", "A", 400, "3261"),
    ):
        whole["general"]["signature"] = signature
        answer = running.ask("Gate, rows of E-5", "POST", SALE, json.dumps(whole).encode())
        assert (row, status, code) == (row, answer.status, answer.body["code"])
    for raw in (b"", b"[]", b"{", b"null", b"\xff"):
        answer = running.ask("Gate, rows of E-5", "POST", SALE, raw)
        assert ("1", 422, "2003") == ("1", answer.status, answer.body["code"])
    running.run(world.set_project(allowed_ips=["198.51.100.0/24"]))
    answer = running.ask("Gate, rows of E-5", "POST", SALE, signed_bytes(SALE, world.sale_body()))
    assert ("4", 403, "303") == ("4", answer.status, answer.body["code"])
    assert state == running.state()


# --- the provider's doors ---

WORDS = st.text(max_size=40) | st.sampled_from(
    [
        "0000",
        "3001",
        "1",
        "0",
        "-1",
        "1000",
        "999999999999999999999",
        "http://evil.example/",
        "홍길동",
        "\0",
        "\ud7ff",
    ]
)


def test_no_changed_return_takes_money(running: Running):
    """One or more fields of a true result changed, taken away or added: never a success, never a call for money."""
    sale: Sale = running.run(running.world.sale())
    result = running.run(sale.choose())
    url = running.run(sale.return_url()).removeprefix("http://127.0.0.1:9")
    covered = [
        "AuthToken",
        "Amt",
        "MID",
        "Signature",
        "TxTid",
        "NextAppURL",
        "NetCancelURL",
        "Moid",
        "AuthResultCode",
    ]

    @cases(CASES * 10)
    @given(changes=st.dictionaries(st.sampled_from(covered), WORDS | st.none(), min_size=1), extra=WORDS)
    def feed(changes: dict[str, str | None], extra: str) -> None:
        form = {**result, **changes, "extra": extra}
        form = {name: value for name, value in form.items() if value is not None}
        if all(form.get(name) == result.get(name) for name in covered):
            return
        if form.get("NetCancelURL") != result.get("NetCancelURL") and form.get("NetCancelURL", "") == "":
            return
        answer = running.ask("return", "POST", url, urlencode(form).encode("utf-8", "replace"), headers=FORM)
        assert answer.status in (303, 404)
        assert 0 == running.run(sale.row())["captured"], form
        assert 0 == running.run(sale.books())["approvals"], form

    feed()


def test_no_junk_at_the_return_changes_anything(running: Running):
    sale: Sale = running.run(running.world.sale())
    url = running.run(sale.return_url()).removeprefix("http://127.0.0.1:9")
    state = running.state(MONEY)

    @cases(CASES * 5)
    @given(
        raw=st.binary(max_size=300),
        token=st.sampled_from([url, url[:-1], f"{url}0", "/return/nicepay/1.2.3"]),
    )
    def feed(raw: bytes, token: str) -> None:
        assert running.ask("return", "POST", token, raw, headers=FORM).status in (303, 404)

    feed()
    assert state == running.state(MONEY)


def test_no_notice_moves_money_by_itself(running: Running):
    """Unsigned as they are, from the listed sender: a hint at most. The worker looks at each of them."""
    books = running.run(running.paid[0].books())
    state = running.state(MONEY[1:])
    true = {
        "MID": MID,
        "TID": books["tid"],
        "MOID": books["moid"],
        "Amt": "1000000",
        "StateCd": "0",
        "CancelMOID": "",
    }

    @cases(CASES * 8)
    @given(
        changes=st.dictionaries(st.sampled_from([*true, "ResultCode", "PayMethod"]), WORDS),
        raw=st.binary(max_size=60),
    )
    def feed(changes: dict[str, str], raw: bytes) -> None:
        fields = urlencode({**true, **changes}, errors="replace").encode()
        for body in (fields, raw, fields[:40] + raw):
            answer = running.ask("notice", "POST", "/notice/nicepay", body, headers=FORM, client=(SENDER, 1))
            assert (answer.status, answer.raw) in ((200, b"OK"), (400, b"FAIL"))
        running.run(running.world.work())

    feed()
    assert state == running.state(MONEY[1:])
    row = running.run(running.paid[0].row())
    assert (1_000_000, 0, 0) == (row["captured"], row["refunded"], row["reserved"])


# --- the payer's doors ---

MERCHANTS = ["project_id", "payment_id", "payment_amount", "payment_currency", "customer_id", "signature"]
OTHERS = [
    "best_before",
    "language_code",
    "merchant_success_url",
    "force_payment_method",
    "frame_mode",
    "_referrer",
    "x",
]
PARAMETERS = st.sampled_from([*MERCHANTS, *OTHERS])


def test_opening_a_payment_page_registers_nothing(running: Running):
    """Any parameters, signed or not: a page or a refusal; the payment begins when the payer presses Pay."""
    state = running.state()

    @cases(CASES * 8)
    @given(
        changes=st.dictionaries(PARAMETERS, WORDS, max_size=4),
        signed=st.booleans(),
        method=st.sampled_from(["GET", "POST"]),
    )
    def feed(changes: dict[str, str], signed: bool, method: str) -> None:
        wanted = {**parameters(), **changes}
        if signed:
            wanted = parameters(**{name: value for name, value in changes.items() if name != "signature"})
        query = urlencode(wanted, errors="replace")
        for path in ("/payment", "/params/check"):
            if method == "GET":
                answer = running.ask("Payment Page", "GET", f"{path}?{query}")
            else:
                answer = running.ask("Payment Page", "POST", path, query.encode(), headers=FORM)
            assert answer.status in (200, 303, 400, 404), answer.raw

    feed()
    assert state == running.state()


def test_pressing_pay_without_the_merchants_signature_registers_nothing(running: Running):
    state = running.state()

    @cases(CASES * 8)
    @given(
        fields=st.dictionaries(st.sampled_from(["opened", "method", "language", "email", "x"]), WORDS),
        path=st.sampled_from(["/payment/pay", "/payment/again"]),
        raw=st.binary(max_size=80),
    )
    def feed(fields: dict[str, str], path: str, raw: bytes) -> None:
        forged = {**fields, "opened": urlencode({**parameters(), "payment_amount": "1"})}
        for body in (
            urlencode(fields, errors="replace").encode(),
            urlencode(forged, errors="replace").encode(),
            raw,
        ):
            assert 400 <= running.ask("Pay", "POST", path, body, headers=FORM).status

    feed()
    assert state == running.state()


def test_nobody_reaches_a_payment_without_its_token(running: Running):
    sale: Sale = running.run(running.world.sale())
    token = running.run(sale.return_url()).rpartition("/")[2]
    state = running.state()

    @cases(CASES * 8)
    @given(
        token=st.text(min_size=1, max_size=60)
        | st.integers(1, len(token) - 1).map(lambda end: token[:end])
        | st.sampled_from(
            ["1.2.3", f"{token}0", token.upper() + "x", "٣.٣.x", "9" * 30 + ".1.x", "1001.1.", ".."]
        ),
        action=st.sampled_from(["", "/window", "/again", "/cancel", "/events"]),
    )
    def feed(token: str, action: str) -> None:
        method = "GET" if action in ("", "/events") else "POST"
        path = f"/result/{quote(token, safe='', errors='replace')}{action}"
        assert running.ask("tokens", method, unquote(path)).status in (307, 404)

    feed()
    assert state == running.state()
