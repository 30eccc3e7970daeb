"""The static token: one accepted text, every flaw with its reason in order, nothing opens that nobody signed."""

from __future__ import annotations

from dataclasses import replace

import pytest
import segno
from hypothesis import given
from hypothesis import strategies as st

from tests.wire.samples import CLAIMS, KEY_SET, NOW_MS, PASS, PASS_KEY_ID, SERVICE, YEAR_MS, public_key
from wire import base45, moments, token
from wire.keyset import KeySet, KeyState
from wire.reasons import Reason
from wire.signing import Purpose
from wire.token import Claims, Place, Scope

HERE = Place(venue=3, groups=frozenset({1}))
TEXT = token.sign_token(CLAIMS, PASS_KEY_ID, PASS)
AT_MS = moments.minute_ms(3_700_000)


def read(text: str, now_ms: int | None = AT_MS, keys: KeySet = KEY_SET, place: Place = HERE) -> Claims | Reason:
    return token.read_token(text, keys, place, now_ms, frozenset({7, 8}))


def signed(**changes: object) -> str:
    return token.sign_token(replace(CLAIMS, **changes), PASS_KEY_ID, PASS)  # type: ignore[arg-type]


def with_byte(offset: int, value: int) -> str:
    data = bytearray(base45.decode(TEXT.removeprefix(token.PREFIX)) or b"")
    data[offset] = value
    return token.PREFIX + base45.encode(bytes(data))


def test_a_good_token_gives_back_its_claims() -> None:
    assert read(TEXT) == CLAIMS
    assert len(TEXT) == token.TEXT_LENGTH


def test_it_is_a_qr_code_of_version_6() -> None:
    code = segno.make_qr(TEXT, error="m", boost_error=False)
    assert (code.version, code.mode) == (6, "alphanumeric")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", Reason.NOT_OURS),
        ("https://example.com", Reason.NOT_OURS),
        (TEXT.lower(), Reason.NOT_OURS),
        (" " + TEXT, Reason.NOT_OURS),
        (token.PREFIX, Reason.MALFORMED),
        (TEXT[:-1], Reason.MALFORMED),
        (TEXT[:-3], Reason.MALFORMED),
        (TEXT + "0", Reason.MALFORMED),
        (TEXT + "000", Reason.MALFORMED),
        (TEXT + " ", Reason.MALFORMED),
        (TEXT[:60] + "a" + TEXT[61:], Reason.MALFORMED),
        (TEXT[:60] + "\N{FULLWIDTH DIGIT ONE}" + TEXT[61:], Reason.MALFORMED),
        (TEXT[:-3] + ":::", Reason.MALFORMED),
        (token.PREFIX + "0" * 1_000_000, Reason.MALFORMED),
        (with_byte(0, 0x12), Reason.NEEDS_UPDATE),
        (with_byte(0, 0x21), Reason.NEEDS_UPDATE),
        (with_byte(1, 0x21), Reason.NEEDS_UPDATE),
        (with_byte(1, 0x12), Reason.WRONG_PURPOSE),
        (with_byte(27 - 4, 0x07), Reason.NEEDS_UPDATE),
        (with_byte(3, 99), Reason.UNKNOWN_KEY),
        (signed(scope=4), Reason.WRONG_VENUE),
        (signed(scope_kind=Scope.GROUP, scope=2), Reason.WRONG_VENUE),
        (signed(product=9), Reason.UNKNOWN_PRODUCT),
        (signed(not_after=3_700_000), Reason.EXPIRED),
        (signed(not_before=3_700_001), Reason.NOT_YET_ACTIVE),
        (token.sign_token(CLAIMS, PASS_KEY_ID, SERVICE), Reason.FORGED),
        (with_byte(91, 0), Reason.FORGED),
    ],
)
def test_flaws(text: str, reason: Reason) -> None:
    assert read(text) is reason


def test_scopes() -> None:
    assert isinstance(read(signed(scope_kind=Scope.GROUP, scope=1)), Claims)
    assert isinstance(read(signed(scope_kind=Scope.LIST, scope=0)), Claims)


def test_the_interval_is_half_open() -> None:
    text = signed(not_before=100, not_after=200)
    assert read(text, moments.minute_ms(100) - 1, everlasting()) is Reason.NOT_YET_ACTIVE
    assert isinstance(read(text, moments.minute_ms(100), everlasting()), Claims)
    assert isinstance(read(text, moments.minute_ms(200) - 1, everlasting()), Claims)
    assert read(text, moments.minute_ms(200), everlasting()) is Reason.EXPIRED


def everlasting() -> KeySet:
    key = public_key(PASS_KEY_ID, Purpose.PASS, PASS)
    return KeySet(1, 0, b"", (type(key)(key.id, key.purpose, key.public, 0, 1 << 60, key.state),))


def test_without_a_clock_dates_are_left_to_the_decision() -> None:
    assert read(signed(not_after=1, not_before=0), None) == replace(CLAIMS, not_after=1, not_before=0)


@pytest.mark.parametrize(
    ("state", "good"),
    [(KeyState.ANNOUNCED, True), (KeyState.SIGNING, True), (KeyState.VERIFY_ONLY, True), (KeyState.REVOKED, False)],
)
def test_a_keys_state_decides(state: KeyState, good: bool) -> None:
    keys = KeySet(1, 0, b"", (public_key(PASS_KEY_ID, Purpose.PASS, PASS, state),))
    assert read(TEXT, keys=keys) == (CLAIMS if good else Reason.UNKNOWN_KEY)


def test_a_key_of_another_purpose_or_past_its_dates_verifies_nothing() -> None:
    keys = KeySet(1, 0, b"", (public_key(PASS_KEY_ID, Purpose.SERVICE, PASS),))
    assert read(TEXT, keys=keys) is Reason.UNKNOWN_KEY
    assert read(signed(not_after=9_000_000), NOW_MS + 2 * YEAR_MS) is Reason.UNKNOWN_KEY


def test_only_what_was_signed_is_genuine_whatever_its_dates() -> None:
    expired, changed = token.take_apart(signed(not_after=3_700_000)), token.take_apart(with_byte(20, 1))
    assert isinstance(expired, token.Token)
    assert expired.is_genuine(KEY_SET)
    assert expired.claims == replace(CLAIMS, not_after=3_700_000)
    assert isinstance(changed, token.Token)
    assert not changed.is_genuine(KEY_SET)
    assert token.take_apart("hello") is Reason.NOT_OURS


@given(st.integers(0, 91), st.integers(0, 7))
def test_any_changed_bit_is_refused(offset: int, bit: int) -> None:
    data = base45.decode(TEXT.removeprefix(token.PREFIX)) or b""
    assert isinstance(read(with_byte(offset, data[offset] ^ 1 << bit)), Reason)


@given(st.text(max_size=320))
def test_garbage_is_refused_and_never_raises(text: str) -> None:
    assert isinstance(read(text), Reason)
    assert isinstance(read(token.PREFIX + text), Reason)


@given(st.integers(5, token.TEXT_LENGTH - 1), st.sampled_from(base45.ALPHABET))
def test_there_is_exactly_one_accepted_text(position: int, character: str) -> None:
    changed = TEXT[:position] + character + TEXT[position + 1 :]
    assert changed == TEXT or isinstance(read(changed), Reason)
