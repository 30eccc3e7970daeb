"""Entries reach the centre whole and in order, whatever stands in between; a true receipt alone moves the cursor."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from gate_agent import entry_push
from gate_agent.centre_client import Rest
from gate_agent.entries import Placed
from gate_agent.events import EventWord
from gate_agent.sync_state import LinkTrouble, Parting, TroubleKind
from tests.gate_agent.boxes import Box, HandSetClocks, bodies, box_at, write
from tests.gate_agent.small_centre import Fault, SmallCentre
from tests.loopback import PORTAL
from tests.wire import samples
from tests.wire.samples import DEVICE_ID, INCARNATION
from wire.messages import MAX_BATCH_ENTRIES, ClockTrust, Entry, EntryKind, batch_digest, encode_batch


@pytest.fixture
def centre() -> Iterator[SmallCentre]:
    with SmallCentre() as small:
        yield small


@pytest.fixture
def box(tmp_path: Path, centre: SmallCentre) -> Iterator[Box]:
    with box_at(tmp_path, centre.url) as enrolled:
        enrolled.pull.pull_once()  # brings the configuration; there is no list yet
        assert enrolled.store.read().config is not None
        yield enrolled


def drain(box: Box, attempts: int = 50) -> list[LinkTrouble]:
    """Push until all is acknowledged; the troubles met."""
    troubles = []
    for _ in range(attempts):
        result = box.push.push_once()
        if isinstance(result, LinkTrouble):
            troubles.append(result)
        elif box.cursor() == len(bodies(box.data_dir)):
            return troubles
    raise AssertionError(f"not drained: {troubles}")


def test_entries_arrive_as_they_were_written(box: Box, centre: SmallCentre) -> None:
    write(box.journal(), *[EntryKind.REFUSED] * 3)
    assert box.push.push_once() == Rest(entry_push.LOOK_EVERY_S)
    assert centre.entries(DEVICE_ID, INCARNATION) == bodies(box.data_dir)
    assert box.cursor() == 3
    (read,) = centre.batches
    assert (read.batch.waiting, read.batch.key_set_version, read.batch.held_version) == (0, 5, 0)


def test_a_batch_tells_which_list_is_held(box: Box, centre: SmallCentre) -> None:
    centre.lists.publish(42)
    box.pull.pull_once()
    write(box.journal(), EntryKind.REFUSED)
    box.push.push_once()
    assert (centre.batches[-1].batch.held_epoch, centre.batches[-1].batch.held_version) == (1, 42)


def test_nothing_to_say_means_nothing_is_sent_for_a_while(box: Box, centre: SmallCentre) -> None:
    write(box.journal(), EntryKind.REFUSED)
    box.push.push_once()
    sent = centre.asked_for("POST", "entries")
    assert box.push.push_once() == Rest(entry_push.LOOK_EVERY_S, asked=False)
    box.clocks.advance(entry_push.SIGN_OF_LIFE_EVERY_MS - 1)
    assert box.push.push_once() == Rest(entry_push.LOOK_EVERY_S, asked=False)
    assert centre.asked_for("POST", "entries") == sent
    box.clocks.advance(1)
    assert box.push.push_once() == Rest(entry_push.LOOK_EVERY_S)
    last = centre.batches[-1].batch
    assert (last.entries, last.first_seq, last.previous_hash) == ((), 2, last.last_hash)
    assert box.cursor() == 1


def test_without_a_journal_there_is_nothing_to_send(box: Box, centre: SmallCentre) -> None:
    assert box.push.push_once() == Rest(entry_push.LOOK_EVERY_S, asked=False)
    assert centre.asked_for("POST", "entries") == 0


def test_a_batch_ends_before_the_oldest_open_intent(box: Box, centre: SmallCentre) -> None:
    entries = box.journal()
    write(entries, EntryKind.REFUSED)
    first = write(entries, EntryKind.INTENT)
    second = write(entries, EntryKind.INTENT)
    write(entries, EntryKind.PASSED, ref_seq=second)
    box.push.push_once()
    assert box.cursor() == 1
    write(entries, EntryKind.ANNULLED, ref_seq=first)
    box.push.push_once()
    assert box.cursor() == 5
    assert centre.entries(DEVICE_ID, INCARNATION) == bodies(box.data_dir)


def test_many_entries_go_in_batches_without_a_pause(box: Box, centre: SmallCentre) -> None:
    write(box.journal(), *[EntryKind.REFUSED] * (2 * MAX_BATCH_ENTRIES + 1))
    assert box.push.push_once() == Rest(0.0)
    assert box.push.push_once() == Rest(0.0)
    assert box.push.push_once() == Rest(entry_push.LOOK_EVERY_S)
    assert [len(read.entries) for read in centre.batches] == [MAX_BATCH_ENTRIES, MAX_BATCH_ENTRIES, 1]
    assert [read.batch.waiting for read in centre.batches] == [MAX_BATCH_ENTRIES + 1, 1, 0]
    assert centre.entries(DEVICE_ID, INCARNATION) == bodies(box.data_dir)


TROUBLE_OF = {
    Fault.PORTAL: TroubleKind.NOT_THE_CENTRE,
    Fault.REDIRECT: TroubleKind.NOT_THE_CENTRE,
    Fault.ERROR_PAGE: TroubleKind.NOT_THE_CENTRE,
    Fault.REFUSE: TroubleKind.REFUSED,
    Fault.DROP_BEFORE_STORING: TroubleKind.UNREACHABLE,
    Fault.DROP_AFTER_STORING: TroubleKind.UNREACHABLE,
    Fault.TRUNCATE: TroubleKind.UNREACHABLE,
    Fault.HALF: TroubleKind.BAD_RECEIPT,
    Fault.ENDLESS: TroubleKind.NOT_THE_CENTRE,
    Fault.YESTERDAY: TroubleKind.BAD_RECEIPT,
    Fault.WRONG_DIGEST: TroubleKind.BAD_RECEIPT,
    Fault.OTHER_DEVICE: TroubleKind.BAD_RECEIPT,
    Fault.OTHER_JOURNAL: TroubleKind.BAD_RECEIPT,
    Fault.OTHER_KEY: TroubleKind.BAD_RECEIPT,
    Fault.UNKNOWN_KEY: TroubleKind.BAD_RECEIPT,
    Fault.NONE_TAKEN: TroubleKind.BAD_RECEIPT,
}


@pytest.mark.slow
@pytest.mark.parametrize("fault", TROUBLE_OF)
def test_nothing_but_a_receipt_of_our_centre_for_this_batch_moves_the_cursor(
    box: Box, centre: SmallCentre, fault: Fault
) -> None:
    entries = box.journal()
    write(entries, EntryKind.REFUSED)
    drain(box)
    write(entries, EntryKind.REFUSED, EntryKind.REFUSED)
    centre.faults.append(fault)
    trouble = box.push.push_once()
    assert isinstance(trouble, LinkTrouble)
    assert trouble.kind is TROUBLE_OF[fault]
    assert trouble.detail
    assert box.cursor() == 1
    drain(box)
    assert box.cursor() == 3
    assert centre.entries(DEVICE_ID, INCARNATION) == bodies(box.data_dir)


def test_every_fault_in_turn_and_still_the_same_set(box: Box, centre: SmallCentre) -> None:
    entries = box.journal()
    for fault in [fault for fault in Fault if fault is not Fault.TOO_FAR]:  # that one is a true word: test_succession
        write(entries, *[EntryKind.REFUSED] * 7)
        centre.faults.append(fault)
        drain(box)
    assert centre.entries(DEVICE_ID, INCARNATION) == bodies(box.data_dir)


def test_an_answer_sent_twice_is_not_taken_for_the_next_one(box: Box, centre: SmallCentre) -> None:
    entries = box.journal()
    for _ in range(3):
        write(entries, EntryKind.REFUSED)
        centre.faults.append(Fault.TWICE)
        drain(box)
    assert box.cursor() == 3


def test_a_portal_is_told_from_the_centre_in_a_sentence(box: Box, centre: SmallCentre) -> None:
    write(box.journal(), EntryKind.REFUSED)
    centre.faults.append(Fault.PORTAL)
    trouble = box.push.push_once()
    assert isinstance(trouble, LinkTrouble)
    told = (
        f"status 200, text/html; charset=utf-8, {len(PORTAL)} bytes instead of a receipt: is a login page in between?"
    )
    assert trouble.detail == told


def test_a_centre_restored_from_a_backup_gets_again_what_it_lost(box: Box, centre: SmallCentre) -> None:
    entries = box.journal()
    write(entries, *[EntryKind.REFUSED] * 10)
    drain(box)
    stored = centre.entries(DEVICE_ID, INCARNATION)
    for seq in range(5, 11):
        del stored[seq]
    write(entries, EntryKind.REFUSED)
    box.push.push_once()
    assert box.cursor() == 4
    drain(box)
    assert centre.entries(DEVICE_ID, INCARNATION) == bodies(box.data_dir)


def test_a_receipt_is_echoed_once_all_that_had_begun_by_then_is_sent(box: Box, centre: SmallCentre) -> None:
    entries = box.journal()
    write(entries, EntryKind.REFUSED)
    box.push.push_once()
    (first,) = centre.batches
    assert (first.batch.echo, first.batch.complete_seq) == (None, 0)
    digest = batch_digest(encode_batch(first.batch))
    write(entries, EntryKind.REFUSED)  # made after the receipt came: nothing the watermark vouches for
    box.push.push_once()
    second = centre.batches[1].batch
    assert (second.echo, second.complete_seq) == (digest, 1)
    box.clocks.advance(entry_push.SIGN_OF_LIFE_EVERY_MS)
    box.push.push_once()
    third = centre.batches[2].batch
    assert (third.echo, third.complete_seq) == (batch_digest(encode_batch(second)), 2)


def test_an_open_admission_holds_the_echo_back_until_its_outcome_is_sent(box: Box, centre: SmallCentre) -> None:
    entries = box.journal()
    first = write(entries, EntryKind.INTENT)
    box.push.push_once()
    digest = batch_digest(encode_batch(centre.batches[0].batch))
    second = write(entries, EntryKind.INTENT)
    write(entries, EntryKind.PASSED, ref_seq=first)
    box.push.push_once()  # ends before the second, and so without the first one's outcome
    assert (len(centre.batches[1].entries), centre.batches[1].batch.echo) == (1, None)
    write(entries, EntryKind.ANNULLED, ref_seq=second)
    write(entries, EntryKind.REFUSED)
    box.push.push_once()
    last = centre.batches[2].batch
    assert (last.echo, last.complete_seq) == (digest, 3), "up to the outcome, no further"


def test_a_journal_that_was_closed_says_so_with_its_last_entry(box: Box, centre: SmallCentre) -> None:
    entries = box.journal()
    write(entries, *[EntryKind.REFUSED] * MAX_BATCH_ENTRIES)
    with entries.transaction():
        end = Entry(0, EntryKind.EVENT, 5, ClockTrust.HELD, 5, 1, 42, 0, reason=EventWord.JOURNAL_CLOSED)
        entries.append(end, Placed("boot", None))
    box.push.push_once()
    box.push.push_once()
    assert [read.batch.closing for read in centre.batches] == [False, True]
    assert entries.is_closed()


def test_a_lost_sync_db_is_not_believed_blindly(box: Box, centre: SmallCentre) -> None:
    """The centre knows more of this journal than the first batch: only the same history is skipped."""
    entries = box.journal()
    write(entries, *[EntryKind.REFUSED] * (MAX_BATCH_ENTRIES + 20))
    drain(box)
    stored = centre.entries(DEVICE_ID, INCARNATION)
    stored[MAX_BATCH_ENTRIES + 20] = (b"of another history", bytes(32))
    centre.forks_allowed = True
    box.store.keep_receipt(INCARNATION, 0, b"")
    assert box.push.push_once() == Rest(0.0)
    assert box.cursor() == MAX_BATCH_ENTRIES
    assert isinstance(box.push.push_once(), LinkTrouble)
    assert box.store.parting(INCARNATION) == Parting(MAX_BATCH_ENTRIES + 20, MAX_BATCH_ENTRIES + 20)
    sent = len(centre.batches)
    assert isinstance(box.push.push_once(), LinkTrouble) and len(centre.batches) == sent, "nothing more is sent of it"


def test_a_centre_that_holds_more_than_there_is_speaks_of_an_old_card(box: Box, centre: SmallCentre) -> None:
    write(box.journal(), EntryKind.REFUSED, EntryKind.REFUSED)
    centre.faults.append(Fault.TOO_FAR)
    trouble = box.push.push_once()
    assert isinstance(trouble, LinkTrouble) and trouble.kind is TroubleKind.JOURNAL
    assert box.store.parting(INCARNATION) == Parting(3, 3)


def test_a_lost_sync_db_costs_one_batch(box: Box, centre: SmallCentre, tmp_path: Path) -> None:
    """What the centre has it says in its first receipt; nothing is stored twice."""
    write(box.journal(), *[EntryKind.REFUSED] * (MAX_BATCH_ENTRIES + 20))
    drain(box)
    box.store.keep_receipt(INCARNATION, 0, b"")
    box.push.push_once()
    assert box.cursor() == MAX_BATCH_ENTRIES + 20


def test_a_journal_behind_the_cursor_is_told(box: Box) -> None:
    write(box.journal(), EntryKind.REFUSED)
    box.store.keep_receipt(INCARNATION, 5, b"")
    trouble = box.push.push_once()
    assert isinstance(trouble, LinkTrouble)
    assert trouble.kind is TroubleKind.JOURNAL


def test_a_new_journal_begins_at_its_own_beginning(box: Box, centre: SmallCentre) -> None:
    entries = box.journal()
    write(entries, *[EntryKind.REFUSED] * 4)
    drain(box)
    entries.close()
    (box.data_dir / "entries.db").rename(box.data_dir / "entries-damaged-1.db")
    for left in box.data_dir.glob("entries.db-*"):
        left.unlink()
    write(box.journal(b"another!"), EntryKind.REFUSED)
    box.push.push_once()
    assert (box.store.cursor(INCARNATION), box.store.cursor(b"another!")) == (4, 1)
    assert centre.entries(DEVICE_ID, b"another!") == bodies(box.data_dir)


def test_the_signed_time_of_every_reply_makes_the_clock_trusted(box: Box, centre: SmallCentre) -> None:
    write(box.journal(), EntryKind.REFUSED)
    centre.now_ms = lambda: samples.NOW_MS + 60_000
    box.push.push_once()
    now = box.time.now()
    assert (now.at_ms, now.trust) == (samples.NOW_MS + 60_000, ClockTrust.TRUSTED)


def test_a_box_whose_clock_is_off_repeats_once_with_the_centres_time(tmp_path: Path, centre: SmallCentre) -> None:
    wrong = HandSetClocks(os_now_ms=0)
    with box_at(tmp_path, centre.url, wrong) as box:
        box.pull.pull_once()
        assert box.store.read().config is not None
        assert centre.asked_for("GET", "config") == 2
        write(box.journal(), EntryKind.REFUSED)
        box.push.push_once()
        assert box.cursor() == 1
        assert centre.asked_for("POST", "entries") == 1


def test_a_signed_time_that_took_too_long_is_not_used(tmp_path: Path, centre: SmallCentre) -> None:
    slow = HandSetClocks(os_now_ms=0, per_look_ms=3_000)  # a request looks at the clock several times
    with box_at(tmp_path, centre.url, slow) as box:
        result = box.pull.pull_once()
        assert isinstance(result, LinkTrouble)
        assert "outside_window" in result.detail
        assert box.time.now().trust is ClockTrust.UNKNOWN
        assert centre.asked_for("GET", "config") == 1


def test_before_approval_nothing_is_sent(tmp_path: Path, centre: SmallCentre) -> None:
    centre.approved = False
    with box_at(tmp_path, centre.url) as box:
        write(box.journal(), EntryKind.REFUSED)
        pending = box.pull.pull_once()
        assert isinstance(pending, LinkTrouble)
        assert pending.kind is TroubleKind.PENDING
        waiting = box.push.push_once()
        assert isinstance(waiting, LinkTrouble)
        assert waiting.kind is TroubleKind.PENDING
        assert centre.asked_for("POST", "entries") == 0
        centre.approved = True
        box.pull.pull_once()
        drain(box)
    assert len(centre.entries(DEVICE_ID, INCARNATION)) == 1
