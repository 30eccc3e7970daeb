"""The centre in one process: its settings, database, clock and secrets, made once and handed to everything.

Web code finds it at `current_app.extensions["centre"]`; worker steps get it as their only argument.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

from sync_server import clock, crypto, db
from sync_server.settings import Settings


@dataclass(frozen=True)
class Centre:
    """Nothing in here changes while the process runs."""

    settings: Settings
    engine: Engine
    secrets: crypto.Secrets
    now_ms: Callable[[], int] = clock.now_ms

    def write(self) -> AbstractContextManager[Connection]:
        """`db.write` on this centre's database."""
        return db.write(self.engine)

    def read(self) -> AbstractContextManager[Connection]:
        """`db.read` on this centre's database."""
        return db.read(self.engine)

    def finds(self, query: sa.Select[Any]) -> bool:
        """Whether a query finds anything now. A worker step asks before it begins to write: SQLite has one writer."""
        with self.read() as connection:
            return connection.execute(query.limit(1)).first() is not None

    def new_id(self) -> UUID:
        """A UUIDv7 of now."""
        return db.new_id(self.now_ms())


def open_centre(settings: Settings) -> Centre:
    """Open the database and read the secrets; a missing or unreadable one is a ConfigurationError."""
    return Centre(settings, db.open_engine(settings.database_url), crypto.read_secrets(settings.secret_file))


@dataclass(frozen=True)
class Opener:
    """What a command of the command line is given: it reads the settings and opens the centre when called."""

    load: Callable[[], Settings]

    def __call__(self) -> Centre:
        return open_centre(self.load())
