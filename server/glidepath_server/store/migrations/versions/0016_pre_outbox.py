"""Facts for alerts."""

from __future__ import annotations

from glidepath_server.store.migrations.run import run_file

revision = "0016_pre_outbox"
down_revision = "0015_pre_runs_in_order"


def upgrade() -> None:
    run_file(revision)


def downgrade() -> None:
    raise NotImplementedError("an older server does without the table: leave it where it is")
