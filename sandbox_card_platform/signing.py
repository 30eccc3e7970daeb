"""Signatures of this interface: HMAC-SHA256, in hex, over `<purpose>\\n<number>\\n` ‖ body, under a shared secret."""

from __future__ import annotations

import hmac
import os
import secrets
from pathlib import Path

HEADER = "Card-Signature"
SECRET_BYTES = 32


def load_or_make_secret(file: Path) -> bytes:
    """A customer's secret: hex in a file of mode 0600, made when it is not there."""
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return bytes.fromhex(file.read_text(encoding="ascii"))
    made = secrets.token_bytes(SECRET_BYTES)
    with os.fdopen(descriptor, "w", encoding="ascii") as stream:
        stream.write(made.hex() + "\n")
    return made


def sign(secret: bytes, purpose: str, number: str, body: bytes) -> str:
    """The value of the signature header. `purpose`: request or answer; `number`: the request's own."""
    return hmac.digest(secret, f"{purpose}\n{number}\n".encode() + body, "sha256").hex()


def is_signed(secret: bytes, purpose: str, number: str, body: bytes, signature: str) -> bool:
    """Whether the holder of the secret signed it."""
    return hmac.compare_digest(sign(secret, purpose, number, body).encode(), signature.encode())
