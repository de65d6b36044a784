"""The schema as the catalogue of a freshly migrated database tells it: `python -m tests.store.schema` prints docs/schema.sql.

Read from the catalogue and not by pg_dump, so that it comes out alike under every version of PostgreSQL and of its tools.
"""

import asyncio
import tempfile
from pathlib import Path
from typing import Any

import asyncpg

from wongate.connections import embedded
from wongate.store.migrate import migrate

HEAD = "-- Made by `make schema` from the migrations in src/wongate/store/migrations: change those, not this file.\n"

_COLUMNS = """
    SELECT c.relname AS table, a.attname AS name, format_type(a.atttypid, a.atttypmod) AS type, a.attnotnull AS required,
           pg_get_expr(d.adbin, d.adrelid) AS value
    FROM pg_class c
    JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
    WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relnamespace = 'public'::regnamespace
    ORDER BY c.relname, a.attnum
"""
# PostgreSQL 18 lists NOT NULL among the constraints ('n'); the columns tell it already.
_CONSTRAINTS = """
    SELECT conrelid::regclass::text AS table, conname AS name, pg_get_constraintdef(o.oid) AS definition
    FROM pg_constraint o JOIN pg_class c ON c.oid = o.conrelid AND NOT c.relispartition
    WHERE connamespace = 'public'::regnamespace AND contype <> 'n'
    ORDER BY 1, position(contype::text IN 'pufcx'), conname
"""
_INDEXES = """
    SELECT i.indrelid::regclass::text AS table, pg_get_indexdef(i.indexrelid) AS definition
    FROM pg_index i
    JOIN pg_class c ON c.oid = i.indrelid AND NOT c.relispartition AND c.relnamespace = 'public'::regnamespace
    WHERE NOT EXISTS (SELECT 1 FROM pg_constraint WHERE conindid = i.indexrelid AND contype IN ('p', 'u', 'x'))
    ORDER BY 1, 2
"""
_OTHERS = """
    SELECT CASE relkind WHEN 'S' THEN 'SEQUENCE' WHEN 'v' THEN 'VIEW' ELSE 'MATERIALIZED VIEW' END || ' ' || relname AS definition
    FROM pg_class WHERE relkind IN ('S', 'v', 'm') AND relnamespace = 'public'::regnamespace
    UNION ALL
    SELECT pg_get_triggerdef(t.oid) FROM pg_trigger t WHERE NOT t.tgisinternal
    UNION ALL
    SELECT pg_get_functiondef(p.oid) FROM pg_proc p WHERE p.pronamespace = 'public'::regnamespace
    ORDER BY 1
"""


_PARTITIONED = """
    SELECT partrelid::regclass::text AS table, pg_get_partkeydef(partrelid) AS by FROM pg_partitioned_table
"""


async def dump(url: str) -> str:
    """Tables with columns and constraints, then indexes; alphabetical, columns as they were made. Partitions, which come and go
    with the months, are left out."""
    connection = await asyncpg.connect(url)
    try:
        columns, constraints, indexes, others, partitioned = [
            await connection.fetch(query)
            for query in (_COLUMNS, _CONSTRAINTS, _INDEXES, _OTHERS, _PARTITIONED)
        ]
    finally:
        await connection.close()
    parts = [HEAD]
    cut = {row["table"]: f" PARTITION BY {row['by']}" for row in partitioned}
    for table in dict.fromkeys(row["table"] for row in columns):
        lines = [_column(row) for row in columns if row["table"] == table]
        lines += [
            f"CONSTRAINT {row['name']} {row['definition']}" for row in constraints if row["table"] == table
        ]
        body = ",\n".join(f"    {line}" for line in lines)
        own = [f"{row['definition']};\n" for row in indexes if row["table"] == table]
        parts.append(f"CREATE TABLE {table} (\n{body}\n){cut.get(table, '')};\n{''.join(own)}")
    parts += [f"{row['definition']};\n" for row in others]
    return "\n".join(parts)


def _column(row: Any) -> str:
    value = f" DEFAULT {row['value']}" if row["value"] is not None else ""
    return f"{row['name']} {row['type']}{' NOT NULL' if row['required'] else ''}{value}"


def main() -> None:
    with tempfile.TemporaryDirectory() as directory, embedded.start(Path(directory)) as server:
        asyncio.run(migrate(server.url))
        print(asyncio.run(dump(server.url)), end="")


if __name__ == "__main__":
    main()
