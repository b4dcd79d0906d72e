"""Ticks that wait have an index, and active runs of a schedule."""

from __future__ import annotations

from glidepath_server.store.migrations.run import run_file

revision = "0030_pre_waiting_ticks"
down_revision = "0029_pre_alert_lists"


def upgrade() -> None:
    run_file(revision)


def downgrade() -> None:
    raise NotImplementedError("an older server does without the indexes: leave them where they are")
