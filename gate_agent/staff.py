"""staff.json: who may act at this box, each known by a PIN alone. Written by `gate-agent staff`, read by the agent."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import threading
from enum import StrEnum
from itertools import pairwise
from pathlib import Path

import msgspec

from gate_agent.disk import write_whole

NAME = "staff.json"
MIN_PIN_DIGITS, MAX_PIN_DIGITS = 4, 8
LEAST_DIFFERENT_DIGITS = 3
MEMBERS_LIMIT = 100
MAX_NAME_CHARACTERS = 32
MAX_FILE_BYTES = 64 * 1024
SALT_BYTES = 16
_SCRYPT_N, _SCRYPT_R, _SCRYPT_P = 2**14, 8, 1
_SCRYPT_MEMORY_BYTES = 64 * 1024 * 1024


class Role(StrEnum):
    """What a member may do; gate_agent.acts says which act takes which. A supervisor may do all a steward may."""

    STEWARD = "steward"
    SUPERVISOR = "supervisor"


class StaffError(Exception):
    """The file or a wish cannot be used; a sentence that says what to do."""


class Member(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One member of staff. `pin` is the hash (hex) of the PIN with the box's salt."""

    name: str
    role: Role
    pin: str

    def may(self, needed: Role) -> bool:
        """Whether this member's role is enough."""
        return self.role is Role.SUPERVISOR or needed is Role.STEWARD


class Roll(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The whole file. One salt (hex) for the box: a PIN alone says who it is, and a try is hashed once for all."""

    salt: str
    members: tuple[Member, ...] = ()

    def find(self, pin: str) -> Member | None:
        """Who has this PIN. Takes some 50 ms and 16 MB, without holding the interpreter."""
        hashed = _hash(pin, self.salt)
        found = [member for member in self.members if hmac.compare_digest(member.pin, hashed)]
        return found[0] if found else None


class Staff:
    """The agent's look at the file: read again whenever it changed. Any thread may ask."""

    def __init__(self, data_dir: Path) -> None:
        self._path = data_dir / NAME
        self._lock = threading.Lock()
        self._seen: tuple[int, int] | None = None
        self._roll: Roll | None = None

    def roll(self) -> Roll | None:
        """Everybody who may act; None while nobody may. Raises StaffError for a file that cannot be read."""
        with self._lock:
            try:
                stat = self._path.stat()
                seen = (stat.st_ino, stat.st_mtime_ns)
                if seen != self._seen:
                    self._roll, self._seen = load(self._path.parent), seen
            except FileNotFoundError:
                self._roll, self._seen = None, None
            return self._roll if self._roll is not None and self._roll.members else None


def load(data_dir: Path) -> Roll:
    """The file of a data directory; an empty one with a new salt where there is none. Raises StaffError."""
    path = data_dir / NAME
    try:
        with path.open("rb") as file:
            roll = msgspec.json.decode(file.read(MAX_FILE_BYTES), type=Roll)
        bytes.fromhex(roll.salt)
        return roll
    except FileNotFoundError:
        return Roll(secrets.token_hex(SALT_BYTES))
    except (OSError, ValueError) as error:  # msgspec's complaints are ValueErrors
        raise StaffError(
            f"{path} cannot be read ({error}): remove it and name everybody again with staff add"
        ) from error


def add(data_dir: Path, name: str, role: Role, pin: str) -> None:
    """One more member. Raises StaffError for a name or PIN that will not do."""
    roll, name = load(data_dir), " ".join(name.split())
    if not 0 < len(name) <= MAX_NAME_CHARACTERS or not name.isprintable():
        raise StaffError(f"a name has 1 to {MAX_NAME_CHARACTERS} printable characters")
    if any(member.name == name for member in roll.members):
        raise StaffError(f"{name} is there already: remove {name} first to give another PIN or role")
    if len(roll.members) >= MEMBERS_LIMIT:
        raise StaffError(f"a box knows at most {MEMBERS_LIMIT} members: remove one who has left")
    objection = unfit(pin)
    if objection is not None:
        raise StaffError(objection)
    if roll.find(pin) is not None:
        raise StaffError("another member has this PIN: a PIN alone says who it is, choose another")
    _write(data_dir, Roll(roll.salt, (*roll.members, Member(name, role, _hash(pin, roll.salt)))))


def remove(data_dir: Path, name: str) -> None:
    """This member may do nothing any more, from the next try on. Raises StaffError for a name that is not there."""
    roll = load(data_dir)
    kept = tuple(member for member in roll.members if member.name != name)
    if len(kept) == len(roll.members):
        raise StaffError(f"there is no {name} here; staff list shows everybody")
    _write(data_dir, Roll(roll.salt, kept))


def unfit(pin: str) -> str | None:
    """Why a PIN will not do, as a sentence; None when it will."""
    if not (pin.isascii() and pin.isdigit() and MIN_PIN_DIGITS <= len(pin) <= MAX_PIN_DIGITS):
        return f"a PIN has {MIN_PIN_DIGITS} to {MAX_PIN_DIGITS} digits and nothing else"
    steps = {(int(later) - int(earlier)) % 10 for earlier, later in pairwise(pin)}
    runs = steps in ({1}, {9})
    repeats = any(len(pin) % size == 0 and pin[:size] * (len(pin) // size) == pin for size in range(1, len(pin)))
    if runs or repeats or len(set(pin)) < LEAST_DIFFERENT_DIGITS:
        return "this PIN is one of the first that are tried: take no run, no repetition, at least 3 different digits"
    return None


def _hash(pin: str, salt: str) -> str:
    hashed = hashlib.scrypt(
        pin.encode(),
        salt=bytes.fromhex(salt),
        n=_SCRYPT_N,
        r=_SCRYPT_R,
        p=_SCRYPT_P,
        maxmem=_SCRYPT_MEMORY_BYTES,
        dklen=32,
    )
    return hashed.hex()


def _write(data_dir: Path, roll: Roll) -> None:
    data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_whole(data_dir / NAME, msgspec.json.format(msgspec.json.encode(roll), indent=1))
