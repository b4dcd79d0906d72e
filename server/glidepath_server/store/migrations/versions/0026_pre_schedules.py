"""Schedules, and what becomes of their ticks."""

from __future__ import annotations

from glidepath_server.store.migrations.run import run_file

revision = "0026_pre_schedules"
down_revision = "0025_pre_alerts"


def upgrade() -> None:
    run_file(revision)


def downgrade() -> None:
    raise NotImplementedError("an older server does without the tables: leave them where they are")
