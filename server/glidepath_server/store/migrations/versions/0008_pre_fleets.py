"""Workers that serve several namespaces."""

from __future__ import annotations

from glidepath_server.store.migrations.run import run_file

revision = "0008_pre_fleets"
down_revision = "0007_pre_priorities"


def upgrade() -> None:
    run_file(revision)


def downgrade() -> None:
    raise NotImplementedError("an older server does without it: leave it where it is")
