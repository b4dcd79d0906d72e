"""Lists of alerts have their indexes."""

from __future__ import annotations

from glidepath_server.store.migrations.run import run_file

revision = "0029_pre_alert_lists"
down_revision = "0028_pre_tick_retention"


def upgrade() -> None:
    run_file(revision)


def downgrade() -> None:
    raise NotImplementedError("an older server does without the indexes: leave them where they are")
