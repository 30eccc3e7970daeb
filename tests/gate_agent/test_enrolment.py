"""A box is enrolled once, at the centre its code pins, and never by accident again."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from gate_agent.enrolment import Enrolled, NotEnrolled, enrol
from gate_agent.entries import Entries
from gate_agent.sync_state import SyncView
from gate_agent.trusted_time import clocks_of_this_machine
from tests.gate_agent.boxes import box_at, write
from tests.gate_agent.small_centre import Fault, SmallCentre
from tests.wire import samples
from wire import messages, signing
from wire.messages import EntryKind

CLOCKS = clocks_of_this_machine()


@pytest.fixture
def centre() -> Iterator[SmallCentre]:
    with SmallCentre() as small:
        small.approved = False
        yield small


def try_to_enrol(
    data_dir: Path, centre: SmallCentre, code: str | None = None, *, replace: bool = False
) -> Enrolled | str:
    result = enrol(data_dir, centre.url, code or centre.code.text(), "gate-3", CLOCKS, replace=replace)
    return result.say if isinstance(result, NotEnrolled) else result


def test_a_box_is_enrolled_and_waits_for_approval(tmp_path: Path, centre: SmallCentre) -> None:
    result = try_to_enrol(tmp_path, centre)
    assert isinstance(result, Enrolled)
    private_key = (tmp_path / "device.key").read_bytes()
    public_key = signing.public_key_of(private_key)
    assert centre.devices == {samples.DEVICE_ID: public_key}
    assert json.loads(result.line()) == {
        "device": samples.DEVICE_ID.hex(),
        "check": signing.check_characters(public_key),
        "status": "pending",
    }
    state = SyncView.open(tmp_path).read()
    assert (state.url, state.device, state.key_set, state.config) == (
        centre.url, samples.DEVICE_ID, samples.KEY_SET, None,
    )  # fmt: skip


def test_once_approved_it_gets_its_configuration(tmp_path: Path, centre: SmallCentre) -> None:
    try_to_enrol(tmp_path, centre)
    centre.approved = True
    centre.lists.publish(42)
    with box_at(tmp_path, None) as box:
        box.pull.pull_once()
        assert box.store.read().config == centre.config


@pytest.mark.parametrize("typed", [str.lower, lambda text: text.replace("-", ""), lambda text: text.replace("-", " ")])
def test_a_code_may_be_typed_in_any_way(tmp_path: Path, centre: SmallCentre, typed: object) -> None:
    assert callable(typed)
    assert isinstance(try_to_enrol(tmp_path, centre, typed(centre.code.text())), Enrolled)


def test_a_used_or_wrong_code_is_refused_in_the_centres_words(tmp_path: Path, centre: SmallCentre) -> None:
    wrong = messages.EnrolmentCode(bytes(10), centre.code.root_check).text()
    assert try_to_enrol(tmp_path, centre, wrong) == "code: the centre says code"
    assert list(tmp_path.iterdir()) == []


def test_a_centre_that_did_not_make_the_code_is_not_believed(tmp_path: Path, centre: SmallCentre) -> None:
    other_root = signing.public_key_of(samples.SERVICE)
    code = messages.make_enrolment_code(centre.code.secret, other_root)
    centre.code = code  # it accepts the secret, but its root key is another one
    told = try_to_enrol(tmp_path, centre)
    assert isinstance(told, str)
    assert "root key" in told
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("code", ["", "HELLO", "MFRG-GZDF", "1" * 24])
def test_what_is_no_code_never_leaves_the_box(tmp_path: Path, centre: SmallCentre, code: str) -> None:
    result = enrol(tmp_path, centre.url, code, "gate-3", CLOCKS)
    assert isinstance(result, NotEnrolled)
    assert centre.requests == []


@pytest.mark.parametrize("url", ["", "centre.example", "ftp://centre.example", "https://"])
def test_an_address_must_be_one(tmp_path: Path, centre: SmallCentre, url: str) -> None:
    result = enrol(tmp_path, url, centre.code.text(), "gate-3", CLOCKS)
    assert isinstance(result, NotEnrolled)
    assert "address" in result.say


@pytest.mark.parametrize("fault", [Fault.PORTAL, Fault.REDIRECT, Fault.DROP_BEFORE_STORING, Fault.HALF, Fault.ENDLESS])
def test_what_is_no_centre_enrols_nobody(tmp_path: Path, centre: SmallCentre, fault: Fault) -> None:
    centre.faults.append(fault)
    assert isinstance(try_to_enrol(tmp_path, centre), str)
    assert list(tmp_path.iterdir()) == []


def test_an_enrolled_box_is_not_enrolled_again_by_accident(tmp_path: Path, centre: SmallCentre) -> None:
    try_to_enrol(tmp_path, centre)
    before = (tmp_path / "device.key").read_bytes()
    told = try_to_enrol(tmp_path, centre)
    assert isinstance(told, str)
    assert "--replace" in told
    assert (tmp_path / "device.key").read_bytes() == before
    assert isinstance(try_to_enrol(tmp_path, centre, replace=True), Enrolled)
    assert (tmp_path / "device.key").read_bytes() != before


def test_entries_are_never_left_to_another_identity(tmp_path: Path, centre: SmallCentre) -> None:
    try_to_enrol(tmp_path, centre)
    with closing(Entries.open(tmp_path, lambda: samples.INCARNATION)[0]) as entries:
        assert isinstance(try_to_enrol(tmp_path, centre, replace=True), Enrolled)
        write(entries, EntryKind.REFUSED)
        told = try_to_enrol(tmp_path, centre, replace=True)
    assert isinstance(told, str)
    assert "journal" in told
