"""A journal of the release before is carried up with what it still has to send, and the update can be taken back."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import msgspec
import pytest

from gate_agent import entries_schema
from gate_agent.entries import Entries, Placed
from gate_agent.entries_view import EntriesView
from gate_agent.journal_check import JournalTooNew
from gate_agent.journal_files import NAME
from gate_agent.outbox import Outbox
from gate_agent.seams import exported
from gate_agent.uses import Today, count
from tests.gate_agent import first_release
from tests.gate_agent.test_entries import BOOT, PASS, PLACED, entry, opened
from tests.wire import samples
from wire.messages import EntryKind, encode_entry, entry_hash

ADMITTED = (entry(), entry(EntryKind.PASSED, ref_seq=1))


def schema_of(data_dir: Path) -> int:
    """What the file calls itself."""
    with closing(sqlite3.connect(data_dir / NAME)) as db:
        return int(db.execute("PRAGMA user_version").fetchone()[0])


def layout(data_dir: Path) -> list[tuple[str, str]]:
    """Every table with its columns, as SQLite sees them."""
    with closing(sqlite3.connect(data_dir / NAME)) as db:
        tables = db.execute("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name").fetchall()
        return [(name, str(db.execute(f"PRAGMA table_xinfo({name})").fetchall())) for (name,) in tables]


def test_update_and_rollback_with_entries_that_still_have_to_be_sent(tmp_path: Path) -> None:
    first_release.create(tmp_path)
    first_release.append(tmp_path, *ADMITTED, placed=PLACED)
    with closing(opened(tmp_path)) as updated, updated.transaction():
        assert updated.append(entry(), Placed(BOOT, 2513, step=7)) == 3
        updated.append(entry(EntryKind.PASSED, ref_seq=3), PLACED)
    assert schema_of(tmp_path) == entries_schema.SCHEMA

    first_release.append(tmp_path, entry(), entry(EntryKind.ANNULLED, ref_seq=5), placed=PLACED)
    assert len(first_release.ready(tmp_path, 0)) == 6
    assert [seq for seq, _ in first_release.steps(tmp_path, PASS)] == [1, 2, 3, 4, 5, 6]

    with closing(opened(tmp_path)) as updated:
        assert [entry.seq for entry in updated.entries_of(PASS)] == [1, 2, 3, 4, 5, 6]
        with updated.transaction():
            assert updated.append(entry(EntryKind.REFUSED, reason="used_up"), PLACED) == 7
    ready = Outbox(tmp_path).ready(lambda _: 0)
    assert ready is not None and len(ready.bodies) == 7
    with EntriesView.open(tmp_path) as view:
        assert view.verify() == 7
    with closing(sqlite3.connect(tmp_path / NAME)) as db:
        steps = db.execute("SELECT step FROM entry ORDER BY seq").fetchall()
    assert steps == [(None,), (None,), (7,), (None,), (None,), (None,), (None,)]


def test_a_journal_carried_up_is_laid_out_as_a_new_one(tmp_path: Path) -> None:
    (tmp_path / "old").mkdir()
    (tmp_path / "new").mkdir()
    first_release.create(tmp_path / "old")
    opened(tmp_path / "old").close()
    opened(tmp_path / "new").close()
    assert layout(tmp_path / "old") == layout(tmp_path / "new")


def test_the_release_before_needs_nothing_of_what_was_added(tmp_path: Path) -> None:
    """Every table it writes to takes its rows, however much was added."""
    opened(tmp_path).close()
    first_release.append(tmp_path, *ADMITTED, placed=PLACED)
    assert len(first_release.ready(tmp_path, 0)) == 2


def test_carrying_up_is_done_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first_release.create(tmp_path)
    first_release.append(tmp_path, *ADMITTED, placed=PLACED)
    before = layout(tmp_path)
    broken = entries_schema._ADDED[2] + "CREATE TABLE meta (x);"
    monkeypatch.setitem(entries_schema._ADDED, 2, broken)
    with pytest.raises(sqlite3.OperationalError):
        Entries.open(tmp_path, lambda: b"the-next")
    assert (layout(tmp_path), schema_of(tmp_path)) == (before, 1)
    assert not list(tmp_path.glob("entries-damaged*"))
    monkeypatch.undo()
    with closing(opened(tmp_path)) as updated:
        assert updated.last_seq == 2


KIND_OF_A_LATER_RELEASE = 12


def test_kinds_that_a_later_release_wrote_are_opened_walked_sent_and_written_behind(tmp_path: Path) -> None:
    """An update is taken back: what it wrote meanwhile is neither damage nor lost, and the gate goes on."""
    with closing(opened(tmp_path)) as entries, entries.transaction():
        entries.append(entry(), PLACED)
    write_as_a_later_release(tmp_path, seq=2)
    with closing(opened(tmp_path)) as entries:
        assert (entries.last_seq, entries.incarnation) == (2, samples.INCARNATION)
        assert [one.kind for one in entries.entries_of(PASS)] == [EntryKind.INTENT, KIND_OF_A_LATER_RELEASE]
        assert count(entries.entries_of(PASS), Today(BOOT, None, None), None, 0).counted.total == 1
        with entries.transaction():
            assert entries.append(entry(EntryKind.PASSED, ref_seq=1), PLACED) == 3
    with EntriesView.open(tmp_path) as view:
        assert view.verify() == 3
        assert [told.kind.is_known for told in view.told_after(0)] == [True, False, True]
        assert [exported(one, chained)["kind"] for one, chained in view.entries()] == ["intent", "unknown_12", "passed"]
    ready = Outbox(tmp_path).ready(lambda _: 0)
    assert ready is not None and len(ready.bodies) == 3
    assert msgspec.msgpack.decode(ready.bodies[1])[-1] == "of a later release", "sent as it was written"


def write_as_a_later_release(data_dir: Path, seq: int) -> None:
    """An entry of a kind, with a field behind it, that this release does not know; of a pass, chained as usual."""
    with closing(sqlite3.connect(data_dir / NAME)) as db, db:
        (before,) = db.execute("SELECT hash FROM entry WHERE seq = ?", (seq - 1,)).fetchone()
        known = msgspec.structs.replace(entry(), seq=seq)
        fields = [*msgspec.msgpack.decode(encode_entry(known)), "of a later release"]
        fields[1] = KIND_OF_A_LATER_RELEASE
        body = msgspec.msgpack.encode(fields)
        columns = (known.lane, known.device_at_ms, known.trust, known.pass_id, None, None, known.monotonic_ms, BOOT)
        sql = """INSERT INTO entry (seq, body, hash, kind, lane, at_ms, trust, pass_id, ref_seq, reason, monotonic_ms,
                 boot) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"""
        db.execute(sql, (seq, body, entry_hash(before, body), KIND_OF_A_LATER_RELEASE, *columns))


def test_a_journal_one_schema_ahead_is_written_on_and_two_ahead_is_left_alone(tmp_path: Path) -> None:
    with closing(opened(tmp_path)) as entries, entries.transaction():
        entries.append(entry(), PLACED)
    with closing(sqlite3.connect(tmp_path / NAME)) as db:
        db.execute("ALTER TABLE entry ADD COLUMN of_a_later_release TEXT")
        db.execute("CREATE TABLE of_a_later_release (x INTEGER) STRICT")
        db.execute(f"PRAGMA user_version = {entries_schema.SCHEMA + 1}")
    with closing(opened(tmp_path)) as entries, entries.transaction():
        assert entries.append(entry(EntryKind.PASSED, ref_seq=1), PLACED) == 2
    assert schema_of(tmp_path) == entries_schema.SCHEMA + 1
    assert "of_a_later_release" in str(layout(tmp_path))
    with closing(sqlite3.connect(tmp_path / NAME)) as db:
        db.execute(f"PRAGMA user_version = {entries_schema.SCHEMA + 2}")
    with pytest.raises(JournalTooNew):
        Entries.open(tmp_path, lambda: b"the-next")
    assert not list(tmp_path.glob("entries-damaged*"))
