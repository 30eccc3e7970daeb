"""The journal thread: answers only after the disk, one commit for all who wait, and a mistake stays its maker's."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from gate_agent.entries import Entries
from gate_agent.entries_view import EntriesView
from gate_agent.journal import GROUP_LIMIT, WAITING_LIMIT, CannotRecord, Journal, _Done, _Waiting
from gate_agent.judging import append_told
from gate_agent.passage import Ending
from gate_agent.selfcheck import SelfCheck
from tests.gate_agent.stage import Stage
from tests.gate_agent.test_entries import PASS, PLACED, entry, opened
from tests.waiting import until
from wire.messages import EntryKind
from wire.reasons import Reason


@pytest.fixture
def entries(tmp_path: Path) -> Entries:
    """An empty journal."""
    return opened(tmp_path)


@pytest.fixture
def journal(entries: Entries) -> Iterator[Journal]:
    """The thread on it."""
    running = Journal(entries)
    running.start()
    yield running
    running.close()


def admit_once(entries: Entries) -> bool:
    """A right that is used once: whether it was free."""
    if entries.entries_of(PASS):
        return False
    entries.append(entry(), PLACED)
    return True


def test_what_was_answered_is_on_disk(journal: Journal, tmp_path: Path) -> None:
    assert journal.perform(lambda entries: entries.append(entry(), PLACED)) == 1
    with EntriesView.open(tmp_path) as view:
        assert view.last_seq() == 1


def test_waiting_lanes_share_a_commit_and_see_each_others_uses(journal: Journal) -> None:
    """While the first work holds the thread, four lanes present the same single-use pass: one of them is let in."""
    running, go_on = threading.Event(), threading.Event()

    def hold(_: Entries) -> None:
        running.set()
        assert go_on.wait(5)

    journal.post(hold)
    assert running.wait(5)
    answers: list[bool | CannotRecord] = []
    lanes = [threading.Thread(target=lambda: answers.append(journal.perform(admit_once))) for _ in range(4)]
    for lane in lanes:
        lane.start()
    until(lambda: journal._waiting.qsize() == 4)
    before = journal.commits
    go_on.set()
    for lane in lanes:
        lane.join(5)
    assert sorted(answers, key=bool) == [False, False, False, True]
    assert journal.commits == before + 2  # the one that held, and one for the four


def test_a_group_has_a_limit(journal: Journal) -> None:
    running, go_on = threading.Event(), threading.Event()

    def hold(_: Entries) -> None:
        running.set()
        assert go_on.wait(5)

    journal.post(hold)
    assert running.wait(5)
    for _ in range(GROUP_LIMIT + 1):
        journal.post(lambda entries: entries.append(entry(EntryKind.REFUSED), PLACED))
    go_on.set()
    assert journal.perform(lambda entries: entries.last_seq) == GROUP_LIMIT + 1
    assert journal.commits == 3


def test_a_mistake_is_its_makers_alone(journal: Journal) -> None:
    def fail(entries: Entries) -> None:
        entries.append(entry(), PLACED)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        journal.perform(fail)
    journal.post(fail)
    assert journal.perform(lambda entries: entries.append(entry(), PLACED)) == 1
    assert journal.trouble is None


def test_a_full_disk_answers_cannot_record_and_heals(journal: Journal, entries: Entries) -> None:
    (pages,) = entries._db.execute("PRAGMA page_count").fetchone()
    entries._db.execute(f"PRAGMA max_page_count = {pages}")

    def write_much(entries: Entries) -> int:
        return max(entries.append(entry(EntryKind.REFUSED, reason="x" * 1_000), PLACED) for _ in range(200))

    answer = journal.perform(write_much)
    assert isinstance(answer, CannotRecord)
    assert "full" in answer.sentence
    assert journal.trouble == answer.sentence
    entries._db.execute("PRAGMA max_page_count = 1000000")
    journal.post(lambda entries: entries.check_itself(1))
    until(lambda: journal.trouble is None)
    assert journal.perform(lambda entries: entries.append(entry(), PLACED)) == 1


def test_a_disk_that_fails_fails_everybody_in_the_group(journal: Journal, entries: Entries, tmp_path: Path) -> None:
    """A database that turned read-only: whatever SQLite says, nobody is told that it was written."""
    entries._db.execute("PRAGMA query_only = ON")
    assert isinstance(journal.perform(lambda entries: entries.append(entry(), PLACED)), CannotRecord)
    entries._db.execute("PRAGMA query_only = OFF")
    assert journal.perform(lambda entries: entries.append(entry(), PLACED)) == 1
    with EntriesView.open(tmp_path) as view:
        assert view.verify() == 1


def test_when_it_is_closed_what_waits_is_done_and_nothing_more_is_taken(entries: Entries, tmp_path: Path) -> None:
    journal = Journal(entries)
    journal.start()
    for _ in range(20):
        journal.post(lambda entries: entries.append(entry(EntryKind.REFUSED), PLACED))
    journal.close()
    assert isinstance(journal.perform(lambda entries: entries.last_seq), CannotRecord)
    assert not journal._hangs, "nobody waited for it"
    with EntriesView.open(tmp_path) as view:
        assert view.verify() == 20


def test_no_more_wait_than_the_queue_may_hold(entries: Entries) -> None:
    journal = Journal(entries)  # which has not begun to work
    for _ in range(WAITING_LIMIT + 1):
        journal.post(lambda entries: entries.append(entry(EntryKind.REFUSED), PLACED))
    assert journal.perform(admit_once) == CannotRecord("the journal does not keep up")
    journal.start()
    journal.close()
    assert entries.last_seq == WAITING_LIMIT


def test_an_answer_at_the_last_moment_is_one(journal: Journal) -> None:
    waiting = _Waiting(admit_once)
    waiting.answer.put(_Done(result=True))
    assert journal._give_up(waiting).result is True
    assert journal.trouble is None


class SilentDisk(Entries):
    """A journal whose commits do not return while the disk is silent: everything is written, nothing is answered."""

    answers = threading.Event()
    reached = threading.Event()

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        with super().transaction():
            yield
            self.reached.set()
            assert self.answers.wait(10)


@pytest.fixture
def silent(entries: Entries) -> Iterator[tuple[Journal, SilentDisk]]:
    """A journal that waits a moment only, on a disk that says nothing until `answers` is set."""
    entries.close()
    disk = SilentDisk(entries.path)
    disk.answers, disk.reached = threading.Event(), threading.Event()
    journal = Journal(disk, patience_s=0.3)
    journal.start()
    yield journal, disk
    disk.answers.set()
    journal.close()


def kinds(folder: Path) -> list[tuple[EntryKind, int | None, str | None]]:
    """The journal in short, its chain walked."""
    with EntriesView.open(folder) as view:
        assert isinstance(view.verify(), int)
        return [(entry.kind, entry.ref_seq, entry.reason) for entry, _ in view.entries()]


def test_what_reaches_the_disk_too_late_is_taken_back_before_anybody_elses_work(
    silent: tuple[Journal, SilentDisk], tmp_path: Path
) -> None:
    journal, disk = silent
    assert isinstance(journal.perform(admit_once), CannotRecord)
    assert journal.trouble is not None
    assert "does not answer" in journal.trouble
    seen: list[list[EntryKind]] = []
    journal.post(lambda entries: seen.append([entry.kind for entry in entries.entries_of(PASS)]))
    disk.answers.set()
    until(lambda: seen)
    assert seen == [[EntryKind.INTENT, EntryKind.ANNULLED]]
    until(lambda: journal.trouble is None)
    assert kinds(tmp_path) == [(EntryKind.INTENT, None, None), (EntryKind.ANNULLED, 1, Reason.CANNOT_RECORD)]
    assert disk.open_intents() == []


def test_what_the_thread_had_not_come_to_is_not_done(silent: tuple[Journal, SilentDisk], tmp_path: Path) -> None:
    journal, disk = silent
    journal.post(lambda _: None)
    assert disk.reached.wait(5)
    assert isinstance(journal.perform(admit_once), CannotRecord)
    disk.answers.set()
    until(lambda: journal.trouble is None)
    assert journal.perform(admit_once) is True
    assert kinds(tmp_path) == [(EntryKind.INTENT, None, None)]


def test_while_the_disk_goes_on_saying_nothing_nobody_waits_for_it(silent: tuple[Journal, SilentDisk]) -> None:
    journal, _ = silent
    assert isinstance(journal.perform(admit_once), CannotRecord)
    waiting = journal._waiting.qsize()
    assert isinstance(journal.perform(admit_once), CannotRecord)
    assert journal._waiting.qsize() == waiting


def test_the_self_check_sees_it(silent: tuple[Journal, SilentDisk]) -> None:
    journal, _ = silent
    check = SelfCheck(journal, reads_codes=False, record_ms=lambda: 1)
    assert check.failure() == "entries.db: the disk does not answer"


def test_an_admission_by_hand_that_came_too_late_is_returned(
    silent: tuple[Journal, SilentDisk], tmp_path: Path
) -> None:
    journal, disk = silent
    assert isinstance(journal.perform(lambda entries: entries.append(entry(EntryKind.MANUAL), PLACED)), CannotRecord)
    disk.answers.set()
    until(lambda: len(kinds(tmp_path)) == 2)
    assert kinds(tmp_path)[1] == (EntryKind.RETURNED, 1, Reason.CANNOT_RECORD)


def test_an_ending_that_came_too_late_stands_once(
    silent: tuple[Journal, SilentDisk], tmp_path: Path, stage: Stage
) -> None:
    journal, disk = silent
    disk.answers.set()
    journal.post(admit_once)
    until(lambda: journal.commits == 1)
    endings, world = [Ending(EntryKind.PASSED, 1, PASS)], stage.clock.look()
    disk.answers.clear()
    assert isinstance(journal.perform(lambda entries: append_told(entries, 1, endings, world)), CannotRecord)
    disk.answers.set()
    until(lambda: journal.trouble is None)
    journal.post(lambda entries: append_told(entries, 1, endings, world))
    journal.close()
    assert [kind for kind, *_ in kinds(tmp_path)] == [EntryKind.INTENT, EntryKind.PASSED]


@pytest.mark.parametrize("name", ["entries.db", "entries.db-wal"])
def test_a_journal_deleted_under_it_takes_nothing_more(journal: Journal, tmp_path: Path, name: str) -> None:
    assert journal.perform(admit_once) is True
    (tmp_path / name).unlink()
    assert journal.trouble is not None
    assert "deleted" in journal.trouble
    assert isinstance(journal.perform(lambda entries: entries.append(entry(), PLACED)), CannotRecord)
