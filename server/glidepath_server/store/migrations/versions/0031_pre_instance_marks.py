"""The ends that operators gave single instances of mapped tasks."""

from __future__ import annotations

from glidepath_server.store.migrations.run import run_file

revision = "0031_pre_instance_marks"
down_revision = "0030_pre_waiting_ticks"


def upgrade() -> None:
    run_file(revision)


def downgrade() -> None:
    raise NotImplementedError("an older server does without the table: leave it where it is")
