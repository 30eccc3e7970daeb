"""Base45 against the examples of RFC 9285, and the rule of one text per byte string."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wire import base45


@pytest.mark.parametrize(("data", "text"), [(b"AB", "BB8"), (b"Hello!!", "%69 VD92EX0"), (b"base-45", "UJCLQE7W581")])
def test_the_examples_of_rfc_9285(data: bytes, text: str) -> None:
    assert base45.encode(data) == text
    assert base45.decode(text) == data


@pytest.mark.parametrize("text", ["GGW", "::", ":::", "A", "ABCD", "ab8", "BB8é"])
def test_texts_that_nobody_encodes(text: str) -> None:
    assert base45.decode(text) is None


@given(st.binary(max_size=300))
def test_there_and_back(data: bytes) -> None:
    assert base45.decode(base45.encode(data)) == data


@given(st.text(alphabet=base45.ALPHABET, max_size=60))
def test_what_decodes_encodes_to_the_same_text(text: str) -> None:
    data = base45.decode(text)
    assert data is None or base45.encode(data) == text
