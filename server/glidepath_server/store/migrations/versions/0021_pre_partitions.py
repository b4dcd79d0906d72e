"""What runs leave lies in partitions, so that it can be dropped by months."""

from __future__ import annotations

from glidepath_server.store.migrations.run import run_file

revision = "0021_pre_partitions"
down_revision = "0020_pre_durations"


def upgrade() -> None:
    run_file(revision)


def downgrade() -> None:
    raise NotImplementedError("an older server reads and writes the tables as they are")
