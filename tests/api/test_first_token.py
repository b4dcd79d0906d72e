"""First tokens: made once, for their owner's eyes, and never over somebody else's file."""

from __future__ import annotations

import asyncio
import stat
from pathlib import Path

import pytest
from serving import Api, bearer, running

from glidepath_server import crash_points
from glidepath_server.api.auth import Authenticator
from glidepath_server.core.errors import StateConflict
from glidepath_server.operations.first_token import ensure_token_file
from glidepath_server.operations.tokens import revoke_token, token_id_of
from glidepath_server.store.database import transaction

pytestmark = pytest.mark.asyncio


async def ensure(api: Api, path: Path, role: str = "admin") -> bool:
    return await ensure_token_file(api.database.api, path, name=f"first-{role}", role=role)


async def test_a_server_writes_its_first_tokens_and_keeps_them_over_restarts(database_url: str, tmp_path: Path) -> None:
    files = {"admin": tmp_path / "secrets" / "admin", "worker": tmp_path / "secrets" / "worker"}
    seen = []
    for _ in range(2):
        async with running(database_url, token_files=files) as api:
            for role, path in files.items():
                assert stat.S_IMODE(path.stat().st_mode) == 0o600
                authenticator = Authenticator(api.database, required=True, cache_seconds=0)
                found = await authenticator.identify(dict(bearer(path.read_text().strip())))
                assert (found.role, found.namespace, found.name) == (role, "*", f"first-{role}")
            seen.append([path.read_text() for path in files.values()])
    assert seen[0] == seen[1]


@pytest.mark.parametrize("point", ["token_file.before_commit=fail", "token_file.after_commit=fail"])
async def test_a_start_that_breaks_off_leaves_no_file_that_the_next_one_refuses(
    api: Api, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, point: str
) -> None:
    path = tmp_path / "token"
    for arrival in (1, 2):
        monkeypatch.setattr(crash_points, "armed", crash_points.parse(f"{point}@{arrival}"))
        with pytest.raises(crash_points.Failed):
            await ensure(api, path)
        await ensure(api, path)
        assert [each.name for each in tmp_path.iterdir()] == ["token"] and not await ensure(api, path)
        path.unlink()


async def test_a_second_name_that_a_crash_left_is_removed_and_nobody_elses(api: Api, tmp_path: Path) -> None:
    path = tmp_path / "token"
    await ensure(api, path)
    waiting = path.with_name("token.new")
    waiting.hardlink_to(path)
    assert not await ensure(api, path)
    assert [each.name for each in tmp_path.iterdir()] == ["token"]
    waiting.write_text("of somebody else")
    assert not await ensure(api, path)
    assert waiting.read_text() == "of somebody else"


async def test_replicas_that_start_together_agree_on_a_token(api: Api, tmp_path: Path) -> None:
    made = await asyncio.gather(*(ensure(api, tmp_path / "token") for _ in range(4)))
    assert made.count(True) == 1
    async with api.database.api.acquire() as connection:
        assert await connection.fetchval("select count(*) from api_token") == 1


async def test_a_file_of_another_database_is_not_overwritten(api: Api, tmp_path: Path) -> None:
    path = tmp_path / "token"
    assert await ensure(api, path)
    async with api.database.api.acquire() as connection:
        await connection.execute("delete from api_token")
    before = path.read_text()
    with pytest.raises(StateConflict, match="no token that this database knows") as caught:
        await ensure(api, path)
    assert "delete the file" in caught.value.hint and path.read_text() == before


@pytest.mark.parametrize("text", ["", "hello", "gp_admin_aaaaaaaaaaaaaaaa_bbbb"])
async def test_a_file_with_something_else_is_not_overwritten(api: Api, tmp_path: Path, text: str) -> None:
    path = tmp_path / "token"
    path.write_text(text)
    path.chmod(0o600)
    with pytest.raises(StateConflict):
        await ensure(api, path)
    assert path.read_text() == text


async def test_a_revoked_token_in_the_file_is_said(api: Api, tmp_path: Path) -> None:
    path = tmp_path / "token"
    await ensure(api, path)
    async with transaction(api.database.api, "test") as connection:
        token_id = token_id_of(path.read_text().strip())
        assert token_id is not None
        await revoke_token(connection, token_id=token_id, namespace="*", actor="test")
    with pytest.raises(StateConflict, match="knows and admits"):
        await ensure(api, path)


async def test_a_file_that_others_can_read_is_refused_with_the_command(api: Api, tmp_path: Path) -> None:
    path = tmp_path / "token"
    await ensure(api, path)
    path.chmod(0o640)
    with pytest.raises(StateConflict) as caught:
        await ensure(api, path)
    assert caught.value.hint == f"chmod 600 {path}"


async def test_a_file_that_cannot_be_read_is_no_trouble_of_the_database(database_url: str, tmp_path: Path) -> None:
    (tmp_path / "token").mkdir(mode=0o700)
    with pytest.raises(StateConflict, match="cannot read a token"):
        async with running(database_url, token_files={"admin": tmp_path / "token"}):
            pass


async def test_a_token_whose_file_cannot_be_written_is_not_made(api: Api, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way of a directory")
    with pytest.raises(StateConflict, match="cannot write a token"):
        await ensure(api, tmp_path / "file" / "token")
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StateConflict, match="cannot write a token"):
        await ensure(api, tmp_path / "link")
    assert not (tmp_path / "elsewhere").exists()
    async with api.database.api.acquire() as connection:
        assert await connection.fetchval("select count(*) from api_token") == 0
