"""Alembic's entry: runs the migrations on the connection that `sync_server.schema.migrate` opened."""

from __future__ import annotations

from alembic import context

from sync_server.schema import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    autogenerate_plugins=["alembic.autogenerate.*", "alembic.ext.checkconstraint_byname"],  # CHECKs by their names
    render_as_batch=True,  # SQLite cannot alter most of a table: Alembic builds it anew
)
context.run_migrations()
