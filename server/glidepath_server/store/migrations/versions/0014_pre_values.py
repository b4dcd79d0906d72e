"""XComs and the uses of artifacts."""

from __future__ import annotations

from glidepath_server.store.migrations.run import run_file

revision = "0014_pre_values"
down_revision = "0013_pre_notes"


def upgrade() -> None:
    run_file(revision)


def downgrade() -> None:
    raise NotImplementedError("an older server does without the tables: leave them where they are")
