"""Entries, batches and receipts: the chain is walked, sizes are bounded, only a signed receipt counts."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.wire import samples
from wire import messages, presentation, signing
from wire.messages import (
    BatchFlaw,
    ClockTrust,
    Entry,
    EntryKind,
    Outcome,
    Presentation,
    ReadBatch,
    Receipt,
)
from wire.reasons import Reason
from wire.signing import SealFlaw


def changed(**changes: object) -> bytes:
    return messages.encode_batch(msgspec.structs.replace(samples.batch(), **changes))


def test_a_batch_and_its_chain() -> None:
    body = messages.encode_batch(samples.batch())
    read = messages.read_batch(body)
    assert isinstance(read, ReadBatch)
    assert read.entries == samples.ENTRIES
    assert read.hashes[-1] == read.batch.last_hash


@pytest.mark.parametrize(("at", "number"), [(1, 12), (1, 255), (3, 3), (8, 7)], ids=["kind", "last", "trust", "shown"])
def test_an_entry_of_a_later_release_is_read_kept_and_renumbered_as_it_is(at: int, number: int) -> None:
    """After a rollback the journal holds it: nothing of it may be lost, and the release before must not break."""
    fields: list[object] = [5, 2, 1_000, 2, 7, 1, 42, 1, 0, b"\x01" * 8, None, 4, "why", None, ["of a later release"]]
    fields[at] = number
    body = msgspec.msgpack.encode(fields)
    entry = messages.decode_entry(body)
    numbers = (entry.kind, entry.trust, entry.presentation)
    assert [one.name for one in numbers if not one.is_known] == [f"UNKNOWN_{number}"]
    assert msgspec.msgpack.decode(messages.encode_entry(entry)) == fields[:14]
    anew = messages.entry_with(body, seq=2, ref_seq=1, evidence=None)
    assert msgspec.msgpack.decode(anew) == [2, *fields[1:11], 1, *fields[12:]]


@pytest.mark.parametrize("number", [256, -1, "12", None])
def test_what_is_no_number_of_a_kind_is_no_entry(number: object) -> None:
    fields = [5, number, 1_000, 2, 7, 1, 42, 1]
    with pytest.raises(msgspec.DecodeError):
        messages.decode_entry(msgspec.msgpack.encode(fields))


def test_a_centre_does_not_take_what_it_cannot_count() -> None:
    """The gate keeps it until the centre is updated; nothing that happened is stored as something else."""
    body = msgspec.msgpack.encode([1, 12, 1_000, 2, 7, 1, 42, 1])
    last = messages.entry_hash(messages.FIRST_HASH, body)
    assert messages.read_batch(changed(entries=(body,), last_hash=last)) is BatchFlaw.NEEDS_UPDATE


def test_an_empty_batch_is_a_sign_of_life() -> None:
    read = messages.read_batch(changed(entries=(), last_hash=messages.FIRST_HASH))
    assert isinstance(read, ReadBatch)
    assert read.entries == ()


def test_a_batch_of_the_release_before_is_read_and_its_reader_skips_what_was_added() -> None:
    full = msgspec.msgpack.decode(messages.encode_batch(samples.following_batch()))
    read = messages.read_batch(msgspec.msgpack.encode(full[:12]))
    assert isinstance(read, ReadBatch)
    assert read.batch == samples.batch()
    later = messages.read_batch(msgspec.msgpack.encode([*full, "of a later release"]))
    assert isinstance(later, ReadBatch)
    assert later.batch == samples.following_batch()


@pytest.mark.parametrize("before", [messages.LOST, None, messages.Superseded(samples.INCARNATION, 4)])
def test_a_batch_says_which_journal_came_before(before: messages.Superseded | None) -> None:
    read = messages.read_batch(changed(supersedes=before))
    assert isinstance(read, ReadBatch)
    assert read.batch.supersedes == before


@pytest.mark.parametrize(
    ("body", "flaw"),
    [
        (b"", BatchFlaw.MALFORMED),
        (b"<html>captive portal</html>", BatchFlaw.MALFORMED),
        (b"\x90", BatchFlaw.MALFORMED),
        (changed(format=2), BatchFlaw.NEEDS_UPDATE),
        (changed(device=b"short"), BatchFlaw.MALFORMED),
        (changed(supersedes=messages.Superseded(b"short", 1)), BatchFlaw.MALFORMED),
        (changed(supersedes="somebody"), BatchFlaw.MALFORMED),
        (changed(first_seq=2), BatchFlaw.NOT_CONTIGUOUS),
        (changed(previous_hash=b"\x01" * 32), BatchFlaw.BROKEN_CHAIN),
        (changed(last_hash=bytes(32)), BatchFlaw.BROKEN_CHAIN),
        (changed(entries=samples.batch().entries[:2]), BatchFlaw.BROKEN_CHAIN),
        (changed(entries=(b"\xc1",)), BatchFlaw.MALFORMED),
        (changed(entries=(b"\x00" * (messages.MAX_ENTRY_BYTES + 1),)), BatchFlaw.TOO_LARGE),
        (changed(entries=(samples.batch().entries[0],) * 501), BatchFlaw.TOO_LARGE),
        (bytes(messages.MAX_BATCH_BYTES + 1), BatchFlaw.TOO_LARGE),
        (b"\x91" * 100_000, BatchFlaw.MALFORMED),
    ],
)
def test_batches_that_are_not_taken(body: bytes, flaw: BatchFlaw) -> None:
    assert messages.read_batch(body) is flaw


@given(st.binary(max_size=200))
def test_no_body_makes_read_batch_raise(body: bytes) -> None:
    assert isinstance(messages.read_batch(body), BatchFlaw)


def test_an_entry_costs_at_most_a_hundred_bytes() -> None:
    late = msgspec.structs.replace(samples.ENTRIES[0], seq=10_000_000, monotonic_ms=1 << 40, list_version=1 << 31)
    assert len(messages.encode_entry(late)) <= 100


def test_an_entry_with_a_holders_proof_takes_at_most_170_bytes() -> None:
    evidence = presentation.ShortCode(samples.PASS_ID, samples.STEP, samples.PROOF).evidence
    big = 2**32 - 1
    for kind, reason in ((EntryKind.INTENT, None), (EntryKind.REFUSED, max(Reason, key=len))):
        entry = Entry(
            big, kind, samples.NOW_MS, ClockTrust.TRUSTED, 2**40, big, big, 64,
            Presentation.FULL, samples.PASS_ID, evidence, reason=reason,
        )  # fmt: skip
        assert len(messages.encode_entry(entry)) <= 170


RECEIPT = Receipt(samples.DEVICE_ID, samples.INCARNATION, 3, bytes(32), ((1, Outcome.CLAIMED),))


def test_a_receipt_counts_only_under_a_service_key() -> None:
    data = messages.sign_receipt(RECEIPT, samples.SERVICE_KEY_ID, samples.SERVICE)
    assert messages.read_receipt(data, samples.KEY_SET, samples.NOW_MS) == RECEIPT
    by_list_key = messages.sign_receipt(RECEIPT, samples.LIST_KEY_ID, samples.LIST)
    assert messages.read_receipt(by_list_key, samples.KEY_SET, None) is SealFlaw.UNKNOWN_KEY
    forged = messages.sign_receipt(RECEIPT, samples.SERVICE_KEY_ID, samples.LIST)
    assert messages.read_receipt(forged, samples.KEY_SET, None) is SealFlaw.FORGED
    html = b"<html>Please sign in to this network: 200 OK, and quite long enough to be taken for a seal</html>"
    assert messages.read_receipt(html, samples.KEY_SET, None) is SealFlaw.NEEDS_UPDATE


def test_a_receipt_of_the_release_before_is_read() -> None:
    plain = msgspec.msgpack.encode(msgspec.msgpack.decode(msgspec.msgpack.encode(RECEIPT))[:5])
    sealed = signing.seal("receipt", 1, samples.SERVICE_KEY_ID, samples.SERVICE, plain)
    assert messages.read_receipt(sealed, samples.KEY_SET, samples.NOW_MS) == RECEIPT


def test_an_enrolment_code_can_be_typed_and_pins_the_root_key() -> None:
    root = signing.public_key_of(samples.ROOT)
    code = messages.make_enrolment_code(bytes(range(10)), root)
    typed = messages.read_enrolment_code(" " + code.text().lower().replace("-", " "))
    assert typed == code
    assert code.pins(root)
    assert not code.pins(signing.public_key_of(samples.LIST))


@pytest.mark.parametrize("text", ["", "ABCD", "1111-1111-1111-1111-1111-1111", "A" * 40, "é"])
def test_what_is_no_enrolment_code(text: str) -> None:
    assert messages.read_enrolment_code(text) is None


def test_a_configuration_is_one_devices_and_sealed_by_the_pinned_centre() -> None:
    root = signing.public_key_of(samples.ROOT)
    data = messages.sign_config(samples.CONFIG, samples.DEVICE_ID, samples.SERVICE_KEY_ID, samples.SERVICE)
    assert messages.read_config(data, samples.DEVICE_ID, root) == (samples.CONFIG, samples.KEY_SET)
    assert messages.read_config(data, bytes(16), root) is SealFlaw.FORGED
    assert messages.read_config(data, samples.DEVICE_ID, signing.public_key_of(samples.LIST)) is SealFlaw.FORGED
    by_list_key = messages.sign_config(samples.CONFIG, samples.DEVICE_ID, samples.LIST_KEY_ID, samples.LIST)
    assert messages.read_config(by_list_key, samples.DEVICE_ID, root) is SealFlaw.UNKNOWN_KEY
    forged = messages.sign_config(samples.CONFIG, samples.DEVICE_ID, samples.SERVICE_KEY_ID, samples.LIST)
    assert messages.read_config(forged, samples.DEVICE_ID, root) is SealFlaw.FORGED
    assert messages.read_config(b"<html>", samples.DEVICE_ID, root) is SealFlaw.MALFORMED
    assert messages.read_config(data[:80], samples.DEVICE_ID, root) is SealFlaw.MALFORMED
