"""What an answer of the provider does to the attempt it is about, to its transfer and to the book (money.md §2.2).

Answers come back from a call, in a notice, or in a statement: all go the same way, the same one again does nothing.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from sync_server.audit import log
from sync_server.errors import NotFoundError
from sync_server.ledger import book
from sync_server.ledger.accounts import Account
from sync_server.money import MAX_FEN, yuan
from sync_server.payments.provider import Answer, Insufficient, NotKnown, Refused, Succeeded, Unclear, Waiting
from sync_server.payments.providers import CLEARING
from sync_server.payments.states import OPEN, STOPPED, TRANSFER
from sync_server.payments.tables import (
    AT_THE_CASHIER,
    COMING_IN,
    MAX_REFERENCE_CHARACTERS,
    external_transfer,
    pays_an_order,
    transfer_attempt,
)
from sync_server.payments.telling import tell, tell_odd

ACTOR = "system:transfers"
MAX_REASON_CHARACTERS = 200

_EVENTS: dict[type[Answer], str] = {
    Succeeded: "ok",
    Waiting: "waiting",
    Refused: "refused",
    Insufficient: "insufficient",
    NotKnown: "not_known",
    Unclear: "unclear",
}


def apply(connection: Connection, transfer_id: UUID, n: int, answer: Answer, now_ms: int) -> str:
    """Apply what the provider said about attempt `n`, in the caller's transaction; the transfer's state after it.

    The same answer again changes nothing. Money that moved is never un-moved here: a success that nobody expected any
    more ends the transfer where nothing else is under way, else it is booked as suspense; both are an alarm. Another
    amount is what it was only in suspense, and where nothing else is to be learnt of the attempt.
    """
    row, answer = locked(connection, transfer_id), _kept(answer)
    attempt = connection.execute(sa.select(transfer_attempt).where(_is_attempt(transfer_id, n))).one()
    if isinstance(answer, Succeeded) and not _is_ours(row, answer):
        said = f"{answer.amount_fen} fen" + (f" and {answer.yield_fen} fen of yield" if answer.yield_fen else "")
        _alarm(connection, row, now_ms, f"attempt {n} is said to have moved {said}")
        tell_odd(connection, row, n, f"通道称实际金额{yuan(answer.amount_fen + answer.yield_fen)}元", now_ms)
        if attempt.state in STOPPED and 0 < _moved_fen(row, answer) <= MAX_FEN:
            return _moved_beside(connection, row, attempt, answer, now_ms)
        answer = Unclear(f"the provider names {said} instead of {row.amount_fen}")
    if row.kind == "SWEEP_IN" and isinstance(answer, Refused | Insufficient):
        answer = Unclear(answer.reason)  # the money left for this number, and arrives under no other
    if row.kind in AT_THE_CASHIER and isinstance(answer, Insufficient):
        answer = Refused(answer.reason)  # whoever pays there begins anew: nobody of ours tops their account up
    state = TRANSFER.next(attempt.state, _EVENTS[type(answer)]) if attempt.state in OPEN else None
    if state is None:
        if isinstance(answer, Succeeded) and attempt.state in STOPPED:
            return _succeeded_late(connection, row, attempt, answer, now_ms)
        return str(row.state)
    reference = answer.provider_ref if isinstance(answer, Succeeded) else None
    changes: dict[str, Any] = {"state": state, "reason": reason_of(answer), "provider_ref": reference}
    if isinstance(answer, Waiting) and answer.pay_url:
        changes["pay_url"] = answer.pay_url
    _set_attempt(connection, transfer_id, n, now_ms, **changes)
    set_transfer(connection, transfer_id, now_ms, state=state, reason=reason_of(answer), provider_ref=reference)
    if isinstance(answer, Succeeded):
        _book(connection, row, answer, now_ms)
    tell(connection, row, state, reason_of(answer), now_ms)
    return state


def apply_notice(connection: Connection, provider: str, out_no: str, answer: Answer, now_ms: int) -> bool:
    """The same for an answer that came by itself; False when the number is not one of ours at this provider."""
    query = (
        sa.select(transfer_attempt.c.transfer_id, transfer_attempt.c.n)
        .join(external_transfer, external_transfer.c.id == transfer_attempt.c.transfer_id)
        .where(transfer_attempt.c.out_no == out_no, external_transfer.c.provider == provider)
    )
    found = connection.execute(query).one_or_none()
    if found is None:
        return False
    apply(connection, found.transfer_id, found.n, answer, now_ms)
    return True


def locked(connection: Connection, transfer_id: UUID) -> sa.Row[Any]:
    """The transfer, which nobody else changes until the transaction ends."""
    query = sa.select(external_transfer).where(external_transfer.c.id == transfer_id).with_for_update()
    row = connection.execute(query).one_or_none()
    if row is None:
        raise NotFoundError(f"no transfer has the id {transfer_id}")
    return row


def set_transfer(connection: Connection, transfer_id: UUID, now_ms: int, **changes: Any) -> None:
    """Write these columns of it."""
    connection.execute(
        external_transfer.update().where(external_transfer.c.id == transfer_id).values(**changes, changed_at_ms=now_ms)
    )


def has_pending(row: sa.Row[Any]) -> bool:
    """Whether the book announces the transfer: a fund is closed also when only its yield is left in it."""
    return bool(row.amount_fen > 0)


def has_extra(connection: Connection, transfer_id: UUID) -> bool:
    """Whether money moved under an attempt that was given up, and stayed: another one would move it twice."""
    extra = sa.text("transfer_attempt.state = 'EXTRA'")  # as ix_transfer_attempt_extra says
    found = sa.select(transfer_attempt.c.n).where(transfer_attempt.c.transfer_id == transfer_id, extra)
    return connection.scalar(found.limit(1)) is not None


def yielded(came_to: Account, yield_fen: int) -> tuple[book.Leg, ...]:
    """P9: what a fund that was closed brought beyond its principal, or lost of it."""
    return book.legs((came_to, yield_fen), (Account("4040" if yield_fen > 0 else "5030"), -yield_fen))


def book_on(
    connection: Connection, row: sa.Row[Any], account: Account, beyond: tuple[book.Leg, ...], actor: str, now_ms: int
) -> None:
    """What was announced happened, on this account instead of the provider's; where it is void it is written anew."""
    clearing, key = CLEARING[row.provider], row.subject_key
    if has_pending(row) and row.state != "VOID":
        came_fen = row.amount_fen if row.kind in COMING_IN else -row.amount_fen
        instead = book.legs((clearing, -came_fen), (account, came_fen))
        book.resolve(connection, key, True, now_ms, actor, now_ms, (*instead, *beyond))
    else:
        planned = book.announced(connection, key)  # nothing, of a fund in which only its yield was left
        sides = [(account if leg.account == clearing else leg.account, leg.amount_fen) for leg in (*planned, *beyond)]
        book.post(connection, [book.Txn(key, book.legs(*sides), now_ms, actor)], now_ms)


def reason_of(answer: Answer) -> str | None:
    """Why it is not done, cut to what the tables keep."""
    reason = getattr(answer, "reason", None)
    return cut_word(reason, MAX_REASON_CHARACTERS) if reason else None


def _kept(answer: Answer) -> Answer:
    """With as much of the provider's number as the tables keep: that it moved is known, however long the number is."""
    if isinstance(answer, Succeeded):
        return replace(answer, provider_ref=cut_word(answer.provider_ref, MAX_REFERENCE_CHARACTERS))
    return answer


def cut_word(text: str, most: int) -> str:
    """Words from outside may hold what no database takes."""
    return text.replace("\0", "")[:most]


def _is_ours(row: sa.Row[Any], answer: Succeeded) -> bool:
    """Whether that much was to be moved; what a fund yields, only the provider knows."""
    yields = answer.yield_fen == 0 or (row.kind == "FUND_CLOSE" and answer.yield_fen >= -row.amount_fen)
    return answer.amount_fen == row.amount_fen and yields


def _book(connection: Connection, row: sa.Row[Any], answer: Succeeded, now_ms: int) -> None:
    """What was announced happened; a fund that was closed brings its yield, or its loss, besides."""
    besides = yielded(CLEARING[row.provider], answer.yield_fen)
    if has_pending(row):
        book.resolve(connection, row.subject_key, True, now_ms, ACTOR, now_ms, besides)
    elif besides:
        book.post(connection, [book.Txn(row.subject_key, besides, now_ms, ACTOR)], now_ms)
    if answer.yield_fen:
        set_transfer(connection, row.id, now_ms, yield_fen=answer.yield_fen)


def _succeeded_late(
    connection: Connection, row: sa.Row[Any], attempt: sa.Row[Any], answer: Succeeded, now_ms: int
) -> str:
    """An attempt that was given up succeeded: the transfer with it where nothing is under way, else it is one too many.

    The first that comes in for an order that was closed is left to `orders.closing`, which gives it back (P18).
    """
    reference = answer.provider_ref
    if TRANSFER.next(row.state, "late_ok") is not None:
        _set_attempt(connection, row.id, attempt.n, now_ms, state="SUCCEEDED", provider_ref=reference)
        set_transfer(connection, row.id, now_ms, state="SUCCEEDED", reason=None, provider_ref=reference)
        _book(connection, row, answer, now_ms)
        _alarm(connection, row, now_ms, f"attempt {attempt.n} was {attempt.state} and now succeeded")
        tell_odd(connection, row, attempt.n, "通道先称失败，后称成功，已入账", now_ms)
        return "SUCCEEDED"
    of_order = pays_an_order(row.kind, row.subject_key)
    if row.state == "VOID" and of_order and not has_extra(connection, row.id):
        _set_attempt(connection, row.id, attempt.n, now_ms, state="EXTRA", provider_ref=reference)
        return "VOID"
    return _moved_beside(connection, row, attempt, answer, now_ms)


def _moved_beside(
    connection: Connection, row: sa.Row[Any], attempt: sa.Row[Any], answer: Succeeded, now_ms: int
) -> str:
    """P14: money moved that no transfer is for, on the clearing account that the transfer uses."""
    _set_attempt(connection, row.id, attempt.n, now_ms, state="EXTRA", provider_ref=answer.provider_ref)
    fen = _moved_fen(row, answer) * (1 if row.kind in COMING_IN else -1)
    if sides := book.legs((CLEARING[row.provider], fen), (Account("1310"), -fen)):
        book.post(connection, [book.Txn(f"double:{attempt.out_no}", sides, now_ms, ACTOR)], now_ms)
    detail = {"attempt": attempt.out_no, "amount_fen": answer.amount_fen}
    log.record(connection, now_ms, ACTOR, "transfer.double_paid", str(row.id), detail)
    tell_odd(connection, row, attempt.n, "已撤销或已完成后又动账，已挂账待查", now_ms)
    return str(row.state)


def _moved_fen(row: sa.Row[Any], answer: Succeeded) -> int:
    """What the clearing account moved, in the transfer's direction."""
    return answer.amount_fen + (answer.yield_fen if row.kind in COMING_IN else 0)


def _is_attempt(transfer_id: UUID, n: int) -> sa.ColumnElement[bool]:
    return sa.and_(transfer_attempt.c.transfer_id == transfer_id, transfer_attempt.c.n == n)


def _set_attempt(connection: Connection, transfer_id: UUID, n: int, now_ms: int, **changes: Any) -> None:
    mine = transfer_attempt.update().where(_is_attempt(transfer_id, n))
    connection.execute(mine.values(**changes, changed_at_ms=now_ms))


def _alarm(connection: Connection, row: sa.Row[Any], now_ms: int, what: str) -> None:
    log.record(connection, now_ms, ACTOR, "transfer.contradiction", str(row.id), {"what": what})
