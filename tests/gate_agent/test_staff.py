"""Who may act at a box: the file of members, PINs that will not do, tries that are counted over restart and kill."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from click.testing import CliRunner

from gate_agent import staff
from gate_agent.cli import main
from gate_agent.entries import Entries
from gate_agent.journal import Journal
from gate_agent.pins import TRY_WEIGHS_MS, WEIGHT_LIMIT_MS, Attempts, NoStaff, Pins, PinsPaused, WrongPin
from gate_agent.staff import Member, Role, Staff, StaffError
from gate_agent.sync_state import SyncState
from gate_agent.time_trust import Now
from gate_agent.world import World
from tests.wire import samples
from wire.messages import ClockTrust

GOOD, OTHER, WRONG = "4071", "583920", "9138"


@pytest.mark.parametrize(
    "pin", ["", "123", "123456789", "12a4", "１２３４", "1111", "1234", "8765", "7890", "1212", "1122"]
)
def test_a_pin_that_would_be_guessed_is_refused(pin: str) -> None:
    assert staff.unfit(pin) is not None


@pytest.mark.parametrize("pin", [GOOD, OTHER, WRONG, "0935", "12043789"])
def test_any_other_pin_will_do(pin: str) -> None:
    assert staff.unfit(pin) is None


def test_the_file_is_ours_alone_and_holds_no_pin(tmp_path: Path) -> None:
    staff.add(tmp_path, "李", Role.STEWARD, GOOD)
    path = tmp_path / staff.NAME
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert GOOD not in path.read_text()
    assert [entry.name for entry in tmp_path.iterdir()] == [staff.NAME]


def test_members_are_added_and_removed_each_with_a_pin_of_its_own(tmp_path: Path) -> None:
    staff.add(tmp_path, "李", Role.STEWARD, GOOD)
    for name, pin, says in (
        ("张", GOOD, "another member"),
        ("李", OTHER, "already"),
        (" ", OTHER, "a name"),
        ("张", "1", "digits"),
    ):
        with pytest.raises(StaffError, match=says):
            staff.add(tmp_path, name, Role.STEWARD, pin)
    staff.add(tmp_path, "张", Role.SUPERVISOR, OTHER)
    assert [(one.name, one.role) for one in staff.load(tmp_path).members] == [("李", "steward"), ("张", "supervisor")]
    staff.remove(tmp_path, "李")
    with pytest.raises(StaffError, match="no 李"):
        staff.remove(tmp_path, "李")
    assert staff.load(tmp_path).find(GOOD) is None


def test_a_damaged_file_is_named_and_nothing_of_it_is_lost(tmp_path: Path) -> None:
    for text in ("{", '{"salt": "no hex"}', '{"salt": "00", "members": [{"name": "李"}]}'):
        (tmp_path / staff.NAME).write_text(text)
        with pytest.raises(StaffError, match="cannot be read"):
            staff.add(tmp_path, "李", Role.STEWARD, GOOD)
        assert (tmp_path / staff.NAME).read_text() == text


@pytest.mark.slow
def test_the_agent_sees_a_change_at_the_next_try(tmp_path: Path) -> None:
    agent = Staff(tmp_path)
    assert agent.roll() is None
    staff.add(tmp_path, "李", Role.STEWARD, GOOD)
    assert [member.name for member in agent.roll().members] == ["李"]  # type: ignore[union-attr]
    staff.add(tmp_path, "张", Role.STEWARD, OTHER)
    assert len(agent.roll().members) == 2  # type: ignore[union-attr]
    (tmp_path / staff.NAME).unlink()
    assert agent.roll() is None


@pytest.mark.slow
def test_members_are_named_on_the_command_line(tmp_path: Path) -> None:
    run = CliRunner().invoke
    data = ["--data", str(tmp_path)]
    assert run(main, ["staff", "add", "李", *data], input=f"{GOOD}\n{GOOD}\n").exit_code == 0
    assert (
        run(main, ["staff", "add", "张", "--role", "supervisor", "--pin-file", "-", *data], input=OTHER).exit_code == 0
    )
    assert run(main, ["staff", "list", *data]).output == "steward\t李\nsupervisor\t张\n"
    refused = run(main, ["staff", "add", "王", "--pin-file", "-", *data], input="1234")
    assert (refused.exit_code, "this PIN is one of the first" in refused.output) == (1, True)
    assert run(main, ["staff", "remove", "李", *data]).exit_code == 0
    assert run(main, ["staff", "list", *data]).output == "supervisor\t张\n"


def test_three_wrong_then_a_pause_that_doubles_to_ten_minutes() -> None:
    waits = []
    attempts = Attempts()
    for _ in range(9):
        attempts = attempts.one_more("boot", 5_000)
        waits.append(attempts.wait_ms("boot", 5_000) // 1000)
    assert waits == [0, 0, 30, 60, 120, 240, 480, 600, 600]
    assert Attempts(10**9, "boot", 0).wait_ms("boot", 600_000) == 0


@pytest.mark.slow
def test_no_right_pin_between_lets_anybody_guess_at_another_for_ever(tmp_path: Path) -> None:
    staff.add(tmp_path, "李", Role.STEWARD, GOOD)
    guesses = [pin for n in range(1_000, 1_060) if (pin := str(n)) not in (GOOD, OTHER)]
    looked_at = 0
    with box_at(tmp_path) as box:
        for one, another in zip(guesses[::2], guesses[1::2], strict=True):
            looked_at += sum(isinstance(box.pins.recognise(guess, 1), WrongPin) for guess in (one, another))
            box.pins.recognise(GOOD, 1)
    assert looked_at == WEIGHT_LIMIT_MS // TRY_WEIGHS_MS + 1
    with box_at(tmp_path) as box:
        assert box.pins.recognise(GOOD, 1) == PinsPaused(TRY_WEIGHS_MS)
        box.boot_ms += TRY_WEIGHS_MS
        assert isinstance(box.pins.recognise(GOOD, 1), Member)
        assert isinstance(box.pins.recognise(WRONG, 1), WrongPin)
        assert box.pins.recognise(WRONG, 1) == PinsPaused(TRY_WEIGHS_MS)
        box.boot_ms += 20 * TRY_WEIGHS_MS
        assert [box.pins.recognise(WRONG, 1) for _ in range(2)] == [WrongPin(1, 0), WrongPin(0, 30_000)]


def test_a_pause_goes_on_in_another_boot_from_the_machines_start() -> None:
    attempts = Attempts(3, "before", 9_000_000)
    assert attempts.wait_ms("now", 10_000) == 20_000
    assert attempts.wait_ms("now", 40_000) == 0


class Box:
    """Pins of a box whose clock a test moves."""

    def __init__(self, data_dir: Path, journal: Journal, entries: Entries) -> None:
        self.boot, self.boot_ms = "boot", 100_000
        self.entries, self.journal = entries, journal
        self.pins = Pins(Staff(data_dir), journal, self.look, Attempts(*entries.pin_attempts()))

    def look(self) -> World:
        now = Now(None, ClockTrust.UNKNOWN, self.boot_ms, 0, None)
        return World(now, None, SyncState(), self.boot, b"")


@contextmanager
def box_at(data_dir: Path) -> Iterator[Box]:
    entries, _ = Entries.open(data_dir, lambda: samples.INCARNATION)
    journal = Journal(entries)
    journal.start()
    with closing(journal):
        yield Box(data_dir, journal, entries)


@pytest.mark.slow
def test_tries_are_told_and_counted_over_restarts(tmp_path: Path) -> None:
    staff.add(tmp_path, "李", Role.STEWARD, GOOD)
    with box_at(tmp_path) as box:
        assert box.pins.recognise(WRONG, 1) == WrongPin(2, 0)
    with box_at(tmp_path) as box:
        assert box.pins.recognise(WRONG, 1) == WrongPin(1, 0)
        assert box.pins.recognise(WRONG, 1) == WrongPin(0, 30_000)
    with box_at(tmp_path) as box:
        assert box.pins.recognise(GOOD, 1) == PinsPaused(30_000)
        box.boot_ms += 29_999
        assert box.pins.recognise(GOOD, 1) == PinsPaused(1)
        box.boot_ms += 1
        assert isinstance(box.pins.recognise(GOOD, 1), Member)
        assert box.pins.recognise(WRONG, 1) == WrongPin(2, 0)


def test_a_try_is_on_disk_before_it_is_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    staff.add(tmp_path, "李", Role.STEWARD, GOOD)

    def killed(*_: object) -> None:
        raise SystemExit

    with box_at(tmp_path) as box, monkeypatch.context() as patched:
        patched.setattr(staff.Roll, "find", killed)
        with pytest.raises(SystemExit):
            box.pins.recognise(WRONG, 1)
    with box_at(tmp_path) as box:
        assert box.pins.recognise(WRONG, 1) == WrongPin(1, 0)


def test_a_disk_that_takes_nothing_at_the_first_try_forgets_no_wrong_one(tmp_path: Path) -> None:
    staff.add(tmp_path, "李", Role.STEWARD, GOOD)
    with box_at(tmp_path) as box:
        assert box.pins.recognise(WRONG, 1) == WrongPin(2, 0)
    with box_at(tmp_path) as box:
        box.entries._db.execute("PRAGMA query_only = ON")
        assert box.pins.recognise(WRONG, 1) == WrongPin(1, 0)
        box.journal.perform(lambda _: None)
        box.entries._db.execute("PRAGMA query_only = OFF")
        assert box.pins.recognise(WRONG, 1) == WrongPin(0, 30_000)
    with box_at(tmp_path) as box:
        assert box.pins.recognise(GOOD, 1) == PinsPaused(30_000)


def test_without_members_the_acts_can_say_so(tmp_path: Path) -> None:
    with box_at(tmp_path) as box:
        assert isinstance(box.pins.recognise(GOOD, 1), NoStaff)
