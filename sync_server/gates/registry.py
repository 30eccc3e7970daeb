"""The registry of gates: who they are, at which venue, and whether they may act (wire.md §7)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from sync_server.audit.log import record
from sync_server.bulk import Value, insert_missing
from sync_server.centre import Centre
from sync_server.errors import NotAllowedError, NotFoundError
from sync_server.gates.health import keep_health
from sync_server.gates.tables import device, device_nonce
from sync_server.parties.tables import venue
from wire.envelope import NONCE_KEPT_MS
from wire.messages import Batch

MAX_NAME_CHARACTERS = 100
MAX_FORGOTTEN_NONCES = 10_000
MAX_NUMBER = 2**31 - 1  # what a box says of itself may be anything

# From state and event to state; what is not here is refused.
MOVES = {
    ("pending", "approve"): "active",
    ("pending", "revoke"): "revoked",
    ("active", "revoke"): "revoked",
}


@dataclass(frozen=True)
class Device:
    """A gate as a request finds it. The venue is what the registry says, whatever the request says."""

    id: bytes
    venue_id: UUID
    venue_number: int
    public_key: bytes
    state: str


def find_device(connection: Connection, device_id: bytes) -> Device | None:
    """The gate with this id, or None."""
    row = connection.execute(_FOUND, {"device": device_id}).one_or_none()
    return None if row is None else Device(*row)


_FOUND = (
    sa.select(device.c.id, device.c.venue_id, venue.c.number, device.c.public_key, device.c.state)
    .join(venue, venue.c.id == device.c.venue_id)
    .where(device.c.id == sa.bindparam("device"))
)
"""Made once, as every request asks it."""


def stays_active(connection: Connection, device_id: bytes) -> bool:
    """Whether the gate may act, and goes on to until this transaction ends: what it is told now it may know."""
    active = sa.select(device.c.id).where(device.c.id == device_id, device.c.state == "active")
    return connection.execute(active.with_for_update(read=True)).first() is not None


def first_use(connection: Connection, device_id: bytes, nonce: bytes, now_ms: int) -> bool:
    """Remember a request's nonce; False when this device has used it before."""
    row: dict[str, Value] = {"device_id": device_id, "nonce": nonce, "forget_at_ms": now_ms + NONCE_KEPT_MS}
    return insert_missing(connection, device_nonce, [row]) == 1


def forget_old_nonces(centre: Centre) -> int:
    """Worker step: drop nonces whose requests would be outside the window anyway; how many."""
    old = sa.select(device_nonce.c.device_id, device_nonce.c.nonce).where(device_nonce.c.forget_at_ms < centre.now_ms())
    if not centre.finds(old):
        return 0
    with centre.write() as connection:
        key = sa.tuple_(device_nonce.c.device_id, device_nonce.c.nonce)
        return connection.execute(device_nonce.delete().where(key.in_(old.limit(MAX_FORGOTTEN_NONCES)))).rowcount


def note_seen(connection: Connection, device_id: bytes, batch: Batch, now_ms: int) -> None:
    """Keep what a batch says of its gate."""
    told = {
        "device": device_id,
        "last_seen_ms": now_ms,
        "software": one_line(batch.software),
        "held_epoch": _bounded(batch.held_epoch),
        "held_version": _bounded(batch.held_version),
        "held_key_set_version": _bounded(batch.key_set_version),
        "waiting": _bounded(batch.waiting),
    }
    connection.execute(_SEEN, told)
    keep_health(connection, device_id, batch.health, now_ms)


_SEEN = device.update().where(device.c.id == sa.bindparam("device"))
"""Made once, as every batch asks it."""


def approve(
    connection: Connection, device_id: bytes, now_ms: int, actor: str, *, reads_id_numbers: bool = False
) -> None:
    """Let a pending gate act, after a person compared its six characters on both screens.

    `reads_id_numbers`: it has a reader for ID numbers, so its venue's list may carry their hashes (wire.md §4).
    """
    _move(connection, device_id, "approve", {"approved_at_ms": now_ms, "reads_id_numbers": reads_id_numbers})
    detail = {"reads_id_numbers": reads_id_numbers}
    record(connection, now_ms, actor, "gate.approve", f"gate:{device_id.hex()}", detail)


def revoke(connection: Connection, device_id: bytes, reason: str, now_ms: int, actor: str) -> None:
    """Believe nothing of this gate any more."""
    _move(connection, device_id, "revoke", {"revoked_at_ms": now_ms})
    record(connection, now_ms, actor, "gate.revoke", f"gate:{device_id.hex()}", {"reason": reason})


def device_named(connection: Connection, text: str) -> bytes:
    """The id of the gate whose id in hex begins with `text`; unclear or unknown ones are refused."""
    wanted = text.lower().strip()
    ids: list[bytes] = [row.id for row in connection.execute(sa.select(device.c.id)) if row.id.hex().startswith(wanted)]
    if not wanted or not ids:
        raise NotFoundError(f"no gate has an id that begins with {text!r}")
    if len(ids) > 1:
        raise NotAllowedError(f"{len(ids)} gates have ids that begin with {text!r}: give more of it")
    return ids[0]


def one_line(text: str) -> str:
    """What a box calls itself or its software, fit for a column, a page and a log."""
    return "".join(character for character in text if character.isprintable())[:MAX_NAME_CHARACTERS]


def _bounded(number: int) -> int:
    return min(max(number, 0), MAX_NUMBER)


def _move(connection: Connection, device_id: bytes, event: str, values: dict[str, object]) -> None:
    row: Row[Any] | None = connection.execute(
        sa.select(device.c.state).where(device.c.id == device_id).with_for_update()
    ).one_or_none()
    if row is None:
        raise NotFoundError(f"no gate has the id {device_id.hex()}")
    after = MOVES.get((row.state, event))
    if after is None:
        raise NotAllowedError(f"the gate {device_id.hex()} is {row.state}: you cannot {event} it")
    connection.execute(device.update().where(device.c.id == device_id).values(state=after, **values))
