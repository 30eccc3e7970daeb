"""By which keys and CAs gates know the centre over TLS: named by an operator, told to them in the signed key set."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

import sqlalchemy as sa
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key
from sqlalchemy.engine import Connection

from sync_server.errors import ConfigurationError, NotAllowedError
from sync_server.keys.tables import tls_pin
from wire.keyset import MAX_CA_BYTES, MAX_TLS_PINS

MIN_KEYS = 2
"""The key in use and one kept aside: a single one that is lost would shut every gate out for good."""
MAX_PEM_BYTES = 65_536
_MAX_NAME = 200


class TlsPin(NamedTuple):
    """A server's key, or a CA with its certificate (DER). `said_in`: the file's name."""

    key_hash: bytes
    ca: bytes | None
    said_in: str


def read_pin(file: Path) -> TlsPin:
    """The pin of a PEM file: a CA's certificate, a server's certificate or its public key. ConfigurationError."""
    try:
        with file.open("rb") as opened:
            pem = opened.read(MAX_PEM_BYTES)
        name = file.name[-_MAX_NAME:]
        if b"BEGIN CERTIFICATE" not in pem:
            return TlsPin(_hash_of(load_pem_public_key(pem)), None, name)
        certificate = x509.load_pem_x509_certificate(pem)
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"{file} holds no certificate and no public key in PEM form: {error}") from error
    ca = certificate.public_bytes(Encoding.DER) if _is_ca(certificate) else None
    if ca is not None and len(ca) > MAX_CA_BYTES:
        raise ConfigurationError(f"{file}: the CA's certificate has {len(ca)} bytes, at most {MAX_CA_BYTES} can go out")
    return TlsPin(_hash_of(certificate.public_key()), ca, name)


def held_pins(connection: Connection) -> list[TlsPin]:
    """What is pinned now, by hash."""
    rows = connection.execute(sa.select(tls_pin).order_by(tls_pin.c.key_hash))
    return [TlsPin(row.key_hash, row.ca, row.said_in) for row in rows]


def replace_pins(connection: Connection, pins: Sequence[TlsPin], now_ms: int) -> None:
    """Pin these and no others; none: gates believe again the CAs that they believed before. NotAllowedError."""
    by_hash = {pin.key_hash: pin for pin in pins}
    keys = sum(pin.ca is None for pin in by_hash.values())
    if 0 < keys == len(by_hash) < MIN_KEYS:
        raise NotAllowedError(f"pin {MIN_KEYS} keys at least, or a CA: a single one that is lost shuts all gates out")
    if max(keys, len(by_hash) - keys) > MAX_TLS_PINS:
        raise NotAllowedError(f"at most {MAX_TLS_PINS} keys and {MAX_TLS_PINS} CAs can be pinned")
    connection.execute(tls_pin.delete().where(tls_pin.c.key_hash.not_in(by_hash)))
    held = {pin.key_hash for pin in held_pins(connection)}
    new = [{**pin._asdict(), "pinned_at_ms": now_ms} for pin in by_hash.values() if pin.key_hash not in held]
    if new:
        connection.execute(tls_pin.insert(), new)


def _hash_of(key: PublicKeyTypes) -> bytes:
    return sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).digest()


def _is_ca(certificate: x509.Certificate) -> bool:
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except x509.ExtensionNotFound:
        return False
