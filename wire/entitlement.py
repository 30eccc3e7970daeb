"""The entry rules: one implementation, used by the gate before it opens and by the centre when it checks (pure)."""

from __future__ import annotations

from enum import IntEnum

import msgspec

from wire import moments
from wire.reasons import Reason


class PassStatus(IntEnum):
    """What the list says of a pass; dates are judged apart."""

    ACTIVE = 1
    SUSPENDED = 2
    REVOKED = 3
    NOT_BOUND = 4


class Rule(msgspec.Struct, frozen=True, array_like=True):
    """What a product allows at one venue. None means without limit."""

    per_day: int | None = 1
    total: int | None = None


class Right(msgspec.Struct, frozen=True, array_like=True):
    """What one pass may do here: its list row without the name. Minutes since 2020, half-open."""

    status: PassStatus
    not_before: int
    not_after: int
    lowest_issue: int
    static_again: bool = False


class Uses(msgspec.Struct, frozen=True, array_like=True):
    """Admissions that count: ever, and on the day in question (the venue's calendar)."""

    total: int = 0
    today: int = 0


_STATUS_REASON = {
    PassStatus.SUSPENDED: Reason.SUSPENDED,
    PassStatus.REVOKED: Reason.REVOKED,
    PassStatus.NOT_BOUND: Reason.NOT_BOUND,
}


def judge_right(right: Right, issue: int | None, now_ms: int | None) -> Reason | None:
    """The first reason of the list row against an entry, or None. `issue` None: a card, which has no issue number."""
    if now_ms is not None:
        minute = moments.minute_floor(now_ms)
        if minute >= right.not_after:
            return Reason.EXPIRED
        if minute < right.not_before:
            return Reason.NOT_YET_ACTIVE
    if issue is not None and issue < right.lowest_issue:
        return Reason.REPLACED
    return _STATUS_REASON.get(right.status)


def judge_uses(rule: Rule, uses: Uses) -> Reason | None:
    """`used_up` when one more admission would pass the rule, or None."""
    if rule.total is not None and uses.total >= rule.total:
        return Reason.USED_UP
    if rule.per_day is not None and uses.today >= rule.per_day:
        return Reason.USED_UP
    return None


def remaining(rule: Rule, uses: Uses) -> int | None:
    """Admissions left in all, or None without a limit in all."""
    return None if rule.total is None else max(0, rule.total - uses.total)
