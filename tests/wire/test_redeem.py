"""The on-line check's request and answer: bounded, told apart from other formats, believed only when signed for us."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.wire import samples
from wire.redeem import (
    MAX_LANE,
    MAX_SHOWN_CHARACTERS,
    REQUEST_ID_BYTES,
    Redeem,
    RedeemAnswer,
    RedeemFlaw,
    ShownCard,
    encode_redeem,
    read_answer,
    read_redeem,
    sign_answer,
)
from wire.signing import SealFlaw


@pytest.mark.parametrize("asked", [samples.REDEEM, samples.REDEEM_CARD])
def test_a_request_is_read_as_written(asked: Redeem) -> None:
    assert read_redeem(encode_redeem(asked)) == asked


@pytest.mark.parametrize(
    ("changes", "flaw"),
    [
        ({"format": 2}, RedeemFlaw.NEEDS_UPDATE),
        ({"request_id": bytes(REQUEST_ID_BYTES + 1)}, RedeemFlaw.MALFORMED),
        ({"shown": "x" * (MAX_SHOWN_CHARACTERS + 1)}, RedeemFlaw.MALFORMED),
        ({"shown": None}, RedeemFlaw.MALFORMED),
        ({"shown": ShownCard(3, samples.REDEEM_CARD.shown.kind, "A1")}, RedeemFlaw.MALFORMED),  # type: ignore[union-attr]
        ({"lane": MAX_LANE + 1}, RedeemFlaw.MALFORMED),
        ({"lane": -1}, RedeemFlaw.MALFORMED),
    ],
)
def test_what_is_out_of_bounds_is_refused(changes: dict[str, object], flaw: RedeemFlaw) -> None:
    assert read_redeem(encode_redeem(msgspec.structs.replace(samples.REDEEM, **changes))) is flaw


@given(st.binary(max_size=200))
def test_no_bytes_do_any_harm(body: bytes) -> None:
    assert isinstance(read_redeem(body), RedeemFlaw | Redeem)


def test_nested_without_end() -> None:
    assert read_redeem(b"\x91" * 2000) in (RedeemFlaw.MALFORMED, RedeemFlaw.NEEDS_UPDATE)


def test_an_answer_counts_only_as_signed_for_this_device_and_request() -> None:
    body = encode_redeem(samples.REDEEM)
    sealed = sign_answer(samples.ADMITTED, samples.SERVICE_KEY_ID, samples.SERVICE)

    def read(data: bytes, device: bytes = samples.DEVICE_ID, asked: bytes = body) -> RedeemAnswer | SealFlaw:
        return read_answer(data, device, asked, samples.KEY_SET, samples.NOW_MS)

    assert read(sealed) == samples.ADMITTED
    assert read(sealed, device=bytes(16)) is SealFlaw.FORGED
    assert read(sealed, asked=encode_redeem(samples.REDEEM_CARD)) is SealFlaw.FORGED
    assert read(sealed[:-1] + b"\0") is SealFlaw.FORGED
    assert read(sealed[:20]) is SealFlaw.MALFORMED
    other_key = sign_answer(samples.ADMITTED, samples.LIST_KEY_ID, samples.LIST)
    assert read(other_key) is SealFlaw.UNKNOWN_KEY, "a list key signs no answers"
