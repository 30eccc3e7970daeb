"""Photos: opened by the right key, for the right pass, under their own name; keys believed for one request alone."""

from __future__ import annotations

import msgspec
import pytest

from tests.wire import samples
from wire import photo
from wire.photo import KEY_BYTES, MAX_PICTURE_BYTES, open_photo, photo_name, read_photo_keys, seal_photo
from wire.signing import SealFlaw

KEYS = {21: samples.LIST_KEY}
NAME = photo_name(samples.PHOTO)


def test_a_photo_opens_for_its_pass_alone() -> None:
    assert open_photo(samples.PHOTO, NAME, samples.PASS_ID, KEYS) == b"a picture"
    assert open_photo(samples.PHOTO, NAME, bytes(8), KEYS) is None
    assert open_photo(samples.PHOTO, bytes(16), samples.PASS_ID, KEYS) is None
    assert open_photo(samples.PHOTO, NAME, samples.PASS_ID, {}) is None
    assert open_photo(samples.PHOTO, NAME, samples.PASS_ID, {21: bytes(KEY_BYTES)}) is None


def test_no_changed_byte_opens() -> None:
    for at in range(len(samples.PHOTO)):
        spoilt = samples.PHOTO[:at] + bytes([samples.PHOTO[at] ^ 1]) + samples.PHOTO[at + 1 :]
        assert open_photo(spoilt, photo_name(spoilt), samples.PASS_ID, KEYS) is None
        assert open_photo(spoilt, NAME, samples.PASS_ID, KEYS) is None
    for length in (0, 1, 22, 23):
        cut = samples.PHOTO[:length]
        assert open_photo(cut, photo_name(cut), samples.PASS_ID, KEYS) is None


def test_a_large_one_is_not_sealed() -> None:
    assert len(seal_photo(bytes(MAX_PICTURE_BYTES), samples.PASS_ID, 1, bytes(32), bytes(12))) == photo.MAX_PHOTO_BYTES
    with pytest.raises(ValueError, match="at most 20000 bytes"):
        seal_photo(bytes(MAX_PICTURE_BYTES + 1), samples.PASS_ID, 1, bytes(32), bytes(12))


def test_keys_are_for_one_request_of_one_gate() -> None:
    sealed = photo.sign_photo_keys(samples.PHOTO_KEYS, samples.SERVICE_KEY_ID, samples.SERVICE)
    assert read_photo_keys(sealed, samples.KEY_SET, samples.DEVICE_ID, bytes(16)) == KEYS
    assert read_photo_keys(sealed, samples.KEY_SET, bytes(16), bytes(16)) is SealFlaw.FORGED
    assert read_photo_keys(sealed, samples.KEY_SET, samples.DEVICE_ID, b"n" * 16) is SealFlaw.FORGED
    by_list_key = photo.sign_photo_keys(samples.PHOTO_KEYS, samples.LIST_KEY_ID, samples.LIST)
    assert read_photo_keys(by_list_key, samples.KEY_SET, samples.DEVICE_ID, bytes(16)) is SealFlaw.UNKNOWN_KEY
    short = msgspec.structs.replace(samples.PHOTO_KEYS, keys=((21, b"short"),))
    sealed = photo.sign_photo_keys(short, samples.SERVICE_KEY_ID, samples.SERVICE)
    assert read_photo_keys(sealed, samples.KEY_SET, samples.DEVICE_ID, bytes(16)) is SealFlaw.MALFORMED
