"""The entry rules as a table."""

from __future__ import annotations

import msgspec
import pytest

from wire import entitlement, moments
from wire.calendar import Calendar, Closure, DayRange, Hours
from wire.entitlement import Limit, PassStatus, Right, Rule, Uses
from wire.moments import WallTime
from wire.reasons import Reason

NOW_MS = moments.minute_ms(1000)


@pytest.mark.parametrize(
    ("right", "issue", "reason"),
    [
        (Right(PassStatus.ACTIVE, 1000, 1001, 1), 1, None),
        (Right(PassStatus.ACTIVE, 1000, 1001, 2), 2, None),
        (Right(PassStatus.ACTIVE, 1000, 1001, 2), 1, Reason.REPLACED),
        (Right(PassStatus.ACTIVE, 1000, 1001, 2), None, None),
        (Right(PassStatus.ACTIVE, 1001, 1002, 1), 1, Reason.NOT_YET_ACTIVE),
        (Right(PassStatus.ACTIVE, 0, 1000, 1), 1, Reason.EXPIRED),
        (Right(PassStatus.SUSPENDED, 0, 2000, 1), 1, Reason.SUSPENDED),
        (Right(PassStatus.REVOKED, 0, 2000, 1), 1, Reason.REVOKED),
        (Right(PassStatus.NOT_BOUND, 0, 2000, 1), 1, Reason.NOT_BOUND),
        (Right(PassStatus.REVOKED, 0, 1000, 2), 1, Reason.EXPIRED),
        (Right(PassStatus.REVOKED, 0, 2000, 2), 1, Reason.REPLACED),
    ],
)
def test_the_list_row(right: Right, issue: int | None, reason: Reason | None) -> None:
    assert entitlement.judge_right(right, issue, NOW_MS) is reason


def test_without_a_clock_only_the_status_speaks() -> None:
    assert entitlement.judge_right(Right(PassStatus.ACTIVE, 0, 1, 1), 1, None) is None
    assert entitlement.judge_right(Right(PassStatus.SUSPENDED, 0, 1, 1), 1, None) is Reason.SUSPENDED


MINUTE_MS = moments.MINUTE_MS
USED_UP, INSIDE, SOON = Reason.USED_UP, Reason.ALREADY_INSIDE, Reason.TOO_SOON


@pytest.mark.parametrize(
    ("rule", "uses", "reason", "left"),
    [
        (Rule(per_day=1), Uses(0, 0), None, None),
        (Rule(per_day=1), Uses(5, 1), USED_UP, None),
        (Rule(per_day=1), Uses(5, 0), None, None),
        (Rule(per_day=None, total=1), Uses(0, 0), None, 1),
        (Rule(per_day=None, total=1), Uses(1, 0), USED_UP, 0),
        (Rule(per_day=2, total=3), Uses(2, 1), None, 1),
        (Rule(per_day=2, total=3), Uses(3, 1), USED_UP, 0),
        (Rule(per_day=None, total=None), Uses(99, 99), None, None),
        (Rule(per_day=None, per_month=4), Uses(9, 3, 3, 9), None, None),
        (Rule(per_day=None, per_month=4), Uses(9, 0, 4, 9), USED_UP, None),
        (Rule(per_day=None, per_year=12), Uses(30, 0, 0, 11), None, None),
        (Rule(per_day=None, per_year=12), Uses(30, 0, 0, 12), USED_UP, None),
        (Rule(per_day=None, leave_first=True), Uses(1, 1, inside=True), INSIDE, None),
        (Rule(per_day=None, leave_first=True), Uses(1, 1, inside=False), None, None),
        (Rule(per_day=None), Uses(1, 1, inside=True, since_last_ms=0), None, None),
        (Rule(per_day=None, gap_min=30), Uses(1, 1, since_last_ms=30 * MINUTE_MS - 1), SOON, None),
        (Rule(per_day=None, gap_min=30), Uses(1, 1, since_last_ms=30 * MINUTE_MS), None, None),
        (Rule(per_day=None, gap_min=30), Uses(1, 1, since_last_ms=None), None, None),
        (Rule(per_day=1, leave_first=True, gap_min=30), Uses(1, 1, 1, 1, 0, True), USED_UP, None),
        (Rule(per_day=2, leave_first=True, gap_min=30), Uses(1, 1, 1, 1, 0, True), INSIDE, None),
    ],
)
def test_what_earlier_entries_leave_of_a_rule(rule: Rule, uses: Uses, reason: Reason | None, left: int | None) -> None:
    assert entitlement.judge_uses(rule, uses) is reason
    assert entitlement.remaining(rule, uses) == left


def test_the_widest_limit_is_told_and_how_long_to_wait() -> None:
    rule = Rule(per_day=1, per_month=2, per_year=3, total=4, gap_min=10)
    spent = [Uses(0, 1), Uses(0, 1, 2), Uses(0, 1, 2, 3), Uses(4, 1, 2, 3)]
    reached = [entitlement.limit_reached(rule, uses) for uses in spent]
    assert reached == [Limit.DAY, Limit.MONTH, Limit.YEAR, Limit.TOTAL]
    assert entitlement.wait_ms(rule, Uses(1, since_last_ms=4 * MINUTE_MS)) == 6 * MINUTE_MS
    assert entitlement.wait_ms(rule, Uses()) == 0


NOW_MINUTE = moments.minute_floor(NOW_MS)
NOON = WallTime(2513, 2, 12 * 60)
DAYTIME, EVENING = (Hours(9 * 60, 17 * 60),), (Hours(18 * 60, 22 * 60),)


@pytest.mark.parametrize(
    ("opening", "closed", "cause"),
    [
        (Calendar(), False, None),
        (Calendar(hours=DAYTIME), False, None),
        (Calendar(hours=EVENING), True, None),
        (Calendar(closed_days=(DayRange(2512, 2512),)), False, None),
        (Calendar(hours=DAYTIME, closed_days=(DayRange(2513, 2514, "检修"),)), True, "检修"),
        (Calendar(closures=(Closure(NOW_MINUTE + 1, None),)), False, None),
        (Calendar(hours=DAYTIME, closures=(Closure(NOW_MINUTE, NOW_MINUTE + 1, "大风"),)), True, "大风"),
        (Calendar(closures=(Closure(NOW_MINUTE - 9, NOW_MINUTE),)), False, None),
        (Calendar(closures=(Closure(NOW_MINUTE - 9, None, "大风"),)), True, "大风"),
    ],
)
def test_when_a_venue_is_closed_and_why(opening: Calendar, closed: bool, cause: str | None) -> None:
    assert entitlement.judge_opening(opening, NOW_MS, NOON) is (Reason.VENUE_CLOSED if closed else None)
    by = entitlement.closed_by(opening, NOW_MS, NOON)
    assert (by and by.cause) == cause


@pytest.mark.parametrize(
    ("rule", "reason"),
    [
        (Rule(), None),
        (Rule(slots=DAYTIME), None),
        (Rule(slots=EVENING), Reason.WRONG_TIME_SLOT),
        (Rule(slots=(Hours(0, 1440, 0b1),)), Reason.WRONG_TIME_SLOT),
        (Rule(blackout=(DayRange(2514, 2520),)), None),
        (Rule(blackout=(DayRange(2500, 2501), DayRange(2513, 2520))), Reason.BLACKOUT),
        (Rule(slots=EVENING, blackout=(DayRange(2513, 2513),)), Reason.BLACKOUT),
    ],
)
def test_days_and_hours_of_a_product(rule: Rule, reason: Reason | None) -> None:
    assert entitlement.judge_time(rule, NOON) is reason


@pytest.mark.parametrize(
    ("rule", "uses", "turns"),
    [
        (Rule(per_day=1, gap_min=30, leave_first=True), Uses(9, 1), False),
        (Rule(slots=DAYTIME), Uses(), True),
        (Rule(blackout=(DayRange(9, 9), DayRange(31, 31))), Uses(), False),
        (Rule(blackout=(DayRange(1, 10),)), Uses(), True),
        (Rule(blackout=(DayRange(30, 40),)), Uses(), True),
        (Rule(per_month=4), Uses(total=3), False),
        (Rule(per_month=4), Uses(total=4), True),
        (Rule(per_year=4), Uses(total=4), True),
    ],
)
def test_what_only_the_time_can_tell(rule: Rule, uses: Uses, turns: bool) -> None:
    assert entitlement.turns_on_time(rule, uses, 10, 30) is turns


@pytest.mark.parametrize(
    "packed",
    [
        *({"per_day": 0}, {"total": -1}, {"per_month": entitlement.MAX_COUNT + 1}, {"gap_min": -1}, {"party": 0}),
        *({"party": entitlement.MAX_PARTY + 1}, {"slots": [[0, 1]] * 33}, {"blackout": [[3, 2]]}, {"needs_card": 1}),
        {"a_rule_of_tomorrow": True},
    ],
)
def test_a_rule_that_makes_no_sense_or_is_not_known_is_refused(packed: object) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.msgpack.decode(msgspec.msgpack.encode(packed), type=Rule)
