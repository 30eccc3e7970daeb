"""A disk that fails at any change: it refuses and never opens, comes back by itself, and nothing recorded is lost."""

from __future__ import annotations

import errno
import shutil
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

import pytest

from gate_agent import entries_schema
from gate_agent.entries import KEPT_FOR_ADMISSIONS_BYTES
from gate_agent.entries_view import EntriesView
from gate_agent.journal_files import NAME, superseded_journals
from gate_agent.pass_list import PassListHolder
from gate_agent.sync_store import SyncStore
from tests.faults import disk, life
from tests.faults.disk import ANY, FOR_EVER, Faults, Kind
from tests.faults.visitors import visitors
from tests.gate_agent.agent_process import journal_of, running
from tests.gate_agent.lists import Feed
from tests.gate_agent.test_entries import fill
from tests.gate_agent.venue import NOW_MINUTE, SINGLE, Venue, enrol
from tests.wire import samples
from wire.messages import EntryKind

pytestmark = pytest.mark.slow

WAYS = {
    "EIO on any change": (errno.EIO, ANY, False),
    "EIO on fsync": (errno.EIO, Kind.SYNC, False),
    "full in the middle of a write": (errno.ENOSPC, Kind.WRITE | Kind.OPEN, True),
    "read-only": (errno.EROFS, ANY & ~Kind.SYNC, False),
}
CHANGES = 40
"""More than two commits and a checkpoint make."""
TMPFS_BYTES = KEPT_FOR_ADMISSIONS_BYTES + 8 * 1024 * 1024


@pytest.mark.parametrize("count", [1, FOR_EVER], ids=["once", "until it is mended"])
@pytest.mark.parametrize("way", WAYS)
def test_a_disk_that_fails_at_any_change(
    tmp_path: Path, disk_library: Path, fast_path: Path, way: str, count: int
) -> None:
    error, kinds, torn = WAYS[way]
    venue, faults = Venue(), Faults(tmp_path / "faults")
    tickets = [venue.issue(SINGLE) for _ in range(CHANGES)]
    venue.settle(fast_path)
    verdicts = []
    with visitors(fast_path, disk.environment(disk_library, fast_path, faults=faults)) as gate:
        gate.ask("journal")
        for skip, ticket in enumerate(tickets):
            faults.fail(error, kinds, skip=skip, count=count, torn=torn)
            verdict = gate.show(ticket.text)
            verdicts.append(verdict)
            assert faults.seen
            if verdict == "cannot_record" and count == FOR_EVER:
                assert gate.show(ticket.text) == "cannot_record"
            faults.heal()
            assert gate.show(ticket.text) == ("used_up" if verdict == "admitted" else "admitted")
        told = gate.ask("journal")
        assert told["intents"] == told["pulses"] and len(told["pulses"]) == CHANGES
        faults.fail(error, kinds, torn=torn)
        gate.show(venue.issue(SINGLE).text)
        gate.kill()
    assert set(verdicts) == {"admitted", "cannot_record"}
    recorded = [entry for entry in journal_of(fast_path) if entry.kind is EntryKind.INTENT]
    assert [entry.seq for entry in recorded] == told["pulses"]
    assert len({entry.pass_id for entry in recorded}) == CHANGES


@pytest.mark.parametrize("way", WAYS)
def test_a_disk_that_fails_at_a_start_costs_no_entry(
    tmp_path: Path, disk_library: Path, fast_path: Path, way: str
) -> None:
    """Also while a journal of the release before is carried up, with a log that was not written back."""
    error, kinds, torn = WAYS[way]
    before, box, faults = fast_path / "before", fast_path / "box", Faults(tmp_path / "faults")
    before.mkdir()
    life.prepare(before)
    with closing(sqlite3.connect(before / NAME)) as db:
        db.execute("INSERT OR REPLACE INTO selfcheck VALUES (1, 5)")
        db.commit()
        shutil.copytree(before, box, ignore=shutil.ignore_patterns("*-shm"))
    shutil.copytree(box, before, dirs_exist_ok=True)
    seen = set()
    with visitors(box, disk.environment(disk_library, box, faults=faults)) as gate:
        for skip in range(CHANGES):
            shutil.rmtree(box)
            shutil.copytree(before, box)
            faults.fail(error, kinds, skip=skip, torn=torn)
            seen.add(gate.ask("open"))
            faults.heal()
            assert gate.ask("open") == f"opened {life.FIRST_ENTRIES}"
            with closing(sqlite3.connect(box / NAME)) as db:
                assert db.execute("PRAGMA user_version").fetchone() == (entries_schema.SCHEMA,)
    assert f"opened {life.FIRST_ENTRIES}" in seen and len(seen) > 1
    assert "set aside" not in seen


def test_a_list_that_cannot_be_opened_for_a_moment_is_tried_again(tmp_path: Path) -> None:
    """As on a disk that comes back: nobody swaps the list a second time."""
    enrol(tmp_path)
    holder, venue_feed = PassListHolder(tmp_path), Feed()
    for version, name in ((42, "1-42.db"), (43, "1-43.db")):
        venue_feed.publish(version)
        venue_feed.install(tmp_path)
        newest, away = tmp_path / "lists" / name, tmp_path / "away"
        newest.rename(away)
        before = holder.current()
        assert before is None or before.version == version - 1
        away.rename(newest)
        after = holder.current()
        assert after is not None and after.version == version
        assert holder.current() is after


def test_an_old_copy_of_the_journal_gives_no_number_anew_that_the_centre_knows(tmp_path: Path) -> None:
    Venue().settle(tmp_path)
    fill(tmp_path, 3)
    with closing(SyncStore(tmp_path)) as store:
        store.keep_receipt(samples.INCARNATION, 4, b"receipt")
    with running(tmp_path, [f"1:reader=sim,turnstile=file:{tmp_path / 'pulses'}"]), EntriesView.open(tmp_path) as view:
        assert view.incarnation != samples.INCARNATION
    assert len(superseded_journals(tmp_path)) == 1


def test_on_a_full_disk_refusals_end_before_admissions_and_all_goes_on_when_there_is_room(tmp_path: Path) -> None:
    """A real one: a file system of its own in memory, in a name space of its own."""
    settled, mounted = tmp_path / "settled", tmp_path / "mounted"
    settled.mkdir()
    mounted.mkdir()
    venue = Venue()
    good = [venue.issue(SINGLE).text for _ in range(60)]
    late = venue.issue(not_after=NOW_MINUTE).text
    venue.settle(settled)
    mount = f"mount -t tmpfs -o size={TMPFS_BYTES} none {mounted}"
    alone = ["unshare", "--user", "--map-root-user", "--mount"]
    if shutil.which("unshare") is None or subprocess.run([*alone, "sh", "-c", mount], check=False).returncode:
        pytest.skip("this machine lets nobody mount a file system of his own")
    with visitors(
        mounted, before=[*alone, "sh", "-c", f'{mount} && cp -a {settled}/. {mounted} && exec "$@"', "-"]
    ) as gate:
        assert (gate.show(late), gate.show(good.pop())) == ("expired", "admitted")
        assert gate.ask("journal")["refused"] == 1

        gate.ask(f"fill {KEPT_FOR_ADMISSIONS_BYTES - 1_000_000}")
        assert (gate.show(late), gate.show(good.pop())) == ("expired", "admitted")
        assert gate.ask("journal")["refused"] == 1

        assert gate.ask("fill 0") == 0
        verdicts = [gate.show(good.pop()) for _ in range(40)]
        assert "cannot_record" in verdicts
        admitted = 2 + verdicts.count("admitted")
        assert len(gate.ask("journal")["pulses"]) == admitted

        gate.ask("empty")
        assert (gate.show(late), gate.show(good.pop())) == ("expired", "admitted")
        told = gate.ask("journal")
        assert told["refused"] == 2
        assert told["intents"] == told["pulses"] and len(told["pulses"]) == admitted + 1
