"""How often a released task instance has deferred, and since when it waits."""

from __future__ import annotations

from glidepath_server.store.migrations.run import run_file

revision = "0003_pre_deferrals"
down_revision = "0002_pre_dead_letters"


def upgrade() -> None:
    run_file(revision)


def downgrade() -> None:
    raise NotImplementedError("an older server does without the columns: leave them where they are")
