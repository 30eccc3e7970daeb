"""A message to one recipient is written: at once, or held back where the same was told just now and counted later."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from sync_server import outbox
from sync_server.crypto import Secrets, seal, unseal
from sync_server.db import new_id
from sync_server.notices.kinds import KINDS, tidy_values
from sync_server.notices.phones import keep_phone, normal_phone
from sync_server.notices.states import MESSAGE
from sync_server.notices.tables import message

JOB = "message"
MAX_SUMMARIES = 200  # in one turn
SUMMARY = "summary"
HELD = "the same was told just now"


def write(
    connection: Connection,
    secrets: Secrets,
    kind: str,
    phone: str,
    variables: Mapping[str, object],
    now_ms: int,
    *,
    cause: str,
    notice_id: UUID | None = None,
    again_id: UUID | None = None,
) -> UUID:
    """Write a message and promise that it is sent, in the caller's transaction, which is alone in `notices`; its id.

    One that a person has sent again (`again_id`) is never held back. ValueError: no phone number, or not the
    template's variables.
    """
    message_id, number = new_id(now_ms), normal_phone(phone)
    kept = keep_phone(secrets, "message.phone", message_id, number)
    told_at_ms = None if again_id else _told_at_ms(connection, kind, kept.blind, cause, now_ms)
    state: str | None = next(iter(MESSAGE.words))
    if told_at_ms is not None:
        state = MESSAGE.next("WAITING", "hold")
    values = json.dumps(tidy_values(kind, variables), ensure_ascii=False)
    row = {
        "id": message_id,
        "notice_id": notice_id,
        "again_id": again_id,
        "kind": kind,
        "cause": cause,
        "phone_sealed": kept.sealed,
        "phone_index": kept.blind,
        "phone_masked": kept.masked,
        "variables_sealed": seal(secrets, "message.variables", message_id.bytes, values),
        "state": state,
        "reason": None if told_at_ms is None else HELD,
        "written_at_ms": now_ms,
        "useless_at_ms": now_ms + KINDS[kind].useless_after_ms,
        "changed_at_ms": now_ms,
        "held_until_ms": None if told_at_ms is None else told_at_ms + KINDS[kind].quiet_ms,
    }
    connection.execute(message.insert().values(row))
    if told_at_ms is None:
        outbox.promise(connection, JOB, message_id, now_ms)
    return message_id


def summaries_due(now_ms: int) -> sa.Select[Any]:
    """Recipients, kinds and causes of which something was held back, and whose half hour is over."""
    held = message.c
    group = (held.kind, held.cause, held.phone_index)
    waiting = sa.text("message.held_until_ms IS NOT NULL")  # in the index's own words
    return (
        sa.select(*group, sa.func.count().label("number"))
        .where(held.held_until_ms <= now_ms, waiting)
        .group_by(*group)
        .order_by(sa.func.min(held.held_until_ms))
    )


def write_summaries(connection: Connection, secrets: Secrets, now_ms: int) -> int:
    """Tell how many were held back, in the caller's transaction, which is alone in `notices`; how many summaries."""
    groups = connection.execute(summaries_due(now_ms).limit(MAX_SUMMARIES)).all()
    for group in groups:
        mine = sa.and_(*(message.c[name] == group._mapping[name] for name in ("kind", "cause", "phone_index")))
        held = sa.and_(mine, message.c.held_until_ms.is_not(None))
        any_one = connection.execute(sa.select(message.c.id, message.c.phone_sealed).where(held).limit(1)).one()
        phone = unseal(secrets, "message.phone", any_one.id.bytes, any_one.phone_sealed)
        values = {"about": KINDS[group.kind].zh, "count": group.number}
        cause = _summary_cause(group.kind, group.cause)
        summary_id = write(connection, secrets, SUMMARY, phone, values, now_ms, cause=cause)
        connection.execute(message.update().where(held).values(held_until_ms=None, summary_id=summary_id))
    return len(groups)


def _told_at_ms(connection: Connection, kind: str, phone_index: bytes, cause: str, now_ms: int) -> int | None:
    """When the recipient was last told of the same, if that was just now."""
    if (quiet_ms := KINDS[kind].quiet_ms) == 0:
        return None
    same = sa.or_(
        sa.and_(message.c.kind == kind, message.c.cause == cause, message.c.state != "SUPPRESSED"),
        sa.and_(message.c.kind == SUMMARY, message.c.cause == _summary_cause(kind, cause)),
    )
    newest = sa.select(sa.func.max(message.c.written_at_ms)).where(
        message.c.phone_index == phone_index, message.c.written_at_ms > now_ms - quiet_ms, same
    )
    told_at_ms: int | None = connection.scalar(newest)
    return told_at_ms


def _summary_cause(kind: str, cause: str) -> str:
    return f"{kind} {cause}"
