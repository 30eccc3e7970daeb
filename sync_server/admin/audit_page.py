"""审计日志: who did what and when, newest first; whether the chain is whole is said by `sync-server check`."""

from __future__ import annotations

from typing import Any

import msgspec
import sqlalchemy as sa
from flask import render_template
from sqlalchemy.engine import Connection

from sync_server.admin import filters
from sync_server.admin.access import page
from sync_server.admin.action_words import ACTION_WORDS
from sync_server.admin.actors import names_of
from sync_server.admin.detail_words import OPERATORS, detail_lines
from sync_server.admin.paging import keyset_page
from sync_server.admin.shown import centre
from sync_server.audit.tables import event_log
from sync_server.people.permissions import Permission
from sync_server.people.tables import operator

HERE = "admin.audit_log"
NAMED = ("operator:", "gate:")  # subjects that have a name to show
MAX_PEOPLE = 20  # accounts of one name


@page("/audit", needs=Permission.AUDIT_VIEW)
def audit_log() -> str:
    with centre().read() as connection:
        arguments = filters.asked("person", "action", "subject", "from", "to", "before", "after")
        query = _chosen(connection, arguments)
        found = keyset_page(connection, query, (event_log.c.day, event_log.c.seq), arguments)
        kept = {(row.day, row.seq): msgspec.json.decode(row.detail) for row in found.rows}
        askers = {f"operator:{one[key]}" for one in kept.values() for key in OPERATORS if key in one}
        actors = names_of(connection, askers | {row.actor for row in found.rows})
        subjects = names_of(connection, (row.subject for row in found.rows if row.subject.startswith(NAMED)))
    details = {place: detail_lines(one, actors) for place, one in kept.items()}
    shown = {
        "page": found,
        "arguments": arguments,
        "actors": actors,
        "subjects": subjects,
        "details": details,
        "actions": ACTION_WORDS,
    }
    return render_template("admin/audit.html", here=HERE, **shown)


def _chosen(connection: Connection, arguments: dict[str, str]) -> sa.Select[Any]:
    query = sa.select(event_log)
    if person := arguments.get("person"):
        known = sa.select(operator.c.id).where(sa.or_(operator.c.account == person.lower(), operator.c.name == person))
        ids = connection.execute(known.limit(MAX_PEOPLE)).scalars()
        query = query.where(event_log.c.actor.in_([f"operator:{one}" for one in ids]))
    if action := filters.one_of(arguments.get("action"), ACTION_WORDS):
        query = query.where(event_log.c.action == action)
    if subject := arguments.get("subject"):
        query = query.where(event_log.c.subject == subject)
    start_ms, end_ms = filters.day_span_ms(arguments)
    if start_ms is not None:
        query = query.where(event_log.c.at_ms >= start_ms)
    if end_ms is not None:
        query = query.where(event_log.c.at_ms < end_ms)
    return query
