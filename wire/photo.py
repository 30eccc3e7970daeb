"""Holders' photos for the staff screen: encrypted apart from the list, under keys that no gate keeps on disk (§5).

The list names a photo by its hash, and anybody may deliver it. What opens it the centre tells a gate that asks for
itself, and the gate holds that in memory alone: a box taken away, or switched off, shows nobody.
"""

from __future__ import annotations

import hashlib
import struct

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from wire import signing
from wire.keyset import KeySet
from wire.signing import Purpose, SealFlaw
from wire.unreadable import UNREADABLE

VERSION = 1
KEYS_KIND = "photo-keys"
KEYS_VERSION = 1
NAME_BYTES = 16
KEY_BYTES = 32
NONCE_BYTES = 12
MAX_PICTURE_BYTES = 20_000
"""Of the JPEG inside."""
MAX_KEYS_BYTES = 4096

_HEADER = struct.Struct(f">BH8s{NONCE_BYTES}s")  # format 1 · key id 2 · pass id 8 · nonce
MAX_PHOTO_BYTES = MAX_PICTURE_BYTES + _HEADER.size + 16


def seal_photo(picture: bytes, pass_id: bytes, key_id: int, key: bytes, nonce: bytes) -> bytes:
    """A photo as caches keep it; `nonce` (12 B) must never meet the same key twice."""
    if len(picture) > MAX_PICTURE_BYTES:
        raise ValueError(f"a photo has at most {MAX_PICTURE_BYTES} bytes, not {len(picture)}")
    header = _HEADER.pack(VERSION, key_id, pass_id, nonce)
    return header + AESGCM(key).encrypt(nonce, picture, signing.prefix("photo", VERSION) + header)


def photo_name(photo: bytes) -> bytes:
    """By which the list names it: the first half of SHA-256 of the bytes as sent."""
    return hashlib.sha256(photo).digest()[:NAME_BYTES]


def key_id_of(photo: bytes) -> int | None:
    """Which key opens it; None for what is no photo of this format."""
    if not _HEADER.size < len(photo) <= MAX_PHOTO_BYTES or photo[0] != VERSION:
        return None
    return int(_HEADER.unpack_from(photo)[1])


def open_photo(photo: bytes, name: bytes, pass_id: bytes, keys: dict[int, bytes]) -> bytes | None:
    """The JPEG, if these are the bytes of that name, made for that pass, and one of the keys opens them."""
    key_id = key_id_of(photo)
    if key_id is None or key_id not in keys or photo_name(photo) != name:
        return None
    _, _, shown, nonce = _HEADER.unpack_from(photo)
    header = photo[: _HEADER.size]
    try:
        picture = AESGCM(keys[key_id]).decrypt(nonce, photo[_HEADER.size :], signing.prefix("photo", VERSION) + header)
    except InvalidTag:
        return None
    return picture if shown == pass_id else None


class PhotoKeys(msgspec.Struct, frozen=True, array_like=True):
    """GET /device/v1/photo-keys: what opens the photos of a venue. `nonce` is that of the request."""

    device: bytes
    nonce: bytes
    keys: tuple[tuple[int, bytes], ...]


def sign_photo_keys(keys: PhotoKeys, key_id: int, service_key: bytes) -> bytes:
    """The keys as this gate gets them."""
    return signing.seal(KEYS_KIND, KEYS_VERSION, key_id, service_key, msgspec.msgpack.encode(keys))


def read_photo_keys(data: bytes, keys: KeySet, device: bytes, nonce: bytes) -> dict[int, bytes] | SealFlaw:
    """The keys by their ids, if a service key sealed them for this device's very request."""
    sealed = signing.unseal(KEYS_KIND, KEYS_VERSION, data)
    if isinstance(sealed, SealFlaw):
        return sealed
    key = keys.find(Purpose.SERVICE, sealed.key_id, None)
    if key is None:
        return SealFlaw.UNKNOWN_KEY
    if not sealed.is_by(key.public):
        return SealFlaw.FORGED
    try:
        told = msgspec.msgpack.decode(sealed.payload, type=PhotoKeys)
    except UNREADABLE:
        return SealFlaw.MALFORMED
    if any(len(one) != KEY_BYTES for _, one in told.keys):
        return SealFlaw.MALFORMED
    return dict(told.keys) if (told.device, told.nonce) == (device, nonce) else SealFlaw.FORGED
