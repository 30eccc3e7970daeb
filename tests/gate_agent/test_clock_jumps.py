"""Somebody sets the clock while visitors come (quality.md, R9): nobody expired gets in, nobody good is sent away."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from gate_agent.decision import Admit, Refuse
from gate_agent.gate import Gate
from gate_agent.pass_list import PassListHolder
from gate_agent.recognition import recognise
from gate_agent.sync_state import SyncView
from gate_agent.sync_store import SyncStore
from gate_agent.time_trust import SignedTime
from gate_agent.world import LOOK_AGAIN_MS, WorldView
from tests.gate_agent.boxes import HandSetClocks, box_at
from tests.gate_agent.small_centre import SmallCentre
from tests.gate_agent.stage import Stage, stage_at
from tests.gate_agent.venue import DAY_MIN, NOW_MINUTE, NOW_MS, SINGLE, TWICE, Venue
from wire.messages import ClockTrust, EntryKind
from wire.moments import MINUTE_MS
from wire.presentation import STEP_MS
from wire.reasons import Reason

MINUTE, HOUR, DAY = MINUTE_MS, 60 * MINUTE_MS, 1440 * MINUTE_MS
BOOT_MS = 30 * HOUR
PAUSES_MS = (0, MINUTE, 5 * MINUTE, HOUR, HOUR)
"""Between one group of visitors and the next; the clock is set before the second."""
JUMPS = {"1970": -NOW_MS, "400 days back": -400 * DAY, "10 years on": 3650 * DAY, "200 days on": 200 * DAY}
KNOWN_BY = {
    "a signed time": [SignedTime(NOW_MS, BOOT_MS, "this boot")],
    "a signed time of yesterday": [SignedTime(NOW_MS - 20 * HOUR, BOOT_MS - 20 * HOUR, "this boot")],
    "the RTC": [SignedTime(NOW_MS - 7 * DAY, BOOT_MS, "an earlier boot")],
}

SOURCES = [(known_by, rtc) for known_by in KNOWN_BY for rtc in ("follows", "stays", "is none")]
SOURCES.remove(("the RTC", "is none"))
"""Where the time is from, and what the RTC does when the clock is set."""


@dataclass
class Jumped:
    """A gate on the machine's own clocks; its visitors come in groups that never show the same twice."""

    stage: Stage
    venue: Venue
    hands: HandSetClocks
    view: WorldView
    gate: Gate = field(init=False)
    passed_ms: int = 0

    def __post_init__(self) -> None:
        stage = self.stage
        self.gate = Gate(stage.journal, self.view.look, stage.board, stage.lanes, stage.timeline.now_ns)

    def wait(self, ms: int) -> None:
        """Time passes, and the agent's clock thread looks at the RTC as it always does."""
        for _ in range(0, ms, MINUTE):
            self.hands.advance(MINUTE)
            self.passed_ms += MINUTE
            self.view.time.look_at_rtc()
            self.view.look()

    def show(self, text: str) -> Reason | None:
        """None: admitted."""
        verdict = self.gate.present(self.stage.lanes[0], recognise(text))
        assert isinstance(verdict, Admit | Refuse)
        return verdict.reason if isinstance(verdict, Refuse) else None


Group = dict[str, tuple[str, Reason | None]]


@pytest.fixture
def groups(venue: Venue) -> list[Group]:
    """What the visitors of each group show, and what they are to be told."""
    made: list[Group] = []
    at_ms = NOW_MS
    for pause_ms in PAUSES_MS:
        at_ms += pause_ms
        minute = NOW_MINUTE + (at_ms - NOW_MS) // MINUTE
        entered = venue.issue()
        venue.used(entered, total=1, on_day=1)
        phone = venue.phone(venue.issue(TWICE))
        made.append(
            {
                "annual": (venue.issue(not_after=NOW_MINUTE + 90 * DAY_MIN).text, None),
                "single": (venue.issue(SINGLE).text, None),
                "last hours": (venue.issue(not_after=minute + 5).text, None),
                "first minutes": (venue.issue(not_before=minute - 5).text, None),
                "live code": (phone.short(at_ms), None),
                "copy": (phone.short(at_ms), Reason.CODE_REUSED),
                "old code": (phone.short(at_ms - 6 * STEP_MS), Reason.CODE_TOO_OLD),
                "code of the future": (phone.short(at_ms + 6 * STEP_MS), Reason.CODE_TOO_OLD),
                "expired": (venue.issue(not_after=minute - 5).text, Reason.EXPIRED),
                "long expired": (venue.issue(not_after=minute - 390 * DAY_MIN).text, Reason.EXPIRED),
                "early": (venue.issue(not_before=minute + 5).text, Reason.NOT_YET_ACTIVE),
                "next year": (venue.issue(not_before=minute + 100 * DAY_MIN).text, Reason.NOT_YET_ACTIVE),
                "entered": (entered.text, Reason.USED_UP),
            }
        )
    return made


@pytest.fixture
def hands() -> HandSetClocks:
    """The machine's clocks, RTC included."""
    return HandSetClocks(BOOT_MS, NOW_MS, NOW_MS, "this boot")


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    with stage_at(tmp_path, has_sensor=False) as one:
        yield one


def jumped(stage: Stage, venue: Venue, hands: HandSetClocks, signed: list[SignedTime]) -> Jumped:
    """The gate as it is before the jump."""
    venue.settle(stage.data_dir, knows_time=False)
    with closing(SyncStore(stage.data_dir)) as store:
        for one in signed:
            store.keep_signed_time(one)
    lists, sync = PassListHolder(stage.data_dir), SyncView.open(stage.data_dir)
    view = WorldView(hands.clocks(), lists, sync, b"spare", stage.entries.newest_trusted_ms)
    view.time.look_at_rtc()
    hands.advance(LOOK_AGAIN_MS)
    return Jumped(stage, venue, hands, view)


@pytest.mark.slow
@pytest.mark.parametrize("jump", JUMPS)
@pytest.mark.parametrize(("known_by", "rtc"), SOURCES)
def test_nobody_expired_gets_in_and_nobody_good_is_sent_away(
    stage: Stage, venue: Venue, hands: HandSetClocks, groups: list[Group], known_by: str, jump: str, rtc: str
) -> None:
    if rtc == "is none":
        hands.rtc_now_ms = None
    gate = jumped(stage, venue, hands, KNOWN_BY[known_by])
    for number, (group, pause_ms) in enumerate(zip(groups, PAUSES_MS, strict=True)):
        if number == 1:
            hands.os_now_ms += JUMPS[jump]
            if rtc == "follows" and hands.rtc_now_ms is not None:
                hands.rtc_now_ms += JUMPS[jump]  # the kernel writes it
        gate.wait(pause_ms)
        told = {who: gate.show(text) for who, (text, _) in group.items()}
        assert told == {who: reason for who, (_, reason) in group.items()}, f"after {gate.passed_ms // MINUTE} min"
    entries = stage.written()
    assert all(abs(entry.device_at_ms - NOW_MS) <= gate.passed_ms + 1_000 for entry in entries)
    shown = [entry for entry in entries if entry.kind in (EntryKind.INTENT, EntryKind.REFUSED)]
    assert len(shown) == sum(len(group) for group in groups)
    assert {entry.trust for entry in shown[len(groups[0]) :]} == {ClockTrust.HELD}


@pytest.mark.parametrize("jump", JUMPS)
def test_a_cold_boot_in_the_wrong_year_without_network_admits_a_good_annual_pass_once(
    stage: Stage, venue: Venue, groups: list[Group], jump: str
) -> None:
    """The RTC lost its time as well."""
    ticket, phone = venue.issue(), venue.phone(venue.issue())
    hands = HandSetClocks(5_000, NOW_MS + JUMPS[jump], None, "this boot")
    gate = jumped(stage, venue, hands, [SignedTime(NOW_MS - DAY, 5_000, "an earlier boot")])
    assert gate.show(ticket.text) is None
    assert gate.show(ticket.text) is Reason.CLOCK_UNKNOWN
    assert gate.show(phone.short(NOW_MS)) is Reason.CLOCK_UNKNOWN
    told = {who: gate.show(text) for who, (text, _) in groups[0].items()}
    assert [who for who, reason in told.items() if reason is None] == ["annual", "entered"]
    assert told["expired"] is told["last hours"] is told["early"] is Reason.CLOCK_UNKNOWN
    assert told["long expired"] is Reason.CLOCK_UNKNOWN


@pytest.mark.slow
@pytest.mark.parametrize("jump", JUMPS)
def test_a_jump_costs_sync_no_request_more(tmp_path: Path, jump: str) -> None:
    hands = HandSetClocks()
    with SmallCentre(lambda: NOW_MS) as centre, box_at(tmp_path, centre.url, hands) as box:
        centre.lists.publish(42)
        box.journal()
        box.pull.pull_once()
        box.push.push_once()
        before = len(centre.requests)
        hands.os_now_ms += JUMPS[jump]
        assert box.time.now().trust is ClockTrust.HELD
        for _ in range(5):
            rest = box.pull.pull_once()
            assert getattr(rest, "pause_s", 0) > 2
        box.push.push_once()
        assert len(centre.requests) <= before + 6
        assert box.time.now().at_ms == NOW_MS
