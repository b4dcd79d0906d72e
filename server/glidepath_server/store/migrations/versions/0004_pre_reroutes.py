"""The classes of tasks that go to another queue after so many failures."""

from __future__ import annotations

from glidepath_server.store.migrations.run import run_file

revision = "0004_pre_reroutes"
down_revision = "0003_pre_deferrals"


def upgrade() -> None:
    run_file(revision)


def downgrade() -> None:
    raise NotImplementedError("an older server does without the column: leave it where it is")
