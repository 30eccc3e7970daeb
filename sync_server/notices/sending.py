"""What a worker commits before and after it calls a sender: a message's way through its states, keyed by its id.

A process may die anywhere between: the message stays SENDING, the gateway is asked for it, and only if it does not have
it is it sent again.
"""

from __future__ import annotations

import json
from typing import Any, NamedTuple
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from sync_server.crypto import Secrets, unseal
from sync_server.notices.kinds import KINDS
from sync_server.notices.sender import Answer, Sender, Sms
from sync_server.notices.states import MESSAGE
from sync_server.notices.tables import message, message_setting

FIRST_PAUSE_MS = 10_000
MAX_PAUSE_MS = 3_600_000
ASK_AFTER_MS = 60_000  # a gateway lists what it took only after a while
DELIVERY_MS = 72 * 3_600_000  # networks report until then


class Call(NamedTuple):
    """What to say to the sender: send this, or ask for it."""

    sms: Sms
    fresh: bool


def begin(connection: Connection, secrets: Secrets, sender: Sender, message_id: UUID, now_ms: int) -> Call | None:
    """What a message needs now, committed before the call; None: nothing more."""
    row = connection.execute(sa.select(message).where(message.c.id == message_id).with_for_update()).one()
    setting = connection.execute(sa.select(message_setting).where(message_setting.c.kind == row.kind)).one_or_none()
    if row.state == "WAITING" and setting is not None and not setting.enabled:
        _move(connection, row, Answer("switched_off", "messages of this kind are switched off"), now_ms)
        return None
    if row.state in ("WAITING", "SENDING") and now_ms >= row.useless_at_ms:
        given_up = Answer("given_up", row.reason) if row.state == "SENDING" else Answer("too_old", row.reason)
        _move(connection, row, given_up, now_ms)
        return None
    try:
        phone = unseal(secrets, "message.phone", message_id.bytes, row.phone_sealed)
        variables = values_of(secrets, row)
    except ValueError as error:
        _move(connection, row, Answer("unreadable", str(error)), now_ms)
        return None
    fresh = row.state == "WAITING"
    tried_at_ms = now_ms if fresh else row.tried_at_ms
    if fresh:
        _move(connection, row, Answer("send"), now_ms)
        tried = {"tries": row.tries + 1, "tried_at_ms": tried_at_ms, "sender": sender.name}
        connection.execute(message.update().where(message.c.id == message_id).values(tried))
    elif row.state == "SENT" and now_ms >= tried_at_ms + DELIVERY_MS:
        return None
    elif row.sender != sender.name or row.state not in ("SENDING", "SENT"):
        _move(connection, row, Answer("given_up", f"it went by {row.sender}, which is not set up any more"), now_ms)
        return None
    sms = Sms(
        id=message_id,
        kind=row.kind,
        template_code=None if setting is None else setting.template_code,
        tried_at_ms=tried_at_ms,
        phone=phone,
        variables=variables,
        ref=row.sender_ref,
    )
    return Call(sms, fresh)


def apply(connection: Connection, message_id: UUID, answer: Answer, now_ms: int) -> str:
    """Apply what the sender said, in the caller's transaction; the state after it. The same again changes nothing."""
    row = connection.execute(sa.select(message).where(message.c.id == message_id).with_for_update()).one()
    return _move(connection, row, answer, now_ms)


def again_at_ms(state: str, tries: int, tells_delivery: bool, now_ms: int) -> int | None:
    """When a message wants attention next; None: never by itself."""
    pause_ms = min(FIRST_PAUSE_MS << min(tries - 1, 20), MAX_PAUSE_MS)
    if state == "WAITING":
        return now_ms + pause_ms
    if state == "SENDING" or (state == "SENT" and tells_delivery):
        return now_ms + max(pause_ms, ASK_AFTER_MS)
    return None


def values_of(secrets: Secrets, row: sa.Row[Any]) -> dict[str, str]:
    """The variables of a message."""
    values: dict[str, str] = json.loads(unseal(secrets, "message.variables", row.id.bytes, row.variables_sealed))
    return values


def text_of(secrets: Secrets, row: sa.Row[Any]) -> str:
    """What a message says. The caller minds who may read it."""
    return KINDS[row.kind].rendered(values_of(secrets, row))


def _move(connection: Connection, row: sa.Row[Any], answer: Answer, now_ms: int) -> str:
    state = MESSAGE.next(row.state, answer.event)
    if state is None:
        return str(row.state)
    values = {"state": state, "changed_at_ms": now_ms, "reason": answer.reason[:200] if answer.reason else None}
    if answer.ref is not None:
        values["sender_ref"] = answer.ref[:64]
    connection.execute(message.update().where(message.c.id == row.id).values(values))
    return state
