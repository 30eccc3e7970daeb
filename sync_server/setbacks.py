"""Work that failed although it should not have: put aside with its reason, so that it holds up nothing behind it.

A worker step takes a batch in one go; where that fails it takes each half, down to the row that fails: that one waits
for a while. What fails for an hour is told (`jobs.long_setbacks`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import sqlalchemy as sa
import structlog
from sqlalchemy.engine import Connection

from sync_server.bulk import among, insert_missing
from sync_server.db import metadata, ms_column

FIRST_PAUSE_MS = 60_000
MAX_PAUSE_MS = 3_600_000
MAX_LEFT_OUT = 10_000
"""Of one step, those that wait longest yet; more are tried again early."""

setback = sa.Table(
    "setback",
    metadata,
    sa.Column("step", sa.String(64), primary_key=True),
    sa.Column("subject", sa.LargeBinary(16), primary_key=True),  # the id of the row that could not be worked on
    sa.Column("reason", sa.String(500), nullable=False),
    sa.Column("times", sa.Integer(), nullable=False),
    ms_column("first_at_ms"),
    ms_column("again_at_ms"),
    ms_column("told_at_ms", nullable=True),  # when somebody was promised to hear of it
)

Act = Callable[[Connection, Sequence[sa.Row[Any]]], None]

MAX_LISTED = 1_000
NO_MORE_TRIED_MS = 24 * MAX_PAUSE_MS
"""What a step did not try again for so long it does not find any more: somebody ended it otherwise."""

_log = structlog.get_logger("setbacks")


class Setback(NamedTuple):
    """What waits, since when and until when; `subject` is the row's id in hex."""

    step: str
    subject: str
    reason: str
    times: int
    first_at_ms: int
    again_at_ms: int


def listed(connection: Connection) -> list[Setback]:
    """What is put aside, the oldest first."""
    query = sa.select(setback).order_by(setback.c.first_at_ms, setback.c.step, setback.c.subject).limit(MAX_LISTED)
    return [_setback(row) for row in connection.execute(query)]


def of(connection: Connection, step: str, subject: bytes) -> Setback | None:
    """What a step put aside of a row, if it did."""
    mine = sa.and_(setback.c.step == step, setback.c.subject == subject)
    row = connection.execute(sa.select(setback).where(mine)).one_or_none()
    return None if row is None else _setback(row)


def untold(connection: Connection, since_ms: int, now_ms: int, limit: int) -> list[Setback]:
    """What has failed since this moment or longer, is tried on, and nobody was told of; the oldest first."""
    query = sa.select(setback).where(setback.c.first_at_ms <= since_ms, setback.c.told_at_ms.is_(None))
    tried = query.where(setback.c.again_at_ms > now_ms - MAX_PAUSE_MS)
    return [_setback(row) for row in connection.execute(tried.order_by(setback.c.first_at_ms).limit(limit))]


def note_told(connection: Connection, told: Sequence[Setback], now_ms: int) -> None:
    """Somebody hears of these."""
    for one in told:
        mine = sa.and_(setback.c.step == one.step, setback.c.subject == bytes.fromhex(one.subject))
        connection.execute(setback.update().where(mine).values(told_at_ms=now_ms))


def left_out(connection: Connection, step: str, now_ms: int) -> list[bytes]:
    """The ids of what a step shall not find now."""
    waiting = sa.select(setback.c.subject).where(setback.c.step == step, setback.c.again_at_ms > now_ms)
    return list(connection.scalars(waiting.order_by(setback.c.again_at_ms.desc()).limit(MAX_LEFT_OUT)))


def act_on(
    connection: Connection,
    step: str,
    rows: Sequence[sa.Row[Any]],
    subject: Callable[[sa.Row[Any]], bytes],
    act: Act,
    now_ms: int,
) -> int:
    """Do `act` on all rows or, where that fails, on each half, in the caller's transaction; how many were done."""
    if not rows:
        return 0
    try:
        with connection.begin_nested():
            act(connection, rows)
    except Exception as error:  # one of them is bad: which one is found below, and it is told there
        if len(rows) == 1:
            put_aside(connection, step, subject(rows[0]), error, now_ms)
            return 0
        halves = rows[: len(rows) // 2], rows[len(rows) // 2 :]
        return sum(act_on(connection, step, half, subject, act, now_ms) for half in halves)
    forget(connection, step, [subject(row) for row in rows])
    return len(rows)


def forget(connection: Connection, step: str, subjects: Sequence[bytes]) -> None:
    """These are done, or ended otherwise."""
    mine = setback.c.step == step
    if connection.scalar(sa.select(setback.c.step).where(mine).limit(1)) is not None:  # seldom, and naming all costs
        connection.execute(setback.delete().where(mine, among(connection, setback.c.subject, subjects)))


def forget_ended(connection: Connection, now_ms: int) -> int:
    """Forget what no step finds any more; how many rows."""
    return connection.execute(setback.delete().where(setback.c.again_at_ms < now_ms - NO_MORE_TRIED_MS)).rowcount


def put_aside(connection: Connection, step: str, subject: bytes, error: Exception, now_ms: int) -> None:
    """Note that a row failed; it is left out for a while, longer with each time."""
    _log.error("put aside", step=step, subject=subject.hex(), exc_info=error)
    key = {"step": step, "subject": subject}
    new = {**key, "reason": "", "times": 0, "first_at_ms": now_ms, "again_at_ms": now_ms}
    insert_missing(connection, setback, [new])
    mine = sa.and_(setback.c.step == step, setback.c.subject == subject)
    times = connection.scalars(sa.select(setback.c.times).where(mine)).one() + 1
    pause_ms = min(FIRST_PAUSE_MS << min(times - 1, 20), MAX_PAUSE_MS)
    reason = f"{type(error).__name__}: {error}"[:500]
    connection.execute(setback.update().where(mine).values(reason=reason, times=times, again_at_ms=now_ms + pause_ms))


def _setback(row: sa.Row[Any]) -> Setback:
    return Setback(row.step, row.subject.hex(), row.reason, row.times, row.first_at_ms, row.again_at_ms)
