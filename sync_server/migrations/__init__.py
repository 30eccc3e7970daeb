"""Alembic's migrations, alike on SQLite and PostgreSQL. `sync-server init` runs them (`sync_server.schema.migrate`)."""
