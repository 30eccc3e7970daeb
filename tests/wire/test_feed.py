"""Head and segments: what was sealed comes out, and nothing else is believed."""

from __future__ import annotations

import os
import random
import zlib

import msgspec
import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from tests.wire import samples
from wire import feed, signing
from wire.calendar import DayRange
from wire.entitlement import PassStatus, Rule, Stop
from wire.feed import Part, SegmentFlaw
from wire.signing import SealFlaw

KEYS = {21: samples.LIST_KEY}


def sealed(part: Part, rows: tuple[feed.Row, ...]) -> bytes:
    return feed.seal_segment(part, rows, samples.LIST_KEY, 21, os.urandom(feed.NONCE_BYTES))


@pytest.mark.parametrize(
    ("part", "rows"),
    [
        (Part.NAMES, samples.NAME_ROWS),
        (Part.USES, samples.USE_ROWS),
        (Part.DOCUMENT, (samples.DOCUMENT,)),
        (Part.DOCUMENT, (samples.FULL_DOCUMENT,)),
        (Part.PASSES, tuple(sorted(samples.PASS_ROWS, key=lambda row: row.pass_id))),
        (Part.PASSES, ()),
    ],
)
def test_what_is_sealed_comes_out(part: Part, rows: tuple[feed.Row, ...]) -> None:
    segment = sealed(part, rows)
    assert feed.open_segment(segment, feed.segment_name(segment), KEYS) == (part, list(rows))


class NamesBefore(msgspec.Struct, array_like=True):
    """A name as the first release knew it."""

    pass_id: bytes
    ticket_number: str
    masked_name: str
    photo: bytes = b""


def test_why_a_pass_is_stopped_costs_the_others_nothing_and_an_older_gate_reads_past_it() -> None:
    going, stopped = samples.NAME_ROWS
    plain = feed.pack_rows(Part.NAMES, [going])
    assert plain[1:] == msgspec.msgpack.encode([(going.pass_id, going.ticket_number, going.masked_name, going.photo)])
    before = NamesBefore(stopped.pass_id, stopped.ticket_number, stopped.masked_name)
    both = feed.pack_rows(Part.NAMES, [going, stopped])
    assert msgspec.msgpack.decode(both[1:], type=list[NamesBefore])[1] == before
    assert len(feed.pack_rows(Part.NAMES, [stopped])) - len(msgspec.msgpack.encode([before])) - 1 <= 12


def test_a_cause_that_nobody_here_knows_and_a_row_of_an_older_centre_are_read() -> None:
    newer = msgspec.structs.replace(samples.NAME_ROWS[1], stop=Stop("struck_by_lightning", 1))
    segment = sealed(Part.NAMES, (newer,))
    assert feed.open_segment(segment, feed.segment_name(segment), KEYS) == (Part.NAMES, [newer])
    older = msgspec.msgpack.encode([(bytes(8), "1", "周*明")])
    assert msgspec.msgpack.decode(older, type=list[feed.NameRow]) == [feed.NameRow(bytes(8), "1", "周*明")]


def test_passes_come_out_sorted() -> None:
    segment = sealed(Part.PASSES, samples.PASS_ROWS)
    opened = feed.open_segment(segment, feed.segment_name(segment), KEYS)
    assert opened == (Part.PASSES, sorted(samples.PASS_ROWS, key=lambda row: row.pass_id))


def test_a_segment_under_another_name_or_key_is_refused() -> None:
    segment = sealed(Part.NAMES, samples.NAME_ROWS)
    name = feed.segment_name(segment)
    changed = segment[:-1] + bytes([segment[-1] ^ 1])
    assert feed.open_segment(changed, name, KEYS) is SegmentFlaw.WRONG_NAME
    assert feed.open_segment(changed, feed.segment_name(changed), KEYS) is SegmentFlaw.WRONG_KEY
    assert feed.open_segment(segment, name, {21: bytes(32)}) is SegmentFlaw.WRONG_KEY
    assert feed.open_segment(segment, name, {}) is SegmentFlaw.WRONG_KEY
    assert feed.open_segment(segment[:5], name, KEYS) is SegmentFlaw.MALFORMED
    newer = b"\x02" + segment[1:]
    assert feed.open_segment(newer, feed.segment_name(newer), KEYS) is SegmentFlaw.NEEDS_UPDATE


def forged_segment(plain: bytes) -> bytes:
    header = feed._SEGMENT.pack(feed.SEGMENT_VERSION, 21, bytes(12))
    packed = zlib.compress(plain)
    return header + AESGCM(samples.LIST_KEY).encrypt(bytes(12), packed, signing.prefix("segment", 1) + header)


DOCUMENT = msgspec.to_builtins(samples.DOCUMENT)
PRODUCT = DOCUMENT["products"][0]


def opened_document(changes: dict[str, object]) -> tuple[Part, list[feed.Row]] | SegmentFlaw:
    """What a gate makes of the sample document with these changes."""
    segment = forged_segment(bytes([Part.DOCUMENT]) + msgspec.msgpack.encode([{**DOCUMENT, **changes}]))
    return feed.open_segment(segment, feed.segment_name(segment), KEYS)


@pytest.mark.parametrize(
    "plain",
    [
        b"",
        b"\x09\x90",
        bytes([Part.PASSES]) + bytes(11),
        bytes([Part.PASSES]) + (1).to_bytes(4, "big") + bytes(8) + bytes(5),
        bytes([Part.NAMES]) + b"\xc1",
        bytes([Part.DOCUMENT]) + b"\x91" * 100_000,
        bytes([Part.DOCUMENT]) + b"\x91\x80",
        b"\x00" * (feed.MAX_PLAIN_BYTES + 1),
    ],
)
def test_even_a_key_holder_cannot_break_a_gate_with_a_segment(plain: bytes) -> None:
    segment = forged_segment(plain)
    assert feed.open_segment(segment, feed.segment_name(segment), KEYS) is SegmentFlaw.MALFORMED


BAD_DOCUMENTS: list[dict[str, object]] = [
    {"zone": "Asia/Bianjing"},
    {"zone": "../etc/passwd"},
    {"venue": "three"},
    {"calendar": {"hours": [[600, 500]]}},
    {"calendar": {"closed_days": [[1, 1]] * 65}},
    {"products": [PRODUCT, PRODUCT]},
    {"products": [{**PRODUCT, "number": 65536}]},
    {"products": [{**PRODUCT, "code_policy": "whatever"}]},
    {"products": [{**PRODUCT, "rule": {"per_day": 0}}]},
    {"products": [{**PRODUCT, "rule": {"only_on_holidays": True}}]},
    {"products": [{**PRODUCT, "venues": 0}]},
]


@pytest.mark.parametrize("changes", BAD_DOCUMENTS)
def test_a_document_that_makes_no_sense_is_refused_by_the_gate(changes: dict[str, object]) -> None:
    assert opened_document(changes) is SegmentFlaw.BAD_DOCUMENT


def test_a_document_of_another_version_is_never_half_understood() -> None:
    assert isinstance(opened_document({}), tuple)
    assert opened_document({"version": feed.DOCUMENT_VERSION + 1, "zone": 7}) is SegmentFlaw.NEEDS_UPDATE


def test_the_centre_cannot_publish_what_no_gate_would_take() -> None:
    rule = Rule(blackout=(DayRange(1, 1),) * 65)
    product = msgspec.structs.replace(samples.DOCUMENT.products[0], rule=rule)
    with pytest.raises(msgspec.ValidationError, match="blackout"):
        sealed(Part.DOCUMENT, (msgspec.structs.replace(samples.DOCUMENT, products=(product,)),))


def test_a_pass_costs_at_most_twelve_bytes_on_the_wire() -> None:
    chance = random.Random(7)
    share = 200  # of a million passes, the segment that one in 200 falls into: ids share their first bits
    rows = tuple(
        feed.PassRow(
            (chance.randrange(1 << 64) // share).to_bytes(8, "big"),
            7 + chance.randrange(3),
            PassStatus.ACTIVE if chance.random() < 0.98 else PassStatus.SUSPENDED,
            3_600_000 + 1440 * chance.randrange(365),
            4_100_000 + 1440 * chance.randrange(365),
            1,
        )
        for _ in range(feed.PASSES_PER_SEGMENT)
    )
    assert len(sealed(Part.PASSES, rows)) / len(rows) <= 12


def test_the_head() -> None:
    head = samples.head((sealed(Part.NAMES, samples.NAME_ROWS),))
    data = feed.sign_head(head, samples.LIST_KEY_ID, samples.LIST)
    assert feed.read_head(data, samples.KEY_SET, samples.FEED_ID) == head
    assert feed.read_head(data, samples.KEY_SET, bytes(16)) is SealFlaw.FORGED
    assert feed.read_head(data[:-1], samples.KEY_SET, samples.FEED_ID) is SealFlaw.MALFORMED
    assert feed.read_head(b"<html>", samples.KEY_SET, samples.FEED_ID) is SealFlaw.MALFORMED
    as_pass_key = feed.sign_head(head, samples.PASS_KEY_ID, samples.PASS)
    assert feed.read_head(as_pass_key, samples.KEY_SET, samples.FEED_ID) is SealFlaw.UNKNOWN_KEY
    by_another = feed.sign_head(head, samples.LIST_KEY_ID, samples.PASS)
    assert feed.read_head(by_another, samples.KEY_SET, samples.FEED_ID) is SealFlaw.FORGED
