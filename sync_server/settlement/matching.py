"""The provider's statement against our movements: pure, set by set, each difference told apart.

A line and a movement belong together when they have the same number `out_no`, whatever day each of them is dated: that
is what lets a movement near midnight stand in one day's statement and in the other day's book.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import NamedTuple

from sync_server.payments.provider import StatementLine
from sync_server.payments.states import OPEN, STOPPED
from sync_server.payments.tables import INCOMING
from sync_server.settlement.differences import Difference

DAY_MS = 86_400_000
FEE = "FEE"
"""The kind of a line that is nothing but a fee, for the movement whose number it has."""
REFUND = "REFUND"
PAID_IN = ("CHARGE", "COLLECT", "TOP_UP")
"""What a line COLLECT may be of: not every provider tells apart how somebody paid us."""


class Movement(NamedTuple):
    """One attempt of ours, as our clearing account sees it (`amount_fen` above 0 comes in).

    `state` is the attempt's; `void`: its transfer was given up; `booked`: the ledger has it as moved. `agreed_fee_fen`
    None: nothing was agreed. `known_at_ms` is when we learnt what became of it. `taken`: a line before these has this
    number; `billed`: its fee stands in a line of its own.
    """

    out_no: str
    kind: str
    amount_fen: int
    state: str
    booked: bool
    sent_at_ms: int
    known_at_ms: int
    void: bool = False
    agreed_fee_fen: int | None = None
    account_ref: str | None = None
    taken: bool = False
    billed: bool = False


class Judged(NamedTuple):
    """What a line comes to: `mine` if it is a movement's of ours, what is different, what stays unexplained.

    `fee_fen` is a cost (P13); `suspense_fen` is what the clearing account moved beyond our book (P14).
    """

    line: StatementLine
    mine: bool
    differences: tuple[Difference, ...]
    fee_fen: int
    suspense_fen: int


class Lacking(NamedTuple):
    """A movement of ours without a line."""

    movement: Movement
    difference: Difference


class Outcome(NamedTuple):
    """Everything that matching found."""

    judged: list[Judged]
    lacking: list[Lacking]


def match(
    lines: Iterable[StatementLine],
    movements: Iterable[Movement],
    ended: Callable[[int], bool],
    payments: Collection[str] = frozenset(),
) -> Outcome:
    """Judge each line, and each movement that has none.

    `ended` says of a moment whether the statements of its day and of the next one are in: only then is a movement
    missing. `payments` are further numbers under which somebody paid us.
    """
    by_number = {movement.out_no: movement for movement in movements}
    seen = {number for number, movement in by_number.items() if movement.taken}
    judged = []
    for line in lines:
        movement = by_number.get(line.out_no) if line.out_no is not None else None
        if movement is None:
            judged.append(_foreign(line, by_number, payments))
        elif line.kind == FEE:
            judged.append(_fee_alone(line, movement))
        elif line.out_no in seen:
            judged.append(Judged(line, False, (Difference.DOUBLE_LINE,), line.fee_fen, line.amount_fen))
        else:
            seen.add(movement.out_no)
            judged.append(_ours(line, movement))
    lacking = [one for number, movement in by_number.items() if number not in seen for one in _lacking(movement, ended)]
    return Outcome(judged, lacking)


def surprise(movement: Movement) -> Iterator[Difference]:
    """What a line of this movement tells that our book does not know."""
    if movement.state == "EXTRA":
        yield _given_up(movement) if movement.void else Difference.DOUBLE_PAID
    elif movement.booked:
        return
    elif movement.state in OPEN:
        yield Difference.PAID_UNKNOWN
    elif movement.state in STOPPED:
        yield _given_up(movement) if movement.void else Difference.PAID_AFTER_FAILURE
    else:
        yield Difference.MISSING_HERE


def _foreign(line: StatementLine, movements: Mapping[str, Movement], payments: Collection[str]) -> Judged:
    """Not our number. A refund is told by what it gives back."""
    difference = Difference.FEE_UNEXPECTED if line.kind == FEE else Difference.FOREIGN
    if line.kind == REFUND:
        paid = line.original_out_no in payments or line.original_out_no in movements
        difference = Difference.REFUND_OUTSIDE if paid else Difference.REFUND_WITHOUT_ORIGINAL
    return Judged(line, False, (difference,), line.fee_fen, line.amount_fen)


def _fee_alone(line: StatementLine, movement: Movement) -> Judged:
    fee_fen = line.fee_fen - line.amount_fen
    return Judged(line, False, tuple(_fee_differences(fee_fen, movement)), fee_fen, 0)


def _ours(line: StatementLine, movement: Movement) -> Judged:
    """A movement's own line. Where our book has nothing yet, the whole amount is unexplained."""
    booked_fen = movement.amount_fen if movement.booked else 0
    differences = [*surprise(movement), *_amount_differences(line, movement)]
    if line.kind != movement.kind and not (line.kind == "COLLECT" and movement.kind in PAID_IN):
        differences.append(Difference.KIND_WRONG)
    if None not in {line.account_ref, movement.account_ref} and line.account_ref != movement.account_ref:
        differences.append(Difference.PARTY_WRONG)
    if line.fee_fen or not movement.billed:
        differences += _fee_differences(line.fee_fen, movement)
    if not movement.sent_at_ms - DAY_MS <= line.at_ms <= movement.known_at_ms + DAY_MS:
        differences.append(Difference.DATE_OFF)
    return Judged(line, True, tuple(differences), line.fee_fen, line.amount_fen - booked_fen)


def _given_up(movement: Movement) -> Difference:
    return Difference.PAID_LATE if movement.kind in INCOMING else Difference.PAID_AFTER_VOID


def _amount_differences(line: StatementLine, movement: Movement) -> Iterator[Difference]:
    if line.amount_fen == -movement.amount_fen:
        yield Difference.SIGN_WRONG
    elif line.amount_fen != movement.amount_fen:
        yield Difference.AMOUNT_OFF


def _fee_differences(fee_fen: int, movement: Movement) -> Iterator[Difference]:
    agreed_fen = movement.agreed_fee_fen
    if agreed_fen is not None and fee_fen != agreed_fen:
        yield Difference.FEE_OFF if agreed_fen else Difference.FEE_UNEXPECTED


def _lacking(movement: Movement, ended: Callable[[int], bool]) -> Iterator[Lacking]:
    if movement.booked:
        missing = ended(movement.known_at_ms)
        yield Lacking(movement, Difference.MISSING_THERE if missing else Difference.CUT_OFF)
    elif movement.state in OPEN and ended(movement.sent_at_ms):
        yield Lacking(movement, Difference.STILL_OPEN)
