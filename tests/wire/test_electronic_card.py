"""Electronic cards: which texts look like one, and that an answer is believed for one question of one gate alone."""

from __future__ import annotations

import msgspec
import pytest

from tests.wire import samples
from wire import electronic_card, feed, signing, token
from wire.credential import CredentialKind
from wire.electronic_card import Answer, Characters, CodeShape, Finding, Question, encode_question, read_question
from wire.signing import SealFlaw

SHAPE = CodeShape(prefix="SSC1", shortest=10, longest=12, characters=Characters.ALPHANUMERIC)
ANSWERED = electronic_card.sign_answer(samples.ANSWER, samples.SERVICE_KEY_ID, samples.SERVICE)


@pytest.mark.parametrize(
    ("text", "fits"),
    [
        ("SSC1abcXYZ", True),
        ("SSC1abcXYZ12", True),
        ("SSC1abcXY", False),
        ("SSC1abcXYZ123", False),
        ("SSC2abcXYZ", False),
        ("ssc1abcXYZ", False),
        ("SSC1abc XYZ", False),
        ("SSC1abcXYZ\n", False),
        ("SSC1abcdé", False),
        ("SSC1١٢٣٤٥٦", False),
        ("", False),
    ],
)
def test_a_code_is_known_by_prefix_length_and_characters(text: str, fits: bool) -> None:
    assert SHAPE.fits(text) is fits


@pytest.mark.parametrize(
    ("characters", "body", "fits"),
    [
        (Characters.DIGITS, "123456", True),
        (Characters.DIGITS, "12345A", False),
        (Characters.PRINTABLE, "-/?=&~", True),
        (Characters.PRINTABLE, "a b c d", False),
    ],
)
def test_each_class_of_characters(characters: Characters, body: str, fits: bool) -> None:
    assert msgspec.structs.replace(SHAPE, characters=characters).fits("SSC1" + body) is fits


@pytest.mark.parametrize(
    "wrong",
    [
        {"prefix": ""},
        {"prefix": "A B"},
        {"prefix": token.PREFIX},
        {"prefix": token.PREFIX + "1"},
        {"prefix": token.PREFIX[:2]},
        {"prefix": "SSC1abcdefg"},
        {"shortest": 13},
        {"longest": 10_000},
        {"characters": "emoji"},
        {"suffix": "x"},
    ],
)
def test_a_shape_that_cannot_be_or_looks_like_our_own_codes_is_no_document(wrong: dict[str, object]) -> None:
    """A venue's document with it is refused by every gate, and so is never published."""
    said = msgspec.to_builtins(samples.FULL_DOCUMENT)
    said["electronic_card"] = {**msgspec.to_builtins(SHAPE), **wrong}
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(said, feed.VenueDocument)


def test_a_venue_that_takes_none_says_nothing_of_them() -> None:
    assert b"electronic" not in feed.pack_rows(feed.Part.DOCUMENT, (samples.DOCUMENT,))
    assert b"electronic" in feed.pack_rows(feed.Part.DOCUMENT, (samples.FULL_DOCUMENT,))


def test_a_question_is_read_as_it_was_asked() -> None:
    assert read_question(encode_question("SSC1abcXYZ", bytes(16))) == Question(1, bytes(16), "SSC1abcXYZ")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xc1",
        b"\x91" * 10_000,
        msgspec.msgpack.encode([2, bytes(16), "SSC1abcXYZ"]),
        msgspec.msgpack.encode([1, bytes(15), "SSC1abcXYZ"]),
        msgspec.msgpack.encode([1, bytes(16), ""]),
        msgspec.msgpack.encode([1, bytes(16), "x" * 257]),
        msgspec.msgpack.encode([1, bytes(16), b"SSC1"]),
        msgspec.msgpack.encode([1, bytes(16), "x" * 2_000]),
    ],
)
def test_what_is_no_question_is_not_read(body: bytes) -> None:
    assert read_question(body) is None


def answered(data: bytes, device: bytes = samples.DEVICE_ID, question: bytes = samples.QUESTION) -> Answer | SealFlaw:
    digest = electronic_card.digest_of(question)
    return electronic_card.read_answer(data, samples.KEY_SET, device, digest, samples.NOW_MS)


def test_an_answer_is_for_one_question_of_one_gate() -> None:
    assert answered(ANSWERED) == samples.ANSWER
    assert answered(ANSWERED, device=bytes(16)) is SealFlaw.FORGED
    assert answered(ANSWERED, question=encode_question("SSC1ABCDEFGHIJKLMNOPQRSTUVWX", bytes(16))) is SealFlaw.FORGED


def test_only_what_a_service_key_sealed_as_such_is_an_answer() -> None:
    body = msgspec.msgpack.encode(samples.ANSWER)
    kind, version = electronic_card.ANSWER_KIND, electronic_card.ANSWER_VERSION
    by_list_key = electronic_card.sign_answer(samples.ANSWER, samples.LIST_KEY_ID, samples.LIST)
    as_receipt = signing.seal("receipt", version, samples.SERVICE_KEY_ID, samples.SERVICE, body)
    other_version = signing.seal(kind, 9, samples.SERVICE_KEY_ID, samples.SERVICE, body)
    nonsense = signing.seal(kind, version, samples.SERVICE_KEY_ID, samples.SERVICE, b"\xc1")
    many = msgspec.structs.replace(samples.ANSWER, hashes=((CredentialKind.ID_NUMBER, bytes(16)),) * 5)
    assert answered(by_list_key) is SealFlaw.UNKNOWN_KEY
    assert answered(as_receipt) is SealFlaw.FORGED
    assert answered(other_version) is SealFlaw.NEEDS_UPDATE
    assert answered(nonsense) is SealFlaw.MALFORMED
    assert answered(ANSWERED[:40]) is SealFlaw.MALFORMED
    assert answered(electronic_card.sign_answer(many, samples.SERVICE_KEY_ID, samples.SERVICE)) is SealFlaw.MALFORMED
    for at in range(len(ANSWERED)):
        spoilt = ANSWERED[:at] + bytes([ANSWERED[at] ^ 1]) + ANSWERED[at + 1 :]
        assert isinstance(answered(spoilt), SealFlaw)


def test_every_finding_travels() -> None:
    for finding in Finding:
        one = Answer(samples.DEVICE_ID, electronic_card.digest_of(samples.QUESTION), finding)
        assert answered(electronic_card.sign_answer(one, samples.SERVICE_KEY_ID, samples.SERVICE)) == one
