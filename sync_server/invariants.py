"""What must always be true of the database: each rule is one SELECT that names the rows that break it.

A folder's `checks.py` holds its own; `sync_server.checks` runs them all. The SELECT runs on both dialects; its first
column is text that names the offending row.
"""

from __future__ import annotations

from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Connection

MAX_NAMED = 20  # offending rows named per rule


class Invariant(NamedTuple):
    """`name` as money.md numbers it ("I1"); `rule` in one sentence; `select` gives the rows that break it."""

    name: str
    rule: str
    select: str


def broken(connection: Connection, invariant: Invariant) -> list[str]:
    """The rows that break a rule, at most MAX_NAMED of them."""
    rows = connection.execute(sa.text(f"{invariant.select} LIMIT {MAX_NAMED}"))
    return [" ".join(str(value) for value in row) for row in rows]
