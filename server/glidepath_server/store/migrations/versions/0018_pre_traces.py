"""What has ended and whose spans are not sent yet."""

from __future__ import annotations

from glidepath_server.store.migrations.run import run_file

revision = "0018_pre_traces"
down_revision = "0017_pre_past"


def upgrade() -> None:
    run_file(revision)


def downgrade() -> None:
    raise NotImplementedError("an older server does without the table: leave it where it is")
