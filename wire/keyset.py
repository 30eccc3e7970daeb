"""The key set: the centre's public keys in one rising document, signed by the root key that gates pin (wire.md §1)."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from enum import StrEnum

import msgspec

from wire import signing
from wire.signing import Purpose, SealFlaw
from wire.unreadable import UNREADABLE

KIND = "keyset"
VERSION = 1
MAX_KEYS = 256
MAX_CHAIN = 64
"""Root keys a deployment may ever have had: one in many years is usual."""
MAX_KEY_SET_BYTES = 65_536
MAX_TLS_PINS = 8
"""Of either kind: the one in use, its successor, one kept aside."""
TLS_KEY_BYTES = 32
MAX_CA_BYTES = 4_096


class KeyState(StrEnum):
    """The life of a key. Gates learn a key (announced) before it signs; a revoked one verifies nothing."""

    ANNOUNCED = "announced"
    SIGNING = "signing"
    VERIFY_ONLY = "verify-only"
    REVOKED = "revoked"


class PublicKey(msgspec.Struct, frozen=True, array_like=True):
    """One verifying key: id u16, dates UTC ms half-open."""

    id: int
    purpose: Purpose
    public: bytes
    not_before_ms: int
    not_after_ms: int
    state: KeyState
    alg: str = "ed25519"

    def verifies_at(self, now_ms: int | None) -> bool:
        """Whether signatures by this key count at `now_ms`; None (clock unknown) leaves the dates aside."""
        if self.state is KeyState.REVOKED or self.alg != "ed25519":
            return False
        return now_ms is None or self.not_before_ms <= now_ms < self.not_after_ms


class KeySet(msgspec.Struct, frozen=True, array_like=True, dict=True):
    """All public keys at one version. `root` is the root key now in force: what a gate pins after reading.

    `tls_keys` (SHA-256 of a SubjectPublicKeyInfo) and `tls_cas` (certificates, DER) are what the centre's own TLS
    certificate holds or is signed by; where neither is named, gates believe the CAs that they believed before.
    """

    version: int
    issued_at_ms: int
    root: bytes
    keys: tuple[PublicKey, ...]
    tls_keys: tuple[bytes, ...] = ()
    tls_cas: tuple[bytes, ...] = ()

    def find(self, purpose: Purpose, key_id: int, now_ms: int | None) -> PublicKey | None:
        """The key that may verify `purpose` at `now_ms`, or None."""
        key = self._index().get((purpose, key_id))
        return key if key is not None and key.verifies_at(now_ms) else None

    def _index(self) -> dict[tuple[Purpose, int], PublicKey]:
        index: dict[tuple[Purpose, int], PublicKey] | None = self.__dict__.get("index")
        if index is None:
            index = {(key.purpose, key.id): key for key in self.keys}
            self.__dict__["index"] = index
        return index


class _Signed(msgspec.Struct, frozen=True, array_like=True):
    version: int
    payload: bytes
    signatures: tuple[tuple[bytes, bytes], ...]  # (root public key, signature)


def sign_key_set(key_set: KeySet, root_private_keys: Iterable[bytes]) -> bytes:
    """The document as gates fetch it, signed by the root key; by the old and the new one when the root changes."""
    payload = msgspec.msgpack.encode(key_set)
    signatures = tuple(
        (signing.public_key_of(private), signing.sign(private, KIND, VERSION, payload)) for private in root_private_keys
    )
    return msgspec.msgpack.encode(_Signed(VERSION, payload, signatures))


def read_key_set(data: bytes, pinned_root: bytes) -> KeySet | SealFlaw:
    """The key set, if the pinned root signed it and, where it names a new root, that one signed it too."""
    if len(data) > MAX_KEY_SET_BYTES:
        return SealFlaw.MALFORMED
    try:
        signed = msgspec.msgpack.decode(data, type=_Signed)
        if signed.version != VERSION:
            return SealFlaw.NEEDS_UPDATE
        good = {
            public
            for public, signature in signed.signatures[:4]
            if signing.verify_kind(public, KIND, VERSION, signed.payload, signature)
        }
        if pinned_root not in good:
            return SealFlaw.FORGED
        key_set = msgspec.msgpack.decode(signed.payload, type=KeySet)
    except UNREADABLE:
        return SealFlaw.MALFORMED
    if key_set.root not in good or len(key_set.keys) > MAX_KEYS:
        return SealFlaw.FORGED
    return key_set if _has_sound_pins(key_set) else SealFlaw.MALFORMED


def _has_sound_pins(key_set: KeySet) -> bool:
    few = max(len(key_set.tls_keys), len(key_set.tls_cas)) <= MAX_TLS_PINS
    whole = all(len(key) == TLS_KEY_BYTES for key in key_set.tls_keys)
    return few and whole and all(0 < len(ca) <= MAX_CA_BYTES for ca in key_set.tls_cas)


def read_chain(documents: Sequence[bytes], pinned_root: bytes) -> KeySet | SealFlaw:
    """The last of these key sets, if a chain of changed roots leads to it from the pinned one (wire.md §1).

    `documents` are in the order of their versions; those from before the pinned root are passed over.
    """
    if not 1 <= len(documents) <= MAX_CHAIN:
        return SealFlaw.MALFORMED
    root = pinned_root
    read: KeySet | SealFlaw = SealFlaw.FORGED
    for document in documents:
        read = read_key_set(document, root)
        if isinstance(read, KeySet):
            root = read.root
    return read


def claimed_root(data: bytes) -> bytes | None:
    """The root key a key set names, not believed: a box that is being enrolled holds it against the typed code."""
    try:
        signed = msgspec.msgpack.decode(data, type=_Signed)
        return msgspec.msgpack.decode(signed.payload, type=KeySet).root
    except UNREADABLE:
        return None


def keys_file(keys: Iterable[PublicKey]) -> str:
    """The pass keys as the JSON file that `sync-server keys export` writes and `gate-agent verify-token` reads."""
    rows = [
        {
            "id": key.id,
            "purpose": key.purpose.value,
            "alg": key.alg,
            "public": key.public.hex(),
            "not_before": _iso(key.not_before_ms),
            "not_after": _iso(key.not_after_ms),
            "state": key.state.value,
        }
        for key in keys
    ]
    return json.dumps({"keys": rows}, indent=1) + "\n"


def read_keys_file(text: str) -> KeySet:
    """A key set of version 0 from a keys file. Raises ValueError that names the key and what is wrong with it."""
    try:
        rows = json.loads(text)["keys"]
    except (json.JSONDecodeError, KeyError, TypeError) as error:
        raise ValueError('a keys file is JSON of the form {"keys": [...]}') from error
    return KeySet(version=0, issued_at_ms=0, root=b"", keys=tuple(_key_of(n, row) for n, row in enumerate(rows)))


def _key_of(number: int, row: dict[str, object]) -> PublicKey:
    try:
        key = PublicKey(
            id=int(str(row["id"])),
            purpose=Purpose(str(row["purpose"])),
            public=bytes.fromhex(str(row["public"])),
            not_before_ms=_from_iso(str(row["not_before"])),
            not_after_ms=_from_iso(str(row["not_after"])),
            state=KeyState(str(row["state"])),
            alg=str(row.get("alg", "ed25519")),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"key {number} of the keys file: {error}") from error
    flaw = signing.check_public_key(key.public)
    if flaw is not None:
        raise ValueError(f"key {number} of the keys file (id {key.id}) is not a usable public key: {flaw}")
    return key


def _iso(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat().replace("+00:00", "Z")


def _from_iso(text: str) -> int:
    moment = datetime.fromisoformat(text)
    return round((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)
