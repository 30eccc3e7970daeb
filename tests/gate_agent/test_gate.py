"""The conductor: on disk before anything moves, one story per visitor, and every way it can go wrong."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import msgspec
import pytest

from gate_agent import entries as entries_module
from gate_agent.decision import Refuse
from gate_agent.events import EventWord, came_and_went
from gate_agent.faces import IDLE, Limit, State
from gate_agent.judging import append_event
from hardware.indicator import Signal
from hardware.simulated_turnstile import WINDOW_MS, TurnstileTrouble, Walk
from hardware.turnstile import Direction, Note
from tests.gate_agent.stage import Stage, admitted, stage_at
from tests.gate_agent.venue import ANNUAL, NOW_MINUTE, NOW_MS, SINGLE, TWICE, VERSION, Venue
from wire import moments, token
from wire.entitlement import Rule
from wire.messages import ClockTrust, EntryKind, Presentation
from wire.reasons import Reason

DAY_MS = 86_400_000
HOUR_MS = 3_600_000


def test_the_entry_is_on_disk_before_the_relay_moves(stage: Stage, venue: Venue) -> None:
    """What another process reads at the very moment of the pulse."""
    ticket = venue.issue()
    venue.settle(stage.data_dir)
    seen: list[tuple[object, ...]] = []
    arm = stage.arms[0]
    open_for = arm.open_for

    def look_first(direction: Direction, pulse_ms: int, note: Note) -> int:
        with closing(sqlite3.connect(stage.data_dir / "entries.db")) as db:
            seen.extend(db.execute("SELECT seq, kind, pass_id FROM entry"))
        assert note == {"pass": ticket.pass_id.hex(), "entry_seq": 1}
        return open_for(direction, pulse_ms, note)

    arm.open_for = look_first  # type: ignore[method-assign]
    assert admitted(stage.show(ticket.text))
    assert seen == [(1, EntryKind.INTENT, ticket.pass_id)]
    assert stage.pulses() == [1]


def test_a_visitor_walks_through(stage: Stage, venue: Venue) -> None:
    ticket = venue.issue()
    venue.settle(stage.data_dir)
    stage.arms[0].walk(Walk.THROUGH)
    assert admitted(stage.show(ticket.text))
    face = stage.face()
    assert (face.verdict, face.holder, face.product.zh) == (State.ADMITTED, "李*花", "汴京旅游年票")
    assert face.facts.entries_today == 1
    assert face.facts.until_ms == moments.minute_ms(ticket.claims.not_after)
    assert stage.signal() is Signal.GO
    stage.wait(2_000)
    assert stage.told() == ["intent 1", "passed 1 1"]
    assert stage.scans()[0].passed is True
    stage.wait(6_000)
    assert stage.face() == IDLE
    assert stage.signal() is Signal.IDLE
    intent = stage.written()[0]
    assert (intent.presentation, intent.evidence) == (Presentation.STATIC, token.evidence_of(ticket.text))
    assert (intent.device_at_ms, intent.trust, intent.lane) == (NOW_MS, ClockTrust.TRUSTED, 1)
    assert (intent.list_epoch, intent.list_version) == (1, VERSION)


def test_once_a_day_is_once_at_all_lanes_and_again_tomorrow(stage: Stage, venue: Venue) -> None:
    ticket = venue.issue()
    venue.settle(stage.data_dir)
    stage.arms[0].walk(Walk.THROUGH)
    stage.show(ticket.text)
    stage.wait(2_000)
    assert stage.show(ticket.text, lane=2) == Refuse(Reason.USED_UP)
    facts = stage.face(2).facts
    assert (facts.at_ms, facts.at_lane, facts.limit) == (NOW_MS, 1, Limit.ONCE_A_DAY)
    assert stage.pulses(2) == []
    stage.clock.began_ms += DAY_MS
    assert admitted(stage.show(ticket.text, lane=2))
    assert stage.told() == ["intent 1", "passed 1 1", "refused 1 used_up", "intent 1"]


@pytest.mark.parametrize(("product", "times", "limit"), [(SINGLE, 1, Limit.TOTAL), (TWICE, 2, Limit.DAY)])
def test_each_product_has_its_own_allowance(stage: Stage, venue: Venue, product: int, times: int, limit: Limit) -> None:
    ticket = venue.issue(product)
    venue.settle(stage.data_dir)
    for number in range(times):
        stage.arms[0].walk(Walk.THROUGH)
        assert admitted(stage.show(ticket.text))
        assert stage.face().facts.entries_today == number + 1
        stage.wait(2_000)
    assert stage.show(ticket.text) == Refuse(Reason.USED_UP)
    assert stage.face().facts.limit is limit


def test_who_does_not_walk_has_his_right_back(stage: Stage, venue: Venue) -> None:
    ticket = venue.issue(SINGLE)
    venue.settle(stage.data_dir)
    stage.show(ticket.text)
    stage.wait(WINDOW_MS + 900)
    assert stage.told() == ["intent 1"]
    stage.wait(200)
    assert stage.told() == ["intent 1", "annulled 1 1"]
    assert stage.face().verdict is State.NOT_PASSED
    assert admitted(stage.show(ticket.text))


def test_shown_again_while_open_a_proven_lane_opens_again_and_counts_once(stage: Stage, venue: Venue) -> None:
    first, second = venue.issue(), venue.issue()
    venue.settle(stage.data_dir)
    stage.arms[0].walk(Walk.THROUGH)
    stage.show(first.text)
    stage.wait(3_000)
    stage.show(second.text)
    stage.wait(WINDOW_MS + 500)  # the arm has locked again, nobody passed, not yet annulled
    assert admitted(stage.show(second.text))
    assert stage.face().verdict is State.REOPENED
    stage.arms[0].walk(Walk.THROUGH)
    stage.wait(2_000)
    assert stage.pulses() == [1, 3, 3]
    assert stage.told() == ["intent 1", "passed 1 1", "intent 2", "passed 2 3"]


def test_shown_again_at_an_unproven_lane_is_used_up(stage: Stage, venue: Venue) -> None:
    ticket = venue.issue()
    venue.settle(stage.data_dir)
    stage.show(ticket.text)
    stage.wait(WINDOW_MS + 500)
    assert stage.show(ticket.text) == Refuse(Reason.USED_UP)
    assert stage.pulses() == [1]


def test_a_lane_without_a_sensor_assumes_at_once(tmp_path: Path, venue: Venue) -> None:
    ticket = venue.issue()
    venue.settle(tmp_path)
    with stage_at(tmp_path, has_sensor=False) as stage:
        stage.show(ticket.text)
        assert stage.told() == ["intent 1", "passed_assumed 1 1"]
        assert stage.face().verdict is State.ADMITTED
        assert stage.show(ticket.text) == Refuse(Reason.USED_UP)


def test_a_turnstile_that_cannot_pulse_costs_the_visitor_nothing(stage: Stage, venue: Venue) -> None:
    ticket = venue.issue(SINGLE)
    venue.settle(stage.data_dir)
    stage.arms[0].trouble(TurnstileTrouble.RELAY_GONE)
    assert stage.show(ticket.text) == Refuse(Reason.FAULT)
    assert (stage.face().verdict, stage.face().facts.to_lane) == (Reason.FAULT, 2)
    assert stage.told() == ["intent 1", "annulled 1 1 fault"]
    assert admitted(stage.show(ticket.text, lane=2))


def test_what_cannot_be_written_does_not_open(stage: Stage, venue: Venue) -> None:
    ticket = venue.issue()
    venue.settle(stage.data_dir)
    stage.disk_takes(False)
    assert stage.show(ticket.text) == Refuse(Reason.CANNOT_RECORD)
    assert stage.pulses() == []
    assert stage.face().facts.to_lane is None  # the other lane has the same journal
    stage.disk_takes(True)
    assert admitted(stage.show(ticket.text))


def test_an_outcome_the_disk_did_not_take_is_written_when_it_does(stage: Stage, venue: Venue) -> None:
    ticket = venue.issue()
    venue.settle(stage.data_dir)
    stage.arms[0].walk(Walk.THROUGH)
    stage.show(ticket.text)
    stage.disk_takes(False)
    stage.wait(2_000)
    assert stage.gate.next_tick_ns(stage.lanes[0]) is not None
    stage.disk_takes(True)
    stage.wait(1_000)
    assert stage.told() == ["intent 1", "passed 1 1"]


def test_a_screen_that_fails_costs_no_entry_its_outcome(
    tmp_path: Path, venue: Venue, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError

    ticket = venue.issue()
    venue.settle(tmp_path)
    with stage_at(tmp_path, has_sensor=False) as stage:
        with monkeypatch.context() as broken:
            broken.setattr(stage.board, "face", fail)
            with pytest.raises(ZeroDivisionError):
                stage.show(ticket.text)
        assert stage.pulses() == [1]
        stage.gate.tick(stage.lanes[0])
        assert stage.told() == ["intent 1", "passed_assumed 1 1"]


def test_a_driver_that_fails_in_no_known_way_costs_no_entry_its_outcome(
    stage: Stage, venue: Venue, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError

    ticket = venue.issue()
    venue.settle(stage.data_dir)
    monkeypatch.setattr(stage.arms[0], "open_for", fail)
    with pytest.raises(ZeroDivisionError):
        stage.show(ticket.text)
    stage.gate.tick(stage.lanes[0])
    assert stage.told() == ["intent 1", "unresolved 1 1"]


def test_a_driver_that_fails_in_no_known_way_leaves_no_exit_without_an_end(
    tmp_path: Path, venue: Venue, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether the arm moved is not known: who is not known to have left is inside, or a pass would be handed back."""

    def fail(*_: object) -> None:
        raise ZeroDivisionError

    venue.products = tuple(
        msgspec.structs.replace(product, rule=Rule(per_day=None, leave_first=True)) for product in venue.products
    )
    ticket = venue.issue()
    venue.settle(tmp_path)
    with stage_at(tmp_path, ways=(Direction.OUT, Direction.IN)) as stage:
        stage.arms[1].walk(Walk.THROUGH)
        assert admitted(stage.show(ticket.text, lane=2))
        stage.wait(2_000)
        with monkeypatch.context() as broken:
            broken.setattr(stage.arms[0], "open_for", fail)
            with pytest.raises(ZeroDivisionError):
                stage.show(ticket.text)
            with pytest.raises(ZeroDivisionError):
                stage.gate.let_in(stage.lanes[0], "李小芳", "assisted")
        stage.gate.tick(stage.lanes[0])
        assert stage.told()[2:] == [
            "event 1 exit",
            "event exit: assisted",
            "event 1 exit_unresolved",
            "event exit_unresolved",
        ]
        assert sum(came_and_went(entry.reason or "")[1] for entry in stage.written()) == 0
        assert stage.show(ticket.text, lane=2) == Refuse(Reason.ALREADY_INSIDE)


def test_on_a_nearly_full_disk_refusals_and_events_are_no_longer_written_and_admissions_are(
    stage: Stage, venue: Venue, monkeypatch: pytest.MonkeyPatch
) -> None:
    good, late = venue.issue(), venue.issue(not_after=NOW_MINUTE)
    venue.settle(stage.data_dir)
    monkeypatch.setattr(entries_module, "KEPT_FOR_ADMISSIONS_BYTES", 1 << 62)
    stage.journal.post(lambda entries: append_event(entries, EventWord.WRONG_PIN, stage.clock.look()))
    assert stage.show(late.text) == Refuse(Reason.EXPIRED)
    assert admitted(stage.show(good.text))
    assert stage.show(good.text, lane=2) == Refuse(Reason.USED_UP)
    assert stage.told() == ["intent 1"]


def crashed(folder: Path, venue: Venue, text: str) -> None:
    """A gate that was killed while an intent was open."""
    venue.settle(folder)
    with stage_at(folder) as stage:
        assert admitted(stage.show(text))


def test_after_a_crash_the_same_visitor_goes_on(tmp_path: Path, venue: Venue) -> None:
    ticket = venue.issue(SINGLE)
    crashed(tmp_path, venue, ticket.text)
    with stage_at(tmp_path) as stage:
        stage.wait(3_000)
        stage.recover()
        assert admitted(stage.show(ticket.text))
        assert stage.face().verdict is State.REOPENED
        stage.arms[0].walk(Walk.THROUGH)
        stage.wait(2_000)
        assert stage.told() == ["intent 1", "passed 1 1"]
        assert stage.pulses() == [1]


@pytest.mark.parametrize("why", ["nobody came", "another boot"])
def test_after_a_crash_an_intent_nobody_goes_on_with_is_unresolved_and_counts(
    tmp_path: Path, venue: Venue, why: str
) -> None:
    ticket = venue.issue(SINGLE)
    crashed(tmp_path, venue, ticket.text)
    with stage_at(tmp_path) as stage:
        if why == "another boot":
            stage.clock.boot = "next"
        stage.recover()
        stage.wait(15_000 if why == "nobody came" else 0)
        assert stage.told() == ["intent 1", "unresolved 1 1"]
        assert stage.show(ticket.text) == Refuse(Reason.USED_UP)


def test_after_a_crash_another_lane_does_not_go_on_with_it(tmp_path: Path, venue: Venue) -> None:
    ticket = venue.issue(SINGLE)
    crashed(tmp_path, venue, ticket.text)
    with stage_at(tmp_path) as stage:
        stage.recover()
        assert stage.show(ticket.text, lane=2) == Refuse(Reason.USED_UP)


def test_one_visitor_replaces_another_on_the_screen_at_once(stage: Stage, venue: Venue) -> None:
    good, late = venue.issue(ANNUAL), venue.issue(not_after=NOW_MINUTE)
    venue.settle(stage.data_dir)
    stage.show(late.text)
    assert stage.face().verdict is Reason.EXPIRED
    stage.show(good.text)
    assert stage.face().verdict is State.ADMITTED
    assert stage.face() != IDLE
