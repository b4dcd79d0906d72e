"""The list of task instances that were given up."""

from __future__ import annotations

from glidepath_server.store.migrations.run import run_file

revision = "0002_pre_dead_letters"
down_revision = "0001_pre_spine"


def upgrade() -> None:
    run_file(revision)


def downgrade() -> None:
    raise NotImplementedError("an older server does without the table: leave it where it is")
