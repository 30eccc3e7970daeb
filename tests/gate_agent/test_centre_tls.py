"""A centre with a certificate of its own CA: believed where the enrolment named that CA, and nobody else beside it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from gate_agent.centre_tls import CENTRE_CA
from gate_agent.enrolment import Enrolled, NotEnrolled, accept, enrol
from gate_agent.sync_state import LinkTrouble, SyncView, TroubleKind
from gate_agent.trusted_time import clocks_of_this_machine
from tests.certificates import Authority
from tests.gate_agent.boxes import box_at
from tests.gate_agent.small_centre import SmallCentre
from tests.wire import samples
from wire import signing
from wire.invitation import invitation_text, read_invitation

CLOCKS = clocks_of_this_machine()
AUTHORITY = Authority()


@pytest.fixture
def centre(tmp_path: Path) -> Iterator[SmallCentre]:
    with SmallCentre(tls=AUTHORITY.server_side(tmp_path / "server")) as small:
        yield small


@pytest.fixture
def box(tmp_path: Path) -> Path:
    return tmp_path / "box"


def try_to_enrol(box: Path, centre: SmallCentre, ca_pem: str = "") -> Enrolled | NotEnrolled:
    return enrol(box, centre.url, centre.code.text(), "gate-3", CLOCKS, ca_pem=ca_pem)


def test_a_scanned_code_brings_the_ca_and_sync_believes_it_from_then_on(box: Path, centre: SmallCentre) -> None:
    ca = AUTHORITY.certificate.public_bytes(Encoding.DER)
    root_public = signing.public_key_of(samples.ROOT)
    invitation = read_invitation(invitation_text(centre.url, centre.code.secret, root_public, ca))
    assert invitation is not None
    assert isinstance(accept(box, invitation, "gate-3", CLOCKS), Enrolled)
    centre.lists.publish(42)
    with box_at(box, None) as enrolled:
        assert not isinstance(enrolled.pull.pull_once(), LinkTrouble)
        assert (held := SyncView.open(box).read()).url == centre.url
        assert held.config == centre.config


def test_by_hand_the_ca_is_a_file(box: Path, centre: SmallCentre) -> None:
    assert isinstance(try_to_enrol(box, centre, AUTHORITY.pem), Enrolled)
    assert (box / CENTRE_CA).read_text() == AUTHORITY.pem


@pytest.mark.parametrize("ca_pem", ["", Authority().pem], ids=["public ones", "another of the same name"])
def test_another_ca_does_not_speak_for_the_centre(box: Path, centre: SmallCentre, ca_pem: str) -> None:
    told = try_to_enrol(box, centre, ca_pem)
    assert isinstance(told, NotEnrolled)
    assert "certificate verify failed" in told.say
    assert (centre.requests, box.exists()) == ([], False)


def test_a_certificate_for_another_host_is_none(tmp_path: Path, box: Path) -> None:
    with SmallCentre(tls=AUTHORITY.server_side(tmp_path / "server", "127.0.0.2")) as elsewhere:
        told = try_to_enrol(box, elsewhere, AUTHORITY.pem)
    assert isinstance(told, NotEnrolled)
    assert "not valid for '127.0.0.1'" in told.say


def test_what_is_no_certificate_or_no_https_is_told(box: Path, centre: SmallCentre) -> None:
    with SmallCentre() as plain:
        for told in (try_to_enrol(box, centre, "no certificate"), try_to_enrol(box, plain, AUTHORITY.pem)):
            assert isinstance(told, NotEnrolled)
            assert "the CA cannot be used" in told.say
    assert centre.requests == []


def test_a_stranger_who_takes_the_centres_place_later_is_told_and_learns_nothing(
    tmp_path: Path, box: Path, centre: SmallCentre
) -> None:
    assert isinstance(try_to_enrol(box, centre, AUTHORITY.pem), Enrolled)
    (box / CENTRE_CA).write_text(Authority().pem)  # as if the certificate at that address were another CA's
    with box_at(box, None) as enrolled:
        trouble = enrolled.pull.pull_once()
    assert isinstance(trouble, LinkTrouble)
    assert trouble.kind is TroubleKind.NOT_THE_CENTRE
    assert centre.asked_for("GET", "config") == 0


def test_a_ca_of_the_environment_is_not_believed(
    tmp_path: Path, box: Path, centre: SmallCentre, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "environment.pem").write_text(AUTHORITY.pem)
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.setenv(name, os.fspath(tmp_path / "environment.pem"))
    assert isinstance(try_to_enrol(box, centre), NotEnrolled)


def test_an_enrolment_without_a_ca_after_one_with_it_trusts_the_public_ones_again(
    box: Path, centre: SmallCentre
) -> None:
    try_to_enrol(box, centre, AUTHORITY.pem)
    with SmallCentre() as plain:
        answer = enrol(box, plain.url, plain.code.text(), "gate-3", CLOCKS, replace=True)
    assert isinstance(answer, Enrolled)
    assert not (box / CENTRE_CA).exists()
