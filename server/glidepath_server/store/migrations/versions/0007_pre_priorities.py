"""What operators say of a run's priority."""

from __future__ import annotations

from glidepath_server.store.migrations.run import run_file

revision = "0007_pre_priorities"
down_revision = "0006_pre_child_runs"


def upgrade() -> None:
    run_file(revision)


def downgrade() -> None:
    raise NotImplementedError("an older server does without it: leave it where it is")
