"""Cases of reconciliation 对账差异: opened by what differs, given to somebody, and settled with their reason.

What a case says is unexplained is in suspense (1310), or is a movement of our book that the provider does not have.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from sync_server.approvals import approvals
from sync_server.approvals.approvals import Act, Person
from sync_server.audit.log import record
from sync_server.bulk import insert_missing
from sync_server.db import MAX_BIND_VALUES, batches, exclusive, new_id
from sync_server.errors import NotAllowedError, NotFoundError
from sync_server.ledger import book
from sync_server.ledger.accounts import CHART, Account
from sync_server.money import yuan
from sync_server.notices.promising import Promise, promise
from sync_server.payments import transfers
from sync_server.payments.providers import CLEARING
from sync_server.payments.states import FINAL
from sync_server.payments.states import OPEN as UNDER_WAY
from sync_server.payments.tables import external_transfer, transfer_attempt
from sync_server.payments.telling import PROVIDER_NAMES
from sync_server.people.permissions import Permission, need
from sync_server.people.tables import operator
from sync_server.reconciliation.case_states import CASE, OPEN
from sync_server.reconciliation.differences import BY_ATTEMPT, NOBODYS, OF_AMOUNT, WORDS, Difference
from sync_server.reconciliation.matching import PAID_IN
from sync_server.reconciliation.tables import recon_case, statement_line
from sync_server.settlement import venue_debts
from sync_server.settlement.owed_again import next_command
from sync_server.settlement.tables import payout

STEP = "settlement.reconcile"
"""The steps read cases unlocked: one of them at a time, or one person."""
SUSPENSE = Account("1310")
FEES = Account("5010")
WRITE_OFF = Act("recon_case.write_off", Permission.RECON_WRITE_OFF)
WRITE_OFF_TO = ("5090", "5010", "1030")
"""A loss (or a gain), a fee of the provider's, a transfer between the platform's own accounts."""
VENUE_OWES = "1220"
"""Of a payout made twice: its venue owes it, and its next payouts keep it back."""
GIVEN_BACK = "REFUND"
"""Of a payment made twice, or too late: it goes back to who paid, through its provider."""
NO_MOVEMENT = "CLEARING"
"""What a line told twice is written off to: the provider's account itself, which moved once."""
MAX_NOTE_CHARACTERS = 500


class NewCase(NamedTuple):
    """A difference somebody has to look at; see `recon_tables.recon_case`. `note`: what it can tell by itself."""

    difference: Difference
    provider: str
    subject: str
    amount_fen: int = 0
    in_suspense: bool = False
    line_no: str | None = None
    note: str | None = None


def open_cases(connection: Connection, cases: Sequence[NewCase], now_ms: int) -> int:
    """Open those that are not known yet, and promise to tell of them; how many were new."""
    rows = [
        {**case._asdict(), "id": new_id(now_ms), "state": "OPEN", "opened_at_ms": now_ms, "changed_at_ms": now_ms}
        for case in cases
    ]
    new = insert_missing(connection, recon_case, rows)
    if new:
        promise(connection, now_ms, *_promises(connection, [row["id"] for row in rows]))
    return new


def assign(connection: Connection, who: Person, case_id: UUID, account: str, now_ms: int) -> None:
    """Give a case to a colleague, by account."""
    row = locked_case(connection, who, case_id, "assign")
    mine = sa.select(operator.c.party_id).where(operator.c.id == who.id).scalar_subquery()
    found = sa.select(operator.c.id).where(operator.c.party_id == mine, operator.c.account == account)
    owner_id = connection.scalar(found.where(operator.c.state == "ACTIVE"))
    if owner_id is None:
        raise NotFoundError(f"nobody of your organisation has the account {account!r}")
    _change(connection, row, "assign", now_ms, owner_id=owner_id)
    record(connection, now_ms, who.actor, "recon_case.assign", f"recon_case:{row.id.hex}", {"owner": account})


def explain(connection: Connection, who: Person, case_id: UUID, note: str, now_ms: int) -> None:
    """Close a case in which no money is unexplained, or one of a changed line: the book is right."""
    row = locked_case(connection, who, case_id, "explain")
    if row.amount_fen and row.difference != Difference.LINE_CHANGED:
        raise NotAllowedError(f"{row.amount_fen} fen of this case are unexplained: write them off, or offset them")
    settle(connection, who, row, "explain", "EXPLAINED", note, now_ms)


def offset(connection: Connection, who: Person, case_id: UUID, other_id: UUID, note: str, now_ms: int) -> Sequence[str]:
    """Close two cases that explain each other: what came too much went back, and 1310 is even.

    What had moved under an attempt that was given up came back so: its transfer may be made again, by the commands that
    this answers with.
    """
    first, second = (locked_case(connection, who, each, "offset") for each in sorted((case_id, other_id)))
    if first.id == second.id or not (first.in_suspense and second.in_suspense):
        raise NotAllowedError("two cases whose money is in suspense are needed")
    _need_known(connection, first)
    _need_known(connection, second)
    if first.amount_fen + second.amount_fen:
        raise NotAllowedError(f"{first.amount_fen} and {second.amount_fen} fen are not each other's opposite")
    both = {first.difference, second.difference}
    if both & BY_ATTEMPT and not both & NOBODYS:
        raise NotAllowedError(
            "both moved for a transfer of ours: neither is what came back of the other; that is a line of nobody's"
        )
    for row, other in ((first, second), (second, first)):
        settle(connection, who, row, "offset", "OFFSET", note, now_ms, offset_by=other.id)
    moved = [row.subject for row in (first, second) if row.difference in BY_ATTEMPT]
    _return(connection, moved, now_ms)
    return owed_again(connection, moved)


def _return(connection: Connection, numbers: Sequence[str], now_ms: int) -> None:
    """What moved beside these transfers is settled: it holds up nothing of theirs any more."""
    mine = transfer_attempt.update().where(transfer_attempt.c.out_no.in_(numbers), transfer_attempt.c.state == "EXTRA")
    connection.execute(mine.values(state="RETURNED", changed_at_ms=now_ms))


def owed_again(connection: Connection, numbers: Sequence[str]) -> Sequence[str]:
    """The commands that make again what had moved under these numbers, and came back; none once it is made."""
    theirs = sa.select(transfer_attempt.c.transfer_id).where(transfer_attempt.c.out_no.in_(numbers))
    found = [next_command(connection, transfer_id) for transfer_id in connection.scalars(theirs).all()]
    return [command for command in found if command is not None]


def ask_write_off(connection: Connection, who: Person, case_id: UUID, to: str, reason: str, now_ms: int) -> UUID:
    """Ask that what is unexplained is booked against an account; the id of the request, which another one confirms."""
    row = locked_case(connection, who, case_id, "write_off")
    _check_write_off(connection, row, to)
    return approvals.request(connection, who, WRITE_OFF, f"recon_case:{row.id.hex}:{to}", reason, now_ms)


def confirm_write_off(connection: Connection, who: Person, approval_id: UUID, now_ms: int) -> UUID:
    """Confirm another person's request and book it; the case."""
    agreed = approvals.confirm(connection, who, WRITE_OFF, approval_id, now_ms)
    _, case_hex, to = agreed.subject.split(":")
    row = locked_case(connection, who, UUID(hex=case_hex), "write_off")
    _check_write_off(connection, row, to)
    against = _written_off_to(connection, row, to)
    sides = book.legs((_held(row), row.amount_fen), (against, -row.amount_fen))
    booked = book.Txn(f"case:{row.id.hex}", sides, now_ms, who.actor)
    wanted = [_refund(connection, row, against)] if to == GIVEN_BACK else []
    transfers.request(connection, wanted, who.actor, now_ms, posted=[booked])
    if to == VENUE_OWES and against.owner is not None:
        venue_debts.owe(connection, against.owner, row.id, -row.amount_fen, now_ms)
    settle(connection, who, row, "write_off", "WRITTEN_OFF", agreed.reason, now_ms)
    if to in WRITE_OFF_TO and row.difference in BY_ATTEMPT:
        _return(connection, [row.subject], now_ms)
    return row.id  # type: ignore[no-any-return]


def in_words(connection: Connection, asked: approvals.Request, _now_ms: int) -> str:
    """What is done once another person confirms."""
    _, case_hex, to = asked.subject.split(":")
    row = connection.execute(sa.select(recon_case).where(recon_case.c.id == UUID(hex=case_hex))).one()
    sides = [f"{one.code} {CHART[one.code].english}" for one in (_held(row), _written_off_to(connection, row, to))]
    debit, credit = sides if row.amount_fen > 0 else reversed(sides)
    said = f"{row.difference} at {row.provider}, {row.subject}: {WORDS[Difference(row.difference)].english}"
    keeps = ", and the venue's next payouts are so much less" if to == VENUE_OWES else ""
    keeps = ", and its provider gives it back to who paid" if to == GIVEN_BACK else keeps
    again = to in WRITE_OFF_TO and row.difference in BY_ATTEMPT
    keeps = ", and its transfer, if nothing else paid it, may be made again" if again else keeps
    return f"{yuan(abs(row.amount_fen))} yuan are booked, debit {debit}, credit {credit}{keeps} ({said})"


def book_fee(connection: Connection, row: sa.Row[Any], fee_fen: int, actor: str, now_ms: int) -> None:
    """What came back less than had left, by a line of this case, its bank kept for it (5010)."""
    if sides := book.legs((FEES, fee_fen), (SUSPENSE, -fee_fen)):
        book.post(connection, [book.Txn(f"case:{row.id.hex}:fee", sides, now_ms, actor)], now_ms)


def explained(connection: Connection, row: sa.Row[Any], left_fen: int, now_ms: int) -> None:
    """What a case was about was found: nothing of it is left, or so much."""
    if left_fen:
        connection.execute(
            recon_case.update().where(recon_case.c.id == row.id).values(amount_fen=left_fen, changed_at_ms=now_ms)
        )
    else:
        _change(connection, row, "match", now_ms, settled_as="MATCHED", amount_fen=0)


def outdated(connection: Connection, row: sa.Row[Any], now_ms: int) -> None:
    """What a case was about is no longer said."""
    note = f"{row.note}; later the provider said something else"[-MAX_NOTE_CHARACTERS:]
    _change(connection, row, "match", now_ms, settled_as="MATCHED", amount_fen=0, note=note)


def _held(row: sa.Row[Any]) -> Account:
    """Where what is unexplained stands."""
    return SUSPENSE if row.in_suspense else CLEARING[row.provider]


def _written_off_to(connection: Connection, row: sa.Row[Any], to: str) -> Account:
    if to == NO_MOVEMENT:
        return CLEARING[row.provider]
    if to == GIVEN_BACK and (paid := _payment(connection, row)) is not None:
        return Account("2320", row.id) if paid.party_id is None else Account("2310", paid.party_id)
    return Account(to, _venue_paid(connection, row)) if to == VENUE_OWES else Account(to)


def _venue_paid(connection: Connection, row: sa.Row[Any]) -> UUID | None:
    """Whose payout a case's money was beside another one; None: no payout's, or it may be the payout's own."""
    mine = payout.join(external_transfer, external_transfer.c.id == payout.c.transfer_id).join(transfer_attempt)
    of_line = sa.and_(statement_line.c.provider == row.provider, statement_line.c.line_no == row.line_no)
    number = sa.select(statement_line.c.out_no).where(of_line).scalar_subquery()
    if row.difference in BY_ATTEMPT:
        beside = sa.or_(external_transfer.c.state == "SUCCEEDED", payout.c.state == "REPLACED")
        moved = sa.and_(transfer_attempt.c.out_no == row.subject, beside)
    elif row.difference == Difference.MISSING_HERE:  # two persons had said that it never moved (undoing)
        moved = sa.and_(transfer_attempt.c.out_no == number, transfer_attempt.c.state == "REVERSED")
    else:
        return None
    return connection.scalar(sa.select(payout.c.venue_id).select_from(mine).where(moved))


def _payment(connection: Connection, row: sa.Row[Any]) -> sa.Row[Any] | None:
    """The payment that a case's money is beside, with its attempt's number; None: it may be waited for, or is none."""
    query = (
        sa.select(external_transfer, transfer_attempt.c.out_no)
        .join(transfer_attempt, transfer_attempt.c.transfer_id == external_transfer.c.id)
        .where(transfer_attempt.c.out_no == row.subject, transfer_attempt.c.state == "EXTRA")
        .where(transfer_attempt.c.provider == external_transfer.c.provider)
        .where(external_transfer.c.kind.in_(PAID_IN), external_transfer.c.state.in_(FINAL))
    )
    return connection.execute(query).one_or_none() if row.difference in BY_ATTEMPT else None


def _refund(connection: Connection, row: sa.Row[Any], owed: Account) -> transfers.Request:
    """P8 of a payment that nothing is for. Its subject is the case: the order may have refunds of its own."""
    paid = _payment(connection, row)
    assert paid is not None, "the write-off was checked before"
    return transfers.Request(
        kind="REFUND",
        subject_key=f"refund:case:{row.id.hex}",
        subject_id=row.id,
        provider=row.provider,
        party_id=paid.party_id,
        account_ref=paid.account_ref,
        amount_fen=row.amount_fen,
        title=f"{paid.title} 多付退款",
        legs=book.legs((owed, row.amount_fen), (CLEARING[row.provider], -row.amount_fen)),
        original_out_no=paid.out_no,
    )


def _promises(connection: Connection, ids: Sequence[UUID]) -> Iterator[Promise]:
    """Of those of these cases that were opened; many of one difference at a provider are told together."""
    columns = [recon_case.c[name] for name in ("id", "difference", "provider", "subject", "amount_fen", "note")]
    for some in batches(ids, MAX_BIND_VALUES):
        for row in connection.execute(sa.select(*columns).where(recon_case.c.id.in_(some))):
            key, cause = f"recon_case:{row.id.hex}", f"{row.difference}:{row.provider}"
            if row.difference == Difference.NO_STATEMENT:
                day = row.subject.partition(":")[2]
                words = {"provider": PROVIDER_NAMES[row.provider], "day": day, "reason": row.note}
                yield Promise("no_statement", key, words, cause=cause)
                continue
            words = {
                "difference": WORDS[Difference(row.difference)].chinese,
                "provider": PROVIDER_NAMES[row.provider],
                "amount": yuan(row.amount_fen),
            }
            yield Promise("recon_case", key, words, cause=cause)


def _check_write_off(connection: Connection, row: sa.Row[Any], to: str) -> None:
    if not row.amount_fen:
        raise NotAllowedError("no money of this case is unexplained: explain it")
    _need_known(connection, row)
    if to == NO_MOVEMENT:
        if row.difference != Difference.DOUBLE_LINE or not row.in_suspense:
            raise NotAllowedError("only a line that was told twice may be no movement of the provider's account")
    elif to == VENUE_OWES:
        if row.amount_fen > 0 or _venue_paid(connection, row) is None:
            raise NotAllowedError("only a venue owes, and only what a payout moved beside the one that counts")
    elif to == GIVEN_BACK:
        if not row.in_suspense or row.amount_fen <= 0 or _payment(connection, row) is None:
            raise NotAllowedError("only a payment that came beside one that counts, or after its time, is given back")
    elif to not in WRITE_OFF_TO:
        raise NotAllowedError(f"account {to} is not one of {', '.join((*WRITE_OFF_TO, VENUE_OWES, GIVEN_BACK))}")


def _need_known(connection: Connection, row: sa.Row[Any]) -> None:
    """NotAllowedError: its line is of an attempt whose outcome is open, and would be so for ever."""
    of_line = sa.and_(statement_line.c.provider == row.provider, statement_line.c.line_no == row.line_no)
    open_one = (
        sa.select(transfer_attempt.c.transfer_id)
        .join(statement_line, statement_line.c.out_no == transfer_attempt.c.out_no)
        .where(of_line, transfer_attempt.c.state.in_(UNDER_WAY))
    )
    if row.difference in OF_AMOUNT and (transfer_id := connection.scalar(open_one)) is not None:
        raise NotAllowedError(f"say first what became of transfer {transfer_id}: recon-case other-amount {row.id}")


def settle(
    connection: Connection,
    who: Person,
    row: sa.Row[Any],
    event: str,
    settled_as: str,
    note: str,
    now_ms: int,
    **more: Any,
) -> None:
    """End a locked case by an event of its machine, with what was found out."""
    text = note.strip()
    if not 0 < len(text) <= MAX_NOTE_CHARACTERS:
        raise NotAllowedError(f"a case is settled with a note of 1 to {MAX_NOTE_CHARACTERS} characters")
    _change(connection, row, event, now_ms, settled_as=settled_as, note=text, **more)
    detail = {"as": settled_as, "note": text, "amount_fen": row.amount_fen, "told": row.note}
    record(connection, now_ms, who.actor, "recon_case.resolve", f"recon_case:{row.id.hex}", detail)


def _change(connection: Connection, row: sa.Row[Any], event: str, now_ms: int, **values: Any) -> None:
    state = CASE.next(row.state, event)
    assert state is not None, "the case was looked at before"
    connection.execute(
        recon_case.update().where(recon_case.c.id == row.id).values(state=state, changed_at_ms=now_ms, **values)
    )


def locked_case(connection: Connection, who: Person, case_id: UUID, event: str) -> sa.Row[Any]:
    """The case, if this person may do this to it; no step works on cases until the transaction ends."""
    need(who, Permission.RECON_WORK)
    exclusive(connection, STEP)
    row = connection.execute(sa.select(recon_case).where(recon_case.c.id == case_id).with_for_update()).one_or_none()
    if row is None:
        raise NotFoundError(f"there is no case {case_id}")
    if row.state not in OPEN or CASE.next(row.state, event) is None:
        raise NotAllowedError(f"case {case_id} is {row.state}: {event.replace('_', ' ')} is not possible")
    return row
