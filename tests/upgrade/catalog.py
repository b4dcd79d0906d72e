"""What a database's schema is, as data that two databases can be compared by."""

from __future__ import annotations

from typing import Any

_QUERIES = {
    "tables": """
        select c.relname, c.relkind::text, c.relpersistence::text, coalesce(c.reloptions::text, '')
        from pg_class c where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p', 'v', 'm', 'S')""",
    "columns": """
        select c.relname, a.attnum, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attidentity::text,
               a.attgenerated::text, a.attstorage::text, coalesce(pg_get_expr(d.adbin, d.adrelid), '')
        from pg_attribute a join pg_class c on c.oid = a.attrelid
        left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
        where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p', 'v', 'm')
          and a.attnum > 0 and not a.attisdropped""",
    "constraints": """
        select conrelid::regclass::text, conname, contype::text, pg_get_constraintdef(oid)
        from pg_constraint where connamespace = 'public'::regnamespace""",
    "indexes": "select tablename, indexname, indexdef from pg_indexes where schemaname = 'public'",
    "views": "select viewname, definition from pg_views where schemaname = 'public'",
    "functions": """
        select proname, pg_get_functiondef(oid) from pg_proc
        where pronamespace = 'public'::regnamespace and prokind = 'f'""",
    "triggers": "select tgrelid::regclass::text, tgname, pg_get_triggerdef(oid) from pg_trigger where not tgisinternal",
    "types": """
        select typname, typtype::text from pg_type
        where typnamespace = 'public'::regnamespace and typtype in ('e', 'd')""",
}
# Rows that the schema itself brings; times of creation are left out.
_SEEDS = {"clock": "select singleton, shift from clock", "namespace": "select namespace, weight from namespace"}
_OWN_OF_MIGRATIONS = "alembic_version"


async def catalog(connection: Any) -> dict[str, list[str]]:
    """Everything the schema consists of, by kind, in a fixed order; the table of revisions is left out."""
    found = {}
    for kind, query in {**_QUERIES, **_SEEDS}.items():
        rows = [str(tuple(row)) for row in await connection.fetch(query)]
        found[kind] = sorted(row for row in rows if _OWN_OF_MIGRATIONS not in row)
    return found
