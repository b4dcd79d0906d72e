"""Notes of people on runs and task instances."""

from __future__ import annotations

from glidepath_server.store.migrations.run import run_file

revision = "0013_pre_notes"
down_revision = "0012_pre_moves"


def upgrade() -> None:
    run_file(revision)


def downgrade() -> None:
    raise NotImplementedError("an older server does without the table: leave it where it is")
