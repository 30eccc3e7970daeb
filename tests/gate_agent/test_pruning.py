"""Pruning: only what the centre has held for thirty days, in pieces; facts, chain and sending survive it."""

from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gate_agent import pruning
from gate_agent.chain import Broken
from gate_agent.entries import Entries, Placed
from gate_agent.entries_view import EntriesView
from gate_agent.journal import Journal
from gate_agent.journal_files import NAME
from gate_agent.outbox import Outbox
from gate_agent.pruning import KEPT_MS, NEWEST_KEPT, Acknowledged
from gate_agent.retention import Retention
from gate_agent.sync_state import SyncView
from gate_agent.sync_store import SyncStore
from gate_agent.time_trust import Now
from gate_agent.trusted_time import os_clock_ms
from gate_agent.world import World
from tests.gate_agent import first_release
from tests.gate_agent.agent_process import running
from tests.gate_agent.test_entries import BOOT, PLACED, change, entry, opened
from tests.gate_agent.venue import Venue, set_time
from tests.waiting import until
from tests.wire import samples
from wire.messages import ClockTrust, EntryKind, decode_entry
from wire.moments import DAY_MS

NOW_MS = samples.NOW_MS
PASSES = tuple(bytes([number]) * 8 for number in range(3))
KINDS = st.sampled_from([
    EntryKind.INTENT, EntryKind.INTENT, EntryKind.PASSED, EntryKind.ANNULLED, EntryKind.UNRESOLVED,
    EntryKind.PASSED_LATE, EntryKind.RETURNED, EntryKind.REFUSED, EntryKind.MANUAL, EntryKind.EVENT,
])  # fmt: skip
HAPPENINGS = st.lists(st.tuples(KINDS, st.integers(0, 2), st.integers(0, 5), st.booleans()), min_size=1, max_size=60)


def append(entries: Entries, kind: EntryKind, number: int, back: int, listed: bool) -> int:
    """One entry of pass `number`; an outcome ends the intent `back` entries before."""
    ref_seq = None if kind in (EntryKind.INTENT, EntryKind.REFUSED, EntryKind.EVENT) else entries.last_seq - back
    day = None if back == 5 else 2513 + number
    written = entry(
        kind, pass_id=PASSES[number] if listed or kind is EntryKind.INTENT else None, ref_seq=ref_seq,
        lane=1 + number % 2, who="steward" if kind is EntryKind.MANUAL else None,
    )  # fmt: skip
    if kind is not EntryKind.INTENT:
        return entries.append(written, Placed(BOOT, day))
    return entries.append(written, Placed(BOOT, day, 8, 100 if back % 2 else None, step=back))


def facts(entries: Entries) -> list[object]:
    """Everything a rule can ask of the journal."""
    return [
        *(entries.entries_of(pass_id) for pass_id in PASSES),
        *(entries.used_without_list(lane, 8, 100) for lane in (1, 2)),
        entries.open_intents(),
        entries.newest_trusted_ms(),
        entries.let_in_by("steward", 2514, BOOT),
        entries.last_seq,
    ]


def columns(data_dir: Path) -> list[tuple[object, ...]]:
    """What stands beside the bytes of a pass's entries, refusals left out."""
    with closing(sqlite3.connect(data_dir / NAME)) as db:
        names = [name for _, name, *_ in db.execute("PRAGMA table_info(entry)") if name not in ("body", "hash")]
        kept = "pass_id IS NOT NULL AND kind <> 7"
        return db.execute(f"SELECT {', '.join(names)} FROM entry WHERE {kept} ORDER BY seq").fetchall()


def prune_all(entries: Entries, through_seq: int, acknowledged_ms: int = NOW_MS - KEPT_MS) -> int:
    """Acknowledge, wait thirty days, prune until nothing is left to prune; how many entries went."""
    went = 0
    held = Acknowledged(through_seq, b"receipt")
    with entries.transaction():
        assert entries.prune(held, acknowledged_ms) == 0
    while True:
        with entries.transaction():
            piece = entries.prune(held, NOW_MS)
        went += piece
        if not piece:
            return went


@contextmanager
def small_limits(piece: int) -> Iterator[None]:
    """Nothing stays for being new, and pieces are small."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pruning, "NEWEST_KEPT", 0)
        patch.setattr(pruning, "PIECE", piece)
        yield


@pytest.mark.slow
@settings(max_examples=60)
@given(HAPPENINGS, st.integers(0, 60), st.integers(1, 9))
def test_every_fact_is_the_same_before_and_after(
    happenings: list[tuple[EntryKind, int, int, bool]], cursor: int, piece: int
) -> None:
    with tempfile.TemporaryDirectory() as folder, small_limits(piece), closing(opened(Path(folder))) as entries:
        with entries.transaction():
            for happening in happenings:
                append(entries, *happening)
        before, beside = facts(entries), columns(Path(folder))
        through = min(cursor, entries.last_seq)
        prune_all(entries, through)
        assert (facts(entries), columns(Path(folder))) == (before, beside)
        with EntriesView.open(Path(folder)) as view:
            assert view.verify() == entries.last_seq
            assert view.pruned_through() < max(1, through)
            oldest_open = min((intent.seq for intent in entries.open_intents()), default=through + 1)
            assert view.pruned_through() == max(0, min(through - 1, oldest_open - 1))
        ready = Outbox(Path(folder)).ready(lambda _: through)
        assert ready is not None and ready.first_seq == through + 1
        with entries.transaction():
            append(entries, EntryKind.INTENT, 0, 0, True)
        with EntriesView.open(Path(folder)) as view:
            assert view.verify() == entries.last_seq


def test_what_was_pruned_has_left_the_file(tmp_path: Path) -> None:
    with closing(opened(tmp_path)) as entries, small_limits(7):
        with entries.transaction():
            for number in range(20):
                entries.append(entry(EntryKind.REFUSED, reason=f"stranger {number}."), PLACED)
            admitted = entries.append(entry(evidence=b"evidence"), PLACED)
            entries.append(entry(EntryKind.PASSED, ref_seq=admitted), PLACED)
            entries.append(entry(EntryKind.EVENT, pass_id=None), PLACED)
        assert prune_all(entries, 23) == 22
        assert [entry.seq for entry in entries.entries_of(samples.PASS_ID)] == [21, 22]
    with closing(sqlite3.connect(tmp_path / NAME)) as db:
        assert db.execute("SELECT seq, body, hash FROM entry LIMIT 2").fetchall() == [(21, b"", b""), (22, b"", b"")]
        assert db.execute("SELECT count(*) FROM entry").fetchone() == (3,)
    with EntriesView.open(tmp_path) as view:
        assert [one.seq for one, _ in view.entries()] == [23]
        assert (view.pruned_through(), view.verify(), view.last_seq()) == (22, 23, 23)


@pytest.mark.parametrize(
    ("through_seq", "acknowledged_ms", "pruned"),
    [(40, NOW_MS - KEPT_MS, 39), (40, NOW_MS - KEPT_MS + 1, 0), (1, NOW_MS - KEPT_MS, 0), (0, NOW_MS - KEPT_MS, 0)],
)
def test_only_what_has_been_acknowledged_for_thirty_days_goes(
    tmp_path: Path, through_seq: int, acknowledged_ms: int, pruned: int
) -> None:
    """The entries' own times, here all alike, have no say."""
    with closing(opened(tmp_path)) as entries, small_limits(9):
        with entries.transaction():
            for _ in range(50):
                entries.append(entry(EntryKind.REFUSED, device_at_ms=0), PLACED)
        assert prune_all(entries, through_seq, acknowledged_ms) == pruned


def test_how_far_the_centre_holds_it_is_written_down_once_a_day(tmp_path: Path) -> None:
    with closing(opened(tmp_path)) as entries, small_limits(9):
        with entries.transaction():
            for _ in range(50):
                entries.append(entry(EntryKind.REFUSED), PLACED)
        for through_seq, at_ms in [(10, 0), (20, DAY_MS - 1), (30, DAY_MS), (30, 3 * DAY_MS)]:
            with entries.transaction():
                assert entries.prune(Acknowledged(through_seq, b""), NOW_MS + at_ms) == 0
        with entries.transaction():
            entries.prune(Acknowledged(40, b""), NOW_MS + KEPT_MS)
        with EntriesView.open(tmp_path) as view:
            assert view.pruned_through() == 9
    with closing(sqlite3.connect(tmp_path / NAME)) as db:
        assert db.execute("SELECT through_seq FROM acknowledged").fetchall() == [(10,), (30,), (40,)]


def test_the_newest_stay_so_that_the_release_before_can_go_on(tmp_path: Path) -> None:
    more = 150
    with closing(opened(tmp_path)) as entries:
        with entries.transaction():
            for _ in range(NEWEST_KEPT + more):
                entries.append(entry(EntryKind.REFUSED), PLACED)
        assert prune_all(entries, entries.last_seq) == more
    first_release.append(tmp_path, entry(), placed=PLACED)
    with closing(opened(tmp_path)) as entries:
        assert entries.last_seq == NEWEST_KEPT + more + 1


def test_a_change_in_what_is_left_is_found(tmp_path: Path) -> None:
    with closing(opened(tmp_path)) as entries, small_limits(9):
        with entries.transaction():
            for _ in range(20):
                entries.append(entry(), PLACED)
                entries.append(entry(EntryKind.PASSED, ref_seq=entries.last_seq), PLACED)
        prune_all(entries, 30)
    change(tmp_path, "UPDATE anchor SET hash = x'00'")
    with EntriesView.open(tmp_path) as view:
        found = view.verify()
    assert isinstance(found, Broken) and found.seq == 30


def test_a_cursor_lost_with_sync_db_begins_again_at_the_anchor(tmp_path: Path) -> None:
    with closing(opened(tmp_path)) as entries, small_limits(9):
        with entries.transaction():
            for _ in range(40):
                entries.append(entry(EntryKind.REFUSED), PLACED)
        prune_all(entries, 30)
    ready = Outbox(tmp_path).ready(lambda _: 0)
    assert ready is not None
    assert (ready.first_seq, len(ready.bodies), ready.pruned_through) == (30, 11, 29)
    assert decode_entry(ready.bodies[0]).seq == 30


@pytest.mark.slow
def test_a_running_agent_prunes(tmp_path: Path) -> None:
    Venue().settle(tmp_path)
    now_ms = os_clock_ms()
    set_time(tmp_path, now_ms)
    with closing(opened(tmp_path)) as entries, entries.transaction():
        for _ in range(NEWEST_KEPT + 250):
            entries.append(entry(EntryKind.REFUSED, pass_id=None), PLACED)
        entries.prune(Acknowledged(NEWEST_KEPT, b"receipt"), now_ms - KEPT_MS)
    with closing(SyncStore(tmp_path)) as store:
        store.keep_receipt(samples.INCARNATION, NEWEST_KEPT, b"receipt")
    with running(tmp_path, [f"1:reader=sim,turnstile=file:{tmp_path / 'pulses'}"]), EntriesView.open(tmp_path) as view:
        until(lambda: view.pruned_through() > 0, what="the oldest entries to go")
        assert view.verify() == NEWEST_KEPT + 250


@pytest.mark.parametrize("trust", list(ClockTrust))
def test_the_agent_prunes_by_the_receipt_in_sync_db_and_only_on_a_trusted_clock(
    tmp_path: Path, trust: ClockTrust
) -> None:
    entries = opened(tmp_path)
    with entries.transaction():
        for _ in range(40):
            entries.append(entry(EntryKind.REFUSED), PLACED)
    at_ms = NOW_MS - KEPT_MS
    with closing(SyncStore(tmp_path)) as store, closing(Journal(entries)) as journal, small_limits(100):
        journal.start()

        def world() -> World:
            known_ms = None if trust is ClockTrust.UNKNOWN else at_ms
            return World(Now(known_ms, trust, 5, at_ms, None), None, sync.read(), BOOT, b"")

        sync = SyncView.open(tmp_path)
        retention = Retention(journal, entries.incarnation, sync, world)
        retention.look()
        store.keep_receipt(entries.incarnation, 30, b"receipt")
        retention.look()
        journal.perform(lambda _: None)
        at_ms = NOW_MS
        retention.look()
        journal.perform(lambda _: None)
        with EntriesView.open(tmp_path) as view:
            assert view.pruned_through() == (29 if trust is ClockTrust.TRUSTED else 0)
