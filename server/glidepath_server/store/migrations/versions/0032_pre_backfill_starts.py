"""All starts of a date count by a backfill's rate, not its last one alone."""

from __future__ import annotations

from glidepath_server.store.migrations.run import run_file

revision = "0032_pre_backfill_starts"
down_revision = "0031_pre_instance_marks"


def upgrade() -> None:
    run_file(revision)


def downgrade() -> None:
    raise NotImplementedError("an older server does without the column: leave it where it is")
