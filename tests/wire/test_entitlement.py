"""The entry rules as a table."""

from __future__ import annotations

import pytest

from wire import entitlement, moments
from wire.entitlement import PassStatus, Right, Rule, Uses
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


@pytest.mark.parametrize(
    ("rule", "uses", "reason", "left"),
    [
        (Rule(per_day=1), Uses(0, 0), None, None),
        (Rule(per_day=1), Uses(5, 1), Reason.USED_UP, None),
        (Rule(per_day=1), Uses(5, 0), None, None),
        (Rule(per_day=None, total=1), Uses(0, 0), None, 1),
        (Rule(per_day=None, total=1), Uses(1, 0), Reason.USED_UP, 0),
        (Rule(per_day=2, total=3), Uses(2, 1), None, 1),
        (Rule(per_day=2, total=3), Uses(3, 1), Reason.USED_UP, 0),
        (Rule(per_day=None, total=None), Uses(99, 99), None, None),
    ],
)
def test_the_counts(rule: Rule, uses: Uses, reason: Reason | None, left: int | None) -> None:
    assert entitlement.judge_uses(rule, uses) is reason
    assert entitlement.remaining(rule, uses) == left
