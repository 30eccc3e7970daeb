"""Enrolment: a one-time code for one venue, and the box that spends it (wire.md §7)."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from enum import StrEnum
from hashlib import sha256
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from sync_server import crypto
from sync_server.audit.log import record
from sync_server.db import new_id
from sync_server.gates.registry import one_line
from sync_server.gates.tables import device, enrolment_code
from sync_server.gates.venue_keys import ensure_venue_keys
from wire import signing
from wire.messages import (
    DEVICE_BYTES,
    ENROLMENT_SECRET_BYTES,
    EnrolmentCode,
    EnrolRequest,
    make_enrolment_code,
)

CODE_LIFE_MS = 15 * 60 * 1000


class EnrolFlaw(StrEnum):
    """Why a box is not enrolled. Wrong, used and expired codes get one and the same answer."""

    CODE = "code_refused"
    KEY = "key_refused"
    KEY_IN_USE = "key_in_use"


def make_code(
    connection: Connection,
    venue_id: UUID,
    root_public: bytes,
    now_ms: int,
    actor: str,
    token_bytes: Callable[[int], bytes] = secrets.token_bytes,
) -> EnrolmentCode:
    """A code that enrols one box at this venue within CODE_LIFE_MS. Only its hash is kept."""
    code = make_enrolment_code(token_bytes(ENROLMENT_SECRET_BYTES), root_public)
    row_id = new_id(now_ms)
    connection.execute(
        enrolment_code.insert().values(
            id=row_id,
            secret_hash=sha256(code.secret).digest(),
            venue_id=venue_id,
            created_by=actor,
            created_at_ms=now_ms,
            expires_at_ms=now_ms + CODE_LIFE_MS,
        )
    )
    record(connection, now_ms, actor, "gate.enrolment_code", f"venue:{venue_id}", {"code_id": str(row_id)})
    return code


def code_with(secret: bytes) -> sa.Select[Any]:
    """The code of this secret, used or expired as it may be; whoever guesses finds none, and begins no writing."""
    return sa.select(enrolment_code).where(enrolment_code.c.secret_hash == sha256(secret).digest())


def enrol(
    connection: Connection,
    value: crypto.Secrets,
    request: EnrolRequest,
    now_ms: int,
    token_bytes: Callable[[int], bytes] = secrets.token_bytes,
) -> bytes | EnrolFlaw:
    """Spend the code: gives the id of the new gate, pending until a person approves it.

    The same box with the same code again (its first answer was lost) is given the same id. With its first box a venue
    gets its keys.
    """
    if signing.check_public_key(request.public_key) is not None:
        return EnrolFlaw.KEY
    code = connection.execute(code_with(request.secret).with_for_update()).one_or_none()
    if code is None or now_ms >= code.expires_at_ms:
        return EnrolFlaw.CODE
    known = connection.execute(
        sa.select(device.c.id).where(device.c.public_key == request.public_key)
    ).scalar_one_or_none()
    if code.device_id is not None:
        return known if known is not None and known == code.device_id else EnrolFlaw.CODE
    if known is not None:
        return EnrolFlaw.KEY_IN_USE
    ensure_venue_keys(connection, value, code.venue_id, now_ms, token_bytes)
    device_id = token_bytes(DEVICE_BYTES)
    connection.execute(
        device.insert().values(
            id=device_id,
            venue_id=code.venue_id,
            name=one_line(request.name),
            public_key=request.public_key,
            state="pending",
            reads_id_numbers=False,
            software=one_line(request.software),
            enrolled_at_ms=now_ms,
        )
    )
    connection.execute(enrolment_code.update().where(enrolment_code.c.id == code.id).values(device_id=device_id))
    record(
        connection,
        now_ms,
        f"gate:{device_id.hex()}",
        "gate.enrol",
        f"venue:{code.venue_id}",
        {"name": one_line(request.name)},
    )
    return device_id
