"""The centre's TLS key as its signed key set pins it: rotated without a touch of the box, and nobody else beside it."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import msgspec
import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from gate_agent import centre_tls
from gate_agent.centre_client import Answer, Caller, Rest
from gate_agent.centre_tls import CENTRE_CA
from gate_agent.sync_state import Enrolment, LinkTrouble, TroubleKind
from gate_agent.sync_store import SyncStore, store_enrolment
from gate_agent.trusted_time import TrustedTime, clocks_of_this_machine
from sync_server.keys.tls_pins import read_pin
from tests.certificates import Authority
from tests.gate_agent.boxes import box_at
from tests.gate_agent.small_centre import SmallCentre
from tests.wire import samples
from wire import keyset, signing
from wire.keyset import KeySet

OLD_CA, NEW_CA, STRANGER = Authority("Old"), Authority("New"), Authority("Stranger")
SPARE = bytes(range(32))


class Front:
    """The TLS side of a centre, whose certificate and key can be changed while it runs."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self._folder = folder
        self.context = OLD_CA.server_side(folder / "first")
        self.key = key_in(folder / "first")

    def change(self, authority: Authority, host: str = "127.0.0.1") -> bytes:
        """Another key under a certificate of `authority`; the key's hash."""
        authority.server_side(self._folder / "next", host)
        self.show("next")
        return key_in(self._folder / "next")

    def show(self, name: str) -> None:
        self.context.load_cert_chain(self._folder / name / "server.pem", self._folder / name / "server.key")


def key_in(folder: Path) -> bytes:
    pin = read_pin(folder / "server.pem")
    assert pin.ca is None
    return pin.key_hash


@pytest.fixture
def front(tmp_path: Path) -> Front:
    return Front(tmp_path / "front")


@pytest.fixture
def centre(front: Front) -> Iterator[SmallCentre]:
    with SmallCentre(tls=front.context) as small:
        small.lists.publish(42)
        yield small


@pytest.fixture
def box(tmp_path: Path) -> Path:
    return tmp_path / "box"


def pinning(version: int, *keys: bytes, cas: tuple[Authority, ...] = ()) -> KeySet:
    ders = tuple(ca.certificate.public_bytes(Encoding.DER) for ca in cas)
    return msgspec.structs.replace(samples.KEY_SET, version=version, tls_keys=keys, tls_cas=ders)


def enrol(box: Path, centre: SmallCentre, held: KeySet) -> None:
    """The box holds this key set, and so does the centre."""
    document = publish(centre, held)
    root = signing.public_key_of(samples.ROOT)
    store_enrolment(box, Enrolment(centre.url, samples.DEVICE_ID, root, document), samples.DEVICE)


def publish(centre: SmallCentre, key_set: KeySet) -> bytes:
    document = keyset.sign_key_set(key_set, (samples.ROOT,))
    centre.config = msgspec.structs.replace(centre.config, key_set=document)
    return document


def pull(box: Path) -> Rest | LinkTrouble:
    with box_at(box, None) as opened:
        return opened.pull.pull_once()


def refused(box: Path, centre: SmallCentre) -> LinkTrouble:
    asked = len(centre.requests)
    told = pull(box)
    assert isinstance(told, LinkTrouble)
    assert told.kind is TroubleKind.NOT_THE_CENTRE
    assert len(centre.requests) == asked  # not a word was said to whoever answered
    return told


def test_a_pinned_key_is_believed_under_any_certificate(box: Path, front: Front, centre: SmallCentre) -> None:
    enrol(box, centre, pinning(6, front.key, SPARE))
    assert isinstance(pull(box), Rest)


def test_a_key_is_changed_for_another_without_a_touch_of_the_box(box: Path, front: Front, centre: SmallCentre) -> None:
    enrol(box, centre, pinning(6, front.key, SPARE))
    new = front.change(NEW_CA)
    told = refused(box, centre)  # used before it was pinned
    assert f"has the TLS key {new.hex()[:16]}" in told.detail
    assert "version 6 of the key set pins 2 other keys and 0 CAs" in told.detail
    assert "sync-server keys pin" in told.detail

    front.show("first")
    publish(centre, pinning(7, front.key, new))
    assert isinstance(pull(box), Rest)  # old and new overlap
    front.show("next")
    assert isinstance(pull(box), Rest)
    publish(centre, pinning(8, new, SPARE))
    assert isinstance(pull(box), Rest)
    front.show("first")  # who stole the old key has nothing of it any more
    assert "version 8" in refused(box, centre).detail


def test_a_running_sync_follows_a_change_by_itself(box: Path, front: Front, centre: SmallCentre) -> None:
    enrol(box, centre, pinning(6, front.key, SPARE))
    with box_at(box, None) as opened:
        assert isinstance(opened.pull.pull_once(), Rest)
        opened.store.keep_config(
            msgspec.structs.replace(centre.config, key_set=publish(centre, pinning(7, SPARE, bytes(32)))),
            signing.public_key_of(samples.ROOT),
        )
        told = opened.pull.pull_once()  # the open connection is not gone on with
    assert isinstance(told, LinkTrouble)
    assert "version 7" in told.detail


def test_a_pinned_ca_signs_for_any_key_at_the_centres_address_alone(
    box: Path, front: Front, centre: SmallCentre
) -> None:
    enrol(box, centre, pinning(6, cas=(OLD_CA, NEW_CA)))
    assert isinstance(pull(box), Rest)
    front.change(NEW_CA)
    assert isinstance(pull(box), Rest)
    front.change(NEW_CA, "127.0.0.2")
    refused(box, centre)
    front.change(STRANGER)
    assert "has a certificate of another CA, and version 6" in refused(box, centre).detail


def test_keys_and_cas_may_be_pinned_together(box: Path, front: Front, centre: SmallCentre) -> None:
    enrol(box, centre, pinning(6, front.key, SPARE, cas=(NEW_CA,)))
    assert isinstance(pull(box), Rest)
    front.change(NEW_CA)
    assert isinstance(pull(box), Rest)
    front.change(STRANGER)
    refused(box, centre)


def test_the_ca_of_the_enrolment_goes_on_counting_beside_pins(box: Path, centre: SmallCentre) -> None:
    enrol(box, centre, pinning(6, SPARE, bytes(32)))
    refused(box, centre)
    (box / CENTRE_CA).write_text(OLD_CA.pem)
    assert isinstance(pull(box), Rest)


def let_be_public(authority: Authority, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file.write_text(authority.pem)
    monkeypatch.setattr(centre_tls, "DEFAULT_CA_BUNDLE_PATH", str(file))


def test_where_something_is_pinned_no_public_ca_is_believed(
    tmp_path: Path, box: Path, centre: SmallCentre, monkeypatch: pytest.MonkeyPatch
) -> None:
    let_be_public(OLD_CA, tmp_path / "public.pem", monkeypatch)
    enrol(box, centre, pinning(6))
    assert isinstance(pull(box), Rest)
    enrol(box, centre, pinning(7, SPARE, bytes(32)))
    refused(box, centre)
    enrol(box, centre, pinning(8, cas=(NEW_CA,)))
    refused(box, centre)
    enrol(box, centre, pinning(9))
    (box / CENTRE_CA).write_text(NEW_CA.pem)
    refused(box, centre)


def test_a_cache_in_front_of_the_centre_has_a_certificate_of_its_own(
    tmp_path: Path, box: Path, front: Front, centre: SmallCentre, monkeypatch: pytest.MonkeyPatch
) -> None:
    let_be_public(NEW_CA, tmp_path / "public.pem", monkeypatch)
    enrol(box, centre, pinning(6, front.key, SPARE))
    clocks = clocks_of_this_machine()
    with SmallCentre(tls=NEW_CA.server_side(tmp_path / "cache")) as cache, closing(SyncStore(box)) as store:
        caller = Caller(box, store, clocks, TrustedTime(lambda: store.read().evidence, clocks))
        with closing(caller):
            assert isinstance(caller.fetch(cache.url, "/feed/segments/00", 1000), Answer)
            assert isinstance(caller.fetch(centre.url, "/feed/segments/00", 1000), Answer)


def test_a_key_set_with_pins_that_cannot_be_is_none() -> None:
    root = signing.public_key_of(samples.ROOT)
    bad = (b"short",), (SPARE,) * (keyset.MAX_TLS_PINS + 1)
    for keys in bad:
        read = keyset.read_key_set(keyset.sign_key_set(pinning(6, *keys), (samples.ROOT,)), root)
        assert read is signing.SealFlaw.MALFORMED
    empty = msgspec.structs.replace(samples.KEY_SET, tls_cas=(b"",))
    assert keyset.read_key_set(keyset.sign_key_set(empty, (samples.ROOT,)), root) is signing.SealFlaw.MALFORMED


def test_tls_12_and_13_both_prove_the_key(box: Path, front: Front, centre: SmallCentre) -> None:
    enrol(box, centre, pinning(6, front.key, SPARE))
    front.context.maximum_version = ssl.TLSVersion.TLSv1_2
    assert isinstance(pull(box), Rest)
