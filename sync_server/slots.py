"""Work that belongs to a moment: of all processes one takes a slot, and another one after a lease if that one died.

A slot is the moment (UTC) that a job was due at by its calendar. Only the newest slot of a job is ever taken: after a
standstill a job runs once, and what it missed is its own business.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from sync_server.bulk import insert_missing
from sync_server.db import exclusive, metadata, ms_column, word_column

LEASE_MS = 180_000  # a living process renews it three times in that
PAUSE_MS = 300_000  # after the first failure; doubles
MAX_TRIES = 5
KEPT_MS = 90 * 86_400_000

job_slot = sa.Table(
    "job_slot",
    metadata,
    sa.Column("name", sa.String(64), primary_key=True),
    sa.Column("slot_ms", sa.BigInteger(), primary_key=True, autoincrement=False),
    word_column("state", ("RUNNING", "DONE", "FAILED")),
    sa.Column("worker", sa.String(100), nullable=False),  # who took it last
    sa.Column("tries", sa.Integer(), nullable=False),
    ms_column("started_at_ms"),
    ms_column("free_at_ms"),  # running: when it may be taken over; failed: when it is tried again
    ms_column("finished_at_ms", nullable=True),
    sa.Column("done", sa.BigInteger()),  # what the job counted
    sa.Column("reason", sa.String(500)),  # why it failed last
)


def may_be_taken(connection: Connection, name: str, slot_ms: int, now_ms: int) -> bool:
    """Whether nobody had it, its process died, or it failed a while ago; and no other slot of the job is worked on."""
    query = sa.select(job_slot).where(job_slot.c.name == name, job_slot.c.state != "DONE")
    rows = {row.slot_ms: row for row in connection.execute(query)}
    mine = rows.pop(slot_ms, None)
    if any(row.state == "RUNNING" and row.free_at_ms > now_ms for row in rows.values()):
        return False
    if mine is not None:
        return bool(mine.free_at_ms <= now_ms and mine.tries < MAX_TRIES)
    done = sa.select(job_slot.c.name).where(job_slot.c.name == name, job_slot.c.slot_ms >= slot_ms)
    return connection.execute(done.limit(1)).first() is None


def take(connection: Connection, name: str, slot_ms: int, worker: str, now_ms: int) -> int | None:
    """Take a slot; the number of this try, which is to be given back with it. None: it is not to be had."""
    exclusive(connection, f"slot:{name}")
    if not may_be_taken(connection, name, slot_ms, now_ms):
        return None
    _close_abandoned(connection, name, slot_ms, now_ms)
    first = {"name": name, "slot_ms": slot_ms, "state": "RUNNING", "tries": 0, "worker": worker}
    insert_missing(connection, job_slot, [{**first, "started_at_ms": now_ms, "free_at_ms": now_ms}])
    values = {"state": "RUNNING", "worker": worker, "started_at_ms": now_ms, "free_at_ms": now_ms + LEASE_MS}
    taken = job_slot.update().where(_is(name, slot_ms)).values(**values, tries=job_slot.c.tries + 1)
    tries: int = connection.scalars(taken.returning(job_slot.c.tries)).one()
    return tries


def finish(
    connection: Connection, name: str, slot_ms: int, tries: int, now_ms: int, done: int, reason: str | None = None
) -> bool:
    """Give a slot back: done, or failed for a reason. False when another process has taken it over meanwhile."""
    state, free_at_ms = ("DONE", now_ms) if reason is None else ("FAILED", now_ms + (PAUSE_MS << (tries - 1)))
    values = {"state": state, "free_at_ms": free_at_ms, "finished_at_ms": now_ms, "done": done}
    mine = sa.and_(_is(name, slot_ms), job_slot.c.tries == tries, job_slot.c.state == "RUNNING")
    told = job_slot.update().where(mine).values(**values, reason=reason[:500] if reason else None)
    return connection.execute(told).rowcount == 1


def renew(connection: Connection, worker: str, now_ms: int) -> int:
    """This process lives: nobody takes over what it works on; how many slots that are."""
    mine = sa.and_(job_slot.c.worker == worker, job_slot.c.state == "RUNNING")
    return connection.execute(job_slot.update().where(mine).values(free_at_ms=now_ms + LEASE_MS)).rowcount


def newest(connection: Connection) -> Sequence[sa.Row[Any]]:
    """The newest slot of each job that ever ran, by name."""
    latest = sa.select(job_slot.c.name, sa.func.max(job_slot.c.slot_ms).label("slot_ms")).group_by(job_slot.c.name)
    each = latest.subquery()
    same = sa.and_(each.c.name == job_slot.c.name, each.c.slot_ms == job_slot.c.slot_ms)
    return connection.execute(sa.select(job_slot).join(each, same).order_by(job_slot.c.name)).all()


def failing(connection: Connection) -> Sequence[sa.Row[Any]]:
    """Jobs whose newest slot failed: an operator is to look after them."""
    return [row for row in newest(connection) if row.state == "FAILED"]


def forget_old(connection: Connection, now_ms: int) -> int:
    """Forget what ran long ago; how many slots."""
    return connection.execute(job_slot.delete().where(job_slot.c.started_at_ms < now_ms - KEPT_MS)).rowcount


def _close_abandoned(connection: Connection, name: str, slot_ms: int, now_ms: int) -> None:
    """Older slots whose process died are not taken up again once there is a newer one."""
    left = sa.and_(job_slot.c.name == name, job_slot.c.slot_ms < slot_ms, job_slot.c.state == "RUNNING")
    words = {"state": "FAILED", "finished_at_ms": now_ms, "reason": "its process ended before it was done"}
    connection.execute(job_slot.update().where(left).values(words))


def _is(name: str, slot_ms: int) -> sa.ColumnElement[bool]:
    return sa.and_(job_slot.c.name == name, job_slot.c.slot_ms == slot_ms)
