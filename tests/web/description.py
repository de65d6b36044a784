"""docs/openapi.yaml as tests read it."""

from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]  # comes with schemathesis
from jsonschema_rs import Draft202012Validator

from wongate.domain import codes

FILE = Path(__file__).parents[2] / "docs" / "openapi.yaml"


@cache
def document() -> dict[str, Any]:
    read: dict[str, Any] = yaml.safe_load(FILE.read_text("utf-8"))
    return read


def resolved(node: Any) -> Any:
    """A node, or what its `$ref` names."""
    if isinstance(node, Mapping) and "$ref" in node:
        target: Any = document()
        for name in node["$ref"].removeprefix("#/").split("/"):
            target = target[name]
        return resolved(target)
    return node


def operations() -> Iterator[tuple[str, dict[str, Any]]]:
    for path, item in document()["paths"].items():
        yield path, item["post"]


def codes_of(operation: Mapping[str, Any], status: str) -> list[str]:
    """Codes with which an operation answers: its own, else those that every answer of this kind has."""
    own: list[str] | None = operation.get("x-codes", {}).get(status)
    return own or resolved(operation["responses"][status]).get("x-codes", [])


def validator(schema: Any) -> Draft202012Validator:
    """References of the schema lead into the whole document."""
    return Draft202012Validator({**resolved(schema), "components": document()["components"]})


@cache
def answer_validator(template: str, status: int) -> Draft202012Validator:
    answer = resolved(document()["paths"][template]["post"]["responses"][str(status)])
    return validator(answer["content"]["application/json"]["schema"])


def check_answer(template: str, status: int, body: Mapping[str, Any]) -> None:
    """Raises AssertionError for an answer that the description does not foresee: status, code, message or shape."""
    operation = document()["paths"][template]["post"]
    assert str(status) in operation["responses"], (template, status, body)
    errors = [error.message for error in answer_validator(template, status).iter_errors(body)]
    assert [] == errors, (template, status, body)
    if status != 200:
        assert body["code"] in codes_of(operation, str(status)), (template, status, body)
        assert codes.MESSAGES[int(body["code"])] == body["message"]
