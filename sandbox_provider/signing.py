"""RSA signatures of this interface: PKCS #1 v1.5 with SHA-256 over `<purpose>\\n<number>\\n` ‖ body, in base64."""

from __future__ import annotations

import base64
import binascii
import os
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

HEADER = "Sandbox-Signature"
RSA_BITS = 2048


def load_or_make_key(folder: Path) -> rsa.RSAPrivateKey:
    """The provider's own key: `provider.key` (0600), made at the first start beside `provider.pub.pem`."""
    file = folder / "provider.key"
    if not file.exists():
        made = rsa.generate_private_key(public_exponent=65537, key_size=RSA_BITS)
        pem = made.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(pem)
        public = made.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        (folder / "provider.pub.pem").write_bytes(public)
    key = serialization.load_pem_private_key(file.read_bytes(), password=None)
    if not isinstance(key, rsa.RSAPrivateKey):
        raise ValueError(f"{file} does not hold an RSA key: remove it and a new one is made")
    return key


def sign(key: rsa.RSAPrivateKey, purpose: str, number: str, body: bytes) -> str:
    """The value of the signature header."""
    signature = key.sign(_signed(purpose, number, body), padding.PKCS1v15(), hashes.SHA256())
    return base64.b64encode(signature).decode()


def is_signed(public_key_pem: str, purpose: str, number: str, body: bytes, signature: str) -> bool:
    """Whether the merchant with this key signed it."""
    key = serialization.load_pem_public_key(public_key_pem.encode())
    if not isinstance(key, rsa.RSAPublicKey):
        return False
    try:
        raw = base64.b64decode(signature, validate=True)
        key.verify(raw, _signed(purpose, number, body), padding.PKCS1v15(), hashes.SHA256())
    except (InvalidSignature, binascii.Error, ValueError):
        return False
    return True


def _signed(purpose: str, number: str, body: bytes) -> bytes:
    return f"{purpose}\n{number}\n".encode() + body
