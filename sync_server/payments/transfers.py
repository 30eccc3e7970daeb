"""Moving money through a provider so that it moves once (money.md §2.2).

A transfer is requested in the transaction that needs it, together with its pending ledger transaction and an outbox
row. Then, each time the outbox calls: one transaction that commits the attempt (or finds the open one), one call to the
provider outside of any transaction, one transaction that applies the answer. A process may die anywhere between: the
attempt stays open, is queried, and if the provider never saw its number is sent again under the same number.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from sync_server import outbox
from sync_server.approvals.approvals import Person
from sync_server.audit import log
from sync_server.bulk import insert_missing
from sync_server.centre import Centre
from sync_server.db import derived_id
from sync_server.errors import NotAllowedError
from sync_server.ledger import book
from sync_server.payments import remitting
from sync_server.payments.applying import apply, has_extra, has_pending, locked, reason_of, set_transfer
from sync_server.payments.provider import Answer, Instruction, NotKnown, Provider, Refused, Unclear, Waiting
from sync_server.payments.states import OPEN, TRANSFER
from sync_server.payments.tables import AT_THE_CASHIER, COMING_BACK, external_transfer, transfer_attempt
from sync_server.people.permissions import Permission, need

JOB = "transfer"
FIRST_RETRY_MS = 5_000
MAX_RETRY_MS = 3_600_000
CALLER_FIRST_MS = 5_000  # a caller that sends by itself has so long before the worker does it
MAX_PER_STEP = 200  # transfers moved on in one turn of the worker
MAX_STEP_MS = 10_000  # none is begun later in a turn: a provider that lets us wait must not hold up lists and issuance


@dataclass(frozen=True)
class Request:
    """A transfer to be made. `subject_key` names its ledger transaction ("payout:<payout>") and is unique.

    A REFUND names the payment that it gives back. From `expires_at_ms` on it is not sent again. Only a FUND_CLOSE may
    have the amount 0, and then no legs.
    """

    kind: str
    subject_key: str
    subject_id: UUID
    provider: str
    party_id: UUID | None
    account_ref: str | None
    amount_fen: int
    title: str
    legs: tuple[book.Leg, ...]
    original_out_no: str | None = None
    expires_at_ms: int | None = None


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
    pending = [book.Txn(each.subject_key, each.legs, now_ms, actor, pending=True) for each in requests if each.legs]
    book.post(connection, [*posted, *pending], now_ms)
    if not requests:
        return {}
    rows = [
        {
            "id": derived_id(each.subject_id, each.subject_key),
            "kind": each.kind,
            "subject_key": each.subject_key,
            "subject_id": each.subject_id,
            "provider": each.provider,
            "party_id": each.party_id,
            "account_ref": each.account_ref,
            "amount_fen": each.amount_fen,
            "title": each.title,
            "original_out_no": each.original_out_no,
            "expires_at_ms": each.expires_at_ms,
            "state": "CREATED",
            "created_at_ms": now_ms,
            "changed_at_ms": now_ms,
        }
        for each in requests
    ]
    insert_missing(connection, external_transfer, rows)
    keys = [each.subject_key for each in requests]
    query = sa.select(external_transfer.c.subject_key, external_transfer.c.id, external_transfer.c.state)
    ids = {}
    for row in connection.execute(query.where(external_transfer.c.subject_key.in_(keys))):
        ids[row.subject_key] = row.id
        if TRANSFER.next(row.state, "send") is not None:
            outbox.promise(connection, JOB, row.id, now_ms + (CALLER_FIRST_MS if caller_sends else 0))
    return ids


def resume(connection: Connection, who: Person, transfer_id: UUID, reason: str, now_ms: int) -> None:
    """A person lets a transfer go again that lacked money or failed, after the account was topped up."""
    need(who, Permission.MONEY_RESUME)
    begin_again(connection, transfer_id, now_ms)
    log.record(connection, now_ms, who.actor, "transfer.resume", str(transfer_id), {"reason": reason})


def begin_again(connection: Connection, transfer_id: UUID, now_ms: int) -> None:
    """Send a transfer anew that lacked money or definitely failed."""
    row = locked(connection, transfer_id)
    state = TRANSFER.next(row.state, "resume")
    if state is None:
        raise NotAllowedError(f"transfer {transfer_id} is {row.state}: only one that failed can be resumed")
    remitting.need_not_asked(connection, transfer_id, now_ms)
    if has_extra(connection, transfer_id):
        raise NotAllowedError(
            f"an attempt of transfer {transfer_id} moved money after it had failed: it would move twice. "
            "Accept that (recon-case accept), or offset what came back (recon-case offset)"
        )
    if _is_over(row, now_ms):
        raise NotAllowedError(f"transfer {transfer_id} is too late: what it pays for was to be paid before")
    set_transfer(connection, transfer_id, now_ms, state=state, reason=None)
    outbox.promise(connection, JOB, transfer_id, now_ms)


def expire(connection: Connection, transfer_id: UUID, at_ms: int) -> None:
    """From this moment on a transfer is not sent again, and what is open of it then is cancelled at the provider."""
    row = locked(connection, transfer_id)
    set_transfer(connection, transfer_id, row.changed_at_ms, expires_at_ms=at_ms)
    if row.state in OPEN:
        outbox.promise(connection, JOB, transfer_id, at_ms)


def abandon(connection: Connection, transfer_id: UUID, reason: str, actor: str, now_ms: int) -> sa.Row[Any]:
    """Give up a transfer of which nothing is under way; its row as it was. The caller minds the guard of the table."""
    row = locked(connection, transfer_id)
    state = TRANSFER.next(row.state, "abandon")
    if state is None:
        raise NotAllowedError(f"transfer {transfer_id} is {row.state}: only one that is not under way can be given up")
    set_transfer(connection, transfer_id, now_ms, state=state, reason=reason[:200])
    if has_pending(row):
        book.resolve(connection, row.subject_key, False, now_ms, actor, now_ms)
    return row


def move_due(centre: Centre, clients: Mapping[str, Provider]) -> int:
    """Worker step: move every transfer on whose time has come, at each provider that we have a client of.

    One at a time, so that no lease outlives its call; and each provider for itself, so that one which lets us wait
    takes nothing of the others' turn. There, what comes back from a fund goes before what may be paid with it.
    """
    done = 0
    for provider in sorted(clients):
        theirs = sa.select(external_transfer.c.id).where(external_transfer.c.provider == provider)
        for some in (theirs.where(external_transfer.c.kind.in_(COMING_BACK)), theirs):
            done += _move_due_among(centre, some, clients[provider])
    return done


def _move_due_among(centre: Centre, theirs: sa.Select[Any], client: Provider) -> int:
    began_ms = centre.now_ms()
    for done in range(MAX_PER_STEP):
        if centre.now_ms() - began_ms >= MAX_STEP_MS:
            return done
        if not centre.finds(outbox.due(JOB, centre.now_ms(), theirs)):
            return done
        with centre.write() as connection:
            jobs = outbox.claim(connection, JOB, centre.now_ms(), limit=1, among=theirs)
        if not jobs:
            return done
        move(centre, client, jobs[0])
    return MAX_PER_STEP


def move_now(centre: Centre, clients: Mapping[str, Provider], transfer_id: UUID) -> None:
    """The same for one transfer at once (a person waits for the cashier's address).

    Nothing if a worker has it, or if there is no client of its provider.
    """
    with centre.write() as connection:
        query = sa.select(external_transfer.c.provider).where(external_transfer.c.id == transfer_id)
        client = clients.get(connection.execute(query).scalar_one())
        job = None if client is None else outbox.claim_one(connection, JOB, transfer_id, centre.now_ms())
    if client is not None and job is not None:
        move(centre, client, job)


def move(centre: Centre, provider: Provider, job: outbox.Job) -> None:
    """Do the next thing a leased transfer needs: send, ask, send again, cancel, or nothing more."""
    with centre.write() as connection:
        now_ms = centre.now_ms()
        row = locked(connection, job.subject_id)
        if row.state == "DEFINITE_FAIL" and remitting.is_asked(connection, row.id, now_ms):
            outbox.finish(connection, job, now_ms + retry_after_ms(job.attempts), "a bank is said to have paid it")
            return
        step = _next_step(connection, row, now_ms)
        if step is None:
            outbox.finish(connection, job, None)
            return
    answer = _call(provider, step)
    with centre.write() as connection:
        now_ms = centre.now_ms()
        state = apply(connection, job.subject_id, step.n, answer, now_ms)
        again_at_ms = _again_at_ms(state, step, now_ms, retry_after_ms(job.attempts))
        outbox.finish(connection, job, again_at_ms, reason_of(answer))


def number_of(transfer_id: UUID, n: int) -> str:
    """Our number at the provider of a transfer's attempt."""
    return f"{transfer_id.hex}-{n}"


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


class _Step(NamedTuple):
    """The attempt to be worked on: a fresh one is sent, an open one asked for; an expired one is cancelled."""

    n: int
    instruction: Instruction
    fresh: bool
    expires_at_ms: int | None
    expired: bool


def _next_step(connection: Connection, row: sa.Row[Any], now_ms: int) -> _Step | None:
    """What is to be done now with a locked transfer; commits a fresh attempt before anything is sent."""
    transfer_id, expired = row.id, _is_over(row, now_ms)
    if row.state in OPEN:
        query = sa.select(transfer_attempt.c.n, transfer_attempt.c.out_no)
        open_one = connection.execute(
            query.where(transfer_attempt.c.transfer_id == transfer_id, transfer_attempt.c.state.in_(OPEN))
        ).one()
        return _Step(open_one.n, _instruction(row, open_one.out_no), False, row.expires_at_ms, expired)
    state = TRANSFER.next(row.state, "send")
    if state is None or expired or has_extra(connection, transfer_id):
        return None
    n = row.attempts + 1
    out_no = number_of(transfer_id, n)
    connection.execute(
        transfer_attempt.insert().values(
            transfer_id=transfer_id,
            n=n,
            out_no=out_no,
            provider=row.provider,
            state=state,
            sent_at_ms=now_ms,
            changed_at_ms=now_ms,
        )
    )
    set_transfer(connection, transfer_id, now_ms, state=state, attempts=n)
    return _Step(n, _instruction(row, out_no), True, row.expires_at_ms, expired)


def _call(provider: Provider, step: _Step) -> Answer:
    """One call to the provider, or two: lost before it arrived, the same number again cannot move money twice."""
    if step.fresh:
        return provider.send(step.instruction)
    answer = provider.query(step.instruction)
    if step.expired and isinstance(answer, NotKnown | Waiting):
        return provider.cancel(step.instruction)
    if not isinstance(answer, NotKnown):
        return answer
    again = provider.send(step.instruction)
    if isinstance(again, Refused) and again.of_request:  # the first may be on its way still
        return Unclear(again.reason)
    return again


def _again_at_ms(state: str, step: _Step, now_ms: int, pause_ms: int) -> int | None:
    """When the transfer wants attention next; None: never by itself. At the cashier nobody does it for them."""
    goes_on = state in OPEN or state == "CREATED"
    if state == "DEFINITE_FAIL":
        goes_on = step.instruction.kind not in AT_THE_CASHIER and not step.expired
    if not goes_on:
        return None
    ends_first = step.expires_at_ms is not None and now_ms < step.expires_at_ms < now_ms + pause_ms
    return step.expires_at_ms if ends_first else now_ms + pause_ms


def _is_over(row: sa.Row[Any], now_ms: int) -> bool:
    return row.expires_at_ms is not None and now_ms >= row.expires_at_ms


def _instruction(row: sa.Row[Any], out_no: str) -> Instruction:
    return Instruction(
        row.kind, out_no, row.account_ref, row.amount_fen, row.title, row.original_out_no, row.expires_at_ms
    )
