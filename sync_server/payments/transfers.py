"""Moving money through a provider so that it moves once (money.md §2.2).

A transfer is requested in the transaction that needs it, together with its pending ledger transaction and an outbox
row. Then, each time the outbox calls: one transaction that commits the attempt (or finds the open one), one call to the
provider outside of any transaction, one transaction that applies the answer. A process may die anywhere between: the
attempt stays open, is queried, and if the provider never saw its number is sent again under the same number.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from sync_server import outbox
from sync_server.audit import log
from sync_server.centre import Centre
from sync_server.db import derived_id, insert_new
from sync_server.errors import NotAllowedError, NotFoundError
from sync_server.ledger import book
from sync_server.payments.provider import (
    Answer,
    Instruction,
    Insufficient,
    NotKnown,
    Provider,
    Refused,
    Succeeded,
    Unclear,
    Waiting,
)
from sync_server.payments.states import OPEN, next_state
from sync_server.payments.tables import external_transfer, transfer_attempt

JOB = "transfer"
ACTOR = "system:transfers"
FIRST_RETRY_MS = 5_000
MAX_RETRY_MS = 3_600_000
CALLER_FIRST_MS = 5_000  # a caller that sends by itself has so long before the worker does it
MAX_PER_STEP = 200  # transfers moved on in one turn of the worker
MAX_STEP_MS = 10_000  # none is begun later in a turn: a provider that lets us wait must not hold up lists and issuance


@dataclass(frozen=True)
class Request:
    """A transfer to be made. `subject_key` names its ledger transaction ("payout:<payout>") and is unique."""

    kind: str
    subject_key: str
    subject_id: UUID
    party_id: UUID | None
    account_ref: str | None
    amount_fen: int
    title: str
    legs: tuple[book.Leg, ...]


def request(
    connection: Connection,
    requests: Sequence[Request],
    actor: str,
    now_ms: int,
    posted: Sequence[book.Txn] = (),
    caller_sends: bool = False,
) -> dict[str, UUID]:
    """Book the transfers as pending and promise them, in the caller's transaction; their ids by subject key.

    A subject key that has its transfer already keeps it: nothing is requested twice. Its number at the provider follows
    from the key, so that a centre restored from a backup moves nothing again that was moved since. `posted` are
    transactions that belong to the same act: they are written in the same call so that all accounts are locked in one
    order. `caller_sends`: somebody waits for the answer and will call `move_now` after committing.
    """
    pending = [book.Txn(each.subject_key, each.legs, now_ms, actor, pending=True) for each in requests]
    book.post(connection, [*posted, *pending], now_ms)
    if not requests:
        return {}
    rows = [
        {
            "id": derived_id(each.subject_id, each.subject_key),
            "kind": each.kind,
            "subject_key": each.subject_key,
            "subject_id": each.subject_id,
            "party_id": each.party_id,
            "account_ref": each.account_ref,
            "amount_fen": each.amount_fen,
            "title": each.title,
            "state": "CREATED",
            "created_at_ms": now_ms,
            "changed_at_ms": now_ms,
        }
        for each in requests
    ]
    insert_new(external_transfer, ["subject_key"], rows, connection)
    keys = [each.subject_key for each in requests]
    query = sa.select(external_transfer.c.subject_key, external_transfer.c.id, external_transfer.c.state)
    ids = {}
    for row in connection.execute(query.where(external_transfer.c.subject_key.in_(keys))):
        ids[row.subject_key] = row.id
        if row.state == "CREATED":
            outbox.promise(connection, JOB, row.id, now_ms + (CALLER_FIRST_MS if caller_sends else 0))
    return ids


def resume(connection: Connection, transfer_id: UUID, actor: str, reason: str, now_ms: int) -> None:
    """A person lets a transfer that lacked money go again, after the account was topped up."""
    row = _locked(connection, transfer_id)
    state = next_state(row.state, "resume")
    if state is None:
        raise NotAllowedError(f"transfer {transfer_id} is {row.state}: only one that lacked money can be resumed")
    _set_transfer(connection, transfer_id, now_ms, state=state, reason=None)
    log.record(connection, now_ms, actor, "transfer.resume", str(transfer_id), {"reason": reason})
    outbox.promise(connection, JOB, transfer_id, now_ms)


def move_due(centre: Centre, provider: Provider) -> int:
    """Worker step: move every transfer on whose time has come. One at a time, so that no lease outlives its call."""
    began_ms = centre.now_ms()
    for done in range(MAX_PER_STEP):
        if centre.now_ms() - began_ms >= MAX_STEP_MS:
            return done
        if not centre.finds(outbox.due(JOB, centre.now_ms())):
            return done
        with centre.write() as connection:
            jobs = outbox.claim(connection, JOB, centre.now_ms(), limit=1)
        if not jobs:
            return done
        move(centre, provider, jobs[0])
    return MAX_PER_STEP


def move_now(centre: Centre, provider: Provider, transfer_id: UUID) -> None:
    """The same for one transfer at once (a person waits for the cashier's address); nothing if a worker has it."""
    with centre.write() as connection:
        job = outbox.claim_one(connection, JOB, transfer_id, centre.now_ms())
    if job is not None:
        move(centre, provider, job)


def move(centre: Centre, provider: Provider, job: outbox.Job) -> None:
    """Do the next thing a leased transfer needs: send, ask, send again, or nothing more."""
    with centre.write() as connection:
        step = _next_step(connection, job.subject_id, centre.now_ms())
        if step is None:
            outbox.finish(connection, job, None)
            return
    n, instruction, fresh = step
    answer = provider.send(instruction) if fresh else provider.query(instruction.out_no)
    if isinstance(answer, NotKnown):  # lost before it arrived: the same number again cannot move money twice
        answer = provider.send(instruction)
    with centre.write() as connection:
        now_ms = centre.now_ms()
        state = apply(connection, job.subject_id, n, answer, now_ms)
        again = state in {"SENT", "UNKNOWN", "DEFINITE_FAIL", "CREATED"}
        outbox.finish(connection, job, now_ms + retry_after_ms(job.attempts) if again else None, _reason(answer))


def apply(connection: Connection, transfer_id: UUID, n: int, answer: Answer, now_ms: int) -> str:
    """Apply what the provider said about attempt `n`, in the caller's transaction; the transfer's state after it.

    The same answer again changes nothing. An answer that contradicts a final one is written to the event log for a
    person, and changes nothing either: money that moved is never un-moved here.
    """
    row = _locked(connection, transfer_id)
    attempt = connection.execute(
        sa.select(transfer_attempt).where(transfer_attempt.c.transfer_id == transfer_id, transfer_attempt.c.n == n)
    ).one()
    if isinstance(answer, Succeeded) and answer.amount_fen != row.amount_fen:
        _alarm(connection, row, now_ms, f"attempt {n} is said to have moved {answer.amount_fen} fen")
        answer = Unclear(f"the provider names {answer.amount_fen} fen instead of {row.amount_fen}")
    state = next_state(attempt.state, _EVENTS[type(answer)])
    if state is None:
        if isinstance(answer, Succeeded) and attempt.state != "SUCCEEDED":
            _alarm(connection, row, now_ms, f"attempt {n} was {attempt.state} and now succeeded")
        return str(row.state)
    reference = answer.provider_ref if isinstance(answer, Succeeded) else None
    changes: dict[str, Any] = {"state": state, "reason": _reason(answer), "provider_ref": reference}
    if isinstance(answer, Waiting) and answer.pay_url:
        changes["pay_url"] = answer.pay_url
    connection.execute(
        transfer_attempt.update()
        .where(transfer_attempt.c.transfer_id == transfer_id, transfer_attempt.c.n == n)
        .values(**changes, changed_at_ms=now_ms)
    )
    _set_transfer(connection, transfer_id, now_ms, state=state, reason=_reason(answer), provider_ref=reference)
    if state == "SUCCEEDED":
        book.resolve(connection, row.subject_key, True, now_ms, ACTOR, now_ms)
    return state


def apply_notice(connection: Connection, out_no: str, answer: Answer, now_ms: int) -> bool:
    """The same for an answer that came by itself; False when the number is not one of ours."""
    query = sa.select(transfer_attempt.c.transfer_id, transfer_attempt.c.n)
    found = connection.execute(query.where(transfer_attempt.c.out_no == out_no)).one_or_none()
    if found is None:
        return False
    apply(connection, found.transfer_id, found.n, answer, now_ms)
    return True


def retry_after_ms(attempts: int) -> int:
    """The pause after so many tries: 5 s, doubling up to 1 h, without end."""
    return min(FIRST_RETRY_MS << min(attempts - 1, 20), MAX_RETRY_MS)


def pay_url(connection: Connection, transfer_id: UUID) -> str | None:
    """Where a visitor pays an open COLLECT."""
    query = sa.select(transfer_attempt.c.pay_url).where(
        transfer_attempt.c.transfer_id == transfer_id, transfer_attempt.c.state.in_(OPEN)
    )
    found: str | None = connection.scalar(query)
    return found


_EVENTS: dict[type[Answer], str] = {
    Succeeded: "ok",
    Waiting: "waiting",
    Refused: "refused",
    Insufficient: "insufficient",
    NotKnown: "not_known",
    Unclear: "unclear",
}


def _next_step(connection: Connection, transfer_id: UUID, now_ms: int) -> tuple[int, Instruction, bool] | None:
    """The attempt to be worked on and whether it is a fresh one; commits it before anything is sent."""
    row = _locked(connection, transfer_id)
    if row.state in OPEN:
        query = sa.select(transfer_attempt.c.n, transfer_attempt.c.out_no)
        open_one = connection.execute(
            query.where(transfer_attempt.c.transfer_id == transfer_id, transfer_attempt.c.state.in_(OPEN))
        ).one()
        return open_one.n, _instruction(row, open_one.out_no), False
    state = next_state(row.state, "send")
    if state is None:
        return None
    n = row.attempts + 1
    out_no = f"{transfer_id.hex}-{n}"
    connection.execute(
        transfer_attempt.insert().values(
            transfer_id=transfer_id, n=n, out_no=out_no, state=state, sent_at_ms=now_ms, changed_at_ms=now_ms
        )
    )
    _set_transfer(connection, transfer_id, now_ms, state=state, attempts=n)
    return n, _instruction(row, out_no), True


def _instruction(row: sa.Row[Any], out_no: str) -> Instruction:
    return Instruction(row.kind, out_no, row.account_ref, row.amount_fen, row.title)


def _locked(connection: Connection, transfer_id: UUID) -> sa.Row[Any]:
    query = sa.select(external_transfer).where(external_transfer.c.id == transfer_id).with_for_update()
    row = connection.execute(query).one_or_none()
    if row is None:
        raise NotFoundError(f"no transfer has the id {transfer_id}")
    return row


def _set_transfer(connection: Connection, transfer_id: UUID, now_ms: int, **changes: Any) -> None:
    connection.execute(
        external_transfer.update().where(external_transfer.c.id == transfer_id).values(**changes, changed_at_ms=now_ms)
    )


def _reason(answer: Answer) -> str | None:
    reason = getattr(answer, "reason", None)
    return reason[:200] if reason else None


def _alarm(connection: Connection, row: sa.Row[Any], now_ms: int, what: str) -> None:
    log.record(connection, now_ms, ACTOR, "transfer.contradiction", str(row.id), {"what": what})
