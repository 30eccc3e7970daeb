"""A second copy of what admission needs of sync.db: who this box is at which centre, its key set, its configuration.

Who writes sync.db writes it too, whenever that changes. It is read only where sync.db is damaged or gone: then the
agent goes on admitting, sync makes a new sync.db from it, and nobody enrols the box again. What it says counts only if
it is whole (SHA-256 over all of it) and the root key that it names signed its key set.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import msgspec

from wire import keyset
from wire.keyset import KeySet
from wire.messages import GateConfig

NAME = "enrolment.copy"
FORMAT = 1
MAX_BYTES = 1024 * 1024
DIGEST_BYTES = 32


class EnrolmentCopy(msgspec.Struct, frozen=True, array_like=True):
    """As sync.db holds it; `config` None: the centre has not approved the box yet."""

    format: int
    url: str
    device: bytes
    root: bytes
    key_set: bytes
    config: GateConfig | None

    def keys(self) -> KeySet | None:
        """The key set, if the root key signed it."""
        read = keyset.read_key_set(self.key_set, self.root)
        return read if isinstance(read, KeySet) else None


def packed(held: EnrolmentCopy) -> bytes:
    """The file's bytes."""
    body = msgspec.msgpack.encode(held)
    return hashlib.sha256(body).digest() + body


def load(data_dir: Path) -> EnrolmentCopy | None:
    """The copy; None for none, one that is not whole, or one whose key set the root key did not sign."""
    data = _read(data_dir)
    digest, body = data[:DIGEST_BYTES], data[DIGEST_BYTES:]
    if hashlib.sha256(body).digest() != digest:
        return None
    try:
        held = msgspec.msgpack.decode(body, type=EnrolmentCopy)
    except msgspec.DecodeError:  # of another release
        return None
    return held if held.format == FORMAT and held.keys() is not None else None


def _read(data_dir: Path) -> bytes:
    try:
        with (data_dir / NAME).open("rb") as file:
            return file.read(MAX_BYTES)
    except OSError:
        return b""
