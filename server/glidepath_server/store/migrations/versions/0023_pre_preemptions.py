"""Attempts whose machines are taken away are counted apart."""

from __future__ import annotations

from glidepath_server.store.migrations.run import run_file

revision = "0023_pre_preemptions"
down_revision = "0022_pre_clocks"


def upgrade() -> None:
    run_file(revision)


def downgrade() -> None:
    raise NotImplementedError("an older server does without the columns: leave them where they are")
