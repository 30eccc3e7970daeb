"""A code that is not ours is described, and not kept."""

from __future__ import annotations

import pytest

from wire.stranger import CharacterClass, stranger_evidence


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("", CharacterClass.EMPTY),
        ("4006381333931", CharacterClass.DIGITS),
        ("hello", CharacterClass.LETTERS),
        ("https://pay.example/1", CharacterClass.LINK),
        ("a-1 b", CharacterClass.MIXED),
        ("\x00\x01", CharacterClass.BINARY),
        ("年票", CharacterClass.BINARY),
    ],
)
def test_a_stranger_is_described_and_not_kept(text: str, kind: CharacterClass) -> None:
    evidence = stranger_evidence(text, b"key")
    assert evidence[2] == kind
    assert int.from_bytes(evidence[:2], "big") == len(text.encode())
    assert evidence != stranger_evidence(text, b"another key")
    assert len(evidence) == 11
