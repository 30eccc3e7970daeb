"""Work promised to the outside world: a row written in the same transaction as the state change that needs it.

A row says that a subject of a kind wants attention at `run_at_ms`; the handler looks the subject up and does the next
thing its state asks for. A worker leases rows for a while; the fence number tells a late worker that another took over.
What needs no more attention has no row.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from sync_server.bulk import insert_missing
from sync_server.db import id_column, metadata, ms_column, new_id, word_column

LEASE_MS = 60_000
MAX_CLAIM = 50

outbox = sa.Table(
    "outbox",
    metadata,
    id_column(),
    sa.Column("job_key", sa.String(100), nullable=False, unique=True),
    sa.Column("kind", sa.String(32), nullable=False),
    sa.Column("subject_id", sa.Uuid(), nullable=False),
    ms_column("run_at_ms"),
    word_column("state", ("WAITING", "LEASED")),
    ms_column("lease_until_ms", server_default="0"),
    sa.Column("fence", sa.Integer(), nullable=False, server_default="0"),
    sa.Column("attempts", sa.Integer(), nullable=False, server_default="0"),
    sa.Column("last_error", sa.String(500)),
    sa.Index("ix_outbox_kind", "kind", "run_at_ms"),
)


@dataclass(frozen=True)
class Job:
    """A leased row; `fence` must still hold when the worker gives it back."""

    id: UUID
    kind: str
    subject_id: UUID
    fence: int
    attempts: int


def promise(connection: Connection, kind: str, subject_id: UUID, run_at_ms: int) -> None:
    """Ask for attention at a moment. One row per subject and kind: asking again brings it forward."""
    key = f"{kind}:{subject_id}"
    row = {"id": new_id(run_at_ms), "job_key": key, "kind": kind, "subject_id": subject_id, "run_at_ms": run_at_ms}
    if insert_missing(connection, outbox, [{**row, "state": "WAITING"}]):
        return
    later = sa.and_(outbox.c.state == "WAITING", outbox.c.run_at_ms > run_at_ms)
    mine = outbox.update().where(outbox.c.job_key == key, later)
    connection.execute(mine.values(run_at_ms=run_at_ms, attempts=0))


def claim(
    connection: Connection, kind: str, now_ms: int, limit: int = MAX_CLAIM, among: sa.Select[Any] | None = None
) -> list[Job]:
    """Lease the rows that are due, oldest first, also those whose worker never came back; `among` these subjects only.

    SKIP LOCKED keeps PostgreSQL workers apart; SQLAlchemy leaves it out for SQLite, where BEGIN IMMEDIATE does.
    """
    chosen = (
        due(kind, now_ms, among)
        .order_by(outbox.c.run_at_ms, outbox.c.id)
        .limit(limit)
        .with_for_update(skip_locked=True)
        .cte("chosen")  # looked up once: as a subquery some plans ask it for each row, and lease more than `limit`
    )
    return _lease(connection, outbox.c.id.in_(sa.select(chosen.c.id)), now_ms)


def due(kind: str, now_ms: int, among: sa.Select[Any] | None = None) -> sa.Select[tuple[UUID]]:
    """The rows of a kind that may be leased now; `among` these subjects only."""
    found = sa.select(outbox.c.id).where(outbox.c.kind == kind, outbox.c.run_at_ms <= now_ms, _is_free(now_ms))
    return found if among is None else found.where(outbox.c.subject_id.in_(among))


def claim_one(connection: Connection, kind: str, subject_id: UUID, now_ms: int) -> Job | None:
    """Lease one subject's row at once, due or not; None while another worker holds it or where there is none."""
    mine = sa.and_(outbox.c.job_key == f"{kind}:{subject_id}", _is_free(now_ms))
    jobs = _lease(connection, mine, now_ms)
    return jobs[0] if jobs else None


def _is_free(now_ms: int) -> sa.ColumnElement[bool]:
    return sa.or_(outbox.c.state == "WAITING", outbox.c.lease_until_ms <= now_ms)


def _lease(connection: Connection, which: sa.ColumnElement[bool], now_ms: int) -> list[Job]:
    rows = connection.execute(
        outbox.update()
        .where(which)
        .values(
            state="LEASED",
            lease_until_ms=now_ms + LEASE_MS,
            fence=outbox.c.fence + 1,
            attempts=outbox.c.attempts + 1,
        )
        .returning(outbox.c.id, outbox.c.kind, outbox.c.subject_id, outbox.c.fence, outbox.c.attempts)
    )
    return [Job(*row) for row in sorted(rows, key=lambda row: row.id.bytes)]


def next_runs(connection: Connection, kind: str, subject_ids: Iterable[UUID]) -> dict[UUID, int]:
    """When each of these subjects gets attention again; those that wait for none are left out."""
    keys = [f"{kind}:{subject_id}" for subject_id in subject_ids]
    query = sa.select(outbox.c.subject_id, outbox.c.run_at_ms).where(outbox.c.job_key.in_(keys))
    return {row.subject_id: row.run_at_ms for row in connection.execute(query)}


def still_held(connection: Connection, job: Job) -> bool:
    """Whether nobody took a leased row over; locked, so that nobody does before the transaction ends."""
    mine = sa.and_(outbox.c.id == job.id, outbox.c.fence == job.fence, outbox.c.state == "LEASED")
    return connection.execute(sa.select(outbox.c.id).where(mine).with_for_update()).first() is not None


def finish(connection: Connection, job: Job, run_again_at_ms: int | None, error: str | None = None) -> bool:
    """Give a leased row back: done and gone, or to run again. False when the lease was lost to another worker."""
    mine = sa.and_(outbox.c.id == job.id, outbox.c.fence == job.fence, outbox.c.state == "LEASED")
    if run_again_at_ms is None:
        return connection.execute(outbox.delete().where(mine)).rowcount == 1
    again = {"state": "WAITING", "run_at_ms": run_again_at_ms, "lease_until_ms": 0}
    given_back = outbox.update().where(mine).values(**again, last_error=error[:500] if error else None)
    return connection.execute(given_back).rowcount == 1
