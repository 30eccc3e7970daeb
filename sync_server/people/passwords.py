"""Passwords at rest: argon2id, at most a few hashed at the same time, the same work for accounts that do not exist."""

from __future__ import annotations

import secrets
import threading
from enum import Enum
from functools import cache

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

MIN_CHARACTERS = 10
MAX_CHARACTERS = 128
MAX_PARALLEL_HASHES = 2  # each takes 64 MiB and a core for some tenths of a second
MAX_WAIT_S = 5.0

_hasher = PasswordHasher()  # RFC 9106, low-memory profile
_slots = threading.BoundedSemaphore(MAX_PARALLEL_HASHES)


class Checked(Enum):
    """How a password compared; BUSY: too many sign-ins at once, nothing was compared."""

    RIGHT = "right"
    WRONG = "wrong"
    BUSY = "busy"


def hash_password(password: str) -> str:
    """Argon2id in its own notation; ValueError when the password is too short or too long."""
    if not MIN_CHARACTERS <= len(password) <= MAX_CHARACTERS:
        raise ValueError(f"a password needs {MIN_CHARACTERS} to {MAX_CHARACTERS} characters, not {len(password)}")
    return _hasher.hash(password)


def check_password(stored: str | None, password: str) -> Checked:
    """Compare; with `stored` None (no such account) the same work is done for nothing, so that time tells nothing."""
    if len(password) > MAX_CHARACTERS:
        return Checked.WRONG
    if not _slots.acquire(timeout=MAX_WAIT_S):
        return Checked.BUSY
    try:
        _hasher.verify(_nobodys_hash() if stored is None else stored, password)
    except (VerificationError, InvalidHashError):
        return Checked.WRONG
    finally:
        _slots.release()
    return Checked.WRONG if stored is None else Checked.RIGHT


@cache
def _nobodys_hash() -> str:
    return _hasher.hash(secrets.token_urlsafe(32))
