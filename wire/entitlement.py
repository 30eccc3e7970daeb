"""The entry rules: one implementation, used by the gate before it opens and by the centre when it checks (pure)."""

from __future__ import annotations

from enum import IntEnum, StrEnum
from typing import Annotated

import msgspec
from msgspec import Meta

from wire import calendar, moments
from wire.calendar import MAX_HOURS, MAX_RANGES, Calendar, Closure, DayRange, Hours
from wire.moments import MINUTE_MS, WallTime
from wire.reasons import Reason

MAX_COUNT = 10_000
MAX_PARTY = 50
MAX_GAP_MIN = 31 * 24 * 60
MAX_WORD_CHARACTERS = 32

Count = Annotated[int, Meta(ge=1, le=MAX_COUNT)]


class PassStatus(IntEnum):
    """What the list says of a pass; dates are judged apart."""

    ACTIVE = 1
    SUSPENDED = 2
    REVOKED = 3
    NOT_BOUND = 4


class StopCause(StrEnum):
    """Why the centre suspended or revoked a pass. A gate that does not know the word leaves it out."""

    LOST = "lost"
    REQUESTED = "requested"
    REVIEW = "review"
    CANCELLED = "cancelled"
    OTHER = "other"


class Stop(msgspec.Struct, frozen=True, array_like=True):
    """A StopCause, or the word of a newer release, and the minute since which (wire.moments)."""

    cause: Annotated[str, Meta(max_length=MAX_WORD_CHARACTERS)]
    since: int


class Rule(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """What a product allows at one venue, days and times meant in the venue's zone. None means without limit."""

    per_day: Count | None = 1
    per_month: Count | None = None
    per_year: Count | None = None
    total: Count | None = None
    gap_min: Annotated[int, Meta(ge=0, le=MAX_GAP_MIN)] = 0
    """The least time between two entries, in minutes."""
    leave_first: bool = False
    """Whoever is inside leaves before the pass opens again; midnight clears it too."""
    party: Annotated[int, Meta(ge=1, le=MAX_PARTY)] = 1
    """How many people one presentation admits, the holder included; it counts as one use."""
    needs_card: bool = False
    """A code alone will not do."""
    slots: Annotated[tuple[Hours, ...], Meta(max_length=MAX_HOURS)] = ()
    """When it opens; none: at any time."""
    blackout: Annotated[tuple[DayRange, ...], Meta(max_length=MAX_RANGES)] = ()
    """Days on which it does not open."""


class Right(msgspec.Struct, frozen=True, array_like=True):
    """What one pass may do here: its list row without the name. Minutes since 2020, half-open."""

    status: PassStatus
    not_before: int
    not_after: int
    lowest_issue: int
    static_again: bool = False


class Uses(msgspec.Struct, frozen=True, array_like=True):
    """Admissions that count: ever, and in the day, month and year in question (the venue's calendar).

    `since_last_ms` is the time since the newest one, None when there was none or that time is not known.
    """

    total: int = 0
    today: int = 0
    this_month: int = 0
    this_year: int = 0
    since_last_ms: int | None = None
    inside: bool = False


class Limit(StrEnum):
    """The limits of a rule that uses can reach, in the order in which they are told."""

    TOTAL = "total"
    YEAR = "year"
    MONTH = "month"
    DAY = "day"


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


def judge_opening(open_at: Calendar, now_ms: int, wall: WallTime) -> Reason | None:
    """`venue_closed` or None; `wall` is `now_ms` on the venue's clock."""
    if closed_by(open_at, now_ms, wall) is not None or not calendar.is_within(open_at.hours, wall):
        return Reason.VENUE_CLOSED
    return None


def closed_by(open_at: Calendar, now_ms: int, wall: WallTime) -> Closure | DayRange | None:
    """The closure or the closed days that hold now, whatever the hours say; they know their cause."""
    minute = moments.minute_floor(now_ms)
    for closure in open_at.closures:
        if closure.since <= minute and (closure.until is None or minute < closure.until):
            return closure
    return calendar.range_on(open_at.closed_days, wall.day)


def closed_since(open_at: Calendar, floor_ms: int) -> Closure | None:
    """The closure that holds at any time from `floor_ms` on: it began before and nobody knows its end."""
    floor = moments.minute_floor(floor_ms)
    return next((shut for shut in open_at.closures if shut.until is None and shut.since <= floor), None)


def judge_time(rule: Rule, wall: WallTime) -> Reason | None:
    """`blackout`, `wrong_time_slot` or None."""
    if calendar.range_on(rule.blackout, wall.day) is not None:
        return Reason.BLACKOUT
    return None if calendar.is_within(rule.slots, wall) else Reason.WRONG_TIME_SLOT


def turns_on_time(rule: Rule, uses: Uses, first_day: int, last_day: int) -> bool:
    """Whether the rule may refuse an entry on one of these days and allow it on another, or at another hour.

    For a gate that does not know the time; how often a day is left to it.
    """
    if rule.slots or any(days.meets(first_day, last_day) for days in rule.blackout):
        return True
    return any(limit is not None and uses.total >= limit for limit in (rule.per_month, rule.per_year))


def judge_uses(rule: Rule, uses: Uses) -> Reason | None:
    """`used_up`, `already_inside`, `too_soon`, or None when one more admission keeps to the rule."""
    if limit_reached(rule, uses) is not None:
        return Reason.USED_UP
    if rule.leave_first and uses.inside:
        return Reason.ALREADY_INSIDE
    return Reason.TOO_SOON if wait_ms(rule, uses) > 0 else None


def limit_reached(rule: Rule, uses: Uses) -> Limit | None:
    """The widest limit that one more admission would pass."""
    for limit, most, used in (
        (Limit.TOTAL, rule.total, uses.total),
        (Limit.YEAR, rule.per_year, uses.this_year),
        (Limit.MONTH, rule.per_month, uses.this_month),
        (Limit.DAY, rule.per_day, uses.today),
    ):
        if most is not None and used >= most:
            return limit
    return None


def wait_ms(rule: Rule, uses: Uses) -> int:
    """How long until the least time since the newest entry has gone by; 0 when it has."""
    return 0 if uses.since_last_ms is None else max(0, rule.gap_min * MINUTE_MS - uses.since_last_ms)


def remaining(rule: Rule, uses: Uses) -> int | None:
    """Admissions left in all, or None without a limit in all."""
    return None if rule.total is None else max(0, rule.total - uses.total)
