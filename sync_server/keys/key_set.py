"""The key set as gates fetch it: made anew, with the next version, whenever a key is added or changes its state."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from sync_server import crypto
from sync_server.audit.log import record
from sync_server.bulk import insert_missing
from sync_server.centre import Centre
from sync_server.errors import ConfigurationError, NotAllowedError
from sync_server.keys import pairs
from sync_server.keys.root import make_root, next_root_file, read_root, root_key_file, take_over
from sync_server.keys.tables import PURPOSES, deployment, key_set, signing_key
from sync_server.keys.tls_pins import TlsPin, held_pins, replace_pins
from wire import keyset, signing
from wire.keyset import KeySet, KeyState, PublicKey
from wire.signing import Purpose

SALT_BYTES = 32
MAX_ROOT_CHANGES_TOLD = keyset.MAX_CHAIN - 1  # the key set in force comes after them
_SALT_FIELD = "deployment.salt_sealed"


@dataclass(frozen=True)
class PublishedSet:
    """The newest key set: its version, the root key it is signed by, and the document as gates fetch it."""

    version: int
    root_public: bytes
    document: bytes


def create_first(centre: Centre) -> bool:
    """The root key's file, one signing key of each purpose and the deployment's salt; False when they are there."""
    with centre.write() as connection:
        if connection.scalar(sa.select(sa.func.max(key_set.c.version))) is not None:
            return False
        root_private = make_root(root_key_file(centre.settings))
        salt = secrets.token_bytes(SALT_BYTES)
        sealed = crypto.seal(centre.secrets, _SALT_FIELD, "1", salt.hex())
        insert_missing(connection, deployment, [{"id": 1, "salt_sealed": sealed}])
        for purpose in PURPOSES:
            pairs.add_pair(connection, centre.secrets, purpose, KeyState.SIGNING, centre.now_ms())
        _publish(connection, root_private, centre.now_ms())
    return True


def create_key(centre: Centre, purpose: Purpose, actor: str) -> int:
    """Announce a new key to the gates; it signs nothing before `start_key`. Needs the root key file."""
    root_private = current_root(centre)
    with centre.write() as connection:
        key_id = pairs.add_pair(connection, centre.secrets, purpose, KeyState.ANNOUNCED, centre.now_ms())
        _publish(connection, root_private, centre.now_ms())
        record(connection, centre.now_ms(), actor, "key.create", f"key:{key_id}", {"purpose": purpose})
    return key_id


def start_key(centre: Centre, key_id: int, actor: str) -> None:
    """Let an announced key sign in the place of the one before it. Needs the root key file."""
    root_private = current_root(centre)
    with centre.write() as connection:
        pairs.start_signing(connection, key_id)
        _publish(connection, root_private, centre.now_ms())
        record(connection, centre.now_ms(), actor, "key.start", f"key:{key_id}", {})


def revoke_key(centre: Centre, key_id: int, reason: str, actor: str) -> None:
    """Make a key worthless; a successor signs at once if it was the one that signs. Needs the root key file."""
    root_private = current_root(centre)
    with centre.write() as connection:
        pairs.revoke(connection, centre.secrets, key_id, centre.now_ms())
        _publish(connection, root_private, centre.now_ms())
        record(connection, centre.now_ms(), actor, "key.revoke", f"key:{key_id}", {"reason": reason})


def pin_tls(centre: Centre, pins: Sequence[TlsPin], actor: str) -> int:
    """Let gates know the centre over TLS by these alone; gives the key set's version. Needs the root key file."""
    root_private = current_root(centre)
    with centre.write() as connection:
        replace_pins(connection, pins, centre.now_ms())
        version = _publish(connection, root_private, centre.now_ms())
        told = {"keys": [pin.key_hash.hex() for pin in pins]}
        record(connection, centre.now_ms(), actor, "key.pin_tls", "key:tls", told)
    return version


def newest(connection: Connection) -> PublishedSet:
    """The key set in force."""
    row = connection.execute(sa.select(key_set).order_by(key_set.c.version.desc()).limit(1)).one_or_none()
    if row is None:
        raise ConfigurationError("the centre has no keys: run sync-server init once")
    return PublishedSet(row.version, row.root_public, row.document)


def chain(connection: Connection) -> tuple[bytes, ...]:
    """The documents by which the root key changed, oldest first: they lead a gate to the key set in force.

    The last MAX_ROOT_CHANGES_TOLD of them: no gate would read more, not even one that needs none of them.
    """
    newest_first = _changes(key_set.c.document).order_by(key_set.c.version.desc()).limit(MAX_ROOT_CHANGES_TOLD)
    return tuple(reversed(connection.scalars(newest_first).all()))


def root_changes(connection: Connection) -> int:
    """How often the root key was changed."""
    return connection.scalar(_changes(sa.func.count())) or 0


def _changes(what: sa.ColumnElement[Any]) -> sa.Select[Any]:
    before = key_set.alias("before")
    to_the_next = before.c.version == key_set.c.version - 1
    return (
        sa.select(what)
        .select_from(key_set.join(before, to_the_next))
        .where(before.c.root_public != key_set.c.root_public)
    )


def rotate_root(centre: Centre, actor: str) -> bytes:
    """Put a new root key in the place of the old one; gives its public half.

    The key set that says so is signed by both, and is kept for gates that are cut off now. The old file stays under
    another name until the operator destroys it. A crash in between is made good by asking again.
    """
    file = root_key_file(centre.settings)
    old_private = current_root(centre)
    new_file = next_root_file(file)
    new_private = make_root(new_file)
    with centre.write() as connection:
        _publish(connection, old_private, centre.now_ms(), new_private)
        public = signing.public_key_of(new_private)
        record(connection, centre.now_ms(), actor, "key.rotate_root", "key:root", {"public": public.hex()})
    take_over(file, new_file)
    return public


def current_root(centre: Centre) -> bytes:
    """The private half of the root key in force, also after a crash between its key set and its file's name."""
    file = root_key_file(centre.settings)
    with centre.read() as connection:
        public = newest(connection).root_public
    new_file = next_root_file(file)
    if new_file.exists() and signing.public_key_of(read_root(new_file)) == public:
        take_over(file, new_file)
    return read_root(file)


def public_keys(connection: Connection) -> tuple[PublicKey, ...]:
    """Every key ever made, as the key set names it."""
    rows = connection.execute(sa.select(signing_key).order_by(signing_key.c.id))
    return tuple(
        PublicKey(row.id, Purpose(row.purpose), row.public, row.not_before_ms, row.not_after_ms, KeyState(row.state))
        for row in rows
    )


def deployment_salt(connection: Connection, value: crypto.Secrets) -> bytes:
    """What `wire.credential.person_hash` is salted with, here and at every gate."""
    sealed = connection.scalar(sa.select(deployment.c.salt_sealed))
    if sealed is None:
        raise ConfigurationError("the centre has no salt: run sync-server init once")
    return bytes.fromhex(crypto.unseal(value, _SALT_FIELD, "1", sealed))


def _publish(connection: Connection, root_private: bytes, now_ms: int, new_root_private: bytes | None = None) -> int:
    root_public = signing.public_key_of(root_private)
    before = connection.execute(
        sa.select(key_set.c.version, key_set.c.root_public).order_by(key_set.c.version.desc()).limit(1)
    ).one_or_none()
    if before is not None and before.root_public != root_public:
        raise ConfigurationError("the root key file holds another root key than the one the gates have pinned")
    version = 1 if before is None else before.version + 1
    signers = [root_private] if new_root_private is None else [root_private, new_root_private]
    root_public = signing.public_key_of(signers[-1])
    pins = held_pins(connection)
    said = KeySet(
        version,
        now_ms,
        root_public,
        public_keys(connection),
        tls_keys=tuple(pin.key_hash for pin in pins if pin.ca is None),
        tls_cas=tuple(pin.ca for pin in pins if pin.ca is not None),
    )
    document = keyset.sign_key_set(said, signers)
    if not isinstance(keyset.read_key_set(document, root_public), KeySet):
        raise NotAllowedError(
            f"no gate would read this key set: it takes {keyset.MAX_KEYS} keys and {keyset.MAX_KEY_SET_BYTES} bytes"
        )
    connection.execute(
        key_set.insert().values(version=version, root_public=root_public, document=document, issued_at_ms=now_ms)
    )
    return version
