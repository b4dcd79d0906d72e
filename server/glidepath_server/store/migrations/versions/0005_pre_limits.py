"""Named limits, limits of a task and of a run, rates of starts."""

from __future__ import annotations

from glidepath_server.store.migrations.run import run_file

revision = "0005_pre_limits"
down_revision = "0004_pre_reroutes"


def upgrade() -> None:
    run_file(revision)


def downgrade() -> None:
    raise NotImplementedError("an older server does without them: leave them where they are")
