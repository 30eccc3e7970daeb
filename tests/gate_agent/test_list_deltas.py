"""Deltas brought to the list in force: the same list as one built anew, all of a delta or nothing of it."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gate_agent import list_install
from gate_agent.list_file import ListFlaw, NotInstalled
from gate_agent.pass_list import FOLDER, PassList, PassListHolder
from tests.gate_agent.lists import Feed
from tests.waiting import until
from tests.wire import samples
from wire import feed
from wire.credential import CredentialKind
from wire.entitlement import PassStatus
from wire.feed import Credential, Head, NameRow, Part, PassRow, Row, SegmentFlaw, UseRow

Delta = tuple[int, Part, tuple[Row, ...]]
IDS = [bytes([number]) * 8 for number in range(4)]
CARDS = [bytes([number]) * 16 for number in range(3)]


def a_pass(pass_id: bytes, status: PassStatus = PassStatus.ACTIVE, cards: tuple[bytes, ...] = ()) -> PassRow:
    hashed = tuple(Credential(CredentialKind.CARD_NUMBER, card) for card in cards)
    return PassRow(pass_id, 7, status, 3_600_000, 4_100_000, 1, hashed)


def held(folder: Path) -> PassList:
    found = PassList.open(folder)
    assert found is not None
    return found


def content(folder: Path) -> list[list[tuple[object, ...]]]:
    """Every row of the list in force, whatever made it."""
    with closing(sqlite3.connect(f"{held(folder).path.as_uri()}?mode=ro", uri=True)) as db:
        tables = ("pass", "name", "uses", "credential", "meta")
        return [sorted(db.execute(f"SELECT * FROM {table}")) for table in tables]


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / FOLDER).glob("*.db"))


def test_a_delta_is_applied_to_the_file_in_force_and_readers_see_it(tmp_path: Path) -> None:
    source, lanes = Feed(), PassListHolder(tmp_path)
    source.publish(42)
    source.install(tmp_path)
    assert lanes.current() is not None
    changed = a_pass(IDS[1], PassStatus.SUSPENDED)
    source.publish(43, deltas=((43, Part.PASSES, (changed,)),), snapshot_version=42)
    assert isinstance(source.install(tmp_path), Head)
    now = lanes.current()
    assert now is not None and now.version == 43
    listed = now.find(IDS[1])
    assert listed is not None and listed.right.status is PassStatus.SUSPENDED
    assert files(tmp_path) == ["1-42.db"]


def test_only_the_newer_deltas_are_fetched(tmp_path: Path) -> None:
    source = Feed()
    source.publish(42)
    source.install(tmp_path)
    deltas: tuple[Delta, ...] = tuple((version, Part.PASSES, (a_pass(IDS[1]),)) for version in (43, 44, 45))
    source.publish(43, deltas=deltas[:1], snapshot_version=42)
    source.install(tmp_path)
    source.publish(45, deltas=deltas, snapshot_version=42)
    head = source.read
    assert head is not None
    needed = {ref.name for ref in head.deltas[1:]}
    source.segments = {name: data for name, data in source.segments.items() if name in needed}
    assert isinstance(source.install(tmp_path), Head)
    assert held(tmp_path).version == 45


def test_a_gate_older_than_the_snapshot_builds_anew(tmp_path: Path) -> None:
    source = Feed()
    source.publish(42)
    source.install(tmp_path)
    source.publish(51, deltas=((51, Part.PASSES, (a_pass(IDS[1]),)),), snapshot_version=50)
    source.install(tmp_path)
    assert files(tmp_path) == ["1-42.db", "1-51.db"]


def fill(
    source: Feed, folder: Path, snapshot_version: int = 42, upto: int = 45, signed_at_ms: int = samples.NOW_MS
) -> None:
    """Each version up to `upto` in a delta of its own."""
    deltas: tuple[Delta, ...] = tuple((at, Part.PASSES, (a_pass(IDS[at % 4]),)) for at in range(43, upto + 1))
    after = tuple(delta for delta in deltas if delta[0] > snapshot_version)
    source.publish(upto, deltas=after, snapshot_version=snapshot_version, signed_at_ms=signed_at_ms)
    assert isinstance(source.install(folder), Head)


def test_a_file_that_deltas_filled_is_built_anew_from_the_next_snapshot(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(list_install, "OUTGROWN_ROWS", 2)
    monkeypatch.setattr(list_install, "OUTGROWN_SHARE", 0.0)
    source = Feed()
    for upto in (42, 43, 44, 45):
        fill(source, tmp_path, upto=upto)
    assert held(tmp_path).origin.brought_rows == 3
    assert held(tmp_path).find(IDS[3]) is not None
    assert files(tmp_path) == ["1-42.db"], "there is no newer snapshot yet"
    fill(source, tmp_path, snapshot_version=45, upto=46)
    assert files(tmp_path) == ["1-42.db"], "what is new goes before"
    fill(source, tmp_path, snapshot_version=45, upto=46)
    assert (files(tmp_path), held(tmp_path).path.name) == (["1-42.db", "1-46.db"], "1-46.db")
    assert held(tmp_path).find(IDS[3]) is None, "its row was in none of the new snapshot's segments"
    assert held(tmp_path).origin._asdict() | {"signed_at_ms": 0, "built_rows": 0} == {
        "snapshot_version": 45, "signed_at_ms": 0, "built_rows": 0, "brought_rows": 0,
    }  # fmt: skip
    before = held(tmp_path).path.stat().st_mtime_ns
    fill(source, tmp_path, snapshot_version=45, upto=46)
    assert held(tmp_path).path.stat().st_mtime_ns == before, "once"


def test_an_old_file_is_built_anew_from_a_newer_snapshot(tmp_path: Path) -> None:
    source = Feed()
    fill(source, tmp_path, upto=45)
    fill(source, tmp_path, upto=46)
    old_ms = samples.NOW_MS + list_install.FILE_KEPT_MS
    fill(source, tmp_path, upto=46, signed_at_ms=old_ms + 1)
    fill(source, tmp_path, snapshot_version=46, upto=46, signed_at_ms=old_ms)
    assert files(tmp_path) == ["1-45.db"], "there was no newer snapshot, then it was not old enough"
    fill(source, tmp_path, snapshot_version=46, upto=46, signed_at_ms=old_ms + 1)
    assert files(tmp_path) == ["1-45.db", "1-46.db"]
    assert held(tmp_path).path.name == "1-46.db"


def test_a_snapshot_that_cannot_be_had_leaves_an_outgrown_list_in_force(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(list_install, "OUTGROWN_ROWS", 0)
    monkeypatch.setattr(list_install, "OUTGROWN_SHARE", 0.0)
    source = Feed()
    for upto in (42, 43, 44):
        fill(source, tmp_path, upto=upto)
    fill(source, tmp_path, snapshot_version=44, upto=45)
    wanted = source.segments
    source.segments = {}
    with pytest.raises(KeyError):
        source.install(tmp_path)
    assert held(tmp_path).version == 45
    source.segments = wanted
    source.install(tmp_path)
    assert held(tmp_path).path.name == "1-45.db"


def cut_segment(source: Feed) -> NotInstalled:
    assert source.read is not None
    name = source.read.deltas[-1].name
    source.segments[name] = source.segments[name][:-1]
    return NotInstalled("segment", SegmentFlaw.WRONG_NAME)


def other_venue(source: Feed) -> NotInstalled:
    assert source.read is not None
    document = msgspec.structs.replace(samples.DOCUMENT, venue=9)
    source.publish(44, deltas=(*FIRST, (44, Part.DOCUMENT, (document,))), snapshot_version=42)
    return NotInstalled("list", ListFlaw.WRONG_VENUE)


FIRST: tuple[Delta, ...] = ((43, Part.PASSES, (a_pass(IDS[1], PassStatus.REVOKED),)),)
SECOND: tuple[Delta, ...] = (*FIRST, (44, Part.NAMES, (NameRow(IDS[1], "2026111800000099", "李*"),)))


@pytest.mark.parametrize("in_place_bytes", [list_install.IN_PLACE_BYTES, 0])
@pytest.mark.parametrize("spoil", [cut_segment, other_venue])
def test_a_flaw_in_the_last_of_several_deltas_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spoil: Callable[[Feed], NotInstalled], in_place_bytes: int
) -> None:
    monkeypatch.setattr(list_install, "IN_PLACE_BYTES", in_place_bytes)
    source = Feed()
    source.publish(42)
    source.install(tmp_path)
    before = content(tmp_path)
    source.publish(44, deltas=SECOND, snapshot_version=42)
    wanted = spoil(source)
    assert source.install(tmp_path) == wanted
    assert content(tmp_path) == before


def test_a_delta_that_cannot_be_fetched_changes_nothing(tmp_path: Path) -> None:
    source = Feed()
    source.publish(42)
    source.install(tmp_path)
    before = content(tmp_path)
    source.publish(44, deltas=SECOND, snapshot_version=42)
    assert source.read is not None
    missing = source.segments.pop(source.read.deltas[-1].name)
    with pytest.raises(KeyError):
        source.install(tmp_path)
    assert content(tmp_path) == before
    source.segments[source.read.deltas[-1].name] = missing
    source.install(tmp_path)
    assert held(tmp_path).version == 44


KILLED_WHILE_APPLYING = """
import sys, threading
from pathlib import Path
from gate_agent import list_install
from tests.gate_agent.lists import CONFIG, Feed
from tests.gate_agent.test_list_deltas import SECOND
from tests.wire import samples

feed = Feed()
feed.publish(44, deltas=SECOND, snapshot_version=42)
last = feed.read.deltas[-1].name

def segments(name):
    if name == last:
        print("applying", flush=True)
        threading.Event().wait()
    return feed.segments[name]

list_install.install(Path(sys.argv[1]), feed.head, segments, samples.KEY_SET, CONFIG)
"""


@pytest.mark.slow
def test_killed_while_applying_nothing_of_it_happened(tmp_path: Path) -> None:
    source = Feed()
    source.publish(42)
    source.install(tmp_path)
    before = content(tmp_path)
    command = [sys.executable, "-c", KILLED_WHILE_APPLYING, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as applying:
        try:
            assert applying.stdout is not None
            assert applying.stdout.readline() == "applying\n"
            assert until(lambda: content(tmp_path) == before)  # lanes read on while it is being applied
        finally:
            applying.kill()
    assert content(tmp_path) == before
    source.publish(44, deltas=SECOND, snapshot_version=42)
    source.install(tmp_path)
    assert held(tmp_path).version == 44


PASS_ROWS = st.builds(
    a_pass, st.sampled_from(IDS), st.sampled_from(PassStatus), st.lists(st.sampled_from(CARDS), unique=True).map(tuple)
)
NAMES = st.builds(NameRow, st.sampled_from(IDS), st.sampled_from(["1", "22"]), st.just("李*"))
USES = st.builds(UseRow, st.sampled_from(IDS), st.integers(0, 9), st.just(2513), st.integers(0, 9), st.just(()))
CHANGES = st.lists(
    st.one_of(
        st.tuples(st.just(Part.PASSES), PASS_ROWS),
        st.tuples(st.just(Part.NAMES), NAMES),
        st.tuples(st.just(Part.USES), USES),
    ),
    min_size=1,
    max_size=8,
)


@pytest.mark.slow
@pytest.mark.parametrize("in_place", [True, False])
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changes=CHANGES, stops=st.sets(st.integers(0, 7)))
def test_any_changes_in_any_steps_end_as_the_list_built_anew(
    tmp_path_factory: pytest.TempPathFactory, in_place: bool, changes: list[tuple[Part, Row]], stops: set[int]
) -> None:
    step_by_step, at_once = tmp_path_factory.mktemp("steps"), tmp_path_factory.mktemp("once")
    with pytest.MonkeyPatch.context() as patched:
        if not in_place:
            patched.setattr(list_install, "IN_PLACE_BYTES", 0)
        source = Feed()
        source.publish(42)
        source.install(step_by_step)
        deltas: tuple[Delta, ...] = tuple((43 + n, part, (row,)) for n, (part, row) in enumerate(changes))
        for upto in sorted({stop for stop in stops if 0 < stop < len(deltas)} | {len(deltas)}):
            source.publish(42 + upto, deltas=deltas[:upto], snapshot_version=42)
            assert isinstance(source.install(step_by_step), Head)
    assert isinstance(source.install(at_once), Head)
    assert (files(step_by_step) == ["1-42.db"]) is in_place
    assert content(step_by_step)[:4] == content(at_once)[:4]
    assert held(step_by_step).version == held(at_once).version
    assert feed.read_head(source.head, samples.KEY_SET, samples.FEED_ID) == held(step_by_step).head
