"""Reconciliation 对账: each line of the provider's statement is a movement of our book, or a case for a person.

What a line tells that we did not know is taken over first (money.md §2.2: the statement is an `ok`); then each line is
judged and booked: the provider's fee as P13, what we cannot explain as P14. A day ends when its statement and the next
day's are in: what the book has beyond them is a case too (I17).
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import fields
from hashlib import sha256
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from sync_server import setbacks
from sync_server.bulk import among
from sync_server.centre import Centre
from sync_server.db import exclusive
from sync_server.parties.tables import PROVIDERS
from sync_server.payments import applying
from sync_server.payments.provider import StatementLine, Succeeded
from sync_server.payments.states import STOPPED
from sync_server.payments.tables import transfer_attempt
from sync_server.reconciliation import movements
from sync_server.reconciliation.case_finding import end_answered_cases, find_cases, match_later
from sync_server.reconciliation.differences import BY_ATTEMPT, NO_FAULT, Difference
from sync_server.reconciliation.matching import FEE, Judged, Movement, match, news
from sync_server.reconciliation.movements import Ours
from sync_server.reconciliation.recon_cases import STEP, NewCase, open_cases
from sync_server.reconciliation.statement_books import book_lines
from sync_server.reconciliation.tables import statement_day, statement_line

MAX_LINES_PER_STEP = 2_000

WITH_MONEY = (
    Difference.FOREIGN,
    Difference.REFUND_WITHOUT_ORIGINAL,
    Difference.REFUND_OUTSIDE,
    Difference.DOUBLE_LINE,
    Difference.FEE_UNEXPECTED,
    Difference.MISSING_HERE,
    Difference.SIGN_WRONG,
    Difference.AMOUNT_OFF,
)
"""Where a line leaves money unexplained, the first of these carries it."""

_FIELDS = tuple(each.name for each in fields(StatementLine))


def reconcile(centre: Centre) -> int:
    """Job: judge what came in and is not judged, end the days that can be ended; how much was done."""
    done = find_cases(centre) + end_answered_cases(centre) + match_later(centre)
    for provider in PROVIDERS:
        if centre.finds(_waiting(provider)):
            done += judge_lines(centre, provider)
        if centre.finds(_endable(provider)):
            done += end_days(centre, provider)
    return done


def judge_lines(centre: Centre, provider: str) -> int:
    """Judge and book the oldest lines that wait; how many were settled."""
    settled = 0
    with centre.write() as connection:
        exclusive(connection, STEP)
        now_ms = centre.now_ms()
        aside = set(setbacks.left_out(connection, STEP, now_ms))
        found = connection.execute(_waiting(provider).limit(MAX_LINES_PER_STEP)).all()

        def act(connection: Connection, rows: Sequence[sa.Row[Any]]) -> None:
            nonlocal settled
            settled += _judge(connection, provider, [_line(row) for row in rows], now_ms)

        rows = [row for row in found if _subject(row) not in aside]
        setbacks.act_on(connection, STEP, rows, _subject, act, now_ms)
    return settled


def end_days(centre: Centre, provider: str) -> int:
    """End the days whose statement and the next day's are judged; how many. What the book has beyond them is a case."""
    with centre.write() as connection:
        exclusive(connection, STEP)
        now_ms = centre.now_ms()
        ended = _within(movements.ended_days(connection, provider))
        days = connection.execute(_endable(provider)).all()
        for day in days:
            ours = movements.without_line(connection, provider, day.from_ms, day.to_ms)
            ours += movements.still_open(connection, provider, day.to_ms)
            lacking = match((), ours, ended).lacking
            cases = [
                NewCase(one.difference, provider, one.movement.out_no, -one.movement.amount_fen * one.movement.booked)
                for one in lacking
            ]
            open_cases(connection, cases, now_ms)
            this = sa.and_(statement_day.c.provider == provider, statement_day.c.day == day.day)
            connection.execute(statement_day.update().where(this).values(ended_at_ms=now_ms))
        return len(days)


def _judge(connection: Connection, provider: str, lines: Sequence[StatementLine], now_ms: int) -> int:
    """All that is to be done with some lines; how many are settled. The others wait for what they are about."""
    found = _ours(connection, provider, lines)
    learnt = dict(_learn(connection, provider, lines, found, now_ms))
    if learnt:
        found = _ours(connection, provider, lines)
    ready = [line for line in lines if not _waits(found.get(line.out_no or ""))]
    ours = [each.movement for each in found.values()]
    judged = match(ready, ours, lambda _at_ms: False, _payments(connection, ready)).judged
    book_lines(connection, provider, judged, found, now_ms)
    cases = [case for one in judged for case in _cases(provider, one, learnt.get(one.line.line_no))]
    open_cases(connection, cases, now_ms)
    done = [one.line.line_no for one in judged]
    mine = sa.and_(statement_line.c.provider == provider, among(connection, statement_line.c.line_no, done))
    connection.execute(statement_line.update().where(mine).values(settled_at_ms=now_ms))
    return len(done)


def _learn(
    connection: Connection, provider: str, lines: Iterable[StatementLine], found: Mapping[str, Ours], now_ms: int
) -> Iterator[tuple[str, Difference]]:
    """Take over what the provider's book knows of our attempts: line -> what it told."""
    for line in lines:
        ours = found.get(line.out_no or "")
        if ours is None or ours.movement.state == "EXTRA" or line.kind == FEE:
            continue
        told, answer = news(ours.movement), _answer(line, ours.movement)
        if told is None or told is Difference.MISSING_HERE or answer is None:
            continue
        applying.apply_notice(connection, provider, ours.movement.out_no, answer, now_ms)
        yield line.line_no, told


def _answer(line: StatementLine, movement: Movement) -> Succeeded | None:
    """What a line says of its attempt; None: nothing that is booked by its word alone.

    Of an attempt that had failed another amount moved as well, and must not move again; of one whose outcome is open
    two persons say what comes of it (`other_amounts`); what went the other way was not paid.
    """
    reference, beyond_fen = line.provider_ref or line.line_no, line.amount_fen - movement.amount_fen
    if not beyond_fen or line.kind == "FUND_CLOSE":
        return Succeeded(reference, abs(movement.amount_fen), beyond_fen)
    if movement.state in STOPPED and (line.amount_fen > 0) == (movement.amount_fen > 0):
        return Succeeded(reference, abs(line.amount_fen))
    return None


def _cases(provider: str, one: Judged, learnt: Difference | None) -> Iterator[NewCase]:
    """One for each difference that a person has to look at; one of them carries the money."""
    differences = [each for each in one.differences if each not in NO_FAULT]
    if learnt is not None and learnt not in NO_FAULT and not BY_ATTEMPT & set(differences):
        differences.insert(0, learnt)
    carrier = next((each for each in WITH_MONEY if each in differences), None) if one.suspense_fen else None
    for each in differences:
        if each not in BY_ATTEMPT:
            carries = each is carrier
            amount_fen = one.suspense_fen if carries else 0
            line_no = one.line.line_no
            yield NewCase(each, provider, f"{provider}:{line_no}", amount_fen, in_suspense=carries, line_no=line_no)


def _waits(ours: Ours | None) -> bool:
    """What came too late for an order is booked with its refund (P18), by another step."""
    if ours is None or ours.movement.state != "EXTRA":
        return False
    return not (ours.movement.booked or ours.movement.denied)


def _ours(connection: Connection, provider: str, lines: Iterable[StatementLine]) -> dict[str, Ours]:
    return movements.by_number(connection, provider, {line.out_no for line in lines if line.out_no is not None})


def _payments(connection: Connection, lines: Iterable[StatementLine]) -> set[str]:
    """Those payments of ours that lines say they give back."""
    originals = {line.original_out_no for line in lines if line.original_out_no is not None}
    if not originals:
        return set()
    return set(connection.scalars(sa.select(transfer_attempt.c.out_no).where(transfer_attempt.c.out_no.in_(originals))))


def _within(days: Sequence[tuple[int, int]]) -> Callable[[int], bool]:
    """Whether a moment lies in one of these days, which are in order."""
    begins = [from_ms for from_ms, _ in days]

    def within(at_ms: int) -> bool:
        place = bisect_right(begins, at_ms) - 1
        return place >= 0 and at_ms < days[place][1]

    return within


def _waiting(provider: str) -> sa.Select[Any]:
    """Lines that nobody judged yet, the oldest first."""
    unsettled = sa.text("statement_line.settled_at_ms IS NULL")  # as ix_statement_line_waiting says
    query = sa.select(statement_line).where(unsettled, statement_line.c.provider == provider)
    return query.order_by(statement_line.c.day, statement_line.c.line_no)


def _endable(provider: str) -> sa.Select[Any]:
    following = statement_day.alias("following")
    unsettled = sa.exists().where(
        statement_line.c.provider == provider,
        statement_line.c.day.in_([statement_day.c.day, following.c.day]),
        sa.text("statement_line.settled_at_ms IS NULL"),
    )
    return (
        sa.select(statement_day)
        .join(
            following,
            sa.and_(following.c.provider == statement_day.c.provider, following.c.from_ms == statement_day.c.to_ms),
        )
        .where(statement_day.c.provider == provider, statement_day.c.ended_at_ms.is_(None))
        .where(~unsettled)
        .order_by(statement_day.c.from_ms)
    )


def _line(row: sa.Row[Any]) -> StatementLine:
    return StatementLine(**{name: getattr(row, name) for name in _FIELDS})


def _subject(row: sa.Row[Any]) -> bytes:
    return sha256(f"{row.provider}:{row.line_no}".encode()).digest()[:16]
