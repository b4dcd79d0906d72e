"""The revisions end exactly at schema.sql, are applied once by whoever comes first, and guard against wrong pairs."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from importlib.resources import files
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest
import pytest_asyncio
from catalog import catalog

from glidepath_server.core.errors import StateConflict, Unavailable
from glidepath_server.store import migrate

pytestmark = pytest.mark.asyncio
NewDatabase = Callable[[str], Awaitable[str]]


@pytest_asyncio.fixture
async def new_database(database_url: str) -> AsyncIterator[NewDatabase]:
    """Makes empty databases beside the test's own; they are dropped after the test."""
    connection = await asyncpg.connect(database_url)
    base, made = urlsplit(database_url), []

    async def make(suffix: str) -> str:
        name = f"{base.path.strip('/')}_{suffix}"
        await connection.execute(f'create database "{name}" template template0')
        made.append(name)
        return urlunsplit(base._replace(path=f"/{name}"))

    yield make
    for name in made:
        await connection.execute(f'drop database "{name}" with (force)')
    await connection.close()


async def test_the_revisions_end_exactly_at_schema_sql(new_database: NewDatabase) -> None:
    migrated, direct = await new_database("migrated"), await new_database("direct")
    assert await migrate.upgrade(migrated) == migrate.revisions()
    found = []
    for url in (migrated, direct):
        connection = await asyncpg.connect(url)
        if url == direct:
            await connection.execute(files(migrate.__package__).joinpath("schema.sql").read_text())
        found.append(await catalog(connection))
        await connection.close()
    for kind, expected in found[1].items():
        assert found[0][kind] == expected, f"{kind}: the revisions make something else than store/schema.sql"
    assert len(found[1]["tables"]) > 20 and found[1]["functions"] and found[1]["constraints"]


async def test_the_comparison_sees_a_difference(new_database: NewDatabase) -> None:
    url = await new_database("changed")
    await migrate.upgrade(url)
    connection = await asyncpg.connect(url)
    before = await catalog(connection)
    changes = {
        "columns": "alter table request add note text",
        "indexes": "drop index request_create_time",
        "tables": "alter table dag_run set (fillfactor = 70)",
        "namespace": "delete from namespace",
        "constraints": "alter table api_token drop constraint api_token_role_check",
        "functions": "create or replace function glidepath_now() returns timestamptz language sql stable as "
        "$$ select clock_timestamp() $$",
    }
    for kind, change in changes.items():
        await connection.execute(change)
        after = await catalog(connection)
        assert after[kind] != before[kind], kind
    await connection.close()


async def test_the_names_of_the_files_are_the_line_that_alembic_follows() -> None:
    from alembic.script import ScriptDirectory

    from glidepath_server.store.migrations.run import config

    line = [each.revision for each in ScriptDirectory.from_config(config()).walk_revisions()]
    assert line[::-1] == migrate.revisions()
    assert all(each[4:9] in ("_pre_", "_post") and len(each) <= 32 for each in line)


async def test_upgrading_again_does_nothing(new_database: NewDatabase) -> None:
    url = await new_database("again")
    assert await migrate.current(url) is None
    await migrate.upgrade(url)
    assert await migrate.current(url) == migrate.head() == await migrate.check(url)
    assert await migrate.upgrade(url) == []


async def test_replicas_that_start_together_upgrade_once(new_database: NewDatabase) -> None:
    url = await new_database("together")
    applied = await asyncio.gather(*(migrate.upgrade(url) for _ in range(4)))
    assert sorted(applied, key=len) == [[], [], [], migrate.revisions()]


async def test_a_database_without_a_schema_is_refused_with_the_command(new_database: NewDatabase) -> None:
    with pytest.raises(StateConflict) as caught:
        await migrate.check(await new_database("empty"))
    assert "no Glidepath schema" in caught.value.message and "glidepath db upgrade" in caught.value.hint


async def test_an_older_server_is_refused_on_a_newer_schema(new_database: NewDatabase) -> None:
    url = await new_database("newer")
    await migrate.upgrade(url)
    connection = await asyncpg.connect(url)
    await connection.execute("update alembic_version set version_num = '9999_pre_future'")
    await connection.close()
    for refused in (migrate.check, migrate.upgrade):
        with pytest.raises(StateConflict) as caught:
            await refused(url)
        assert "this server is older than the schema" in caught.value.message
        assert "9999_pre_future" in caught.value.message


@pytest.mark.parametrize(
    ("known", "found", "runs"),
    [
        (["0001_pre_a", "0002_pre_b"], "0001_pre_a", False),
        (["0001_pre_a", "0002_pre_b"], "0002_pre_b", True),
        (["0001_pre_a", "0002_post_b"], "0001_pre_a", True),
        (["0001_pre_a", "0002_post_b", "0003_pre_c"], "0001_pre_a", False),
    ],
)
async def test_a_server_waits_for_pre_revisions_and_not_for_post_ones(
    monkeypatch: pytest.MonkeyPatch,
    known: list[str],
    found: str,
    runs: bool,
) -> None:
    monkeypatch.setattr(migrate, "revisions", lambda: known)
    refused = migrate.refusal(found)
    assert (refused is None) == runs
    assert refused is None or (refused.hint == "run glidepath db upgrade" and known[-1] in refused.message)


async def test_only_pre_stops_before_the_first_post_revision(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(migrate, "revisions", lambda: ["0001_pre_a", "0002_pre_b", "0003_post_c", "0004_pre_d"])
    assert migrate.missing("0001_pre_a", only_pre=True) == ["0002_pre_b"]
    assert migrate.missing(None, only_pre=True) == ["0001_pre_a", "0002_pre_b"]
    assert migrate.missing("0001_pre_a", only_pre=False) == ["0002_pre_b", "0003_post_c", "0004_pre_d"]


async def test_a_failed_revision_leaves_nothing_behind(new_database: NewDatabase) -> None:
    url = await new_database("failed")
    connection = await asyncpg.connect(url)
    # The last object of the schema is taken already, so the revision fails at its end.
    await connection.execute("create view task_instance as select 1 as one")
    with pytest.raises(asyncpg.DuplicateTableError):
        await migrate.upgrade(url)
    assert await connection.fetchval("select to_regclass('dag_run')") is None
    await connection.execute("drop view task_instance")
    await connection.close()
    assert await migrate.upgrade(url) == migrate.revisions()


async def test_a_database_that_is_not_there_is_unavailable() -> None:
    with pytest.raises(Unavailable, match="Postgres does not answer"):
        await migrate.check("postgresql://nobody@127.0.0.1:1/none")


async def test_a_start_that_has_nothing_to_apply_does_not_import_sqlalchemy(new_database: NewDatabase) -> None:
    url = await new_database("light")
    await migrate.upgrade(url)
    script = (
        "import asyncio, sys\nfrom glidepath_server.store import migrate\n"
        f"asyncio.run(migrate.upgrade({url!r}))\nasyncio.run(migrate.check({url!r}))\n"
        "print('sqlalchemy' in sys.modules or 'alembic' in sys.modules)"
    )
    done = await asyncio.to_thread(subprocess.run, [sys.executable, "-c", script], capture_output=True, text=True)
    assert (done.stdout.strip(), done.stderr) == ("False", "")
