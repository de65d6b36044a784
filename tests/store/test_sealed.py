"""No secret is sealed anywhere but in the columns that `wongate rekey` knows."""

import ast
from collections.abc import Iterator
from pathlib import Path

import asyncpg

import wongate
from wongate.store import sealed
from wongate.store.sealed import SEALED, SealedColumn

SOURCES = sorted(Path(wongate.__file__).parent.rglob("*.py"))


async def test_every_sealed_column_of_the_schema_is_known(database: str):
    """A new one is named `...sealed...` and stands in store/sealed.py with its table, or a new master key forgets it."""
    connection = await asyncpg.connect(database)
    try:
        found = await connection.fetch(
            "SELECT table_name, column_name FROM information_schema.columns "
            "WHERE table_schema = 'public' AND column_name LIKE '%sealed%'"
        )
    finally:
        await connection.close()
    assert {tuple(row) for row in found} == {(where.table, where.column) for where in SEALED}
    assert len(SEALED) == len(found)


def test_every_column_that_has_a_name_is_sealed_anew():
    named = [value for value in vars(sealed).values() if isinstance(value, SealedColumn)]
    assert named == list(SEALED)


def test_nothing_is_sealed_or_opened_but_in_the_place_of_a_known_column():
    """`place=` is `COLUMN.place_of(...)` wherever a vault is used, so that whoever seals names the column."""
    known = {name for name, value in vars(sealed).items() if isinstance(value, SealedColumn)} | {"where"}
    used = [(path.name, place) for path in SOURCES for place in _places(ast.parse(path.read_text()))]
    assert len(used) > 10
    assert [] == [(name, ast.unparse(place)) for name, place in used if not _is_of_column(place, known)]


def _places(tree: ast.AST) -> Iterator[ast.expr]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and getattr(node.func, "attr", "") in ("seal", "open"):
            yield from (keyword.value for keyword in node.keywords if keyword.arg == "place")


def _is_of_column(place: ast.expr, known: set[str]) -> bool:
    return (
        isinstance(place, ast.Call)
        and isinstance(place.func, ast.Attribute)
        and place.func.attr == "place_of"
        and isinstance(place.func.value, ast.Name)
        and place.func.value.id in known
    )
