"""Kept results of tasks, and the equal calls that wait for one another."""

from __future__ import annotations

from glidepath_server.store.migrations.run import run_file

revision = "0009_pre_caching"
down_revision = "0008_pre_fleets"


def upgrade() -> None:
    run_file(revision)


def downgrade() -> None:
    raise NotImplementedError("an older server does without these tables: leave them where they are")
