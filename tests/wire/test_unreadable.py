"""One byte wrong, wherever it is: every reader of the contract answers a flaw, and none of them raises."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable

import msgspec
import pytest

from tests.wire import samples
from wire import electronic_card, feed, heartbeat, invitation, keyset, messages, photo, redeem, signing
from wire.base45 import decode, encode
from wire.token import PREFIX

EXACT = samples.exact_bytes()
NOW_MS, KEYS, DEVICE, ROOT = samples.NOW_MS, samples.KEY_SET, samples.DEVICE_ID, samples.KEY_SET.root
WRONG = (0xFF, 0x80, 0xC1)  # no UTF-8, half of a character, no MessagePack
SEAL_BYTES = 68


def sealed(kind: str, payload: bytes, key_id: int = samples.SERVICE_KEY_ID, key: bytes = samples.SERVICE) -> bytes:
    """What somebody signed who holds the key: the reader gets as far as decoding it."""
    return signing.seal(kind, 1, key_id, key, payload)


def entries_of(body: bytes) -> object:
    """Of a batch with this one entry, whose chain holds."""
    chained = messages.entry_hash(messages.FIRST_HASH, body)
    return messages.read_batch(
        messages.encode_batch(msgspec.structs.replace(samples.batch(), entries=(body,), last_hash=chained))
    )


READERS: dict[str, tuple[bytes, Callable[[bytes], object]]] = {
    "batch": (bytes.fromhex(EXACT["batch.following"]), messages.read_batch),
    "entry": (bytes.fromhex(EXACT["entry.refused"]), entries_of),
    "redeem": (bytes.fromhex(EXACT["redeem"]), redeem.read_redeem),
    "redeem card": (bytes.fromhex(EXACT["redeem.card"]), redeem.read_redeem),
    "heartbeat": (bytes.fromhex(EXACT["heartbeat"]), heartbeat.read_heartbeat),
    "question": (samples.QUESTION, electronic_card.read_question),
    "key set": (bytes.fromhex(EXACT["keyset"]), lambda data: keyset.read_key_set(data, ROOT)),
    "claimed root": (bytes.fromhex(EXACT["keyset"]), keyset.claimed_root),
    "head": (bytes.fromhex(EXACT["head"]), lambda data: feed.read_head(data, KEYS, samples.FEED_ID)),
    "config": (bytes.fromhex(EXACT["config"]), lambda data: messages.read_config(data, DEVICE, ROOT)),
    "receipt": (
        bytes.fromhex(EXACT["receipt"])[SEAL_BYTES:],
        lambda payload: messages.read_receipt(sealed(messages.RECEIPT_KIND, payload), KEYS, NOW_MS),
    ),
    "redeem answer": (
        bytes.fromhex(EXACT["redeem.admitted"])[SEAL_BYTES:],
        lambda payload: redeem.read_answer(sealed(redeem.ANSWER_KIND, payload), DEVICE, b"", KEYS, NOW_MS),
    ),
    "card answer": (
        bytes.fromhex(EXACT["electronic_card.answer"])[SEAL_BYTES:],
        lambda payload: electronic_card.read_answer(
            sealed(electronic_card.ANSWER_KIND, payload), KEYS, DEVICE, b"", NOW_MS
        ),
    ),
    "photo keys": (
        bytes.fromhex(EXACT["photo.keys"])[SEAL_BYTES:],
        lambda payload: photo.read_photo_keys(sealed(photo.KEYS_KIND, payload), KEYS, DEVICE, bytes(16)),
    ),
    "invitation": (
        decode(EXACT["enrolment.invitation"].removeprefix(PREFIX)) or b"",
        lambda data: invitation.read_invitation(PREFIX + encode(data)),
    ),
}


@pytest.mark.parametrize("name", READERS)
def test_one_wrong_byte_makes_no_reader_raise(name: str) -> None:
    good, read = READERS[name]
    assert good
    for at in range(len(good)):
        for byte in WRONG:
            read(good[:at] + bytes([byte]) + good[at + 1 :])


@pytest.mark.parametrize("read", [messages.read_batch, redeem.read_redeem, heartbeat.read_heartbeat])
def test_a_list_of_a_million_nothings_takes_no_memory(read: Callable[[bytes], object]) -> None:
    count = messages.MAX_BATCH_BYTES - 5
    body = b"\xdd" + count.to_bytes(4, "big") + b"\xc0" * count
    tracemalloc.start()
    read(body)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < 1_000_000
