"""Acts of staff: by the right PIN and role, once for each sheet, written down with who did them or why not."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path

import pytest

from gate_agent import staff, sync_requests
from gate_agent.acting import Acts
from gate_agent.acts import Act, Came, Result, Wish
from gate_agent.pins import Attempts, Pins
from gate_agent.settings import Settings, StaffSettings
from gate_agent.sheets import ANSWER_KEPT_MS, DIGEST_BYTES, SHEETS_LIMIT, Sheets
from gate_agent.staff import Role, Staff
from gate_agent.sync_state import RequestAnswer, SyncView
from tests.gate_agent.members import employ
from tests.gate_agent.stage import Here, Stage
from wire.messages import EntryKind

STEWARD, SUPERVISOR, WRONG = "4071", "583920", "9138"


@pytest.fixture
def acts(stage: Stage) -> Acts:
    employ(stage.data_dir, ("李小芳", Role.STEWARD, STEWARD), ("张国", Role.SUPERVISOR, SUPERVISOR))
    pins = Pins(Staff(stage.data_dir), stage.journal, stage.clock.look, Attempts())
    held = Settings(staff=StaffSettings(let_in_per_day=3, export_to=str(stage.data_dir / "media")))
    sync, lanes = SyncView.open(stage.data_dir), {1: Here(stage.lanes[0]), 2: Here(stage.lanes[1])}
    return Acts(stage.data_dir, pins, stage.journal, stage.clock.look, stage.gate, lanes, sync, held)


@pytest.fixture
def answer(monkeypatch: pytest.MonkeyPatch) -> list[RequestAnswer | None]:
    """What sync answers, in turn; nothing when there is none left."""
    answers: list[RequestAnswer | None] = []
    monkeypatch.setattr(sync_requests, "ask", lambda *_: answers.pop(0) if answers else None)
    return answers


def do(acts: Acts, act: Act, pin: str, **fields: str) -> Result:
    once, _ = acts.open_sheet()
    return acts.carry_out(Wish(act, once, **fields), pin)  # type: ignore[arg-type]


def events(stage: Stage) -> list[tuple[str | None, str | None]]:
    return [(entry.reason, entry.who) for entry in stage.written() if entry.kind is EntryKind.EVENT]


def test_an_act_is_done_by_a_pin_and_written_down_with_its_owner(
    acts: Acts, stage: Stage, answer: list[RequestAnswer | None]
) -> None:
    answer.append(RequestAnswer(True))
    assert do(acts, Act.SYNC, STEWARD) == Result(Came.DONE, who="李*芳")
    assert events(stage) == [("sync", "李小芳")]


def test_who_may_not_is_told_and_written_down(acts: Acts, stage: Stage) -> None:
    assert do(acts, Act.EXPORT, STEWARD).came is Came.NOT_ALLOWED
    assert do(acts, Act.EXPORT, SUPERVISOR).came is Came.NO_MEDIUM
    assert events(stage) == [("export refused: not_allowed", "李小芳"), ("export refused: no_medium", "张国")]


def test_wrong_pins_do_nothing_and_pause_everybody(acts: Acts, stage: Stage) -> None:
    assert [do(acts, Act.SYNC, WRONG).left for _ in range(2)] == [2, 1]
    assert do(acts, Act.SYNC, WRONG) == Result(Came.PINS_PAUSED, left=0, wait_ms=30_000)
    assert do(acts, Act.SYNC, STEWARD).came is Came.PINS_PAUSED
    assert acts.open_sheet()[1] == 30_000
    assert events(stage) == [("wrong_pin", None)] * 3


def test_a_box_without_staff_or_with_a_broken_file_says_what_to_do(acts: Acts, stage: Stage) -> None:
    (stage.data_dir / staff.NAME).write_text("{")
    assert do(acts, Act.SYNC, STEWARD).came is Came.STAFF_UNREADABLE
    (stage.data_dir / staff.NAME).unlink()
    assert do(acts, Act.SYNC, STEWARD).came is Came.NO_STAFF


def test_a_sheet_sent_again_gets_the_same_answer_and_nothing_is_done_twice(
    acts: Acts, stage: Stage, answer: list[RequestAnswer | None]
) -> None:
    answer += [RequestAnswer(True), RequestAnswer(False, "unreachable")]
    wish = Wish(Act.SYNC, acts.open_sheet()[0])
    first = acts.carry_out(wish, STEWARD)
    assert acts.carry_out(wish, STEWARD) == acts.carry_out(wish, WRONG) == first
    assert len(events(stage)) == 1


def test_a_sheet_goes_on_after_a_wrong_pin_and_ends_with_the_agent(
    acts: Acts, answer: list[RequestAnswer | None]
) -> None:
    answer.append(RequestAnswer(True))
    wish = Wish(Act.SYNC, acts.open_sheet()[0])
    assert acts.carry_out(wish, WRONG).came is Came.WRONG_PIN
    assert acts.carry_out(wish, STEWARD).came is Came.DONE
    assert acts.carry_out(Wish(Act.SYNC, "0" * 24), STEWARD).came is Came.SHEET_OLD


def test_what_sync_says_is_told_and_its_silence_too(
    acts: Acts, stage: Stage, answer: list[RequestAnswer | None]
) -> None:
    answer += [RequestAnswer(False, "unreachable", "no answer"), None]
    assert do(acts, Act.SYNC, STEWARD) == Result(Came.CENTRE, who="李*芳", word="unreachable", detail="no answer")
    assert do(acts, Act.SYNC, STEWARD).came is Came.SYNC_SILENT
    assert events(stage) == [("sync refused: unreachable", "李小芳"), ("sync refused: sync_silent", "李小芳")]


def test_with_a_full_disk_a_supervisor_is_still_known(acts: Acts, stage: Stage) -> None:
    stage.disk_takes(False)
    assert do(acts, Act.EXPORT, SUPERVISOR).came is Came.NO_MEDIUM
    assert [do(acts, Act.EXPORT, WRONG).came for _ in range(3)][-1] is Came.PINS_PAUSED
    stage.disk_takes(True)


def test_only_so_many_sheets_are_open_and_a_double_tap_waits_for_the_first() -> None:
    sheets: Sheets[str] = Sheets(lambda: 0)
    first = sheets.hand_out()
    for _ in range(SHEETS_LIMIT):
        last = sheets.hand_out()
    assert sheets.take(first, b"act", lambda: ("done", True), "busy", "unknown") == "unknown"

    begun, go_on, done = threading.Event(), threading.Event(), []

    def slow() -> tuple[str, bool]:
        begun.set()
        go_on.wait(10)
        done.append(1)
        return "done", True

    said: list[str] = []
    taps = [
        threading.Thread(target=lambda: said.append(sheets.take(last, b"act", slow, "busy", "unknown")))
        for _ in range(2)
    ]
    taps[0].start()
    assert begun.wait(10)
    taps[1].start()
    go_on.set()
    for tap in taps:
        tap.join(10)
    assert (said, done) == (["done", "done"], [1])


def test_an_act_that_failed_in_no_known_way_is_not_tried_again() -> None:
    sheets: Sheets[str] = Sheets(lambda: 0)
    once = sheets.hand_out()

    def broken() -> tuple[str, bool]:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        sheets.take(once, b"act", broken, "busy", "unknown")
    assert sheets.take(once, b"act", lambda: ("done", True), "busy", "unknown") == "unknown"


def test_an_answer_is_given_again_for_a_while_only_and_what_was_asked_is_kept_as_a_digest() -> None:
    now_ms = [0]
    sheets: Sheets[str] = Sheets(lambda: now_ms[0])
    asked = b"what somebody typed into the sheet"
    once = sheets.hand_out()

    def again(asked: bytes) -> str:
        return sheets.take(once, asked, lambda: ("done", True), "busy", "unknown")

    assert again(asked) == "done"
    now_ms[0] = ANSWER_KEPT_MS - 1
    assert (again(asked), again(b"something else")) == ("done", "unknown")
    [sheet] = sheets._open.values()
    assert len(sheet.asked) == DIGEST_BYTES, "nothing of what was typed"
    other = Sheets[str](lambda: 0)
    other.take(other.hand_out(), asked, lambda: ("done", True), "busy", "unknown")
    assert [held.asked for held in other._open.values()] != [sheet.asked], "the digest is keyed"
    now_ms[0] = ANSWER_KEPT_MS
    assert again(asked) == "unknown"
    assert not sheets._open


def test_no_sheet_that_was_carried_out_says_that_something_else_was(
    acts: Acts, answer: list[RequestAnswer | None]
) -> None:
    answer += [RequestAnswer(True)]
    wish = Wish(Act.SYNC, acts.open_sheet()[0])
    assert acts.carry_out(wish, STEWARD).came is Came.DONE
    assert acts.carry_out(replace(wish, act=Act.HOLD, minutes=60), WRONG) == Result(Came.SHEET_OLD)
    assert acts.carry_out(wish, WRONG).came is Came.DONE


def test_an_export_is_written_down_with_where_it_is(acts: Acts, stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gate_agent.export.write_to_medium", lambda *_: Path("/media/STICK/gate-export-1"))
    assert do(acts, Act.EXPORT, SUPERVISOR).detail == "/media/STICK/gate-export-1"
    assert events(stage) == [("export", "张国")]
