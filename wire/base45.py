"""Base45 (RFC 9285): bytes as QR alphanumeric text, with exactly one accepted text per byte string."""

from __future__ import annotations

import struct

ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ $%*+-./:"
_PAIR = [ALPHABET[n % 45] + ALPHABET[n // 45] for n in range(45 * 45)]
_NO_DIGIT = 255
_DIGITS = bytes(ALPHABET.index(chr(n)) if chr(n) in ALPHABET else _NO_DIGIT for n in range(256))


def encode(data: bytes) -> str:
    """Three characters for two bytes, two for a last odd byte."""
    even = len(data) - len(data) % 2
    words = [data[i] << 8 | data[i + 1] for i in range(0, even, 2)]
    text = "".join([_PAIR[word % 2025] + ALPHABET[word // 2025] for word in words])
    return text + _PAIR[data[-1]] if len(data) % 2 else text


def decode(text: str) -> bytes | None:
    """The bytes, or None for a text that `encode` never writes (alphabet, length, a group past its range)."""
    groups, remainder = divmod(len(text), 3)
    try:
        digits = text.encode("ascii").translate(_DIGITS)
        if remainder == 1 or _NO_DIGIT in digits:
            return None
        words = [a + 45 * b + 2025 * c for a, b, c in zip(digits[::3], digits[1::3], digits[2::3], strict=False)]
        last = bytes([digits[-2] + 45 * digits[-1]]) if remainder else b""
        return struct.pack(f">{groups}H", *words) + last
    except (UnicodeEncodeError, ValueError, struct.error):
        return None
