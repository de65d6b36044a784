"""docs/openapi.yaml against the code: nothing described that is not there, nothing there that is not described."""

import ast
import copy
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]  # comes with schemathesis
from tests.web.description import FILE, check_answer, codes_of, document, operations, resolved, validator
from tests.world import PROJECT_ID, SECRET, Answer, OpenWorld, World, ask, signed_bytes

from wongate.domain import codes, members
from wongate.domain.signature import verify
from wongate.web import gate

SAMPLES = {"{payment_method}": "payco", "{operation}": "sale", "{name}": "confirm"}


def instance(template: str) -> str:
    for name, value in SAMPLES.items():
        template = template.replace(name, value)
    return template


def request_schema(template: str) -> Any:
    return resolved(document()["paths"][template]["post"]["requestBody"])["content"]["application/json"]


def request_examples() -> Iterator[tuple[str, str, dict[str, Any]]]:
    for template, operation in operations():
        content = resolved(operation["requestBody"])["content"]["application/json"]
        for name, example in content.get("examples", {}).items():
            yield template, name, example["value"]


def unsigned(example: Mapping[str, Any]) -> dict[str, Any]:
    """The example as a merchant would build it, before the signature is added."""
    body = copy.deepcopy(dict(example))
    body.pop("signature", None)
    body.get("general", {}).pop("signature", None)
    return body


async def post(world: World, template: str, body: Mapping[str, Any]) -> Answer:
    path = instance(template)
    answer = await ask(world.app, "POST", path, signed_bytes(path, body))
    check_answer(template, answer.status, answer.body)
    return answer


# --- a document that every tool can read ---


def test_the_document_is_plain_yaml():
    """Merge keys, anchors and aliases are YAML that many tools refuse; OpenAPI has references of its own."""
    events = yaml.parse(FILE.read_text("utf-8"))
    marks = [event for event in events if getattr(event, "anchor", None)]
    assert [] == marks
    assert "<<" not in FILE.read_text("utf-8")


def references(node: Any) -> Iterator[Mapping[str, Any]]:
    if isinstance(node, Mapping):
        if "$ref" in node:
            yield node
        for value in node.values():
            yield from references(value)
    elif isinstance(node, list):
        for value in node:
            yield from references(value)


def test_every_reference_leads_somewhere_and_stands_alone_outside_schemas():
    """Tools ignore what stands beside the reference to an answer or a request."""
    found = list(references(document()))
    for reference in found:
        assert isinstance(resolved(reference), Mapping), reference
        if "/schemas/" not in reference["$ref"]:
            assert {"$ref"} == set(reference)
    assert len(found) > 100


# --- paths ---


def paths_in_the_code() -> tuple[set[str], set[str]]:
    """Whole paths and beginnings of paths that gate.py names, templates with `{}` for what may be anything."""
    tree = ast.parse(Path(gate.__file__).read_text("utf-8"))
    texts = {
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.startswith("/v2/")
    }
    templates = {
        "/" + "/".join(_part(pattern) for pattern in node.patterns)
        for node in ast.walk(tree)
        if isinstance(node, ast.MatchSequence)
    }
    beginnings = {text for text in texts if text.endswith("/")}
    return (texts - beginnings) | templates, beginnings


def _part(pattern: ast.pattern) -> str:
    if isinstance(pattern, ast.MatchValue) and isinstance(pattern.value, ast.Constant):
        return str(pattern.value.value)
    return "{}"


def test_exactly_the_paths_of_gate_are_described():
    described = {_blank(template) for template in document()["paths"]}
    whole, beginnings = paths_in_the_code()
    assert whole <= described, whole - described
    assert all(any(path.startswith(beginning) for path in described) for beginning in beginnings)
    assert all(path in whole or path.startswith(gate.CONTINUATIONS) for path in described)


def _blank(template: str) -> str:
    return "/".join("{}" if part.startswith("{") else part for part in template.split("/"))


async def test_every_described_path_takes_posts_alone(open_world: OpenWorld):
    async with open_world() as world:
        for template in document()["paths"]:
            assert {"post"} == set(document()["paths"][template]) - {"parameters"}
            assert 422 == (await ask(world.app, "POST", instance(template))).status, template
            assert 405 == (await ask(world.app, "GET", instance(template))).status, template


def test_every_operation_has_its_own_name():
    names = [operation["operationId"] for _, operation in operations()]
    assert len(names) == len(set(names))


# --- what is mandatory ---


def required_places(schema: Any, path: str = "") -> Iterator[str]:
    schema = resolved(schema)
    for name, part in schema.get("properties", {}).items():
        place = f"{path}{name}"
        if name in schema.get("required", ()) and "properties" not in resolved(part):
            yield place
        yield from required_places(part, f"{place}.")


def optional_places(schema: Any, path: str = "") -> Iterator[str]:
    schema = resolved(schema)
    for name, part in schema.get("properties", {}).items():
        if name not in schema.get("required", ()):
            yield f"{path}{name}"
        elif "properties" in resolved(part):
            yield from optional_places(part, f"{path}{name}.")


def without(body: dict[str, Any], place: str) -> dict[str, Any]:
    smaller = copy.deepcopy(body)
    *groups, name = place.split(".")
    inner: Any = smaller
    for group in groups:
        inner = inner.get(group, {})
    inner.pop(name, None)
    return smaller


async def test_what_is_described_as_mandatory_is_demanded_and_nothing_else(open_world: OpenWorld):
    async with open_world() as world:
        paid = await world.paid_sale(payment__amount=100_000)
        for template, number, body in await every_request(world, paid.payment_id):
            schema = request_schema(template)["schema"]
            for place in required_places(schema):
                if place.endswith("signature"):
                    continue
                answer = await post(world, template, without(body, place))
                expected = "2154" if place == "customer.id" else "2004"
                assert (400, expected, place) == (
                    answer.status,
                    answer.body["code"],
                    answer.body["errors"][0]["field"],
                ), template
            for place in optional_places(schema):
                smaller = without(without(body, place), *_pair(place))
                if "payment_id" in smaller.get("general", {}) and template.endswith("/sale"):
                    smaller["general"]["payment_id"] += f"-{number}-{place}"
                answer = await post(world, template, smaller)
                assert (await post(world, template, body)).status >= answer.status, (
                    template,
                    place,
                    answer.raw,
                )


def _pair(place: str) -> tuple[str]:
    """amount and currency of a refund go together."""
    return ({"payment.amount": "payment.currency", "payment.currency": "payment.amount"}.get(place, place),)


async def every_request(world: World, payment_id: str) -> list[tuple[str, int, dict[str, Any]]]:
    """A complete request for each path, about a payment that is paid."""
    found = []
    for number, (template, _, example) in enumerate(request_examples()):
        body = unsigned(example)
        if "general" in body and not template.endswith("/sale"):
            body["general"]["payment_id"] = payment_id
        elif "general" in body:
            body["general"]["payment_id"] = f"described-{number}"
        found.append((template, number, body))
    (sale,) = await world.rows(
        "SELECT request_id FROM operation WHERE kind = 'sale' ORDER BY operation_id LIMIT 1"
    )
    return [
        *found,
        ("/v2/payment/status/request", 99, {"project_id": PROJECT_ID, "request_id": sale["request_id"]}),
    ]


# --- limits ---

NUMBERS = [-1, 0, 1, 2, 600, 601, 10_000_000_000_000, 10_000_000_000_001, 1.5, True, False]
TEXTS = [
    "",
    "0",
    "1",
    "a",
    "A",
    "KR",
    "KRW",
    "krw",
    "kr",
    "K1",
    "1234",
    "123",
    "9" * 24,
    "9" * 25,
    "01-02-1990",
    "1-2-90",
]
LENGTHS = [254, 255, 256, 257, 2048, 2049]
PROBES: list[Any] = [*NUMBERS, *TEXTS, *("x" * length for length in LENGTHS), [], {}, ["a"], {"a": 1}]


@pytest.mark.parametrize("name, rules", [("SaleRequest", members.SALE), ("RefundRequest", members.REFUND)])
def test_described_limits_are_the_limits_that_are_checked(name: str, rules: members.Rules):
    schema = document()["components"]["schemas"][name]
    for group, checked in rules.items():
        described = resolved(schema["properties"][group])["properties"]
        assert set(checked) == set(described) - {"project_id", "payment_id", "signature"}, group
        for member, rule in checked.items():
            judge, part = validator(described[member]), resolved(described[member])
            for value in PROBES:
                place = f"{group}.{member} = {value!r:.40}"
                if not judge.is_valid(value):
                    assert not rule.is_right(value), f"{place} is taken, but described as wrong"
                elif "format" not in part and "anyOf" not in part:
                    assert rule.is_right(value), f"{place} is refused, but described as right"


# --- examples and answers ---


@pytest.mark.parametrize(
    "template, name, example",
    [pytest.param(*found, id=f"{found[0]} {found[1]}") for found in request_examples()],
)
async def test_the_described_examples_are_taken(
    open_world: OpenWorld, template: str, name: str, example: dict[str, Any]
):
    assert validator(request_schema(template)["schema"]).is_valid(example)
    async with open_world() as world:
        body = unsigned(example)
        if not template.endswith("/sale") and "general" in body:
            await world.paid_sale(general__payment_id=body["general"]["payment_id"])
        answer = await post(world, template, body)
        refused = "not offered" in document()["paths"][template]["post"]["tags"]
        assert (400 if refused else 200) == answer.status
        await world.work()
        for item in world.merchant.received:
            assert "error" != item.body["payment"]["status"], item.raw


def test_described_answers_fit_their_own_schemas():
    for name, response in document()["components"]["responses"].items():
        content = response["content"]["application/json"]
        if "example" in content:
            assert validator(content["schema"]).is_valid(content["example"]), name


def test_described_codes_exist():
    for template, operation in operations():
        assert operation.get("x-codes", {}).keys() <= operation["responses"].keys(), template
        for status in operation["responses"]:
            listed = codes_of(operation, status)
            assert set(listed) <= {str(code) for code in codes.MESSAGES}, (template, status)
            assert (status == "200") == (listed == []), (template, status)


async def test_every_callback_is_as_described(open_world: OpenWorld):
    callback = validator(document()["components"]["schemas"]["Callback"])
    async with open_world(original_description=True, auth_code=True) as world:
        paid = await world.paid_sale()
        await paid.refund(payment__amount=400, payment__currency="KRW")
        await world.work()
        await paid.refund(payment__amount=4000, payment__currency="KRW")
        await (await world.sale()).pay("cancel")
        await world.sale(payment__amount=-5, customer__email="nobody")
        await world.sale(payment__amount=5)
        await world.work()
        statuses = {item.body["payment"]["status"] for item in world.merchant.received}
        assert {"awaiting redirect result", "success", "partially refunded", "decline", "error"} == statuses
        for item in world.merchant.received:
            assert [] == [error.message for error in callback.iter_errors(item.body)], item.raw
            assert verify(item.body, item.body["signature"], [SECRET])


async def test_every_answer_about_a_payment_is_as_described(open_world: OpenWorld):
    async with open_world() as world:
        paid = await world.paid_sale()
        await paid.refund(payment__amount=400, payment__currency="KRW")
        await world.work()
        for payment_id in (paid.payment_id, "unknown"):
            for destination in ("merchant", "terminal"):
                general = {"project_id": PROJECT_ID, "payment_id": payment_id}
                answer = await post(
                    world, "/v2/payment/status", {"general": general, "destination": destination}
                )
                assert 200 == answer.status
        flat = {"project_id": PROJECT_ID, "request_id": paid.accepted["request_id"]}
        assert 200 == (await post(world, "/v2/payment/status/request", flat)).status
        assert 404 == (await post(world, "/v2/payment/status/request", {**flat, "request_id": "x"})).status
