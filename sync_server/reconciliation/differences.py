"""What may differ between our book and the provider's statement: the classes 差异类别 told apart, and their words."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple


class Difference(StrEnum):
    """The value is what tables and commands hold; `WORDS` explains each."""

    FOREIGN = "FOREIGN"
    REFUND_WITHOUT_ORIGINAL = "REFUND_WITHOUT_ORIGINAL"
    REFUND_OUTSIDE = "REFUND_OUTSIDE"
    DOUBLE_LINE = "DOUBLE_LINE"
    PAID_UNKNOWN = "PAID_UNKNOWN"
    PAID_AFTER_FAILURE = "PAID_AFTER_FAILURE"
    PAID_AFTER_VOID = "PAID_AFTER_VOID"
    PAID_LATE = "PAID_LATE"
    DOUBLE_PAID = "DOUBLE_PAID"
    MISSING_HERE = "MISSING_HERE"
    SIGN_WRONG = "SIGN_WRONG"
    AMOUNT_OFF = "AMOUNT_OFF"
    KIND_WRONG = "KIND_WRONG"
    PARTY_WRONG = "PARTY_WRONG"
    FEE_UNEXPECTED = "FEE_UNEXPECTED"
    FEE_OFF = "FEE_OFF"
    DATE_OFF = "DATE_OFF"
    LINE_CHANGED = "LINE_CHANGED"
    NUMBER_TWICE = "NUMBER_TWICE"
    NO_STATEMENT = "NO_STATEMENT"
    MISSING_THERE = "MISSING_THERE"
    STILL_OPEN = "STILL_OPEN"
    CUT_OFF = "CUT_OFF"
    VOIDED = "VOIDED"


class Words(NamedTuple):
    """As people read it."""

    chinese: str
    english: str


WORDS = {
    Difference.FOREIGN: Words("非我方流水", "a movement under a number that is not ours"),
    Difference.REFUND_WITHOUT_ORIGINAL: Words("无原交易的退款", "a refund of a payment that was never made"),
    Difference.REFUND_OUTSIDE: Words("系统外退款", "a payment of ours was given back, and not by us"),
    Difference.DOUBLE_LINE: Words("通道重复记账", "the same number a second time"),
    Difference.PAID_UNKNOWN: Words("待确认，实已成功", "we waited for the outcome: it succeeded; taken over, no fault"),
    Difference.PAID_AFTER_FAILURE: Words("记为失败，实已成功", "the provider had said that it failed"),
    Difference.PAID_AFTER_VOID: Words("失败或已撤销，实已动账", "it failed or was given up, and moved all the same"),
    Difference.PAID_LATE: Words("订单关闭后到账", "paid for an order that was closed; it is given back, no fault"),
    Difference.DOUBLE_PAID: Words("重复付款", "a second attempt moved as well"),
    Difference.MISSING_HERE: Words("我方未记账", "a number of ours that moved money and is not in our book"),
    Difference.SIGN_WRONG: Words("收付方向相反", "came in where it should go out, or the other way"),
    Difference.AMOUNT_OFF: Words("金额不符", "another amount"),
    Difference.KIND_WRONG: Words("业务类型不符", "another kind of movement"),
    Difference.PARTY_WRONG: Words("对方账户不符", "with another account than the one we named"),
    Difference.FEE_UNEXPECTED: Words("不应收的手续费", "a fee where none was agreed"),
    Difference.FEE_OFF: Words("手续费不符", "another fee than was agreed"),
    Difference.DATE_OFF: Words("日期不符", "more than a day before it was asked for, or after it was known here"),
    Difference.LINE_CHANGED: Words("对账单内容变动", "a line that said something else before"),
    Difference.NUMBER_TWICE: Words("对账单行号重复", "a day's statement in which lines share a number"),
    Difference.NO_STATEMENT: Words("对账单缺失", "a day's statement that could not be had, or not be taken in"),
    Difference.MISSING_THERE: Words("通道无此流水", "booked here; in the statement neither that day nor the next"),
    Difference.STILL_OPEN: Words("结果仍未知", "asked for, and in the statement neither that day nor the next"),
    Difference.CUT_OFF: Words("跨日", "not in that day's statement; the next day's will tell; no fault yet"),
    Difference.VOIDED: Words("双人撤销", "a transfer that two persons gave up"),
}

BY_ATTEMPT = frozenset({Difference.DOUBLE_PAID, Difference.PAID_AFTER_VOID})
"""Found by the attempt, with or without a line (case_finding)."""

NOBODYS = frozenset(
    {Difference.FOREIGN, Difference.REFUND_WITHOUT_ORIGINAL, Difference.REFUND_OUTSIDE, Difference.DOUBLE_LINE}
)
"""Of lines that stand for no movement of ours: one of them may be what came back."""

OF_AMOUNT = frozenset({Difference.AMOUNT_OFF, Difference.SIGN_WRONG})
"""Where the outcome was open they say that it stays open, until two persons end it (other_amounts)."""

NO_FAULT = frozenset({Difference.PAID_UNKNOWN, Difference.PAID_LATE, Difference.CUT_OFF})
"""These settle themselves; every other one becomes a case for a person."""
