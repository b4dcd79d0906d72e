"""What became of ticks is forgotten with the history of runs."""

from __future__ import annotations

from glidepath_server.store.migrations.run import run_file

revision = "0028_pre_tick_retention"
down_revision = "0027_pre_promises"


def upgrade() -> None:
    run_file(revision)


def downgrade() -> None:
    raise NotImplementedError("an older server does without the index: leave it where it is")
