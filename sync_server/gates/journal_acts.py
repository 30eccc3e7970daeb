"""What two persons decide of a journal: that nobody waits for it any more, or that a frozen one may be settled."""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from sync_server.approvals import approvals
from sync_server.approvals.approvals import Act, Person
from sync_server.audit.log import record
from sync_server.errors import NotAllowedError, NotFoundError
from sync_server.gates.journals import NOT_BEGUN
from sync_server.gates.tables import device, incarnation
from sync_server.gates.watermarks import RETIRED_WAITS_MS, Standing, silent, standing_of, watermark_of
from sync_server.money import yuan
from sync_server.people.permissions import Permission

RETIRE = Act("journal.retire", Permission.JOURNALS_RETIRE)
UNFREEZE = Act("journal.unfreeze", Permission.JOURNALS_UNFREEZE)
ACTS = {act.name: act for act in (RETIRE, UNFREEZE)}

# What stands against an act, by how the journal stands; what is not here may be done.
AGAINST_RETIRING = {
    Standing.CLOSED: "it was closed, and nobody waits for it",
    Standing.RETIRING: "two persons retired it already",
    Standing.RETIRED: "two persons retired it already",
}


def ask(
    connection: Connection, who: Person, act: Act, device_id: bytes, incarnation_id: bytes, reason: str, now_ms: int
) -> UUID:
    """Ask for an act on a journal; the id of the request, which another person confirms.

    NOT_BEGUN may be retired for a gate that never spoke.
    """
    _check(act, _journal(connection, device_id, incarnation_id), now_ms)
    return approvals.request(connection, who, act, _subject(device_id, incarnation_id), reason, now_ms)


def confirm(connection: Connection, who: Person, approval_id: UUID, now_ms: int) -> str:
    """Confirm another person's request and carry it out at once; the subject of what was done."""
    act = _act(connection, approval_id)
    agreed = approvals.confirm(connection, who, act, approval_id, now_ms)
    _, device_hex, incarnation_hex = agreed.subject.split(":")
    row = _journal(connection, bytes.fromhex(device_hex), bytes.fromhex(incarnation_hex))
    _check(act, row, now_ms)
    DOING[act.name](connection, row, now_ms)
    detail = {"reason": agreed.reason, "asked_by": str(agreed.requested_by)}
    record(connection, now_ms, who.actor, act.name, agreed.subject, detail)
    return agreed.subject


def in_words(connection: Connection, asked: approvals.Request, now_ms: int) -> str:
    """What is done once another person confirms."""
    _, device_hex, incarnation_hex = asked.subject.split(":")
    one = watermark_of(connection, bytes.fromhex(device_hex), bytes.fromhex(incarnation_hex), now_ms)
    if one is None:
        return "nothing: the gate is active no more, or has begun a journal since"
    journal = f"journal {incarnation_hex[:8]} of" if incarnation_hex else "whatever was never sent by"
    named = f"{journal} the gate {one.gate} ({device_hex[:8]}) at venue {one.venue}"
    if asked.act == UNFREEZE.name:
        return f"settled again: {named}, frozen because: {one.frozen_cause}"
    waits = f"{yuan(one.waiting_fen)} yuan of {one.waiting_items} ended tickets wait for it now"
    return f"after {RETIRED_WAITS_MS // 3_600_000} hours nobody waits any more for {named}; {waits}"


def journal_named(connection: Connection, device_id: bytes, text: str) -> bytes:
    """The journal of a gate whose incarnation in hex begins with `text`; unclear or unknown ones are refused."""
    wanted = text.lower().strip()
    mine = sa.select(incarnation.c.incarnation).where(incarnation.c.device_id == device_id)
    found = [one for one in connection.scalars(mine) if one.hex().startswith(wanted)]
    if not wanted or not found:
        raise NotFoundError(f"this gate has no journal whose name begins with {text!r}: see sync-server gate journals")
    if len(found) > 1:
        raise NotAllowedError(f"{len(found)} journals of this gate begin with {text!r}: give more of it")
    name: bytes = found[0]
    return name


def _retire(connection: Connection, row: Row[tuple[object, ...]], now_ms: int) -> None:
    """What waits for it goes on after RETIRED_WAITS_MS; what comes of it later is counted as it then can be."""
    if row.incarnation == NOT_BEGUN:
        connection.execute(device.update().where(device.c.id == row.device_id).values(retired_at_ms=now_ms))
    else:
        connection.execute(incarnation.update().where(_is(row)).values(retired_at_ms=now_ms))


def _unfreeze(connection: Connection, row: Row[tuple[object, ...]], _now_ms: int) -> None:
    """Settlement takes it up again; that another journal followed it does not freeze it once more."""
    connection.execute(incarnation.update().where(_is(row)).values(frozen_cause=None, frozen_at_ms=None))
    followers = sa.and_(incarnation.c.device_id == row.device_id, incarnation.c.supersedes == row.incarnation)
    connection.execute(incarnation.update().where(followers).values(supersedes_seq=None))


DOING: dict[str, Callable[[Connection, Row[tuple[object, ...]], int], None]] = {
    RETIRE.name: _retire,
    UNFREEZE.name: _unfreeze,
}


def _check(act: Act, row: Row[tuple[object, ...]], now_ms: int) -> None:
    if act is RETIRE and (against := AGAINST_RETIRING.get(standing_of(row, now_ms))) is not None:
        raise NotAllowedError(f"this journal cannot be retired: {against}")
    if act is UNFREEZE and row.frozen_cause is None:
        raise NotAllowedError("this journal is not frozen")


def _journal(connection: Connection, device_id: bytes, incarnation_id: bytes) -> Row[tuple[object, ...]]:
    if incarnation_id == NOT_BEGUN:
        return _silent(connection, device_id)
    mine = sa.and_(incarnation.c.device_id == device_id, incarnation.c.incarnation == incarnation_id)
    row = connection.execute(sa.select(incarnation).where(mine).with_for_update()).one_or_none()
    if row is None:
        raise NotFoundError(f"the gate {device_id.hex()} has no journal {incarnation_id.hex()}")
    return row


def _silent(connection: Connection, device_id: bytes) -> Row[tuple[object, ...]]:
    connection.execute(sa.select(device.c.id).where(device.c.id == device_id).with_for_update())  # it may speak now
    row = connection.execute(silent().where(device.c.id == device_id)).one_or_none()
    if row is None:
        raise NotAllowedError(f"the gate {device_id.hex()} is not active, or has sent a journal: name that")
    return row


def _act(connection: Connection, approval_id: UUID) -> Act:
    name = approvals.find(connection, approval_id).act
    if name not in ACTS:
        raise NotAllowedError(f"the request {approval_id} is for {name}, which is no act on a journal")
    return ACTS[name]


def _subject(device_id: bytes, incarnation_id: bytes) -> str:
    return f"journal:{device_id.hex()}:{incarnation_id.hex()}"


def _is(row: Row[tuple[object, ...]]) -> sa.ColumnElement[bool]:
    return sa.and_(incarnation.c.device_id == row.device_id, incarnation.c.incarnation == row.incarnation)
