"""Questions that tasks ask people, and their answers."""

from __future__ import annotations

from glidepath_server.store.migrations.run import run_file

revision = "0010_pre_approvals"
down_revision = "0009_pre_caching"


def upgrade() -> None:
    run_file(revision)


def downgrade() -> None:
    raise NotImplementedError("an older server does without the table: leave it where it is")
