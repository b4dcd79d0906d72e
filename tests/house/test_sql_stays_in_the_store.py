"""SQL is written in server/glidepath_server/store and nowhere else in the code that ships."""

from __future__ import annotations

import ast
import re

import pytest
from repository import list_files, name_of, parse, strings

STORE = "server/glidepath_server/store/"
SHIPPED = ("server/glidepath_server/", "sdk/python/glidepath/", "sdk/cli/glidepath_cli/")

STATEMENT = re.compile(
    r"""^\s*(
        select\s.+\sfrom\s | select\s+(pg_|now\(|\$) | insert\s+into\s | update\s+\S+\s+set\s | delete\s+from\s
      | merge\s+into\s | with\s+(recursive\s+)?\w+\s+as\s+(materialized\s+)?\( | truncate\s+\w
      | (create|alter|drop)\s+(table|index|database|schema|type|role|function|extension|view)\s
      | lock\s+table\s | (un)?listen\s+\w+\s*;?$ | notify\s+\w+
      | set\s+(local\s+)?\w+\s*(=|to)\s | copy\s+\w+\s+(from|to)\s
    )""",
    re.IGNORECASE | re.VERBOSE | re.DOTALL,
)


def sql_in(source: ast.Module) -> list[tuple[int, str]]:
    return [(line, text) for line, text in strings(source) if STATEMENT.match(text)]


def test_shipped_code_outside_the_store_holds_no_sql() -> None:
    files = [path for path in list_files(".py") if name_of(path).startswith(SHIPPED)]
    found = [
        f"{name_of(path)}:{line}: {text.strip()[:60]!r}"
        for path in files
        if not name_of(path).startswith(STORE)
        for line, text in sql_in(parse(path))
    ]
    assert any(name_of(path).startswith(STORE) for path in files), "the store has moved; this test looks at nothing"
    assert not found, "move these statements into store/queries:\n" + "\n".join(found)


@pytest.mark.parametrize(
    "statement",
    [
        "select * from dag_run",
        "\n  SELECT dag_id\n  FROM dag\n",
        "insert into pool values ($1)",
        "update pool set slots = 1",
        "delete from token",
        "with due as (select 1) select 1",
        "create table t ()",
        "listen glidepath_work",
    ],
)
def test_the_finder_knows_a_statement(statement: str) -> None:
    assert sql_in(ast.parse(f"x = {statement!r}"))
    assert sql_in(ast.parse(f"run({statement!r}, 1)"))


def test_the_finder_reads_f_strings_and_leaves_prose_alone() -> None:
    assert sql_in(ast.parse("x = f'select * from {table} where a = {b}'"))
    assert not sql_in(ast.parse('def f():\n    """Select the rows from the table."""\n'))
    assert not sql_in(ast.parse("x = 'update the pool, set its slots'"))
    assert not sql_in(ast.parse("x = 'set a timeout'"))
