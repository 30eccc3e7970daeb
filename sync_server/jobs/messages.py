"""Worker steps: whom a notice is for, a message to each of them, summaries of what was held back, and the sending."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import partial
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from sync_server import outbox, setbacks
from sync_server.centre import Centre
from sync_server.crypto import unseal
from sync_server.db import exclusive
from sync_server.notices import acts, sending, writing
from sync_server.notices.aliyun import Aliyun, read_key
from sync_server.notices.kinds import KINDS, To
from sync_server.notices.sender import Outbox, Sender
from sync_server.notices.tables import notice
from sync_server.orders.tables import order
from sync_server.parties.contacts import phone_of
from sync_server.people.reaching import phones_of_roles

ALONE = "notices"
STEP = "messages.address"
MAX_NOTICES = 200  # addressed in one turn
MAX_SENT = 100  # messages sent or asked for in one turn
MAX_STEP_MS = 10_000  # none is begun later in a turn: a slow gateway must not hold up the rest


def sender_of(centre: Centre) -> Sender:
    """The sender that the settings name; what it lacks is a ConfigurationError."""
    settings = centre.settings
    if settings.sms_sender == "outbox" or settings.sms_key_file is None:
        return Outbox()
    return Aliyun(settings.sms_url, read_key(settings.sms_key_file), settings.sms_sign_name, centre.now_ms)


def address_notices(centre: Centre) -> int:
    """Write a message to everyone whom a notice is for; how many notices."""
    waiting = sa.text("notice.addressed_at_ms IS NULL")  # in the index's own words
    query = sa.select(notice).where(waiting).order_by(notice.c.id)
    if not centre.finds(query):
        return 0
    with centre.write() as connection:
        exclusive(connection, ALONE)
        now_ms = centre.now_ms()
        tried = notice.c.id.not_in([UUID(bytes=one) for one in setbacks.left_out(connection, STEP, now_ms)])
        found = connection.execute(query.where(tried).limit(MAX_NOTICES)).all()
        act = partial(_address, centre)
        return setbacks.act_on(connection, STEP, found, lambda row: bytes(row.id.bytes), act, now_ms)


def summarise(centre: Centre) -> int:
    """Tell how many messages were held back, once their half hour is over; how many summaries."""
    if not centre.finds(writing.summaries_due(centre.now_ms())):
        return 0
    with centre.write() as connection:
        exclusive(connection, ALONE)
        return writing.write_summaries(connection, centre.secrets, centre.now_ms())


def send_messages(centre: Centre, sender: Sender | None = None) -> int:
    """Send what waits, and ask for what is on its way; how many calls."""
    began_ms = centre.now_ms()
    if not centre.finds(outbox.due(writing.JOB, began_ms)):
        return 0
    used = sender_of(centre) if sender is None else sender
    try:
        for done in range(MAX_SENT):
            if centre.now_ms() - began_ms >= MAX_STEP_MS or not _send_one(centre, used):
                return done
        return MAX_SENT
    finally:
        if sender is None:
            used.close()


def forget_old_messages(centre: Centre) -> int:
    """What `notices.acts.KEPT_MS` says; how many."""
    with centre.write() as connection:
        return acts.forget_old(connection, centre.now_ms())


def _address(centre: Centre, connection: Connection, rows: Sequence[sa.Row[Any]]) -> None:
    settings = acts.settings_of(connection)
    for row in rows:
        phones = _phones(centre, connection, row, settings[row.kind].roles)
        for phone in phones:
            values = json.loads(row.variables)
            writing.write(
                connection, centre.secrets, row.kind, phone, values, centre.now_ms(), cause=row.cause, notice_id=row.id
            )
        addressed = notice.update().where(notice.c.id == row.id)
        connection.execute(addressed.values(addressed_at_ms=centre.now_ms(), recipients=len(phones)))


def _phones(centre: Centre, connection: Connection, row: sa.Row[Any], roles: Sequence[str]) -> list[str]:
    """Whom a notice is for, nobody twice."""
    match KINDS[row.kind].to:
        case To.ROLES:
            return phones_of_roles(connection, centre.secrets, roles)
        case To.PARTY:
            found = phone_of(connection, centre.secrets, row.about_id)
        case To.BUYER:
            sealed = connection.scalar(sa.select(order.c.buyer_phone_sealed).where(order.c.id == row.about_id))
            found = None
            if sealed is not None:
                found = unseal(centre.secrets, "order.buyer_phone", row.about_id.bytes, sealed)
        case To.PHONE:
            raise AssertionError(f"{row.kind} is written to a number at once, never promised")
    return [] if found is None else [found]


def _send_one(centre: Centre, sender: Sender) -> bool:
    """Commit what is to be said about a leased message, say it outside of any transaction, commit the answer."""
    if not centre.finds(outbox.due(writing.JOB, centre.now_ms())):
        return False
    with centre.write() as connection:
        jobs = outbox.claim(connection, writing.JOB, centre.now_ms(), limit=1)
        if not jobs:
            return False
        (job,) = jobs
        call = sending.begin(connection, centre.secrets, sender, job.subject_id, centre.now_ms())
        if call is None:
            outbox.finish(connection, job, None)
            return True
    answer = sender.send(call.sms) if call.fresh else sender.ask(call.sms)
    with centre.write() as connection:
        now_ms = centre.now_ms()
        if not outbox.still_held(connection, job):
            return True  # another worker has it: what this one was told it finds out by asking
        state = sending.apply(connection, job.subject_id, answer, now_ms)
        again_at_ms = sending.again_at_ms(state, job.attempts, sender.tells_delivery, now_ms)
        outbox.finish(connection, job, again_at_ms, answer.reason)
    return True
