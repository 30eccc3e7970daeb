"""The list follows the centre's head; whatever comes instead of it, the gate keeps the list it has and says why."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from gate_agent import list_pull
from gate_agent.centre_client import Rest
from gate_agent.pass_list import PassList
from gate_agent.sync_state import LinkTrouble, TroubleKind
from tests.gate_agent.boxes import Box, box_at
from tests.gate_agent.lists import SAMPLE_PARTS
from tests.gate_agent.small_centre import Fault, SmallCentre
from tests.wire import samples
from wire import keyset, signing
from wire.feed import NameRow, Part
from wire.signing import Purpose

NEW_ROOT = bytes([9]) * 32


@pytest.fixture
def centre() -> Iterator[SmallCentre]:
    with SmallCentre() as small:
        small.lists.publish(42)
        yield small


@pytest.fixture
def box(tmp_path: Path, centre: SmallCentre) -> Iterator[Box]:
    with box_at(tmp_path, centre.url) as enrolled:
        yield enrolled


def version_held(box: Box) -> int | None:
    held = PassList.open(box.data_dir)
    return None if held is None else held.version


def pulled(box: Box) -> Rest:
    result = box.pull.pull_once()
    assert isinstance(result, Rest), result
    return result


def trouble(box: Box) -> LinkTrouble:
    result = box.pull.pull_once()
    assert isinstance(result, LinkTrouble), result
    return result


def test_the_first_pull_brings_configuration_and_list(box: Box, centre: SmallCentre) -> None:
    rest = pulled(box)
    assert 2.4 <= rest.pause_s <= 3.6
    assert box.store.read().config == centre.config
    assert version_held(box) == 42
    assert box.store.read().evidence.floor_ms == samples.NOW_MS
    assert not (box.data_dir / "lists" / "incoming").exists()


def test_an_unchanged_head_costs_one_small_request(box: Box, centre: SmallCentre) -> None:
    pulled(box)
    before = len(centre.requests)
    for _ in range(5):
        pulled(box)
    assert len(centre.requests) == before + 5
    assert centre.asked_for("GET", "segments") == len(SAMPLE_PARTS)
    assert centre.asked_for("GET", "config") == 1


def test_a_new_version_is_fetched_and_only_what_is_new(box: Box, centre: SmallCentre) -> None:
    pulled(box)
    centre.lists.publish(43, (*SAMPLE_PARTS, (Part.NAMES, (NameRow(bytes(8), "1", "王*"),))))
    pulled(box)
    assert version_held(box) == 43


PULL_TROUBLE_OF = {
    Fault.PORTAL: TroubleKind.BAD_LIST,
    Fault.REDIRECT: TroubleKind.NOT_THE_CENTRE,
    Fault.ERROR_PAGE: TroubleKind.NOT_THE_CENTRE,
    Fault.REFUSE: TroubleKind.REFUSED,
    Fault.DROP_BEFORE_STORING: TroubleKind.UNREACHABLE,
    Fault.TRUNCATE: TroubleKind.UNREACHABLE,
    Fault.HALF: TroubleKind.BAD_LIST,
    Fault.ENDLESS: TroubleKind.NOT_THE_CENTRE,
}


@pytest.mark.slow
@pytest.mark.parametrize("fault", PULL_TROUBLE_OF)
def test_what_is_no_head_of_ours_changes_nothing(box: Box, centre: SmallCentre, fault: Fault) -> None:
    pulled(box)
    centre.lists.publish(43)
    centre.faults.append(fault)
    told = trouble(box)
    assert (told.kind, bool(told.detail)) == (PULL_TROUBLE_OF[fault], True)
    assert version_held(box) == 42
    pulled(box)
    assert version_held(box) == 43


SEGMENT_TROUBLE_OF = PULL_TROUBLE_OF | {
    Fault.PORTAL: TroubleKind.NOT_THE_CENTRE,
    Fault.HALF: TroubleKind.NOT_THE_CENTRE,
}


@pytest.mark.slow
@pytest.mark.parametrize("fault", SEGMENT_TROUBLE_OF)
@pytest.mark.parametrize("segment", range(len(SAMPLE_PARTS)))
def test_what_is_no_segment_of_ours_changes_nothing_and_is_fetched_again(
    box: Box, centre: SmallCentre, fault: Fault, segment: int
) -> None:
    pulled(box)
    centre.lists.publish(43)
    centre.faults.extend([None] * (1 + segment))  # the head and the segments before this one come well
    centre.faults.append(fault)
    before = centre.asked_for("GET", "segments")
    told = trouble(box)
    assert (told.kind, bool(told.detail)) == (SEGMENT_TROUBLE_OF[fault], True)
    assert version_held(box) == 42
    pulled(box)
    assert version_held(box) == 43
    assert centre.asked_for("GET", "segments") == before + len(SAMPLE_PARTS) + 1  # what had come is not asked for again


def test_the_time_a_head_was_signed_is_a_floor_for_the_clock(box: Box, centre: SmallCentre) -> None:
    centre.lists.publish(43, signed_at_ms=samples.NOW_MS + 5_000)
    pulled(box)
    assert box.store.read().evidence.floor_ms == samples.NOW_MS + 5_000


def test_yesterdays_head_is_refused_and_told(box: Box, centre: SmallCentre) -> None:
    pulled(box)
    centre.lists.publish(41)
    told = trouble(box)
    assert told.kind is TroubleKind.BAD_LIST
    assert "rolled_back" in told.detail
    assert version_held(box) == 42


def test_a_list_deleted_under_it_is_fetched_again(box: Box, centre: SmallCentre) -> None:
    pulled(box)
    shutil.rmtree(box.data_dir / "lists")
    pulled(box)
    assert version_held(box) == 42


def test_a_segment_spoilt_on_disk_is_fetched_again(box: Box, centre: SmallCentre) -> None:
    incoming = box.data_dir / "lists" / "incoming"
    centre.faults.extend([None, None, None, Fault.DROP_BEFORE_STORING])
    trouble(box)
    (first,) = incoming.iterdir()
    first.write_bytes(b"half of it")
    pulled(box)
    assert version_held(box) == 42


def test_a_new_list_key_is_asked_for_when_the_head_names_it(box: Box, centre: SmallCentre) -> None:
    pulled(box)
    other_key = bytes([7]) * 32
    centre.lists.publish(43, list_key=other_key, list_key_id=22)
    centre.config = msgspec.structs.replace(centre.config, list_keys=(*centre.config.list_keys, (22, other_key)))
    box.clocks.advance(list_pull.CONFIG_AGAIN_MS)
    pulled(box)
    assert version_held(box) == 43


def test_a_new_signing_key_and_a_new_root_are_learnt_from_the_key_set(box: Box, centre: SmallCentre) -> None:
    pulled(box)
    new = samples.public_key(14, Purpose.LIST, NEW_ROOT)
    newer = keyset.KeySet(6, samples.NOW_MS, signing.public_key_of(NEW_ROOT), (*samples.KEY_SET.keys, new))
    signed = keyset.sign_key_set(newer, (samples.ROOT, NEW_ROOT))
    centre.config = msgspec.structs.replace(centre.config, key_set=signed)
    centre.lists.publish(43, key_set_version=6, signer=(14, NEW_ROOT))
    box.clocks.advance(list_pull.CONFIG_AGAIN_MS)
    pulled(box)
    assert version_held(box) == 43
    assert box.store.read().key_set == newer


@pytest.mark.parametrize("version", [4, 6])
def test_a_key_set_that_is_older_or_not_by_our_root_is_refused(box: Box, centre: SmallCentre, version: int) -> None:
    pulled(box)
    root = samples.ROOT if version < samples.KEY_SET.version else NEW_ROOT
    other = keyset.KeySet(version, samples.NOW_MS, signing.public_key_of(root), ())
    centre.config = msgspec.structs.replace(centre.config, key_set=keyset.sign_key_set(other, (root,)))
    centre.lists.publish(43, key_set_version=6)
    box.clocks.advance(list_pull.CONFIG_AGAIN_MS)
    assert "key set" in trouble(box).detail
    assert box.store.read().key_set == samples.KEY_SET
    assert version_held(box) == 42


def test_a_key_that_never_comes_is_asked_for_at_once_and_then_every_minute(box: Box, centre: SmallCentre) -> None:
    pulled(box)
    centre.lists.publish(43, list_key=bytes(32), list_key_id=22)
    for _ in range(20):
        trouble(box)
        box.clocks.advance(6_000)
    assert centre.asked_for("GET", "config") == 1 + 2  # once at the start


def test_the_list_goes_on_coming_while_the_device_interface_is_out_of_order(
    tmp_path: Path, centre: SmallCentre
) -> None:
    """Any cache may deliver lists with the centre stopped: an old configuration serves."""
    with box_at(tmp_path, centre.url) as box:
        pulled(box)
    centre.lists.publish(43)
    centre.faults.append(Fault.ERROR_PAGE)  # the configuration, asked for at every start
    with box_at(tmp_path, None) as box:
        pulled(box)
        assert version_held(box) == 43


def test_a_box_that_is_not_enrolled_says_so(tmp_path: Path, centre: SmallCentre) -> None:
    with box_at(tmp_path, None) as box:
        assert trouble(box).kind is TroubleKind.NOT_ENROLLED
        assert centre.requests == []
