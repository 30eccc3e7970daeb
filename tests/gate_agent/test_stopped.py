"""A pass that the centre stopped: staff read why and since when, visitors only where to go; 挂失 is said of cards."""

from __future__ import annotations

import pytest

from gate_agent.screen import scans
from gate_agent.screen.speech import Speech, sentence_of
from tests.gate_agent.stage import Stage
from tests.gate_agent.venue import NOW_MINUTE, NOW_MS, Ticket, Venue
from wire.entitlement import PassStatus, Stop, StopCause

HOURS_AGO = NOW_MINUTE - 2 * 60
DAYS_AGO = NOW_MINUTE - 3 * 24 * 60
ZONE = "Asia/Shanghai"
ZH, EN = Speech("zh", ZONE, NOW_MS), Speech("en", ZONE, NOW_MS)
ON_HOLD, CARD_LOST = "此票已暂停使用¦请到服务台", "此卡已挂失¦请到服务台"


def stopped(venue: Venue, stop: Stop | None, status: PassStatus = PassStatus.SUSPENDED) -> Ticket:
    ticket = venue.issue(status=status)
    if stop is not None:
        venue.stops[ticket.pass_id] = stop
    return ticket


@pytest.mark.parametrize(
    ("cause", "by_card", "by_code"),
    [
        (StopCause.LOST, CARD_LOST, ON_HOLD),
        (StopCause.REQUESTED, ON_HOLD, ON_HOLD),
        (None, ON_HOLD, ON_HOLD),
    ],
)
def test_the_public_hears_of_a_lost_card_and_of_no_other_cause(
    stage: Stage, venue: Venue, cause: StopCause | None, by_card: str, by_code: str
) -> None:
    ticket = stopped(venue, None if cause is None else Stop(cause, HOURS_AGO))
    venue.settle(stage.data_dir)
    for raw, told in ((ticket.card, by_card), (ticket.text, by_code)):
        stage.show(raw)
        assert sentence_of(stage.face()).zh == told


@pytest.mark.parametrize(
    ("status", "stop", "zh", "en"),
    [
        (
            PassStatus.SUSPENDED,
            Stop(StopCause.LOST, DAYS_AGO),
            "已挂失或被暂停（挂失，11-15 19:06）。",
            "Reported lost or put on hold (reported lost, 11-15 19:06).",
        ),
        (
            PassStatus.REVOKED,
            Stop(StopCause.CANCELLED, HOURS_AGO),
            "已退款或已作废（作废，17:06）。",
            "Refunded or cancelled (cancelled, 17:06).",
        ),
        (
            PassStatus.SUSPENDED,
            Stop("of_a_newer_release", HOURS_AGO),
            "已挂失或被暂停。",
            "Reported lost or put on hold.",
        ),
        (PassStatus.SUSPENDED, None, "已挂失或被暂停。", "Reported lost or put on hold."),
    ],
)
def test_staff_read_why_and_since_when(
    stage: Stage, venue: Venue, status: PassStatus, stop: Stop | None, zh: str, en: str
) -> None:
    ticket = stopped(venue, stop, status)
    venue.settle(stage.data_dir)
    stage.show(ticket.text)
    told = [scans.detail(stage.scans()[0], speech).what for speech in (ZH, EN)]
    assert told == [zh, en]


def test_a_pass_that_is_resumed_is_let_in_and_nothing_is_kept_of_why_it_was_stopped(stage: Stage, venue: Venue) -> None:
    ticket = stopped(venue, Stop(StopCause.LOST, HOURS_AGO))
    venue.settle(stage.data_dir)
    del venue.stops[ticket.pass_id]
    venue.issue()
    venue.publish(version=43)
    venue.feed.install(stage.data_dir)
    held = stage.clock.look().pass_list
    assert held is not None
    listed = held.find(ticket.pass_id)
    assert listed is not None and listed.stop is None
