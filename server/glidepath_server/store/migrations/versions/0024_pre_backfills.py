"""Backfills."""

from __future__ import annotations

from glidepath_server.store.migrations.run import run_file

revision = "0024_pre_backfills"
down_revision = "0023_pre_preemptions"


def upgrade() -> None:
    run_file(revision)


def downgrade() -> None:
    raise NotImplementedError("an older server does without the tables: leave them where they are")
