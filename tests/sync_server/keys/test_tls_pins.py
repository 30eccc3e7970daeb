"""Which TLS keys and CAs the centre tells its gates to know it by."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import sqlalchemy as sa
from click.testing import CliRunner
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from sync_server.audit.tables import event_log
from sync_server.centre import Centre
from sync_server.cli import cli
from sync_server.errors import ConfigurationError, NotAllowedError
from sync_server.keys import key_set, tls_pins
from tests.certificates import Authority
from wire.keyset import KeySet, read_key_set

AUTHORITY = Authority()


@pytest.fixture
def keyed(any_centre: Centre) -> Centre:
    assert key_set.create_first(any_centre)
    return any_centre


def published(centre: Centre) -> KeySet:
    with centre.read() as connection:
        newest = key_set.newest(connection)
    found = read_key_set(newest.document, newest.root_public)
    assert isinstance(found, KeySet)
    return found


def server_pem(folder: Path) -> Path:
    AUTHORITY.server_side(folder)
    return folder / "server.pem"


def public_pem(file: Path) -> Path:
    public = ec.generate_private_key(ec.SECP256R1()).public_key()
    file.write_bytes(public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    return file


def ca_pem(file: Path) -> Path:
    file.write_text(AUTHORITY.pem)
    return file


def test_keys_and_cas_go_out_with_the_key_set_and_stay_in_the_next_ones(keyed: Centre, tmp_path: Path) -> None:
    files = server_pem(tmp_path / "server"), public_pem(tmp_path / "next.pem"), ca_pem(tmp_path / "ca.pem")
    pins = [tls_pins.read_pin(file) for file in files]
    assert key_set.pin_tls(keyed, pins, "test") == 2
    said = published(keyed)
    assert set(said.tls_keys) == {pins[0].key_hash, pins[1].key_hash}
    assert said.tls_cas == (AUTHORITY.certificate.public_bytes(Encoding.DER),)
    key_set.revoke_key(keyed, 2, "leaked", "test")
    assert published(keyed).tls_keys == said.tls_keys
    assert key_set.pin_tls(keyed, pins[:2], "test") == 4
    assert (published(keyed).tls_keys, published(keyed).tls_cas) == (said.tls_keys, ())
    with keyed.read() as connection:
        acts = sa.select(sa.func.count()).select_from(event_log).where(event_log.c.action == "key.pin_tls")
        assert connection.scalar(acts) == 2


def test_a_single_key_is_not_pinned_a_single_ca_is(keyed: Centre, tmp_path: Path) -> None:
    alone = tls_pins.read_pin(server_pem(tmp_path / "server"))
    with pytest.raises(NotAllowedError, match="pin 2 keys at least"):
        key_set.pin_tls(keyed, [alone], "test")
    with pytest.raises(NotAllowedError, match="pin 2 keys at least"):
        key_set.pin_tls(keyed, [alone, alone], "test")
    assert published(keyed).version == 1
    key_set.pin_tls(keyed, [tls_pins.read_pin(ca_pem(tmp_path / "ca.pem"))], "test")
    key_set.pin_tls(keyed, [], "test")
    assert (published(keyed).version, published(keyed).tls_cas) == (3, ())


def test_a_file_that_is_neither_is_named(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("nothing")
    for file in (tmp_path / "notes.txt", tmp_path / "missing.pem"):
        with pytest.raises(ConfigurationError, match=file.name):
            tls_pins.read_pin(file)


def test_by_command(tmp_path: Path) -> None:
    start = ["--database", f"sqlite:///{tmp_path / 'centre.db'}"]

    def told(*args: str) -> dict[str, object]:
        done = CliRunner().invoke(cli, [*start, *args], catch_exceptions=False)
        assert done.exit_code == 0, done.output
        read: dict[str, object] = json.loads(done.output.splitlines()[-1])
        return read

    told("init")
    ca = ca_pem(tmp_path / "ca.pem")
    pin = {"kind": "ca", "sha256": tls_pins.read_pin(ca).key_hash.hex(), "file": "ca.pem"}
    assert told("keys", "pin", str(ca)) == {"key_set": 2, "pins": [pin]}
    assert told("keys", "pin") == {"key_set": 2, "pins": [pin]}
    assert told("keys", "pin", "--none") == {"key_set": 3, "pins": []}
