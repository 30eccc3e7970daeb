"""Base45 (RFC 9285): bytes as QR alphanumeric text, with exactly one accepted text per byte string."""

from __future__ import annotations

ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ $%*+-./:"
_DIGIT = {character: value for value, character in enumerate(ALPHABET)}
_PAIR = [ALPHABET[n % 45] + ALPHABET[n // 45] for n in range(45 * 45)]
_PAIR_VALUE = {pair: value for value, pair in enumerate(_PAIR)}


def encode(data: bytes) -> str:
    """Three characters for two bytes, two for a last odd byte."""
    even = len(data) - len(data) % 2
    words = [data[i] << 8 | data[i + 1] for i in range(0, even, 2)]
    text = "".join([_PAIR[word % 2025] + ALPHABET[word // 2025] for word in words])
    return text + _PAIR[data[-1]] if len(data) % 2 else text


def decode(text: str) -> bytes | None:
    """The bytes, or None for a text that `encode` never writes (alphabet, length, a group past its range)."""
    remainder = len(text) % 3
    if remainder == 1:
        return None
    whole = len(text) - remainder
    try:
        words = [_PAIR_VALUE[text[i : i + 2]] + 2025 * _DIGIT[text[i + 2]] for i in range(0, whole, 3)]
        last = bytes([_PAIR_VALUE[text[whole:]]]) if remainder else b""
        return b"".join([word.to_bytes(2, "big") for word in words]) + last
    except (KeyError, OverflowError, ValueError):
        return None
