"""What the instances of mapped tasks are given."""

from __future__ import annotations

from glidepath_server.store.migrations.run import run_file

revision = "0011_pre_maps"
down_revision = "0010_pre_approvals"


def upgrade() -> None:
    run_file(revision)


def downgrade() -> None:
    raise NotImplementedError("an older server does without the table: leave it where it is")
