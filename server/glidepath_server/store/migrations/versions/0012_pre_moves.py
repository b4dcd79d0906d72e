"""Runs that are moved to other versions."""

from __future__ import annotations

from glidepath_server.store.migrations.run import run_file

revision = "0012_pre_moves"
down_revision = "0011_pre_maps"


def upgrade() -> None:
    run_file(revision)


def downgrade() -> None:
    raise NotImplementedError("an older server does without the table: leave it where it is")
