"""Runs of a DAG that go one after the other, by their logical dates."""

from __future__ import annotations

from glidepath_server.store.migrations.run import run_file

revision = "0015_pre_runs_in_order"
down_revision = "0014_pre_values"


def upgrade() -> None:
    run_file(revision)


def downgrade() -> None:
    raise NotImplementedError("an older server does without the column: leave it where it is")
