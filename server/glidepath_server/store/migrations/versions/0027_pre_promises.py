"""How far the ticks of schedules are watched for deadlines."""

from __future__ import annotations

from glidepath_server.store.migrations.run import run_file

revision = "0027_pre_promises"
down_revision = "0026_pre_schedules"


def upgrade() -> None:
    run_file(revision)


def downgrade() -> None:
    raise NotImplementedError("an older server does without the table: leave it where it is")
