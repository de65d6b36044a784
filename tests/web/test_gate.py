"""Gate as a merchant's server meets it: the order of acceptance, codes, HTTP statuses and bodies of E-5 to E-13, E-21, E-22."""

import asyncio
import json
from collections.abc import Callable, Mapping
from itertools import product
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.world import PROJECT_ID, SECRET, Answer, OpenWorld, World, ask, changed, signed_bytes

from wongate.domain.signature import sign, verify

SALE = "/v2/payment/wallet/payco/sale"
REFUND = "/v2/payment/wallet/payco/refund"
STATUS = "/v2/payment/status"
BY_REQUEST = "/v2/payment/status/request"


def error(code: str, message: str, **details: str) -> dict[str, Any]:
    """The one body of all refusals (E-7)."""
    return {
        "status": "error",
        "code": code,
        "message": message,
        "errors": [{"code": int(code), "message": message, **details}],
    }


async def post_raw(world: World, path: str, raw: bytes, **options: Any) -> Answer:
    return await ask(world.app, "POST", path, raw, **options)


# --- the order of acceptance ---


class Request:
    """A sale request that breaks one rule after another."""

    def __init__(self, world: World) -> None:
        self.path = SALE
        self.body = world.sale_body()
        self.signature: str | None = None

    def raw(self) -> bytes:
        if self.signature is None:
            return signed_bytes(self.path, self.body)
        body = {**self.body, "general": {**self.body["general"], "signature": self.signature}}
        return json.dumps(body).encode()

    def lacks_project(self) -> None:
        self.body["general"].pop("project_id")

    def names_unknown_project(self) -> None:
        self.body["general"]["project_id"] = 999

    def has_empty_signature(self) -> None:
        self.signature = ""

    def has_wrong_signature(self) -> None:
        self.signature = "A" * 86 + "=="

    def names_unknown_method(self) -> None:
        self.path = "/v2/payment/wallet/kakaopay/sale"

    def has_malformed_payment_id(self) -> None:
        self.body["general"]["payment_id"] = " padded"

    def lacks_amount(self) -> None:
        self.body["payment"].pop("amount")

    def lacks_customer_id(self) -> None:
        self.body["customer"].pop("id")

    def names_taken_payment_id(self) -> None:
        self.body["general"]["payment_id"] = "taken"
        self.body["payment"]["description"] = "not the request that took it"


ORDER: list[tuple[Callable[[Request], None], int, str]] = [
    (Request.lacks_project, 400, "2004"),
    (Request.names_unknown_project, 404, "2442"),
    (Request.has_empty_signature, 400, "3262"),
    (Request.has_wrong_signature, 400, "3261"),
    (Request.names_unknown_method, 400, "2541"),
    (Request.has_malformed_payment_id, 400, "3024"),
    (Request.lacks_amount, 400, "2004"),
    (Request.lacks_customer_id, 400, "2154"),
    (Request.names_taken_payment_id, 400, "3041"),
]


@pytest.mark.parametrize("step", range(len(ORDER)), ids=[rule[0].__name__ for rule in ORDER])
async def test_the_first_broken_rule_answers(open_world: OpenWorld, step: int):
    """A request that breaks this rule and every later one (E-5); nothing it does leaves a trace."""
    async with open_world() as world:
        await world.sale(general__payment_id="taken")
        before = await world.fingerprint()
        request = Request(world)
        for breaks, _, _ in reversed(ORDER[step:]):
            breaks(request)
        answer = await post_raw(world, request.path, request.raw())
        _, status, code = ORDER[step]
        assert (status, code, before) == (answer.status, answer.body["code"], await world.fingerprint())


async def test_a_caller_off_the_allowlist_is_refused_before_its_signature_is_looked_at(open_world: OpenWorld):
    async with open_world(allowed_ips=["203.0.113.0/28", "2001:db8::/32"]) as world:
        request = Request(world)
        request.has_empty_signature()
        for address, status, code in (
            ("203.0.113.200", 403, "303"),
            ("203.0.113.5", 400, "3262"),
            ("2001:db8::7", 400, "3262"),
            ("2001:db9::7", 403, "303"),
            ("::1", 403, "303"),
        ):
            answer = await post_raw(world, SALE, request.raw(), client=(address, 1))
            assert (status, code) == (answer.status, answer.body["code"])
        request.names_unknown_project()
        answer = await post_raw(world, SALE, request.raw(), client=("203.0.113.200", 1))
        assert (404, "2442") == (answer.status, answer.body["code"])


NO_OBJECT = [
    b"",
    b"   ",
    b"{",
    b"null",
    b"5",
    b'"text"',
    b"[]",
    b"[{}]",
    b"{}{}",
    b'{"general":{}',
    b"\xff\xfe{}",
    b'{"a":"\xc3"}',
    '{"general":{"project_id":1}}'.encode("utf-16"),
    b'{"a":1,"a":2}',
    b'{"general":{"project_id":1001,"project_id":1001}}',
    b'{"a":NaN}',
    b'{"a":-Infinity}',
    b'{"a":1e999}',
    b'{"a":"\\u0000"}',
    b'{"\\u0000":1}',
    b'{"a":"\\ud800"}',
    b'{"a":"\x00"}',
    b"[" * 100_000,
    b'{"a":' * 40 + b"1" + b"}" * 40,
    b'{"a":' + b"9" * 5000 + b"}",
]


async def test_what_is_no_json_object_is_refused_as_such(open_world: OpenWorld):
    async with open_world() as world:
        for raw in NO_OBJECT:
            answer = await post_raw(world, SALE, raw)
            assert (422, error("2003", "Invalid JSON string")) == (answer.status, answer.body), raw[:40]


async def test_a_number_that_no_number_type_holds_is_refused_though_it_is_signed(open_world: OpenWorld):
    """JSON's grammar knows 1e999; decoders make infinity of it, which no database keeps as JSON."""
    async with open_world() as world:
        body = world.sale_body(addendum=float("inf"))
        raw = signed_bytes(SALE, body).replace(b"Infinity", b"1e999")
        assert (422, "2003") == ((answer := await post_raw(world, SALE, raw)).status, answer.body["code"])


@pytest.mark.parametrize("member", ["project_id", "payment_id", "signature"])
async def test_a_missing_mandatory_member_is_named(open_world: OpenWorld, member: str):
    async with open_world() as world:
        for path, is_null in product([SALE, REFUND, STATUS], [True, False]):
            body = json.loads(signed_bytes(path, world.sale_body()))
            body["general"][member] = None
            if not is_null:
                del body["general"][member]
            answer = await post_raw(world, path, json.dumps(body).encode())
            details = {"field": f"general.{member}", "constraint": "required"}
            assert (400, error("2004", "Required field not provided", **details)) == (
                answer.status,
                answer.body,
            ), path


async def test_a_general_that_is_no_object_is_a_missing_member(open_world: OpenWorld):
    async with open_world() as world:
        values: list[Any] = [None, 5, "x", [], True]
        for general in values:
            answer = await post_raw(world, SALE, json.dumps({"general": general}).encode())
            assert (400, "2004") == (answer.status, answer.body["code"]), general


@pytest.mark.parametrize("path", [SALE, REFUND, STATUS])
async def test_an_unknown_project_is_told_by_its_own_code(open_world: OpenWorld, path: str):
    async with open_world() as world:
        unknown: list[Any] = [
            999,
            "999",
            -1,
            0,
            1.5,
            True,
            "1001x",
            " 1001",
            "١٠٠١",
            [],
            {},
            10**30,
            "9" * 300,
        ]
        for project_id in unknown:
            body = world.sale_body(general__project_id=project_id)
            answer = await post_raw(world, path, signed_bytes(path, body))
            assert (404, "2442") == (answer.status, answer.body["code"]), project_id


async def test_a_project_id_may_be_a_string_of_digits(open_world: OpenWorld):
    async with open_world() as world:
        answer = await world.post(SALE, world.sale_body(general__project_id=str(PROJECT_ID)))
        assert (200, PROJECT_ID) == (answer.status, answer.body["project_id"])


async def test_a_signature_that_does_not_fit_is_wrong(open_world: OpenWorld):
    async with open_world() as world:
        wrong: list[Any] = ["x", "A" * 88, 5, True, [], {}, "é" * 88, " ", ["A"], 0]
        for signature in wrong:
            body = changed(world.sale_body(), {"general__signature": signature})
            answer = await post_raw(world, SALE, json.dumps(body).encode())
            assert (400, "3261") == (answer.status, answer.body["code"]), signature


async def test_a_signature_over_other_members_is_wrong(open_world: OpenWorld):
    async with open_world() as world:
        body = json.loads(signed_bytes(SALE, world.sale_body()))
        body["payment"]["amount"] = 999
        answer = await post_raw(world, SALE, json.dumps(body).encode())
        details = {"field": "general.signature"}
        assert (400, error("3261", "Invalid signature", **details)) == (answer.status, answer.body)


@pytest.mark.parametrize(
    "payment_id", ["", " x", "x ", "x\t", "\nx", "a\u0001b", "a\u007f", "x" * 256, 5, True, [], {}, 1.5]
)
async def test_a_malformed_payment_id_is_refused(open_world: OpenWorld, payment_id: Any):
    async with open_world() as world:
        for path in (SALE, REFUND, STATUS):
            answer = await world.post(path, world.sale_body(general__payment_id=payment_id))
            assert (400, "3024") == (answer.status, answer.body["code"])


@pytest.mark.parametrize(
    "payment_id", ["x", "x" * 255, "주문 7", "😀", "a;b:c", "a b", "'\"<&>\\", "\u00a0x"]
)
async def test_any_other_payment_id_is_kept_letter_by_letter(open_world: OpenWorld, payment_id: str):
    async with open_world() as world:
        sale = await world.sale(general__payment_id=payment_id)
        assert payment_id == sale.accepted["payment_id"]
        assert payment_id == (await sale.callbacks())[0]["payment"]["id"]
        assert payment_id == (await sale.status())["payment"]["id"]


@pytest.mark.parametrize("member", ["customer__ip_address", "payment__amount", "payment__currency"])
async def test_what_a_sale_needs_beyond_is_named_too(open_world: OpenWorld, member: str):
    async with open_world() as world:
        answer = await world.post(SALE, world.sale_body(**{member: None}))
        details = {"field": member.replace("__", "."), "constraint": "required"}
        assert (400, error("2004", "Required field not provided", **details)) == (answer.status, answer.body)


async def test_customer_id_is_mandatory_unless_the_project_says_otherwise(open_world: OpenWorld):
    async with open_world() as world:
        answer = await world.post(SALE, world.sale_body(customer__id=None))
        assert (400, "2154") == (answer.status, answer.body["code"])
        await world.set_project(customer_id_required=False)
        sale = await world.sale(customer__id=None)
        assert "" == (await sale.callbacks())[0]["customer"]["id"]


# --- what is answered ---


async def test_an_accepted_sale_is_answered_in_the_documented_shape(open_world: OpenWorld):
    async with open_world() as world:
        sale = await world.sale()
        assert ["status", "request_id", "project_id", "payment_id"] == list(sale.accepted)
        assert ("success", PROJECT_ID, sale.payment_id) == (
            sale.accepted["status"],
            sale.accepted["project_id"],
            sale.accepted["payment_id"],
        )
        one, two, number = sale.accepted["request_id"].split("-")
        assert (40, 40, "00000001") == (len(one), len(two), number)
        assert int(one + two, 16) >= 0
        assert sale.accepted["request_id"] == (await sale.callbacks())[0]["operation"]["request_id"]


async def test_answers_are_plain_json_that_nobody_may_store(open_world: OpenWorld):
    async with open_world() as world:
        answer = await world.post(SALE, world.sale_body())
        assert "application/json; charset=utf-8" == answer.headers["content-type"]
        assert ("no-store", "nosniff", str(len(answer.raw))) == (
            answer.headers["cache-control"],
            answer.headers["x-content-type-options"],
            answer.headers["content-length"],
        )


@pytest.mark.parametrize(
    "path",
    [
        "/v2/",
        "/v2/payment",
        "/v2/payment/wallet/payco",
        SALE + "/",
        "/v2/payment/wallet/payco/void",
        "/v2/%00",
    ],
)
async def test_an_unknown_path_is_told(open_world: OpenWorld, path: str):
    async with open_world() as world:
        for method in ("POST", "GET"):
            answer = await ask(world.app, method, path)
            assert (404, error("702", "Malformed request")) == (answer.status, answer.body)


@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE", "OPTIONS", "HEAD", "BREW"])
async def test_a_method_other_than_post_is_told(open_world: OpenWorld, method: str):
    async with open_world() as world:
        answer = await ask(world.app, method, SALE)
        assert (405, "POST", "702") == (answer.status, answer.headers["allow"], answer.body["code"])


async def test_a_body_over_256_kb_is_refused_and_one_below_is_not(open_world: OpenWorld):
    async with open_world() as world:
        body = world.sale_body(receipt_data={"text": "x" * 261_000})
        assert 200 == (await world.post(SALE, body)).status
        before = await world.fingerprint()
        raw = signed_bytes(SALE, world.sale_body(receipt_data={"text": "x" * 262_144}))
        for headers in ({"content-length": str(len(raw))}, {}):
            answer = await post_raw(world, SALE, raw, headers=headers)
            assert (413, "702", "close") == (
                answer.status,
                answer.body["code"],
                answer.headers["connection"],
            )
        assert before == await world.fingerprint()


async def test_what_gate_does_not_know_is_ignored_and_kept(open_world: OpenWorld):
    async with open_world() as world:
        extras = {
            "terminal_id": 7,
            "interface_type": {"id": 24},
            "addendum": {"lodging": [{"a": 1.5, "b": None, "c": False}]},
            "general__terminal_id": "x",
        }
        sale = await world.sale(**extras)
        kept = (await sale.row())["request"]
        assert {"lodging": [{"a": 1.5, "b": None, "c": False}]} == kept["addendum"]
        assert "signature" not in json.dumps(kept)
        assert "awaiting redirect result" == (await sale.status())["payment"]["status"]


# --- wrong data, and sound data against a rule (E-8) ---

WRONG: list[tuple[str, Any, int]] = [
    ("payment__amount", 0, 502),
    ("payment__amount", -1, 502),
    ("payment__amount", 1000.0, 502),
    ("payment__amount", 1000.5, 502),
    ("payment__amount", "1000", 502),
    ("payment__amount", True, 502),
    ("payment__amount", False, 502),
    ("payment__amount", [1000], 502),
    ("payment__amount", 10_000_000_000_001, 502),
    ("payment__amount", 10**400, 502),
    ("payment__currency", "krw", 3121),
    ("payment__currency", "KRWW", 3121),
    ("payment__currency", "ZZZ", 3121),
    ("payment__currency", "", 3121),
    ("payment__currency", 410, 3121),
    ("payment__description", 5, 502),
    ("payment__description", "x" * 256, 502),
    ("payment__best_before", "2020-01-01T00:00:00+00:00", 502),
    ("payment__best_before", "2999-01-01T00:00:00", 502),
    ("payment__best_before", "tomorrow", 502),
    ("payment__best_before", 5, 502),
    ("payment__best_before", "0001-01-01T00:00:00+14:00", 502),
    ("payment__best_before", "9999-12-31T23:59:59-14:00", 502),
    ("customer__id", "", 2124),
    ("customer__id", 5, 2124),
    ("customer__id", "x" * 256, 2124),
    ("customer__ip_address", "1.1.1", 502),
    ("customer__ip_address", "1.1.1.256", 502),
    ("customer__ip_address", 16843009, 502),
    ("customer__ip_address", "", 502),
    ("customer__email", "nobody", 2426),
    ("customer__email", "a@b", 2426),
    ("customer__email", "a b@c.d", 2426),
    ("customer__email", 5, 2426),
    ("customer__phone", "123", 502),
    ("customer__phone", "+821012345678", 502),
    ("customer__phone", 1012345678, 502),
    ("customer__country", "kr", 2610),
    ("customer__country", "KOR", 2610),
    ("customer__city", "x" * 257, 2611),
    ("customer__city", 5, 2611),
    ("customer__day_of_birth", "1990-01-31", 2609),
    ("customer__day_of_birth", "31-02-1990", 2609),
    ("customer__first_name", ["x"], 502),
    ("customer__address", "x" * 256, 502),
    ("callback", {"delay": 601}, 502),
    ("callback", {"delay": -1}, 502),
    ("callback", {"delay": "5"}, 502),
    ("callback", {"delay": True}, 502),
    ("callback", {"force_disable": "yes"}, 502),
    ("callback", 5, 502),
    ("return_url", "https://shop.example", 502),
    ("return_url__success", "javascript:alert(1)", 502),
    ("return_url__decline", "shop.example/no", 502),
    ("return_url__return", "http://", 502),
    ("return_url__return", "http://shop.example:99999/", 502),
    ("return_url__return", "http://[::1", 502),
    ("general__merchant_callback_url", "ftp://shop.example/", 502),
    ("general__merchant_success_callback_url", 5, 502),
    ("general__merchant_decline_callback_url", "http://shop.example/a b", 502),
]


async def test_wrong_data_makes_the_payment_an_error_that_names_the_member(open_world: OpenWorld):
    async with open_world() as world:
        for member, value, code in WRONG:
            sale = await world.sale(**{member: value})
            status = await sale.status()
            assert ("error", "decline", str(code)) == (
                status["payment"]["status"],
                status["operations"][0]["status"],
                status["operations"][0]["code"],
            ), (member, value)
            body = (await sale.callbacks())[0]
            field = member.replace("__", ".")
            assert any((code, True) == (e["code"], e["field"].startswith(field)) for e in body["errors"])
            assert ("error", "sale", "decline", str(body["errors"][0]["code"])) == (
                body["payment"]["status"],
                body["operation"]["type"],
                body["operation"]["status"],
                body["operation"]["code"],
            )


REFUSED: list[tuple[dict[str, Any], dict[str, Any], str]] = [
    ({"payment__amount": 99}, {}, "3358"),
    ({"payment__amount": 10_000_001}, {}, "2642"),
    ({"payment__currency": "USD"}, {}, "3023"),
    ({"payment__currency": "USD"}, {"currencies": ["KRW", "USD"]}, "3119"),
    ({}, {"methods": []}, "310"),
    ({}, {"blocked": True}, "3299"),
    ({"payment__amount": 5000}, {"amount_max": 4999}, "2642"),
    ({"payment__amount": 5000}, {"amount_min": 5001}, "3358"),
]


@pytest.mark.parametrize("changes, project, code", REFUSED, ids=str)
async def test_sound_data_against_a_rule_is_a_decline(
    open_world: OpenWorld, changes: dict[str, Any], project: dict[str, Any], code: str
):
    async with open_world(**project) as world:
        sale = await world.sale(**changes)
        bodies = await sale.callbacks()
        assert [("decline", code)] == [(b["payment"]["status"], b["operation"]["code"]) for b in bodies]
        assert "errors" not in bodies[0]
        other = {"general__payment_id": sale.payment_id, "payment__description": "again"}
        again = await world.post(SALE, world.sale_body(**other))
        assert "3041" == again.body["code"]  # a declined payment may not be sent again


@pytest.mark.parametrize("amount", [100, 10_000_000])
async def test_the_limits_themselves_are_within(open_world: OpenWorld, amount: int):
    async with open_world() as world:
        sale = await world.sale(payment__amount=amount)
        assert "awaiting redirect result" == (await sale.status())["payment"]["status"]


# --- refunds ---


@pytest.mark.parametrize(
    "path",
    [
        REFUND,
        "/v2/payment/refund",
        "/v2/payment/card/refund",
        "/v2/payment/payco/refund",
        "/v2/payment/payco-wallet/refund",
        "/v2/payment/wallet/payco-wallet/refund",
    ],
)
async def test_every_refund_path_of_real_clients_works(open_world: OpenWorld, path: str):
    async with open_world() as world:
        sale = await world.paid_sale()
        answer = await world.post(path, world.refund_body(sale.payment_id))
        await world.work()
        assert (200, "refunded") == (answer.status, (await sale.status())["payment"]["status"])


async def test_a_refund_by_an_unknown_method_is_refused_before_anything_else(open_world: OpenWorld):
    async with open_world() as world:
        answer = await world.post("/v2/payment/wallet/kakaopay/refund", world.refund_body("nobody"))
        assert (400, "2541") == (answer.status, answer.body["code"])


# --- status ---


async def test_the_status_of_an_unknown_payment_is_a_signed_answer(open_world: OpenWorld):
    async with open_world() as world:
        body: dict[str, Any] = {"general": {"project_id": PROJECT_ID, "payment_id": "nobody"}}
        answer = await world.post(STATUS, body)
        expected = {
            "project_id": PROJECT_ID,
            "payment": {"id": "nobody", "status": "error"},
            "operations": [],
            "errors": [{"code": 3061, "message": "Transaction not found"}],
        }
        assert (200, {**expected, "signature": sign(expected, SECRET)}) == (answer.status, answer.body)
        terminal = (await world.post(STATUS, {**body, "destination": "terminal"})).body
        assert "3061" == terminal["errors"][0]["code"]


async def test_the_status_of_a_payment_lists_its_operations_oldest_first(open_world: OpenWorld):
    async with open_world() as world:
        sale = await world.paid_sale(payment__description="Tea")
        for amount in (100, 200):
            await sale.refund(payment__amount=amount, payment__currency="KRW", payment__description="size")
        await world.work()
        status = await sale.status()
        assert ["project_id", "payment", "operations", "customer", "signature"] == list(status)
        assert ("partially refunded", 700, "Tea", "purchase", "payco") == (
            status["payment"]["status"],
            status["payment"]["sum"]["amount"],
            status["payment"]["description"],
            status["payment"]["type"],
            status["payment"]["method"],
        )
        assert [("sale", 1000), ("refund", 100), ("refund", 200)] == [
            (operation["type"], operation["sum_initial"]["amount"]) for operation in status["operations"]
        ]
        members = (
            "id type status date created_date sum_initial sum_converted request_id code message provider"
        )
        assert members.split() == list(status["operations"][0])


async def test_the_terminal_shape_is_signed_under_general(open_world: OpenWorld):
    async with open_world() as world:
        sale = await world.paid_sale()
        general = {"project_id": PROJECT_ID, "payment_id": sale.payment_id}
        body = (await world.post(STATUS, {"general": general, "destination": "terminal"})).body
        assert verify(body, body["general"]["signature"], [SECRET])
        assert ("success", "0", "Success", 1000) == (
            body["payment"]["status"],
            body["payment"]["result_code"],
            body["payment"]["result_message"],
            body["sum_real"]["amount"],
        )


async def test_the_status_of_a_request_is_found_by_its_id(open_world: OpenWorld):
    async with open_world() as world:
        sale = await world.paid_sale()
        refund = (await sale.refund(payment__amount=100, payment__currency="KRW")).body
        await world.work()
        for request_id, kind in ((sale.accepted["request_id"], "sale"), (refund["request_id"], "refund")):
            answer = await world.post(BY_REQUEST, {"project_id": PROJECT_ID, "request_id": request_id})
            assert (200, request_id, kind) == (
                answer.status,
                answer.body["request_id"],
                answer.body["transaction"]["type"],
            )


async def test_an_unknown_request_id_is_not_found(open_world: OpenWorld):
    async with open_world() as world:
        await world.sale()
        unknown: list[Any] = ["", "x", "0" * 90, "z" * 90, 5, [], "f" * 14 + "0" * 76, "-" * 90]
        for request_id in unknown:
            answer = await world.post(BY_REQUEST, {"project_id": PROJECT_ID, "request_id": request_id})
            assert (404, "3061") == (answer.status, answer.body["code"]), request_id


async def test_a_request_id_that_is_nearly_right_is_not_found(open_world: OpenWorld):
    async with open_world() as world:
        request_id = (await world.sale()).accepted["request_id"]
        guessed = request_id[:14] + "0" * 26 + request_id[40:]
        answer = await world.post(BY_REQUEST, {"project_id": PROJECT_ID, "request_id": guessed})
        assert (404, "3061") == (answer.status, answer.body["code"])


# --- information, and what is not offered (E-22) ---


async def test_information_requests_are_answered_for_one_method(open_world: OpenWorld):
    async with open_world() as world:
        flat = {"project_id": PROJECT_ID, "amount": 1000, "currency": "KRW"}
        methods = (await world.post("/v2/info/available_methods_for_merchant/list", flat)).body
        assert ["payco"] == [method["payment_method"] for method in methods["payment_methods"]]
        await world.set_project(methods=[])
        methods = (await world.post("/v2/info/available_methods_for_merchant/list", flat)).body
        assert [] == methods["payment_methods"]
        assert 200 == (await world.post("/v2/info/check/signature", flat)).status
        wrong = await world.post("/v2/info/check/signature", flat, secret="wrong")
        assert (400, "3261") == (wrong.status, wrong.body["code"])
        for path in ("/v2/info/banks/payco/sale/list", "/v2/customer/saved_account/list"):
            answer = await world.post(path, flat)
            assert (200, []) == (answer.status, answer.body.get("banks", answer.body.get("accounts")))


@pytest.mark.parametrize(
    "path, code",
    [
        ("/v2/payment/invoice/create", "310"),
        ("/v2/payment/invoice/cancel", "310"),
        ("/v2/payment/clarification", "3060"),
        ("/v2/payment/customer/confirm", "3060"),
        ("/v2/customer/action/submit", "3060"),
    ],
)
async def test_what_is_not_offered_says_so(open_world: OpenWorld, path: str, code: str):
    async with open_world() as world:
        answer = await world.post(path, world.sale_body())
        assert (400, code) == (answer.status, answer.body["code"])


# --- junk ---

JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(["\0", "\ud800", "http://\u0130/", "x" * 3000, 10**400, -(2**63), 2**63, "2026-01-01"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
PATHS = st.sampled_from(
    [
        *(
            [
                "project_id",
                "payment_id",
                "merchant_callback_url",
                "merchant_success_callback_url",
                "signature",
            ]
        ),
        *(["amount", "currency", "description", "best_before", "extra_param", "merchant_refund_id"]),
        *(["id", "ip_address", "email", "phone", "country", "city", "day_of_birth", "first_name"]),
        *(["success", "decline", "return", "delay", "force_disable", "destination", "request_id"]),
    ]
)
GROUPS = st.sampled_from(["general", "payment", "customer", "return_url", "callback", None])
GATE_PATHS = st.sampled_from(
    [SALE, REFUND, STATUS, BY_REQUEST, "/v2/info/check/signature", "/v2/payment/refund"]
)
PATIENT = settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))


@pytest.fixture
def running(open_world: OpenWorld):
    """A world on a loop of its own, and a function that runs coroutines there: hypothesis calls plain functions."""
    with asyncio.Runner() as runner:
        context = open_world(audited=False)
        world = runner.run(context.__aenter__())
        yield world, runner.run
        runner.run(context.__aexit__(None, None, None))


def test_raw_junk_never_breaks_gate(running):
    world, run = running

    @PATIENT
    @given(raw=st.binary(max_size=200), path=GATE_PATHS)
    def junk(raw: bytes, path: str) -> None:
        answer = run(post_raw(world, path, raw))
        assert 400 <= answer.status < 500
        assert "error" == answer.body["status"]

    before = run(world.fingerprint())
    junk()
    assert before == run(world.fingerprint())


def test_signed_requests_with_any_value_anywhere_never_break_gate(running):
    """Members of the right names with values of any kind, signed by the merchant: a code or an acceptance, never a 5xx."""
    world, run = running
    paid = run(world.paid_sale())

    @PATIENT
    @given(
        path=GATE_PATHS,
        changes=st.lists(st.tuples(GROUPS, PATHS, JSON_VALUES), min_size=1, max_size=3),
        refund=st.booleans(),
    )
    def mutated(path: str, changes: list[tuple[str | None, str, Any]], refund: bool) -> None:
        body: dict[str, Any] = world.refund_body(paid.payment_id) if refund else world.sale_body()
        for group, name, value in changes:
            place = body.setdefault(group, {}) if group else body
            place[name] = value
        answer = run(post_raw(world, path, unsafely_signed(body)))
        assert answer.status < 500, (path, body)
        assert isinstance(answer.body, dict)

    mutated()
    run(world.work())


@pytest.mark.parametrize(
    "host", ["한" * 700 + ".example", "".join(chr(0x4E00 + n) for n in range(1900)), "a." * 900]
)
async def test_a_host_that_no_name_server_knows_is_wrong_data(open_world: OpenWorld, host: str):
    """A name has 253 characters at most; longer ones once broke an index."""
    async with open_world() as world:
        sale = await world.sale(general__merchant_callback_url=f"https://{host}/")
        assert "error" == (await sale.status())["payment"]["status"]


def unsafely_signed(body: Mapping[str, Any]) -> bytes:
    """Signed as far as the values allow it; JSON's escapes carry what UTF-8 cannot."""
    general = body.get("general")
    whole: dict[str, Any] = dict(body)
    try:
        signature = sign(body, SECRET)
    except (RecursionError, UnicodeError):
        signature = "x"
    if isinstance(general, dict):
        whole["general"] = {"signature": signature, **general}
    else:
        whole["signature"] = signature
    return json.dumps(whole).encode()
