"""The pure matcher: over good books it is silent, and each planted fault is told by its own name and no other."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sync_server.payments.provider import StatementLine
from sync_server.reconciliation.differences import NO_FAULT, WORDS, Difference
from sync_server.reconciliation.matching import DAY_MS, Movement, Outcome, match

NOON_MS = 1_790_000_000_000
MIDNIGHT_MS = NOON_MS - NOON_MS % DAY_MS + DAY_MS - 8 * 3_600_000
KINDS = {"CHARGE": 1, "COLLECT": 1, "TOP_UP": 1, "PAYOUT": -1, "REFUND": -1}


def movement(out_no: str = "a-1", **but: Any) -> Movement:
    """A charge of 5231 fen that succeeded, asked for and known at noon."""
    good = Movement(
        out_no, "CHARGE", 5231, "SUCCEEDED", True, NOON_MS, NOON_MS, agreed_fee_fen=31, account_ref="distributor"
    )
    return good._replace(**but)


def line_of(one: Movement, **but: Any) -> StatementLine:
    """What the provider says of a movement when all is well."""
    line = StatementLine(
        f"L-{one.out_no}",
        one.out_no,
        one.kind,
        one.amount_fen,
        one.agreed_fee_fen or 0,
        one.sent_at_ms,
        one.account_ref,
    )
    return replace(line, **but)


def never(_at_ms: int) -> bool:
    return False


def always(_at_ms: int) -> bool:
    return True


@dataclass(frozen=True)
class Books:
    """What we have and what the provider says, with one thing wrong."""

    movements: list[Movement]
    lines: list[StatementLine]
    suspense_fen: int = 0
    payments: frozenset[str] = frozenset()

    def judged(self) -> Outcome:
        return match(self.lines, self.movements, always, self.payments)


A = movement()
PLANTED: dict[Difference, Callable[[], Books]] = {
    Difference.FOREIGN: lambda: Books([A], [line_of(A), line_of(A, line_no="X", out_no="theirs")], 5231),
    Difference.REFUND_WITHOUT_ORIGINAL: lambda: Books(
        [A], [line_of(A), StatementLine("X", "r", "REFUND", -100, 0, NOON_MS, original_out_no="never-paid")], -100
    ),
    Difference.REFUND_OUTSIDE: lambda: Books(
        [], [StatementLine("X", "r", "REFUND", -100, 0, NOON_MS, original_out_no="a-1")], -100, frozenset({"a-1"})
    ),
    Difference.DOUBLE_LINE: lambda: Books([A], [line_of(A), line_of(A, line_no="X")], 5231),
    Difference.PAID_UNKNOWN: lambda: Books([movement(state="UNKNOWN", booked=False)], [line_of(A)], 5231),
    Difference.PAID_AFTER_FAILURE: lambda: Books([movement(state="DEFINITE_FAIL", booked=False)], [line_of(A)], 5231),
    Difference.PAID_AFTER_VOID: lambda: Books(
        [movement(kind="PAYOUT", amount_fen=-100, agreed_fee_fen=0, state="INSUFFICIENT", booked=False, void=True)],
        [StatementLine("X", "a-1", "PAYOUT", -100, 0, NOON_MS)],
        -100,
    ),
    Difference.PAID_LATE: lambda: Books([movement(state="EXTRA", void=True, of_order=True)], [line_of(A)]),
    Difference.DOUBLE_PAID: lambda: Books([movement(state="EXTRA")], [line_of(A)]),
    Difference.MISSING_HERE: lambda: Books([movement(booked=False)], [line_of(A)], 5231),
    Difference.SIGN_WRONG: lambda: Books([A], [line_of(A, amount_fen=-5231)], -10462),
    Difference.AMOUNT_OFF: lambda: Books([A], [line_of(A, amount_fen=5232)], 1),
    Difference.KIND_WRONG: lambda: Books([A], [line_of(A, kind="TOP_UP")]),
    Difference.PARTY_WRONG: lambda: Books([A], [line_of(A, account_ref="somebody")]),
    Difference.FEE_UNEXPECTED: lambda: Books([movement(agreed_fee_fen=0)], [line_of(A, fee_fen=7)]),
    Difference.FEE_OFF: lambda: Books([A], [line_of(A, fee_fen=32)]),
    Difference.DATE_OFF: lambda: Books([A], [line_of(A, at_ms=NOON_MS - DAY_MS - 1)]),
    Difference.MISSING_THERE: lambda: Books([A], []),
    Difference.STILL_OPEN: lambda: Books([movement(state="UNKNOWN", booked=False)], []),
}


@pytest.mark.parametrize("difference", PLANTED)
def test_each_fault_is_told_by_its_name_and_no_other(difference: Difference) -> None:
    books = PLANTED[difference]()
    outcome = books.judged()
    assert found(outcome) == [difference]
    assert sum(one.suspense_fen for one in outcome.judged) == books.suspense_fen


@pytest.mark.parametrize("kind", KINDS)
def test_a_line_of_a_payment_fits_whatever_was_paid_in(kind: str) -> None:
    one = movement(kind=kind)
    fits = [] if kind in {"CHARGE", "COLLECT", "TOP_UP"} else [Difference.KIND_WRONG]
    assert found(match([line_of(one, kind="COLLECT")], [one], always)) == fits


@pytest.mark.parametrize("state", ["EXTRA", "INSUFFICIENT"])
def test_only_what_pays_an_order_comes_too_late_for_it(state: str) -> None:
    """A charge for a late entry that two persons gave up is given back by nobody."""
    for of_order, difference in ((True, Difference.PAID_LATE), (False, Difference.PAID_AFTER_VOID)):
        one = movement(state=state, booked=state == "EXTRA", void=True, of_order=of_order)
        assert found(match([line_of(one)], [one], always)) == [difference]


def test_every_class_is_planted_somewhere_and_has_words() -> None:
    elsewhere = {Difference.LINE_CHANGED, Difference.VOIDED, Difference.CUT_OFF}  # by the tables, and below
    elsewhere |= {Difference.NUMBER_TWICE, Difference.NO_STATEMENT}
    assert set(PLANTED) | elsewhere == set(Difference) == set(WORDS)
    assert len({words.chinese for words in WORDS.values()}) == len(WORDS)


def test_several_faults_of_a_line_are_all_told() -> None:
    wrong = line_of(A, amount_fen=1, fee_fen=2, kind="TOP_UP", account_ref="x")
    assert found(match([wrong], [A], always)) == [
        Difference.AMOUNT_OFF,
        Difference.FEE_OFF,
        Difference.KIND_WRONG,
        Difference.PARTY_WRONG,
    ]


def test_what_is_not_in_the_statement_yet_is_no_fault_before_the_next_days() -> None:
    assert found(match([], [A], never)) == [Difference.CUT_OFF]
    assert found(match([], [movement(state="SENT", booked=False)], never)) == []
    assert Difference.CUT_OFF in NO_FAULT


def test_a_fee_in_a_line_of_its_own_is_its_movements() -> None:
    own = StatementLine("F", "a-1", "FEE", -31, 0, NOON_MS)
    outcome = match([line_of(A, fee_fen=0), own], [movement(has_fee_line=True)], always)
    assert found(outcome) == []
    assert [(one.fee_fen, one.suspense_fen, one.mine) for one in outcome.judged] == [(0, 0, True), (31, 0, False)]
    assert found(match([replace(own, amount_fen=-30)], [movement(has_line=True)], always)) == [Difference.FEE_OFF]
    nobodys = match([replace(own, out_no=None)], [], always)
    assert (found(nobodys), nobodys.judged[0].suspense_fen) == ([Difference.FEE_UNEXPECTED], -31)


def test_without_an_agreement_no_fee_is_judged() -> None:
    assert found(match([line_of(A, fee_fen=99)], [movement(agreed_fee_fen=None)], always)) == []


def test_a_line_of_a_movement_that_has_one_already_is_double() -> None:
    assert found(match([line_of(A)], [movement(has_line=True)], always)) == [Difference.DOUBLE_LINE]


def found(outcome: Outcome) -> list[Difference]:
    """Every difference, in the order of the words' own names."""
    told = [each for one in outcome.judged for each in one.differences]
    return sorted([*told, *(one.difference for one in outcome.lacking)])


@st.composite
def good_books(draw: st.DrawFn) -> tuple[list[Movement], list[StatementLine]]:
    """Movements around midnight, and a provider that dates them as it likes and settles some only a day later."""
    movements, lines = [], []
    for number in range(draw(st.integers(0, 12))):
        kind = draw(st.sampled_from(sorted(KINDS)))
        amount_fen = KINDS[kind] * draw(st.integers(1, 10**8))
        sent_at_ms = MIDNIGHT_MS + draw(st.integers(-600_000, 600_000))
        waited_ms = draw(st.sampled_from([0, 5_000, 3_600_000, 20 * 3_600_000]))
        fee_fen = draw(st.sampled_from([None, 0, 5]))
        one = Movement(
            f"m-{number}",
            kind,
            amount_fen,
            "SUCCEEDED",
            True,
            sent_at_ms,
            sent_at_ms + waited_ms,
            agreed_fee_fen=fee_fen,
        )
        at_ms = sent_at_ms + draw(st.integers(-2_000, waited_ms + 2_000))
        movements.append(one)
        lines.append(line_of(one, at_ms=at_ms, fee_fen=draw(st.integers(0, 9)) if fee_fen is None else fee_fen))
    return movements, draw(st.permutations(lines))


@given(good_books())
def test_over_good_books_it_is_silent(books: tuple[list[Movement], list[StatementLine]]) -> None:
    movements, lines = books
    outcome = match(lines, movements, always)
    assert found(outcome) == []
    assert [one.suspense_fen for one in outcome.judged] == [0] * len(lines)
    assert all(one.mine for one in outcome.judged)


@given(good_books())
def test_a_day_whose_next_day_is_not_in_has_cut_off_movements_and_no_fault(
    books: tuple[list[Movement], list[StatementLine]],
) -> None:
    movements, lines = books
    first_day = [line for line in lines if line.at_ms < MIDNIGHT_MS]
    outcome = match(first_day, movements, never)
    assert set(found(outcome)) <= {Difference.CUT_OFF}
    later = {line.out_no for line in lines} - {line.out_no for line in first_day}
    assert {one.movement.out_no for one in outcome.lacking} == later


@given(good_books(), st.data())
def test_one_fault_in_good_books_is_the_only_one_told(
    books: tuple[list[Movement], list[StatementLine]], data: st.DataObject
) -> None:
    movements, lines = books
    difference = data.draw(st.sampled_from(sorted(PLANTED)))
    planted = PLANTED[difference]()
    place = data.draw(st.integers(0, len(lines)))
    mixed = Books(
        [*movements, *planted.movements], [*lines[:place], *planted.lines, *lines[place:]], payments=planted.payments
    )
    outcome = mixed.judged()
    assert found(outcome) == [difference]
    assert sum(one.suspense_fen for one in outcome.judged) == planted.suspense_fen
