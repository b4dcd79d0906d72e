"""Loaded by Alembic for each upgrade: runs revisions on the connection that `run.apply` hands over."""

from __future__ import annotations

from alembic import context

context.configure(connection=context.config.attributes["connection"], transaction_per_migration=True)
context.run_migrations()
