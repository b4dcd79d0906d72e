"""Tasks that depend on the same task in the run before."""

from __future__ import annotations

from glidepath_server.store.migrations.run import run_file

revision = "0017_pre_past"
down_revision = "0016_pre_outbox"


def upgrade() -> None:
    run_file(revision)


def downgrade() -> None:
    raise NotImplementedError("an older server does without the table: leave it where it is")
