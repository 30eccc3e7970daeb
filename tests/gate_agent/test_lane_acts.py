"""Acts of staff at a lane: each on disk before the arm moves, within the member's day, and not where it cannot be."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from gate_agent import lane_acts
from gate_agent.acting import Acts
from gate_agent.acts import Act, Came, Result, Wish, tried
from gate_agent.faces import State
from gate_agent.lane_state import LaneState, lane_state
from gate_agent.pins import Attempts, Pins
from gate_agent.recognition import recognise
from gate_agent.settings import Settings, StaffSettings
from gate_agent.staff import Role, Staff
from gate_agent.sync_state import SyncView
from hardware import DeviceFault
from hardware.card_reader import PULLED, CardFault, CardRead
from hardware.simulated_turnstile import TurnstileTrouble, Walk
from hardware.turnstile import Direction
from tests.gate_agent.members import employ
from tests.gate_agent.stage import Here, Stage, admitted, stage_at
from tests.gate_agent.venue import Ticket, Venue
from tests.waiting import until
from wire.messages import Entry, EntryKind, Presentation
from wire.reasons import Reason

pytestmark = pytest.mark.slow  # each hashes PINs

STEWARD, OTHER_STEWARD, SUPERVISOR = "4071", "7318", "583920"
LIMIT = 4
CARD = CardRead("410200", "A12345678", "0123456789ABCDEF", id_number="41020319900307773X")
HOUR_MS = 3_600_000


class Staffed:
    """A stage with members who act at its lanes."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        stage.gate.standing.look()  # the lanes have started
        self.lanes = {lane.number: Here(lane) for lane in stage.lanes}
        pins = Pins(Staff(stage.data_dir), stage.journal, stage.clock.look, Attempts())
        held = Settings(staff=StaffSettings(let_in_per_day=LIMIT))
        sync = SyncView.open(stage.data_dir)
        self.acts = Acts(stage.data_dir, pins, stage.journal, stage.clock.look, stage.gate, self.lanes, sync, held)

    def do(self, act: Act, pin: str = STEWARD, **fields: object) -> Result:
        """Open a sheet for lane 1 unless told otherwise, and send it."""
        wish = Wish(act, self.acts.open_sheet()[0], **{"lane": 1, "reason": "other", **fields})  # type: ignore[arg-type]
        return self.acts.carry_out(wish, pin)

    def by_staff(self) -> list[tuple[EntryKind, str | None, str | None]]:
        """What the journal tells of staff: kind, reason, who."""
        return [(entry.kind, entry.reason, entry.who) for entry in self.stage.written() if entry.who is not None]


def members(data_dir: Path) -> None:
    stewards = ("李小芳", Role.STEWARD, STEWARD), ("王五", Role.STEWARD, OTHER_STEWARD)
    employ(data_dir, *stewards, ("张国", Role.SUPERVISOR, SUPERVISOR))


@pytest.fixture
def ticket(venue: Venue) -> Ticket:
    """An annual pass, the first of the venue."""
    return venue.issue()


@pytest.fixture
def staffed(stage: Stage, venue: Venue, ticket: Ticket) -> Staffed:
    members(stage.data_dir)
    venue.settle(stage.data_dir)
    return Staffed(stage)


def entry_of(staffed: Staffed, kind: EntryKind) -> Entry:
    [found] = [entry for entry in staffed.stage.written() if entry.kind is kind]
    return found


def test_one_is_let_in_with_who_and_why_on_disk_before_the_arm_moves(staffed: Staffed) -> None:
    on_disk: list[int] = []
    open_for = staffed.stage.arms[0].open_for

    def spying(direction: Direction, pulse_ms: int, note: object) -> int:
        on_disk.extend(entry.seq for entry in staffed.stage.written() if entry.kind is EntryKind.MANUAL)
        return open_for(direction, pulse_ms, note)  # type: ignore[arg-type]

    staffed.stage.arms[0].open_for = spying  # type: ignore[method-assign]
    assert staffed.do(Act.LET_IN, reason="assisted") == Result(Came.DONE, "李*芳", count=1, used=1, left=LIMIT - 1)
    manual = entry_of(staffed, EntryKind.MANUAL)
    assert (manual.who, manual.reason, manual.lane, manual.pass_id) == ("李小芳", "assisted", 1, None)
    assert on_disk == staffed.stage.pulses() == [manual.seq]


def test_a_steward_has_a_day_of_people_and_a_supervisor_any_number(staffed: Staffed) -> None:
    for left in range(LIMIT - 1, -1, -1):
        assert staffed.do(Act.LET_IN).left == left
        staffed.stage.wait(7_000)
    assert staffed.do(Act.LET_IN) == Result(Came.DAY_LIMIT, "李*芳", used=LIMIT, left=0)
    assert staffed.do(Act.LET_IN, OTHER_STEWARD).left == LIMIT - 1
    staffed.stage.wait(7_000)
    for _ in range(LIMIT + 1):
        assert staffed.do(Act.LET_IN, SUPERVISOR).left is None
        staffed.stage.wait(7_000)
    assert (EntryKind.EVENT, "let_in refused: day_limit", "李小芳") in staffed.by_staff()


def test_the_day_outlives_a_restart_and_ends_at_the_venues_midnight(tmp_path: Path, venue: Venue) -> None:
    """NOW_MS is 10:00 of the venue's day."""
    members(tmp_path)
    venue.issue()
    venue.settle(tmp_path)
    for used in range(1, LIMIT + 1):
        with stage_at(tmp_path) as stage:
            assert Staffed(stage).do(Act.LET_IN).used == used
    with stage_at(tmp_path) as stage:
        assert Staffed(stage).do(Act.LET_IN).came is Came.DAY_LIMIT
        today = stage.clock.look().today
        assert today.began_monotonic_ms is not None
        stage.clock.began_ms += 24 * HOUR_MS + today.began_monotonic_ms - stage.clock.look().now.monotonic_ms - 1_000
        assert Staffed(stage).do(Act.LET_IN).came is Came.DAY_LIMIT
        stage.clock.began_ms += 1_000
        assert Staffed(stage).do(Act.LET_IN).used == 1


def test_what_the_turnstile_did_not_take_is_no_part_of_the_day(staffed: Staffed) -> None:
    open_for = staffed.stage.arms[0].open_for

    def away(direction: Direction, pulse_ms: int, note: object) -> int:
        raise DeviceFault("no answer")

    staffed.stage.arms[0].open_for = away  # type: ignore[method-assign]
    assert staffed.do(Act.LET_IN).came is Came.TURNSTILE
    staffed.stage.arms[0].open_for = open_for  # type: ignore[method-assign]
    assert staffed.do(Act.LET_IN).used == 1


def test_while_the_time_is_not_known_the_boot_is_the_day(staffed: Staffed) -> None:
    staffed.stage.clock.knows_time = False
    for _ in range(LIMIT):
        assert staffed.do(Act.LET_IN).came is Came.DONE
        staffed.stage.wait(7_000)
    assert staffed.do(Act.LET_IN).came is Came.DAY_LIMIT
    staffed.stage.clock.boot = "next"
    assert staffed.do(Act.LET_IN).came is Came.DONE


def test_a_group_is_counted_by_person_from_the_moment_it_begins(staffed: Staffed) -> None:
    assert staffed.do(Act.GROUP, count=LIMIT + 1, reason="school").came is Came.DAY_LIMIT
    assert staffed.do(Act.GROUP, count=3, reason="school") == Result(Came.DONE, "李*芳", count=3, used=3, left=1)
    assert staffed.do(Act.GROUP, count=2, lane=2).came is Came.DAY_LIMIT  # the two who still wait are counted
    assert staffed.do(Act.LET_IN).came is Came.GROUP_GOING
    for _ in range(3):
        staffed.stage.arms[0].walk(Walk.THROUGH)
        staffed.stage.wait(3_000)
    manual = [entry for entry in staffed.stage.written() if entry.kind is EntryKind.MANUAL]
    assert [(entry.reason, entry.who) for entry in manual] == [("school", "李小芳")] * 3
    assert staffed.stage.pulses() == [entry.seq for entry in manual]
    assert staffed.do(Act.LET_IN).left == 0


def test_where_nobody_can_be_let_in_nothing_moves_and_the_journal_says_why(staffed: Staffed) -> None:
    assert staffed.do(Act.CLOSE, reason="repair").came is Came.DONE
    assert staffed.do(Act.LET_IN).came is Came.LANE_CLOSED
    assert staffed.do(Act.OPEN).came is Came.DONE
    staffed.stage.disk_takes(False)
    assert staffed.do(Act.LET_IN).came is Came.CANNOT_RECORD
    staffed.stage.disk_takes(True)
    staffed.lanes[1].silent = True
    assert staffed.do(Act.LET_IN).came is Came.LANE_SILENT
    assert staffed.stage.pulses() == []
    told = [(reason, who) for kind, reason, who in staffed.by_staff() if kind is EntryKind.EVENT]
    assert ("let_in refused: lane_closed", "李小芳") in told
    assert ("let_in refused: lane_silent", "李小芳") in told


def test_in_a_fire_staff_open_nothing(staffed: Staffed, ticket: Ticket) -> None:
    staffed.stage.gate.standing.fire_input(2, True)
    for act in (Act.LET_IN, Act.GROUP, Act.COUNTER, Act.CHECK, Act.TEST_CARD, Act.OPEN, Act.CLOSE):
        assert staffed.do(act, count=2, pass_id=ticket.pass_id).came is Came.FIRE, act
    assert staffed.stage.pulses() == []


def test_an_entry_is_returned_once(staffed: Staffed, ticket: Ticket) -> None:
    assert admitted(staffed.stage.show(ticket.text))
    seq = entry_of(staffed, EntryKind.INTENT).seq
    assert staffed.do(Act.RETURN, entry_seq=seq).came is Came.STILL_OPEN
    staffed.stage.arms[0].walk(Walk.THROUGH)
    staffed.stage.wait(7_000)
    assert staffed.do(Act.RETURN, entry_seq=seq, reason="wrong_pass").came is Came.DONE
    returned = entry_of(staffed, EntryKind.RETURNED)
    assert (returned.ref_seq, returned.pass_id) == (seq, ticket.pass_id)
    assert (returned.who, returned.reason) == ("李小芳", "wrong_pass")
    assert staffed.do(Act.RETURN, entry_seq=seq).came is Came.DOES_NOT_COUNT
    assert admitted(staffed.stage.show(ticket.text))
    assert staffed.do(Act.RETURN, entry_seq=9_999).came is Came.NO_SUCH_ENTRY


def test_a_pass_found_by_its_number_is_judged_by_its_own_rules(staffed: Staffed, ticket: Ticket) -> None:
    pass_id = ticket.pass_id
    assert staffed.do(Act.COUNTER, pass_id=pass_id, reason="no_phone").came is Came.DONE
    intent = entry_of(staffed, EntryKind.INTENT)
    assert (intent.presentation, intent.who, intent.reason) == (Presentation.COUNTER, "李小芳", "no_phone")
    assert (intent.pass_id, intent.evidence) == (pass_id, None)
    staffed.stage.arms[0].walk(Walk.THROUGH)
    staffed.stage.wait(7_000)
    assert staffed.do(Act.COUNTER, pass_id=pass_id) == Result(Came.REFUSED, "李*芳", reason=Reason.USED_UP)
    assert staffed.do(Act.COUNTER, pass_id=b"no pass!").reason is Reason.NOT_IN_LIST
    assert len(staffed.stage.pulses()) == 1


def test_a_lane_held_open_needs_a_supervisor_and_ends(staffed: Staffed) -> None:
    assert staffed.do(Act.HOLD, minutes=10).came is Came.NOT_ALLOWED
    assert staffed.do(Act.HOLD, SUPERVISOR, minutes=10, reason="crowd") == Result(Came.DONE, "张*", count=10)
    assert lane_state(staffed.stage.gate.standing.inputs(1)) is LaneState.HELD_OPEN
    staffed.stage.wait(10 * 60_000)
    assert lane_state(staffed.stage.gate.standing.inputs(1)) is LaneState.OPEN


def test_a_checked_pass_opens_nothing(staffed: Staffed) -> None:
    assert staffed.do(Act.CHECK).came is Came.DONE
    staffed.stage.show("https://pay.example/1")
    assert staffed.stage.pulses() == []
    assert (EntryKind.EVENT, "checked: not_ours", "李小芳") in staffed.by_staff()


@pytest.mark.parametrize("shown", [CARD, "https://pay.example/1", PULLED])
def test_a_card_is_tried_and_nothing_of_it_is_judged_or_written(
    staffed: Staffed, shown: CardRead | CardFault | str
) -> None:
    came: list[Result] = []
    asking = threading.Thread(target=lambda: came.append(staffed.do(Act.TEST_CARD)))
    asking.start()
    until(lambda: staffed.stage.lanes[0].check is not None)
    hold(staffed.stage, shown)()
    asking.join(10)
    assert came[0].came is Came.DONE
    assert came[0].tried == tried(shown if isinstance(shown, CardFault) else recognise(shown))
    if isinstance(shown, CardRead):
        assert not any(number in str(came) for number in (shown.number, shown.identification, str(shown.id_number)))
    assert staffed.by_staff() == [(EntryKind.EVENT, "test_card", "李小芳")]
    assert [entry for entry in staffed.stage.written() if entry.kind is not EntryKind.EVENT] == []
    hold(staffed.stage, shown)()
    assert staffed.stage.scans()[0].verdict is not None  # the next one is a visitor again


def test_a_reader_that_gives_nothing_is_told(staffed: Staffed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lane_acts, "TEST_CARD_S", 0.05)
    assert staffed.do(Act.TEST_CARD).came is Came.NOTHING_SHOWN


def hold(stage: Stage, shown: object) -> Callable[[], object]:
    if shown is PULLED:
        return lambda: stage.gate.unreadable(stage.lanes[0], PULLED)
    return lambda: stage.show(shown)  # type: ignore[arg-type]


def test_whom_staff_let_out_is_no_entry_and_takes_nothing_of_their_day(tmp_path: Path, venue: Venue) -> None:
    """The centre would count a visit, and pay for it, for somebody who left."""
    ticket = venue.issue()
    members(tmp_path)
    venue.settle(tmp_path)
    with stage_at(tmp_path, ways=(Direction.OUT, Direction.IN)) as stage:
        staffed = Staffed(stage)
        stage.arms[0].walk(Walk.THROUGH)
        assert staffed.do(Act.LET_IN) == Result(Came.DONE, who="李*芳", left=LIMIT, count=1)
        assert stage.face().verdict is State.EXIT
        stage.wait(10_000)
        stage.arms[0].walk(Walk.THROUGH)
        assert staffed.do(Act.GROUP, count=2).came is Came.DONE
        stage.wait(2_000)
        stage.arms[0].walk(Walk.THROUGH)
        stage.wait(10_000)
        stage.arms[0].walk(Walk.THROUGH)
        assert staffed.do(Act.COUNTER, pass_id=ticket.pass_id).came is Came.DONE
        stage.wait(10_000)
        stage.arms[0].trouble(TurnstileTrouble.RELAY_GONE)
        assert staffed.do(Act.LET_IN).came is Came.TURNSTILE
        assert stage.told() == [
            "event exit: other",
            "event exit: other",
            "event exit: other",
            "event group_by_hand: 2 of 2",
            "event 1 exit",
            "event exit: other",
            "event exit_annulled",
            "event let_in refused: turnstile",
        ]
        assert {entry.who for entry in stage.written()} == {"李小芳"}
