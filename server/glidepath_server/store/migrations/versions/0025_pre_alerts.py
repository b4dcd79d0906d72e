"""Alert channels, routes and deliveries."""

from __future__ import annotations

from glidepath_server.store.migrations.run import run_file

revision = "0025_pre_alerts"
down_revision = "0024_pre_backfills"


def upgrade() -> None:
    run_file(revision)


def downgrade() -> None:
    raise NotImplementedError("an older server does without the tables: leave them where they are")
