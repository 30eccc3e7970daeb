"""What a provider's statement may say that is not so, one line at a time, and the case that has to come of it."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

from sync_server.payments.provider import StatementLine
from sync_server.reconciliation.differences import Difference

CHANGED = Difference.LINE_CHANGED
LATE = Difference.CUT_OFF
LIES = (
    Difference.FOREIGN,
    Difference.REFUND_OUTSIDE,
    Difference.REFUND_WITHOUT_ORIGINAL,
    Difference.DOUBLE_LINE,
    Difference.AMOUNT_OFF,
    Difference.SIGN_WRONG,
    Difference.KIND_WRONG,
    Difference.PARTY_WRONG,
    Difference.FEE_UNEXPECTED,
    Difference.MISSING_THERE,
    CHANGED,
    LATE,
)
"""CUT_OFF: the line comes with the next day's statement, which is no fault. LINE_CHANGED: told again, otherwise."""
FOREIGN_FEN = 777
FEE_FEN = 7


class Lie(NamedTuple):
    """`told` instead of the true line; the case is about the line `about`, or about the true line's number."""

    told: tuple[StatementLine, ...]
    about: str | None = None


def lie(kind: Difference, true: StatementLine, number: str, *, comes_in: bool) -> Lie | None:
    """Instead of a true line; None where this lie would say nothing else. `number` is for a line that is made up."""
    made_up = replace(true, line_no=number, provider_ref=f"SP-{number}")
    foreign = FOREIGN_FEN if comes_in else -FOREIGN_FEN
    of_fund = true.kind == "FUND_CLOSE"  # of whose amount only the provider knows what it has to be
    match kind:
        case Difference.FOREIGN:
            return Lie((true, replace(made_up, out_no=number, kind="COLLECT", amount_fen=foreign)), number)
        case Difference.REFUND_WITHOUT_ORIGINAL:
            unknown = replace(made_up, out_no=None, kind="REFUND", amount_fen=-FOREIGN_FEN, original_out_no=number)
            return Lie((true, unknown), number)
        case Difference.REFUND_OUTSIDE if true.kind in {"CHARGE", "COLLECT"}:
            ours = replace(made_up, out_no=None, kind="REFUND", amount_fen=-true.amount_fen)
            return Lie((true, replace(ours, original_out_no=true.out_no)), number)
        case Difference.DOUBLE_LINE:
            return Lie((true, made_up), number)
        case Difference.AMOUNT_OFF if not of_fund:
            return Lie((replace(true, amount_fen=true.amount_fen + FOREIGN_FEN * 10_000),), true.line_no)
        case Difference.SIGN_WRONG if not of_fund:
            return Lie((replace(true, amount_fen=-true.amount_fen),), true.line_no)
        case Difference.KIND_WRONG if not of_fund:
            return Lie((replace(true, kind="SWEEP_OUT" if true.kind == "PAYOUT" else "PAYOUT"),), true.line_no)
        case Difference.PARTY_WRONG if true.kind in {"CHARGE", "PAYOUT"}:
            return Lie((replace(true, account_ref="somebody"),), true.line_no)
        case Difference.FEE_UNEXPECTED if not of_fund:
            return Lie((replace(true, fee_fen=FEE_FEN),), true.line_no)
        case Difference.MISSING_THERE | Difference.CUT_OFF:
            return Lie(())
        case Difference.LINE_CHANGED:
            return Lie((true,), true.line_no)
    return None
