"""Whole minutes and days of a venue's zone."""

from __future__ import annotations

from zoneinfo import ZoneInfo

import pytest

from wire import moments


def test_minutes_are_rounded_up_at_issuance_and_down_when_compared() -> None:
    at_ms = moments.EPOCH_MS + 90_000
    assert (moments.minute_ceil(at_ms), moments.minute_floor(at_ms)) == (2, 1)
    assert moments.minute_ceil(moments.minute_ms(7)) == moments.minute_floor(moments.minute_ms(7)) == 7


@pytest.mark.parametrize("at_ms", [0, moments.EPOCH_MS - 60_001, moments.minute_ms(moments.MAX_MINUTE) + 1])
def test_what_three_bytes_cannot_hold(at_ms: int) -> None:
    with pytest.raises(moments.MomentOutOfRange):
        moments.minute_ceil(at_ms)


def test_the_day_is_the_venues() -> None:
    noon_utc_ms = moments.EPOCH_MS + 17 * 3_600_000  # 01:00 of the next day in China
    assert moments.day_number(noon_utc_ms, ZoneInfo("UTC")) == 0
    assert moments.day_number(noon_utc_ms, ZoneInfo("Asia/Shanghai")) == 1
