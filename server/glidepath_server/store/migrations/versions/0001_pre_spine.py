"""Definitions, runs, the queue, workers, identity: the schema that everything later builds on."""

from __future__ import annotations

from glidepath_server.store.migrations.run import run_file

revision = "0001_pre_spine"
down_revision = None


def upgrade() -> None:
    run_file(revision)


def downgrade() -> None:
    raise NotImplementedError("there is nothing before the first revision: drop the database instead")
