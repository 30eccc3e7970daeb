"""What people do about messages: send one again, change a kind's settings; and what the centre forgets of them."""

from __future__ import annotations

import re
from typing import Any, NamedTuple
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from sync_server import outbox
from sync_server.audit import log
from sync_server.bulk import insert_missing
from sync_server.crypto import Secrets, unseal
from sync_server.errors import NotAllowedError, NotFoundError
from sync_server.notices.kinds import KINDS, To
from sync_server.notices.sending import values_of
from sync_server.notices.tables import message, message_setting, notice
from sync_server.notices.writing import JOB, write

KEPT_MS = 180 * 86_400_000
MAX_FORGOTTEN = 1_000  # in one turn
_TEMPLATE_CODE = re.compile(r"[A-Za-z0-9_]{1,64}")


class Setting(NamedTuple):
    """How messages of a kind go out; `roles` only where operators of the platform are told."""

    kind: str
    enabled: bool
    template_code: str | None
    roles: tuple[str, ...]


def resend(connection: Connection, secrets: Secrets, message_id: UUID, reason: str, actor: str, now_ms: int) -> UUID:
    """Write the same message to the same recipient again, whatever became of the first; the new one's id."""
    row = connection.execute(sa.select(message).where(message.c.id == message_id)).one_or_none()
    if row is None:
        raise NotFoundError(f"no message has the id {message_id}")
    if row.state in ("WAITING", "SENDING"):
        raise NotAllowedError(f"message {message_id} is {row.state}: it is still being sent")
    if KINDS[row.kind].secret:
        raise NotAllowedError(f"message {message_id} is a {KINDS[row.kind].en}: whoever wants one asks for a new one")
    phone = unseal(secrets, "message.phone", message_id.bytes, row.phone_sealed)
    values = values_of(secrets, row)
    again_id = write(connection, secrets, row.kind, phone, values, now_ms, cause=row.cause, again_id=message_id)
    detail = {"kind": row.kind, "phone": row.phone_masked, "again": str(again_id), "reason": reason}
    log.record(connection, now_ms, actor, "message.resend", f"message:{message_id}", detail)
    return again_id


def settings_of(connection: Connection) -> dict[str, Setting]:
    """The settings in force, by kind."""
    changed = {row.kind: row for row in connection.execute(sa.select(message_setting))}
    made = {}
    for name, kind in KINDS.items():
        row = changed.get(name)
        roles = kind.roles if row is None or row.roles is None else tuple(row.roles.split())
        made[name] = Setting(name, row is None or row.enabled, None if row is None else row.template_code, roles)
    return made


def change_setting(
    connection: Connection,
    kind: str,
    actor: str,
    now_ms: int,
    *,
    enabled: bool | None = None,
    template_code: str | None = None,
    roles: tuple[str, ...] | None = None,
) -> Setting:
    """Change what is named; ValueError for a template code or roles that cannot be."""
    if template_code is not None and not _TEMPLATE_CODE.fullmatch(template_code):
        raise ValueError(f"the template code {template_code!r} has other signs than letters, digits and _")
    if roles is not None and (KINDS[kind].to is not To.ROLES or not roles):
        raise ValueError(f"messages {kind} go to {KINDS[kind].to}: " + ("name a role" if not roles else "not to roles"))
    named: dict[str, Any] = {
        "enabled": enabled,
        "template_code": template_code,
        "roles": None if roles is None else " ".join(roles),
    }
    changes = {name: value for name, value in named.items() if value is not None}
    stamp = {"changed_at_ms": now_ms, "changed_by": actor}
    insert_missing(connection, message_setting, [{"kind": kind, **stamp}])
    connection.execute(message_setting.update().where(message_setting.c.kind == kind).values(**changes, **stamp))
    log.record(connection, now_ms, actor, "message.setting", f"message:{kind}", changes)
    return settings_of(connection)[kind]


def unheard(connection: Connection, since_ms: int) -> dict[str, int]:
    """How many notices of each kind found nobody to be told, since a moment."""
    nobody = sa.text("notice.recipients = 0")  # in the index's own words
    query = sa.select(notice.c.kind, sa.func.count().label("number")).where(
        nobody, notice.c.addressed_at_ms >= since_ms
    )
    return {row.kind: row.number for row in connection.execute(query.group_by(notice.c.kind))}


def forget_old(connection: Connection, now_ms: int) -> int:
    """Forget messages, and the notices they came of, of long ago; how many."""
    old = sa.select(message.c.id).where(message.c.written_at_ms < now_ms - KEPT_MS)
    ids = connection.scalars(old.order_by(message.c.written_at_ms).limit(MAX_FORGOTTEN)).all()
    connection.execute(outbox.outbox.delete().where(outbox.outbox.c.job_key.in_([f"{JOB}:{one}" for one in ids])))
    connection.execute(message.delete().where(message.c.id.in_(ids)))
    long_ago = sa.select(notice.c.id).where(notice.c.addressed_at_ms < now_ms - KEPT_MS).limit(MAX_FORGOTTEN)
    notices = connection.execute(notice.delete().where(notice.c.id.in_(long_ago))).rowcount
    return len(ids) + notices
