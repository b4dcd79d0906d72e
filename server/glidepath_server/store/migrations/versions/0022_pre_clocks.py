"""How far the clocks of workers' hosts are off."""

from __future__ import annotations

from glidepath_server.store.migrations.run import run_file

revision = "0022_pre_clocks"
down_revision = "0021_pre_partitions"


def upgrade() -> None:
    run_file(revision)


def downgrade() -> None:
    raise NotImplementedError("an older server does without the columns: leave them where they are")
