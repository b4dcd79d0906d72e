"""Deadlines of DAGs, and of runs."""

from __future__ import annotations

from glidepath_server.store.migrations.run import run_file

revision = "0019_pre_deadlines"
down_revision = "0018_pre_traces"


def upgrade() -> None:
    run_file(revision)


def downgrade() -> None:
    raise NotImplementedError("an older server does without the tables: leave them where they are")
