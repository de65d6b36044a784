"""The rows of an export: the Payments table's columns as SQL, through a cursor: as lines of CSV, or as cells of a workbook."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from wongate.connections.database import Tx
from wongate.reports.register import Conditions, Filter

_DANGEROUS = '\'{=,+,-,@,"\t","\r","\n"}\''
"""First characters that make a spreadsheet take a cell for a formula, as an SQL array (see `sheets.harmless`)."""

_QUOTE = "'\"'"
_PLAIN = r"""'^[^-=+@\t\r\n",][^\r\n",]*$'"""
"""Texts that are written as they are, all others in quotes: an empty one too, which alone in its line would be no line."""

_ALL = "(SELECT 9223372036854775807)"
"""A limit that PostgreSQL does not know when it plans: it plans for the first rows then, which lie ready in an index, project by
project. Otherwise it sorts ten million before the first, for longer than a statement may take (60 s)."""


@dataclass(frozen=True, slots=True)
class Column:
    """`sql` over payment `p` and its latest sale `o`. `kind`: word (ours, without a comma), number, moment, text, or foreign: a
    text of others."""

    sql: str
    kind: str = "word"


COLUMNS = {
    "payment_id": Column("p.payment_id", "foreign"),
    "type": Column("'purchase'"),
    "status": Column("p.status"),
    "amount": Column("p.amount", "number"),
    "currency": Column("p.currency"),
    "refunded": Column("p.refunded", "number"),
    "refundable": Column("p.captured - p.refunded - p.reserved", "number"),
    "customer_id": Column("p.customer_id", "foreign"),
    "created_at": Column("p.created_at", "moment"),
    "changed_at": Column("p.changed_at", "moment"),
    "project_id": Column("p.project_id::text"),  # ids are texts: Excel rounds numbers of 16 digits
    "method": Column("p.method"),
    "source": Column("p.source"),
    "code": Column("o.code::text"),
    "flag": Column("p.flag", "text"),
    "description": Column("p.description", "foreign"),
    "reference": Column("o.reference", "foreign"),
    "order_number": Column("o.order_number"),
    "sale_id": Column("p.sale_id::text"),
    "request_id": Column("o.request_id"),
}
"""What the Payments page can show, by the same names."""


def _statement(
    wanted: Filter,
    columns: Sequence[str],
    zone: str,
    cell: Callable[[Column, str], str],
    *,
    line: bool = False,
) -> tuple[str, list[Any]]:
    """Oldest first; with `line` a row is one text. The sale is looked up only where a column or condition asks for it."""
    conditions = Conditions(wanted, whole=True)
    place = f"${len(conditions.values) + 2}::text"
    spelled = [cell(COLUMNS[name], place) for name in columns]
    cells = "concat({}, E'\\r\\n')".format(", ',', ".join(spelled)) if line else ", ".join(spelled)
    needs_sale = wanted.codes or any("o." in COLUMNS[name].sql for name in columns)
    sale = (
        "JOIN operation o ON o.project_id = p.project_id AND o.operation_id = p.sale_id "
        if needs_sale
        else ""
    )
    ordered = "ORDER BY p.created_at, p.payment_no"
    # What a list names is found by it: looked for by time, the list would be gone through again for each payment.
    listed = wanted.about or wanted.failing or wanted.is_at_work
    each = (f"= ($1::bigint[])[{number}]" for number, _ in enumerate(wanted.project_ids, 1))
    limit = "" if listed else f"LIMIT {_ALL}"
    parts = [
        f"(SELECT p.* FROM payment p {sale if wanted.codes else ''}"
        f"WHERE p.project_id {own}{conditions} {ordered} {limit})"
        for own in (("= ANY($1)",) if listed else each)
    ]
    statement = (
        f"SELECT {cells} FROM ({' UNION ALL '.join(parts)}) p {sale}WHERE {place} <> '' {ordered} {limit}"
    )
    return statement, [list(wanted.project_ids), *conditions.values, zone]


def _csv_cell(column: Column, zone: str) -> str:
    text = column.sql
    if column.kind == "moment":
        return f"to_char({text} AT TIME ZONE {zone}, 'YYYY-MM-DD HH24:MI:SS')"
    if column.kind not in ("text", "foreign"):
        return text
    quoted = f"replace({text}, {_QUOTE}, {_QUOTE} || {_QUOTE})"
    if column.kind == "foreign":
        quoted = f"CASE WHEN left({text}, 1) = ANY({_DANGEROUS}) THEN '''' ELSE '' END || {quoted}"
    return f"CASE WHEN {text} ~ {_PLAIN} THEN {text} ELSE {_QUOTE} || {quoted} || {_QUOTE} END"


def _sheet_cell(column: Column, zone: str) -> str:
    if column.kind == "moment":
        return f"date_trunc('second', {column.sql} AT TIME ZONE {zone})"
    return column.sql


async def lines(tx: Tx, wanted: Filter, columns: Sequence[str], zone: str) -> Any:
    """A cursor over the rows as lines of CSV, dates in `zone`; wants a transaction. Its `fetch(n)` answers the next n, each a
    record of one text.

    Not by COPY, though that costs half a microsecond a row less: PostgreSQL goes on making lines, 5 ms in one go, for as long as
    they find room on their way here.
    """
    statement, arguments = _statement(wanted, columns, zone, _csv_cell, line=True)
    return await tx.cursor(statement, *arguments)


async def cursor(tx: Tx, wanted: Filter, columns: Sequence[str], zone: str) -> Any:
    """A cursor over the rows as cells of a sheet; wants a transaction. Its `fetch(n)` answers the next n."""
    statement, arguments = _statement(wanted, columns, zone, _sheet_cell)
    return await tx.cursor(statement, *arguments)
