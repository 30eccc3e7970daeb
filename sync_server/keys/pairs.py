"""Signing key pairs and their life: announced to the gates, signing, verify-only, revoked (wire.md §1).

Private halves are sealed in the database. Web processes open the service key and no other; the worker opens the pass
and list keys (a test reads the sources for it). A key that stops signing loses its private half for good.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from sync_server import crypto
from sync_server.errors import ConfigurationError, NotAllowedError, NotFoundError
from sync_server.keys.tables import signing_key
from wire import signing
from wire.keyset import KeyState
from wire.signing import Purpose

DAY_MS = 86_400_000
LIFETIME_MS = 5 * 366 * DAY_MS  # longer than the longest pass from the last day on which the key may sign
BACKDATED_MS = DAY_MS  # a gate whose clock lags a little must not refuse a key on its first day
MAX_KEY_ID = 65_535
_FIELD = "signing_key.private_sealed"


class KeyEvent(StrEnum):
    """What happens to a key."""

    START = "start"
    RETIRE = "retire"
    REVOKE = "revoke"


MOVES: dict[tuple[KeyState, KeyEvent], KeyState] = {
    (KeyState.ANNOUNCED, KeyEvent.START): KeyState.SIGNING,
    (KeyState.SIGNING, KeyEvent.RETIRE): KeyState.VERIFY_ONLY,
    (KeyState.ANNOUNCED, KeyEvent.REVOKE): KeyState.REVOKED,
    (KeyState.SIGNING, KeyEvent.REVOKE): KeyState.REVOKED,
    (KeyState.VERIFY_ONLY, KeyEvent.REVOKE): KeyState.REVOKED,
}


class UnusableKeyError(ValueError):
    """A public key that would verify what nobody signed, or that is no key at all."""


@dataclass(frozen=True)
class SigningKey:
    """The key that signs now. `repr` shows nothing of the private half."""

    id: int
    private: bytes
    not_after_ms: int

    def __repr__(self) -> str:
        return f"SigningKey({self.id})"


def open_service_key(connection: Connection, value: crypto.Secrets) -> SigningKey:
    """The key that signs receipts and the time; the only one a web process opens."""
    return _open(connection, value, Purpose.SERVICE)


def open_pass_key(connection: Connection, value: crypto.Secrets) -> SigningKey:
    """The key that signs tokens; for the worker."""
    return _open(connection, value, Purpose.PASS)


def open_list_key(connection: Connection, value: crypto.Secrets) -> SigningKey:
    """The key that signs heads; for the worker."""
    return _open(connection, value, Purpose.LIST)


def add_pair(
    connection: Connection,
    value: crypto.Secrets,
    purpose: Purpose,
    state: KeyState,
    now_ms: int,
    token_bytes: Callable[[int], bytes] = secrets.token_bytes,
) -> int:
    """Make a key pair; gives its id. The gates hear of it with the next key set."""
    private = token_bytes(signing.PRIVATE_KEY_BYTES)
    public = signing.public_key_of(private)
    check_usable(public)
    key_id = (connection.scalar(sa.select(sa.func.max(signing_key.c.id))) or 0) + 1
    if key_id > MAX_KEY_ID:
        raise NotAllowedError(f"all {MAX_KEY_ID} key ids are used up")
    connection.execute(
        signing_key.insert().values(
            id=key_id,
            purpose=purpose,
            public=public,
            private_sealed=crypto.seal(value, _FIELD, str(key_id), private.hex()),
            state=state,
            not_before_ms=now_ms - BACKDATED_MS,
            not_after_ms=now_ms + LIFETIME_MS,
            created_at_ms=now_ms,
        )
    )
    return key_id


def check_usable(public: bytes) -> None:
    """UnusableKeyError for a key that must not be added: wrong length, not canonical, low order."""
    flaw = signing.check_public_key(public)
    if flaw is not None:
        raise UnusableKeyError(f"the public key {public.hex()} cannot be added: {flaw}")


def start_signing(connection: Connection, key_id: int) -> None:
    """An announced key signs from now on; the one before it of the same purpose only verifies."""
    starting = find_key(connection, key_id)
    _refuse_unless_possible(starting, KeyEvent.START)
    for row in connection.execute(
        sa.select(signing_key).where(signing_key.c.purpose == starting.purpose, signing_key.c.state == KeyState.SIGNING)
    ):
        _move(connection, row, KeyEvent.RETIRE)
    _move(connection, starting, KeyEvent.START)


def revoke(connection: Connection, value: crypto.Secrets, key_id: int, now_ms: int) -> None:
    """A key verifies nothing any more. If it was the one that signs, a successor signs at once."""
    row = find_key(connection, key_id)
    _move(connection, row, KeyEvent.REVOKE)
    if row.state != KeyState.SIGNING:
        return
    successor: int | None = connection.scalar(
        sa.select(sa.func.max(signing_key.c.id)).where(
            signing_key.c.purpose == row.purpose, signing_key.c.state == KeyState.ANNOUNCED
        )
    )
    if successor is None:
        add_pair(connection, value, Purpose(row.purpose), KeyState.SIGNING, now_ms)
    else:
        start_signing(connection, successor)


def find_key(connection: Connection, key_id: int) -> Row[Any]:
    """The key's row."""
    row = connection.execute(sa.select(signing_key).where(signing_key.c.id == key_id).with_for_update()).one_or_none()
    if row is None:
        raise NotFoundError(f"no key has the id {key_id}")
    return row


def _refuse_unless_possible(row: Row[Any], event: KeyEvent) -> KeyState:
    after = MOVES.get((KeyState(row.state), event))
    if after is None:
        raise NotAllowedError(f"the key {row.id} is {row.state}: it cannot {event}")
    return after


def _move(connection: Connection, row: Row[Any], event: KeyEvent) -> None:
    after = _refuse_unless_possible(row, event)
    values: dict[str, object] = {"state": after}
    if after is not KeyState.SIGNING:
        values["private_sealed"] = None
    connection.execute(signing_key.update().where(signing_key.c.id == row.id).values(values))


def _open(connection: Connection, value: crypto.Secrets, purpose: Purpose) -> SigningKey:
    row = connection.execute(
        sa.select(signing_key).where(signing_key.c.purpose == purpose, signing_key.c.state == KeyState.SIGNING)
    ).one_or_none()
    if row is None:
        raise ConfigurationError(f"the centre has no {purpose} key that signs: run sync-server init once")
    return SigningKey(
        row.id, bytes.fromhex(crypto.unseal(value, _FIELD, str(row.id), row.private_sealed)), row.not_after_ms
    )
