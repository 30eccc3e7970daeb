"""The journal's file: append-only, chained, checked at every start; set aside when damaged, never when only full."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import msgspec
import pytest

from gate_agent import entries as entries_module
from gate_agent.chain import Broken
from gate_agent.entries import Entries, Placed
from gate_agent.entries_view import EntriesView
from gate_agent.journal_files import NAME
from tests.wire import samples
from wire.messages import FIRST_HASH, ClockTrust, Entry, EntryKind, decode_entry, entry_hash

BOOT = "this"
PLACED = Placed(BOOT, 2513)
PASS = samples.PASS_ID


def entry(kind: EntryKind = EntryKind.INTENT, **changes: object) -> Entry:
    """An entry at lane 1."""
    plain = Entry(0, kind, samples.NOW_MS, ClockTrust.TRUSTED, 5, 1, 42, 1, pass_id=PASS)
    return msgspec.structs.replace(plain, **changes)


def opened(folder: Path, incarnation: bytes = samples.INCARNATION) -> Entries:
    """The journal in `folder`, whole."""
    entries, set_aside = Entries.open(folder, lambda: incarnation)
    assert set_aside is None
    return entries


@pytest.fixture
def entries(tmp_path: Path) -> Iterator[Entries]:
    """An empty journal."""
    opened_entries = opened(tmp_path)
    yield opened_entries
    opened_entries.close()


def fill(folder: Path, count: int) -> None:
    """A closed journal of `count` entries, checkpointed."""
    entries = opened(folder)
    with entries.transaction():
        for _ in range(count):
            entries.append(entry(EntryKind.REFUSED, reason="expired"), PLACED)
    entries.close()


def change(folder: Path, sql: str, *values: object) -> None:
    """Tamper with the file behind the agent's back."""
    with closing(sqlite3.connect(folder / NAME)) as db, db:
        db.execute("DROP TRIGGER entry_is_append_only")
        db.execute(sql, values)


def test_entries_are_numbered_and_chained(entries: Entries, tmp_path: Path) -> None:
    with entries.transaction():
        assert [entries.append(entry(), PLACED) for _ in range(3)] == [1, 2, 3]
    running = FIRST_HASH
    with closing(sqlite3.connect(tmp_path / NAME)) as db:
        for seq, body, chained in db.execute("SELECT seq, body, hash FROM entry ORDER BY seq"):
            running = entry_hash(running, body)
            assert chained == running
            assert decode_entry(body) == entry(seq=seq)


def test_it_syncs_every_commit_to_disk(entries: Entries) -> None:
    """2 is FULL. A loop of kills cannot tell it from NORMAL; only losing power can."""
    assert entries._db.execute("PRAGMA synchronous").fetchone() == (2,)
    assert entries._db.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_the_next_start_goes_on_where_the_last_one_ended(tmp_path: Path) -> None:
    fill(tmp_path, 3)
    entries = opened(tmp_path, incarnation=b"another.")
    assert entries.incarnation == samples.INCARNATION
    with entries.transaction():
        assert entries.append(entry(), PLACED) == 4
    entries.close()
    with EntriesView.open(tmp_path) as view:
        assert view.verify() == 4


def test_what_fails_leaves_nothing(entries: Entries) -> None:
    with entries.transaction():
        entries.append(entry(), PLACED)
    with pytest.raises(RuntimeError), entries.transaction():
        entries.append(entry(), PLACED)
        raise RuntimeError
    with entries.transaction():
        with pytest.raises(RuntimeError), entries.part():
            entries.append(entry(), PLACED)
            raise RuntimeError
        assert entries.append(entry(), PLACED) == 2
    assert [entry.seq for entry in entries.entries_of(PASS)] == [1, 2]


def test_nothing_written_is_ever_changed(entries: Entries) -> None:
    with entries.transaction():
        entries.append(entry(), PLACED)
    with pytest.raises(sqlite3.IntegrityError, match="never changed"):
        entries._db.execute("UPDATE entry SET body = x'00' WHERE seq = 1")


@pytest.mark.parametrize("kind", [EntryKind.PASSED, EntryKind.PASSED_ASSUMED, EntryKind.ANNULLED, EntryKind.UNRESOLVED])
def test_an_intent_is_open_until_its_outcome(entries: Entries, kind: EntryKind) -> None:
    with entries.transaction():
        first, second = entries.append(entry(), PLACED), entries.append(entry(lane=2), PLACED)
        entries.append(entry(kind, ref_seq=first), PLACED)
        entries.append(entry(EntryKind.PASSED_LATE, ref_seq=first), PLACED)
    assert [(intent.seq, intent.lane, intent.pass_id) for intent in entries.open_intents()] == [(second, 2, PASS)]


def test_refusals_are_no_uses(entries: Entries) -> None:
    with entries.transaction():
        entries.append(entry(EntryKind.REFUSED, reason="used_up"), PLACED)
        entries.append(entry(pass_id=bytes(8)), PLACED)
    assert entries.entries_of(PASS) == []


def test_admissions_without_a_list_are_counted_by_lane_product_and_head(entries: Entries) -> None:
    with entries.transaction():
        for lane, product, head_ms in [(1, 8, 100), (1, 8, 100), (2, 8, 100), (1, 9, 100), (1, 8, 200), (1, 8, None)]:
            entries.append(entry(lane=lane), Placed(BOOT, 2513, product, head_ms))
    assert entries.used_without_list(1, 8, 100) == 2


def test_only_entries_of_a_trusted_clock_say_how_late_it_is(entries: Entries) -> None:
    assert entries.newest_trusted_ms() is None
    with entries.transaction():
        entries.append(entry(device_at_ms=1_000), PLACED)
        entries.append(entry(device_at_ms=9_000, trust=ClockTrust.HELD), PLACED)
        entries.append(entry(device_at_ms=8_000, trust=ClockTrust.UNKNOWN), PLACED)
    assert entries.newest_trusted_ms() == 1_000


@pytest.mark.parametrize(
    ("sql", "seq"),
    [
        ("UPDATE entry SET body = CAST(substr(body, 1, length(body) - 1) || x'00' AS BLOB) WHERE seq = 2", 2),
        ("UPDATE entry SET hash = x'00' WHERE seq = 2", 2),
        ("DELETE FROM entry WHERE seq = 2", 2),
        ("DELETE FROM entry WHERE seq = 1", 1),
        ("UPDATE entry SET kind = 1 WHERE seq = 2", 2),
        ("UPDATE entry SET pass_id = x'00' WHERE seq = 3", 3),
        ("UPDATE entry SET at_ms = at_ms + 1 WHERE seq = 1", 1),
    ],
)
def test_verify_finds_and_locates_any_change(tmp_path: Path, sql: str, seq: int) -> None:
    fill(tmp_path, 4)
    change(tmp_path, sql)
    with EntriesView.open(tmp_path) as view:
        found = view.verify()
    assert isinstance(found, Broken)
    assert found.seq == seq


def test_every_bit_of_an_entry_counts(tmp_path: Path) -> None:
    fill(tmp_path, 3)
    change(tmp_path, "PRAGMA synchronous = OFF")
    with closing(sqlite3.connect(tmp_path / NAME)) as db, EntriesView.open(tmp_path) as view:
        db.execute("PRAGMA synchronous = OFF")
        for column in ("body", "hash"):
            (value,) = db.execute(f"SELECT {column} FROM entry WHERE seq = 2").fetchone()
            for bit in range(len(value) * 8):
                changed = bytearray(value)
                changed[bit // 8] ^= 1 << bit % 8
                with db:
                    db.execute(f"UPDATE entry SET {column} = ? WHERE seq = 2", (bytes(changed),))
                assert isinstance(view.verify(), Broken)
            with db:
                db.execute(f"UPDATE entry SET {column} = ? WHERE seq = 2", (value,))
        assert view.verify() == 3


@pytest.mark.parametrize("how", ["chain", "no database", "cut", "no incarnation", "empty", "overwritten"])
def test_a_damaged_journal_is_set_aside_whole_and_a_new_one_begins(tmp_path: Path, how: str) -> None:
    fill(tmp_path, 300)
    path = tmp_path / NAME
    whole = path.read_bytes()
    if how == "chain":
        change(tmp_path, "UPDATE entry SET hash = x'00' WHERE seq = 290")
    elif how == "no incarnation":
        change(tmp_path, "DELETE FROM meta")
    else:
        chance = random.Random(3).randbytes(8192)
        path.write_bytes(
            {
                "no database": chance,
                "cut": whole[: len(whole) // 2],
                "empty": b"",
                "overwritten": whole[:8192] + chance + whole[16384:],
            }[how]
        )
    damaged = path.read_bytes()
    entries, set_aside = Entries.open(tmp_path, lambda: b"the-next")
    assert set_aside is not None
    assert set_aside.read_bytes() == damaged
    assert (entries.incarnation, entries.last_seq) == (b"the-next", 0)
    with entries.transaction():
        assert entries.append(entry(), PLACED) == 1
    entries.close()
    with closing(opened(tmp_path)) as again:
        assert again.last_seq == 1


def test_a_log_without_its_database_does_not_run_into_the_new_one(tmp_path: Path) -> None:
    """As when a start died between setting aside the database and its log."""
    entries = opened(tmp_path)
    with entries.transaction():
        entries.append(entry(), PLACED)
    stray = (tmp_path / f"{NAME}-wal").read_bytes()
    entries.close()
    (tmp_path / NAME).unlink()
    (tmp_path / f"{NAME}-wal").write_bytes(stray)
    entries, set_aside = Entries.open(tmp_path, lambda: b"the-next")
    assert (entries.incarnation, entries.last_seq, set_aside) == (b"the-next", 0, None)
    entries.close()


def test_a_start_that_died_while_making_the_journal_is_forgotten(tmp_path: Path) -> None:
    (tmp_path / f"{NAME}.new").write_bytes(b"half")
    with closing(opened(tmp_path)) as again:
        assert again.last_seq == 0


def test_it_keeps_to_itself(entries: Entries, tmp_path: Path) -> None:
    assert (tmp_path / NAME).stat().st_mode & 0o777 == 0o600


def test_a_clock_that_goes_forward_and_back_gives_nobody_another_day(tmp_path: Path) -> None:
    entries = opened(tmp_path)
    with entries.transaction():
        for day in (100, 100, 101):
            entries.append(entry(EntryKind.MANUAL, who="李"), Placed("boot", day))
    assert [entries.let_in_by("李", day, "boot") for day in (100, 101)] == [2, 1]
    entries.close()


def test_of_each_member_the_newest_entries_by_hand_are_kept_to_count_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(entries_module, "MANUAL_ENTRIES_KEPT", 3)
    entries = opened(tmp_path)
    with entries.transaction():
        for who in ("李", "王", "李", "李", "李", "李"):
            entries.append(entry(EntryKind.MANUAL, who=who), Placed("boot", 100))
    assert [entries.let_in_by(who, 100, "boot") for who in ("李", "王")] == [3, 1]
    entries.close()
