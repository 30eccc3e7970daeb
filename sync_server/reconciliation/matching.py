"""The provider's statement against our movements: pure, set by set, each difference told apart.

A line and a movement belong together when they have the same number `out_no`, whatever day each of them is dated: that
is what lets a movement near midnight stand in one day's statement and in the other day's book.

A line is nobody's of ours, a fee alone, a movement's own line, or a second one of the same movement. What no line was
of is lacking.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from typing import NamedTuple

from sync_server.payments.provider import StatementLine
from sync_server.payments.states import OPEN, STOPPED
from sync_server.reconciliation.differences import Difference

DAY_MS = 86_400_000
FEE = "FEE"
"""The kind of a line that is nothing but a fee, for the movement whose number it has."""
REFUND = "REFUND"
PAID_IN = ("CHARGE", "COLLECT", "TOP_UP")
"""What a line COLLECT may be of: not every provider tells apart how somebody paid us."""


class Movement(NamedTuple):
    """One attempt of ours, as our clearing account sees it (`amount_fen` above 0 comes in).

    `state` is the attempt's; `void`: its transfer was given up; `of_order`: it pays an order, which gives back what
    comes too late; `booked`: the ledger has it as moved; `denied`: it had, and two persons said that it had not moved.
    `known_at_ms` is when we learnt what became of it. `agreed_fee_fen` None: nothing was agreed. `has_line`: a line
    before these is its own; `has_fee_line`: its fee stands in a line apart.
    """

    out_no: str
    kind: str
    amount_fen: int
    state: str
    booked: bool
    sent_at_ms: int
    known_at_ms: int
    void: bool = False
    of_order: bool = False
    denied: bool = False
    agreed_fee_fen: int | None = None
    account_ref: str | None = None
    has_line: bool = False
    has_fee_line: bool = False


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
    ours = {movement.out_no: movement for movement in movements}
    lined = {number for number, movement in ours.items() if movement.has_line}
    judged = []
    for line in lines:
        movement = ours.get(line.out_no) if line.out_no is not None else None
        if movement is None:
            judged.append(_nobodys(line, given_back=line.original_out_no in payments or line.original_out_no in ours))
        elif line.kind == FEE:
            judged.append(_fee_alone(line, movement))
        elif movement.out_no not in lined:
            judged.append(_own(line, movement))
            lined.add(movement.out_no)
        else:
            judged.append(Judged(line, False, (Difference.DOUBLE_LINE,), line.fee_fen, line.amount_fen))
    unlined = [(movement, _lack(movement, ended)) for number, movement in ours.items() if number not in lined]
    return Outcome(judged, [Lacking(movement, lack) for movement, lack in unlined if lack is not None])


def news(movement: Movement) -> Difference | None:
    """What a line of this movement tells that our book does not know."""
    if movement.denied:
        return Difference.MISSING_HERE
    after_void = Difference.PAID_LATE if movement.of_order else Difference.PAID_AFTER_VOID
    if movement.state == "EXTRA":
        return after_void if movement.void else Difference.DOUBLE_PAID
    if movement.booked:
        return None
    if movement.state in OPEN:
        return Difference.PAID_UNKNOWN
    if movement.state in STOPPED:
        return after_void if movement.void else Difference.PAID_AFTER_FAILURE
    return Difference.MISSING_HERE


def _nobodys(line: StatementLine, *, given_back: bool) -> Judged:
    """Not our number. A refund is told by whether what it gives back is a payment of ours."""
    difference = Difference.FEE_UNEXPECTED if line.kind == FEE else Difference.FOREIGN
    if line.kind == REFUND:
        difference = Difference.REFUND_OUTSIDE if given_back else Difference.REFUND_WITHOUT_ORIGINAL
    return Judged(line, False, (difference,), line.fee_fen, line.amount_fen)


def _fee_alone(line: StatementLine, movement: Movement) -> Judged:
    fee_fen = line.fee_fen - line.amount_fen
    difference = _other_fee(fee_fen, movement)
    return Judged(line, False, () if difference is None else (difference,), fee_fen, 0)


def _own(line: StatementLine, movement: Movement) -> Judged:
    """A movement's own line. Where our book has nothing yet, the whole amount is unexplained."""
    found = (
        news(movement),
        _other_amount(line, movement),
        _other_kind(line, movement),
        _other_party(line, movement),
        _other_fee(line.fee_fen, movement) if line.fee_fen or not movement.has_fee_line else None,
        _other_date(line, movement),
    )
    booked_fen = movement.amount_fen if movement.booked else 0
    differences = tuple(each for each in found if each is not None)
    return Judged(line, True, differences, line.fee_fen, line.amount_fen - booked_fen)


def _other_amount(line: StatementLine, movement: Movement) -> Difference | None:
    if line.amount_fen == movement.amount_fen:
        return None
    return Difference.SIGN_WRONG if line.amount_fen == -movement.amount_fen else Difference.AMOUNT_OFF


def _other_kind(line: StatementLine, movement: Movement) -> Difference | None:
    fits = line.kind == movement.kind or (line.kind == "COLLECT" and movement.kind in PAID_IN)
    return None if fits else Difference.KIND_WRONG


def _other_party(line: StatementLine, movement: Movement) -> Difference | None:
    both_tell = line.account_ref is not None and movement.account_ref is not None
    return Difference.PARTY_WRONG if both_tell and line.account_ref != movement.account_ref else None


def _other_fee(fee_fen: int, movement: Movement) -> Difference | None:
    if movement.agreed_fee_fen is None or fee_fen == movement.agreed_fee_fen:
        return None
    return Difference.FEE_OFF if movement.agreed_fee_fen else Difference.FEE_UNEXPECTED


def _other_date(line: StatementLine, movement: Movement) -> Difference | None:
    fits = movement.sent_at_ms - DAY_MS <= line.at_ms <= movement.known_at_ms + DAY_MS
    return None if fits else Difference.DATE_OFF


def _lack(movement: Movement, ended: Callable[[int], bool]) -> Difference | None:
    """What it means that a movement has no line."""
    if movement.booked:
        return Difference.MISSING_THERE if ended(movement.known_at_ms) else Difference.CUT_OFF
    return Difference.STILL_OPEN if movement.state in OPEN and ended(movement.sent_at_ms) else None
