"""The list is verified, built beside the live one and swapped in; whatever goes wrong, the one held stays."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace as replaced

from gate_agent import list_install
from gate_agent.list_file import ListFlaw, NotInstalled
from gate_agent.pass_list import PassList, PassListHolder
from gate_agent.venue import ListedPass
from tests.gate_agent.lists import CONFIG, SAMPLE_PARTS, Feed
from tests.waiting import until
from tests.wire import samples
from wire import feed
from wire.credential import CredentialKind
from wire.entitlement import PassStatus, Right
from wire.feed import Credential, NameRow, Part, PassRow, SegmentFlaw
from wire.signing import SealFlaw

CARD, PASS_ID = bytes(range(16)), samples.PASS_ID


@pytest.fixture
def venue_feed() -> Feed:
    return Feed()


def held(data_dir: Path) -> PassList:
    found = PassList.open(data_dir)
    assert found is not None
    return found


def a_pass(pass_id: bytes, *, not_after: int = 4_100_000, card: bytes | None = None) -> PassRow:
    credentials = () if card is None else (Credential(CredentialKind.CARD_NUMBER, card),)
    return PassRow(pass_id, 7, PassStatus.ACTIVE, 3_600_000, not_after, 1, credentials)


def test_nothing_is_held_before_the_first_list(tmp_path: Path) -> None:
    assert PassList.open(tmp_path) is None
    assert PassListHolder(tmp_path).current() is None


def test_a_list_tells_everything_about_a_pass(tmp_path: Path, venue_feed: Feed) -> None:
    venue_feed.publish(42)
    assert venue_feed.install(tmp_path) == venue_feed.read
    listed = held(tmp_path).find(PASS_ID)
    assert listed == ListedPass(
        PASS_ID,
        7,
        Right(PassStatus.ACTIVE, 3_600_000, 4_100_000, 1, True),
        "2026111800000017",
        "李*花",
        samples.USE_ROWS[0],
        samples.PASS_ROWS[0].holder_keys,
        samples.NAME_ROWS[0].photo,
    )
    assert held(tmp_path).find(b"notaPASS") is None
    assert held(tmp_path).document == samples.DOCUMENT
    assert (held(tmp_path).epoch, held(tmp_path).version) == (1, 42)
    assert held(tmp_path).venue.place.groups == frozenset({1})


def test_the_newest_set_of_holder_keys_wins_and_stands_newest_first(tmp_path: Path, venue_feed: Feed) -> None:
    old, new, newest = (feed.HolderKey(generation, bytes([2]) * 33) for generation in (1, 2, 700))
    row = a_pass(PASS_ID)
    two, others = (replaced(row, holder_keys=keys) for keys in ((old, new), (new, newest)))
    parts: list[tuple[Part, tuple[feed.Row]]] = [(Part.DOCUMENT, (samples.DOCUMENT,)), (Part.PASSES, (two,))]
    venue_feed.publish(42, parts)
    venue_feed.install(tmp_path)
    assert keys_of(tmp_path) == (new, old)
    venue_feed.publish(43, parts, [(43, Part.PASSES, (others,))])
    venue_feed.install(tmp_path)
    assert keys_of(tmp_path) == (newest, new)
    venue_feed.publish(
        44, parts, [(43, Part.PASSES, (others,)), (44, Part.PASSES, (row,))]
    )  # all phones were taken off the pass
    venue_feed.install(tmp_path)
    assert keys_of(tmp_path) == ()


def keys_of(data_dir: Path) -> tuple[feed.HolderKey, ...]:
    listed = held(data_dir).find(PASS_ID)
    assert listed is not None
    return listed.holder_keys


def test_a_pass_without_name_or_uses_is_listed_all_the_same(tmp_path: Path, venue_feed: Feed) -> None:
    venue_feed.publish(42)
    venue_feed.install(tmp_path)
    listed = held(tmp_path).find(bytes(8))
    assert listed is not None
    assert (listed.right.status, listed.ticket_number, listed.masked_name, listed.centre_uses) == (
        PassStatus.REVOKED, "", "", None,
    )  # fmt: skip


def test_a_card_finds_all_passes_of_its_holder_the_longest_first(tmp_path: Path, venue_feed: Feed) -> None:
    last_year, this_year = a_pass(b"lastyear", not_after=3_900_000, card=CARD), a_pass(b"thisyear", card=CARD)
    venue_feed.publish(1, ((Part.DOCUMENT, (samples.DOCUMENT,)), (Part.PASSES, (last_year, this_year))))
    venue_feed.install(tmp_path)
    assert held(tmp_path).passes_of_credential(CARD) == (b"thisyear", b"lastyear")
    assert held(tmp_path).passes_of_credential(bytes(16)) == ()


def test_staff_find_a_pass_by_the_end_of_its_number(tmp_path: Path, venue_feed: Feed) -> None:
    venue_feed.publish(42)
    venue_feed.install(tmp_path)
    assert [listed.pass_id for listed in held(tmp_path).search_digits("000017")] == [PASS_ID]
    assert held(tmp_path).search_digits("999999") == []


def test_a_delta_replaces_a_row_with_everything_it_carried(tmp_path: Path, venue_feed: Feed) -> None:
    other_card = bytes(range(1, 17))
    changed = msgspec.structs.replace(a_pass(PASS_ID, card=other_card), status=PassStatus.SUSPENDED)
    renamed = NameRow(PASS_ID, "2026111800000018", "李*")
    venue_feed.publish(44, deltas=((43, Part.PASSES, (changed,)), (44, Part.NAMES, (renamed,))))
    venue_feed.install(tmp_path)
    listed = held(tmp_path).find(PASS_ID)
    assert listed is not None
    assert (listed.right.status, listed.ticket_number, listed.masked_name) == (
        PassStatus.SUSPENDED, "2026111800000018", "李*",
    )  # fmt: skip
    assert held(tmp_path).passes_of_credential(CARD) == ()
    assert held(tmp_path).passes_of_credential(other_card) == (PASS_ID,)


def test_a_newer_list_replaces_the_one_held_and_keeps_it_beside(tmp_path: Path, venue_feed: Feed) -> None:
    holder = PassListHolder(tmp_path)
    for version in (42, 43, 44):
        venue_feed.publish(version)
        venue_feed.install(tmp_path)
        current = holder.current()
        assert current is not None
        assert current.version == version
    assert sorted(path.name for path in (tmp_path / "lists").glob("*.db")) == ["1-43.db", "1-44.db"]
    assert not (tmp_path / "lists" / "building").exists()


def test_a_new_epoch_counts_above_any_version(tmp_path: Path, venue_feed: Feed) -> None:
    venue_feed.publish(42)
    venue_feed.install(tmp_path)
    venue_feed.publish(7, epoch=2)
    venue_feed.install(tmp_path)
    assert (held(tmp_path).epoch, held(tmp_path).version) == (2, 7)
    venue_feed.publish(43, epoch=1)
    assert venue_feed.install(tmp_path) == NotInstalled("list", ListFlaw.ROLLED_BACK)


def test_a_holder_keeps_its_list_object_until_there_is_another(tmp_path: Path, venue_feed: Feed) -> None:
    venue_feed.publish(42)
    venue_feed.install(tmp_path)
    holder = PassListHolder(tmp_path)
    assert holder.current() is holder.current()


def test_a_younger_head_of_the_same_version_tells_that_the_centre_lives(tmp_path: Path, venue_feed: Feed) -> None:
    venue_feed.publish(42)
    venue_feed.install(tmp_path)
    holder = PassListHolder(tmp_path)
    first = holder.current()
    for more_ms in (0, 10_000):  # the second is too little to be written down
        later_ms = list_install.RENEW_AFTER_MS + more_ms
        venue_feed.publish(42, signed_at_ms=samples.NOW_MS + later_ms)
        venue_feed.install(tmp_path)
        current = holder.current()
        assert current is not None
        assert current is not first
        assert current.head.signed_at_ms == samples.NOW_MS + list_install.RENEW_AFTER_MS
        assert current.find(PASS_ID) is not None


def rolled_back(venue_feed: Feed) -> None:
    venue_feed.publish(41)


def gap(venue_feed: Feed) -> None:
    venue_feed.publish(44, snapshot_version=43)


def falling_deltas(venue_feed: Feed) -> None:
    deltas = ((45, Part.NAMES, samples.NAME_ROWS), (44, Part.NAMES, samples.NAME_ROWS))
    venue_feed.publish(44, deltas=deltas, snapshot_version=43)


def no_snapshot(venue_feed: Feed) -> None:
    venue_feed.publish(43, parts=())


def no_document(venue_feed: Feed) -> None:
    venue_feed.publish(43, parts=SAMPLE_PARTS[1:])


def another_venue(venue_feed: Feed) -> None:
    venue_feed.publish(43, venue=4)


def list_of_another_venue(venue_feed: Feed) -> None:
    other = msgspec.structs.replace(samples.DOCUMENT, venue=4)
    venue_feed.publish(43, parts=((Part.DOCUMENT, (other,)), *SAMPLE_PARTS[1:]), venue=4)


def document_of_another_venue(venue_feed: Feed) -> None:
    other = msgspec.structs.replace(samples.DOCUMENT, venue=4)
    venue_feed.publish(43, parts=((Part.DOCUMENT, (other,)), *SAMPLE_PARTS[1:]))


def forged_head(venue_feed: Feed) -> None:
    venue_feed.publish(43, signer=(samples.LIST_KEY_ID, samples.SERVICE))


def head_of_an_unknown_key(venue_feed: Feed) -> None:
    venue_feed.publish(43, signer=(99, samples.LIST))


def head_signed_by_a_key_of_another_purpose(venue_feed: Feed) -> None:
    venue_feed.publish(43, signer=(samples.PASS_KEY_ID, samples.PASS))


def changed_head(venue_feed: Feed) -> None:
    venue_feed.publish(43)
    venue_feed.head = venue_feed.head[:-3] + bytes([venue_feed.head[-3] ^ 1]) + venue_feed.head[-2:]


def portal_page_for_a_head(venue_feed: Feed) -> None:
    venue_feed.head = b"<!DOCTYPE html><title>Welcome to our wifi</title>" + bytes(200)


def another_list_key(venue_feed: Feed) -> None:
    venue_feed.publish(43, list_key=bytes(32))


def list_key_not_held(venue_feed: Feed) -> None:
    venue_feed.publish(43, list_key_id=22)


def corrupted_segment(venue_feed: Feed) -> None:
    venue_feed.publish(43)
    assert venue_feed.read is not None
    name = venue_feed.read.snapshot[2].name
    venue_feed.segments[name] = venue_feed.segments[name][:-1] + b"?"


def swapped_segments(venue_feed: Feed) -> None:
    venue_feed.publish(43)
    assert venue_feed.read is not None
    one, other = (ref.name for ref in venue_feed.read.snapshot[1:3])
    segments = venue_feed.segments
    segments[one], segments[other] = segments[other], segments[one]


@pytest.mark.parametrize(
    ("spoil", "refused"),
    [
        (rolled_back, NotInstalled("list", ListFlaw.ROLLED_BACK)),
        (gap, NotInstalled("list", ListFlaw.GAP)),
        (falling_deltas, NotInstalled("list", ListFlaw.GAP)),
        (no_snapshot, NotInstalled("list", ListFlaw.GAP)),
        (no_document, NotInstalled("list", ListFlaw.NO_DOCUMENT)),
        (another_venue, NotInstalled("list", ListFlaw.WRONG_VENUE)),
        (list_of_another_venue, NotInstalled("list", ListFlaw.WRONG_VENUE)),
        (document_of_another_venue, NotInstalled("list", ListFlaw.WRONG_VENUE)),
        (forged_head, NotInstalled("head", SealFlaw.FORGED)),
        (head_of_an_unknown_key, NotInstalled("head", SealFlaw.UNKNOWN_KEY)),
        (head_signed_by_a_key_of_another_purpose, NotInstalled("head", SealFlaw.UNKNOWN_KEY)),
        (changed_head, NotInstalled("head", SealFlaw.FORGED)),
        (portal_page_for_a_head, NotInstalled("head", SealFlaw.NEEDS_UPDATE)),
        (another_list_key, NotInstalled("segment", SegmentFlaw.WRONG_KEY)),
        (list_key_not_held, NotInstalled("segment", SegmentFlaw.WRONG_KEY)),
        (corrupted_segment, NotInstalled("segment", SegmentFlaw.WRONG_NAME)),
        (swapped_segments, NotInstalled("segment", SegmentFlaw.WRONG_NAME)),
    ],
)
def test_what_is_not_whole_and_genuine_is_refused_and_the_list_held_stays(
    tmp_path: Path, venue_feed: Feed, spoil: Callable[[Feed], None], refused: NotInstalled
) -> None:
    venue_feed.publish(42)
    venue_feed.install(tmp_path)
    before = sorted(path.name for path in (tmp_path / "lists").iterdir() if path.suffix in ("", ".db"))
    spoil(venue_feed)
    assert venue_feed.install(tmp_path) == refused
    assert held(tmp_path).version == 42
    assert held(tmp_path).find(PASS_ID) is not None
    assert sorted(path.name for path in (tmp_path / "lists").iterdir() if path.suffix in ("", ".db")) == before


def test_a_segment_that_cannot_be_had_leaves_the_list_held(tmp_path: Path, venue_feed: Feed) -> None:
    venue_feed.publish(42)
    venue_feed.install(tmp_path)
    venue_feed.publish(43)
    del venue_feed.segments[venue_feed.read.snapshot[-1].name]  # type: ignore[union-attr]  # published just above
    with pytest.raises(KeyError):
        venue_feed.install(tmp_path)
    assert held(tmp_path).version == 42


KILLED_WHILE_BUILDING = """
import sys, threading
from pathlib import Path
from gate_agent import list_install, pass_list
from tests.gate_agent.lists import CONFIG, Feed
from tests.wire import samples

feed = Feed()
feed.publish(43)
last = feed.read.snapshot[-1].name

def segments(name):
    if name == last:
        print("building", flush=True)
        threading.Event().wait()
    return feed.segments[name]

list_install.install(Path(sys.argv[1]), feed.head, segments, samples.KEY_SET, CONFIG)
"""


def test_killed_while_building_the_old_list_is_in_force_and_the_next_attempt_works(
    tmp_path: Path, venue_feed: Feed
) -> None:
    venue_feed.publish(42)
    venue_feed.install(tmp_path)
    command = [sys.executable, "-c", KILLED_WHILE_BUILDING, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as building:
        try:
            assert building.stdout is not None
            assert building.stdout.readline() == "building\n"
            assert until((tmp_path / "lists" / "building").exists)
        finally:
            building.kill()
    assert held(tmp_path).version == 42
    venue_feed.publish(43)
    venue_feed.install(tmp_path)
    assert held(tmp_path).version == 43


def test_built_but_not_yet_swapped_the_old_list_is_in_force(tmp_path: Path, venue_feed: Feed) -> None:
    """As a power cut leaves it between the two renames; the built file is taken away by the next swap."""
    venue_feed.publish(42)
    venue_feed.install(tmp_path)
    named = (tmp_path / "lists" / "current").read_text()
    venue_feed.publish(43)
    venue_feed.install(tmp_path)
    (tmp_path / "lists" / "current").write_text(named)
    assert held(tmp_path).version == 42
    venue_feed.publish(44)
    venue_feed.install(tmp_path)
    assert held(tmp_path).version == 44
    assert sorted(path.name for path in (tmp_path / "lists").glob("*.db")) == ["1-42.db", "1-44.db"]


@pytest.mark.parametrize("damage", [b"", b"this is no database, whatever its name says" * 200])
def test_a_damaged_file_falls_back_to_the_list_before_and_is_fetched_again(
    tmp_path: Path, venue_feed: Feed, damage: bytes
) -> None:
    for version in (42, 43):
        venue_feed.publish(version)
        venue_feed.install(tmp_path)
    (tmp_path / "lists" / "1-43.db").write_bytes(damage)
    assert held(tmp_path).version == 42
    venue_feed.install(tmp_path)
    assert held(tmp_path).version == 43


def test_a_list_of_another_feed_does_not_stand_in_the_way(tmp_path: Path, venue_feed: Feed) -> None:
    """A box enrolled anew at another venue: versions of two feeds are not compared."""
    venue_feed.publish(42)
    venue_feed.install(tmp_path)
    other = Feed()
    other.publish(3)
    assert other.read is not None
    head = feed.sign_head(msgspec.structs.replace(other.read, feed_id=bytes(16)), samples.LIST_KEY_ID, samples.LIST)
    config = msgspec.structs.replace(CONFIG, feed_id=bytes(16))
    list_install.install(tmp_path, head, other.segments.__getitem__, samples.KEY_SET, config)
    assert held(tmp_path).version == 3


def test_the_data_of_lists_is_for_this_user_alone(tmp_path: Path, venue_feed: Feed) -> None:
    venue_feed.publish(42)
    venue_feed.install(tmp_path)
    assert (tmp_path / "lists").stat().st_mode & 0o777 == 0o700


def test_a_list_file_of_another_schema_is_no_list(tmp_path: Path, venue_feed: Feed) -> None:
    venue_feed.publish(42)
    venue_feed.install(tmp_path)
    with closing(sqlite3.connect(held(tmp_path).path)) as db:
        db.execute("PRAGMA user_version = 99")
    assert PassList.open(tmp_path) is None
    assert isinstance(venue_feed.install(tmp_path), feed.Head)
    assert held(tmp_path).find(PASS_ID) is not None
