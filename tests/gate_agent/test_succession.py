"""One journal after another: which it names, what it brings along, and that a crash leaves the old one or the new."""

from __future__ import annotations

import json
import os
import sqlite3
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from click.testing import CliRunner

from gate_agent import journal_files, succession
from gate_agent.board import Board, Scan
from gate_agent.cli import main
from gate_agent.entries import Entries, OpenIntent, Placed
from gate_agent.entries_schema import Before
from gate_agent.entries_view import EntriesView
from gate_agent.faces import IDLE
from gate_agent.journal_files import NAME
from gate_agent.judging import ByStaff
from gate_agent.outbox import Outbox
from gate_agent.staff_entries import append_returned
from gate_agent.status import Status
from gate_agent.succession import PATIENCE_MS, QUIET_MS, JournalClosed, Opened, Watch, open_journal
from gate_agent.sync_state import Parting, SyncState
from gate_agent.sync_store import SyncStore
from gate_agent.time_trust import Now
from gate_agent.world import World
from hardware.pty_scanner import PtyScanner
from tests.gate_agent.agent_process import lane, running
from tests.gate_agent.venue import SINGLE, Venue
from tests.waiting import until
from tests.wire import samples
from wire.far_entry import FarEntry, far_entry
from wire.messages import LOST, ClockTrust, Entry, EntryKind, Superseded, decode_entry
from wire.reasons import Reason

OLD, NEW, NEWER = samples.INCARNATION, b"the-next", b"the-last"
BOOT = "a-boot"


@dataclass
class Learnt:
    """What sync.db says of the centre."""

    acknowledged: dict[bytes, int] = field(default_factory=dict)
    partings: dict[bytes, Parting] = field(default_factory=dict)

    def cursor(self, incarnation: bytes, /) -> int:
        """How far the centre holds a journal."""
        return self.acknowledged.get(incarnation, 0)

    def parting(self, incarnation: bytes, /) -> Parting | None:
        """Where its history leaves ours."""
        return self.partings.get(incarnation)

    def journals(self) -> list[tuple[bytes, int]]:
        """All it ever acknowledged."""
        return list(self.acknowledged.items())


def passed(nth: int) -> bytes:
    return nth.to_bytes(8, "big")


def admit(entries: Entries, nth: int, *, ends: bool = True) -> None:
    """An intent, and its outcome unless it stays open."""
    with entries.transaction():
        shown = Entry(0, EntryKind.INTENT, samples.NOW_MS + nth, ClockTrust.TRUSTED, 5, 1, 42, 1, pass_id=passed(nth))
        seq = entries.append(shown, Placed(BOOT, 9, product=8, step=nth))
        if ends:
            end = Entry(
                0, EntryKind.PASSED, samples.NOW_MS, ClockTrust.TRUSTED, 6, 1, 42, 1, pass_id=passed(nth), ref_seq=seq
            )
            entries.append(end, Placed(BOOT, 9))


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    """A box whose journal holds five admissions, entries 1 to 10."""
    entries, _ = Entries.open(tmp_path, lambda: OLD)
    with closing(entries):
        for nth in range(1, 6):
            admit(entries, nth)
        with entries.transaction():
            entries.keep_pin_attempts(3, BOOT, 77, 5)
    return tmp_path


def open_again(data_dir: Path, learnt: Learnt, incarnation: bytes = NEW) -> Opened:
    opened = open_journal(data_dir, lambda: incarnation, learnt)
    opened.entries.close()
    return opened


def before(data_dir: Path) -> Before:
    ready = Outbox(data_dir).ready(lambda _: 0)
    assert ready is not None
    return ready.before


def test_a_journal_that_can_go_on_does(data_dir: Path) -> None:
    opened = open_again(data_dir, Learnt({OLD: 10}))
    assert (opened.entries.incarnation, opened.aside, opened.event) == (OLD, None, None)
    assert before(data_dir) is None


def test_what_the_centre_has_not_got_comes_along_chained_anew(data_dir: Path) -> None:
    """The centre holds another history from entry 7 on, up to 40."""
    old = dict(_hashes(data_dir))
    opened = open_again(data_dir, Learnt({OLD: 6}, {OLD: Parting(7, 40)}))
    assert (opened.entries.incarnation, opened.event) == (NEW, "journal_superseded")
    with EntriesView.open(data_dir) as view:
        assert view.verify() == 4
        brought = [entry for entry, _ in view.entries()]
    assert [(one.seq, one.kind, one.pass_id, one.ref_seq) for one in brought] == [
        (1, EntryKind.INTENT, passed(4), None),
        (2, EntryKind.PASSED, passed(4), 1),
        (3, EntryKind.INTENT, passed(5), None),
        (4, EntryKind.PASSED, passed(5), 3),
    ]
    assert before(data_dir) == Superseded(OLD, 40, b"")
    assert opened.aside is not None
    with closing(sqlite3.connect(opened.aside)) as db:
        assert dict(db.execute("SELECT seq, hash FROM entry").fetchall()) == old


def _hashes(data_dir: Path) -> list[tuple[int, bytes]]:
    with closing(sqlite3.connect(data_dir / NAME)) as db:
        return db.execute("SELECT seq, hash FROM entry").fetchall()


def test_every_fact_that_rules_count_by_comes_along(data_dir: Path) -> None:
    """A pass that was used stays used, once, whether or not the list tells of it already."""
    opened = open_journal(data_dir, lambda: NEW, Learnt({OLD: 6}, {OLD: Parting(7, 40)}))
    with closing(opened.entries) as entries:
        for nth in range(1, 6):
            assert [entry.kind for entry in entries.entries_of(passed(nth))] == [EntryKind.INTENT, EntryKind.PASSED]
            assert [entry.step for entry in entries.entries_of(passed(nth))] == [nth, None]
        assert [entry.seq for entry in entries.entries_of(passed(3))] == [-1, 0]
        assert entries.pin_attempts() == (3, BOOT, 77, 5)
        nothing = entries.counted_through({})
        assert nothing < -10, "the list has not heard of the old journal: all of it is counted here"
        assert entries.counted_through({OLD: 4}) == -2
        assert entries.counted_through({OLD: 40}) == 0, "what is here from 1 on was none of the centre's history"
        assert entries.counted_through({OLD: 40, NEW: 2}) == 2
        assert entries.counted_through({b"a stranger": 40}) == nothing
        admit(entries, 9)
        assert [entry.seq for entry in entries.entries_of(passed(9))] == [5, 6]


def test_an_open_intent_stays_open(data_dir: Path) -> None:
    entries, _ = Entries.open(data_dir, lambda: OLD)
    with closing(entries):
        admit(entries, 6, ends=False)
    opened = open_journal(data_dir, lambda: NEW, Learnt({OLD: 10}, {OLD: Parting(11, 12)}))
    with closing(opened.entries) as entries:
        assert entries.open_intents() == [OpenIntent(1, 1, passed(6), BOOT, 5)]
        assert entries.last_seq == 1


def test_a_copy_that_only_lacks_its_end_brings_facts_alone(data_dir: Path) -> None:
    opened = open_journal(data_dir, lambda: NEW, Learnt({OLD: 12}))
    with closing(opened.entries) as entries:
        assert (entries.incarnation, entries.last_seq) == (NEW, 0)
        assert [entry.seq for entry in entries.entries_of(passed(5))] == [-1, 0]
        admit(entries, 7)
    assert before(data_dir) == Superseded(OLD, 12, b"")
    with EntriesView.open(data_dir) as view:
        assert view.verify() == 2 == view.last_seq()
        assert [entry.seq for entry, _ in view.entries()] == [1, 2]


def test_facts_come_along_through_several_journals(data_dir: Path) -> None:
    open_again(data_dir, Learnt({OLD: 8}, {OLD: Parting(9, 40)}))
    opened = open_journal(data_dir, lambda: NEWER, Learnt({NEW: 3}))
    with closing(opened.entries) as entries:
        assert [entry.seq for entry in entries.entries_of(passed(1))] == [-9, -8]
        assert entries.counted_through({OLD: 8}) == -2
        assert entries.counted_through({OLD: 8, NEW: 2}) == 0
    assert before(data_dir) == Superseded(NEW, 3, b"")


def give_back(entries: Entries, intent_seq: int) -> FarEntry | None:
    """As staff do; what the centre hears of whose right it was."""
    now = Now(samples.NOW_MS, ClockTrust.TRUSTED, 5, samples.NOW_MS, None)
    with entries.transaction():
        seq = append_returned(entries, 1, intent_seq, ByStaff("李"), World(now, None, SyncState(), BOOT, b""))
    assert isinstance(seq, int), seq
    return written(entries.path, seq)


def written(path: Path, seq: int) -> FarEntry | None:
    entry = decode_entry(_body(path, seq))
    assert entry.kind is EntryKind.RETURNED
    return far_entry(entry)


def test_a_right_that_an_earlier_journal_used_is_given_back_by_that_journals_number(data_dir: Path) -> None:
    open_again(data_dir, Learnt({OLD: 8}, {OLD: Parting(9, 40)}))
    opened = open_journal(data_dir, lambda: NEWER, Learnt({NEW: 3}))
    with closing(opened.entries) as entries:
        admit(entries, 7)
        assert give_back(entries, -9) == FarEntry(OLD, 1)
        assert give_back(entries, -1) == FarEntry(NEW, 1), "was entry 9 before, which the centre has not got there"
        assert give_back(entries, 1) is None, "one of its own"


def test_what_was_given_back_before_the_journal_changed_says_whose_it_was(data_dir: Path) -> None:
    entries, _ = Entries.open(data_dir, lambda: OLD)
    with closing(entries):
        assert give_back(entries, 1) is None
        assert give_back(entries, 9) is None
    opened = open_again(data_dir, Learnt({OLD: 8}, {OLD: Parting(9, 40)}))
    assert written(opened.entries.path, 3) == FarEntry(OLD, 1)
    assert written(opened.entries.path, 4) is None, "its admission came along too"
    newer = open_again(data_dir, Learnt({NEW: 2}, {NEW: Parting(3, 3)}), NEWER)
    assert written(newer.entries.path, 1) == FarEntry(OLD, 1)
    assert written(newer.entries.path, 2) == FarEntry(NEW, 1)


def test_who_passed_late_says_whose_intent_it_was_when_the_journal_changes(data_dir: Path) -> None:
    """The centre holds the intent and that it was annulled; what came after goes on in the next journal."""
    entries, _ = Entries.open(data_dir, lambda: OLD)
    with closing(entries), entries.transaction():
        late = Entry(0, EntryKind.PASSED_LATE, samples.NOW_MS, ClockTrust.TRUSTED, 9, 1, 42, 1, ref_seq=1)
        entries.append(late, Placed(BOOT, 9))
    opened = open_again(data_dir, Learnt({OLD: 10}, {OLD: Parting(11, 10)}))
    brought = decode_entry(_body(opened.entries.path, 1))
    assert (brought.kind, brought.ref_seq, far_entry(brought)) == (EntryKind.PASSED_LATE, -9, FarEntry(OLD, 1))


@pytest.mark.parametrize("dies_at", ["link", "rename"])
def test_a_crash_leaves_the_old_journal_or_the_new_one(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch, dies_at: str
) -> None:
    def die(*_: object) -> None:
        raise KeyboardInterrupt

    if dies_at == "link":
        monkeypatch.setattr(os, "link", die)
    else:
        monkeypatch.setattr(Path, "rename", die)
    learnt = Learnt({OLD: 6}, {OLD: Parting(7, 40)})
    with pytest.raises(KeyboardInterrupt):
        open_journal(data_dir, lambda: NEW, learnt)
    monkeypatch.undo()
    with EntriesView.open(data_dir) as view:
        assert (view.incarnation, view.verify()) == (OLD, 10)
    assert open_again(data_dir, learnt).entries.incarnation == NEW
    assert open_again(data_dir, learnt, NEWER).entries.incarnation == NEW, "once"
    assert len(journal_files.superseded_journals(data_dir)) == 1
    assert not journal_files.damaged_journals(data_dir)


def test_a_disk_without_room_lets_the_old_journal_go_on(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    learnt = Learnt({OLD: 6}, {OLD: Parting(7, 40)})
    monkeypatch.setattr(succession, "_bring_along", full)
    opened = open_journal(data_dir, lambda: NEW, learnt)
    assert (opened.entries.incarnation, opened.event) == (OLD, None)
    admit(opened.entries, 8)
    opened.entries.close()
    monkeypatch.undo()
    assert open_again(data_dir, learnt).entries.incarnation == NEW
    with EntriesView.open(data_dir) as view:
        assert view.verify() == 6


def test_a_damaged_journal_is_named_as_far_as_it_can_be_read(data_dir: Path) -> None:
    (chained,) = (chained for seq, chained in _hashes(data_dir) if seq == 7)
    with closing(sqlite3.connect(data_dir / NAME)) as db:
        db.executescript("DROP TRIGGER entry_is_append_only; UPDATE entry SET body = x'00' WHERE seq = 8")
    opened = open_again(data_dir, Learnt({OLD: 5}))
    assert (opened.event, opened.aside) == ("journal_set_aside", data_dir / "entries-damaged-1.db")
    assert before(data_dir) == Superseded(OLD, 7, chained)


@pytest.mark.parametrize("column", ["seq", "hash"])
def test_a_journal_whose_anchor_is_damaged_is_named_by_the_last_receipt(data_dir: Path, column: str) -> None:
    with closing(sqlite3.connect(data_dir / NAME, isolation_level=None)) as db:
        db.execute("INSERT INTO anchor VALUES (1, 2, x'00', x'00')")
        (declared,) = db.execute("SELECT sql FROM sqlite_schema WHERE name = 'anchor'").fetchone()
        for sql in (declared.replace("NOT NULL", ""), declared):  # as SQLite reads a page that a bad card changed
            db.execute("PRAGMA writable_schema = ON")
            db.execute("UPDATE sqlite_schema SET sql = ? WHERE name = 'anchor'", (sql,))
            db.execute("PRAGMA writable_schema = RESET")
            if sql != declared:
                db.execute(f"UPDATE anchor SET {column} = NULL")
    assert open_again(data_dir, Learnt({OLD: 5})).event == "journal_set_aside"
    assert before(data_dir) == Superseded(OLD, 5)


@pytest.mark.parametrize(
    ("acknowledged", "named"),
    [
        ({OLD: 9}, Superseded(OLD, 9, b"")),
        ({OLD: 9, NEWER: 4}, LOST),
        ({}, LOST),
    ],
)
def test_of_a_journal_that_tells_nothing_the_last_receipt_is_named(
    data_dir: Path, acknowledged: dict[bytes, int], named: Before
) -> None:
    (data_dir / NAME).write_bytes(b"not a journal at all" * 500)
    open_again(data_dir, Learnt(acknowledged))
    assert before(data_dir) == named


def test_the_very_first_journal_names_none(tmp_path: Path) -> None:
    assert open_again(tmp_path, Learnt()).event is None
    assert before(tmp_path) is None


def test_a_deleted_journal_is_named_by_the_last_receipt(data_dir: Path) -> None:
    (data_dir / NAME).unlink()
    open_again(data_dir, Learnt({OLD: 9}))
    assert before(data_dir) == Superseded(OLD, 9, b"")


def close(data_dir: Path, *options: str) -> tuple[int, dict[str, object]]:
    arguments = ["close-journal", "--data", str(data_dir), "--who", "王工", "--wait-s", "0", *options]
    done = CliRunner(catch_exceptions=False).invoke(main, arguments)
    return done.exit_code, json.loads(done.stdout)


def test_a_box_that_is_given_back_closes_its_journal_once(data_dir: Path) -> None:
    entries, _ = Entries.open(data_dir, lambda: OLD)
    with closing(entries):
        admit(entries, 6, ends=False)
    for _ in range(2):
        assert close(data_dir) == (1, {"closed_at_seq": 13, "at_the_centre": False})
    with EntriesView.open(data_dir) as view:
        *_, (unresolved, _), (end, _) = view.entries()
    assert (unresolved.kind, unresolved.ref_seq) == (EntryKind.UNRESOLVED, 11)
    assert (end.kind, end.reason, end.who) == (EntryKind.EVENT, "journal_closed", "王工")
    with pytest.raises(JournalClosed, match="last 1 entries are not at the centre"):
        open_journal(data_dir, lambda: NEW, Learnt({OLD: 12}))
    opened = open_again(data_dir, Learnt({OLD: 13}))
    assert (opened.entries.incarnation, opened.event) == (NEW, "journal_reopened")
    assert not journal_files.superseded_journals(data_dir), "nobody has to look at this"
    followed = before(data_dir)
    assert isinstance(followed, Superseded) and (followed.incarnation, followed.last_seq) == (OLD, 13)
    assert followed.head and decode_entry(_body(opened.aside, 13)).reason == "journal_closed"


def _body(path: Path | None, seq: int) -> bytes:
    assert path is not None
    with closing(sqlite3.connect(path)) as db:
        return bytes(db.execute("SELECT body FROM entry WHERE seq = ?", (seq,)).fetchone()[0])


def test_a_quiet_moment_is_waited_for_and_not_for_ever() -> None:
    now_ms = [1_000_000]
    board, learnt = Board((1,), lambda: now_ms[0]), Learnt()
    watch = Watch(OLD, learnt, board, lambda: None)
    board.status(Status(lanes=()))
    now_ms[0] += QUIET_MS
    assert not watch.is_due(2_000), "the journal can go on"
    learnt.partings[OLD] = Parting(7, 40)
    assert watch.is_due(2_000)
    board.status(Status(lanes=(), open_intents=1))
    assert not watch.is_due(2_000), "somebody is passing"
    board.status(Status(lanes=()))
    board.scan(Scan(1, IDLE.verdict, None))
    assert not watch.is_due(2_000), "somebody has just presented"
    assert watch.is_due(PATIENCE_MS)


@pytest.mark.slow
def test_a_running_agent_begins_the_next_journal_by_itself(tmp_path: Path) -> None:
    venue = Venue()
    ticket, other = venue.issue(SINGLE), venue.issue(SINGLE)
    venue.settle(tmp_path)
    scanner = PtyScanner()
    with running(tmp_path, [lane(1, scanner.path, tmp_path)]) as agent:
        scanner.type(ticket.text)
        agent.await_pulse(0)
        with EntriesView.open(tmp_path) as view:
            old = view.incarnation
        with closing(SyncStore(tmp_path)) as store:
            store.keep_parting(old, Parting(1, 99))
        assert agent.process.stdout is not None
        assert agent.process.stdout.readline().startswith("READY "), "the same process, from its beginning"
        until(lambda: len(agent.entries()) >= 3, what="its first words")
        brought = agent.entries()
        assert [one.kind for one in brought[:2]] == [EntryKind.INTENT, EntryKind.PASSED_ASSUMED]
        assert brought[2].reason == "journal_superseded"
        scanner.type(ticket.text)
        assert agent.await_refusal(len(brought)).reason == Reason.USED_UP
        scanner.type(other.text)
        assert agent.await_pulse(1)["entry_seq"] == len(brought) + 2
    assert before(tmp_path) == Superseded(old, 99, b"")
    scanner.close()
