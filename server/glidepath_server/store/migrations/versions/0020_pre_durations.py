"""How long tasks take, learnt from runs that have ended."""

from __future__ import annotations

from glidepath_server.store.migrations.run import run_file

revision = "0020_pre_durations"
down_revision = "0019_pre_deadlines"


def upgrade() -> None:
    run_file(revision)


def downgrade() -> None:
    raise NotImplementedError("an older server does without the table: leave it where it is")
