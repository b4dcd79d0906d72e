"""Attempts that go on as child runs."""

from __future__ import annotations

from glidepath_server.store.migrations.run import run_file

revision = "0006_pre_child_runs"
down_revision = "0005_pre_limits"


def upgrade() -> None:
    run_file(revision)


def downgrade() -> None:
    raise NotImplementedError("an older server takes no calls: leave the table where it is")
