"""A phone's proof over its rotating code: P-256, compressed keys, raw r‖s with low s only (wire.md §1, §3)."""

from __future__ import annotations

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

PUBLIC_KEY_BYTES = 33
SIGNATURE_BYTES = 64
ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
"""Of P-256 (FIPS 186-5); a signature and its twin n - s say the same, so only the smaller one counts."""


def verify(public_key: bytes, message: bytes, signature: bytes) -> bool:
    """Whether `signature` over SHA-256 of `message` is by `public_key`. Never raises: bad input is not signed."""
    if len(public_key) != PUBLIC_KEY_BYTES or len(signature) != SIGNATURE_BYTES:
        return False
    r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
    if not 0 < r < ORDER or not 0 < s <= ORDER // 2:
        return False
    try:
        key = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), public_key)
        key.verify(encode_dss_signature(r, s), message, ec.ECDSA(hashes.SHA256()))
    except (InvalidSignature, ValueError):
        return False
    return True


def is_public_key(public_key: bytes) -> bool:
    """Whether this is a compressed point of P-256: what a phone may register."""
    if len(public_key) != PUBLIC_KEY_BYTES:
        return False
    try:
        ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), public_key)
    except ValueError:
        return False
    return True


def sign(private_key: ec.EllipticCurvePrivateKey, message: bytes) -> bytes:
    """What the phone's page does with WebCrypto: 64 bytes r‖s, s made low."""
    r, s = decode_dss_signature(private_key.sign(message, ec.ECDSA(hashes.SHA256())))
    return r.to_bytes(32, "big") + min(s, ORDER - s).to_bytes(32, "big")


def public_key_of(private_key: ec.EllipticCurvePrivateKey) -> bytes:
    """The compressed public key (33 B)."""
    return private_key.public_key().public_bytes(Encoding.X962, PublicFormat.CompressedPoint)
