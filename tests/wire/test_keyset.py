"""The key set: believed under the pinned root only, a new root only when old and new signed it."""

from __future__ import annotations

import json

import msgspec
import pytest

from tests.wire.samples import KEY_SET, LIST, NOW_MS, PASS, PASS_KEY_ID, ROOT, public_key
from wire import keyset, signing
from wire.keyset import KeyState
from wire.signing import Purpose, SealFlaw

PINNED = signing.public_key_of(ROOT)
NEW_ROOT = bytes([9]) * 32


def test_it_is_believed_under_the_pinned_root() -> None:
    data = keyset.sign_key_set(KEY_SET, (ROOT,))
    assert keyset.read_key_set(data, PINNED) == KEY_SET
    assert keyset.read_key_set(data, signing.public_key_of(LIST)) is SealFlaw.FORGED
    assert keyset.read_key_set(keyset.sign_key_set(KEY_SET, (LIST,)), PINNED) is SealFlaw.FORGED


def test_any_changed_byte_is_refused() -> None:
    data = keyset.sign_key_set(KEY_SET, (ROOT,))
    for position in range(len(data)):
        changed = bytearray(data)
        changed[position] ^= 1
        assert isinstance(keyset.read_key_set(bytes(changed), PINNED), SealFlaw), position


def test_a_new_root_needs_both_signatures() -> None:
    moved = msgspec.structs.replace(KEY_SET, root=signing.public_key_of(NEW_ROOT))
    both = keyset.read_key_set(keyset.sign_key_set(moved, (ROOT, NEW_ROOT)), PINNED)
    assert both == moved
    assert keyset.read_key_set(keyset.sign_key_set(moved, (ROOT,)), PINNED) is SealFlaw.FORGED
    assert keyset.read_key_set(keyset.sign_key_set(moved, (NEW_ROOT,)), PINNED) is SealFlaw.FORGED


@pytest.mark.parametrize(
    "data", [b"", b"<html>", b"\x91" * 60_000, b"\x93\x01\xc4\x00\x90", bytes(keyset.MAX_KEY_SET_BYTES + 1)]
)
def test_garbage_is_refused(data: bytes) -> None:
    assert isinstance(keyset.read_key_set(data, PINNED), SealFlaw)


def test_a_key_is_found_by_purpose_and_id_within_its_dates() -> None:
    assert KEY_SET.find(Purpose.PASS, PASS_KEY_ID, NOW_MS) == KEY_SET.keys[0]
    assert KEY_SET.find(Purpose.LIST, PASS_KEY_ID, NOW_MS) is None
    assert KEY_SET.find(Purpose.PASS, PASS_KEY_ID, KEY_SET.keys[0].not_after_ms) is None
    assert KEY_SET.find(Purpose.PASS, PASS_KEY_ID, KEY_SET.keys[0].not_before_ms - 1) is None
    assert KEY_SET.find(Purpose.PASS, PASS_KEY_ID, None) == KEY_SET.keys[0]


def test_the_keys_file_there_and_back() -> None:
    text = keyset.keys_file([public_key(PASS_KEY_ID, Purpose.PASS, PASS, KeyState.VERIFY_ONLY)])
    assert keyset.read_keys_file(text).keys == (public_key(PASS_KEY_ID, Purpose.PASS, PASS, KeyState.VERIFY_ONLY),)
    row = json.loads(text)["keys"][0]
    assert (row["id"], row["purpose"], row["alg"], row["state"]) == (PASS_KEY_ID, "pass", "ed25519", "verify-only")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"public": "00" * 32}, "low_order"),
        ({"public": "zz"}, "key 0"),
        ({"state": "asleep"}, "asleep"),
        ({"not_after": "later"}, "later"),
    ],
)
def test_a_bad_keys_file_says_which_key_and_why(change: dict[str, str], said: str) -> None:
    row = json.loads(keyset.keys_file([public_key(PASS_KEY_ID, Purpose.PASS, PASS)]))["keys"][0]
    with pytest.raises(ValueError, match=said):
        keyset.read_keys_file(json.dumps({"keys": [{**row, **change}]}))
    with pytest.raises(ValueError, match="keys file is JSON"):
        keyset.read_keys_file("[]")
